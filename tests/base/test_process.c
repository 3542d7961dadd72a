/* Processes are watched by their sockets and by their numbers; a number alone is not believed. */
#include "config.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/process.h"
#include "tests/support/t_main.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

/* A child that tells its id and lives until it is killed. */
static pid_t start_child(struct fr_process_id *id)
{
	int ends[2];
	if (pipe(ends) != 0)
		return -1;
	const pid_t pid = fork();
	if (pid == 0) {
		fr_process_self(id);
		if (write(ends[1], id, sizeof(*id)) != sizeof(*id))
			_exit(1);
		for (;;)
			pause();
	}
	CU_ASSERT_EQUAL(read(ends[0], id, sizeof(*id)), (ssize_t)sizeof(*id));
	close(ends[0]);
	close(ends[1]);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	CU_ASSERT_EQUAL(waitpid(pid, NULL, 0), pid);
}

/* The kernel tells of the end, at most a moment after it. */
static bool ends_soon(const struct fr_process *p)
{
	struct pollfd fd = {.fd = p->fd, .events = POLLIN};
	return (p->fd < 0 || poll(&fd, 1, 5000) == 1) && fr_process_has_ended(p);
}

static void test_the_same_process_tells_the_same_id(void)
{
	struct fr_process_id a, b, child;
	fr_process_self(&a);
	fr_process_self(&b);
	CU_ASSERT_EQUAL(memcmp(&a, &b, sizeof(a)), 0);
	if (a.space == 0)
		t_skip("no /proc to read");
	const pid_t pid = start_child(&child);
	CU_ASSERT_EQUAL(child.space, a.space);
	CU_ASSERT_EQUAL(child.pid, (uint32_t)pid);
	CU_ASSERT_TRUE(child.start >= a.start);
	end_child(pid);
}

static void test_a_watched_process_ends(void)
{
	struct fr_process_id id;
	struct fr_process p;
	const pid_t pid = start_child(&id);
	fr_process_watch(&p, -1, &id);
	if (p.fd < 0)
		t_skip("the kernel gives no pidfd");
	CU_ASSERT_TRUE(fr_process_is_watched(&p));
	CU_ASSERT_FALSE(fr_process_has_ended(&p));
	kill(pid, SIGSTOP);
	CU_ASSERT_FALSE(fr_process_has_ended(&p));
	/* Before anybody has waited for it, and after. */
	kill(pid, SIGKILL);
	CU_ASSERT_TRUE(ends_soon(&p));
	end_child(pid);
	CU_ASSERT_TRUE(fr_process_has_ended(&p));
	fr_process_unwatch(&p);
	fr_process_unwatch(&p);
	CU_ASSERT_FALSE(fr_process_is_watched(&p));
}

static void test_a_process_that_was_gone_already(void)
{
	struct fr_process_id id;
	struct fr_process p;
	const pid_t pid = start_child(&id);
	end_child(pid);
	fr_process_watch(&p, -1, &id);
	if (!p.is_gone)
		t_skip("the kernel gives no pidfd");
	CU_ASSERT_EQUAL(p.fd, -1);
	CU_ASSERT_TRUE(fr_process_is_watched(&p) && fr_process_has_ended(&p));
	fr_process_unwatch(&p);
}

/* As when the number had been given to another process. */
static void test_a_number_with_another_start_is_not_watched(void)
{
	struct fr_process_id id;
	struct fr_process p;
	const pid_t pid = start_child(&id);
	id.start--;
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_process_watch(&p, -1, &id), "its connection alone"));
	CU_ASSERT_FALSE(fr_process_is_watched(&p) || fr_process_has_ended(&p));
	end_child(pid);
	CU_ASSERT_FALSE(fr_process_has_ended(&p));
}

static void test_a_number_of_another_host_is_not_watched(void)
{
	struct fr_process_id id, nothing = {0};
	struct fr_process p;
	const pid_t pid = start_child(&id);
	id.space ^= 2;
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_process_watch(&p, -1, &id), "another"));
	CU_ASSERT_FALSE(fr_process_is_watched(&p));
	fr_process_watch(&p, -1, &nothing);
	CU_ASSERT_FALSE(fr_process_is_watched(&p));
	end_child(pid);
}

