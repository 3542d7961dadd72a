/* system.h - what a failed system call means, and what to do about it. */
#ifndef FR_SYSTEM_H
#define FR_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>

#include <ferrule/status.h>

/*
 * fr_is_exhaustion - has this process or host run out of something that it needs for the call?
 * Trying again does not help, unless something is given back first.
 */
bool fr_is_exhaustion(int error);

/* fr_system_text - "socket: out of file descriptors, the limit is 48; raise it with ulimit -n":
 * the call, the reason, and what to raise.  Returns buf. */
char *fr_system_text(const char *call, int error, char *buf, size_t bytes);
/* fr_system_error - the same as an error of this thread, see error.h. */
ferrule_status_t fr_system_error(const char *call, int error);

/*
 * fr_descriptors_reserve - this process is about to open `n_more` descriptors.  Raises the soft
 * limit as far as needed and allowed.  False when there will not be enough: then *need_out is how
 * many are needed in all, and *limit_out how many there may be.  The limit may stay raised.
 */
bool fr_descriptors_reserve(size_t n_more, size_t *need_out, size_t *limit_out);

#endif
