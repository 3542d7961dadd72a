/* Checkpoints on disk and among ranks; see ferrule/trainer.h and checkpoint_format.h. */
#include "config.h"

#include <ferrule/trainer.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ferrule/coll.h>
#include <ferrule/comm.h>

#include "lib/base/error.h"
#include "lib/trainer/checkpoint_format.h"
#include "lib/trainer/optimizer_state.h"

/* What rank 0 tells the others about its work on the file. */
struct verdict {
	int64_t status;
	uint64_t bytes; /* of the file, when status is OK */
	char text[1024];
};

/* Rank 0's verdict becomes everybody's, with its text. */
static ferrule_status_t share_verdict(ferrule_comm_t comm, struct verdict *v)
{
	const ferrule_status_t status = ferrule_broadcast(comm, v, v, sizeof(*v), FERRULE_UINT8, 0);

	if (status)
		return status;
	if (v->status == FERRULE_OK)
		return FERRULE_OK;
	return fr_error((ferrule_status_t)v->status, "%s", v->text);
}

static void set_verdict(struct verdict *v, ferrule_status_t status, const char *path)
{
	v->status = status;
	if (status)
		snprintf(v->text, sizeof(v->text), "%s: %s", path, fr_error_text());
}

static ferrule_status_t check_arguments(const char *path, const struct ferrule_checkpoint *c)
{
	if (!path || !*path)
		return fr_error(FERRULE_ERR_ARGUMENT, "path of the checkpoint is empty");
	if (!c || c->size != sizeof(*c))
		return fr_error(FERRULE_ERR_ARGUMENT, "checkpoint of %zu bytes; size must be %zu",
		                c ? c->size : 0, sizeof(*c));
	if (!c->config || strlen(c->config) > FERRULE_CHECKPOINT_MAX_CONFIG)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "checkpoint's config must be a text of at most %d bytes",
		                FERRULE_CHECKPOINT_MAX_CONFIG);
	if (!c->optimizer || c->optimizer->n_params != c->n_params)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "checkpoint needs an optimizer for its %zu parameters",
		                c->n_params);
	if (!c->params && c->n_params > 0)
		return fr_error(FERRULE_ERR_ARGUMENT, "checkpoint has no params");
	return FERRULE_OK;
}

static ferrule_status_t write_all(int fd, const unsigned char *bytes, size_t n)
{
	while (n > 0) {
		const ssize_t done = write(fd, bytes, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return fr_error(FERRULE_ERR_SYSTEM, "cannot write the checkpoint: %s",
			                strerror(errno));
		bytes += done;
		n -= (size_t)done;
	}
	return FERRULE_OK;
}

/* A rename is on disk only when its directory is. */
static ferrule_status_t sync_directory_of(const char *path)
{
	char copy[PATH_MAX];

	snprintf(copy, sizeof(copy), "%s", path);
	const int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fr_error(FERRULE_ERR_SYSTEM, "cannot open the directory: %s",
		                strerror(errno));
	/* Some file systems cannot sync directories, and say so with EINVAL. */
	const int failed = fsync(fd) && errno != EINVAL ? errno : 0;

	close(fd);
	if (failed)
		return fr_error(FERRULE_ERR_SYSTEM, "cannot sync the directory: %s",
		                strerror(failed));
	return FERRULE_OK;
}

static ferrule_status_t write_synced(const char *path, const unsigned char *bytes, size_t n)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);

	if (fd < 0)
		return fr_error(FERRULE_ERR_SYSTEM, "cannot create %s: %s", path, strerror(errno));
	ferrule_status_t status = write_all(fd, bytes, n);

	if (!status && fsync(fd))
		status = fr_error(FERRULE_ERR_SYSTEM, "cannot sync the checkpoint: %s",
		                  strerror(errno));
	if (close(fd) && !status)
		status = fr_error(FERRULE_ERR_SYSTEM, "cannot close the checkpoint: %s",
		                  strerror(errno));
	if (status)
		unlink(path);
	return status;
}

