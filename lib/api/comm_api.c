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
#include "lib/comm/handle.h"
#include "lib/comm/report.h"
#include "lib/comm/user_memory.h"

/* Ends what enter() began; an error is also the communicator's. */
static ferrule_status_t leave(struct ferrule_comm *c, ferrule_status_t status)
{
	if (status != FERRULE_OK)
		fr_comm_refuse(c, status);
	fr_comm_leave(c);
	return status;
}

/* ---- creation ---- */

/* A communicator that has come to stand becomes the user's. */
static ferrule_status_t opened(ferrule_status_t status, struct ferrule_comm *const *c,
                               ferrule_comm_t *comm_out)
{
	if (status == FERRULE_OK)
		*comm_out = *c ? fr_comm_open(*c) : NULL;
	return status;
}

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
	struct ferrule_comm *c = NULL;

	return opened(fr_comm_create_id(id, rank, n_ranks, options, &c), &c, comm_out);
}

ferrule_status_t ferrule_comm_create_from_env(const struct ferrule_comm_options *options,
                                              ferrule_comm_t *comm_out)
{
	if (!comm_out)
		return fr_no_output("comm_out");
	struct ferrule_comm *c = NULL;

	return opened(fr_comm_create_env(options, &c), &c, comm_out);
}

/* Begins a call that makes a child. */
static ferrule_status_t enter_parent(ferrule_comm_t comm, const ferrule_comm_t *comm_out,
                                     struct ferrule_comm **out)
{
	const ferrule_status_t status = fr_comm_enter(comm, out);

	if (status != FERRULE_OK)
		return status;
	if (comm_out && fr_comm_is_ready(*out))
		return FERRULE_OK;
	return leave(*out, fr_comm_refuse_child(*out, comm_out ? fr_comm_not_ready(*out)
	                                                       : fr_no_output("comm_out")));
}

ferrule_status_t ferrule_comm_split(ferrule_comm_t comm, int color, int key,
                                    ferrule_comm_t *comm_out)
{
	struct ferrule_comm *c, *child = NULL;
	const ferrule_status_t status = enter_parent(comm, comm_out, &c);

	if (status != FERRULE_OK)
		return status;
	return leave(c, opened(fr_comm_split(c, color, key, &child), &child, comm_out));
}

ferrule_status_t ferrule_comm_dup(ferrule_comm_t comm, ferrule_comm_t *comm_out)
{
	struct ferrule_comm *c, *child = NULL;
	const ferrule_status_t status = enter_parent(comm, comm_out, &c);

	if (status != FERRULE_OK)
		return status;
	return leave(c, opened(fr_comm_dup(c, &child), &child, comm_out));
}

/* ---- the end ---- */

ferrule_status_t ferrule_comm_abort(ferrule_comm_t comm, const char *reason)
{
	struct ferrule_comm *c = fr_comm_visit(comm);
	char text[256];

	if (!c)
		return FERRULE_ERR_ARGUMENT;
	snprintf(text, sizeof(text), "rank %d aborted the communicator: %s", c->rank,
	         reason && reason[0] ? reason : "no reason given");
	fr_comm_abort(c, text);
	fr_comm_visited(c);
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
	struct ferrule_comm *c;
	ferrule_status_t status = fr_comm_enter(comm, &c);

	if (status != FERRULE_OK)
		return status;
	status = finalize(c);
	fr_comm_leave(c);
	return status;
}

ferrule_status_t ferrule_comm_destroy(ferrule_comm_t comm)
{
	struct ferrule_comm *c;
	enum fr_closed how;

	if (!comm)
		return FERRULE_OK;
	const ferrule_status_t status = fr_comm_close(comm, &c, &how);

	if (status != FERRULE_OK || how == FR_CLOSED_TORN)
		return status;
	fr_ops_orphan(c);
	if (how == FR_CLOSED_OURS)
		fr_comm_destroy(c);
	else
		fr_comm_discard(c);
	return FERRULE_OK;
}

/* ---- questions ---- */

int ferrule_comm_rank(ferrule_comm_t comm)
{
	const struct ferrule_comm *c = fr_comm_peek(comm);

	return c ? c->rank : -1;
}

int ferrule_comm_size(ferrule_comm_t comm)
{
	const struct ferrule_comm *c = fr_comm_peek(comm);

	return c ? c->n_ranks : -1;
}

int ferrule_comm_local_rank(ferrule_comm_t comm)
{
	const struct ferrule_comm *c = fr_comm_peek(comm);

	return c ? c->local_rank : -1;
}

int ferrule_comm_local_size(ferrule_comm_t comm)
{
	const struct ferrule_comm *c = fr_comm_peek(comm);

	return c ? c->local_size : -1;
}

const char *ferrule_comm_transport(ferrule_comm_t comm, int peer)
{
	struct ferrule_comm *c = fr_comm_visit(comm);
	const char *name = "unknown";

	if (!c)
		return name;
	if (peer >= 0 && peer < c->n_ranks)
		name = fr_comm_transport_name(c, peer);
	fr_comm_visited(c);
	return name;
}

