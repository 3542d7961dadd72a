#include "tools/launch_output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Ranks are not read from while more than this waits for a reader. */
#define QUEUE_LIMIT (1 << 20)

/* Bytes in memory, taken from the front and added at the back. */
struct buffer {
	char *data;
	size_t begin, end, capacity;
};

/* Where lines go: the launcher's stdout or stderr. */
struct sink {
	int fd;
	bool is_broken; /* nothing can be written any more */
	int error;      /* why something was lost, an errno; 0: nothing was */
	struct buffer queue;
};

/* One rank's stdout or stderr. */
struct stream {
	int rank;
	int read_fd, write_fd; /* -1: closed */
	struct sink *sink;
	struct buffer line; /* the beginning of a line that has not ended yet */
};

struct fr_launch_output {
	int n_streams;
	struct sink sinks[2];
	struct sink *by_fd[2];  /* for stdout and stderr; the same when they are one file */
	struct stream *streams; /* [2 * rank], [2 * rank + 1] */
};

static size_t buffer_length(const struct buffer *b)
{
	return b->end - b->begin;
}

/* Without memory for it, output is lost rather than the job: then false. */
static bool buffer_append(struct buffer *b, const char *data, size_t n)
{
	if (n == 0)
		return true;
	if (b->begin == b->end)
		b->begin = b->end = 0;
	if (b->end + n > b->capacity && b->begin > 0) {
		memmove(b->data, b->data + b->begin, buffer_length(b));
		b->end -= b->begin;
		b->begin = 0;
	}
	if (b->end + n > b->capacity) {
		const size_t capacity = 2 * (b->end + n);
		char *const grown = realloc(b->data, capacity);
		if (!grown)
			return false;
		b->data = grown;
		b->capacity = capacity;
	}
	memcpy(b->data + b->end, data, n);
	b->end += n;
	return true;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static bool is_same_file(int a, int b)
{
	struct stat sa, sb;
	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

static bool open_stream(struct stream *s)
{
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) != 0)
		return false;
	s->read_fd = fds[0];
	s->write_fd = fds[1];
	fcntl(s->read_fd, F_SETFL, O_NONBLOCK);
	return true;
}

struct fr_launch_output *fr_output_create(int n_ranks)
{
	struct fr_launch_output *const o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	o->n_streams = 2 * n_ranks;
	o->streams = calloc((size_t)o->n_streams, sizeof(*o->streams));
	if (!o->streams) {
		free(o);
		return NULL;
	}
	o->sinks[0].fd = STDOUT_FILENO;
	o->sinks[1].fd = STDERR_FILENO;
	o->by_fd[0] = &o->sinks[0];
	o->by_fd[1] = &o->sinks[is_same_file(STDOUT_FILENO, STDERR_FILENO) ? 0 : 1];
	for (int i = 0; i < o->n_streams; i++) {
		o->streams[i].rank = i / 2;
		o->streams[i].read_fd = o->streams[i].write_fd = -1;
		o->streams[i].sink = o->by_fd[i % 2];
	}
	for (int i = 0; i < o->n_streams; i++) {
		if (!open_stream(&o->streams[i])) {
			fr_output_destroy(o);
			return NULL;
		}
	}
	return o;
}

void fr_output_destroy(struct fr_launch_output *o)
{
	if (!o)
		return;
	for (int i = 0; i < o->n_streams; i++) {
		close_fd(&o->streams[i].read_fd);
		close_fd(&o->streams[i].write_fd);
		free(o->streams[i].line.data);
	}
	free(o->sinks[0].queue.data);
	free(o->sinks[1].queue.data);
	free(o->streams);
	free(o);
}

void fr_output_child(struct fr_launch_output *o, int rank)
{
	dup2(o->streams[2 * rank].write_fd, STDOUT_FILENO);
	dup2(o->streams[2 * rank + 1].write_fd, STDERR_FILENO);
	/* A rank that is a function never execs, so close-on-exec is not enough: other ranks'
	 * write ends kept open here would hide that those ranks have ended. */
	for (int i = 0; i < o->n_streams; i++) {
		close_fd(&o->streams[i].read_fd);
		close_fd(&o->streams[i].write_fd);
	}
}

void fr_output_parent(struct fr_launch_output *o, int rank)
{
	close_fd(&o->streams[2 * rank].write_fd);
	close_fd(&o->streams[2 * rank + 1].write_fd);
}

int fr_output_n_fds(const struct fr_launch_output *o)
{
	return o->n_streams + 2;
}

