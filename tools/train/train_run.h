/* train_run.h - one training run, from data to the last line. */
#ifndef FR_TRAIN_RUN_H
#define FR_TRAIN_RUN_H

#include "tools/train/train_options.h"

/* fr_train_run - collective; false with the reason on this rank. */
bool fr_train_run(const struct fr_train_options *o, ferrule_comm_t comm,
                  struct fr_train_error *error);

#endif
