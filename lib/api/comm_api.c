/* ferrule/comm.h and ferrule/mem.h: arguments are checked, the communicator is taken, lib/comm
 * does the work. */
#include "config.h"

#include <ferrule/comm.h>
#include <ferrule/mem.h>

#include <stdio.h>
#include <string.h>

#include "lib/api/check.h"
#include "lib/api/op.h"
#include "lib/base/error.h"
#include "lib/base/settings.h"
#include "lib/comm/boot.h"
#include "lib/comm/report.h"
#include "lib/comm/user_memory.h"

static ferrule_status_t enter(struct ferrule_comm *c)
{
	return c ? fr_comm_enter(c) : fr_no_comm();
}

/* Ends what enter() began; an error is also the communicator's. */
static ferrule_status_t leave(struct ferrule_comm *c, ferrule_status_t status)
{
	if (status != FERRULE_OK)
		fr_comm_refuse(c, status);
	fr_comm_leave(c);
	return status;
}

/* ---- creation ---- */

ferrule_status_t ferrule_unique_id_create(ferrule_unique_id_t *id_out)
{
	if (!id_out)
		return fr_no_output("id_out");
	const ferrule_status_t status = fr_settings_load();

	return status == FERRULE_OK ? fr_boot_new_id(id_out) : status;
}

ferrule_status_t ferrule_comm_create(const ferrule_unique_id_t *id, int rank, int n_ranks,
                                     const struct ferrule_comm_options *options,
                                     ferrule_comm_t *comm_out)
{
	if (!id)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "id: NULL, must be made by ferrule_unique_id_create()");
	if (!comm_out)
		return fr_no_output("comm_out");
	if (n_ranks < 1)
		return fr_error(FERRULE_ERR_ARGUMENT, "n_ranks: %d, must be at least 1", n_ranks);
	if (rank < 0 || rank >= n_ranks)
		return fr_error(FERRULE_ERR_ARGUMENT, "rank: %d, must be from 0 to %d", rank,
		                n_ranks - 1);
	return fr_comm_create_id(id, rank, n_ranks, options, comm_out);
}

ferrule_status_t ferrule_comm_create_from_env(const struct ferrule_comm_options *options,
                                              ferrule_comm_t *comm_out)
{
	if (!comm_out)
		return fr_no_output("comm_out");
	return fr_comm_create_env(options, comm_out);
}

/* Begins a call that makes a child. */
static ferrule_status_t enter_parent(struct ferrule_comm *c, ferrule_comm_t *comm_out)
{
	if (!c)
		return fr_no_comm();
	if (!comm_out)
		return fr_no_output("comm_out");
	const ferrule_status_t status = fr_comm_enter(c);

	if (status != FERRULE_OK || fr_comm_is_ready(c))
		return status;
	return leave(c, fr_comm_not_ready(c));
}

ferrule_status_t ferrule_comm_split(ferrule_comm_t comm, int color, int key,
                                    ferrule_comm_t *comm_out)
{
	const ferrule_status_t status = enter_parent(comm, comm_out);

	if (status != FERRULE_OK)
		return status;
	return leave(comm, fr_comm_split(comm, color, key, comm_out));
}

ferrule_status_t ferrule_comm_dup(ferrule_comm_t comm, ferrule_comm_t *comm_out)
{
	const ferrule_status_t status = enter_parent(comm, comm_out);

	if (status != FERRULE_OK)
		return status;
	return leave(comm, fr_comm_dup(comm, comm_out));
}

/* ---- the end ---- */

ferrule_status_t ferrule_comm_abort(ferrule_comm_t comm, const char *reason)
{
	char text[256];

	if (!comm)
		return fr_no_comm();
	snprintf(text, sizeof(text), "rank %d aborted the communicator: %s", comm->rank,
	         reason && reason[0] ? reason : "no reason given");
	fr_comm_abort(comm, text);
	return FERRULE_OK;
}

static ferrule_status_t finalize(struct ferrule_comm *c)
{
	ferrule_status_t status;

	if (!fr_comm_is_ready(c))
		return fr_comm_not_ready(c);
	status = fr_ops_finish(c);
	if (status == FERRULE_OK)
		status = fr_comm_barrier(c);
	if (status == FERRULE_OK)
		atomic_store_explicit(&c->state, FR_COMM_FINALIZED, memory_order_relaxed);
	return status;
}

ferrule_status_t ferrule_comm_finalize(ferrule_comm_t comm)
{
	ferrule_status_t status = enter(comm);

	if (status != FERRULE_OK)
		return status;
	status = finalize(comm);
	fr_comm_leave(comm);
	return status;
}

void ferrule_comm_destroy(ferrule_comm_t comm)
{
	if (!comm)
		return;
	fr_ops_orphan(comm);
	fr_comm_destroy(comm);
}

/* ---- questions ---- */

int ferrule_comm_rank(ferrule_comm_t comm)
{
	return comm ? comm->rank : -1;
}

