/* Any bytes as a CSV file: refused with a place, or a data set whose labels are in range. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "tools/train/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fr_train_error error;
	struct fr_dataset d = {0};

	if (!fr_csv_parse("f", (const char *)data, bytes, &d, &error)) {
		if (strncmp(error.text, "f:", 2) != 0)
			abort();
		return 0;
	}
	if (d.n == 0 || d.n_features == 0 || d.n_classes == 0 || d.n_classes > FR_MAX_CLASSES)
		abort();
	for (size_t i = 0; i < d.n; i++)
		if (d.labels[i] >= d.n_classes)
			abort();
	/* Touches every number. */
	for (size_t i = 0; i < d.n * d.n_features; i++)
		if (d.floats[i] != d.floats[i])
			abort();
	fr_dataset_fini(&d);
	return 0;
}
