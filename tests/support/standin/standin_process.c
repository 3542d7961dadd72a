/*
 * standin_process.c - this process as a part of the device: joining, the engine, leaving.
 *
 * The engine is the one thread of the stand-in in each process.  It holds the process's `alive`
 * lock, tries held requests again when their time has come, and flushes queue pairs that others
 * failed.  It sleeps on a futex that standin_kick() wakes.
 */
#include "tests/support/standin/standin_local.h"
#include "tests/support/standin/standin_pin.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Who has not joined is nobody: counts go nowhere. */
static struct standin_proc nobody;

struct standin_self standin_self = {
	.me = &nobody, .slot = STANDIN_NONE, .fd = -1, .objects = PTHREAD_MUTEX_INITIALIZER};

/* Of the engine: under `objects`, but for what it sets itself. */
static struct {
	pthread_t thread;
	_Atomic int is_running, must_stop;
} engine;

#define DOZE_NS       1000000u
#define LINGER_ROUNDS 20

uint64_t standin_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* engine_sleep - until a kick that came after `seen`, or until the time. */
static void engine_sleep(struct standin_proc *p, uint32_t seen, uint64_t until,
                         enum standin_sleep how)
{
	const uint64_t now = standin_now_ns();
	if (until <= now)
		return;
	const uint64_t left = until == UINT64_MAX ? 0 : until - now;
	const struct timespec timeout = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
	atomic_store(&p->sleep, how);
	if (atomic_load(&p->wake) == seen)
		syscall(SYS_futex, &p->wake, FUTEX_WAIT, seen, left != 0 ? &timeout : NULL, NULL,
		        0);
	atomic_store(&p->sleep, STANDIN_AWAKE);
}

/*
 * engine_round - does what is to be done, or leaves it to a program that polls: two threads that
 * want the same processor and the same locks would only be in each other's way.  It lingers for
 * some rounds, since what was held once often is again, and waking costs a system call.
 */
static void engine_round(struct standin_proc *p, int *n_quiet)
{
	const uint32_t seen = atomic_load(&p->wake);
	const bool has_held = atomic_load(&standin_self.n_held) != 0;
	uint64_t next = 0;
	if (!atomic_exchange(&p->is_polling, 0) || !has_held)
		next = standin_progress_all(true);
	*n_quiet = next == UINT64_MAX ? *n_quiet + 1 : 0;
	if (*n_quiet > LINGER_ROUNDS) {
		engine_sleep(p, seen, UINT64_MAX, STANDIN_ASLEEP);
		*n_quiet = LINGER_ROUNDS - 1;
		return;
	}
	const uint64_t doze = standin_now_ns() + DOZE_NS;
	engine_sleep(p, seen, next == 0 || next > doze ? doze : next, STANDIN_DOZING);
}

static void *engine_main(void *arg)
{
	struct standin_proc *p = arg;
	int n_quiet = LINGER_ROUNDS;
	prctl(PR_SET_NAME, "standin", 0, 0, 0);
	standin_lock(&p->alive);
	atomic_store(&engine.is_running, 1);
	while (!atomic_load(&engine.must_stop))
		engine_round(p, &n_quiet);
	standin_unlock(&p->alive);
	return NULL;
}

/* The program's signals are not for a thread it does not know. */
static int engine_start(struct standin_proc *p)
{
	sigset_t all, before;
	sigfillset(&all);
	atomic_store(&engine.is_running, 0);
	atomic_store(&engine.must_stop, 0);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	const int rc = pthread_create(&engine.thread, NULL, engine_main, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0) {
		errno = rc;
		return -1;
	}
	while (!atomic_load(&engine.is_running))
		nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
	return 0;
}

/* engine_stop - false when it did not end. */
static bool engine_stop(struct standin_proc *p)
{
	atomic_store(&engine.must_stop, 1);
	atomic_fetch_add(&p->wake, 1);
	syscall(SYS_futex, &p->wake, FUTEX_WAKE, 1, NULL, NULL, 0);
	/* It may wait for a lock of the very thread that calls exit() in a signal handler. */
	struct timespec end;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 1;
	return pthread_timedjoin_np(engine.thread, NULL, &end) == 0;
}

