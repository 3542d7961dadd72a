#include "config.h"

#include "lib/base/clock.h"

#include <time.h>

uint64_t fr_clock_ns(void)
{
	struct timespec now;

	/* Cannot fail for CLOCK_MONOTONIC with a valid pointer. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
