/*
 * t_world.h - a handful of ranks joined by one transport, for the tests of that room.
 *
 * Ranks are forked processes, or threads of this process for a transport that lives in one.
 * A pump moves messages over endpoints the way the executor does, with a deadline.
 */
#ifndef T_WORLD_H
#define T_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/transport/transport.h"

/* What the suite is run on. */
struct t_subject {
	const struct fr_transport_ops *ops;
	/* For a transport whose ranks are threads; all NULL when they are processes. */
	void *(*net_create)(int n_ranks);
	void (*net_destroy)(void *net);
	/* Takes the place of ops->open. */
	struct fr_transport *(*net_rank)(void *net, int rank);
	/* Takes the place of kill -9. */
	void (*net_kill)(void *net, int rank);
};

struct t_world;

/* A rank as its function sees it. */
struct t_rank {
	struct t_world *world;
	const struct t_subject *subject;
	int rank, n_ranks;
	unsigned char key[32]; /* the job key it uses; a case may spoil it before t_rank_open() */
	struct fr_transport *t;
	char why[256];
};

typedef int t_rank_fn(struct t_rank *r);

/*
 * t_world_run - runs fn at every rank and waits, at most deadline_s.  Returns how many ranks
 * did not return `expected[rank]` (NULL: all 0); prints which.  A killed rank returns
 * 128 + SIGKILL.
 */
int t_world_run(const struct t_subject *subject, int n_ranks, double deadline_s, t_rank_fn *fn,
                const int *expected);

/* Opens the transport, exchanges addresses, connects to all; the status of the step that failed. */
ferrule_status_t t_rank_open(struct t_rank *r, double deadline_s);
/* The halves of t_rank_open(), for cases where ranks do not do the same. */
ferrule_status_t t_rank_listen(struct t_rank *r);
ferrule_status_t t_rank_connect(struct t_rank *r, const bool *wanted, double deadline_s);
void t_rank_close(struct t_rank *r);
struct fr_ep *t_rank_ep(struct t_rank *r, int peer);
/* Waits for all ranks; false after ten seconds. */
bool t_rank_barrier(struct t_rank *r);
/* A word that any rank may set and all can read. */
void t_rank_post(struct t_rank *r, int slot, uint64_t value);
uint64_t t_rank_look(struct t_rank *r, int slot);
/* Does not return for a process; for a thread, the case returns 128 + SIGKILL right after. */
void t_rank_die(struct t_rank *r);
/* The address blob that `rank` published. */
const unsigned char *t_rank_address(struct t_rank *r, int rank);

/* One message to move, one way. */
struct t_move {
	int peer;
	bool is_send;
	bool by_window; /* send: through send_window where there is one */
	bool is_hidden; /* the transport is not told where the memory is */
	size_t piece;   /* the most that is offered at once; 0: all */
	const struct fr_call *call;
	unsigned char *memory;
	uint64_t bytes;
	/* Filled by the pump. */
	bool has_begun;
	uint64_t moved;
};

/*
 * t_pump - moves all messages; those of one endpoint and direction in the order given; and waits
 * until the transport needs the memory of those it sent no longer.  OK, the first fault (its
 * endpoint in *ep_out when that is not NULL), or ERR_TIMEOUT.
 */
ferrule_status_t t_pump(struct t_rank *r, struct t_move *moves, int n_moves, double deadline_s,
                        struct fr_ep **ep_out);

/* A sealed call that differs with `sequence`. */
struct fr_call t_call(uint64_t sequence);
/* Bytes that depend on place and seed. */
void t_fill(unsigned char *memory, size_t bytes, uint64_t seed);
/* Where memory stops being what t_fill() made; `bytes` when it never does. */
size_t t_differs(const unsigned char *memory, size_t bytes, uint64_t seed);

/* Ends the case with 1 and a line that says where. */
#define T_CHECK(condition)                                                 \
	do {                                                               \
		if (!t_check((condition), #condition, __FILE__, __LINE__)) \
			return 1;                                          \
	} while (0)
bool t_check(bool holds, const char *text, const char *file, int line);

#endif
