/* See data_file.h. */
#include "config.h"

#include "tools/train/data_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "tools/train/csv.h"
#include "tools/train/idx.h"

/* A small gzip file may claim to be endless; stop where no data set of this tool goes. */
#define MAX_BYTES  ((size_t)8 << 30)
#define READ_BYTES ((size_t)1 << 20)
/* How long the first byte of a pipe may take. */
#define WRITER_MS 30000

struct contents {
	unsigned char *bytes;
	size_t n;
};

/* Reads to the end, growing; the file stays open. */
static bool read_stream(const char *path, gzFile file, struct contents *c,
                        struct fr_train_error *error)
{
	size_t capacity = 0;

	for (;;) {
		if (capacity - c->n < READ_BYTES) {
			capacity = 2 * capacity + READ_BYTES;
			unsigned char *grown = realloc(c->bytes, capacity);

			if (!grown)
				return fr_train_fail(error, "%s: no memory for its %zu bytes", path,
				                     capacity);
			c->bytes = grown;
		}
		const int got = gzread(file, c->bytes + c->n, (unsigned)READ_BYTES);
		int code = Z_OK;
		const char *what = got < (int)READ_BYTES ? gzerror(file, &code) : "";

		if (code != Z_OK && code != Z_STREAM_END)
			return fr_train_fail(error, "%s: %s", path,
			                     code == Z_ERRNO ? strerror(errno) : what);
		if (got <= 0)
			return true;
		c->n += (size_t)got;
		if (c->n > MAX_BYTES)
			return fr_train_fail(error, "%s: more than %zu bytes of data", path,
			                     MAX_BYTES);
	}
}

/* A pipe that nobody has written to for long is a mistake; -1 with errno otherwise. */
static int open_data(const char *path)
{
	struct stat st;
	/* Else opening a pipe would wait for a writer for ever. */
	const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -1;
	fcntl(fd, F_SETFL, O_RDONLY);
	struct pollfd wait = {.fd = fd, .events = POLLIN};

	if (!fstat(fd, &st) && S_ISFIFO(st.st_mode) && poll(&wait, 1, WRITER_MS) == 0) {
		close(fd);
		errno = ETIMEDOUT;
		return -1;
	}
	return fd;
}

static bool read_contents(const char *path, struct contents *c, struct fr_train_error *error)
{
	struct stat st;
	const int fd = open_data(path);

	if (fd < 0 && errno == ETIMEDOUT)
		return fr_train_fail(error, "%s: nobody has written to this pipe for %d seconds",
		                     path, WRITER_MS / 1000);
	if (fd < 0)
		return fr_train_fail(error, "%s: %s", path, strerror(errno));
	if (!fstat(fd, &st) && S_ISDIR(st.st_mode)) {
		close(fd);
		return fr_train_fail(error, "%s: is a directory", path);
	}
	gzFile file = gzdopen(fd, "rb");

	if (!file) {
		close(fd);
		return fr_train_fail(error, "%s: no memory to read it", path);
	}
	const bool ok = read_stream(path, file, c, error);
	const int code = gzclose_r(file);

	/* A gzip file that ends too early is only found out at the end. */
	if (ok && code != Z_OK)
		return fr_train_fail(error, "%s: %s", path,
		                     code == Z_BUF_ERROR ? "truncated gzip data"
		                                         : "damaged gzip data");
	return ok;
}

static bool read_csv(const char *path, struct fr_dataset *out, struct fr_train_error *error)
{
	struct contents c = {0};
	bool ok = read_contents(path, &c, error);

	if (ok && fr_idx_is(c.bytes, c.n))
		ok = fr_train_fail(
			error, "%s: is an IDX file; give images and labels as IMAGES:LABELS", path);
	ok = ok && fr_csv_parse(path, (const char *)c.bytes, c.n, out, error);
	free(c.bytes);
	return ok;
}

static bool read_idx(const char *images, const char *labels, struct fr_dataset *out,
                     struct fr_train_error *error)
{
	struct contents x = {0}, y = {0};
	bool ok = read_contents(images, &x, error) && read_contents(labels, &y, error);

	if (ok) {
		const struct fr_idx_file image_file = {images, x.bytes, x.n};
		const struct fr_idx_file label_file = {labels, y.bytes, y.n};

		ok = fr_idx_parse(&image_file, &label_file, out, error);
	}
	free(x.bytes);
	free(y.bytes);
	return ok;
}

bool fr_data_read(const char *name, struct fr_dataset *out, struct fr_train_error *error)
{
	const char *colon = strchr(name, ':');

	/* A file with a colon in its name is still one file. */
	if (!colon || access(name, F_OK) == 0)
		return read_csv(name, out, error);
	char *images = strndup(name, (size_t)(colon - name));

	if (!images)
		return fr_train_fail(error, "%s: no memory for the name", name);
	const bool ok = read_idx(images, colon + 1, out, error);

	free(images);
	return ok;
}
