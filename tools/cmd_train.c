/* cmd_train.c - `ferrule train`: the command line; the work is in tools/train/. */
#include "config.h"

#include "tools/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ferrule/ferrule.h>
#include <ferrule/trainer.h>

#include "tools/launch.h"
#include "tools/options.h"
#include "tools/train/train_paths.h"
#include "tools/train/train_run.h"

/* What the option table fills. */
struct arguments {
	const char *data, *test_data, *model, *hidden, *optimizer;
	const char *gradient_type, *checkpoint, *resume, *loss_csv, *plot;
	double test_fraction, lr, momentum, beta1, beta2, weight_decay;
	int64_t batch, epochs, seed, checkpoint_every, log_every;
	int64_t n_ranks; /* to start here; 0: this process is a rank already */
	const char *transport;
	uint64_t bucket_bytes;
	bool json;
};

/* Defaults that depend on other options: what no user can write. */
#define UNSET (-1.0)

#define FIELD(member) offsetof(struct arguments, member)

static const struct fr_option options[] = {
	{0, "data", "FILE", FR_OPTION_TEXT, FIELD(data), 0, 0, NULL,
         "training data: a CSV file with the label last, or IMAGES:LABELS,\n"
         "two IDX files as MNIST has them; each may be compressed with gzip"},
	{0, "test-data", "FILE", FR_OPTION_TEXT, FIELD(test_data), 0, 0, NULL,
         "data to test with, in the same forms"},
	{0, "test-fraction", "X", FR_OPTION_REAL, FIELD(test_fraction), 0, 0.99, NULL,
         "without --test-data: how much of the data is set apart for testing,\n"
         "chosen by the seed (default 0.2)"},
	{0, "model", "MODEL", FR_OPTION_WORD, FIELD(model), 0, 0, "softmax|mlp",
         "softmax: softmax regression (default);\n"
         "mlp: hidden layers with ReLU before it"},
	{0, "hidden", "N[,N...]", FR_OPTION_TEXT, FIELD(hidden), 0, 0, NULL,
         "widths of the hidden layers of mlp (default 128); softmax has none"},
	{0, "optimizer", "NAME", FR_OPTION_WORD, FIELD(optimizer), 0, 0, "sgd|momentum|adam",
         "how parameters follow gradients (default sgd)"},
	{0, "lr", "X", FR_OPTION_REAL, FIELD(lr), 1e-30, 1e30, NULL,
         "learning rate (default 0.1; adam: 0.001)"},
	{0, "momentum", "X", FR_OPTION_REAL, FIELD(momentum), 0, 0.999999, NULL,
         "momentum's share of the old velocity (default 0.9)"},
	{0, "beta1", "X", FR_OPTION_REAL, FIELD(beta1), 0, 0.999999, NULL,
         "adam's share of the old first moment (default 0.9)"},
	{0, "beta2", "X", FR_OPTION_REAL, FIELD(beta2), 0, 0.999999, NULL,
         "adam's share of the old second moment (default 0.999)"},
	{0, "weight-decay", "X", FR_OPTION_REAL, FIELD(weight_decay), 0, 1e30, NULL,
         "adds X times the parameters to the gradient (default 0)"},
	{0, "batch", "N", FR_OPTION_INT, FIELD(batch), 1, 1e12, NULL,
         "samples a step, over all ranks together (default 64)"},
	{0, "epochs", "N", FR_OPTION_INT, FIELD(epochs), 1, 1e9, NULL,
         "passes over the training data, counted from the very beginning\n"
         "also when resuming (default 5)"},
	{0, "seed", "N", FR_OPTION_INT, FIELD(seed), 0, 9007199254740992.0, NULL,
         "of the split, the initial weights and the order of samples (default 1)"},
	{0, "bucket-bytes", "SIZE", FR_OPTION_SIZE, FIELD(bucket_bytes), 1, 1099511627776.0, NULL,
         "most bytes of gradients that one operation sums (default 256K)"},
	{0, "gradient-type", "TYPE", FR_OPTION_WORD, FIELD(gradient_type), 0, 0, "double|float",
         "type in which gradients are summed over ranks.  double (default):\n"
         "loss curves of any two rank counts agree to about 1e-15;\n"
         "float: half the bytes, and agreement to about 1e-6 that is lost\n"
         "where training is unstable"},
	{0, "checkpoint", "FILE", FR_OPTION_TEXT, FIELD(checkpoint), 0, 0, NULL,
         "keep a checkpoint here; rank 0 writes it"},
	{0, "checkpoint-every", "N", FR_OPTION_INT, FIELD(checkpoint_every), 0, 1e15, NULL,
         "steps between checkpoints (default 0: after each epoch); there\n"
         "always is one at the end"},
	{0, "resume", "FILE", FR_OPTION_TEXT, FIELD(resume), 0, 0, NULL,
         "go on from this checkpoint: bit-identical to a run that was never\n"
         "interrupted, given the same options and rank count.  --lr and the\n"
         "optimizer's other rates, --epochs and the rank count may be changed"},
	{0, "loss-csv", "FILE", FR_OPTION_TEXT, FIELD(loss_csv), 0, 0, NULL,
         "write the loss of every step, and of every epoch with the test's\n"
         "loss and accuracy; --resume continues the file"},
	{0, "plot", "FILE", FR_OPTION_TEXT, FIELD(plot), 0, 0, NULL,
         "draw the curve with gnuplot; FILE ends in .svg or .png"},
	{0, "log-every", "N", FR_OPTION_INT, FIELD(log_every), 0, 1e15, NULL,
         "steps between lines of progress (default 100; 0: none)"},
	{'N', "ranks", "N", FR_OPTION_INT, FIELD(n_ranks), 1, FR_LAUNCH_MAX_RANKS, NULL,
         "start N ranks on this host, as `ferrule run -n N` would"},
	{0, "transport", "LIST", FR_OPTION_TEXT, FIELD(transport), 0, 0, NULL,
         "transports to use, best first: shm, verbs, tcp, ucx"},
	{0, "json", NULL, FR_OPTION_FLAG, FIELD(json), 0, 0, NULL,
         "print one JSON object a line; the last one's \"event\" is \"done\""},
	{0, NULL, NULL, FR_OPTION_FLAG, 0, 0, 0, NULL, NULL},
};

