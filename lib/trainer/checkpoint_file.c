/*
 * checkpoint_file.c - replacing a file at once, and reading it.
 *
 * Design notes.  The new file grows without a name (O_TMPFILE) where the file system can do that,
 * so that nothing is left of a writer that dies; else under a random name that nobody could have
 * planted (O_EXCL).  linkat() cannot replace a file, so in both cases the last step is a rename
 * from such a name.  Its writer holds a lock on the file until then: a file of such a name that can
 * be locked has lost its writer, on whatever host that was, and is swept away by the next one.
 */
#include "config.h"

#include "lib/trainer/checkpoint_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"

#define PREFIX     ".ferrule-checkpoint-"
#define DIGITS     16
#define NAME_BYTES (sizeof(PREFIX) + DIGITS)
#define MAX_LINKS  40
#define MAX_TRIES  16

/* One replacement under way. */
struct job {
	char target[PATH_MAX];      /* behind all links */
	const char *name;           /* its last part */
	int folder;                 /* that holds it */
	bool is_new;                /* there is no such file yet */
	struct stat before;         /* of the file that is replaced */
	int fd;                     /* of the temporary file */
	char temporary[NAME_BYTES]; /* its name in the folder; "" while it has none */
};

static ferrule_status_t system_error(const char *doing)
{
	return fr_error(FERRULE_ERR_SYSTEM, "cannot %s: %s", doing, strerror(errno));
}

/* ---- where to ---- */

static const char *kind_of(mode_t mode)
{
	return S_ISDIR(mode)                    ? "a directory"
	       : S_ISFIFO(mode)                 ? "a pipe"
	       : S_ISSOCK(mode)                 ? "a socket"
	       : S_ISCHR(mode) || S_ISBLK(mode) ? "a device"
	                                        : "no regular file";
}

/* The path of the folder that `path` lies in. */
static void folder_of(const char *path, char folder[PATH_MAX])
{
	const char *const slash = strrchr(path, '/');

	if (!slash)
		strcpy(folder, ".");
	else if (slash == path)
		strcpy(folder, "/");
	else
		snprintf(folder, PATH_MAX, "%.*s", (int)(slash - path), path);
}

/*
 * Would the kernel follow this link?  With fs.protected_symlinks it does not follow one that a
 * stranger has put into a folder that everybody may write, such as /tmp; reading a link by itself
 * is not covered by that.
 */
static bool is_planted(const char *link)
{
	char path[PATH_MAX];
	struct stat st, folder;

	folder_of(link, path);
	if (lstat(link, &st) != 0 || stat(path, &folder) != 0)
		return false;
	return (folder.st_mode & (S_ISVTX | S_IWOTH)) == (S_ISVTX | S_IWOTH) &&
	       st.st_uid != geteuid() && st.st_uid != folder.st_uid;
}

/* job->target: where the last of a chain of links leads, whether or not something is there. */
static ferrule_status_t follow_links(struct job *job, const char *path)
{
	char link[PATH_MAX], folder[PATH_MAX], next[2 * PATH_MAX];

	if (strlen(path) >= PATH_MAX)
		return fr_error(FERRULE_ERR_ARGUMENT, "path is longer than %d bytes", PATH_MAX - 1);
	strcpy(job->target, path);
	for (int i = 0; i < MAX_LINKS; i++) {
		const ssize_t n = readlink(job->target, link, sizeof(link) - 1);

		/* No link, or nothing at all; what else is wrong shows as soon as it is used. */
		if (n < 0)
			return FERRULE_OK;
		if (is_planted(job->target))
			return fr_error(FERRULE_ERR_SYSTEM,
			                "%s is a symbolic link that another user has put into a "
			                "folder which everybody may write",
			                job->target);
		link[n] = '\0';
		folder_of(job->target, folder);
		snprintf(next, sizeof(next), "%s%s%s", link[0] == '/' ? "" : folder,
		         link[0] == '/' ? "" : "/", link);
		if (strlen(next) >= PATH_MAX)
			return fr_error(FERRULE_ERR_ARGUMENT,
			                "a symbolic link leads to a path of more than %d bytes",
			                PATH_MAX - 1);
		strcpy(job->target, next);
	}
	return fr_error(FERRULE_ERR_SYSTEM, "more than %d symbolic links, one behind the other",
	                MAX_LINKS);
}

