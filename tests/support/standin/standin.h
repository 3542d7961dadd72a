/*
 * standin.h - the stand-in device: verbs without RDMA hardware, kernel module or root.
 *
 * libstandin.so exports the functions of libibverbs and plays an RDMA device in user space, for
 * processes of one user on one host.  There are two ways in, one file:
 *
 *     run-on-standin.sh ib_write_lat ...             LD_PRELOAD under unmodified programs
 *     FERRULE_VERBS_LIBRARY=.../libstandin.so ...    opened by Ferrule itself
 *
 * Settings, all from the environment (standin_config.c has their text):
 *
 *     STANDIN_NAMESPACE=name   processes of one namespace see each other; default "0"
 *     STANDIN_DEVICES=n        devices a process sees, standin0 ...; default 1
 *     STANDIN_NODE=k           this process is on the k-th "host": it sees devices k*n .. k*n+n-1
 *     STANDIN_LINK=ib          InfiniBand instead of RoCE ports
 *     STANDIN_GBPS, STANDIN_LAT_NS   pace of a process's port; default none
 *     STANDIN_TIME_SCALE=x     multiplies ack timeouts and RNR timers; default 1
 *     STANDIN_KILL_AFTER=n[:status]  the n-th request of this process fails; default status 12
 *     STANDIN_SCRAMBLE=n       the last part of a payload is written n nanoseconds first
 *     STANDIN_SHARE=0          data moves by system calls only, see below
 *     STANDIN_DMABUF=0         ibv_reg_dmabuf_mr says EOPNOTSUPP
 *     STANDIN_MEMLOCK=bytes    registration beyond it says ENOMEM
 *     STANDIN_MAX_MSG=bytes    largest message; default 1 GiB
 *
 * Faults at run time come from a test by standin_control.h, from a shell by standin-ctl.
 *
 * Design
 *
 * What two processes must both see lies in one table in shared memory, a file in /dev/shm for
 * each user and namespace; this header is that table.  Whoever posts a send does the device's
 * work on the spot: it checks keys and rights of both sides, moves the bytes and writes both
 * completions.  What cannot be done now (receiver not ready, port down, no such peer, pacing) is
 * held in the queue pair's own process and tried again by that process's engine, a thread that
 * sleeps otherwise, and by its calls of poll_cq.  So nothing ever waits inside post_send.
 *
 * Bytes move by memcpy where the memory can be mapped here, else by process_vm_writev, which
 * costs a microsecond or three.  To make memory mappable, registering replaces its whole private
 * anonymous pages by shared pages of a memory file with the same contents, until they are
 * deregistered.  That is also what pins them: if the program unmaps them and maps others there,
 * requests go on into the old ones, as they do with hardware.  Memory for speed is therefore
 * registered in whole pages.  Left to system calls are the edges of other registrations, shared
 * memory and files, the stack, and what a userfaultfd watches.  Other threads should not write
 * to memory while it is being registered or deregistered.  A child that is forked gets copies.
 *
 * Locks in the table are robust mutexes, so a killed process leaves none held:
 *
 *     the table's `lock`       creation and removal
 *     queue pair's `arrival`   around a request that arrives there; whoever holds it consumes
 *                              receives.  Taken to be sure that nothing is in flight.
 *     event queue's `lock`     asynchronous events
 *
 * in this order, a process's own queue pair before all arrivals.  Completion queues have none,
 * since a process that was stopped, and not killed, must not stop others.  No two arrivals are
 * ever held at once.  Every process's engine holds its `alive` for as long as it lives; that is
 * how others learn of a death without a system call.
 *
 * The table is deleted by the last who leaves it; what was left by processes that were killed is
 * taken back by the next who opens it or stumbles over it.
 *
 * Stricter than Soft-RoCE, on purpose: send slots return only with a polled completion; limits
 * for inline data, elements, message size and MTU hold; keys, ranges, protection domains, access
 * flags, packet sequence numbers and the peer's state are checked; a violation is an event for
 * the responder; an overrun kills the completion queue.  Status codes are those of mlx5.
 *
 * Not there: UC, UD, XRC, shared receive queues, memory windows, extended completion queues, loss.
 */
#ifndef STANDIN_H
#define STANDIN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <infiniband/verbs.h>

#define STANDIN_VERSION     3
#define STANDIN_DEVICES_MAX 16
#define STANDIN_GIDS        2 /* link-local, IPv4-mapped */
#define STANDIN_PROCS       512
#define STANDIN_QPS         2048
#define STANDIN_CQS         1024
#define STANDIN_MRS         32768
#define STANDIN_QUEUES      1024
#define STANDIN_EVENTS      128
#define STANDIN_SGES        16
#define STANDIN_WR_MAX      16384
#define STANDIN_CQE_MAX     65536
#define STANDIN_INLINE_MAX  256
#define STANDIN_ARENA_PAGES 131072
#define STANDIN_PAGE        4096
#define STANDIN_NONE        0xffffffffu