int fr_output_poll_fds(struct fr_launch_output *o, struct pollfd *fds)
{
	int n = 0;
	for (int i = 0; i < 2; i++) {
		const struct sink *const sink = &o->sinks[i];
		if (!sink->is_broken && buffer_length(&sink->queue) > 0)
			fds[n++] = (struct pollfd){.fd = sink->fd, .events = POLLOUT};
	}
	for (int i = 0; i < o->n_streams; i++) {
		const struct stream *const s = &o->streams[i];
		if (s->read_fd >= 0 && buffer_length(&s->sink->queue) < QUEUE_LIMIT)
			fds[n++] = (struct pollfd){.fd = s->read_fd, .events = POLLIN};
	}
	return n;
}

/* A rank whose output nobody reads any more learns it as without us: by SIGPIPE.  What does not fit
 * a full disk is thrown away, and the ranks go on: their work is worth more than their words. */
static void break_sink(struct fr_launch_output *o, struct sink *sink, int error)
{
	sink->is_broken = true;
	sink->error = error;
	sink->queue.begin = sink->queue.end = 0;
	if (error != EPIPE)
		return;
	for (int i = 0; i < o->n_streams; i++) {
		if (o->streams[i].sink == sink)
			close_fd(&o->streams[i].read_fd);
	}
}

/* PIPE_BUF bytes never block after POLLOUT; more might. */
static void write_sink(struct fr_launch_output *o, struct sink *sink)
{
	struct buffer *const q = &sink->queue;
	const size_t n = buffer_length(q) < PIPE_BUF ? buffer_length(q) : PIPE_BUF;
	const ssize_t written = write(sink->fd, q->data + q->begin, n);
	if (written >= 0)
		q->begin += (size_t)written;
	else if (errno != EINTR && errno != EAGAIN)
		break_sink(o, sink, errno);
}

static void queue_line(struct stream *s, const char *rest, size_t n)
{
	char tag[24];
	if (s->sink->is_broken)
		return;
	const int tag_length = snprintf(tag, sizeof(tag), "[%d] ", s->rank);
	const size_t held = buffer_length(&s->line); /* a buffer that is empty may have no memory */
	if (!buffer_append(&s->sink->queue, tag, (size_t)tag_length) ||
	    (held > 0 && !buffer_append(&s->sink->queue, s->line.data + s->line.begin, held)) ||
	    !buffer_append(&s->sink->queue, rest, n))
		s->sink->error = ENOMEM;
	s->line.begin = s->line.end = 0;
}

static void read_stream(struct stream *s)
{
	char data[65536];
	const ssize_t n = read(s->read_fd, data, sizeof(data));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		if (buffer_length(&s->line) > 0)
			queue_line(s, "\n", 1);
		close_fd(&s->read_fd);
		return;
	}
	size_t begin = 0;
	while (begin < (size_t)n) {
		const char *const newline = memchr(data + begin, '\n', (size_t)n - begin);
		if (!newline) {
			if (!buffer_append(&s->line, data + begin, (size_t)n - begin))
				s->sink->error = ENOMEM;
			return;
		}
		const size_t end = (size_t)(newline - data) + 1;
		queue_line(s, data + begin, end - begin);
		begin = end;
	}
}

void fr_output_progress(struct fr_launch_output *o, const struct pollfd *fds, int n)
{
	for (int i = 0; i < n; i++) {
		if (!fds[i].revents)
			continue;
		for (int k = 0; k < 2; k++) {
			struct sink *const sink = &o->sinks[k];
			if (fds[i].events == POLLOUT && sink->fd == fds[i].fd && !sink->is_broken)
				write_sink(o, sink);
		}
		for (int k = 0; k < o->n_streams && fds[i].events == POLLIN; k++) {
			if (o->streams[k].read_fd == fds[i].fd)
				read_stream(&o->streams[k]);
		}
	}
}

void fr_output_note(struct fr_launch_output *o, const char *line)
{
	struct sink *const sink = o->by_fd[1];

	if (!sink->is_broken && !buffer_append(&sink->queue, line, strlen(line)))
		sink->error = ENOMEM;
}

int fr_output_error(const struct fr_launch_output *o, const char **which_out)
{
	for (int i = 0; i < 2; i++) {
		*which_out = i ? "standard error" : "standard output";
		if (o->sinks[i].error)
			return o->sinks[i].error;
	}
	return 0;
}

bool fr_output_is_drained(const struct fr_launch_output *o)
{
	for (int i = 0; i < o->n_streams; i++) {
		if (o->streams[i].read_fd >= 0)
			return false;
	}
	for (int i = 0; i < 2; i++) {
		if (!o->sinks[i].is_broken && buffer_length(&o->sinks[i].queue) > 0)
			return false;
	}
	return true;
}
