/* Checkpoints among ranks; see ferrule/trainer.h.  What is on disk: checkpoint_file.h. */
#include "config.h"

#include <ferrule/trainer.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ferrule/coll.h>
#include <ferrule/comm.h>

#include "lib/base/error.h"
#include "lib/trainer/checkpoint_file.h"
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

static ferrule_status_t encode_and_write(const char *path, const struct ferrule_checkpoint *c,
                                         int n_ranks)
{
	const size_t n = fr_checkpoint_bytes(c);
	unsigned char *bytes = malloc(n);

	if (!bytes)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for a checkpoint of %zu bytes",
		                n);
	fr_checkpoint_encode(c, n_ranks, bytes);
	const ferrule_status_t status = fr_checkpoint_write(path, bytes, n);

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

/* Rank 0's part of load: read and check.  Sets *bytes_out even when the check failed. */
static ferrule_status_t read_and_check(const char *path, const struct ferrule_checkpoint *c,
                                       unsigned char **bytes_out, size_t *n_out)
{
	struct fr_checkpoint_view view;
	ferrule_status_t status = fr_checkpoint_read(path, bytes_out, n_out);

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
