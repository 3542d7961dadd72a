/*
 * error.h - the text that goes with a status.
 *
 * The function that first knows the cause writes the text, once; callers pass the status on.
 * Texts are lowercase, and hold the argument, the value and what was allowed, or the ranks and
 * numbers that a person needs at night.
 */
#ifndef FR_ERROR_H
#define FR_ERROR_H

#include <ferrule/status.h>

/* fr_error - remembers the text as this thread's last error, logs it at level debug, and
 * returns `status`, so that `return fr_error(FERRULE_ERR_ARGUMENT, "...", ...)` reads well. */
ferrule_status_t fr_error(ferrule_status_t status, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* fr_error_text - this thread's last text, "" when there is none. */
const char *fr_error_text(void);
/* fr_error_status - the status it came with; FERRULE_OK when there is none. */
ferrule_status_t fr_error_status(void);

#endif
