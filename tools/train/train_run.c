/* See train_run.h. */
#include "config.h"

#include "tools/train/train_run.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <ferrule/coll.h>
#include <ferrule/comm.h>

#include "tools/train/train_report.h"
#include "tools/train/train_step.h"

/* Which of a checkpoint's metrics is what. */
enum { EPOCH_LOSS_SUM, LAST_EPOCH_LOSS };

/* Work done up to some moment. */
struct mark {
	double seconds; /* in steps */
	uint64_t samples;
};

struct run {
	struct fr_trainer trainer;
	const struct fr_train_options *o;
	struct fr_train_report report; /* rank 0 only */
	struct fr_train_error *error;
	uint64_t *order;
	uint64_t epoch, batch, step; /* the next epoch and batch, from 0; steps done */
	size_t n_batches;
	double epoch_loss_sum; /* over the samples of this epoch so far */
	double last_epoch_loss;
	double test_loss, test_accuracy;
	struct mark now;       /* of this process */
	struct mark logged;    /* at the last line of progress */
	struct mark epoch_end; /* at the last end of an epoch */
	char config[1024];
};

static double clock_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool is_root(const struct run *r)
{
	return r->trainer.rank == 0;
}

/* Payload that all ranks together have sent.  Collective. */
static bool count_bytes(struct run *r, uint64_t *bytes_out)
{
	struct ferrule_comm_stats stats = {.size = sizeof(stats)};
	ferrule_status_t status = ferrule_comm_get_stats(r->trainer.comm, &stats);

	if (!status)
		status = ferrule_allreduce(r->trainer.comm, &stats.bytes_sent, bytes_out, 1,
		                           FERRULE_UINT64, FERRULE_SUM);
	return fr_train_ok(r->error, r->trainer.comm, status, "cannot count bytes");
}

/* Everything that must be the same for a resumed run to make sense. */
static void describe(struct run *r)
{
	const struct fr_train_options *o = r->o;
	const struct fr_model_shape *shape = &r->trainer.model.shape;
	char layers[256] = "";
	size_t used = 0;

	for (int i = 0; i <= shape->n_layers && used < sizeof(layers); i++)
		used += (size_t)snprintf(layers + used, sizeof(layers) - used, "%s%zu",
		                         i > 0 ? "-" : "", shape->widths[i]);
	snprintf(r->config, sizeof(r->config),
	         "model %s, layers %s, optimizer %s, gradients %s, batch %zu, seed %" PRIu64
	         ", %zu of %zu samples with CRC %08x",
	         o->model, layers, ferrule_optimizer_kind_name(o->optimizer.kind),
	         ferrule_type_name(o->gradient_type), o->batch, o->seed,
	         r->trainer.data.split.n_train, r->trainer.data.set.n, r->trainer.data.crc);
}

static struct ferrule_checkpoint checkpoint_of(struct run *r)
{
	return (struct ferrule_checkpoint){
		.size = sizeof(struct ferrule_checkpoint),
		.seed = r->o->seed,
		.epoch = r->epoch,
		.batch = r->batch,
		.metrics = {[EPOCH_LOSS_SUM] = r->epoch_loss_sum,
	                    [LAST_EPOCH_LOSS] = r->last_epoch_loss},
		.config = r->config,
		.params = r->trainer.model.params,
		.n_params = r->trainer.model.n_params,
		.optimizer = r->trainer.optimizer,
	};
}

