/* A checkpoint's file is replaced as a whole or not at all, whatever lies in its place. */
#include "config.h"

#include "lib/trainer/checkpoint_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "tests/support/t_main.h"

#define NOBODY 65534

/* ---- system calls that this program has its own of, and what they do besides ---- */

static struct {
	bool has_no_tmpfile; /* a file system without O_TMPFILE */
	bool has_no_proc;    /* a file without a name cannot get one */
	char order[16];      /* f: a file was synced, d: a folder, r: something was renamed */
} fake;

static void note(char what)
{
	const size_t n = strlen(fake.order);

	if (n + 1 < sizeof(fake.order))
		fake.order[n] = what;
}

int openat(int folder, const char *path, int flags, ...)
{
	va_list arguments;

	va_start(arguments, flags);
	const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);
	if (fake.has_no_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return (int)syscall(SYS_openat, folder, path, flags, mode);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
	if (fake.has_no_proc) {
		errno = ENOENT;
		return -1;
	}
	return (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
	note('r');
	return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, 0);
}

int fsync(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0)
		note(S_ISDIR(st.st_mode) ? 'd' : 'f');
	return (int)syscall(SYS_fsync, fd);
}

/* The three ways by which a new file comes into being. */
static bool next_way(void)
{
	if (fake.has_no_proc) {
		memset(&fake, 0, sizeof(fake));
		return false;
	}
	fake.has_no_proc = fake.has_no_tmpfile;
	fake.has_no_tmpfile = !fake.has_no_tmpfile;
	return true;
}

/* ---- a folder for every case ---- */

static char folder[40], path[64];

static void set_up(void)
{
	strcpy(folder, "test-checkpoint-file-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/c", folder);
}

/* A name in the folder; good until the next but three. */
static const char *in(const char *name)
{
	static char names[4][320];
	static int next;
	char *const out = names[next++ % 4];

	snprintf(out, sizeof(names[0]), "%s/%s", folder, name);
	return out;
}

/* Files in the folder, hidden ones too. */
static int count(void)
{
	DIR *const entries = opendir(folder);
	const struct dirent *entry;
	int n = 0;

	while (entries && (entry = readdir(entries)))
		n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	if (entries)
		closedir(entries);
	return n;
}

static void tear_down(void)
{
	DIR *const entries = opendir(folder);
	const struct dirent *entry;

	while (entries && (entry = readdir(entries))) {
		if (unlink(in(entry->d_name)) != 0)
			rmdir(in(entry->d_name));
	}
	if (entries)
		closedir(entries);
	rmdir(folder);
}

static ferrule_status_t save(const char *where, const char *text)
{
	memset(fake.order, 0, sizeof(fake.order));
	return fr_checkpoint_write(where, (const unsigned char *)text, strlen(text));
}

static void put(const char *where, const char *text)
{
	FILE *const f = fopen(where, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs(text, f);
	fclose(f);
}

static bool holds(const char *where, const char *text)
{
	char got[64] = "";
	FILE *const f = fopen(where, "r");
	const size_t n = f ? fread(got, 1, sizeof(got) - 1, f) : 0;

	if (f)
		fclose(f);
	return f && n == strlen(text) && strcmp(got, text) == 0;
}

/* Refused with this in its text, and nothing else is in the folder than before. */
static void refuse(const char *where, const char *text)
{
	const int before = count();

	CU_ASSERT_EQUAL(save(where, "new"), FERRULE_ERR_SYSTEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), text));
	CU_ASSERT_EQUAL(count(), before);
}

/* ---- cases ---- */

static void test_a_file_is_made_and_replaced(void)
{
	do {
		set_up();
		CU_ASSERT_EQUAL(save(path, "old"), FERRULE_OK);
		CU_ASSERT_TRUE(holds(path, "old"));
		CU_ASSERT_EQUAL(save(path, "new"), FERRULE_OK);
		CU_ASSERT_TRUE(holds(path, "new"));
		CU_ASSERT_EQUAL(count(), 1);
		tear_down();
	} while (next_way());
}

static void test_it_is_on_disk_before_it_is_seen_and_then_its_folder(void)
{
	set_up();
	CU_ASSERT_EQUAL(save(path, "new"), FERRULE_OK);
	CU_ASSERT_STRING_EQUAL(fake.order, "frd");
	fake.has_no_tmpfile = true;
	CU_ASSERT_EQUAL(save(path, "new"), FERRULE_OK);
	CU_ASSERT_STRING_EQUAL(fake.order, "frd");
	fake.has_no_tmpfile = false;
	tear_down();
}

