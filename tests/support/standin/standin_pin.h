/*
 * standin_pin.h - memory that other processes can map: the fast way of moving bytes.
 */
#ifndef STANDIN_PIN_H
#define STANDIN_PIN_H

#include <stddef.h>
#include <stdint.h>

/* Bytes [begin, end) of a registration are at file_at of descriptor fd; begin == end: none. */
struct standin_pinned {
	uint64_t begin, end, file_at;
	int fd;
};

/*
 * standin_pin - puts the whole pages of the range that are private and anonymous into this
 * process's memory file, contents and all.  What cannot be, is left alone.  As with hardware, the
 * program's other threads should not be writing there meanwhile.
 */
void standin_pin(void *addr, size_t bytes, struct standin_pinned *out);
/* standin_unpin - the registration is over; with the last of its pages they are private again. */
void standin_unpin(const struct standin_pinned *pinned);

/*
 * Around fork(): a child gets copies, as it does of any private memory, before the parent goes
 * on.  standin_pin_after_fork(is_child) follows standin_pin_before_fork() on both sides.
 */
void standin_pin_before_fork(void);
void standin_pin_after_fork(int is_child);

#endif