ferrule_status_t ferrule_comm_status(ferrule_comm_t comm)
{
	struct ferrule_comm *c = fr_comm_visit(comm);

	if (!c)
		return FERRULE_ERR_ARGUMENT;
	const ferrule_status_t fault = atomic_load_explicit(&c->fault, memory_order_acquire);

	fr_comm_visited(c);
	return fault;
}

const char *ferrule_comm_error_text(ferrule_comm_t comm)
{
	const struct ferrule_comm *c = fr_comm_peek(comm);

	if (!c || fr_comm_is_forked(comm))
		return fr_error_text();
	/* Who is told to be too early must not write into what another thread works with. */
	if (fr_error_status() == FERRULE_ERR_BUSY &&
	    atomic_load_explicit(&c->fault, memory_order_acquire) == FERRULE_OK)
		return fr_error_text();
	return c->error_text;
}

ferrule_status_t ferrule_comm_get_stats(ferrule_comm_t comm, struct ferrule_comm_stats *stats)
{
	struct ferrule_comm *c;

	if (!stats)
		return fr_no_output("stats");
	if (stats->size != sizeof(*stats))
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "stats->size: %zu, must be sizeof(struct ferrule_comm_stats), %zu",
		                stats->size, sizeof(*stats));
	const ferrule_status_t status = fr_comm_enter(comm, &c);

	if (status != FERRULE_OK)
		return status;
	fr_comm_get_stats(c, stats);
	fr_comm_leave(c);
	return FERRULE_OK;
}

ferrule_status_t ferrule_comm_report(ferrule_comm_t comm, struct ferrule_comm_report *report)
{
	struct ferrule_comm *c;

	if (!report)
		return fr_no_output("report");
	if (report->size != sizeof(*report))
		return fr_error(
			FERRULE_ERR_ARGUMENT,
			"report->size: %zu, must be sizeof(struct ferrule_comm_report), %zu",
			report->size, sizeof(*report));
	const ferrule_status_t status = fr_comm_enter(comm, &c);

	if (status != FERRULE_OK)
		return status;
	fr_comm_report(c, report);
	fr_comm_leave(c);
	return FERRULE_OK;
}

ferrule_status_t ferrule_comm_path(ferrule_comm_t comm, int peer, char *text, size_t bytes)
{
	struct ferrule_comm *c;

	if (!text)
		return fr_no_output("text");
	if (bytes == 0)
		return fr_error(FERRULE_ERR_ARGUMENT, "bytes: 0, must be at least 1");
	ferrule_status_t status = fr_comm_enter(comm, &c);

	if (status != FERRULE_OK)
		return status;
	if (peer >= 0 && peer < c->n_ranks)
		fr_comm_path(c, peer, text, bytes);
	else
		status = fr_error(FERRULE_ERR_ARGUMENT, "peer: %d, must be from 0 to %d", peer,
		                  c->n_ranks - 1);
	return leave(c, status);
}

/* ---- ferrule/mem.h ---- */

/* Memory may also be had inside a group, which fr_comm_is_ready() says no to. */
static ferrule_status_t enter_usable(ferrule_comm_t comm, struct ferrule_comm **out)
{
	const ferrule_status_t status = fr_comm_enter(comm, out);

	if (status != FERRULE_OK)
		return status;
	const int state = atomic_load_explicit(&(*out)->state, memory_order_relaxed);

	if (state == FR_COMM_READY || state == FR_COMM_GROUP)
		return FERRULE_OK;
	return leave(*out, fr_comm_not_ready(*out));
}

ferrule_status_t ferrule_mem_alloc(ferrule_comm_t comm, size_t bytes, void **ptr_out)
{
	struct ferrule_comm *c;

	if (!ptr_out)
		return fr_no_output("ptr_out");
	const ferrule_status_t status = enter_usable(comm, &c);

	if (status != FERRULE_OK)
		return status;
	return leave(c, fr_user_memory_alloc(c, bytes, ptr_out));
}

ferrule_status_t ferrule_mem_free(ferrule_comm_t comm, void *ptr)
{
	struct ferrule_comm *c;

	if (!ptr)
		return FERRULE_OK;
	const ferrule_status_t status = fr_comm_enter(comm, &c);

	if (status != FERRULE_OK)
		return status;
	return leave(c, fr_user_memory_free(c, ptr));
}

ferrule_status_t ferrule_mem_register(ferrule_comm_t comm, void *ptr, size_t bytes)
{
	struct ferrule_comm *c;
	const ferrule_status_t status = enter_usable(comm, &c);

	if (status != FERRULE_OK)
		return status;
	return leave(c, fr_user_memory_register(c, ptr, bytes));
}

ferrule_status_t ferrule_mem_deregister(ferrule_comm_t comm, void *ptr)
{
	struct ferrule_comm *c;

	if (!ptr)
		return FERRULE_OK;
	const ferrule_status_t status = fr_comm_enter(comm, &c);

	if (status != FERRULE_OK)
		return status;
	return leave(c, fr_user_memory_deregister(c, ptr));
}
