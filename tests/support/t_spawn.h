/* t_spawn.h - a test's ranks: forked processes with a deadline. */
#ifndef T_SPAWN_H
#define T_SPAWN_H

/* Exit code of a rank that was still running at the deadline and was killed. */
#define T_SPAWN_LATE 999

/*
 * t_spawn - runs fn(rank, n_ranks, arg) in n_ranks forked processes and waits for all of them.
 *
 * Each process finds RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR (loopback), MASTER_PORT (free)
 * and a fresh FERRULE_JOB_KEY in its environment, so that ferrule_comm_create_from_env() works
 * there.  What fn returns is the exit code; death by a signal counts as 128 + signal, being
 * killed at the deadline as T_SPAWN_LATE.  exit_codes[n_ranks] may be NULL.  Nothing is left
 * running.  Settings are read once a process: do not create communicators in the parent when
 * the children's environment matters.
 *
 * Returns 0 when every rank returned 0, else the number of ranks that did not; -1 when the
 * ranks could not be started.
 */
int t_spawn(int n_ranks, double deadline_s, int (*fn)(int rank, int n_ranks, void *arg), void *arg,
            int *exit_codes);

#endif
