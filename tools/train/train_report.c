/* See train_report.h. */
#include "config.h"

#include "tools/train/train_report.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ferrule/info.h>

#include "tools/gnuplot.h"
#include "tools/json.h"
#include "tools/out_file.h"
#include "tools/stream.h"

static const char csv_header[] = "step,epoch,loss,train_loss,test_loss,test_accuracy\n";

/* "ferrule train" as JSON: one document a line. */
static void open_event(struct fr_json *j, const char *event)
{
	fr_json_init(j, stdout);
	fr_json_object_open(j, NULL);
	fr_json_text(j, "event", event);
}

static void close_event(struct fr_json *j)
{
	fr_json_object_close(j);
	fr_json_end(j);
}

static void print_start(const struct fr_train_report *r)
{
	const struct fr_train_options *o = r->o;
	const struct fr_train_facts *f = &r->facts;

	printf("training %s (", o->model);
	for (int i = 0; i <= f->shape->n_layers; i++)
		printf("%s%zu", i > 0 ? "-" : "", f->shape->widths[i]);
	printf(", %zu parameters in %d bucket%s) on %d rank%s: %zu samples, %zu to test, "
	       "batch %zu, %s lr %g\n",
	       f->n_params, f->n_buckets, f->n_buckets == 1 ? "" : "s", f->n_ranks,
	       f->n_ranks == 1 ? "" : "s", f->n_train, f->n_test, o->batch,
	       ferrule_optimizer_kind_name(o->optimizer.kind), o->optimizer.lr);
	if (f->resumed_step > 0)
		printf("resumed from %s at step %" PRIu64 "\n", o->resume, f->resumed_step);
	fr_flush(stdout);
}

static void print_start_json(const struct fr_train_report *r)
{
	const struct fr_train_options *o = r->o;
	const struct fr_train_facts *f = &r->facts;
	struct fr_json j;

	open_event(&j, "start");
	fr_json_text(&j, "version", ferrule_version());
	fr_json_int(&j, "ranks", f->n_ranks);
	fr_json_text(&j, "data", o->data);
	fr_json_text(&j, "model", o->model);
	fr_json_array_open(&j, "layers");
	for (int i = 0; i <= f->shape->n_layers; i++)
		fr_json_uint(&j, NULL, f->shape->widths[i]);
	fr_json_array_close(&j);
	fr_json_uint(&j, "params", f->n_params);
	fr_json_int(&j, "buckets", f->n_buckets);
	fr_json_text(&j, "gradient_type", ferrule_type_name(o->gradient_type));
	fr_json_text(&j, "optimizer", ferrule_optimizer_kind_name(o->optimizer.kind));
	fr_json_real(&j, "lr", o->optimizer.lr);
	fr_json_uint(&j, "batch", o->batch);
	fr_json_uint(&j, "epochs", o->epochs);
	fr_json_uint(&j, "seed", o->seed);
	fr_json_uint(&j, "train_samples", f->n_train);
	fr_json_uint(&j, "test_samples", f->n_test);
	fr_json_uint(&j, "resumed_step", f->resumed_step);
	close_event(&j);
}

/* Cuts off what a run before this one wrote past the step where this one goes on. */
static bool keep_rows(FILE *csv, uint64_t last_step)
{
	char *line = NULL;
	size_t capacity = 0;
	long keep = 0;

	rewind(csv);
	while (getline(&line, &capacity, csv) > 0) {
		char *rest;
		const unsigned long long step = strtoull(line, &rest, 10);
		const bool is_row = rest != line && *rest == ',' && strchr(line, '\n');

		if (keep > 0 ? !is_row || step > last_step : strcmp(line, csv_header) != 0)
			break;
		keep = ftell(csv);
	}
	free(line);
	rewind(csv);
	if (keep < 0 || ftruncate(fileno(csv), keep) || fseek(csv, keep, SEEK_SET))
		return false;
	return keep > 0 || fputs(csv_header, csv) >= 0;
}

