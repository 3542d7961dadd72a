/*
 * verbs_api.c - libibverbs, opened when it is needed.
 *
 * Only its headers are used when Ferrule is built.  Each function is asked for in the version
 * that these headers describe, so that a later library with a newer default still gives what
 * this file was compiled for; a library without versions, as a stand-in is, is taken as it is.
 */
#include "config.h"

#include "lib/transport/verbs/verbs_api.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/settings.h"

/* What the header hides behind a macro or an inline function. */
struct hidden {
	int (*query_port)(struct ibv_context *, uint8_t, struct _compat_ibv_port_attr *);
	int (*query_gid_ex)(struct ibv_context *, uint32_t, uint32_t, struct ibv_gid_entry *,
	                    uint32_t, size_t);
};

/* The library, once it is open.  Written under the lock, never changed after. */
static struct library {
	bool is_tried;
	bool is_open;
	struct fr_verbs table;
	struct hidden hidden;
	char why[256];
} the_verbs;
static pthread_mutex_t the_verbs_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(const struct fr_verbs *) the_verbs_replacement;

/* ---- calls that are not plain symbols ---- */

/*
 * The exported ibv_query_port() fills an older, shorter structure.  Devices whose driver knows
 * the long one say so in their context, which is what the header's own macro looks at.
 */
static int query_port(struct ibv_context *context, uint8_t port, struct ibv_port_attr *attr)
{
	struct verbs_context *extended = verbs_get_ctx_op(context, query_port);

	memset(attr, 0, sizeof(*attr));
	if (extended)
		return extended->query_port(context, port, attr, sizeof(*attr));
	return the_verbs.hidden.query_port(context, port, (struct _compat_ibv_port_attr *)attr);
}

static int query_gid_ex(struct ibv_context *context, uint32_t port, uint32_t index,
                        struct ibv_gid_entry *entry, uint32_t flags)
{
	return the_verbs.hidden.query_gid_ex(context, port, index, entry, flags, sizeof(*entry));
}

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
	return qp->context->ops.post_send(qp, wr, bad);
}

static int post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
	return qp->context->ops.post_recv(qp, wr, bad);
}

static int poll_cq(struct ibv_cq *cq, int n, struct ibv_wc *wc)
{
	return cq->context->ops.poll_cq(cq, n, wc);
}

static int req_notify_cq(struct ibv_cq *cq, int solicited_only)
{
	return cq->context->ops.req_notify_cq(cq, solicited_only);
}

/* ---- finding functions ---- */

/* One exported function: where its address goes, and since which version it is what it is. */
struct symbol {
	const char *name, *version;
	size_t offset; /* in struct library */
	bool is_optional;
};
#define NEEDED(member, since)                                                        \
	{                                                                            \
		"ibv_" #member, since, offsetof(struct library, table.member), false \
	}
#define OPTIONAL(member, since)                                                     \
	{                                                                           \
		"ibv_" #member, since, offsetof(struct library, table.member), true \
	}
