/* nearest.c - "did you mean": the name that takes the fewest edits to reach. */
#include "tools/command.h"

#include <string.h>

/* Longer words are not compared: nobody mistypes that much of a name. */
#define MAX_WORD 32

static int min3(int a, int b, int c)
{
	const int ab = a < b ? a : b;
	return ab < c ? ab : c;
}

/* Levenshtein distance, one row at a time. */
static int edit_distance(const char *a, const char *b)
{
	int row[MAX_WORD + 1];
	const int a_length = (int)strlen(a), b_length = (int)strlen(b);

	for (int j = 0; j <= b_length; j++)
		row[j] = j;
	for (int i = 1; i <= a_length; i++) {
		int diagonal = row[0];
		row[0] = i;
		for (int j = 1; j <= b_length; j++) {
			const int above = row[j];
			row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[b_length];
}

const char *fr_nearest(const char *word, const char *const *names)
{
	const char *best = NULL;
	int best_distance = 0;

	if (strlen(word) > MAX_WORD)
		return NULL;
	for (int i = 0; names[i]; i++) {
		if (strlen(names[i]) > MAX_WORD)
			continue;
		const int distance = edit_distance(word, names[i]);
		if (!best || distance < best_distance) {
			best = names[i];
			best_distance = distance;
		}
	}
	/* A third of the letters may be wrong, and at least one. */
	if (best && best_distance <= 1 + (int)strlen(best) / 3)
		return best;
	return NULL;
}
