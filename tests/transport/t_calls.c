#include "config.h"

#include "tests/transport/t_calls.h"

#include <errno.h>
#include <execinfo.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <threads.h>
#include <ucontext.h>
#include <unistd.h>

#include "lib/perf/perf_control.h"
#include "lib/transport/verbs/verbs.h"
#include "tests/support/t_sanitizer.h"

/* Of a thread: the stand-in's engine counts nothing. */
static _Thread_local struct {
	struct t_calls calls;
	enum t_whose whose;
	bool is_on, is_over;
	uint64_t n_posts, first_post, last_post; /* last 0: not by posts */
} state;

static void count(enum t_asked what, const char *name, long number)
{
	struct t_calls *c = &state.calls;

	if (!state.is_on)
		return;
	c->n[state.whose][what]++;
	if (state.whose != T_OURS || c->first != NULL)
		return;
	c->first = name;
	c->first_number = number;
	/* What it asks for itself does not count. */
	state.is_on = false;
	c->n_frames = backtrace(c->frames, sizeof(c->frames) / sizeof(c->frames[0]));
	state.is_on = true;
}

enum t_whose t_calls_by(enum t_whose whose)
{
	const enum t_whose before = state.whose;

	state.whose = whose;
	return before;
}

void t_calls_start(void)
{
	memset(&state.calls, 0, sizeof(state.calls));
	state.whose = T_OURS;
	state.is_on = true;
}

void t_calls_stop(struct t_calls *out)
{
	state.is_on = false;
	state.last_post = 0;
	*out = state.calls;
}

void t_calls_between(uint64_t first, uint64_t last)
{
	memset(&state.calls, 0, sizeof(state.calls));
	state.n_posts = 0;
	state.first_post = first;
	state.last_post = last;
	state.is_over = false;
}

bool t_calls_is_over(void)
{
	return state.is_over;
}

/* ---- allocations: the C library lets a program have its own, and has these names for its ---- */

/* A sanitizer has its own. */
#if !T_SANITIZED
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *p, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *p);

/* Other libraries, and the C library itself, must find them as well. */
#define EXPORT __attribute__((visibility("default")))

EXPORT void *malloc(size_t bytes)
{
	count(T_ALLOCATION, "malloc", 0);
	return __libc_malloc(bytes);
}

EXPORT void *calloc(size_t n, size_t bytes)
{
	count(T_ALLOCATION, "calloc", 0);
	return __libc_calloc(n, bytes);
}

EXPORT void *realloc(void *p, size_t bytes)
{
	count(T_ALLOCATION, "realloc", 0);
	return __libc_realloc(p, bytes);
}

EXPORT void free(void *p)
{
	count(T_ALLOCATION, "free", 0);
	__libc_free(p);
}

EXPORT void *memalign(size_t alignment, size_t bytes)
{
	count(T_ALLOCATION, "memalign", 0);
	return __libc_memalign(alignment, bytes);
}

EXPORT void *aligned_alloc(size_t alignment, size_t bytes)
{
	count(T_ALLOCATION, "aligned_alloc", 0);
	return __libc_memalign(alignment, bytes);
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t bytes)
{
	count(T_ALLOCATION, "posix_memalign", 0);
	*out = __libc_memalign(alignment, bytes);
	return *out != NULL ? 0 : ENOMEM;
}
#endif

/* ---- locks, and the slow looks: the linker leads calls of NAME to __wrap_NAME ---- */

