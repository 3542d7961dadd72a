/*
 * boot_pmix.c - ranks started by mpirun, prterun or srun.
 *
 * PMIx only carries one unique id from rank 0 to the others; everything else is the star, so
 * that missing ranks are named and deadlines kept here as everywhere.  The others ask rank 0
 * for its id directly instead of meeting in a fence, which could not say who did not come.
 *
 * libpmix is opened when it is needed: a program that runs under PMIx finds it, and the same
 * binary runs on a machine that has none.
 */
#include "config.h"

#include "lib/comm/boot_open.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pmix.h>

#include "lib/base/auth.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/parse.h"
#include "lib/comm/boot_wire.h"

/* Between two questions for an id that rank 0 has not made yet. */
#define ASK_PAUSE_NS 2000000

/* What is used of libpmix. */
struct pmix {
	void *library;
	__typeof__(PMIx_Init) *init;
	__typeof__(PMIx_Finalize) *finalize;
	__typeof__(PMIx_Put) *put;
	__typeof__(PMIx_Commit) *commit;
	__typeof__(PMIx_Get) *get;
	__typeof__(PMIx_Get_nb) *get_nb;
	__typeof__(PMIx_Error_string) *error_string;
	pmix_proc_t self;
};

/* ---- the library ---- */

static bool find_functions(struct pmix *p)
{
	/* The only conversion from an object pointer that dlsym's users have. */
	*(void **)&p->init = dlsym(p->library, "PMIx_Init");
	*(void **)&p->finalize = dlsym(p->library, "PMIx_Finalize");
	*(void **)&p->put = dlsym(p->library, "PMIx_Put");
	*(void **)&p->commit = dlsym(p->library, "PMIx_Commit");
	*(void **)&p->get = dlsym(p->library, "PMIx_Get");
	*(void **)&p->get_nb = dlsym(p->library, "PMIx_Get_nb");
	*(void **)&p->error_string = dlsym(p->library, "PMIx_Error_string");
	return p->init && p->finalize && p->put && p->commit && p->get && p->get_nb &&
	       p->error_string;
}

/* The library stays loaded: its threads do not survive being unloaded. */
static ferrule_status_t start_pmix(struct pmix *p)
{
	p->library = dlopen("libpmix.so.2", RTLD_NOW | RTLD_LOCAL);
	if (!p->library)
		return fr_error(FERRULE_ERR_UNSUPPORTED,
		                "this process was started under PMIx (PMIX_NAMESPACE is set), but "
		                "libpmix cannot be loaded: %s",
		                dlerror());
	if (!find_functions(p))
		return fr_error(FERRULE_ERR_UNSUPPORTED, "libpmix.so.2 is too old: functions are "
		                                         "missing");
	const pmix_status_t rc = p->init(&p->self, NULL, 0);
	if (rc != PMIX_SUCCESS)
		return fr_error(FERRULE_ERR_SYSTEM, "PMIx_Init failed: %s (%d)",
		                p->error_string(rc), (int)rc);
	return FERRULE_OK;
}

static ferrule_status_t get_n_ranks(const struct pmix *p, int *out)
{
	pmix_proc_t job = p->self;
	pmix_value_t *value = NULL;

	job.rank = PMIX_RANK_WILDCARD;
	const pmix_status_t rc = p->get(&job, PMIX_JOB_SIZE, NULL, 0, &value);
	if (rc != PMIX_SUCCESS)
		return fr_error(FERRULE_ERR_SYSTEM,
		                "PMIx does not say how many ranks there are: %s",
		                p->error_string(rc));
	const uint32_t n = value->type == PMIX_UINT32 ? value->data.uint32 : 0;
	free(value);
	if (n < 1 || n > FR_BOOT_MAX_RANKS || p->self.rank >= n)
		return fr_error(FERRULE_ERR_SYSTEM,
		                "PMIx says rank %u of %u; allowed: up to %d ranks", p->self.rank, n,
		                FR_BOOT_MAX_RANKS);
	*out = (int)n;
	return FERRULE_OK;
}

/* ---- rank 0 gives ---- */

#define ID_TEXT_BYTES (2 * FERRULE_UNIQUE_ID_BYTES + 1)

static ferrule_status_t publish_id(const struct pmix *p, const char *key,
                                   const ferrule_unique_id_t *id)
{
	char text[ID_TEXT_BYTES];
	pmix_value_t value;

	memset(&value, 0, sizeof(value));
	value.type = PMIX_STRING;
	value.data.string = fr_hex_text(id->bytes, sizeof(id->bytes), text);
	pmix_status_t rc = p->put(PMIX_GLOBAL, key, &value);
	if (rc == PMIX_SUCCESS)
		rc = p->commit();
	fr_wipe(text, sizeof(text));
	if (rc != PMIX_SUCCESS)
		return fr_error(FERRULE_ERR_SYSTEM, "PMIx does not take rank 0's address: %s",
		                p->error_string(rc));
	return FERRULE_OK;
}

/* ---- the others take ---- */

/*
 * One question under way.  PMIx cannot be told to forget a question, so the answer may come
 * after the asker has given up; whoever is last frees it.
 */
struct question {
	pthread_mutex_t lock;
	pthread_cond_t answered;
	bool is_answered, is_abandoned;
	pmix_status_t rc;
	char text[ID_TEXT_BYTES];
};

static void free_question(struct question *q)
{
	pthread_cond_destroy(&q->answered);
	pthread_mutex_destroy(&q->lock);
	fr_wipe(q->text, sizeof(q->text));
	free(q);
}

