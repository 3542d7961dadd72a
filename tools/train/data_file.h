/* data_file.h - data sets from files, plain or gzip. */
#ifndef FR_DATA_FILE_H
#define FR_DATA_FILE_H

#include "tools/train/dataset.h"

/* fr_data_read - `name` is a CSV file or IMAGES:LABELS, two IDX files; each may be gzip,
 * recognised by its contents. */
bool fr_data_read(const char *name, struct fr_dataset *out, struct fr_train_error *error);

#endif
