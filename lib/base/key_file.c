#include "config.h"

#include "lib/base/key_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/machine_id.h"
#include "lib/base/wire.h"

#define PREFIX        "ferrule-key-"
#define N_FOLDERS     4
#define FOLDER_BYTES  96
#define NAME_BYTES    48
#define STALE_SECONDS 60
/* A folder may be removed by another process between being made and being used. */
#define MAKE_TRIES 100

struct folder {
	char path[FOLDER_BYTES]; /* "": there is none of this kind */
	bool is_made;            /* by who needs it */
};

static void list_folders(struct folder out[N_FOLDERS])
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	const unsigned uid = (unsigned)geteuid();

	memset(out, 0, N_FOLDERS * sizeof(*out));
	if (runtime && runtime[0] == '/' && strlen(runtime) < FOLDER_BYTES)
		strcpy(out[0].path, runtime);
	snprintf(out[1].path, FOLDER_BYTES, "/run/user/%u", uid);
	snprintf(out[2].path, FOLDER_BYTES, "/dev/shm/ferrule-%u", uid);
	snprintf(out[3].path, FOLDER_BYTES, "/tmp/ferrule-%u", uid);
	out[2].is_made = out[3].is_made = true;
}

char *fr_key_file_folders(char *buf, size_t bytes)
{
	struct folder folders[N_FOLDERS];
	size_t used = 0;

	list_folders(folders);
	buf[0] = '\0';
	for (int i = 0; i < N_FOLDERS && used < bytes; i++)
		if (folders[i].path[0])
			used += (size_t)snprintf(buf + used, bytes - used, "%s%s",
			                         used > 0 ? ", " : "", folders[i].path);
	return buf;
}

/* Is it this user's, and closed to all others? */
static bool is_private(const struct stat *st)
{
	return st->st_uid == geteuid() && !(st->st_mode & (S_IRWXG | S_IRWXO));
}

/* A descriptor of the folder, or -1 with errno; EPERM when others can look into it. */
static int open_folder(const struct folder *folder, bool make)
{
	struct stat st;

	if (make && folder->is_made && mkdir(folder->path, S_IRWXU) != 0 && errno != EEXIST)
		return -1;
	/* No symbolic link: it could lead to a folder of ours that is meant for something else. */
	const int fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && is_private(&st))
		return fd;
	close(fd);
	errno = EPERM;
	return -1;
}

static void make_name(const char *purpose, char name[NAME_BYTES])
{
	char text[512];
	unsigned char digest[FR_AUTH_KEY_BYTES];

	snprintf(text, sizeof(text), "key file %016llx %s", (unsigned long long)fr_network_id(),
	         purpose);
	fr_auth_derive(text, digest);
	snprintf(name, NAME_BYTES, PREFIX "%016llx", (unsigned long long)fr_load_le64(digest));
}

/* Removes what killed processes left; never what is locked, or so young that it may be soon. */
static void sweep(int folder_fd)
{
	const int listed = dup(folder_fd);
	DIR *dir = listed >= 0 ? fdopendir(listed) : NULL;

	if (!dir) {
		if (listed >= 0)
			close(listed);
		return;
	}
	for (const struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		struct stat st;

		if (strncmp(e->d_name, PREFIX, strlen(PREFIX)) != 0)
			continue;
		const int fd = openat(folder_fd, e->d_name,
		                      O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		    time(NULL) - st.st_mtime > STALE_SECONDS && flock(fd, LOCK_EX | LOCK_NB) == 0)
			unlinkat(folder_fd, e->d_name, 0);
		close(fd);
	}
	closedir(dir);
}

