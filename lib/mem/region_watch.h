/*
 * region_watch.h - tells when this process has unmapped, moved or discarded watched memory.
 *
 * Design: the kernel's userfaultfd reports such a change to whoever holds the descriptor, and
 * the thread that made it does not return from munmap(), mremap() or madvise() before the report
 * has been read.  One monitor thread reads.  Before it reads it makes the watch's `turn` odd, and
 * even again when the ranges are in the log; so whoever learns of the change from the thread that
 * made it also sees a turn that is odd or new, and looks at the log before trusting what it
 * knows.  A libc function that unmaps by itself is seen like any other.
 *
 * One gap is left by that: while one thread is inside munmap(), past the unmapping and before
 * the report, another may be given the same addresses by mmap().  The kernel counts changes under
 * way, and fr_watch_is_quiet() asks it, for one cheap system call.
 *
 * MADV_DONTNEED and MADV_REMOVE are reported before they happen.  Who discards a page that
 * another thread sends from or receives into at that moment has a bug of its own, so what is
 * registered anew after the report can be trusted too, as long as no registration reaches over
 * pages that were not asked for.
 *
 * Memory is registered for write-protect events, none of which are ever asked for: so that no
 * page fault is delayed, in user mode or in the kernel, and nobody needs an answer.  Pages of
 * files and shared memory are refused: others can take them away without a report.
 *
 * There is one watch a process, because a mapping can belong to one userfaultfd only, and it
 * lasts as long as the process: while a forked child holds a copy of the descriptor the kernel
 * goes on to wait for a reader, also when this process has closed its own.  The monitor never
 * allocates, frees or unmaps, and nobody else does so while holding the lock, because that could
 * wait for the monitor.
 */
#ifndef FR_REGION_WATCH_H
#define FR_REGION_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fr_watch;

/* Memory that has changed: [begin, end). */
struct fr_watch_range {
	uintptr_t begin, end;
};

/* fr_watch_get - the process's watch, begun by the first call; NULL and `why` where the kernel
 * refuses, which is also logged, once.  Thread safe. */
struct fr_watch *fr_watch_get(char *why, size_t why_bytes);
/* fr_watch_add - watches whole pages; false for memory that cannot be watched (files, devices,
 * nothing mapped, somebody else's userfaultfd).  What is watched stays so until it is unmapped. */
bool fr_watch_add(struct fr_watch *w, uintptr_t base, size_t bytes);
/* fr_watch_is_private - are all pages that are there this process's own?  Ask once they are. */
bool fr_watch_is_private(struct fr_watch *w, uintptr_t base, size_t bytes);
/* fr_watch_epoch - another number after a forked child has begun its own watch. */
uint64_t fr_watch_epoch(const struct fr_watch *w);
/* fr_watch_is_quiet - false while a change is being made and is not in the log yet, and for good
 * when somebody has closed the descriptor.  Ask before fr_watch_turn(); when true, every change
 * that could be known of shows in the turn. */
bool fr_watch_is_quiet(struct fr_watch *w);
/* fr_watch_turn - differs from an earlier one when there may be news; 0 in a forked child, which
 * the watch does not serve. */
uint64_t fr_watch_turn(const struct fr_watch *w);
/* fr_watch_cursor - the place in the log that changes from now on come behind. */
uint64_t fr_watch_cursor(struct fr_watch *w);
/*
 * fr_watch_news - at most `max` changes behind *cursor, which moves on; how many, or -1 when the
 * log no longer holds them: anything may have changed.  *turn_out is the turn they are as of.
 */
int fr_watch_news(struct fr_watch *w, uint64_t *cursor, struct fr_watch_range *out, int max,
                  uint64_t *turn_out);

#endif
