#include "config.h"

#include "lib/comm/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/ranks.h"
#include "lib/comm/comm.h"
#include "lib/comm/reach.h"
#include "lib/transport/transport.h"

#define MIB 1048576.0

static struct fr_transport_report held_by(struct fr_transport *t)
{
	struct fr_transport_report held = {.n_qps = 0};

	if (t->ops->report)
		t->ops->report(t, &held);
	return held;
}

/* "verbs (mlx5_0:1) to ranks 4-7", after a comma unless it is the first. */
static void append_joined(const struct ferrule_comm *c, struct fr_transport *t, bool *joined,
                          char *text, size_t bytes)
{
	const struct fr_transport_report held = held_by(t);
	const size_t used = strlen(text);
	char ranks[96];

	for (int r = 0; r < c->n_ranks; r++)
		joined[r] = c->eps[r] && c->eps[r]->transport == t;
	snprintf(text + used, bytes - used, "%s%s%s%s%s to %s", used > 0 ? ", " : "", t->ops->name,
	         held.devices[0] ? " (" : "", held.devices, held.devices[0] ? ")" : "",
	         fr_ranks_text(joined, true, c->n_ranks, ranks, sizeof(ranks)));
}

void fr_comm_report(const struct ferrule_comm *c, struct ferrule_comm_report *out)
{
	struct ferrule_comm_stats stats = {.size = sizeof(stats)};
	bool *joined = calloc((size_t)c->n_ranks, sizeof(*joined));

	fr_comm_get_stats(c, &stats);
	*out = (struct ferrule_comm_report){.size = sizeof(*out),
	                                    .memory_bytes = stats.memory_bytes};
	for (int t = 0; t < c->n_transports; t++) {
		const struct fr_transport_report held = held_by(c->transports[t]);

		out->registered_bytes += held.registered_bytes;
		out->n_queue_pairs += held.n_qps;
		out->n_registrations += held.n_mrs;
		if (joined)
			append_joined(c, c->transports[t], joined, out->joins, sizeof(out->joins));
	}
	if (c->n_transports == 0)
		snprintf(out->joins, sizeof(out->joins), "alone");
	free(joined);
}

void fr_comm_path(const struct ferrule_comm *c, int peer, char *text, size_t bytes)
{
	struct fr_transport *t = c->eps[peer] ? c->eps[peer]->transport : NULL;

	snprintf(text, bytes, "%s", fr_comm_transport_name(c, peer));
	size_t used = strlen(text);

	if (c->places[peer].machine_id == c->places[c->rank].machine_id &&
	    c->places[peer].host != c->places[c->rank].host) {
		snprintf(text + used, bytes - used, " (same machine, but no shared memory: %s)",
		         fr_reach_why(&c->places[peer]));
		used = strlen(text);
	}

	if (!t || !t->ops->path || used + 3 > bytes)
		return;
	memcpy(text + used, ": ", 3);
	t->ops->path(t, peer, text + used + 2, bytes - used - 2);
}

void fr_comm_log_begin(const struct ferrule_comm *c)
{
	struct ferrule_comm_report report;

	fr_comm_report(c, &report);
	fr_log(FR_LOG_INFO, "communicator %016llx, rank %d of %d: %s",
	       (unsigned long long)c->comm_id, c->rank, c->n_ranks, report.joins);
}

void fr_comm_log_end(const struct ferrule_comm *c)
{
	struct ferrule_comm_stats stats = {.size = sizeof(stats)};
	struct ferrule_comm_report report;

	if (!c->exec)
		return;
	fr_comm_get_stats(c, &stats);
	fr_comm_report(c, &report);
	fr_log(FR_LOG_INFO,
	       "communicator %016llx, rank %d of %d, ends: %llu operations, %.1f MiB sent, "
	       "%.1f MiB received, %.2f MiB held, %llu queue pairs, %llu registrations of %.2f MiB",
	       (unsigned long long)c->comm_id, c->rank, c->n_ranks,
	       (unsigned long long)stats.operations, (double)stats.bytes_sent / MIB,
	       (double)stats.bytes_received / MIB, (double)report.memory_bytes / MIB,
	       (unsigned long long)report.n_queue_pairs, (unsigned long long)report.n_registrations,
	       (double)report.registered_bytes / MIB);
}
