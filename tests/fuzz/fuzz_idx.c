/* Any bytes as two IDX files: the first byte is the length of the images, the rest follow. */
#include "config.h"

#include <stdlib.h>

#include "tools/train/idx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fr_train_error error;
	struct fr_dataset d = {0};

	if (bytes < 1)
		return 0;
	const size_t n_images = data[0] < bytes - 1 ? data[0] : bytes - 1;
	const struct fr_idx_file images = {"x", data + 1, n_images};
	const struct fr_idx_file labels = {"y", data + 1 + n_images, bytes - 1 - n_images};

	if (!fr_idx_parse(&images, &labels, &d, &error))
		return 0;
	/* It cannot have grown: every sample and label is a byte of the input. */
	if (d.n == 0 || d.n * d.n_features > n_images || d.n_classes > 256)
		abort();
	for (size_t i = 0; i < d.n; i++)
		if (d.labels[i] >= d.n_classes)
			abort();
	fr_dataset_fini(&d);
	return 0;
}
