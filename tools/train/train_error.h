/* train_error.h - why something failed, in words, passed up to whoever prints it. */
#ifndef FR_TRAIN_ERROR_H
#define FR_TRAIN_ERROR_H

#include <stdbool.h>

#include <ferrule/status.h>
#include <ferrule/types.h>

struct fr_train_error {
	char text[1024];
	/* All ranks have the same error: nobody is to be aborted, and rank 0 alone prints. */
	bool is_everywhere;
};

/* fr_train_fail - sets the text and returns false, so that `return fr_train_fail(...)` reads
 * well in functions that return success. */
bool fr_train_fail(struct fr_train_error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* fr_train_fail_everywhere - the same for what all ranks find out alike. */
bool fr_train_fail_everywhere(struct fr_train_error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* fr_train_ok - true for FERRULE_OK; else the library's text about `what`, and false. */
bool fr_train_ok(struct fr_train_error *error, ferrule_comm_t comm, ferrule_status_t status,
                 const char *what);

#endif
