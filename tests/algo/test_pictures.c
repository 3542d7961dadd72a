/*
 * test_pictures.c - the picture in each algorithm's head comment is what it does.
 *
 * The golden text of an algorithm is its own head comment, so that it is read where it is needed.
 * When one differs, the right lines are printed, ready to be pasted.
 */
#include "config.h"

#include "tests/algo/t_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/schedule/print.h"
#include "tests/support/t_main.h"

#define PICTURE_RANKS 4
#define INDENT        " *     "

/* The rounds as they stand in a comment, to be freed. */
static char *picture(const struct fr_algo *algo)
{
	static const int two_hosts[PICTURE_RANKS] = {0, 0, 1, 1};
	const bool vector = algo->coll == FR_COLL_ALLREDUCE || algo->coll == FR_COLL_REDUCE ||
	                    algo->coll == FR_COLL_BROADCAST;
	const bool hosts = strcmp(algo->name, "hierarchical") == 0;
	const struct t_call call = {.algo = algo,
	                            .n_ranks = PICTURE_RANKS,
	                            .count = vector ? PICTURE_RANKS : 1,
	                            .board_count = 1000,
	                            .host_of = hosts ? two_hosts : NULL,
	                            .n_hosts = 2};
	struct t_call_run run;
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	CU_ASSERT_EQUAL(t_call_emit(&call, &run), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_print_rounds(out, run.scheds, PICTURE_RANKS, FR_PRINT_TEXT), FERRULE_OK);
	fclose(out);
	t_call_free(&run);
	return text;
}

/* The indented lines of a file's head comment, to be freed; NULL when there is no such file. */
static char *comment_of(const struct fr_algo *algo)
{
	const char *top = getenv("srcdir");
	char path[512], line[256], *text = NULL;
	FILE *in, *out;
	size_t bytes;

	snprintf(path, sizeof(path), "%s/collectives/algo/%s_%s.c", top ? top : ".",
	         fr_coll_name(algo->coll), algo->name);
	in = fopen(path, "r");
	if (!in)
		return NULL;
	out = open_memstream(&text, &bytes);
	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	while (fgets(line, sizeof(line), in) && strcmp(line, " */\n") != 0) {
		if (strncmp(line, INDENT, strlen(INDENT)) == 0)
			fputs(line + strlen(INDENT), out);
	}
	fclose(in);
	fclose(out);
	return text;
}

static void test_head_comments_show_what_moves(void)
{
	for (int i = 0; i < fr_n_algos; i++) {
		char *comment = comment_of(fr_algos[i]), *now = picture(fr_algos[i]);

		if (!comment && i == 0) {
			free(now);
			t_skip("the sources are not here; set srcdir to the top of the tree");
			return;
		}
		CU_ASSERT_PTR_NOT_NULL_FATAL(comment);
		CU_ASSERT_STRING_EQUAL(comment, now);
		if (strcmp(comment, now) != 0)
			printf("      %s_%s.c should show\n%s", fr_coll_name(fr_algos[i]->coll),
			       fr_algos[i]->name, now);
		free(comment);
		free(now);
	}
}

int main(void)
{
	static const struct t_case cases[] = {
		{"head comments show what moves", test_head_comments_show_what_moves},
		{NULL, NULL},
	};

	return t_main("pictures", cases);
}