static bool resume(struct run *r)
{
	struct ferrule_checkpoint c = checkpoint_of(r);
	char what[512];

	if (!r->o->resume)
		return true;
	snprintf(what, sizeof(what), "cannot resume from %s", r->o->resume);
	const ferrule_status_t status = ferrule_checkpoint_load(r->trainer.comm, r->o->resume, &c);

	if (status && ferrule_comm_status(r->trainer.comm) == FERRULE_OK)
		return fr_train_fail_everywhere(r->error, "cannot resume: %s",
		                                ferrule_comm_error_text(NULL));
	if (!fr_train_ok(r->error, r->trainer.comm, status, what))
		return false;
	if (c.batch >= r->n_batches || c.epoch > UINT64_MAX / r->n_batches - 1)
		return fr_train_fail_everywhere(
			r->error, "%s: batch %" PRIu64 " of epoch %" PRIu64 "; an epoch has %zu",
			what, c.batch, c.epoch, r->n_batches);
	r->epoch = c.epoch;
	r->batch = c.batch;
	r->step = c.epoch * r->n_batches + c.batch;
	r->epoch_loss_sum = c.metrics[EPOCH_LOSS_SUM];
	r->last_epoch_loss = c.metrics[LAST_EPOCH_LOSS];
	return true;
}

static bool prepare(struct run *r, ferrule_comm_t comm)
{
	r->trainer.o = r->o;
	r->trainer.comm = comm;
	r->trainer.rank = ferrule_comm_rank(comm);
	r->trainer.n_ranks = ferrule_comm_size(comm);
	if (!fr_train_data_load(&r->trainer.data, r->o, comm, r->error) ||
	    !fr_trainer_init(&r->trainer, r->error))
		return false;

	const size_t n_train = r->trainer.data.split.n_train;

	r->n_batches = ferrule_shard_n_batches(n_train, r->o->batch);
	r->order = malloc(n_train * sizeof(*r->order));
	if (!r->order)
		return fr_train_fail(r->error, "no memory for the order of %zu samples", n_train);
	describe(r);
	return resume(r);
}

static bool open_report(struct run *r)
{
	const struct fr_train_facts facts = {
		.n_ranks = r->trainer.n_ranks,
		.n_buckets = ferrule_buckets_count(r->trainer.buckets),
		.shape = &r->trainer.model.shape,
		.n_params = r->trainer.model.n_params,
		.n_train = r->trainer.data.split.n_train,
		.n_test = fr_train_data_n_test(&r->trainer.data),
		.resumed_step = r->step,
	};

	return !is_root(r) || fr_train_report_open(&r->report, r->o, &facts, r->error);
}

/* Figures of this moment; samples/s since `since`, which moves to now. */
static bool take_figures(struct run *r, struct fr_train_figures *f, struct mark *since)
{
	const double seconds = r->now.seconds - since->seconds;

	f->seconds = r->now.seconds;
	f->samples_per_s = seconds > 0 ? (double)(r->now.samples - since->samples) / seconds : 0;
	f->test_loss = r->test_loss;
	f->test_accuracy = r->test_accuracy;
	*since = r->now;
	return count_bytes(r, &f->bytes_sent);
}

static bool save(struct run *r, struct fr_train_figures f)
{
	const struct ferrule_checkpoint c = checkpoint_of(r);
	ferrule_status_t status;

	/* The curve on disk must reach as far as the checkpoint that continues it. */
	if (is_root(r) && !fr_train_report_flush(&r->report, r->error))
		return false;
	status = ferrule_checkpoint_save(r->trainer.comm, r->o->checkpoint, &c);
	if (status && ferrule_comm_status(r->trainer.comm) == FERRULE_OK)
		return fr_train_fail_everywhere(r->error, "cannot save a checkpoint: %s",
		                                ferrule_comm_error_text(NULL));
	if (!fr_train_ok(r->error, r->trainer.comm, status, "cannot save a checkpoint"))
		return false;
	if (is_root(r))
		fr_train_report_checkpoint(&r->report, &f);
	return true;
}

/* Is a checkpoint due now, after a step that may have ended an epoch? */
static bool is_save_due(const struct run *r, bool ends_epoch)
{
	if (!r->o->checkpoint)
		return false;
	if (ends_epoch && r->epoch == r->o->epochs)
		return true;
	return r->o->checkpoint_every > 0 ? r->step % r->o->checkpoint_every == 0 : ends_epoch;
}

