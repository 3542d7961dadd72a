/* What calls are named in texts, and how two of them differ. */
#include "config.h"

#include <stdio.h>

#include "lib/comm/comm.h"
#include "lib/comm/shape.h"

const char *fr_called_name(int coll)
{
	static const char *const others[FR_N_CALLED] = {
		[FR_CALLED_SEND] = "send",          [FR_CALLED_RECV] = "recv",
		[FR_CALLED_CREATE] = "comm_create", [FR_CALLED_SPLIT] = "comm_split",
		[FR_CALLED_DUP] = "comm_dup",       [FR_CALLED_FINALIZE] = "comm_finalize",
	};
	static const char *const vectors[FR_N_COLLS] = {
		[FR_COLL_REDUCE_SCATTER] = "reduce_scatterv",
		[FR_COLL_ALLGATHER] = "allgatherv",
		[FR_COLL_GATHER] = "gatherv",
		[FR_COLL_SCATTER] = "scatterv",
		[FR_COLL_ALLTOALL] = "alltoallv",
	};
	const int plain = coll & ~(FR_CALL_VECTOR | FR_CALL_OWN);

	if (plain < FR_N_COLLS && coll != plain && vectors[plain])
		return vectors[plain];
	if (plain >= FR_N_COLLS && plain < FR_N_CALLED)
		return others[plain];
	return fr_coll_name((enum fr_coll)plain);
}

/* The counts of a call of ours, or NULL. */
static const size_t *counts_of(const struct ferrule_comm *c, const struct fr_call *call)
{
	for (int b = 0; b < FR_SHAPE_BUCKETS; b++)
		for (const struct fr_shape *s = c->shapes.buckets[b]; s; s = s->next)
			if (s->args.counts && s->call.comm == call->comm &&
			    s->call.count == call->count && s->call.coll == call->coll)
				return s->args.counts;
	return NULL;
}

/* Both sums and both hashes are known, so where a single count differs it can be told which. */
void fr_calls_differ_text(const void *owner, int peer, const struct fr_call *mine,
                          const struct fr_call *theirs, char *buf, size_t bytes)
{
	const struct ferrule_comm *c = owner;
	const size_t *counts = counts_of(c, mine);
	const uint32_t change = theirs->comm - mine->comm;
	const size_t more = (size_t)(theirs->count - mine->count);

	buf[0] = '\0';
	if (mine->coll != theirs->coll || !counts || change == 0)
		return;
	for (int i = 0; i < c->n_ranks; i++) {
		if (fr_count_hash(i, counts[i] + more) - fr_count_hash(i, counts[i]) != change)
			continue;
		snprintf(buf, bytes, ": counts[%d] is %zu on rank %d and %zu on rank %d", i,
		         counts[i], c->rank, counts[i] + more, peer);
		return;
	}
	snprintf(buf, bytes, ": several of their counts differ");
}
