/* verbs_report.c - what of the hardware a communicator holds, and the way to a peer, in words. */
#include "config.h"

#include "lib/transport/verbs/verbs.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/settings.h"

void fr_vb_report(struct fr_transport *base, struct fr_transport_report *out)
{
	const struct fr_vb *t = fr_vb_of(base);
	struct fr_region_counts regions;
	uint64_t n_blocks = 0;

	fr_regions_count(t->regions, &regions);
	*out = (struct fr_transport_report){.registered_bytes = regions.bytes};
	n_blocks = regions.n_explicit + regions.n_cached;
	for (int r = 0; r < t->n_ranks; r++) {
		const struct fr_vb_ep *e = t->eps[r];

		if (e == NULL || e->inbox == NULL)
			continue;
		out->n_qps += e->n_qps;
		n_blocks += 2;
		out->registered_bytes += e->inbox_bytes + e->staging_bytes;
	}
	out->n_mrs = n_blocks * (uint64_t)t->n_rails;
	for (int i = 0; i < t->n_rails; i++) {
		const struct fr_verbs_port *p = &t->rails[i].device.port;
		const size_t used = strlen(out->devices);

		snprintf(out->devices + used, sizeof(out->devices) - used, "%s%.40s:%d",
		         used > 0 ? ", " : "", p->device, p->port);
	}
}

/* The MTU that the two ends of a rail agreed on. */
static int mtu_of(const struct fr_vb_ep *e, int rail)
{
	const int a = e->mine.rails[rail].mtu_code, b = e->theirs.rails[rail].mtu_code;

	return fr_verbs_mtu_bytes(a < b ? a : b);
}

void fr_vb_path(struct fr_transport *base, int peer, char *text, size_t bytes)
{
	const struct fr_vb_ep *e = fr_vb_of(base)->eps[peer];
	uint32_t seen = 0;
	char path[200];

	text[0] = '\0';
	if (e->state != FR_VB_READY) {
		snprintf(text, bytes, e->state == FR_VB_IDLE ? "not used yet" : "being connected");
		return;
	}
	for (unsigned i = 0; i < e->n_live; i++) {
		const int rail = e->live[i]->rail;
		const size_t used = strlen(text);

		if (seen >> rail & 1)
			continue;
		seen |= 1u << rail;
		snprintf(text + used, bytes - used, "%s%s, MTU %d", used > 0 ? "; " : "",
		         fr_vb_path_text(e, rail, path, sizeof(path)), mtu_of(e, rail));
	}
}

uint64_t fr_vb_peer_bytes(void)
{
	const uint64_t slots = (uint64_t)fr_settings()->ib_slots;
	const uint64_t slot = fr_settings()->ib_slot + FR_VERBS_PAYLOAD_AT;

	/* An inbox and a staging area, each with a ring of grants behind it. */
	return 2 * (slots * slot + FR_VERBS_GRANTS * sizeof(struct fr_verbs_grant));
}
