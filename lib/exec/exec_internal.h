/*
 * exec_internal.h - what the files of this room share.
 *
 *   exec.c        create, destroy, faults, starting and finishing runs
 *   exec_plan.c   a schedule becomes a plan: bytes, gates, lanes, forwarding
 *   exec_step.c   one piece of one step: messages and local work
 *   exec_board.c  publications: the store and the poll
 *   exec_wait.c   the waiting ladder, the slow look at peers, error texts
 *   exec_refuse.c calls that one rank refuses while others are in them
 *   exec_blame.c  whom a wait is for, and who is to blame for it
 */
#ifndef FR_EXEC_INTERNAL_H
#define FR_EXEC_INTERNAL_H

#include <stdatomic.h>

#include "kernels/kernels.h"
#include "lib/exec/exec.h"

/*
 * A gate: step B conflicts with the earlier step A over some bytes, and may touch those only
 * where A is through with them.  Both run from the first byte to the last, so "A is through
 * with its first x bytes" lets B do x + shift bytes; before any conflict B may do `head`
 * bytes, and once A has done `all` bytes nothing of A stands in the way.
 */
struct fr_gate {
	uint32_t step; /* A */
	size_t head;
	size_t all;
	int64_t shift;
};

struct fr_operand {
	enum fr_space space;
	size_t at; /* bytes */
};

struct fr_plan_step {
	enum fr_step_kind kind;
	enum fr_scale scale;
	int peer;
	bool is_reply;   /* receive: see fr_sched_recv_reply() */
	bool is_empty;   /* a message without elements: carried as one that nobody reads; a
	                  * collect without elements: looks at the publication all the same */
	int32_t forward; /* receive: the send of the same bytes that may be fused, or -1 */
	struct fr_operand dst, src, src2;
	size_t bytes;
	size_t part_at, part_of; /* collect: where in the peer's publication of how many bytes */
	uint32_t first_gate, n_gates;
};

/* The steps on one direction of one endpoint, in order. */
struct fr_plan_lane {
	int peer;
	bool is_send;
	uint32_t first, n; /* in plan->lane_steps */
};

struct fr_plan {
	ferrule_type_t type;
	size_t elem_bytes;
	const struct fr_kernel *kernel;
	fr_scale_fn *scale;
	double average; /* what FR_SCALE_AVERAGE multiplies with */
	struct fr_plan_step *steps;
	uint32_t n_steps;
	struct fr_gate *gates;
	struct fr_plan_lane *lanes;
	uint32_t n_lanes;
	uint32_t *lane_steps;
	uint32_t *locals; /* copy, reduce, scale and all board steps, in order */
	uint32_t n_locals;
	size_t tmp_bytes;
	size_t recv_bytes;
	size_t empty_at; /* in scratch: what empty messages carry, then where they go */
	bool has_empty;
	bool has_board;
	bool board_only; /* no message anywhere: runs step by step, without a run object */
	bool stream;     /* large results go past the caches */
};

/* Where a run stands in one lane. */
struct fr_lane_state {
	uint64_t ticket; /* the endpoint serves this run when its counter says so */
	uint32_t head;   /* next step to move, index in the lane */
	uint32_t drain;  /* sends before it may be reused */
	uint32_t posted; /* receives before it were posted */
	uint32_t stalls; /* times a full window was waited for instead of not fusing */
	bool begun;      /* head's message was announced */
};

struct fr_run {
	struct fr_exec *exec;
	const struct fr_plan *plan;
	unsigned char *base[FR_N_SPACES];
	double premul;
	struct fr_call call, empty_call; /* the latter with plans that have empty messages */
	uint64_t *done;                  /* [n_steps] bytes that later steps may rely on */
	uint64_t *moved;                 /* [n_steps] bytes handed to the transport (sends) */
	uint64_t *ends;   /* [n_steps] sends: endpoint's total after the step's last byte */
	uint32_t *locals; /* unfinished local steps */
	uint32_t n_locals;
	struct fr_lane_state *lanes;
	uint32_t remaining; /* steps */
	uint64_t board_ticket;
	int board_peer;          /* whom the next board step waited for when last tried; -1: none */
	ferrule_status_t status; /* INPROGRESS until done */
	unsigned char *tmp;
	size_t tmp_room, steps_room, lanes_room;
	struct fr_run *next; /* in exec's list of active or of idle runs */
	bool active;
};

/* One endpoint, as the executor shares it among runs. */
struct fr_exec_ep {
	struct fr_ep *ep;
	uint64_t send_tickets, send_serving;
	uint64_t recv_tickets, recv_serving;
	uint64_t sent_total; /* bytes of all messages begun */
};

/* One class of the board, as this rank stands in it. */
struct fr_exec_board_class {
	uint32_t next, min_acked; /* own publications: number of the next; all readers past */
	uint32_t *next_of;        /* [writer] number of the next to consume */
	uint32_t *acked_of;       /* [writer] what was stored as acknowledged */
};

/* How long a wait has been going on; zero it to begin. */
struct fr_waiting {
	uint32_t polls;
	uint64_t since_ns, look_ns, waited_ns;
	uint64_t asked_ns; /* when the peers were asked whom they wait for; 0: not yet */
	bool warned;
};

/* How often this rank has refused its call of one number. */
struct fr_refused {
	uint64_t sequence;
	uint32_t count;
};

enum fr_cancel { FR_CANCEL_NONE, FR_CANCEL_BEING_WRITTEN, FR_CANCEL_ASKED };

