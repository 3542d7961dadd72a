/* train_data.h - the data of a run, the same on every rank. */
#ifndef FR_TRAIN_DATA_H
#define FR_TRAIN_DATA_H

#include "tools/train/dataset.h"
#include "tools/train/train_options.h"

struct fr_train_data {
	struct fr_dataset set;      /* training rows, and test rows without --test-data */
	struct fr_dataset test_set; /* empty without --test-data */
	struct fr_split split;      /* of `set` */
	float scale;                /* makes the largest training feature 1 */
	uint32_t crc;               /* of `set` */
};

/*
 * fr_train_data_load - collective.  Rank 0 reads the files and broadcasts them: ranks on
 * hosts without the file work, all see the same bytes even while a file is being replaced,
 * and parsing, the dearer part, is done once.
 */
bool fr_train_data_load(struct fr_train_data *d, const struct fr_train_options *o,
                        ferrule_comm_t comm, struct fr_train_error *error);
void fr_train_data_fini(struct fr_train_data *d);

/* fr_train_data_n_test - how many samples there are to test with. */
size_t fr_train_data_n_test(const struct fr_train_data *d);

/* Samples as the model takes them: n_features floats a row, and labels. */
struct fr_train_rows {
	float *features;
	unsigned *labels;
};
/* fr_train_data_gather - the training samples order[0..n), or the test samples first to
 * first + n - 1. */
void fr_train_data_gather(const struct fr_train_data *d, const uint64_t *order, size_t n,
                          struct fr_train_rows out);
void fr_train_data_gather_test(const struct fr_train_data *d, size_t first, size_t n,
                               struct fr_train_rows out);

#endif