/* Locked and whole before it has its name.  The descriptor, or -1 with errno. */
static int write_file(int folder_fd, const char *name, const unsigned char *key)
{
	unsigned char random[8];
	char fresh[2 * NAME_BYTES];

	fr_random(random, sizeof(random));
	snprintf(fresh, sizeof(fresh), "%s-%016llx", name,
	         (unsigned long long)fr_load_le64(random));
	const int fd =
		openat(folder_fd, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	               S_IRUSR | S_IWUSR);
	if (fd < 0)
		return -1;
	/* The mask of the process may have taken our own right. */
	if (fchmod(fd, S_IRUSR | S_IWUSR) == 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
	    write(fd, key, FR_AUTH_KEY_BYTES) == FR_AUTH_KEY_BYTES &&
	    renameat(folder_fd, fresh, folder_fd, name) == 0)
		return fd;
	const int error = errno;
	unlinkat(folder_fd, fresh, 0);
	close(fd);
	errno = error;
	return -1;
}

static bool publish_in(const struct folder *folder, const char *name, const unsigned char *key,
                       struct fr_key_file *f)
{
	for (int i = 0; i < MAKE_TRIES; i++) {
		const int folder_fd = open_folder(folder, true);
		if (folder_fd < 0 && errno == ENOENT && folder->is_made)
			continue;
		if (folder_fd < 0)
			return false;
		sweep(folder_fd);
		f->fd = write_file(folder_fd, name, key);
		const int error = errno;
		close(folder_fd);
		if (f->fd >= 0) {
			f->owns_folder = folder->is_made;
			snprintf(f->path, sizeof(f->path), "%.95s/%.47s", folder->path, name);
			return true;
		}
		errno = error;
		if (error != ENOENT)
			return false;
	}
	return false;
}

bool fr_key_file_publish(struct fr_key_file *f, const char *purpose,
                         unsigned char key_out[FR_AUTH_KEY_BYTES], char *why, size_t why_bytes)
{
	struct folder folders[N_FOLDERS];
	char name[NAME_BYTES];
	size_t used = 0;

	*f = (struct fr_key_file)FR_KEY_FILE_NONE;
	list_folders(folders);
	make_name(purpose, name);
	fr_random(key_out, FR_AUTH_KEY_BYTES);
	for (int i = 0; i < N_FOLDERS; i++) {
		if (!folders[i].path[0])
			continue;
		if (publish_in(&folders[i], name, key_out, f))
			return true;
		const char *reason = errno == EPERM ? "others can look into it" : strerror(errno);
		if (used < why_bytes)
			used += (size_t)snprintf(why + used, why_bytes - used, "%s%s: %s",
			                         used > 0 ? ", " : "", folders[i].path, reason);
	}
	return false;
}

/* A file that is ours alone, whole, and locked by somebody who lives. */
static bool read_file(int folder_fd, const char *name, unsigned char *key)
{
	const int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return false;
	const bool is_ours = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && is_private(&st) &&
	                     st.st_size == FR_AUTH_KEY_BYTES;
	const bool is_live = is_ours && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
	const bool ok = is_live && read(fd, key, FR_AUTH_KEY_BYTES) == FR_AUTH_KEY_BYTES;
	close(fd);
	return ok;
}

bool fr_key_file_read(const char *purpose, unsigned char key_out[FR_AUTH_KEY_BYTES])
{
	struct folder folders[N_FOLDERS];
	char name[NAME_BYTES];
	bool found = false;

	list_folders(folders);
	make_name(purpose, name);
	for (int i = 0; i < N_FOLDERS && !found; i++) {
		const int fd = folders[i].path[0] ? open_folder(&folders[i], false) : -1;
		if (fd < 0)
			continue;
		found = read_file(fd, name, key_out);
		close(fd);
	}
	return found;
}

/* Is the name still that of our file?  A later job may have given it to its own. */
static bool is_still_ours(const struct fr_key_file *f)
{
	struct stat mine, named;

	return fstat(f->fd, &mine) == 0 && lstat(f->path, &named) == 0 &&
	       mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
}

void fr_key_file_remove(struct fr_key_file *f)
{
	if (f->fd < 0)
		return;
	if (is_still_ours(f))
		unlink(f->path);
	close(f->fd);
	if (f->owns_folder) {
		/* Goes when it is empty. */
		*strrchr(f->path, '/') = '\0';
		rmdir(f->path);
	}
	*f = (struct fr_key_file)FR_KEY_FILE_NONE;
}
