/* Keys that processes of one user share through a file, and nobody else. */
#include "config.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/key_file.h"
#include "tests/support/t_main.h"
#include "tests/support/t_spawn.h"

#define NOBODY 65534

static char folder[32];

/* A folder of this test for all that follows. */
static void use_own_folder(mode_t mode)
{
	strcpy(folder, "/tmp/ferrule-test-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	CU_ASSERT_EQUAL(chmod(folder, mode), 0);
	setenv("XDG_RUNTIME_DIR", folder, 1);
}

static struct fr_key_file publish(const char *purpose, unsigned char *key)
{
	struct fr_key_file f;
	char why[500] = "";

	CU_ASSERT_TRUE_FATAL(fr_key_file_publish(&f, purpose, key, why, sizeof(why)));
	return f;
}

static void test_what_is_published_is_read_until_it_is_removed(void)
{
	unsigned char key[FR_AUTH_KEY_BYTES], again[FR_AUTH_KEY_BYTES], read[FR_AUTH_KEY_BYTES];
	struct stat st;

	use_own_folder(0700);
	struct fr_key_file f = publish("one", key);
	CU_ASSERT_EQUAL(strncmp(f.path, folder, strlen(folder)), 0);
	CU_ASSERT_EQUAL_FATAL(stat(f.path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
	CU_ASSERT_TRUE(fr_key_file_read("one", read));
	CU_ASSERT_EQUAL(memcmp(key, read, sizeof(key)), 0);
	CU_ASSERT_FALSE(fr_key_file_read("another", read));
	fr_key_file_remove(&f);
	CU_ASSERT_FALSE(fr_key_file_read("one", read));
	f = publish("one", again);
	CU_ASSERT_NOT_EQUAL(memcmp(key, again, sizeof(key)), 0);
	fr_key_file_remove(&f);
	fr_key_file_remove(&f);
	CU_ASSERT_EQUAL(rmdir(folder), 0);
}

static int publish_and_die(int rank, int n_ranks, void *arg)
{
	unsigned char key[FR_AUTH_KEY_BYTES];

	(void)rank, (void)n_ranks;
	publish(arg, key);
	raise(SIGKILL);
	return 1;
}

static void test_a_killed_process_leaves_no_key_that_is_taken(void)
{
	unsigned char key[FR_AUTH_KEY_BYTES], read[FR_AUTH_KEY_BYTES];
	const struct timespec long_ago[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
	char purpose[] = "killed", other[] = "forgotten", path[FR_KEY_FILE_PATH_BYTES];
	struct stat st;

	use_own_folder(0700);
	CU_ASSERT_EQUAL(t_spawn(1, 10, publish_and_die, purpose, NULL), 1);
	CU_ASSERT_FALSE(fr_key_file_read(purpose, read));
	struct fr_key_file f = publish(purpose, key);
	CU_ASSERT_TRUE(fr_key_file_read(purpose, read));
	CU_ASSERT_EQUAL(memcmp(key, read, sizeof(key)), 0);
	fr_key_file_remove(&f);

	/* One that nobody asks for again is swept by the next. */
	f = publish(other, key);
	strcpy(path, f.path);
	fr_key_file_remove(&f);
	CU_ASSERT_EQUAL(t_spawn(1, 10, publish_and_die, other, NULL), 1);
	CU_ASSERT_EQUAL(utimensat(AT_FDCWD, path, long_ago, 0), 0);
	f = publish(purpose, key);
	CU_ASSERT_NOT_EQUAL(stat(path, &st), 0);
	fr_key_file_remove(&f);
	CU_ASSERT_EQUAL(rmdir(folder), 0);
}

static void test_a_folder_or_file_that_others_could_touch_is_not_used(void)
{
	unsigned char key[FR_AUTH_KEY_BYTES], read[FR_AUTH_KEY_BYTES];

	use_own_folder(0750);
	struct fr_key_file f = publish("open folder", key);
	CU_ASSERT_NOT_EQUAL(strncmp(f.path, folder, strlen(folder)), 0);
	fr_key_file_remove(&f);
	rmdir(folder);

	use_own_folder(0700);
	f = publish("open file", key);
	CU_ASSERT_EQUAL(chmod(f.path, 0640), 0);
	CU_ASSERT_FALSE(fr_key_file_read("open file", read));
	/* A link to a good file, which somebody else could lead elsewhere. */
	char moved[FR_KEY_FILE_PATH_BYTES + 8];
	snprintf(moved, sizeof(moved), "%s-moved", f.path);
	CU_ASSERT_EQUAL(chmod(f.path, 0600), 0);
	CU_ASSERT_TRUE(fr_key_file_read("open file", read));
	CU_ASSERT_EQUAL(rename(f.path, moved), 0);
	CU_ASSERT_EQUAL(symlink(moved, f.path), 0);
	CU_ASSERT_FALSE(fr_key_file_read("open file", read));
	unlink(moved);
	unlink(f.path);
	fr_key_file_remove(&f);
	rmdir(folder);
}

/* Whoever may move the link would choose the folder. */
static void test_a_link_to_a_folder_is_not_followed(void)
{
	unsigned char key[FR_AUTH_KEY_BYTES];
	char link[sizeof(folder) + 8];

	use_own_folder(0700);
	snprintf(link, sizeof(link), "%s-link", folder);
	CU_ASSERT_EQUAL_FATAL(symlink(folder, link), 0);
	setenv("XDG_RUNTIME_DIR", link, 1);
	struct fr_key_file f = publish("link", key);
	CU_ASSERT_NOT_EQUAL(strncmp(f.path, folder, strlen(folder)), 0);
	fr_key_file_remove(&f);
	unlink(link);
	/* Nothing lies in it. */
	CU_ASSERT_EQUAL(rmdir(folder), 0);
}

static int read_as_nobody(int rank, int n_ranks, void *arg)
{
	unsigned char read[FR_AUTH_KEY_BYTES];
	const struct fr_key_file *f = arg;

	(void)rank, (void)n_ranks;
	if (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
		return 77;
	return fr_key_file_read("secret", read) || open(f->path, O_RDONLY | O_CLOEXEC) >= 0;
}

static void test_another_user_does_not_read_it(void)
{
	unsigned char key[FR_AUTH_KEY_BYTES];

	if (geteuid() != 0) {
		t_skip("needs root, to become another user");
		return;
	}
	use_own_folder(0700);
	struct fr_key_file f = publish("secret", key);
	CU_ASSERT_EQUAL(t_spawn(1, 10, read_as_nobody, &f, NULL), 0);
	fr_key_file_remove(&f);
	rmdir(folder);
}

static void test_without_a_folder_of_the_session_one_is_made(void)
{
	unsigned char key[FR_AUTH_KEY_BYTES], read[FR_AUTH_KEY_BYTES];

	setenv("XDG_RUNTIME_DIR", "/nonexistent", 1);
	struct fr_key_file f = publish("no session", key);
	CU_ASSERT_TRUE(fr_key_file_read("no session", read));
	fr_key_file_remove(&f);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"what is published is read until it is removed",
	         test_what_is_published_is_read_until_it_is_removed},
		{"a killed process leaves no key that is taken",
	         test_a_killed_process_leaves_no_key_that_is_taken},
		{"a folder or file that others could touch is not used",
	         test_a_folder_or_file_that_others_could_touch_is_not_used},
		{"a link to a folder is not followed", test_a_link_to_a_folder_is_not_followed},
		{"another user does not read it", test_another_user_does_not_read_it},
		{"without a folder of the session one is made",
	         test_without_a_folder_of_the_session_one_is_made},
		{NULL, NULL},
	};

	return t_main("key_file", cases);
}
