/* What a forked child finds of the descriptors that the library owns. */
#include "config.h"

#include "lib/base/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/t_main.h"

/* Is it open in a forked child? */
static int is_inherited(int fd)
{
	int status = -1;
	const pid_t child = fork();

	if (child == 0)
		_exit(fcntl(fd, F_GETFD) >= 0);
	CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
	CU_ASSERT_FATAL(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int new_socket(void)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CU_ASSERT_FATAL(fd >= 0);
	return fd;
}

static void test_what_is_owned_is_closed_in_a_child(void)
{
	const int mine = fr_fd_own(new_socket()), other = new_socket();

	CU_ASSERT_FALSE(is_inherited(mine));
	CU_ASSERT_TRUE(is_inherited(other));
	/* And in the next one, while the parent keeps it. */
	CU_ASSERT_FALSE(is_inherited(mine));
	CU_ASSERT_TRUE(fcntl(mine, F_GETFD) >= 0);
	fr_fd_close(mine);
	close(other);
}

static void test_a_number_that_is_anothers_now_is_left_alone(void)
{
	const int mine = fr_fd_own(new_socket());

	close(mine); /* untold */
	const int other = new_socket();

	CU_ASSERT_EQUAL(other, mine);
	CU_ASSERT_TRUE(is_inherited(other));
	close(other);
}

/* Files that share one inode cannot be told apart: those are closed with a word. */
static void test_files_without_an_inode_are_forgotten(void)
{
	const int mine = fr_fd_own(eventfd(0, EFD_CLOEXEC));

	CU_ASSERT_FALSE(is_inherited(mine));
	fr_fd_close(mine);
	const int other = eventfd(0, EFD_CLOEXEC);

	CU_ASSERT_EQUAL(other, mine);
	CU_ASSERT_TRUE(is_inherited(other));
	fr_fd_own(other);
	fr_fd_forget(other);
	CU_ASSERT_TRUE(is_inherited(other));
	close(other);
}

static void test_many_and_none(void)
{
	int fds[300];

	for (int i = 0; i < 300; i++)
		fds[i] = fr_fd_own(new_socket());
	CU_ASSERT_FALSE(is_inherited(fds[0]));
	CU_ASSERT_FALSE(is_inherited(fds[299]));
	for (int i = 0; i < 300; i++)
		fr_fd_close(fds[i]);
	errno = EMFILE;
	CU_ASSERT_EQUAL(fr_fd_own(-1), -1);
	CU_ASSERT_EQUAL(errno, EMFILE);
	fr_fd_forget(-1);
	fr_fd_forget(1 << 20);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"what is owned is closed in a child", test_what_is_owned_is_closed_in_a_child},
		{"a number that is another's now is left alone",
	         test_a_number_that_is_anothers_now_is_left_alone},
		{"files without an inode are forgotten", test_files_without_an_inode_are_forgotten},
		{"many, and none", test_many_and_none},
		{NULL, NULL},
	};

	return t_main("descriptors", cases);
}