static const struct fr_usage usage = {
	.command = "ferrule train",
	.synopsis = "--data FILE [OPTIONS]",
	.summary = "Trains a classifier by synchronous SGD over all ranks of the job.\n"
		   "\n"
		   "Every step takes the same samples whatever the rank count, and each rank a\n"
		   "part of them; gradients are summed while the backward pass still runs.\n"
		   "Features are divided by the largest one of the training data.  Rank 0 reads\n"
		   "the data, sends it to the others, and alone prints.",
	.notes = "Examples:\n"
		 "  ferrule run -n 4 ferrule train --data digits.csv.gz --model mlp \\\n"
		 "      --hidden 128 --optimizer momentum --lr 0.1 --batch 64 --epochs 20\n"
		 "  ferrule run -n 4 ferrule train --json --epochs 3 \\\n"
		 "      --data train-images-idx3-ubyte.gz:train-labels-idx1-ubyte.gz \\\n"
		 "      --test-data t10k-images-idx3-ubyte.gz:t10k-labels-idx1-ubyte.gz\n"
		 "\n"
		 "JSON events: start, step, epoch, checkpoint, done.  The last has ranks, epochs,\n"
		 "steps, train_loss (of the last epoch), test_loss, test_accuracy, samples_per_s,\n"
		 "seconds (both of training alone) and bytes_sent (payload, all ranks together).\n"
		 "\n"
		 "Exit status: 0 success, 1 training failed (bad data, a loss that is not finite,\n"
		 "a rank that died), 2 bad command line.",
	.options = options,
};

static const struct arguments defaults = {
	.model = "softmax",
	.hidden = "128",
	.optimizer = "sgd",
	.gradient_type = "double",
	.test_fraction = UNSET,
	.lr = UNSET,
	.momentum = 0.9,
	.beta1 = 0.9,
	.beta2 = 0.999,
	.batch = 64,
	.epochs = 5,
	.seed = 1,
	.bucket_bytes = 256 << 10,
	.log_every = 100,
};

/* "128,64"; false when it is not a list of widths. */
static bool parse_hidden(const char *text, struct fr_train_options *o)
{
	o->n_hidden = 0;
	do {
		char *end;

		if (*text < '0' || *text > '9' || o->n_hidden == FR_MODEL_MAX_LAYERS - 1)
			return false;
		const unsigned long long width = strtoull(text, &end, 10);

		if (width < 1 || width > FR_MODEL_MAX_WIDTH || (*end && *end != ','))
			return false;
		o->hidden[o->n_hidden++] = (size_t)width;
		text = *end ? end + 1 : NULL;
	} while (text);
	return true;
}

static struct ferrule_optimizer_options optimizer_of(const struct arguments *a)
{
	enum ferrule_optimizer_kind kind = FERRULE_OPTIMIZER_SGD;

	while (strcmp(ferrule_optimizer_kind_name(kind), a->optimizer) != 0)
		kind++;
	struct ferrule_optimizer_options o = ferrule_optimizer_defaults(kind);

	if (a->lr != UNSET)
		o.lr = a->lr;
	o.momentum = a->momentum;
	o.beta1 = a->beta1;
	o.beta2 = a->beta2;
	o.weight_decay = a->weight_decay;
	return o;
}

static bool has_suffix(const char *text, const char *suffix)
{
	const size_t n = strlen(text), m = strlen(suffix);

	return n > m && strcmp(text + n - m, suffix) == 0;
}