#define LOCK(name, args, ...)                      \
	int __real_##name args;                    \
	int __wrap_##name args;                    \
	int __wrap_##name args                     \
	{                                          \
		count(T_LOCK, #name, 0);           \
		return __real_##name(__VA_ARGS__); \
	}
LOCK(pthread_mutex_lock, (pthread_mutex_t * m), m)
LOCK(pthread_mutex_trylock, (pthread_mutex_t * m), m)
LOCK(pthread_rwlock_rdlock, (pthread_rwlock_t * l), l)
LOCK(pthread_rwlock_wrlock, (pthread_rwlock_t * l), l)
LOCK(pthread_spin_lock, (pthread_spinlock_t * l), l)
LOCK(pthread_cond_wait, (pthread_cond_t * c, pthread_mutex_t *m), c, m)
LOCK(pthread_cond_timedwait, (pthread_cond_t * c, pthread_mutex_t *m, const struct timespec *t), c,
     m, t)
LOCK(pthread_cond_signal, (pthread_cond_t * c), c)
LOCK(pthread_cond_broadcast, (pthread_cond_t * c), c)
LOCK(mtx_lock, (mtx_t * m), m)
LOCK(sem_wait, (sem_t * s), s)
LOCK(sem_post, (sem_t * s), s)

void __real_fr_vb_serve_links(struct fr_vb *t);
void __wrap_fr_vb_serve_links(struct fr_vb *t);
void __wrap_fr_vb_serve_links(struct fr_vb *t)
{
	/* Those of check() are by its caller's clock. */
	state.calls.n_looks += state.whose == T_OURS;
	const enum t_whose before = t_calls_by(T_LOOK);

	__real_fr_vb_serve_links(t);
	t_calls_by(before);
}

ferrule_status_t __real_fr_vb_check(struct fr_ep *ep);
ferrule_status_t __wrap_fr_vb_check(struct fr_ep *ep);
ferrule_status_t __wrap_fr_vb_check(struct fr_ep *ep)
{
	const enum t_whose before = t_calls_by(T_LOOK);
	const ferrule_status_t status = __real_fr_vb_check(ep);

	t_calls_by(before);
	return status;
}

bool __real_fr_perf_watch_look(struct fr_perf_watch *w);
bool __wrap_fr_perf_watch_look(struct fr_perf_watch *w);
bool __wrap_fr_perf_watch_look(struct fr_perf_watch *w)
{
	const enum t_whose before = t_calls_by(T_LOOK);
	const bool goes_on = __real_fr_perf_watch_look(w);

	t_calls_by(before);
	return goes_on;
}

/* ---- the device ---- */

static const struct fr_verbs *below;
static struct fr_verbs table;

static void by_posts(void)
{
	if (state.last_post == 0)
		return;
	state.n_posts++;
	if (state.n_posts == state.first_post)
		t_calls_start();
	if (state.n_posts == state.last_post) {
		state.is_on = false;
		state.is_over = true;
	}
}

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
	by_posts();
	const enum t_whose before = t_calls_by(T_DEVICE);
	const int rc = below->post_send(qp, wr, bad);

	state.calls.n_posts += state.is_on;
	t_calls_by(before);
	return rc;
}

static int post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
	const enum t_whose before = t_calls_by(T_DEVICE);
	const int rc = below->post_recv(qp, wr, bad);

	t_calls_by(before);
	return rc;
}

static int poll_cq(struct ibv_cq *cq, int n, struct ibv_wc *wc)
{
	const enum t_whose before = t_calls_by(T_DEVICE);
	const int rc = below->poll_cq(cq, n, wc);

	state.calls.n_empty_polls += rc == 0 && state.is_on;
	t_calls_by(before);
	return rc;
}

static struct ibv_mr *reg_mr(struct ibv_pd *pd, void *at, size_t bytes, int access)
{
	count(T_REGISTRATION, "ibv_reg_mr", 0);
	return below->reg_mr(pd, at, bytes, access);
}

static struct ibv_mr *reg_mr_iova2(struct ibv_pd *pd, void *at, size_t bytes, uint64_t iova,
                                   unsigned access)
{
	count(T_REGISTRATION, "ibv_reg_mr_iova2", 0);
	return below->reg_mr_iova2(pd, at, bytes, iova, access);
}

static struct ibv_mr *reg_dmabuf_mr(struct ibv_pd *pd, uint64_t offset, size_t bytes, uint64_t iova,
                                    int fd, int access)
{
	count(T_REGISTRATION, "ibv_reg_dmabuf_mr", 0);
	return below->reg_dmabuf_mr(pd, offset, bytes, iova, fd, access);
}

static int dereg_mr(struct ibv_mr *mr)
{
	count(T_REGISTRATION, "ibv_dereg_mr", 0);
	return below->dereg_mr(mr);
}

bool t_calls_verbs(void)
{
	char why[256];

	below = fr_verbs_get(why, sizeof(why));
	if (below == NULL) {
		fprintf(stderr, "%s\n", why);
		return false;
	}
	table = *below;
	table.post_send = post_send;
	table.post_recv = post_recv;
	table.poll_cq = poll_cq;
	table.reg_mr = reg_mr;
	table.reg_mr_iova2 = below->reg_mr_iova2 != NULL ? reg_mr_iova2 : NULL;
	table.reg_dmabuf_mr = below->reg_dmabuf_mr != NULL ? reg_dmabuf_mr : NULL;
	table.dereg_mr = dereg_mr;
	fr_verbs_replace(&table);
	return true;
}