/* A connection from a process which has a child that holds it too. */
static void test_the_process_behind_a_socket_ends_before_the_socket(void)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX}; /* the kernel chooses the name */
	socklen_t length = sizeof(name);
	const struct fr_process_id nothing = {0};
	struct fr_process p;
	char byte;
	const int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	CU_ASSERT_EQUAL_FATAL(bind(listener, (struct sockaddr *)&name, sizeof(sa_family_t)), 0);
	CU_ASSERT_EQUAL_FATAL(getsockname(listener, (struct sockaddr *)&name, &length), 0);
	CU_ASSERT_EQUAL_FATAL(listen(listener, 1), 0);
	const pid_t pid = fork();
	if (pid == 0) {
		const int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
		close(listener);
		if (connect(fd, (struct sockaddr *)&name, length) != 0)
			_exit(1);
		/* The grandchild says that it is there, and ends when it is told to. */
		if (fork() == 0)
			_exit(send(fd, "", 1, 0) == 1 && recv(fd, &byte, 1, 0) == 1 ? 0 : 1);
		for (;;)
			pause();
	}
	const int fd = accept(listener, NULL, NULL);
	struct pollfd end = {.fd = fd, .events = POLLIN};
	fr_process_watch(&p, fd, &nothing);
	CU_ASSERT_EQUAL(recv(fd, &byte, 1, 0), 1);
	if (p.fd >= 0) {
		CU_ASSERT_FALSE(fr_process_has_ended(&p));
		end_child(pid);
		CU_ASSERT_TRUE(ends_soon(&p));
		CU_ASSERT_EQUAL(poll(&end, 1, 0), 0);
	} else {
		end_child(pid);
	}
	CU_ASSERT_EQUAL(send(fd, "", 1, MSG_NOSIGNAL), 1);
	CU_ASSERT_EQUAL(poll(&end, 1, 5000), 1);
	const bool was_watched = fr_process_is_watched(&p);
	fr_process_unwatch(&p);
	close(fd);
	close(listener);
	if (!was_watched)
		t_skip("the kernel has no SO_PEERPIDFD");
}

/* A kernel without pidfd_open() and without SO_PEERPIDFD, for this process and its children. */
static bool become_old(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getsockopt, 0, 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 77, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	};
	const struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

enum { OLD_OK = 0, OLD_WRONG = 1, OLD_NO_FILTER = 2 };
static int watch_on_old_kernel(const struct fr_process_id *id)
{
	struct fr_process p;
	int ends[2];
	if (!become_old())
		return OLD_NO_FILTER;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
		return OLD_WRONG;
	const char *how = fr_process_watch(&p, ends[0], id);
	return strstr(how, "its connection alone") != NULL && !fr_process_is_watched(&p) &&
	                       !fr_process_has_ended(&p)
	               ? OLD_OK
	               : OLD_WRONG;
}

static void test_an_old_kernel_leaves_the_connection(void)
{
	struct fr_process_id id;
	int status = -1;
	fr_process_self(&id);
	const pid_t pid = fork();
	if (pid == 0)
		_exit(watch_on_old_kernel(&id));
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_TRUE(WIFEXITED(status));
	if (WEXITSTATUS(status) == OLD_NO_FILTER)
		t_skip("no seccomp filter to play an old kernel");
	CU_ASSERT_EQUAL(WEXITSTATUS(status), OLD_OK);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"the same process tells the same id", test_the_same_process_tells_the_same_id},
		{"a watched process ends", test_a_watched_process_ends},
		{"a process that was gone already", test_a_process_that_was_gone_already},
		{"a number with another start is not watched",
	         test_a_number_with_another_start_is_not_watched},
		{"a number of another host is not watched",
	         test_a_number_of_another_host_is_not_watched},
		{"the process behind a socket ends before the socket",
	         test_the_process_behind_a_socket_ends_before_the_socket},
		{"an old kernel leaves the connection", test_an_old_kernel_leaves_the_connection},
		{NULL, NULL},
	};
	return t_main("base/process", cases);
}