/* The file that a user named, and where the plot's curve comes from when that cannot be read. */
static bool open_csv(struct fr_train_report *r, struct fr_train_error *error)
{
	const char *path = r->o->loss_csv;
	char why[512];

	if (path) {
		r->csv = fr_out_open(path, r->o->resume != NULL, why, sizeof(why));
		if (!r->csv)
			return fr_train_fail(error, "--loss-csv: %s", why);
	}
	const bool is_file = r->csv && fr_out_is_file(r->csv);

	if (is_file && !keep_rows(r->csv, r->facts.resumed_step))
		return fr_train_fail(error, "--loss-csv: cannot go on with %s: %s", path,
		                     strerror(errno));
	if (r->csv && !is_file)
		fputs(csv_header, r->csv);
	if (!r->o->plot)
		return true;
	r->curve = is_file ? r->csv : tmpfile();
	if (!r->curve)
		return fr_train_fail(error, "--plot: cannot make a temporary file: %s",
		                     strerror(errno));
	if (r->curve != r->csv)
		fputs(csv_header, r->curve);
	return true;
}

bool fr_train_report_open(struct fr_train_report *r, const struct fr_train_options *o,
                          const struct fr_train_facts *facts, struct fr_train_error *error)
{
	char why[256];

	*r = (struct fr_train_report){.o = o, .facts = *facts};
	/* Better now than after hours of training. */
	if (o->plot && !fr_gnuplot_is_there(why, sizeof(why)))
		return fr_train_fail(error, "--plot %s %s", o->plot, why);
	if (!open_csv(r, error))
		return false;
	if (o->json)
		print_start_json(r);
	else
		print_start(r);
	return true;
}

void fr_train_report_close(struct fr_train_report *r)
{
	if (r->curve && r->curve != r->csv)
		fclose(r->curve);
	if (r->csv)
		fr_out_close(r->csv);
	r->csv = r->curve = NULL;
}

/* What ends most lines. */
static void print_traffic(const struct fr_train_figures *f)
{
	printf("%.0f samples/s, %.3f MB sent\n", f->samples_per_s, (double)f->bytes_sent / 1e6);
	fr_flush(stdout);
}

void fr_train_report_step(struct fr_train_report *r, const struct fr_train_figures *f)
{
	struct fr_json j;

	if (!r->o->json) {
		printf("epoch %" PRIu64 " step %" PRIu64 ": loss %.6f, ", f->epoch, f->step,
		       f->loss);
		print_traffic(f);
		return;
	}
	open_event(&j, "step");
	fr_json_uint(&j, "step", f->step);
	fr_json_uint(&j, "epoch", f->epoch);
	fr_json_real(&j, "loss", f->loss);
	fr_json_real(&j, "samples_per_s", f->samples_per_s);
	fr_json_uint(&j, "bytes_sent", f->bytes_sent);
	close_event(&j);
}

void fr_train_report_epoch(struct fr_train_report *r, const struct fr_train_figures *f)
{
	struct fr_json j;

	if (!r->o->json) {
		printf("epoch %" PRIu64 "/%" PRIu64 ": train loss %.6f, ", f->epoch, r->o->epochs,
		       f->loss);
		if (!isnan(f->test_accuracy))
			printf("test accuracy %.4f, ", f->test_accuracy);
		print_traffic(f);
		return;
	}
	open_event(&j, "epoch");
	fr_json_uint(&j, "epoch", f->epoch);
	fr_json_uint(&j, "step", f->step);
	fr_json_real(&j, "train_loss", f->loss);
	fr_json_real(&j, "test_loss", f->test_loss);
	fr_json_real(&j, "test_accuracy", f->test_accuracy);
	fr_json_real(&j, "samples_per_s", f->samples_per_s);
	fr_json_uint(&j, "bytes_sent", f->bytes_sent);
	close_event(&j);
}

void fr_train_report_checkpoint(struct fr_train_report *r, const struct fr_train_figures *f)
{
	struct fr_json j;

	if (!r->o->json) {
		printf("checkpoint after step %" PRIu64 " in %s\n", f->step, r->o->checkpoint);
		fr_flush(stdout);
		return;
	}
	open_event(&j, "checkpoint");
	fr_json_uint(&j, "step", f->step);
	fr_json_uint(&j, "epoch", f->epoch);
	fr_json_text(&j, "file", r->o->checkpoint);
	close_event(&j);
}

void fr_train_report_done(struct fr_train_report *r, const struct fr_train_figures *f)
{
	struct fr_json j;

	if (!r->o->json) {
		printf("done: %d rank%s, %" PRIu64 " epoch%s, train loss %.6f, ", r->facts.n_ranks,
		       r->facts.n_ranks == 1 ? "" : "s", f->epoch, f->epoch == 1 ? "" : "s",
		       f->loss);
		if (isnan(f->test_accuracy))
			printf("nothing to test with, ");
		else
			printf("test accuracy %.4f, ", f->test_accuracy);
		print_traffic(f);
		return;
	}
	open_event(&j, "done");
	fr_json_int(&j, "ranks", r->facts.n_ranks);
	fr_json_uint(&j, "epochs", f->epoch);
	fr_json_uint(&j, "steps", f->step);
	fr_json_real(&j, "train_loss", f->loss);
	fr_json_real(&j, "test_loss", f->test_loss);
	fr_json_real(&j, "test_accuracy", f->test_accuracy);
	fr_json_real(&j, "samples_per_s", f->samples_per_s);
	fr_json_real(&j, "seconds", f->seconds);
	fr_json_uint(&j, "bytes_sent", f->bytes_sent);
	close_event(&j);
}

