/* See train_data.h. */
#include "config.h"

#include "tools/train/train_data.h"

#include <float.h>
#include <stdlib.h>

#include <ferrule/coll.h>
#include <ferrule/comm.h>

#include "tools/train/data_file.h"

/* Broadcasts are cut, so that no rank needs scratch for a whole data set. */
#define PIECE_BYTES ((size_t)16 << 20)

static bool broadcast(ferrule_comm_t comm, void *data, size_t bytes, struct fr_train_error *error)
{
	unsigned char *at = data;

	while (bytes > 0) {
		const size_t piece = bytes < PIECE_BYTES ? bytes : PIECE_BYTES;

		if (!fr_train_ok(error, comm,
		                 ferrule_broadcast(comm, at, at, piece, FERRULE_UINT8, 0),
		                 "cannot share the data"))
			return false;
		at += piece;
		bytes -= piece;
	}
	return true;
}

static bool allocate(struct fr_dataset *d, bool is_bytes, struct fr_train_error *error)
{
	const size_t cells = d->n * d->n_features;

	if (is_bytes)
		d->bytes = malloc(cells);
	else
		d->floats = malloc(cells * sizeof(float));
	d->labels = malloc(d->n * sizeof(*d->labels));
	if ((d->bytes || d->floats) && d->labels)
		return true;
	fr_dataset_fini(d);
	return fr_train_fail(error, "no memory for a data set");
}

/* Rank 0 reads `name`; afterwards every rank has it in *out. */
static bool read_and_share(const char *name, ferrule_comm_t comm, struct fr_dataset *out,
                           struct fr_train_error *error)
{
	const bool is_reader = ferrule_comm_rank(comm) == 0;

	if (is_reader && !fr_data_read(name, out, error))
		return false;
	uint64_t shape[4] = {out->n, out->n_features, out->n_classes, out->bytes != NULL};

	if (!broadcast(comm, shape, sizeof(shape), error))
		return false;
	if (!is_reader) {
		out->n = shape[0];
		out->n_features = shape[1];
		out->n_classes = (uint32_t)shape[2];
		if (!allocate(out, shape[3], error))
			return false;
	}
	const size_t cells = out->n * out->n_features;
	void *features = out->bytes ? (void *)out->bytes : (void *)out->floats;

	return broadcast(comm, features, cells * (out->bytes ? 1 : sizeof(float)), error) &&
	       broadcast(comm, out->labels, out->n * sizeof(*out->labels), error);
}

/* Could a model of the training data classify the test data? */
static bool check_test_set(const struct fr_train_data *d, const struct fr_train_options *o,
                           struct fr_train_error *error)
{
	if (d->test_set.n_features != d->set.n_features)
		return fr_train_fail_everywhere(error, "%s has samples of %zu features, %s has %zu",
		                                o->test_data, d->test_set.n_features, o->data,
		                                d->set.n_features);
	if (d->test_set.n_classes > d->set.n_classes)
		return fr_train_fail_everywhere(
			error, "%s has label %u, but %s only has labels up to %u", o->test_data,
			d->test_set.n_classes - 1, o->data, d->set.n_classes - 1);
	return true;
}

bool fr_train_data_load(struct fr_train_data *d, const struct fr_train_options *o,
                        ferrule_comm_t comm, struct fr_train_error *error)
{
	*d = (struct fr_train_data){0};
	if (!read_and_share(o->data, comm, &d->set, error))
		return false;
	if (o->test_data && !(read_and_share(o->test_data, comm, &d->test_set, error) &&
	                      check_test_set(d, o, error)))
		return false;
	if (!fr_split_init(&d->split, d->set.n, o->test_data ? 0 : o->test_fraction, o->seed,
	                   error))
		return false;

	const float max = fr_dataset_max(&d->set, d->split.train, d->split.n_train);

	d->scale = max >= FLT_MIN ? 1 / max : 1;
	d->crc = fr_dataset_crc(&d->set);
	return true;
}

void fr_train_data_fini(struct fr_train_data *d)
{
	fr_dataset_fini(&d->set);
	fr_dataset_fini(&d->test_set);
	fr_split_fini(&d->split);
}

size_t fr_train_data_n_test(const struct fr_train_data *d)
{
	return d->test_set.n > 0 ? d->test_set.n : d->split.n_test;
}

static void gather(const struct fr_dataset *set, size_t row, float scale, size_t i,
                   struct fr_train_rows out)
{
	fr_dataset_gather(set, row, scale, out.features + i * set->n_features);
	out.labels[i] = set->labels[row];
}

void fr_train_data_gather(const struct fr_train_data *d, const uint64_t *order, size_t n,
                          struct fr_train_rows out)
{
	for (size_t i = 0; i < n; i++)
		gather(&d->set, d->split.train[order[i]], d->scale, i, out);
}

void fr_train_data_gather_test(const struct fr_train_data *d, size_t first, size_t n,
                               struct fr_train_rows out)
{
	for (size_t i = 0; i < n; i++) {
		if (d->test_set.n > 0)
			gather(&d->test_set, first + i, d->scale, i, out);
		else
			gather(&d->set, d->split.test[first + i], d->scale, i, out);
	}
}
