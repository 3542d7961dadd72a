#include "config.h"

#include "lib/comm/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/comm/boot.h"
#include "lib/comm/comm.h"

ferrule_status_t fr_exchange_refused(const struct fr_exchange *ex, ferrule_status_t status)
{
	const struct fr_request r = {.coll = FR_COLL_ALLGATHER, .op = FR_OP_NONE, .root = -1};

	return ex->parent ? fr_comm_tell(ex->parent, &r, status) : status;
}

static ferrule_status_t allgather_in_parent(const struct fr_exchange *ex, const void *in, void *out,
                                            size_t bytes)
{
	const size_t total = bytes * (size_t)ex->parent->n_ranks;
	unsigned char *all = malloc(total);
	if (!all)
		return fr_exchange_refused(ex,
		                           fr_error(FERRULE_ERR_NO_MEMORY,
		                                    "no %zu bytes to exchange addresses", total));
	const ferrule_status_t status = fr_comm_allgather(ex->parent, in, all, bytes, ex->called);
	if (status == FERRULE_OK)
		for (int r = 0; r < ex->n_ranks; r++)
			memcpy((unsigned char *)out + (size_t)r * bytes,
			       all + (size_t)ex->members[r] * bytes, bytes);
	free(all);
	return status;
}

ferrule_status_t fr_exchange_allgather(const struct fr_exchange *ex, const void *in, void *out,
                                       size_t bytes)
{
	if (ex->parent)
		return allgather_in_parent(ex, in, out, bytes);
	return fr_boot_allgather(ex->boot, in, out, bytes, ex->deadline_ns);
}