static void before_fork(void)
{
	standin_pin_before_fork();
}

static void after_fork_parent(void)
{
	standin_pin_after_fork(false);
}

/* A child has the memory of its parent, but no engine: it joins for itself when it uses verbs. */
static void after_fork_child(void)
{
	standin_pin_after_fork(true);
	standin_reach_after_fork();
	struct standin_self *s = &standin_self;
	/* The share in the table is the parent's; its memory stays mapped for what was inherited.
	 */
	close(s->fd);
	s->fd = -1;
	s->is_open = false;
	s->me = &nobody;
	s->slot = STANDIN_NONE;
	s->pid = getpid();
	pthread_mutex_init(&s->objects, NULL);
	memset(s->qps, 0, sizeof s->qps);
	s->all_qps = NULL;
	memset(s->cqs, 0, sizeof s->cqs);
	s->n_held = 0;
	s->pinned_bytes = 0;
}

static int begin_locked(void)
{
	struct standin_self *s = &standin_self;
	static int has_handlers;
	if (s->is_open)
		return 0;
	standin_config_read(&s->config, &s->kill_after);
	struct standin_table *t = standin_table_open(s->config.space, &s->fd);
	if (t == NULL)
		return -1;
	s->table = t;
	s->is_open = true;
	if (!has_handlers) {
		pthread_atfork(before_fork, after_fork_parent, after_fork_child);
		standin_reach_begin();
	}
	has_handlers = 1;
	return 0;
}

int standin_begin(void)
{
	pthread_mutex_lock(&standin_self.objects);
	const int rc = begin_locked();
	pthread_mutex_unlock(&standin_self.objects);
	return rc;
}

/* join_slot - a free one, reset, with this process's number; STANDIN_NONE when all are taken. */
static uint32_t join_slot(struct standin_table *t)
{
	for (uint32_t i = 0; i < STANDIN_PROCS; i++) {
		struct standin_proc *p = &t->procs[i];
		if (p->pid != 0)
			continue;
		p->pin_fd = -1;
		p->is_dead = 0;
		p->wake = p->sleep = p->attention = p->is_polling = 0;
		p->n_contexts = p->n_pds = p->n_mrs = p->n_cqs = p->n_qps = 0;
		return i;
	}
	return STANDIN_NONE;
}

static int join_locked(void)
{
	struct standin_self *s = &standin_self;
	if (begin_locked() != 0)
		return -1;
	if (s->slot != STANDIN_NONE)
		return 0;
	standin_reclaim(s->table);
	standin_lock(&s->table->lock);
	const uint32_t slot = join_slot(s->table);
	int rc = -1;
	if (slot == STANDIN_NONE)
		errno = ENOMEM;
	else
		rc = engine_start(&s->table->procs[slot]);
	if (rc == 0) {
		s->slot = slot;
		s->pid = getpid();
		s->me = &s->table->procs[slot];
		s->me->pid = (uint32_t)s->pid;
	}
	standin_unlock(&s->table->lock);
	/* Others move data here with process_vm_writev; where the kernel has the Yama module it
	 * must be told that they may. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	return rc;
}

int standin_join(void)
{
	pthread_mutex_lock(&standin_self.objects);
	const int rc = join_locked();
	pthread_mutex_unlock(&standin_self.objects);
	return rc;
}

/* What the kernel does for a process that exits with devices open. */
static __attribute__((destructor)) void leave(void)
{
	struct standin_self *s = &standin_self;
	if (!s->is_open)
		return;
	const uint32_t slot = s->slot;
	/* Whose engine still runs is freed by others, once it is dead. */
	if (slot != STANDIN_NONE && s->pid == getpid() && engine_stop(&s->table->procs[slot])) {
		standin_lock(&s->table->lock);
		standin_proc_release(s->table, slot);
		standin_unlock(&s->table->lock);
	}
	s->slot = STANDIN_NONE;
	s->me = &nobody;
	standin_table_leave(s->config.space, s->fd);
}
