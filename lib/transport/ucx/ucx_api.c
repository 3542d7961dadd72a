#include "config.h"

#include "lib/transport/ucx/ucx_api.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/text.h"

#define LIBRARY "libucp.so.0"

/* The library, once it is open.  Written under the lock, never changed after. */
static struct {
	bool is_tried;
	bool is_open;
	struct fr_ucx_api table;
	char why[200];
} the_ucx;
static pthread_mutex_t the_ucx_lock = PTHREAD_MUTEX_INITIALIZER;

/* UCX logs to stdout unless somebody takes its lines.  What matters to a user of Ferrule ends up
 * in a fault's text anyway, so they are for those who ask for more.  The arguments that are not
 * looked at are an enumeration and a pointer of libucs. */
static int take_log_line(const char *file, unsigned line, const char *function, unsigned level,
                         const void *component, const char *format, va_list args)
{
	enum { UCS_LEVEL_WARN = 2, UCS_LEVEL_DEBUG = 5 };
	char text[400];
	(void)file;
	(void)line;
	(void)function;
	(void)component;
	if (level < UCS_LEVEL_DEBUG) {
		fr_vformat(text, sizeof(text), format, args);
		fr_log(level <= UCS_LEVEL_WARN ? FR_LOG_INFO : FR_LOG_DEBUG, "ucx: %s", text);
	}
	return 0; /* UCS_LOG_FUNC_RC_STOP: nobody else is to print it. */
}

/* Looks one symbol up and stores it where `into` lies. */
static bool find(void *library, const char *name, void *into)
{
	void *symbol = dlsym(library, name);
	if (symbol == NULL) {
		snprintf(the_ucx.why, sizeof(the_ucx.why), "%s has no function %s", LIBRARY, name);
		return false;
	}
	memcpy(into, &symbol, sizeof(symbol));
	return true;
}

static bool fill_table(void *library)
{
	struct fr_ucx_api *table = &the_ucx.table;
	bool has_all = true;
#define FR_UCX_FIND(type, name, args) \
	has_all = has_all && find(library, "ucp_" #name, &table->name);
	FR_UCX_MAP(FR_UCX_FIND)
#undef FR_UCX_FIND
	return has_all && find(library, "ucs_status_string", &table->status_string);
}

static bool has_good_version(void)
{
	unsigned major, minor, release;
	the_ucx.table.get_version(&major, &minor, &release);
	if (major == UCP_API_MAJOR && minor >= UCP_API_MINOR)
		return true;
	snprintf(the_ucx.why, sizeof(the_ucx.why),
	         "%s is UCX %u.%u; this build needs %d.%d or newer", LIBRARY, major, minor,
	         UCP_API_MAJOR, UCP_API_MINOR);
	return false;
}

/*
 * UCX takes over the signals of crashes as soon as it is loaded.  They belong to the program.
 */
static void *load_quietly(void)
{
	enum { N_SIGNALS = 32 };
	struct sigaction before[N_SIGNALS];
	for (int s = 1; s < N_SIGNALS; s++)
		sigaction(s, NULL, &before[s]);
	/* Never closed: UCX leaves hooks behind in the process. */
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (library == NULL)
		snprintf(the_ucx.why, sizeof(the_ucx.why), "%s", dlerror());
	for (int s = 1; s < N_SIGNALS; s++) {
		if (s != SIGKILL && s != SIGSTOP)
			sigaction(s, &before[s], NULL);
	}
	return library;
}

static void open_library(void)
{
	void (*push_handler)(int (*)(const char *, unsigned, const char *, unsigned, const void *,
	                             const char *, va_list));
	void *library = load_quietly();
	if (library == NULL)
		return;
	the_ucx.is_open = fill_table(library) && has_good_version();
	/* Not part of the interface, so not needed. */
	void *symbol = dlsym(library, "ucs_log_push_handler");
	if (symbol != NULL && the_ucx.is_open) {
		memcpy(&push_handler, &symbol, sizeof(symbol));
		push_handler(take_log_line);
	}
}

const struct fr_ucx_api *fr_ucx_api_get(char *why, size_t why_bytes)
{
	pthread_mutex_lock(&the_ucx_lock);
	if (!the_ucx.is_tried)
		open_library();
	the_ucx.is_tried = true;
	pthread_mutex_unlock(&the_ucx_lock);
	if (the_ucx.is_open)
		return &the_ucx.table;
	snprintf(why, why_bytes, "%s", the_ucx.why);
	return NULL;
}