enum standin_port_mode {
	STANDIN_PORT_UP,
	STANDIN_PORT_DOWN,   /* requests go unanswered until it is up again */
	STANDIN_PORT_SILENT, /* as Soft-RoCE: a queue pair that met it never completes again */
};

enum standin_gid_mode {
	STANDIN_GID_PRESENT,
	STANDIN_GID_REMOVED, /* not in the table; a queue pair that uses it hangs for good */
	STANDIN_GID_DEAD,    /* in the table, but nothing gets through: no answer */
};

struct standin_gid {
	uint8_t raw[16];
	_Atomic uint32_t mode; /* enum standin_gid_mode */
};

struct standin_device {
	_Atomic uint32_t
		trouble;       /* not 0: something below is not as usual; one look in good days */
	_Atomic uint32_t port; /* enum standin_port_mode */
	_Atomic uint32_t blocked;   /* bit i: nothing gets from here to device i */
	_Atomic int64_t kill_after; /* requests left until one fails; negative: never */
	_Atomic uint32_t kill_status;
	struct standin_gid gids[STANDIN_GIDS];
};

enum standin_sleep {
	STANDIN_AWAKE,
	STANDIN_ASLEEP,
	STANDIN_DOZING, /* for a millisecond at most: only who does not poll is worth waking */
};

/* A process that uses the table. */
struct standin_proc {
	_Alignas(64) _Atomic uint32_t pid; /* 0: free */
	_Atomic uint32_t is_dead;
	int pin_fd;            /* its number of the memory file there, for /proc/PID/fd */
	pthread_mutex_t alive; /* held by its engine */
	_Alignas(64) _Atomic uint32_t wake; /* futex of its engine: counts the kicks */
	_Atomic uint32_t sleep;             /* enum standin_sleep */
	_Atomic uint32_t attention;         /* kicks that the process has not looked after yet */
	_Atomic uint32_t is_polling; /* it does so itself, since it polls; cleared by the engine */
	_Atomic uint32_t n_contexts, n_pds, n_mrs, n_cqs, n_qps;
};

/* Follows in the arena for each receive that a queue pair may hold. */
struct standin_recv {
	uint64_t wr_id;
	uint32_t n_sge, zero;
	struct ibv_sge sge[];
};

struct standin_qp {
	_Alignas(64) _Atomic uint32_t number; /* 0: free; the slot is its remainder */
	_Atomic uint32_t state;               /* enum ibv_qp_state */
	_Atomic uint32_t access;              /* IBV_ACCESS_REMOTE_* */
	_Atomic uint32_t must_flush;          /* failed by another: the owner's engine flushes */
	uint32_t owner, device, pd, send_cq, recv_cq, async; /* slots */
	uint32_t peer_number, rq_psn, sq_psn;
	uint32_t peer_device; /* as found by address; STANDIN_NONE: nowhere */
	uint8_t path_mtu, min_rnr_timer, max_dest_rd, sgid, dgid_index;
	uint8_t dgid[16];
	uint16_t dlid;
	uint32_t rq_limit, rq_mask, rq_stride, rq_pages;
	uint64_t rq_offset;
	pthread_mutex_t arrival;
	_Alignas(64) _Atomic uint32_t rq_tail; /* written by the owner */
	_Atomic uint32_t waiter;               /* slot + 1 of a process that waits for a receive */
	_Alignas(64) _Atomic uint32_t rq_head; /* written under `arrival` */
};

enum standin_phase { STANDIN_FREE, STANDIN_CLAIMED, STANDIN_READY };

/* A place for one completion; see standin_cq.c for its life. */
struct standin_cell {
	_Atomic uint64_t state; /* position << 32 | process slot << 2 | enum standin_phase */
	struct ibv_wc wc;
	uint32_t sq_position; /* of a send: its slots up to here are free once polled */
	uint32_t is_send;
};

struct standin_cq {
	_Alignas(64) _Atomic uint32_t number; /* 0: free */
	_Atomic uint32_t is_dead;             /* overrun */
	uint32_t owner, async, channel;       /* channel: STANDIN_NONE without one */
	uint32_t limit, mask, pages;
	uint64_t offset;
	_Alignas(64) _Atomic uint32_t tail; /* behind the last that was announced */
	_Alignas(64) _Atomic uint32_t head; /* written by the owner */
	_Atomic uint32_t armed;             /* 1: for solicited and errors; 2: for any */
	_Atomic uint32_t n_events;          /* for the channel, not fetched yet */
};

