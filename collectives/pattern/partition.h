/*
 * partition.h - a vector cut into n nearly equal parts.
 */
#ifndef FR_PARTITION_H
#define FR_PARTITION_H

#include <stddef.h>

/* Elements [first, first + count). */
struct fr_part {
	size_t first, count;
};

/*
 * fr_partition - part i of n of `count` elements.
 *
 * Parts are in order and cover the vector without gaps; where it does not divide, the first
 * ones are larger, so that none is larger than part 0.  `align` elements stay together (a cache
 * line's worth, so that two ranks never write one line) as long as each part holds several such
 * groups; smaller vectors are cut to the element.  Parts may be empty when there are more parts
 * than elements.
 */
struct fr_part fr_partition(size_t count, int n, int i, size_t align);

#endif
