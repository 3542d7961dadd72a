/*
 * t_standin.h - the kit of the stand-in's tests: its functions by name, and ends of a
 * connection with everything they need.
 *
 * Cases run in processes of their own (t_standin_run), which open the library themselves, so that
 * each has the environment it set.
 */
#ifndef T_STANDIN_H
#define T_STANDIN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <infiniband/verbs.h>
#include <CUnit/CUnit.h>

#include "tests/support/standin/standin_control.h"

#undef ibv_reg_mr
#undef ibv_reg_mr_iova
#undef ibv_query_port

/* The functions of the library. */
#define T_VERBS_MAP(X)          \
	X(get_device_list)      \
	X(free_device_list)     \
	X(get_device_name)      \
	X(open_device)          \
	X(close_device)         \
	X(query_device)         \
	X(query_port)           \
	X(query_gid)            \
	X(alloc_pd)             \
	X(dealloc_pd)           \
	X(reg_mr)               \
	X(reg_mr_iova2)         \
	X(reg_dmabuf_mr)        \
	X(dereg_mr)             \
	X(create_comp_channel)  \
	X(destroy_comp_channel) \
	X(create_cq)            \
	X(destroy_cq)           \
	X(get_cq_event)         \
	X(ack_cq_events)        \
	X(create_qp)            \
	X(modify_qp)            \
	X(query_qp)             \
	X(destroy_qp)           \
	X(get_async_event)      \
	X(ack_async_event)

struct t_verbs {
#define T_VERBS_MEMBER(name) __typeof__(&ibv_##name) name;
	T_VERBS_MAP(T_VERBS_MEMBER)
#undef T_VERBS_MEMBER
};
extern struct t_verbs v;

/* An assertion that a forked process prints, since CUnit there has no one to tell. */
#define T_CHECK(condition) t_check((condition), #condition, __FILE__, __LINE__)
bool t_check(bool is_true, const char *text, const char *file, int line);

/* One end of a connection, as wanted; 0 is a default that suits most. */
struct t_options {
	int device, node_gid; /* GID index; default 1, -1 is 0 */
	int send_wr, recv_wr, cqe, mtu, timeout, retry_cnt, rnr_retry;
	int access; /* of the memory and the queue pair */
	size_t bytes;
	bool has_channel, has_one_cq, is_rnr_zero, is_retry_zero;
};

/* What the other end must know. */
struct t_card {
	uint32_t qp_num, psn, rkey;
	uint64_t address;
	union ibv_gid gid;
};

struct t_end {
	struct t_options o;
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_comp_channel *channel;
	struct ibv_cq *send_cq, *recv_cq;
	struct ibv_qp *qp;
	struct ibv_mr *mr;
	unsigned char *memory; /* o.bytes, page aligned */
	uint32_t psn;
	struct t_card card; /* of this end, as t_open() left it */
};

/* t_standin_run - a case as n processes, with the names and values set in their environment;
 * fn's checks count.  `expected` deaths of ranks are not failures: a bit for each. */
void t_standin_run(int n, int (*fn)(int rank, int n, void *arg), unsigned expected,
                   const char *const *environment);
/* t_standin_pair - a case as one process with two connected ends, which it need not close. */
void t_standin_pair(void (*fn)(struct t_end *a, struct t_end *b), const struct t_options *o,
                    const char *const *environment);
/* t_swap - gives the other of two ranks `mine` and gets its. */
void t_swap(int rank, const void *mine, void *theirs, size_t bytes);
void t_meet(int rank);
struct standin_control *t_control(void);

/* t_open - makes all of it, the queue pair in INIT; t_close - the reverse, all must succeed. */
void t_open(struct t_end *e, const struct t_options *o);
void t_close(struct t_end *e);
/* t_card - anew, where the end was changed by hand. */
void t_card(const struct t_end *e, struct t_card *out);
int t_to_init(struct t_end *e);
int t_to_rtr(struct t_end *e, const struct t_card *peer);
int t_to_rts(struct t_end *e);
/* t_pair - two ends in this process, connected. */
void t_pair(struct t_end *a, struct t_end *b, const struct t_options *o);
/* t_connect - this rank's end with the other rank's. */
void t_connect(struct t_end *e, int rank, const struct t_options *o, struct t_card *peer);

/* t_send - a request for `bytes` at `at` of this end's memory, to or from the same place of the
 * peer's.  Returns what post_send does; wr_id is `at`. */
int t_send(struct t_end *e, enum ibv_wr_opcode op, unsigned flags, size_t at, size_t bytes,
           const struct t_card *peer);
int t_recv(struct t_end *e, size_t at, size_t bytes);
/* t_wait - one completion, or false after so many seconds. */
bool t_wait(struct ibv_cq *cq, double seconds, struct ibv_wc *out);
/* t_status - the next completion's status; -1 when none came in five seconds. */
int t_status(struct ibv_cq *cq);
/* t_event - the next asynchronous event within two seconds, acknowledged; -1: none. */
int t_event(struct t_end *e);
enum ibv_qp_state t_state(struct t_end *e);
double t_now(void);

#endif
