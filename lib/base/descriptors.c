#include "config.h"

#include "lib/base/descriptors.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a descriptor was when it was registered. */
struct identity {
	bool is_owned;
	dev_t device;
	ino_t inode;
};

/* By descriptor. */
static struct {
	pthread_mutex_t lock;
	pthread_once_t once;
	struct identity *at;
	int room;
} owned = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT};

static struct identity identity_of(int fd)
{
	struct stat s;

	if (fstat(fd, &s) != 0)
		return (struct identity){.is_owned = false};
	return (struct identity){.is_owned = true, .device = s.st_dev, .inode = s.st_ino};
}

/* ---- fork() ---- */

static void before_fork(void)
{
	pthread_mutex_lock(&owned.lock);
}

static void after_fork_in_parent(void)
{
	pthread_mutex_unlock(&owned.lock);
}

static void after_fork_in_child(void)
{
	for (int fd = 0; fd < owned.room; fd++) {
		const struct identity was = owned.at[fd];

		if (!was.is_owned)
			continue;
		const struct identity is = identity_of(fd);

		if (is.is_owned && is.device == was.device && is.inode == was.inode)
			close(fd);
		owned.at[fd].is_owned = false;
	}
	pthread_mutex_init(&owned.lock, NULL);
}

static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* ---- the list ---- */

/* With the lock held: is there a place for it? */
static bool has_room(int fd)
{
	const int room = fd < 64 ? 64 : 2 * fd;

	if (fd < owned.room)
		return true;
	struct identity *at = realloc(owned.at, (size_t)room * sizeof(*at));

	if (!at)
		return false;
	for (int i = owned.room; i < room; i++)
		at[i] = (struct identity){.is_owned = false};
	owned.at = at;
	owned.room = room;
	return true;
}

int fr_fd_own(int fd)
{
	const int saved_errno = errno;

	if (fd < 0)
		return fd;
	pthread_once(&owned.once, watch_forks);
	pthread_mutex_lock(&owned.lock);
	if (has_room(fd))
		owned.at[fd] = identity_of(fd);
	pthread_mutex_unlock(&owned.lock);
	errno = saved_errno;
	return fd;
}

void fr_fd_forget(int fd)
{
	pthread_mutex_lock(&owned.lock);
	if (fd >= 0 && fd < owned.room)
		owned.at[fd].is_owned = false;
	pthread_mutex_unlock(&owned.lock);
}

void fr_fd_close(int fd)
{
	const int saved_errno = errno;

	/* In this order: the number may be another's as soon as it is closed. */
	fr_fd_forget(fd);
	close(fd);
	errno = saved_errno;
}