/* The end of an epoch: test, report, move on to the next. */
static bool end_epoch(struct run *r, const struct fr_train_figures *step)
{
	struct fr_train_figures f = *step;

	if (!fr_trainer_test(&r->trainer, &r->test_loss, &r->test_accuracy, r->error))
		return false;
	r->last_epoch_loss = r->epoch_loss_sum / (double)r->trainer.data.split.n_train;
	if (!take_figures(r, &f, &r->epoch_end))
		return false;
	f.loss = r->last_epoch_loss;
	if (is_root(r)) {
		fr_train_report_row(&r->report, step, &f);
		fr_train_report_epoch(&r->report, &f);
	}
	r->epoch_loss_sum = 0;
	r->epoch++;
	r->batch = 0;
	return true;
}

static bool timed_step(struct run *r, struct fr_train_figures *f)
{
	const double begin = clock_s();
	size_t batch_count = 0;

	if (!fr_trainer_step(&r->trainer, r->order, r->batch, &f->loss, &batch_count, r->error)) {
		const struct fr_train_error cause = *r->error;

		snprintf(r->error->text, sizeof(r->error->text),
		         "step %" PRIu64 " (batch %" PRIu64 " of %zu in epoch %" PRIu64 "): %.900s",
		         r->step + 1, r->batch + 1, r->n_batches, r->epoch + 1, cause.text);
		return false;
	}
	r->now.seconds += clock_s() - begin;
	r->now.samples += batch_count;
	r->epoch_loss_sum += f->loss * (double)batch_count;
	r->step++;
	r->batch++;
	f->step = r->step;
	f->epoch = r->epoch + 1;
	return true;
}

static bool one_step(struct run *r)
{
	struct fr_train_figures f = {0};

	if (!timed_step(r, &f))
		return false;
	const bool ends_epoch = r->batch == r->n_batches;

	if (r->o->log_every > 0 && r->step % r->o->log_every == 0) {
		if (!take_figures(r, &f, &r->logged))
			return false;
		if (is_root(r))
			fr_train_report_step(&r->report, &f);
	}
	if (ends_epoch && !end_epoch(r, &f))
		return false;
	if (!ends_epoch && is_root(r))
		fr_train_report_row(&r->report, &f, NULL);
	return !is_save_due(r, ends_epoch) || save(r, f);
}

static bool train(struct run *r)
{
	const uint64_t first_epoch = r->epoch;

	while (r->epoch < r->o->epochs) {
		const uint64_t epoch = r->epoch;

		ferrule_shard_order(r->o->seed, epoch, r->order, r->trainer.data.split.n_train);
		while (r->epoch == epoch)
			if (!one_step(r))
				return false;
	}
	/* Resumed at the end already: there still is an accuracy to report. */
	return r->epoch != first_epoch ||
	       fr_trainer_test(&r->trainer, &r->test_loss, &r->test_accuracy, r->error);
}

static bool close_report(struct run *r)
{
	struct fr_train_figures f = {
		.step = r->step, .epoch = r->epoch, .loss = r->last_epoch_loss};

	struct mark start = {0};

	if (!take_figures(r, &f, &start))
		return false;
	if (!is_root(r))
		return true;
	if (!fr_train_report_flush(&r->report, r->error))
		return false;
	fr_train_report_done(&r->report, &f);
	return fr_train_report_plot(&r->report, r->error);
}

bool fr_train_run(const struct fr_train_options *o, ferrule_comm_t comm,
                  struct fr_train_error *error)
{
	struct run r = {.o = o,
	                .error = error,
	                .test_loss = NAN,
	                .test_accuracy = NAN,
	                .last_epoch_loss = NAN};
	bool ok = prepare(&r, comm) && open_report(&r) && train(&r) && close_report(&r);

	/* Wake the ranks that wait for this one, before memory is given back. */
	if (!ok && !error->is_everywhere)
		ferrule_comm_abort(comm, error->text);
	if (is_root(&r))
		fr_train_report_close(&r.report);
	free(r.order);
	fr_trainer_fini(&r.trainer);
	return ok;
}
