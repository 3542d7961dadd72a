/* train_report.h - what rank 0 tells the world: lines on stdout, a CSV file, a plot. */
#ifndef FR_TRAIN_REPORT_H
#define FR_TRAIN_REPORT_H

#include <stdio.h>

#include "tools/train/train_options.h"

/* Facts of a run that do not change. */
struct fr_train_facts {
	int n_ranks, n_buckets;
	const struct fr_model_shape *shape;
	size_t n_params, n_train, n_test;
	uint64_t resumed_step; /* steps done before this process began; 0: a fresh run */
};

/* Figures at one moment. */
struct fr_train_figures {
	uint64_t step;  /* optimizer steps since the very beginning */
	uint64_t epoch; /* from 1 */
	double loss;    /* of the last global batch; of the whole epoch at its end */
	double test_loss, test_accuracy; /* NaN when there is nothing to test with */
	double samples_per_s;            /* in training, since the start or the last such figure */
	double seconds;                  /* in training, since the start */
	uint64_t bytes_sent;             /* payload to peers, all ranks, since the start */
};

struct fr_train_report {
	const struct fr_train_options *o;
	struct fr_train_facts facts;
	FILE *csv;   /* --loss-csv: a file, or a pipe or device; NULL when not wanted */
	FILE *curve; /* what --plot draws: csv itself, or a temporary file; NULL when not wanted */
};

/* fr_train_report_open - prints the start; opens the CSV file, and when resuming keeps its
 * rows up to the step where the run goes on. */
bool fr_train_report_open(struct fr_train_report *r, const struct fr_train_options *o,
                          const struct fr_train_facts *facts, struct fr_train_error *error);
/* fr_train_report_close - frees; what fr_train_report_flush() did not see may be lost. */
void fr_train_report_close(struct fr_train_report *r);

/* Lines on stdout. */
void fr_train_report_step(struct fr_train_report *r, const struct fr_train_figures *f);
void fr_train_report_epoch(struct fr_train_report *r, const struct fr_train_figures *f);
void fr_train_report_checkpoint(struct fr_train_report *r, const struct fr_train_figures *f);
void fr_train_report_done(struct fr_train_report *r, const struct fr_train_figures *f);

/* fr_train_report_row - one step of the curve; `epoch` only at an epoch's end, else NULL. */
void fr_train_report_row(struct fr_train_report *r, const struct fr_train_figures *step,
                         const struct fr_train_figures *epoch);
/* fr_train_report_flush - all rows are in the file, or an error. */
bool fr_train_report_flush(struct fr_train_report *r, struct fr_train_error *error);
/* fr_train_report_plot - draws the curve with gnuplot, when --plot was given. */
bool fr_train_report_plot(struct fr_train_report *r, struct fr_train_error *error);

#endif
