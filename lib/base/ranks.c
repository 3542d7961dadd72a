#include "config.h"

#include "lib/base/ranks.h"

#include <stdio.h>
#include <string.h>

/* First rank from `rank` on whose membership is, or is not, the wanted one. */
static int skip_to(const bool *member, bool wanted, int n_ranks, int rank)
{
	while (rank < n_ranks && member[rank] != wanted)
		rank++;
	return rank;
}

/* Adds `item`; false when it does not fit together with a later "...". */
static bool add_item(char *buf, size_t bytes, const char *item)
{
	const size_t used = strlen(buf);

	if (used + strlen(item) + sizeof(", ...") > bytes) {
		snprintf(buf + used, bytes - used, ", ...");
		return false;
	}
	strcpy(buf + used, item);
	return true;
}

char *fr_ranks_text(const bool *member, bool wanted, int n_ranks, char *buf, size_t bytes)
{
	int n_members = 0;
	const char *separator = "";

	for (int rank = 0; rank < n_ranks; rank++)
		n_members += member[rank] == wanted;
	snprintf(buf, bytes, n_members == 0 ? "no rank" : n_members == 1 ? "rank " : "ranks ");
	for (int first = 0;;) {
		char item[32];
		first = skip_to(member, wanted, n_ranks, first);
		if (first == n_ranks)
			return buf;
		const int end = skip_to(member, !wanted, n_ranks, first);
		if (end - first == 1)
			snprintf(item, sizeof(item), "%s%d", separator, first);
		else
			snprintf(item, sizeof(item), "%s%d%s%d", separator, first,
			         end - first == 2 ? ", " : "-", end - 1);
		if (!add_item(buf, bytes, item))
			return buf;
		separator = ", ";
		first = end;
	}
}