static ferrule_status_t look_at_target(struct job *job, const char *path)
{
	/* By the path as it was given: links in /proc lead to things that have no path. */
	job->is_new = stat(path, &job->before) != 0;
	if (job->is_new && errno != ENOENT)
		return system_error("look at the file");
	if (!job->is_new && !S_ISREG(job->before.st_mode))
		return fr_error(FERRULE_ERR_SYSTEM,
		                "is %s; a checkpoint is replaced as a whole, which takes a regular "
		                "file",
		                kind_of(job->before.st_mode));
	if (!job->is_new && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) != 0)
		return system_error("replace the file");
	return FERRULE_OK;
}

static ferrule_status_t open_folder(struct job *job)
{
	char folder[PATH_MAX];
	const char *const slash = strrchr(job->target, '/');

	job->name = slash ? slash + 1 : job->target;
	if (!job->name[0])
		return fr_error(FERRULE_ERR_SYSTEM, "is the name of a directory");
	folder_of(job->target, folder);
	job->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (job->folder < 0)
		return fr_error(FERRULE_ERR_SYSTEM, "cannot open the folder %s: %s", folder,
		                strerror(errno));
	return FERRULE_OK;
}

/* ---- what others left ---- */

static bool is_temporary(const char *name)
{
	return strncmp(name, PREFIX, sizeof(PREFIX) - 1) == 0 && strlen(name) == NAME_BYTES - 1 &&
	       strspn(name + sizeof(PREFIX) - 1, "0123456789abcdef") == DIGITS;
}

/* Removes a temporary file of this user whose writer has died: then nobody holds its lock. */
static void sweep_one(int folder, const char *name)
{
	struct stat st;
	const int fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	    flock(fd, LOCK_EX | LOCK_NB) == 0)
		unlinkat(folder, name, 0);
	close(fd);
}

static void sweep(int folder)
{
	const int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *const entries = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!entries) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(entries))) {
		if (is_temporary(entry->d_name))
			sweep_one(folder, entry->d_name);
	}
	closedir(entries);
}

/* ---- the new file ---- */

static void draw_name(char name[NAME_BYTES])
{
	uint64_t random = 0;

	/* Without randomness O_EXCL still keeps strangers out, and the next try differs. */
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
		random = (uint64_t)getpid() << 32 ^ fr_clock_ns();
	snprintf(name, NAME_BYTES, PREFIX "%016llx", (unsigned long long)random);
}

/* What is replaced may be less readable than a new file: nobody sees more before that is set. */
static mode_t mode_of(const struct job *job)
{
	return job->is_new ? 0666 : 0600;
}

