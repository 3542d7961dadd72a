/* clock.h - monotonic time in nanoseconds. */
#ifndef FR_CLOCK_H
#define FR_CLOCK_H

#include <stdint.h>

/* fr_clock_ns - CLOCK_MONOTONIC; about 20 ns a call, so not for every poll. */
uint64_t fr_clock_ns(void);
/* fr_cpu_relax - what a spinning loop does between two looks. */
static inline void fr_cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#endif
}

#endif
