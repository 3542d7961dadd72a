/* verbs_cm_api.c - librdmacm, opened when it is needed; see verbs_api.c. */
#include "config.h"

#include "lib/transport/verbs/verbs_cm_api.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY "librdmacm.so.1"

/* Written under the lock, never changed after. */
static struct library {
	bool is_tried;
	bool is_open;
	struct fr_rdmacm table;
	char why[256];
} the_rdmacm;
static pthread_mutex_t the_rdmacm_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(const struct fr_rdmacm *) the_rdmacm_replacement;

static const struct {
	const char *name;
	size_t offset;
} symbols[] = {
#define SYMBOL(type, name, args) {"rdma_" #name, offsetof(struct fr_rdmacm, name)},
	FR_RDMACM_MAP(SYMBOL)
#undef SYMBOL
};

/* The name of the first function that is missing, or NULL.  librdmacm has had one version of
 * each of them for ever, so that none has to be asked for. */
static const char *find_symbols(void *handle, struct fr_rdmacm *table)
{
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		void *address = dlsym(handle, symbols[i].name);

		if (!address)
			return symbols[i].name;
		memcpy((char *)table + symbols[i].offset, &address, sizeof(address));
	}
	return NULL;
}

/* The library stays loaded: it keeps devices open until the process ends. */
static void open_library(struct library *l)
{
	void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	l->is_tried = true;
	if (!handle) {
		snprintf(l->why, sizeof(l->why),
		         "FERRULE_IB_CONNECT=cm: librdmacm cannot be loaded: %s", dlerror());
		return;
	}
	const char *missing = find_symbols(handle, &l->table);
	if (missing) {
		snprintf(l->why, sizeof(l->why), "FERRULE_IB_CONNECT=cm: %s has no %s()", LIBRARY,
		         missing);
		dlclose(handle);
		return;
	}
	l->is_open = true;
}

const struct fr_rdmacm *fr_rdmacm_get(char *why, size_t why_bytes)
{
	const struct fr_rdmacm *found =
		atomic_load_explicit(&the_rdmacm_replacement, memory_order_acquire);

	if (found)
		return found;
	pthread_mutex_lock(&the_rdmacm_lock);
	if (!the_rdmacm.is_tried)
		open_library(&the_rdmacm);
	if (the_rdmacm.is_open)
		found = &the_rdmacm.table;
	else
		snprintf(why, why_bytes, "%s", the_rdmacm.why);
	pthread_mutex_unlock(&the_rdmacm_lock);
	return found;
}

void fr_rdmacm_replace(const struct fr_rdmacm *table)
{
	atomic_store_explicit(&the_rdmacm_replacement, table, memory_order_release);
}
