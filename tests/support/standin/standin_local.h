/*
 * standin_local.h - what each process of the stand-in device keeps to itself.
 *
 * A handle that the program holds (struct ibv_qp and so on) is the first member of a struct here,
 * which leads to its slot in the shared table.
 */
#ifndef STANDIN_LOCAL_H
#define STANDIN_LOCAL_H

#include "tests/support/standin/standin.h"

#define STANDIN_HOLES  32
#define STANDIN_EXPORT __attribute__((visibility("default")))

/* Read from the environment when the first device is asked for. */
struct standin_config {
	char space[64];
	uint32_t n_devices, first_device;
	bool is_infiniband, has_dmabuf, is_sharing;
	uint64_t gbps, lat_ns, scramble_ns, max_msg, memlock;
	double time_scale;
	uint32_t kill_status;
};

struct standin_context {
	struct verbs_context verbs; /* its last member is the struct ibv_context */
	uint32_t device, queue;
	uint32_t n_objects;
};

struct standin_pd {
	struct ibv_pd pd;
	_Atomic uint32_t n_users;
};

struct standin_channel {
	struct ibv_comp_channel channel;
	uint32_t queue;
};

struct standin_local_cq {
	struct ibv_cq cq;
	uint32_t slot;
	struct standin_cq *shared;
	struct standin_cell *cells;
	pthread_mutex_t lock; /* of polling, and of the three below */
	uint32_t head;
	uint32_t n_holes, holes[STANDIN_HOLES]; /* positions that were claimed when passed */
	_Atomic uint32_t n_users;
	uint32_t n_events, n_async; /* delivered; under the handle's mutex */
};

struct standin_local_mr {
	struct ibv_mr mr;
	uint32_t slot;
	void *mapped; /* of a dma-buf registration */
	size_t mapped_bytes;
	int fd; /* the same; else -1 */
};

/* A send request on its way. */
struct standin_request {
	uint64_t wr_id;
	enum ibv_wr_opcode opcode;
	unsigned flags;
	uint32_t imm, rkey;
	uint64_t remote, compare_add, swap, bytes;
	uint64_t due;      /* pacing: not before; 0: now */
	uint32_t position; /* its number among all of its queue pair */
	uint32_t n_sge;
	const struct ibv_sge *sge;
};

/* Why the oldest held request waits. */
enum standin_wait {
	STANDIN_WAIT_NOT,   /* not tried yet */
	STANDIN_WAIT_ACK,   /* no answer: counts against retry_cnt */
	STANDIN_WAIT_RNR,   /* receiver not ready: against rnr_retry */
	STANDIN_WAIT_STUCK, /* for good */
};

struct standin_batch;

struct standin_local_qp {
	union {
		struct ibv_qp qp;
		struct ibv_qp_ex ex; /* begins with the same */
	};
	struct standin_batch *batch; /* NULL: made without ibv_wr_* */
	uint32_t slot, number, n_async;
	struct standin_qp *shared;
	struct standin_local_qp *next; /* of this process */
	struct standin_local_cq *send_cq, *recv_cq;
	struct ibv_qp_cap cap;
	struct ibv_qp_attr attr; /* as last modified */
	bool all_signalled;
	pthread_mutex_t send_lock, recv_lock;
	/* Below under send_lock. */
	uint32_t posted;
	_Atomic uint32_t done; /* slots up to here are free */
	uint32_t held_head, held_tail, held_mask;
	struct standin_request *held;
	struct ibv_sge *held_sge;   /* cap.max_send_sge for each */
	unsigned char *held_inline; /* cap.max_inline_data for each */
	enum standin_wait wait;
	uint32_t tries;
	uint64_t next_try, rnr_until;
};

struct standin_self {
	struct standin_table *table;
	bool is_open;            /* of a forked child: not any more, though it is mapped */
	struct standin_proc *me; /* never NULL */
	struct standin_config config;
	int fd;
	_Atomic uint32_t slot; /* STANDIN_NONE: no engine yet */
	int pid;
	pthread_mutex_t objects;                   /* of the two below, and of coming and going */
	struct standin_local_qp *qps[STANDIN_QPS]; /* by slot */
	struct standin_local_qp *all_qps;          /* the same as a list */
	struct standin_local_cq *cqs[STANDIN_CQS];
	_Atomic uint32_t n_held; /* requests held by all queue pairs */
	_Atomic int64_t kill_after;
	_Atomic uint64_t pinned_bytes;
	_Atomic uint64_t port_busy[STANDIN_DEVICES_MAX]; /* pacing: until then, ns */
};
extern struct standin_self standin_self;