static void test_links_are_followed(void)
{
	char absolute[4096];

	set_up();
	put(in("file"), "old");
	CU_ASSERT_EQUAL_FATAL(mkdir(in("sub"), 0700), 0);
	CU_ASSERT_EQUAL_FATAL(symlink("../file", in("sub/one")), 0);
	CU_ASSERT_EQUAL_FATAL(symlink("sub/one", in("two")), 0);
	CU_ASSERT_EQUAL(save(in("two"), "new"), FERRULE_OK);
	CU_ASSERT_TRUE(holds(in("file"), "new"));
	/* To what is not there yet, by a path from the root. */
	CU_ASSERT_PTR_NOT_NULL_FATAL(realpath(folder, absolute));
	strncat(absolute, "/later", sizeof(absolute) - strlen(absolute) - 1);
	CU_ASSERT_EQUAL_FATAL(symlink(absolute, in("three")), 0);
	CU_ASSERT_EQUAL(save(in("three"), "new"), FERRULE_OK);
	CU_ASSERT_TRUE(holds(in("later"), "new"));
	CU_ASSERT_EQUAL_FATAL(symlink("loop", in("loop")), 0);
	CU_ASSERT_EQUAL(save(in("loop"), "new"), FERRULE_ERR_SYSTEM);
	for (const char *const *name = (const char *const[]){"two", "three", "sub/one", NULL};
	     *name; name++) {
		struct stat st;
		CU_ASSERT_EQUAL(lstat(in(*name), &st), 0);
		CU_ASSERT_TRUE(S_ISLNK(st.st_mode));
	}
	CU_ASSERT_EQUAL(count(), 6);
	unlink(in("sub/one"));
	tear_down();
}

static void test_what_is_no_file_is_refused(void)
{
	set_up();
	CU_ASSERT_EQUAL_FATAL(mkfifo(in("pipe"), 0600), 0);
	CU_ASSERT_EQUAL_FATAL(symlink("pipe", in("to-pipe")), 0);
	CU_ASSERT_EQUAL_FATAL(mkdir(in("directory"), 0700), 0);
	CU_ASSERT_EQUAL_FATAL(symlink("/dev/null", in("device")), 0);
	refuse(in("pipe"), "is a pipe; ");
	refuse(in("to-pipe"), "is a pipe; ");
	refuse(in("directory"), "is a directory; ");
	refuse(in("absent/"), "directory");
	refuse(in("device"), "is a device; ");
	refuse("/dev/null", "is a device; ");
	refuse(in("no/c"), "cannot open the folder");
	tear_down();
}

static void test_permissions_and_owner_are_handed_on(void)
{
	struct stat st;

	set_up();
	const mode_t mask = umask(027);
	CU_ASSERT_EQUAL(save(path, "old"), FERRULE_OK);
	umask(mask);
	CU_ASSERT_EQUAL_FATAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0640);
	do {
		chmod(path, 0604);
		if (geteuid() == 0)
			CU_ASSERT_EQUAL(chown(path, NOBODY, NOBODY), 0);
		CU_ASSERT_EQUAL(save(path, "new"), FERRULE_OK);
		CU_ASSERT_EQUAL_FATAL(stat(path, &st), 0);
		CU_ASSERT_EQUAL(st.st_mode & 07777, 0604);
		CU_ASSERT_EQUAL(st.st_uid, geteuid() == 0 ? NOBODY : geteuid());
	} while (next_way());
	tear_down();
}

static void test_a_file_that_is_write_protected_stays(void)
{
	set_up();
	put(path, "kept");
	chmod(path, 0444);
	/* Root may write everything. */
	const bool was_root = geteuid() == 0;
	if (was_root)
		CU_ASSERT_EQUAL_FATAL(chown(folder, NOBODY, NOBODY) ||
		                              chown(path, NOBODY, NOBODY) || seteuid(NOBODY),
		                      0);
	CU_ASSERT_EQUAL(save(path, "new"), FERRULE_ERR_SYSTEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), "Permission denied"));
	if (was_root)
		CU_ASSERT_EQUAL_FATAL(seteuid(0), 0);
	CU_ASSERT_TRUE(holds(path, "kept"));
	tear_down();
}

