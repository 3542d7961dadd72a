#include "tools/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Why standard output could not be written, the first time; 0: it could.  A stream only keeps that
 * something failed, and what a failed fflush() had to write is gone when the last one succeeds. */
static int stdout_errno;

void fr_streams_open(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		/* The lowest free descriptor is `fd`, as those below are taken by now.  Read-only:
		 * what is written there must fail.  Not close-on-exec, so that ranks have it too.
		 */
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd)
			return;
	}
}

void fr_flush(FILE *stream)
{
	if (fflush(stream) != 0 && stream == stdout && stdout_errno == 0)
		stdout_errno = errno;
}

int fr_stdout_finish(const char *command, int status, int failed)
{
	fr_flush(stdout);
	/* Some file systems only say when a file is closed that it was not written; the descriptor
	 * itself stays open, so that nothing else becomes standard output. */
	const int copy = dup(STDOUT_FILENO);
	if (copy >= 0 && close(copy) != 0 && errno != EINTR && stdout_errno == 0)
		stdout_errno = errno;
	if (!ferror(stdout) && stdout_errno == 0)
		return status;
	fprintf(stderr, "%s: cannot write standard output%s%s\n", command, stdout_errno ? ": " : "",
	        stdout_errno ? strerror(stdout_errno) : "");
	return status ? status : failed;
}