/* ---- standin_process.c ---- */

/* standin_begin - opens the table; standin_join - and takes part in it.  0, or -1 and errno. */
int standin_begin(void);
int standin_join(void);
uint64_t standin_now_ns(void);

/* ---- standin_config.c ---- */

void standin_config_read(struct standin_config *c, _Atomic int64_t *kill_after);

/* ---- standin_channel.c ---- */

/* standin_acked - waits until all `n` events about an object are acknowledged, as its destroy
 * function must; gives up with EBUSY after ten seconds. */
int standin_acked(pthread_mutex_t *m, pthread_cond_t *c, const uint32_t *delivered,
                  const uint32_t *acked);

/* ---- standin_cq.c ---- */

int standin_poll_cq(struct ibv_cq *cq, int n, struct ibv_wc *wc);
int standin_req_notify_cq(struct ibv_cq *cq, int solicited_only);
/* standin_cq_push - from any process. */
void standin_cq_push(struct standin_table *t, uint32_t cq, const struct standin_cell *cell,
                     bool is_solicited);

/* ---- standin_mr.c ---- */

/*
 * standin_mr_find - the registration behind a key of process `owner`'s domain `pd`, when
 * [at, at + bytes) lies in it and it has all of `access`; else NULL.  address_out: in the
 * owner's memory.
 */
struct standin_mr *standin_mr_find(uint32_t key, const struct standin_qp *of, uint32_t access,
                                   const struct ibv_sge *range, uint64_t bytes,
                                   uint64_t *address_out);

/* ---- standin_post.c ---- */

int standin_post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad);
int standin_post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad);
/* standin_flush - with send_lock held: everything posted comes back with an error. */
void standin_flush(struct standin_local_qp *q);
/* standin_progress - tries what is held; returns when to look again, UINT64_MAX: when kicked. */
uint64_t standin_progress(struct standin_local_qp *q);
/* standin_forget - queue pair to RESET: drops what is posted. */
void standin_forget(struct standin_local_qp *q);
/* standin_progress_all - for the engine and for polling; as standin_progress(). */
uint64_t standin_progress_all(bool may_wait);

/* ---- standin_wr.c ---- */

struct ibv_qp *standin_create_qp_ex(struct ibv_context *context, struct ibv_qp_init_attr_ex *attr);
void standin_batch_destroy(struct standin_batch *b);

/* ---- standin_move.c ---- */

enum standin_outcome {
	STANDIN_DONE,
	STANDIN_FAILED,
	STANDIN_NO_ANSWER,
	STANDIN_NOT_READY,
	STANDIN_STUCK,
};
/* standin_execute - one attempt at the request; status_out when it failed. */
enum standin_outcome standin_execute(struct standin_local_qp *q, const struct standin_request *r,
                                     enum ibv_wc_status *status_out);

/* ---- standin_reach.c ---- */

/* A stretch of one process's memory. */
struct standin_span {
	const struct standin_mr *mr; /* NULL: this process's, by address alone */
	uint64_t address, bytes;
};
/* standin_copy - all bytes of `from` to `to`; one of the two sides is this process's own.
 * false: memory is gone. */
bool standin_copy(const struct standin_span *to, const struct standin_span *from, uint64_t bytes);

/* standin_reach_begin - once, before the first copy. */
void standin_reach_begin(void);
/* standin_reach_after_fork - in the child. */
void standin_reach_after_fork(void);

/* ---- standin_fault.c ---- */

/* standin_resolve - finds the device that the queue pair's peer address belongs to. */
void standin_resolve(struct standin_qp *q);
/* standin_route - is the way from here to the peer open?  STANDIN_DONE when it is. */
enum standin_outcome standin_route(struct standin_local_qp *q, struct standin_qp **peer_out);
/* standin_is_killed - takes one off the counts; true: this request fails with *status_out. */
bool standin_is_killed(const struct standin_local_qp *q, enum ibv_wc_status *status_out);

#endif
