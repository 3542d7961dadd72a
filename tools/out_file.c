#include "tools/out_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long a pipe's reader may take to come: it may be started at the same time. */
#define READER_TICKS 500
#define TICK_US      10000
/* How long it may take to read what is left in the pipe. */
#define DRAIN_TICKS   1000
#define DRAIN_TICK_MS 2

static bool is_pipe(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* Opening a pipe for writing would wait for a reader for ever. */
static int open_pipe(const char *path)
{
	int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

	for (int i = 0; fd < 0 && errno == ENXIO && i < READER_TICKS; i++) {
		usleep(TICK_US);
		fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	}
	/* A reader that is slow slows us down, as in any pipeline. */
	if (fd >= 0)
		fcntl(fd, F_SETFL, O_WRONLY);
	return fd;
}

static int open_other(const char *path, bool keep)
{
	const int flags = O_CREAT | O_NOCTTY | O_CLOEXEC | (keep ? 0 : O_TRUNC);
	const int fd = open(path, O_RDWR | flags, 0666);

	/* What may be written but not read needs no reading. */
	return fd < 0 && errno == EACCES ? open(path, O_WRONLY | flags, 0666) : fd;
}

FILE *fr_out_open(const char *path, bool keep, char *why, size_t n)
{
	const int fd = is_pipe(path) ? open_pipe(path) : open_other(path, keep);

	if (fd < 0) {
		snprintf(why, n, "cannot write to %s: %s", path,
		         errno == ENXIO ? "nobody reads from this pipe" : strerror(errno));
		return NULL;
	}
	const bool is_readable = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR;
	FILE *const f = fdopen(fd, is_readable ? "r+" : "w");
	if (!f) {
		snprintf(why, n, "cannot write to %s: %s", path, strerror(errno));
		close(fd);
	}
	return f;
}

bool fr_out_is_file(FILE *f)
{
	struct stat st;

	return fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode) &&
	       (fcntl(fileno(f), F_GETFL) & O_ACCMODE) == O_RDWR;
}

bool fr_out_flush(FILE *f, char *why, size_t n)
{
	errno = 0;
	if (fflush(f) == 0 && !ferror(f)) {
		/* Some file systems only say when a file is closed that it was not written. */
		const int copy = dup(fileno(f));
		if (copy >= 0 && close(copy) == 0)
			return true;
	}
	snprintf(why, n, "%s", errno ? strerror(errno) : "a part of it was lost before");
	return false;
}

void fr_out_close(FILE *f)
{
	struct pollfd reader = {.fd = fileno(f)};
	int unread;

	/* Of anything but a pipe FIONREAD means something else. */
	const bool is_pipe_end = lseek(fileno(f), 0, SEEK_CUR) < 0 && errno == ESPIPE &&
	                         !isatty(fileno(f)) && fflush(f) == 0;
	for (int i = 0; is_pipe_end && i < DRAIN_TICKS; i++) {
		if (ioctl(fileno(f), FIONREAD, &unread) != 0 || unread == 0)
			break;
		/* No event is asked for: this sees that the reader has gone, or waits. */
		if (poll(&reader, 1, DRAIN_TICK_MS) != 0)
			break;
	}
	fclose(f);
}

bool fr_out_put(const char *path, const void *bytes, size_t n_bytes, char *why, size_t n)
{
	char reason[128];
	FILE *const f = fr_out_open(path, false, why, n);

	if (!f)
		return false;
	errno = 0;
	const bool is_written = fwrite(bytes, 1, n_bytes, f) == n_bytes;
	const int error = errno;
	bool is_done = fr_out_flush(f, reason, sizeof(reason)) && is_written;
	if (!is_done) {
		snprintf(why, n, "cannot write to %s: %s", path,
		         !is_written && error ? strerror(error) : reason);
		if (fr_out_is_file(f) && ftruncate(fileno(f), 0) != 0)
			snprintf(why, n, "cannot write to %s, which is cut off now: %s", path,
			         strerror(errno));
	}
	fr_out_close(f);
	return is_done;
}