struct fr_exec {
	struct fr_exec_params params;
	struct fr_exec_ep *eps; /* [n_ranks] */
	struct fr_exec_board_class board[FR_BOARD_N_CLASSES];
	uint64_t board_tickets, board_serving;
	struct fr_run *active, **active_tail;
	struct fr_run *idle;
	struct fr_waiting waiting; /* of all active runs together */
	uint32_t spin_polls;       /* polls before a wait yields */
	ferrule_status_t fault;
	char fault_text[512];
	uint64_t expected_bytes; /* of the message that was found to differ */
	_Atomic int cancel;      /* enum fr_cancel; the one thing that other threads write */
	char cancel_text[256];
	struct fr_exec_stats stats;
	struct fr_wait wait;            /* as told last */
	uint32_t *beats;                /* [n_ranks] as told by peers before they were asked */
	int *via, *queue;               /* [n_ranks] each, for the search */
	struct fr_refusal last_refusal; /* as told last; count 0: none */
	struct fr_refused refused;      /* of collectives */
	struct fr_refused (*unmet)[2];  /* [n_ranks] of messages, by direction: send, recv */
	uint64_t refusal_seen_ns;       /* since when a peer's refusal is in the way; 0: none */
	const void **fold_sources;      /* [n_ranks] */
	void *board_tmp;                /* scratch of board-only plans */
	size_t board_tmp_room;
};

/* exec_step.c: moves one piece of whatever can move.  Returns bytes (or steps) moved, 0 when
 * nothing could, or a negative status of the endpoint in *peer_out. */
int64_t fr_run_progress(struct fr_run *run, int *peer_out);
/* fr_run_waits - adds the ranks without whose move nothing of this run can go on. */
void fr_run_waits(const struct fr_run *run, struct fr_wait *w);
/* fr_step_local - does a whole copy, reduce or scale step on these buffers. */
void fr_step_local(const struct fr_plan *plan, const struct fr_plan_step *step,
                   unsigned char *const base[FR_N_SPACES], double premul, size_t from, size_t to);

/* exec_board.c */
ferrule_status_t fr_board_init(struct fr_exec *x);
void fr_board_fini(struct fr_exec *x);
/* fr_board_step - does a publish, fold or collect step if it can be done now: OK, INPROGRESS
 * with the rank waited for in *peer_out, or an error. */
ferrule_status_t fr_board_step(struct fr_exec *x, const struct fr_plan *plan,
                               const struct fr_plan_step *step,
                               unsigned char *const base[FR_N_SPACES], const struct fr_call *call,
                               int *peer_out);
/* fr_board_run - a whole board-only plan, blocking. */
ferrule_status_t fr_board_run(struct fr_exec *x, const struct fr_plan *plan,
                              unsigned char *const base[FR_N_SPACES], double premul,
                              const struct fr_call *call);

/* exec_blame.c */
ferrule_status_t fr_blame_init(struct fr_exec *x);
void fr_blame_fini(struct fr_exec *x);
/* fr_wait_add - one more rank that is waited for; one already there, or beyond the room, is not
 * added. */
void fr_wait_add(struct fr_wait *w, int peer);
/* fr_blame_tell - tells the peers whom we wait for in `call`: board_peer, or whom the active runs
 * wait for when that is -1. */
void fr_blame_tell(struct fr_exec *x, const struct fr_call *call, int board_peer);
/* fr_blame_ask - has all peers tell the same, some time before fr_blame_text() is wanted. */
void fr_blame_ask(struct fr_exec *x);
/* fr_blame_text - "for rank 4, which has not entered it (last seen in allreduce #16 (...)); rank 3
 * waits for rank 1, which waits for rank 4", or a circle of ranks that wait for each other. */
void fr_blame_text(struct fr_exec *x, const struct fr_call *call, char *buf, size_t bytes);

/* exec_refuse.c */
ferrule_status_t fr_refuse_init(struct fr_exec *x);
void fr_refuse_fini(struct fr_exec *x);
/* fr_refuse_look - has a peer refused what is waited for here?  OK, or the fault. */
ferrule_status_t fr_refuse_look(struct fr_exec *x, const struct fr_call *call, int board_peer,
                                uint64_t now);

/* fr_refuse_text - "; before that rank 2 refused its call allreduce #17: send: NULL, ..." when one
 * of the two ranks has refused a call of this number, which tells why they disagree; else "". */
void fr_refuse_text(const struct fr_exec *x, int peer, const struct fr_call *mine, char *buf,
                    size_t bytes);

/* exec_wait.c */
/* fr_exec_fault_text - makes this the executor's fault, unless it has one; returns the fault. */
ferrule_status_t fr_exec_fault_text(struct fr_exec *x, ferrule_status_t status, const char *format,
                                    ...) __attribute__((format(printf, 3, 4)));
const char *fr_exec_call_text(const struct fr_exec *x, const struct fr_call *call, char *buf,
                              size_t bytes);
/* fr_wait_look - nothing moved: counts, and now and then looks at the clock and the peers.
 * `peer` is the one whose publication is waited for, -1 when active runs wait.  A fault that
 * it finds is set and returned. */
ferrule_status_t fr_wait_look(struct fr_exec *x, struct fr_waiting *w, const struct fr_call *call,
                              int peer);
/* fr_wait_rest - then spins, yields or sleeps, as the wait's length says. */
void fr_wait_rest(struct fr_exec *x, const struct fr_waiting *w);
/* fr_fault_peer - an endpoint reported an error: makes it the executor's fault. */
ferrule_status_t fr_fault_peer(struct fr_exec *x, ferrule_status_t status, int peer,
                               const struct fr_call *call);
/* fr_fault_mismatch - two ranks disagree about a call. */
ferrule_status_t fr_fault_mismatch(struct fr_exec *x, int peer, const struct fr_call *mine,
                                   const struct fr_call *theirs);

#endif
