/* See train_error.h. */
#include "config.h"

#include "tools/train/train_error.h"

#include <stdarg.h>
#include <stdio.h>

#include <ferrule/comm.h>

bool fr_train_fail(struct fr_train_error *error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	error->is_everywhere = false;
	return false;
}

bool fr_train_fail_everywhere(struct fr_train_error *error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	error->is_everywhere = true;
	return false;
}

bool fr_train_ok(struct fr_train_error *error, ferrule_comm_t comm, ferrule_status_t status,
                 const char *what)
{
	if (status == FERRULE_OK)
		return true;
	const ferrule_status_t fault = ferrule_comm_status(comm);
	const char *text = ferrule_comm_error_text(fault ? comm : NULL);

	if (!*text)
		text = ferrule_status_text(status);
	fr_train_fail(error, "%s: %s", what, text);
	/* An abort comes from a rank that has told why; of a death, each knows its own side. */
	error->is_everywhere = fault == FERRULE_ERR_ABORTED;
	return false;
}
