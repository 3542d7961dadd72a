#include "config.h"

#include "lib/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/text.h"

/* Long enough for two calls, a list of missing ranks and an address. */
#define TEXT_BYTES 768

/* Belongs to the thread, like errno; there is no object yet that could hold it. */
static _Thread_local char last_text[TEXT_BYTES];
static _Thread_local ferrule_status_t last_status;

ferrule_status_t fr_error(ferrule_status_t status, const char *format, ...)
{
	/* The arguments may point into last_text, when a caller adds to an earlier text. */
	char text[TEXT_BYTES];
	va_list args;

	va_start(args, format);
	fr_vformat(text, sizeof(text), format, args);
	va_end(args);
	memcpy(last_text, text, sizeof(text));
	last_status = status;
	fr_log(FR_LOG_DEBUG, "%s: %s", ferrule_status_name(status), text);
	return status;
}

const char *fr_error_text(void)
{
	return last_text;
}

ferrule_status_t fr_error_status(void)
{
	return last_status;
}