/* Checks what the table cannot, and fills *o; returns 0 or the exit status. */
static int interpret(const struct arguments *a, struct fr_train_options *o)
{
	if (!a->data)
		return fr_usage_error(&usage, "option --data is missing: a CSV file or "
		                              "IMAGES:LABELS");
	if (a->test_data && a->test_fraction > 0)
		return fr_usage_error(&usage,
		                      "--test-data and --test-fraction %g exclude each "
		                      "other",
		                      a->test_fraction);
	if (!parse_hidden(a->hidden, o))
		return fr_usage_error(&usage,
		                      "option --hidden: '%s' is not allowed; allowed: 1 to %d "
		                      "widths of 1 to %d, with commas between them",
		                      a->hidden, FR_MODEL_MAX_LAYERS - 1, FR_MODEL_MAX_WIDTH);
	if (a->plot && !has_suffix(a->plot, ".svg") && !has_suffix(a->plot, ".png"))
		return fr_usage_error(&usage,
		                      "option --plot: '%s' is not allowed; allowed: a name that "
		                      "ends in .svg or .png",
		                      a->plot);
	if (a->checkpoint_every > 0 && !a->checkpoint)
		return fr_usage_error(&usage, "--checkpoint-every needs --checkpoint FILE");
	o->data = a->data;
	o->test_data = a->test_data;
	o->test_fraction = a->test_fraction == UNSET ? 0.2 : a->test_fraction;
	o->model = a->model;
	o->optimizer = optimizer_of(a);
	o->batch = (size_t)a->batch;
	o->epochs = (uint64_t)a->epochs;
	o->seed = (uint64_t)a->seed;
	o->bucket_bytes = (size_t)a->bucket_bytes;
	o->gradient_type =
		strcmp(a->gradient_type, "float") == 0 ? FERRULE_FLOAT32 : FERRULE_FLOAT64;
	o->checkpoint = a->checkpoint;
	o->checkpoint_every = (uint64_t)a->checkpoint_every;
	o->resume = a->resume;
	o->loss_csv = a->loss_csv;
	o->plot = a->plot;
	o->log_every = (uint64_t)a->log_every;
	o->json = a->json;
	return FR_EXIT_OK;
}

/* What is outside of the command line: other ranks, and files. */
static int look_around(const struct arguments *a, const struct fr_train_options *o)
{
	char why[400];

	if (a->n_ranks > 0 && fr_launch_is_rank(why, sizeof(why)))
		return fr_usage_error(&usage,
		                      "option -N, --ranks: this process already is %s; leave "
		                      "-N away",
		                      why);
	if (!fr_train_paths_check(o, why, sizeof(why)))
		return fr_usage_error(&usage, "%s", why);
	return FR_EXIT_OK;
}

/* Rank 0 speaks for errors that all ranks have; others only of what they alone know. */
static void print_error(ferrule_comm_t comm, const struct fr_train_error *error)
{
	if (ferrule_comm_rank(comm) == 0)
		fprintf(stderr, "ferrule train: %s\n", error->text);
	else if (!error->is_everywhere)
		fprintf(stderr, "ferrule train: rank %d: %s\n", ferrule_comm_rank(comm),
		        error->text);
}

/* What one rank does. */
struct job {
	struct fr_train_options options;
	const char *transport;
};

static int train(void *arg)
{
	const struct job *job = arg;
	const struct ferrule_comm_options comm_options = {.size = sizeof(comm_options),
	                                                  .transport = job->transport};
	ferrule_comm_t comm;

	/* Measured constants choose algorithms, and those the order of sums.  A resumed run is to
	 * give the same bits as one that was never interrupted, so the built-in ones choose. */
	setenv("FERRULE_PROBE", "0", 0);
	if (ferrule_comm_create_from_env(&comm_options, &comm)) {
		fprintf(stderr, "ferrule train: %s\n", ferrule_comm_error_text(NULL));
		return FR_EXIT_FAILED;
	}
	struct fr_train_error error;
	bool ok = fr_train_run(&job->options, comm, &error);

	if (!ok)
		print_error(comm, &error);
	/* Also after an error that all ranks have: none leaves while another still works. */
	const ferrule_status_t status =
		ok || error.is_everywhere ? ferrule_comm_finalize(comm) : FERRULE_OK;

	if (ok && !fr_train_ok(&error, comm, status, "cannot finish")) {
		print_error(comm, &error);
		ok = false;
	}
	ferrule_comm_destroy(comm);
	return ok ? FR_EXIT_OK : FR_EXIT_FAILED;
}

static int start_ranks(int n_ranks, struct job *job)
{
	const struct fr_launch launch = {
		.command = usage.command,
		.n_ranks = n_ranks,
		.transport = job->transport,
		.grace_s = 3,
		.entry = train,
		.arg = job,
	};

	return fr_launch_run(&launch);
}

int fr_cmd_train(int argc, char **argv)
{
	struct arguments arguments = defaults;
	struct job job = {.transport = NULL};
	int first;

	switch (fr_options_parse(&usage, argc, argv, &arguments, &first)) {
	case FR_PARSED_HELP:
		return FR_EXIT_OK;
	case FR_PARSED_BAD:
		return FR_EXIT_USAGE;
	case FR_PARSED_RUN:
		break;
	}
	int status = interpret(&arguments, &job.options);

	if (!status)
		status = look_around(&arguments, &job.options);
	if (status)
		return status;
	job.transport = arguments.transport;
	if (arguments.n_ranks > 0)
		return start_ranks((int)arguments.n_ranks, &job);
	return train(&job);
}
