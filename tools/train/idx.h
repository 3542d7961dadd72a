/* idx.h - images and labels in the IDX format of MNIST. */
#ifndef FR_IDX_H
#define FR_IDX_H

#include "tools/train/dataset.h"

/* One file's contents, and the name that errors give it. */
struct fr_idx_file {
	const char *name;
	const unsigned char *bytes;
	size_t n;
};

/*
 * fr_idx_parse - unsigned-byte images (2 to 4 dimensions: count, then the sample's shape) and
 * unsigned-byte labels (1 dimension), of equal count.  Magic, dimensions and the exact file
 * sizes are checked before anything is allocated.  Pure.
 */
bool fr_idx_parse(const struct fr_idx_file *images, const struct fr_idx_file *labels,
                  struct fr_dataset *out, struct fr_train_error *error);

/* fr_idx_is - does it begin like an IDX file? */
bool fr_idx_is(const unsigned char *bytes, size_t n);

#endif
