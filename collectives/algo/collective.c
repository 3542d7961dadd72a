/* collective.c - the collectives' names, and how their buffers lie in each other. */
#include "config.h"

#include "collectives/algo/algo.h"

#include <string.h>

#include "collectives/algo/emit.h"

struct coll_row {
	const char *name;
	bool reduces, has_root;
};

static const struct coll_row rows[FR_N_COLLS] = {
#define COLL_ROW(code, name, reduces, rooted) [FR_COLL_##code] = {name, reduces, rooted},
	FR_COLL_MAP(COLL_ROW)
#undef COLL_ROW
};

const char *fr_coll_name(enum fr_coll coll)
{
	return (unsigned)coll < FR_N_COLLS ? rows[coll].name : "unknown";
}

bool fr_coll_reduces(enum fr_coll coll)
{
	return (unsigned)coll < FR_N_COLLS && rows[coll].reduces;
}

bool fr_coll_has_root(enum fr_coll coll)
{
	return (unsigned)coll < FR_N_COLLS && rows[coll].has_root;
}

enum fr_coll fr_coll_parse(const char *name)
{
	int coll = 0;

	while (coll < FR_N_COLLS && strcmp(name, rows[coll].name) != 0)
		coll++;
	return (enum fr_coll)coll;
}

enum fr_alias fr_coll_alias(const struct fr_coll_args *a, size_t *offset_out)
{
	const bool has_both = !fr_coll_has_root(a->coll) || a->rank == a->root;

	*offset_out = 0;
	if (!a->in_place || !has_both)
		return FR_ALIAS_NONE;
	switch (a->coll) {
	case FR_COLL_ALLREDUCE:
	case FR_COLL_REDUCE:
	case FR_COLL_BROADCAST:
		return FR_ALIAS_SEND_IN_RECV;
	case FR_COLL_ALLGATHER:
	case FR_COLL_GATHER:
		*offset_out = fr_emit_block(a, a->rank).first;
		return FR_ALIAS_SEND_IN_RECV;
	case FR_COLL_REDUCE_SCATTER:
	case FR_COLL_SCATTER:
		*offset_out = fr_emit_block(a, a->rank).first;
		return FR_ALIAS_RECV_IN_SEND;
	case FR_COLL_ALLTOALL:
	case FR_COLL_BARRIER:
	case FR_COLL_P2P:
	case FR_N_COLLS:
		break;
	}
	return FR_ALIAS_NONE;
}

static size_t sum(const size_t *counts, int n)
{
	size_t total = 0;

	for (int i = 0; i < n; i++)
		total += counts[i];
	return total;
}

size_t fr_coll_total_count(const struct fr_coll_args *a)
{
	size_t sent, received;

	switch (a->coll) {
	case FR_COLL_ALLREDUCE:
	case FR_COLL_REDUCE:
	case FR_COLL_BROADCAST:
	case FR_COLL_P2P:
		return a->count;
	case FR_COLL_REDUCE_SCATTER:
	case FR_COLL_ALLGATHER:
	case FR_COLL_GATHER:
	case FR_COLL_SCATTER:
		return a->counts ? sum(a->counts, a->n_ranks) : (size_t)a->n_ranks * a->count;
	case FR_COLL_ALLTOALL:
		if (!a->send_counts)
			return (size_t)a->n_ranks * a->count;
		sent = sum(a->send_counts, a->n_ranks);
		received = sum(a->recv_counts, a->n_ranks);
		return sent > received ? sent : received;
	case FR_COLL_BARRIER:
	case FR_N_COLLS:
		break;
	}
	return 0;
}

bool fr_coll_keeps_empty(const struct fr_coll_args *a)
{
	if (a->coll == FR_COLL_BARRIER)
		return false;
	/* Nobody knows all counts of alltoallv. */
	if (a->send_counts)
		return true;
	for (int r = 0; a->counts && r < a->n_ranks; r++)
		if (a->counts[r] == 0)
			return true;
	return !a->counts && a->count == 0;
}