static struct question *new_question(void)
{
	struct question *q = calloc(1, sizeof(*q));
	pthread_condattr_t monotonic;

	if (!q)
		return NULL;
	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&q->answered, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return q;
}

/* Called by PMIx's own thread. */
static void on_answer(pmix_status_t rc, pmix_value_t *value, void *arg)
{
	struct question *q = arg;

	pthread_mutex_lock(&q->lock);
	q->rc = rc;
	if (rc == PMIX_SUCCESS && value && value->type == PMIX_STRING && value->data.string)
		snprintf(q->text, sizeof(q->text), "%s", value->data.string);
	q->is_answered = true;
	pthread_cond_signal(&q->answered);
	const bool is_abandoned = q->is_abandoned;
	pthread_mutex_unlock(&q->lock);
	if (is_abandoned)
		free_question(q);
}

/* Waits for the answer; false when the deadline passed, and then the question is not ours. */
static bool await_answer(struct question *q, uint64_t deadline_ns)
{
	const struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
	                               .tv_nsec = (long)(deadline_ns % 1000000000u)};
	int rc = 0;

	pthread_mutex_lock(&q->lock);
	while (!q->is_answered && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&q->answered, &q->lock, &until);
	const bool is_answered = q->is_answered;
	q->is_abandoned = !is_answered;
	pthread_mutex_unlock(&q->lock);
	return is_answered;
}

/* Asks rank 0 once.  INPROGRESS: it has made no such id yet. */
static ferrule_status_t ask_once(const struct pmix *p, const char *key, uint64_t deadline_ns,
                                 ferrule_unique_id_t *id)
{
	pmix_proc_t rank_0 = p->self;
	struct question *q = new_question();

	if (!q)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory to ask PMIx for rank 0");
	rank_0.rank = 0;
	pmix_status_t rc = p->get_nb(&rank_0, key, NULL, 0, on_answer, q);
	if (rc == PMIX_SUCCESS) {
		if (!await_answer(q, deadline_ns))
			return FERRULE_INPROGRESS;
		rc = q->rc;
	}
	const bool is_id = rc == PMIX_SUCCESS && fr_parse_hex(q->text, id, sizeof(*id));
	free_question(q);
	if (is_id)
		return FERRULE_OK;
	if (rc == PMIX_ERR_NOT_FOUND || rc == PMIX_ERR_TIMEOUT)
		return FERRULE_INPROGRESS;
	return fr_error(FERRULE_ERR_SYSTEM, "PMIx does not give rank 0's address: %s",
	                rc == PMIX_SUCCESS ? "it is no unique id" : p->error_string(rc));
}

static ferrule_status_t ask_for_id(const struct pmix *p, const char *key, int n_ranks,
                                   uint64_t deadline_ns, ferrule_unique_id_t *id)
{
	const struct timespec pause = {.tv_nsec = ASK_PAUSE_NS};
	const uint64_t began = fr_clock_ns();

	for (;;) {
		const ferrule_status_t status = ask_once(p, key, deadline_ns, id);
		if (status != FERRULE_INPROGRESS)
			return status;
		const uint64_t now = fr_clock_ns();
		if (now + ASK_PAUSE_NS >= deadline_ns)
			return fr_error(FERRULE_ERR_TIMEOUT,
			                "rank 0 of %d did not arrive within %.3g s: rank %u has no "
			                "address of it from PMIx",
			                n_ranks, (double)(now - began) * 1e-9, p->self.rank);
		nanosleep(&pause, NULL);
	}
}

/* ---- both ---- */

/*
 * Boots of this process so far.  PMIx keeps what a process published under a key, so every
 * boot needs a new one.  All ranks count alike, since a boot is collective.
 */
static atomic_uint n_boots;

static ferrule_status_t exchange_id(const struct pmix *p, int n_ranks, uint64_t deadline_ns,
                                    ferrule_unique_id_t *id)
{
	char key[40];

	snprintf(key, sizeof(key), "ferrule.boot.%u", atomic_fetch_add(&n_boots, 1));
	if (p->self.rank != 0)
		return ask_for_id(p, key, n_ranks, deadline_ns, id);
	const ferrule_status_t status = fr_boot_new_id(id);
	return status == FERRULE_OK ? publish_id(p, key, id) : status;
}

static ferrule_status_t open_with(const struct pmix *p, uint64_t deadline_ns, struct fr_boot **out)
{
	ferrule_unique_id_t id;
	int n_ranks = 0;

	ferrule_status_t status = get_n_ranks(p, &n_ranks);
	if (status != FERRULE_OK)
		return status;
	if (n_ranks == 1)
		return fr_boot_open_alone(out);
	status = exchange_id(p, n_ranks, deadline_ns, &id);
	if (status == FERRULE_OK)
		status = fr_boot_open_id(&id, (int)p->self.rank, n_ranks, deadline_ns, out);
	fr_wipe(&id, sizeof(id));
	return status;
}

ferrule_status_t fr_boot_open_pmix(uint64_t deadline_ns, struct fr_boot **out)
{
	struct pmix p = {.library = NULL};
	ferrule_status_t status = start_pmix(&p);

	if (status != FERRULE_OK)
		return status;
	status = open_with(&p, deadline_ns, out);
	/* Once all ranks have met, PMIx has done its part; PMIx counts its users. */
	p.finalize(NULL, 0);
	return status;
}
