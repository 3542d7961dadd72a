/* dataset.h - labelled samples in memory, and which of them train and which test. */
#ifndef FR_DATASET_H
#define FR_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/train/train_error.h"

/* Labels are 0 to FR_MAX_CLASSES - 1. */
#define FR_MAX_CLASSES 65536

/* n samples of n_features numbers each, one row after the other.  Images stay bytes, a
 * quarter of the memory; exactly one of the two pointers is set when n > 0. */
struct fr_dataset {
	size_t n, n_features;
	uint32_t n_classes; /* largest label + 1 */
	float *floats;
	unsigned char *bytes;
	uint32_t *labels;
};

/* fr_dataset_fini - frees what parsing allocated; the struct is empty afterwards. */
void fr_dataset_fini(struct fr_dataset *d);
/* fr_dataset_gather - row `i`, multiplied by `scale`, as floats. */
void fr_dataset_gather(const struct fr_dataset *d, size_t i, float scale, float *row_out);
/* fr_dataset_max - largest absolute feature of rows[0..n_rows). */
float fr_dataset_max(const struct fr_dataset *d, const uint64_t *rows, size_t n_rows);
/* fr_dataset_crc - CRC-32 of features and labels: is it the same data? */
uint32_t fr_dataset_crc(const struct fr_dataset *d);

/* Row numbers of one data set, apart; each ascending. */
struct fr_split {
	uint64_t *train, *test; /* one allocation, at train */
	size_t n_train, n_test;
};
/* fr_split_init - a seeded choice of floor(n * test_fraction) rows for testing. */
bool fr_split_init(struct fr_split *s, size_t n, double test_fraction, uint64_t seed,
                   struct fr_train_error *error);
void fr_split_fini(struct fr_split *s);

#endif