static ferrule_status_t write_file(const char *path, const unsigned char *bytes, size_t n)
{
	char temporary[PATH_MAX];
	const int length =
		snprintf(temporary, sizeof(temporary), "%s.tmp-%ld", path, (long)getpid());

	if (length < 0 || (size_t)length >= sizeof(temporary))
		return fr_error(FERRULE_ERR_ARGUMENT, "path is longer than %d bytes", PATH_MAX);
	const ferrule_status_t status = write_synced(temporary, bytes, n);

	if (status)
		return status;
	if (rename(temporary, path)) {
		const int failed = errno;

		unlink(temporary);
		return fr_error(FERRULE_ERR_SYSTEM, "cannot rename the new checkpoint: %s",
		                strerror(failed));
	}
	return sync_directory_of(path);
}

static ferrule_status_t encode_and_write(const char *path, const struct ferrule_checkpoint *c,
                                         int n_ranks)
{
	const size_t n = fr_checkpoint_bytes(c);
	unsigned char *bytes = malloc(n);

	if (!bytes)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for a checkpoint of %zu bytes",
		                n);
	fr_checkpoint_encode(c, n_ranks, bytes);
	const ferrule_status_t status = write_file(path, bytes, n);

	free(bytes);
	return status;
}

ferrule_status_t ferrule_checkpoint_save(ferrule_comm_t comm, const char *path,
                                         const struct ferrule_checkpoint *c)
{
	const ferrule_status_t status = check_arguments(path, c);
	struct verdict v = {.status = FERRULE_OK};

	if (status)
		return status;
	if (ferrule_comm_rank(comm) == 0)
		set_verdict(&v, encode_and_write(path, c, ferrule_comm_size(comm)), path);
	return share_verdict(comm, &v);
}

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

/* The whole file in fresh memory, which the caller frees. */
static ferrule_status_t read_file(const char *path, unsigned char **bytes_out, size_t *n_out)
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

/* Rank 0's part of load: read and check.  Sets *bytes_out even when the check failed. */
static ferrule_status_t read_and_check(const char *path, const struct ferrule_checkpoint *c,
                                       unsigned char **bytes_out, size_t *n_out)
{
	struct fr_checkpoint_view view;
	ferrule_status_t status = read_file(path, bytes_out, n_out);

	if (!status)
		status = fr_checkpoint_decode(*bytes_out, *n_out, &view);
	if (!status)
		status = fr_checkpoint_match(&view, c);
	return status;
}

/* Gives rank 0's bytes to all, and checks them again where they arrive. */
static ferrule_status_t receive_and_apply(ferrule_comm_t comm, unsigned char *bytes, size_t n,
                                          struct ferrule_checkpoint *c)
{
	struct fr_checkpoint_view view;
	ferrule_status_t status = ferrule_broadcast(comm, bytes, bytes, n, FERRULE_UINT8, 0);

	if (!status)
		status = fr_checkpoint_decode(bytes, n, &view);
	if (!status)
		status = fr_checkpoint_match(&view, c);
	if (!status)
		fr_checkpoint_apply(&view, c);
	return status;
}

ferrule_status_t ferrule_checkpoint_load(ferrule_comm_t comm, const char *path,
                                         struct ferrule_checkpoint *c)
{
	struct verdict v = {.status = FERRULE_OK};
	unsigned char *bytes = NULL;
	size_t n = 0;
	ferrule_status_t status = check_arguments(path, c);

	if (status)
		return status;
	if (ferrule_comm_rank(comm) == 0) {
		set_verdict(&v, read_and_check(path, c, &bytes, &n), path);
		v.bytes = n;
	}
	status = share_verdict(comm, &v);
	if (!status && !bytes) {
		n = v.bytes;
		bytes = malloc(n);
		if (!bytes) {
			status = fr_error(FERRULE_ERR_NO_MEMORY,
			                  "no memory for a checkpoint of %zu bytes", n);
			/* The others already wait for this rank in the broadcast. */
			ferrule_comm_abort(comm, fr_error_text());
		}
	}
	if (!status)
		status = receive_and_apply(comm, bytes, n, c);
	free(bytes);
	return status;
}