struct standin_mr {
	_Atomic uint32_t key; /* 0: free */
	uint32_t owner, pd, access;
	uint64_t iova, bytes, addr; /* addr: in the owner's memory */
	/* [addr + begin, addr + end) is at file_at of the owner's descriptor fd; begin == end: no
	 * part of it is. */
	uint64_t begin, end, file_at;
	int fd;
};

/* What makes the descriptor of a context or a completion channel readable: the socket `name`
 * (abstract, datagrams).  A datagram is but a bell; what happened to a context is here, and to a
 * channel in its completion queues, so that nothing is lost with a bell. */
struct standin_event {
	uint32_t type;         /* enum ibv_event_type */
	uint32_t slot, number; /* of the object; number 0: the port */
};

struct standin_queue {
	_Atomic uint32_t is_used;
	uint32_t owner, device; /* device: STANDIN_NONE for a channel */
	pthread_mutex_t lock;
	uint32_t head, tail;
	struct standin_event events[STANDIN_EVENTS];
	char name[40];
};

struct standin_table {
	uint32_t version;
	uint32_t bytes_of_table;
	pthread_mutex_t lock;
	pthread_mutex_t atomics; /* FETCH_ADD and CMP_SWP are atomic to each other */
	uint32_t next_qp, next_cq, next_key, next_pd, next_queue; /* under `lock` */
	struct standin_device devices[STANDIN_DEVICES_MAX];
	struct standin_proc procs[STANDIN_PROCS];
	struct standin_qp qps[STANDIN_QPS];
	struct standin_cq cqs[STANDIN_CQS];
	struct standin_mr mrs[STANDIN_MRS];
	struct standin_queue queues[STANDIN_QUEUES];
	uint8_t arena_map[STANDIN_ARENA_PAGES]; /* 1: page is in use; under `lock` */
	_Alignas(4096) unsigned char arena[];
};

/* ---- standin_table.c: in the library and in programs that control it ---- */

/*
 * standin_table_open - maps the namespace's table, made anew when no one lives in it; fd_out
 * holds the share in it.  NULL and errno on failure.
 */
struct standin_table *standin_table_open(const char *name, int *fd_out);
void standin_table_close(struct standin_table *t, const char *name, int fd);
/* standin_table_leave - the same, but the mapping stays: for a process that exits. */
void standin_table_leave(const char *name, int fd);

/* standin_lock - locks a robust mutex; a dead holder is as good as one that unlocked. */
void standin_lock(pthread_mutex_t *m);
/* standin_lock_patiently - the same, but a holder that was stopped is not waited for for ever:
 * false after two seconds or some more. */
bool standin_lock_patiently(pthread_mutex_t *m);
void standin_unlock(pthread_mutex_t *m);
void standin_mutex_init(pthread_mutex_t *m);

/* standin_arena_get - `pages` pages, under the table's lock; UINT64_MAX when there is no room. */
uint64_t standin_arena_get(struct standin_table *t, uint32_t pages);
void standin_arena_put(struct standin_table *t, uint64_t offset, uint32_t pages);

/* standin_proc_is_alive - a memory access, no system call. */
bool standin_proc_is_alive(struct standin_proc *p);
/* standin_reclaim - frees all that dead processes left. */
void standin_reclaim(struct standin_table *t);
/* standin_proc_release - frees all that the process in `slot` has, and the slot. */
void standin_proc_release(struct standin_table *t, uint32_t slot);
/* standin_kick - the process shall look after its queue pairs. */
void standin_kick(struct standin_table *t, uint32_t slot);

/* ---- standin_queue.c: the same ---- */

uint32_t standin_queue_create(struct standin_table *t, uint32_t owner, uint32_t device,
                              int *fd_out);
void standin_queue_destroy(struct standin_table *t, uint32_t queue, int fd);
void standin_queue_push(struct standin_table *t, uint32_t queue, struct standin_event event);
/* standin_queue_pop - the oldest; waits as the descriptor says.  0, or -1 and errno. */
int standin_queue_pop(struct standin_table *t, uint32_t queue, int fd, struct standin_event *out);
/* standin_queue_ring - makes the descriptor readable. */
void standin_queue_ring(struct standin_table *t, uint32_t queue);
/* standin_port_event - for every context that has the device open. */
void standin_port_event(struct standin_table *t, uint32_t device, enum ibv_event_type type);

/* standin_qp_fail - queue pair to ERR from outside; its owner's engine flushes it. */
void standin_qp_fail(struct standin_table *t, struct standin_qp *q);

#endif
