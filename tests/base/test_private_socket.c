/* Sockets that only this user's processes reach, and that leave nothing behind. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/private_socket.h"
#include "tests/support/t_folder.h"
#include "tests/support/t_main.h"
#include "tests/support/t_spawn.h"

#define NOBODY 65534

static struct fr_private_socket listen_or_fail(void)
{
	struct fr_private_socket s;
	char why[400];

	CU_ASSERT_EQUAL_FATAL(fr_private_listen(&s, why, sizeof(why)), FERRULE_OK);
	return s;
}

static void test_a_process_of_this_user_comes_in(void)
{
	struct fr_private_socket s = listen_or_fail();
	const int client = fr_private_connect(s.path);
	char word[4] = "";

	CU_ASSERT_FATAL(client >= 0);
	const int server = fr_private_accept(&s);
	CU_ASSERT_FATAL(server >= 0);
	CU_ASSERT_EQUAL(send(client, "abc", 4, 0), 4);
	CU_ASSERT_EQUAL(recv(server, word, 4, 0), 4);
	CU_ASSERT_STRING_EQUAL(word, "abc");
	CU_ASSERT(fr_private_accept(&s) < 0 && errno == EAGAIN);
	close(client);
	close(server);
	fr_private_close(&s);
}

/* Exit status: 0 when the connection was refused for want of rights. */
static int come_as_nobody(int rank, int n_ranks, void *arg)
{
	const struct fr_private_socket *s = arg;

	(void)rank, (void)n_ranks;
	if (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
		return 77;
	return fr_private_connect(s->path) < 0 && errno == EACCES ? 0 : 1;
}

/* Whoever connects could queue a descriptor whose close hangs this process. */
static void test_another_user_does_not_get_as_far_as_the_socket(void)
{
	const mode_t before = umask(0);
	struct fr_private_socket s = listen_or_fail();

	umask(before);
	if (geteuid() != 0) {
		fr_private_close(&s);
		t_skip("needs root, to become another user");
		return;
	}
	CU_ASSERT_EQUAL(t_spawn(1, 10, come_as_nobody, &s, NULL), 0);
	CU_ASSERT(fr_private_accept(&s) < 0);
	fr_private_close(&s);
}

/* Root can go everywhere, and means no job of this user. */
static int listen_as_nobody_for_root(int rank, int n_ranks, void *arg)
{
	(void)rank, (void)n_ranks, (void)arg;
	struct fr_private_socket s = listen_or_fail();
	const int client = fr_private_connect(s.path);

	/* Who has connected already is known as root. */
	if (client < 0 || setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || seteuid(NOBODY) != 0)
		return 1;
	const int server = fr_private_accept(&s);
	if (seteuid(0) != 0)
		return 1;
	fr_private_close(&s);
	return server >= 0;
}

static void test_root_is_not_let_in_for_another_user(void)
{
	if (geteuid() != 0) {
		t_skip("needs root, to become another user");
		return;
	}
	CU_ASSERT_EQUAL(t_spawn(1, 10, listen_as_nobody_for_root, NULL, NULL), 0);
}

static void test_a_mask_of_the_process_does_not_matter(void)
{
	const mode_t before = umask(0777);
	struct fr_private_socket s = listen_or_fail();
	char folder[FR_PRIVATE_PATH_BYTES];
	struct stat st;

	umask(before);
	snprintf(folder, sizeof(folder), "%.*s", (int)strlen(s.path) - 2, s.path);
	CU_ASSERT_EQUAL_FATAL(stat(folder, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0700);
	CU_ASSERT_EQUAL(st.st_uid, geteuid());
	fr_private_close(&s);
	CU_ASSERT_NOT_EQUAL(stat(folder, &st), 0);
	fr_private_close(&s);
}

/* Makes the folder of a socket old enough to be swept. */
static void age(const struct fr_private_socket *s)
{
	const struct timespec long_ago[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
	char folder[FR_PRIVATE_PATH_BYTES];

	snprintf(folder, sizeof(folder), "%.*s", (int)strlen(s->path) - 2, s->path);
	CU_ASSERT_EQUAL(utimensat(AT_FDCWD, folder, long_ago, 0), 0);
}

static void test_what_a_killed_process_left_is_swept(void)
{
	struct fr_private_socket dead = listen_or_fail(), old = listen_or_fail(), young;
	struct stat st;

	/* As after a kill: nobody listens, and the names are there. */
	close(dead.fd);
	age(&dead);
	age(&old);
	young = listen_or_fail();
	CU_ASSERT_NOT_EQUAL(stat(dead.path, &st), 0);
	CU_ASSERT_EQUAL(stat(old.path, &st), 0);
	CU_ASSERT_EQUAL(stat(young.path, &st), 0);
	fr_private_close(&old);
	fr_private_close(&young);
	CU_ASSERT_FALSE(t_has_meeting_place());
}

static void test_a_folder_of_the_user_is_not_swept(void)
{
	char folder[] = "/dev/shm/ferrule-results-XXXXXX", file[64];
	const struct timespec long_ago[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
	struct stat st;

	if (!mkdtemp(folder)) {
		t_skip("cannot make a folder in /dev/shm");
		return;
	}
	snprintf(file, sizeof(file), "%s/s", folder);
	close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	utimensat(AT_FDCWD, folder, long_ago, 0);
	struct fr_private_socket s = listen_or_fail();

	fr_private_close(&s);
	CU_ASSERT_EQUAL(stat(file, &st), 0);
	unlink(file);
	rmdir(folder);
}

static void test_connecting_fails_at_once(void)
{
	CU_ASSERT(fr_private_connect("/dev/shm/ferrule-1-nobody/s") < 0 && errno == ENOENT);
	CU_ASSERT(fr_private_connect("") < 0);
	struct fr_private_socket s = {.fd = -1};
	fr_private_close(&s);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"a process of this user comes in", test_a_process_of_this_user_comes_in},
		{"another user does not get as far as the socket",
	         test_another_user_does_not_get_as_far_as_the_socket},
		{"root is not let in for another user", test_root_is_not_let_in_for_another_user},
		{"a mask of the process does not matter",
	         test_a_mask_of_the_process_does_not_matter},
		{"what a killed process left is swept", test_what_a_killed_process_left_is_swept},
		{"a folder of the user is not swept", test_a_folder_of_the_user_is_not_swept},
		{"connecting fails at once", test_connecting_fails_at_once},
		{NULL, NULL},
	};

	return t_main("private_socket", cases);
}
