/*
 * t_faults.h - the n-th system call of a process fails, or is its last.
 *
 * A program that links t_faults.c has its own socket(), send(), mmap() and so on, which all of
 * the program then uses, the C library's own inner calls apart.  They do what they always do until
 * t_faults_arm(), and from then on are counted; the one of the given number fails with an errno,
 * or kills the process before it is made.
 *
 * The record lies in memory that the caller shares with whoever looks at it after a death.
 */
#ifndef T_FAULTS_H
#define T_FAULTS_H

#include <stdatomic.h>
#include <stdint.h>

/* In place of an errno: SIGKILL. */
#define T_FAULT_KILL (-1)
/* No system call fails: allocations are counted, and one returns NULL. */
#define T_FAULT_NO_MEMORY (-2)

struct t_faults {
	atomic_ulong n_calls;    /* counted so far */
	_Atomic uint64_t hit_ns; /* fr_clock_ns() of the fault, 0: it has not been reached */
	char call[24];           /* and which call it was, "socket" */
};

/* t_faults_arm - counts from here; the `at`-th call (from 1) gets `what`; 0: none does. */
void t_faults_arm(struct t_faults *record, unsigned long at, int what);
/* t_faults_disarm - calls do what they always do. */
void t_faults_disarm(void);

#endif