/* ---- system calls ---- */

#if defined(__x86_64__) && !T_SANITIZED

/* t_gate - makes a system call at an address that the filter lets through. */
long t_gate(long number, const long args[6]) __attribute__((visibility("hidden")));
extern const char t_gate_after[] __attribute__((visibility("hidden")));
__asm__("	.text\n"
        "	.globl t_gate, t_gate_after\n"
        "	.hidden t_gate, t_gate_after\n"
        "	.type t_gate, @function\n"
        "t_gate:\n"
        "	mov %rdi, %rax\n"
        "	mov %rsi, %r11\n"
        "	mov (%r11), %rdi\n"
        "	mov 8(%r11), %rsi\n"
        "	mov 16(%r11), %rdx\n"
        "	mov 24(%r11), %r10\n"
        "	mov 32(%r11), %r8\n"
        "	mov 40(%r11), %r9\n"
        "	syscall\n"
        "t_gate_after:\n"
        "	ret\n"
        "	.size t_gate, .-t_gate\n");

static void on_system_call(int signal_number, siginfo_t *info, void *context)
{
	greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
	const long args[6] = {r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8], r[REG_R9]};

	(void)signal_number;
	count(T_SYSTEM_CALL, "system call", info->si_syscall);
	r[REG_RAX] = t_gate(info->si_syscall, args);
}

#define WORD(member) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, member))
#define IF(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), yes, no)

/* Lets through what comes by the gate, and what a signal handler and a process end with. */
static bool filter(void)
{
	const uint64_t gate = (uint64_t)(uintptr_t)t_gate_after;
	struct sock_filter code[] = {
		WORD(instruction_pointer),
		IF(gate, 0, 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
	                 (uint32_t)offsetof(struct seccomp_data, instruction_pointer) + 4),
		IF(gate >> 32, 5, 0),
		WORD(nr),
		IF(SYS_rt_sigreturn, 3, 0),
		IF(SYS_clock_gettime, 2, 0),
		IF(SYS_exit_group, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

bool t_calls_trap(void)
{
	struct sigaction action = {.sa_flags = SA_SIGINFO | SA_NODEFER};
	void *frame;

	/* Loads what it needs. */
	backtrace(&frame, 1);
	action.sa_sigaction = on_system_call;
	return sigaction(SIGSYS, &action, NULL) == 0 && filter();
}

bool t_calls_possible(char *why, size_t why_bytes)
{
	const uint32_t trap = SECCOMP_RET_TRAP;

	snprintf(why, why_bytes, "this kernel, or a container, has no seccomp filters");
	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &trap) == 0;
}

#else

bool t_calls_trap(void)
{
	return false;
}

bool t_calls_possible(char *why, size_t why_bytes)
{
	snprintf(why, why_bytes, "%s",
	         T_SANITIZED ? "a sanitizer has its own allocations and system calls"
	                     : "the trap for system calls is written for x86-64");
	return false;
}

#endif

/* ---- figures ---- */

bool t_calls_are_none(const struct t_calls *c)
{
	char text[160];

	for (int i = 0; i < T_N_ASKED; i++) {
		if (c->n[T_OURS][i] == 0)
			continue;
		fprintf(stderr, "on the hot path: %s; the first is %s",
		        t_calls_text(c, text, sizeof(text)), c->first);
		fprintf(stderr, c->first_number > 0 ? " %ld, from\n" : ", from\n", c->first_number);
		backtrace_symbols_fd(c->frames, c->n_frames, STDERR_FILENO);
		return false;
	}
	return true;
}

char *t_calls_text(const struct t_calls *c, char *buf, size_t bytes)
{
	const uint64_t *n = c->n[T_OURS];

	snprintf(buf, bytes, "%llu system calls, %llu allocations, %llu locks, %llu registrations",
	         (unsigned long long)n[T_SYSTEM_CALL], (unsigned long long)n[T_ALLOCATION],
	         (unsigned long long)n[T_LOCK], (unsigned long long)n[T_REGISTRATION]);
	return buf;
}