/* 17 digits, so that a reader gets the very float64. */
static void put_cell(FILE *csv, double x)
{
	if (isnan(x))
		fputc(',', csv);
	else
		fprintf(csv, ",%.17g", x);
}

static void put_row(FILE *csv, const struct fr_train_figures *step,
                    const struct fr_train_figures *epoch)
{
	fprintf(csv, "%" PRIu64 ",%" PRIu64, step->step, step->epoch);
	put_cell(csv, step->loss);
	put_cell(csv, epoch ? epoch->loss : NAN);
	put_cell(csv, epoch ? epoch->test_loss : NAN);
	put_cell(csv, epoch ? epoch->test_accuracy : NAN);
	fputc('\n', csv);
}

void fr_train_report_row(struct fr_train_report *r, const struct fr_train_figures *step,
                         const struct fr_train_figures *epoch)
{
	if (r->csv)
		put_row(r->csv, step, epoch);
	if (r->curve && r->curve != r->csv)
		put_row(r->curve, step, epoch);
}

bool fr_train_report_flush(struct fr_train_report *r, struct fr_train_error *error)
{
	char why[128];

	if (r->csv && !fr_out_flush(r->csv, why, sizeof(why)))
		return fr_train_fail(error, "cannot write the loss curve to %s: %s", r->o->loss_csv,
		                     why);
	if (r->curve && !fr_out_flush(r->curve, why, sizeof(why)))
		return fr_train_fail(error, "cannot write the loss curve to a temporary file: %s",
		                     why);
	return true;
}

static void write_script(const struct fr_train_report *r, FILE *out)
{
	const char *path = r->o->plot;
	const size_t length = strlen(path);
	const bool is_png = length >= 4 && strcmp(path + length - 4, ".png") == 0;
	char piece[4096];
	size_t n;

	fprintf(out, "$curve << END_OF_CURVE\n");
	rewind(r->curve);
	while ((n = fread(piece, 1, sizeof(piece), r->curve)) > 0)
		fwrite(piece, 1, n, out);
	fprintf(out,
	        "END_OF_CURVE\nset terminal %s size 900,600\n"
	        "set datafile separator ','\n"
	        "set title '%s, %s, %d ranks, batch %zu'\n"
	        "set xlabel 'step'\nset ylabel 'loss'\nset yrange [0:*]\n"
	        "set grid\nset key outside bottom center horizontal\n",
	        is_png ? "pngcairo" : "svg", r->o->model,
	        ferrule_optimizer_kind_name(r->o->optimizer.kind), r->facts.n_ranks, r->o->batch);
	if (r->facts.n_test > 0)
		fprintf(out, "set y2label 'test accuracy'\nset y2range [0:1]\nset y2tics\n"
		             "set ytics nomirror\n");
	fprintf(out,
	        "plot $curve skip 1 using 1:3 with lines lc rgb '#9ec5e8' "
	        "title 'batch loss', "
	        "$curve skip 1 using 1:4 with linespoints lc rgb '#1f5f9f' title 'train loss'");
	if (r->facts.n_test > 0)
		fprintf(out, ", $curve skip 1 using 1:6 axes x1y2 with linespoints "
		             "lc rgb '#c0392b' title 'test accuracy'");
	fprintf(out, "\n");
}

bool fr_train_report_plot(struct fr_train_report *r, struct fr_train_error *error)
{
	char why[512];

	if (!r->o->plot)
		return true;
	if (!fr_train_report_flush(r, error))
		return false;
	FILE *const script = tmpfile();

	if (!script)
		return fr_train_fail(error, "--plot: cannot make a temporary file: %s",
		                     strerror(errno));
	write_script(r, script);
	const bool is_drawn = fr_gnuplot_draw(script, r->o->plot, why, sizeof(why));

	fclose(script);
	return is_drawn || fr_train_fail(error, "--plot: %s", why);
}