/* A file system without locks gives none to those who sweep either. */
static bool is_lockable(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

static ferrule_status_t create_named(struct job *job)
{
	for (int i = 0; i < MAX_TRIES; i++) {
		struct stat st;

		draw_name(job->temporary);
		job->fd = openat(job->folder, job->temporary,
		                 O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode_of(job));
		if (job->fd < 0 && errno == EEXIST)
			continue;
		if (job->fd < 0)
			break;
		/* Somebody may sweep between open and lock. */
		if (is_lockable(job->fd) && fstat(job->fd, &st) == 0 && st.st_nlink > 0)
			return FERRULE_OK;
		close(job->fd);
		job->fd = -1;
		errno = EEXIST;
	}
	job->temporary[0] = '\0';
	return system_error("create a temporary file in its folder");
}

static ferrule_status_t create(struct job *job)
{
	job->fd = openat(job->folder, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, mode_of(job));
	if (job->fd < 0)
		return create_named(job);
	/* It has no name under which anybody could sweep it, but will have. */
	(void)is_lockable(job->fd);
	return FERRULE_OK;
}

static ferrule_status_t write_all(int fd, const unsigned char *bytes, size_t n)
{
	while (n > 0) {
		const ssize_t done = write(fd, bytes, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done == 0)
			errno = ENOSPC;
		if (done <= 0)
			return system_error("write the checkpoint");
		bytes += done;
		n -= (size_t)done;
	}
	return FERRULE_OK;
}

/*
 * The owner, the group and the permissions of the file that is replaced.  Only root may give files
 * away; a group that cannot be kept must not hand its rights to another one.
 */
static void take_over(const struct job *job)
{
	mode_t mode = job->before.st_mode & 0777;

	if (job->is_new)
		return;
	if (fchown(job->fd, job->before.st_uid, job->before.st_gid) != 0 &&
	    fchown(job->fd, (uid_t)-1, job->before.st_gid) != 0)
		mode = (mode & 0707) | (mode & 0007) << 3;
	/* Where that fails the file stays for its owner alone. */
	if (fchmod(job->fd, mode) != 0)
		return;
}

/* On disk, and closed as far as a file system may only then say that something went wrong: the
 * descriptor itself holds the lock. */
static ferrule_status_t sync_file(int fd)
{
	if (fsync(fd) != 0)
		return system_error("sync the checkpoint");
	const int copy = dup(fd);
	if (copy < 0 || close(copy) != 0)
		return system_error("close the checkpoint");
	return FERRULE_OK;
}

static ferrule_status_t fill(struct job *job, const unsigned char *bytes, size_t n)
{
	const ferrule_status_t status = write_all(job->fd, bytes, n);

	if (status)
		return status;
	take_over(job);
	return sync_file(job->fd);
}

/* Gives a file without a name one; false when that cannot be done here. */
static bool name_it(struct job *job)
{
	char self[40];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", job->fd);
	for (int i = 0; i < MAX_TRIES; i++) {
		draw_name(job->temporary);
		if (linkat(AT_FDCWD, self, job->folder, job->temporary, AT_SYMLINK_FOLLOW) == 0)
			return true;
		if (errno != EEXIST)
			break;
	}
	job->temporary[0] = '\0';
	return false;
}

/* A file with all bytes under a temporary name. */
static ferrule_status_t prepare(struct job *job, const unsigned char *bytes, size_t n)
{
	ferrule_status_t status = create(job);

	if (status == FERRULE_OK)
		status = fill(job, bytes, n);
	if (status != FERRULE_OK || job->temporary[0] || name_it(job))
		return status;
	/* Without /proc, say: then with a name from the beginning. */
	close(job->fd);
	status = create_named(job);
	return status == FERRULE_OK ? fill(job, bytes, n) : status;
}

/* A rename is on disk only when its folder is. */
static ferrule_status_t sync_folder(int folder)
{
	/* Some file systems cannot sync directories, and say so with EINVAL. */
	if (fsync(folder) != 0 && errno != EINVAL)
		return system_error("sync the folder");
	return FERRULE_OK;
}

static ferrule_status_t replace(struct job *job, const unsigned char *bytes, size_t n)
{
	ferrule_status_t status = prepare(job, bytes, n);

	if (status == FERRULE_OK &&
	    renameat(job->folder, job->temporary, job->folder, job->name) != 0)
		status = system_error("rename the new checkpoint");
	else if (status == FERRULE_OK)
		status = sync_folder(job->folder);
	if (status != FERRULE_OK && job->temporary[0])
		unlinkat(job->folder, job->temporary, 0);
	if (job->fd >= 0)
		close(job->fd);
	return status;
}

ferrule_status_t fr_checkpoint_write(const char *path, const unsigned char *bytes, size_t n)
{
	struct job job = {.folder = -1, .fd = -1};
	ferrule_status_t status = follow_links(&job, path);

	if (status == FERRULE_OK)
		status = look_at_target(&job, path);
	if (status == FERRULE_OK)
		status = open_folder(&job);
	if (status != FERRULE_OK)
		return status;
	sweep(job.folder);
	status = replace(&job, bytes, n);
	close(job.folder);
	return status;
}

/* ---- reading ---- */

static ferrule_status_t read_all(int fd, unsigned char *bytes, size_t n)
{
	while (n > 0) {
		const ssize_t done = read(fd, bytes, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return fr_error(FERRULE_ERR_SYSTEM, "cannot read the checkpoint: %s",
			                strerror(errno));
		if (done == 0)
			return fr_error(FERRULE_ERR_SYSTEM,
			                "the checkpoint became shorter while it was read");
		bytes += done;
		n -= (size_t)done;
	}
	return FERRULE_OK;
}

ferrule_status_t fr_checkpoint_read(const char *path, unsigned char **bytes_out, size_t *n_out)
{
	ferrule_status_t status = FERRULE_OK;
	struct stat st;
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return fr_error(FERRULE_ERR_SYSTEM, "cannot open the checkpoint: %s",
		                strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return fr_error(FERRULE_ERR_ARGUMENT, "the checkpoint is not a regular file");
	}
	const size_t n = (size_t)st.st_size;
	unsigned char *bytes = malloc(n > 0 ? n : 1);

	if (!bytes)
		status = fr_error(FERRULE_ERR_NO_MEMORY, "no memory for a checkpoint of %zu bytes",
		                  n);
	else
		status = read_all(fd, bytes, n);
	close(fd);
	if (status) {
		free(bytes);
		return status;
	}
	*bytes_out = bytes;
	*n_out = n;
	return FERRULE_OK;
}
