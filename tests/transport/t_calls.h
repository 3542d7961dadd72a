/*
 * t_calls.h - counts what code asks of the system, to prove that a hot path asks nothing.
 *
 * Counted in the thread that watches, between t_calls_start() and t_calls_stop():
 *
 *   system calls    all, whoever makes them: a seccomp filter turns each one into a signal, whose
 *                   handler counts it and then makes it.  Not clock_gettime(), which is none
 *                   where the kernel gives processes its clock.
 *   allocations     malloc() and its family, from any library of the process
 *   locks           mutexes, read-write locks, condition variables and semaphores, as far as they
 *                   are used by Ferrule itself: the linker leads those calls here (--wrap)
 *   registrations   memory given to the device or taken back, by the table of verbs
 *
 * and told apart by whose they are:
 *
 *   ours     Ferrule's, while messages move: must be none
 *   device   made inside post_send, post_recv and poll_cq, by the device's own library.  The
 *            stand-in locks there (a system call when two want the lock), wakes its engine, and
 *            reaches memory that it cannot map, as the last page of an inbox, by system calls.
 *   look     made by the slow look at the peer, which is by design a system call once in 4096
 *            polls that found nothing, and once a millisecond of waiting; see n_looks
 *
 * A thread that has the filter keeps it, and must not create threads any more.
 */
#ifndef T_CALLS_H
#define T_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum t_whose { T_OURS, T_DEVICE, T_LOOK, T_N_WHOSE };
enum t_asked { T_SYSTEM_CALL, T_ALLOCATION, T_LOCK, T_REGISTRATION, T_N_ASKED };

struct t_calls {
	uint64_t n[T_N_WHOSE][T_N_ASKED];
	uint64_t n_posts;       /* post_send */
	uint64_t n_empty_polls; /* poll_cq that found nothing */
	uint64_t n_looks;       /* at the links, after so many of those */
	/* The first of ours. */
	const char *first; /* a function's name, or "system call" */
	long first_number; /* of that system call */
	void *frames[12];
	int n_frames;
};

/* t_calls_possible - false and why not: calls cannot be counted in this build, or on this host. */
bool t_calls_possible(char *why, size_t why_bytes);
/* t_calls_verbs - the table of verbs that fr_verbs_get() gives, counted from now on. */
bool t_calls_verbs(void);
/* t_calls_trap - this thread's system calls, trapped from now on. */
bool t_calls_trap(void);

void t_calls_start(void);
/* t_calls_between - counts from the first-th post_send to the last-th; t_calls_stop() gives the
 * sum. */
void t_calls_between(uint64_t first, uint64_t last);
void t_calls_stop(struct t_calls *out);
/* t_calls_is_over - has t_calls_between() come to its end? */
bool t_calls_is_over(void);
/* t_calls_by - whose calls are made from here on; returns whose they were. */
enum t_whose t_calls_by(enum t_whose whose);

/* t_calls_are_none - of ours; else prints what the first one was and where it came from. */
bool t_calls_are_none(const struct t_calls *c);
/* t_calls_text - "0 system calls, 0 allocations, ...", ours; returns buf. */
char *t_calls_text(const struct t_calls *c, char *buf, size_t bytes);

#endif
