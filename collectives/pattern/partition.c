#include "config.h"

#include "collectives/pattern/partition.h"

/* Below this many groups a part, an uneven cut costs more than a shared cache line. */
#define GROUPS_WORTH_ALIGNING 8

static size_t begin_of(size_t count, size_t groups, size_t parts, size_t at, size_t group)
{
	const size_t share = groups / parts, larger = groups % parts;
	const size_t begin = group * (at * share + (at < larger ? at : larger));

	return begin < count ? begin : count;
}

struct fr_part fr_partition(size_t count, int n, int i, size_t align)
{
	const size_t parts = (size_t)n, at = (size_t)i;
	const size_t group =
		align > 1 && count / align / parts >= GROUPS_WORTH_ALIGNING ? align : 1;
	/* The last group may not be full; then the last part ends short, never the first. */
	const size_t groups = count / group + (count % group > 0);
	const size_t begin = begin_of(count, groups, parts, at, group);
	const size_t end = begin_of(count, groups, parts, at + 1, group);

	return (struct fr_part){.first = begin, .count = end - begin};
}
