#include "tools/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/out_file.h"
#include "tools/program_path.h"

#define PIECE_BYTES 65536

bool fr_gnuplot_is_there(char *why, size_t n)
{
	char path[4096];

	if (fr_program_find("gnuplot", path, sizeof(path)))
		return true;
	snprintf(why, n,
	         "needs the program gnuplot, which is not in PATH "
	         "(Debian: apt install gnuplot-nox)");
	return false;
}

/* Only the quote itself is special there. */
void fr_gnuplot_quote(FILE *script, const char *text)
{
	fputc('\'', script);
	for (; *text; text++) {
		if (*text == '\'')
			fputc('\'', script);
		fputc(*text, script);
	}
	fputc('\'', script);
}

static bool fail(char *why, size_t n, const char *doing)
{
	snprintf(why, n, "cannot %s: %s", doing, strerror(errno));
	return false;
}

/* Its process, which writes to *out; -1 when it cannot be started. */
static pid_t start(int script, int *out)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0)
		return -1;
	const pid_t pid = fork();
	if (pid == 0) {
		dup2(script, STDIN_FILENO);
		dup2(fds[1], STDOUT_FILENO);
		execlp("gnuplot", "gnuplot", "-", (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	if (pid < 0)
		close(fds[0]);
	*out = fds[0];
	return pid;
}

/* All that comes until the other end closes, to free(); NULL without memory or after an error. */
static char *read_all(int fd, size_t *n_out)
{
	char *bytes = NULL;
	size_t used = 0, capacity = 0;

	while (true) {
		if (capacity - used < PIECE_BYTES) {
			capacity = 2 * capacity + PIECE_BYTES;
			char *const grown = realloc(bytes, capacity);
			if (!grown)
				break;
			bytes = grown;
		}
		const ssize_t got = read(fd, bytes + used, PIECE_BYTES);
		if (got == 0) {
			*n_out = used;
			return bytes;
		}
		if (got < 0 && errno != EINTR)
			break;
		used += got > 0 ? (size_t)got : 0;
	}
	free(bytes);
	return NULL;
}

/* What it draws, to free(). */
static char *run(int script, size_t *n_out, char *why, size_t n)
{
	int fd, status;
	const pid_t pid = start(script, &fd);

	if (pid < 0) {
		fail(why, n, "run gnuplot");
		return NULL;
	}
	char *picture = read_all(fd, n_out);
	if (!picture)
		fail(why, n, "read what gnuplot draws");
	close(fd);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR) {
			fail(why, n, "wait for gnuplot");
			free(picture);
			return NULL;
		}
	}
	if (picture && (status != 0 || *n_out == 0)) {
		if (status != 0)
			snprintf(why, n, "gnuplot failed with status %d",
			         WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
		else
			snprintf(why, n, "gnuplot drew nothing");
		free(picture);
		return NULL;
	}
	return picture;
}

bool fr_gnuplot_draw(FILE *script, const char *path, char *why, size_t n)
{
	size_t n_bytes = 0;

	if (fflush(script) != 0 || ferror(script) || lseek(fileno(script), 0, SEEK_SET) != 0)
		return fail(why, n, "write a script for gnuplot");
	char *const picture = run(fileno(script), &n_bytes, why, n);
	const bool is_drawn = picture && fr_out_put(path, picture, n_bytes, why, n);
	free(picture);
	return is_drawn;
}