static const struct symbol symbols[] = {
	NEEDED(get_device_list, "IBVERBS_1.1"),
	NEEDED(free_device_list, "IBVERBS_1.1"),
	NEEDED(get_device_name, "IBVERBS_1.1"),
	NEEDED(open_device, "IBVERBS_1.1"),
	NEEDED(close_device, "IBVERBS_1.1"),
	NEEDED(query_device, "IBVERBS_1.1"),
	NEEDED(query_gid, "IBVERBS_1.1"),
	NEEDED(alloc_pd, "IBVERBS_1.1"),
	NEEDED(dealloc_pd, "IBVERBS_1.1"),
	NEEDED(reg_mr, "IBVERBS_1.1"),
	OPTIONAL(reg_mr_iova2, "IBVERBS_1.8"),
	OPTIONAL(reg_dmabuf_mr, "IBVERBS_1.12"),
	NEEDED(dereg_mr, "IBVERBS_1.1"),
	NEEDED(create_comp_channel, "IBVERBS_1.0"),
	NEEDED(destroy_comp_channel, "IBVERBS_1.0"),
	NEEDED(create_cq, "IBVERBS_1.1"),
	NEEDED(destroy_cq, "IBVERBS_1.1"),
	NEEDED(get_cq_event, "IBVERBS_1.1"),
	NEEDED(ack_cq_events, "IBVERBS_1.1"),
	NEEDED(create_qp, "IBVERBS_1.1"),
	NEEDED(modify_qp, "IBVERBS_1.1"),
	NEEDED(query_qp, "IBVERBS_1.1"),
	NEEDED(destroy_qp, "IBVERBS_1.1"),
	OPTIONAL(query_ece, "IBVERBS_1.10"),
	OPTIONAL(set_ece, "IBVERBS_1.10"),
	NEEDED(get_async_event, "IBVERBS_1.1"),
	NEEDED(ack_async_event, "IBVERBS_1.1"),
	OPTIONAL(fork_init, "IBVERBS_1.1"),
	OPTIONAL(is_fork_initialized, "IBVERBS_1.13"),
	{"ibv_query_port", "IBVERBS_1.1", offsetof(struct library, hidden.query_port), false},
	{"_ibv_query_gid_ex", "IBVERBS_1.11", offsetof(struct library, hidden.query_gid_ex), true},
};
#define N_SYMBOLS (sizeof(symbols) / sizeof(symbols[0]))

/* The name of the first function that is missing, or NULL. */
static const char *find_symbols(void *handle, struct library *l)
{
	for (size_t i = 0; i < N_SYMBOLS; i++) {
		const struct symbol *s = &symbols[i];
		void *address = dlvsym(handle, s->name, s->version);

		if (!address)
			address = dlsym(handle, s->name);
		if (!address && !s->is_optional)
			return s->name;
		memcpy((char *)l + s->offset, &address, sizeof(address));
	}
	return NULL;
}

/* The library stays loaded: drivers that it has loaded do not survive being unloaded. */
static void open_library(struct library *l)
{
	const char *file = fr_settings()->verbs_library;
	void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);

	l->is_tried = true;
	if (!handle) {
		snprintf(l->why, sizeof(l->why), "FERRULE_VERBS_LIBRARY=%s cannot be loaded: %s",
		         file, dlerror());
		return;
	}
	const char *missing = find_symbols(handle, l);
	if (missing) {
		snprintf(l->why, sizeof(l->why), "FERRULE_VERBS_LIBRARY=%s has no %s()", file,
		         missing);
		dlclose(handle);
		return;
	}
	l->table.query_port = query_port;
	l->table.query_gid_ex = l->hidden.query_gid_ex ? query_gid_ex : NULL;
	l->table.post_send = post_send;
	l->table.post_recv = post_recv;
	l->table.poll_cq = poll_cq;
	l->table.req_notify_cq = req_notify_cq;
	l->is_open = true;
	fr_verbs_fork_guard(&l->table);
}

bool fr_verbs_fork_guard(const struct fr_verbs *v)
{
	if (v->is_fork_initialized && v->is_fork_initialized() != IBV_FORK_DISABLED)
		return false;
	if (!v->fork_init)
		return false;
	const int rc = v->fork_init();
	if (rc != 0)
		fr_log(FR_LOG_INFO,
		       "ibv_fork_init: %s; a process that uses RDMA must not fork() on this kernel",
		       strerror(rc));
	return true;
}

const struct fr_verbs *fr_verbs_get(char *why, size_t why_bytes)
{
	const struct fr_verbs *found =
		atomic_load_explicit(&the_verbs_replacement, memory_order_acquire);

	if (found)
		return found;
	pthread_mutex_lock(&the_verbs_lock);
	if (!the_verbs.is_tried)
		open_library(&the_verbs);
	if (the_verbs.is_open)
		found = &the_verbs.table;
	else
		snprintf(why, why_bytes, "%s", the_verbs.why);
	pthread_mutex_unlock(&the_verbs_lock);
	return found;
}

void fr_verbs_replace(const struct fr_verbs *table)
{
	atomic_store_explicit(&the_verbs_replacement, table, memory_order_release);
}
