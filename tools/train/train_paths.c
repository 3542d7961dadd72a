#include "config.h"

#include "tools/train/train_paths.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/train/train_options.h"

#define N_FILES     8
#define MAGIC       "FERRULEC"
#define MAGIC_BYTES 8

/* A file that an option names. */
struct named {
	const char *option;
	char path[4096];
	bool is_written, is_checkpoint;
};

struct list {
	struct named of[N_FILES];
	int n;
};

static void add(struct list *list, const char *option, const char *path, size_t bytes)
{
	struct named *f = &list->of[list->n++];

	*f = (struct named){.option = option};
	snprintf(f->path, sizeof(f->path), "%.*s", (int)bytes, path);
}

/* Data may be one file, or two with a colon between. */
static void add_read(struct list *list, const char *option, const char *path)
{
	struct stat st;

	if (!path)
		return;
	const char *colon = stat(path, &st) == 0 ? NULL : strchr(path, ':');

	add(list, option, path, colon ? (size_t)(colon - path) : strlen(path));
	if (colon)
		add(list, option, colon + 1, strlen(colon + 1));
}

static void add_whole(struct list *list, const char *option, const char *path, bool is_written,
                      bool is_checkpoint)
{
	if (!path)
		return;
	add(list, option, path, strlen(path));
	list->of[list->n - 1].is_written = is_written;
	list->of[list->n - 1].is_checkpoint = is_checkpoint;
}

/* Names of one file, that is: a pipe, a device or nothing is replaced by nobody. */
static bool is_same_file(const char *a, const char *b)
{
	struct stat of_a, of_b;

	if (stat(a, &of_a) != 0)
		return strcmp(a, b) == 0;
	return S_ISREG(of_a.st_mode) && stat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
	       of_a.st_ino == of_b.st_ino;
}

static bool is_no_checkpoint(const char *path)
{
	char begin[MAGIC_BYTES];
	struct stat st;
	FILE *f;

	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
		return false;
	f = fopen(path, "re");
	if (!f)
		return false;
	const size_t got = fread(begin, 1, sizeof(begin), f);
	fclose(f);
	return got < sizeof(begin) || memcmp(begin, MAGIC, sizeof(begin)) != 0;
}

/* The first two of which one would replace the other; false when there are none. */
static bool find_clash(const struct list *list, const struct named **a, const struct named **b)
{
	for (int i = 0; i < list->n; i++)
		for (int k = 0; k < i; k++) {
			*a = &list->of[k];
			*b = &list->of[i];
			if ((*b)->is_written && !((*a)->is_checkpoint && (*b)->is_checkpoint) &&
			    is_same_file((*a)->path, (*b)->path))
				return true;
		}
	return false;
}

bool fr_train_paths_check(const struct fr_train_options *o, char *why, size_t n)
{
	const struct named *a, *b;
	struct list list = {.n = 0};

	add_read(&list, "--data", o->data);
	add_read(&list, "--test-data", o->test_data);
	add_whole(&list, "--resume", o->resume, false, true);
	add_whole(&list, "--checkpoint", o->checkpoint, true, true);
	add_whole(&list, "--loss-csv", o->loss_csv, true, false);
	add_whole(&list, "--plot", o->plot, true, false);
	if (find_clash(&list, &a, &b)) {
		snprintf(why, n,
		         "options %s and %s name one file, '%s', which would be overwritten; "
		         "allowed: another one",
		         a->option, b->option, b->path);
		return false;
	}
	if (!o->checkpoint || !is_no_checkpoint(o->checkpoint))
		return true;
	snprintf(why, n,
	         "option --checkpoint: '%s' is there and is no checkpoint; it is not overwritten; "
	         "allowed: a new name, or a checkpoint to replace",
	         o->checkpoint);
	return false;
}