int ferrule_comm_size(ferrule_comm_t comm)
{
	return comm ? comm->n_ranks : -1;
}

int ferrule_comm_local_rank(ferrule_comm_t comm)
{
	return comm ? comm->local_rank : -1;
}

int ferrule_comm_local_size(ferrule_comm_t comm)
{
	return comm ? comm->local_size : -1;
}

const char *ferrule_comm_transport(ferrule_comm_t comm, int peer)
{
	if (!comm || peer < 0 || peer >= comm->n_ranks)
		return "unknown";
	return fr_comm_transport_name(comm, peer);
}

ferrule_status_t ferrule_comm_status(ferrule_comm_t comm)
{
	if (!comm)
		return fr_no_comm();
	return atomic_load_explicit(&comm->fault, memory_order_acquire);
}

const char *ferrule_comm_error_text(ferrule_comm_t comm)
{
	return comm ? comm->error_text : fr_error_text();
}

ferrule_status_t ferrule_comm_get_stats(ferrule_comm_t comm, struct ferrule_comm_stats *stats)
{
	if (!comm)
		return fr_no_comm();
	if (!stats)
		return fr_no_output("stats");
	if (stats->size != sizeof(*stats))
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "stats->size: %zu, must be sizeof(struct ferrule_comm_stats), %zu",
		                stats->size, sizeof(*stats));
	const ferrule_status_t status = fr_comm_enter(comm);

	if (status != FERRULE_OK)
		return status;
	fr_comm_get_stats(comm, stats);
	fr_comm_leave(comm);
	return FERRULE_OK;
}

ferrule_status_t ferrule_comm_report(ferrule_comm_t comm, struct ferrule_comm_report *report)
{
	if (!comm)
		return fr_no_comm();
	if (!report)
		return fr_no_output("report");
	if (report->size != sizeof(*report))
		return fr_error(
			FERRULE_ERR_ARGUMENT,
			"report->size: %zu, must be sizeof(struct ferrule_comm_report), %zu",
			report->size, sizeof(*report));
	const ferrule_status_t status = fr_comm_enter(comm);

	if (status != FERRULE_OK)
		return status;
	fr_comm_report(comm, report);
	fr_comm_leave(comm);
	return FERRULE_OK;
}

ferrule_status_t ferrule_comm_path(ferrule_comm_t comm, int peer, char *text, size_t bytes)
{
	if (!comm)
		return fr_no_comm();
	if (!text)
		return fr_no_output("text");
	if (bytes == 0)
		return fr_error(FERRULE_ERR_ARGUMENT, "bytes: 0, must be at least 1");
	if (peer < 0 || peer >= comm->n_ranks)
		return fr_error(FERRULE_ERR_ARGUMENT, "peer: %d, must be from 0 to %d", peer,
		                comm->n_ranks - 1);
	const ferrule_status_t status = fr_comm_enter(comm);

	if (status != FERRULE_OK)
		return status;
	fr_comm_path(comm, peer, text, bytes);
	fr_comm_leave(comm);
	return FERRULE_OK;
}

/* ---- ferrule/mem.h ---- */

/* Memory may also be had inside a group, which fr_comm_is_ready() says no to. */
static ferrule_status_t enter_usable(struct ferrule_comm *c)
{
	const ferrule_status_t status = enter(c);

	if (status != FERRULE_OK)
		return status;
	const int state = atomic_load_explicit(&c->state, memory_order_relaxed);

	if (state == FR_COMM_READY || state == FR_COMM_GROUP)
		return FERRULE_OK;
	return leave(c, fr_comm_not_ready(c));
}

ferrule_status_t ferrule_mem_alloc(ferrule_comm_t comm, size_t bytes, void **ptr_out)
{
	if (!comm)
		return fr_no_comm();
	if (!ptr_out)
		return fr_no_output("ptr_out");
	const ferrule_status_t status = enter_usable(comm);

	if (status != FERRULE_OK)
		return status;
	return leave(comm, fr_user_memory_alloc(comm, bytes, ptr_out));
}

ferrule_status_t ferrule_mem_free(ferrule_comm_t comm, void *ptr)
{
	if (!ptr)
		return FERRULE_OK;
	const ferrule_status_t status = enter(comm);

	if (status != FERRULE_OK)
		return status;
	return leave(comm, fr_user_memory_free(comm, ptr));
}

ferrule_status_t ferrule_mem_register(ferrule_comm_t comm, void *ptr, size_t bytes)
{
	const ferrule_status_t status = enter_usable(comm);

	if (status != FERRULE_OK)
		return status;
	return leave(comm, fr_user_memory_register(comm, ptr, bytes));
}

ferrule_status_t ferrule_mem_deregister(ferrule_comm_t comm, void *ptr)
{
	if (!ptr)
		return FERRULE_OK;
	const ferrule_status_t status = enter(comm);

	if (status != FERRULE_OK)
		return status;
	return leave(comm, fr_user_memory_deregister(comm, ptr));
}
