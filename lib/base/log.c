#include "config.h"

#include "lib/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/text.h"

#define LINE_BYTES 1024

static const char *const level_names[] = {"error", "warning", "info", "debug"};

/* The two things that every line depends on and no caller could carry along. */
static atomic_int log_level = FR_LOG_WARNING;
static atomic_int log_rank = -1;

void fr_log_set_rank(int rank)
{
	atomic_store_explicit(&log_rank, rank, memory_order_relaxed);
}

void fr_log_set_level(enum fr_log_level level)
{
	atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

/* Writes the prefix, returns its length. */
static size_t put_prefix(char *line, enum fr_log_level level)
{
	const int rank = atomic_load_explicit(&log_rank, memory_order_relaxed);
	int n;

	if (rank >= 0)
		n = snprintf(line, LINE_BYTES, "ferrule: rank %d: %s: ", rank, level_names[level]);
	else
		n = snprintf(line, LINE_BYTES, "ferrule: %s: ", level_names[level]);
	return (size_t)n;
}

void fr_log(enum fr_log_level level, const char *format, ...)
{
	const int saved_errno = errno;
	char line[LINE_BYTES];
	va_list args;

	if ((int)level > atomic_load_explicit(&log_level, memory_order_relaxed))
		return;
	const size_t prefix = put_prefix(line, level);
	/* One byte is kept for the newline, which takes the place of the NUL. */
	va_start(args, format);
	const int wanted = fr_vformat(line + prefix, sizeof(line) - prefix, format, args);
	va_end(args);
	size_t length = prefix + (wanted > 0 ? (size_t)wanted : 0);
	if (length > sizeof(line) - 1) {
		length = sizeof(line) - 1;
		memcpy(line + length - 3, "...", 3);
	}
	line[length] = '\n';
	/* A log line that cannot be written has nowhere to be reported; retrying a partial
	 * write would break the promise of one write a line. */
	ssize_t written = write(STDERR_FILENO, line, length + 1);
	(void)written;
	errno = saved_errno;
}