static void test_a_full_disk_leaves_the_old_one(void)
{
	struct rlimit before, small;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	small = before;
	small.rlim_cur = 5;
	set_up();
	CU_ASSERT_EQUAL(save(path, "old"), FERRULE_OK);
	do {
		setrlimit(RLIMIT_FSIZE, &small);
		const ferrule_status_t status = save(path, "longer than five");
		setrlimit(RLIMIT_FSIZE, &before);
		CU_ASSERT_EQUAL(status, FERRULE_ERR_SYSTEM);
		CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), "cannot write the checkpoint: "));
		CU_ASSERT_TRUE(holds(path, "old"));
		CU_ASSERT_EQUAL(count(), 1);
	} while (next_way());
	signal(SIGXFSZ, SIG_DFL);
	tear_down();
}

static void test_names_that_can_be_guessed_are_not_used(void)
{
	char planted[40];

	set_up();
	put(in("victim"), "mine");
	snprintf(planted, sizeof(planted), "c.tmp-%d", (int)getpid());
	CU_ASSERT_EQUAL_FATAL(symlink("victim", in(planted)), 0);
	CU_ASSERT_EQUAL(save(path, "new"), FERRULE_OK);
	CU_ASSERT_TRUE(holds(in("victim"), "mine"));
	CU_ASSERT_EQUAL(count(), 3);
	tear_down();
}

static void test_a_link_that_a_stranger_planted_is_not_followed(void)
{
	if (geteuid() != 0) {
		t_skip("only root can be the stranger");
		return;
	}
	set_up();
	chmod(folder, 01777);
	put(in("victim"), "mine");
	CU_ASSERT_EQUAL_FATAL(symlink("victim", path), 0);
	CU_ASSERT_EQUAL_FATAL(lchown(path, NOBODY, NOBODY), 0);
	refuse(path, "another user");
	CU_ASSERT_TRUE(holds(in("victim"), "mine"));
	tear_down();
}

static void test_files_of_dead_writers_are_swept(void)
{
	set_up();
	put(in(".ferrule-checkpoint-0123456789abcdef"), "half");
	put(in(".ferrule-checkpoint-fedcba9876543210"), "half");
	put(in(".ferrule-checkpoint-of-somebody-else"), "kept");
	put(in(".ferrule-checkpoint-0123456789ABCDEF"), "kept");
	/* The second one's writer lives. */
	const int fd = open(in(".ferrule-checkpoint-fedcba9876543210"), O_RDWR | O_CLOEXEC);
	CU_ASSERT_EQUAL_FATAL(flock(fd, LOCK_EX), 0);
	CU_ASSERT_EQUAL(save(path, "new"), FERRULE_OK);
	CU_ASSERT_EQUAL(access(in(".ferrule-checkpoint-0123456789abcdef"), F_OK), -1);
	CU_ASSERT_EQUAL(count(), 4);
	close(fd);
	CU_ASSERT_EQUAL(save(path, "new"), FERRULE_OK);
	CU_ASSERT_EQUAL(count(), 3);
	/* What belongs to another user is not ours to remove; only root can make such a file. */
	const char *const theirs = in(".ferrule-checkpoint-0000000000000000");
	put(theirs, "half");
	if (chown(theirs, NOBODY, NOBODY) == 0) {
		CU_ASSERT_EQUAL(save(path, "new"), FERRULE_OK);
		CU_ASSERT_EQUAL(count(), 4);
	}
	tear_down();
}

int main(void)
{
	static const struct t_case cases[] = {
		{"a file is made and replaced", test_a_file_is_made_and_replaced},
		{"it is on disk before it is seen, and then its folder",
	         test_it_is_on_disk_before_it_is_seen_and_then_its_folder},
		{"links are followed", test_links_are_followed},
		{"what is no file is refused", test_what_is_no_file_is_refused},
		{"permissions and owner are handed on", test_permissions_and_owner_are_handed_on},
		{"a file that is write-protected stays", test_a_file_that_is_write_protected_stays},
		{"a full disk leaves the old one", test_a_full_disk_leaves_the_old_one},
		{"names that can be guessed are not used",
	         test_names_that_can_be_guessed_are_not_used},
		{"a link that a stranger planted is not followed",
	         test_a_link_that_a_stranger_planted_is_not_followed},
		{"files of dead writers are swept", test_files_of_dead_writers_are_swept},
		{NULL, NULL},
	};

	return t_main("checkpoint file", cases);
}
