/* ferrule_rdma_port_at(): the ports as the verbs transport sees them. */
#include "config.h"

#include <ferrule/info.h>

#include <stdio.h>
#include <string.h>

#include "lib/transport/verbs/verbs.h"
#include "lib/transport/verbs/verbs_device.h"

#define PORTS_MAX 64

static void list_gids(const struct fr_verbs_device *d, struct ferrule_rdma_port *out)
{
	char text[64];

	for (int i = 0; i < d->n_gids; i++) {
		const size_t used = strlen(out->gids);

		fr_gid_text(&d->gids[i], text, sizeof(text));
		if (i == 0)
			snprintf(out->first_gid, sizeof(out->first_gid), "%s", text);
		snprintf(out->gids + used, sizeof(out->gids) - used, "%s%s", i > 0 ? ", " : "",
		         text);
	}
}

/* What can be known only of an open device.  One that will not open is not usable. */
static void look_inside(const struct fr_verbs *v, const struct fr_verbs_port *port,
                        struct ferrule_rdma_port *out)
{
	struct fr_verbs_device device;

	if (fr_verbs_device_open(v, port, 1, &device, out->why, sizeof(out->why)) != FERRULE_OK) {
		out->is_usable = false;
		return;
	}
	out->is_software = fr_verbs_is_softroce(&device.attr);
	list_gids(&device, out);
	fr_verbs_device_close(&device);
}

bool ferrule_rdma_port_at(int i, struct ferrule_rdma_port *out)
{
	struct fr_verbs_port ports[PORTS_MAX];

	if (!out || i < 0)
		return false;
	memset(out, 0, sizeof(*out));
	const struct fr_verbs *v = fr_verbs_get(out->why, sizeof(out->why));
	const int n = v ? fr_verbs_ports(v, ports, PORTS_MAX, out->why, sizeof(out->why)) : 0;

	if (i >= n)
		return false;
	const struct fr_verbs_port *p = &ports[i];

	snprintf(out->device, sizeof(out->device), "%s", p->device);
	snprintf(out->why, sizeof(out->why), "%s", p->why_not);
	out->port = p->port;
	out->is_active = p->is_active;
	out->is_ethernet = p->is_ethernet;
	out->is_usable = p->why_not[0] == '\0';
	out->gbps = (double)p->gbps_x10 / 10;
	out->mtu = p->mtu;
	out->numa_node = p->numa_node;
	out->numa_distance = p->distance;
	out->peer_bytes = fr_vb_peer_bytes();
	if (out->is_usable)
		look_inside(v, p, out);
	return true;
}
