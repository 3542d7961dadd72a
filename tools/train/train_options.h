/* train_options.h - what the command line asked for. */
#ifndef FR_TRAIN_OPTIONS_H
#define FR_TRAIN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferrule/trainer.h>

#include "tools/train/model.h"

struct fr_train_options {
	const char *data;      /* CSV file or IMAGES:LABELS */
	const char *test_data; /* the same; NULL: part of `data` */
	double test_fraction;  /* of `data`, when there is no test_data */
	const char *model;     /* "softmax" or "mlp" */
	int n_hidden;
	size_t hidden[FR_MODEL_MAX_LAYERS - 1];
	struct ferrule_optimizer_options optimizer;
	size_t batch; /* global */
	uint64_t epochs;
	uint64_t seed;
	size_t bucket_bytes;
	ferrule_type_t gradient_type;
	const char *checkpoint, *resume;
	uint64_t checkpoint_every; /* steps; 0: once an epoch */
	const char *loss_csv, *plot;
	uint64_t log_every; /* steps; 0: never */
	bool json;
};

#endif
