/* See dataset.h. */
#include "config.h"

#include "tools/train/dataset.h"

#include <math.h>
#include <stdlib.h>
#include <zlib.h>

#include <ferrule/trainer.h>

/* Stream of ferrule_random_init() for the split; initial weights take another. */
#define SPLIT_STREAM 1

void fr_dataset_fini(struct fr_dataset *d)
{
	free(d->floats);
	free(d->bytes);
	free(d->labels);
	*d = (struct fr_dataset){0};
}

void fr_dataset_gather(const struct fr_dataset *d, size_t i, float scale, float *row_out)
{
	if (d->bytes) {
		const unsigned char *row = d->bytes + i * d->n_features;

		for (size_t j = 0; j < d->n_features; j++)
			row_out[j] = (float)row[j] * scale;
		return;
	}
	const float *row = d->floats + i * d->n_features;

	for (size_t j = 0; j < d->n_features; j++)
		row_out[j] = row[j] * scale;
}

static float row_max(const struct fr_dataset *d, size_t i)
{
	float max = 0;

	for (size_t j = 0; j < d->n_features; j++) {
		const size_t at = i * d->n_features + j;
		const float x = d->bytes ? (float)d->bytes[at] : fabsf(d->floats[at]);

		max = x > max ? x : max;
	}
	return max;
}

float fr_dataset_max(const struct fr_dataset *d, const uint64_t *rows, size_t n_rows)
{
	float max = 0;

	for (size_t r = 0; r < n_rows; r++) {
		const float x = row_max(d, rows[r]);

		max = x > max ? x : max;
	}
	return max;
}

uint32_t fr_dataset_crc(const struct fr_dataset *d)
{
	const size_t cells = d->n * d->n_features;
	uLong crc = crc32_z(0, NULL, 0);

	if (d->n == 0)
		return (uint32_t)crc;
	if (d->bytes)
		crc = crc32_z(crc, d->bytes, cells);
	else
		crc = crc32_z(crc, (const unsigned char *)d->floats, cells * sizeof(float));
	crc = crc32_z(crc, (const unsigned char *)d->labels, d->n * sizeof(*d->labels));
	return (uint32_t)crc;
}

bool fr_split_init(struct fr_split *s, size_t n, double test_fraction, uint64_t seed,
                   struct fr_train_error *error)
{
	uint64_t *rows = calloc(n > 0 ? n : 1, sizeof(*rows));
	struct ferrule_random r;
	size_t n_left = (size_t)((double)n * test_fraction), train = 0, test = 0;

	if (!rows)
		return fr_train_fail(error, "no memory to split %zu samples", n);
	s->n_test = n_left;
	s->n_train = n - n_left;
	s->train = rows;
	s->test = rows + s->n_train;
	/* Selection sampling (Knuth, algorithm S): each row in turn, with the right odds. */
	ferrule_random_init(&r, seed, SPLIT_STREAM);
	for (size_t i = 0; i < n; i++) {
		if (ferrule_random_below(&r, n - i) < n_left) {
			s->test[test++] = i;
			n_left--;
		} else {
			s->train[train++] = i;
		}
	}
	return true;
}

void fr_split_fini(struct fr_split *s)
{
	free(s->train);
	*s = (struct fr_split){0};
}
