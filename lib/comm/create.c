/* The three ways in: from the environment, from a unique id, and out of a parent. */
#include "config.h"

#include "lib/comm/establish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/settings.h"
#include "lib/base/supervisor.h"
#include "lib/exec/exec.h"

#define TIMEOUT_LOW_S  0.1
#define TIMEOUT_HIGH_S 86400.0
/* A parent looks at all its peers, which takes a system call each. */
#define PARENT_LOOK_NS 1000000u

static uint64_t setup_deadline_ns(void)
{
	return fr_clock_ns() + (uint64_t)(fr_settings()->setup_timeout_s * 1e9);
}

/* ---- options ---- */

static ferrule_status_t check_options(const struct ferrule_comm_options *o)
{
	if (o->size != sizeof(*o))
		return fr_error(
			FERRULE_ERR_ARGUMENT,
			"options->size: %zu, must be sizeof(struct ferrule_comm_options), %zu",
			o->size, sizeof(*o));
	if (o->thread_mode != FERRULE_THREAD_SINGLE && o->thread_mode != FERRULE_THREAD_MULTIPLE)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "options->thread_mode: %d, must be FERRULE_THREAD_SINGLE (0) or "
		                "FERRULE_THREAD_MULTIPLE (1)",
		                (int)o->thread_mode);
	if (o->timeout_s != 0 && !(o->timeout_s >= TIMEOUT_LOW_S && o->timeout_s <= TIMEOUT_HIGH_S))
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "options->timeout_s: %g, must be 0 or %g to %g seconds",
		                o->timeout_s, TIMEOUT_LOW_S, TIMEOUT_HIGH_S);
	if (o->transport &&
	    fr_transport_list_check(o->transport, "options->transport") != FERRULE_OK)
		return FERRULE_ERR_ARGUMENT;
	return FERRULE_OK;
}

static ferrule_status_t configure(const struct ferrule_comm_options *o, struct fr_comm_config *out)
{
	const struct fr_settings *settings = fr_settings();
	const char *list = settings->transport;

	*out = (struct fr_comm_config){.transports_source = "FERRULE_TRANSPORT",
	                               .timeout_s = settings->timeout_s};
	if (o) {
		const ferrule_status_t status = check_options(o);

		if (status != FERRULE_OK)
			return status;
		out->thread_multiple = o->thread_mode == FERRULE_THREAD_MULTIPLE;
		if (o->timeout_s != 0)
			out->timeout_s = o->timeout_s;
	}
	if (o && o->transport && o->transport[0]) {
		list = o->transport;
		out->transports_source = "options->transport";
	}
	snprintf(out->transports, sizeof(out->transports), "%s", list);
	return FERRULE_OK;
}

/* Everything in the environment that can be wrong is, before anybody is contacted. */
static ferrule_status_t check_settings(void)
{
	struct fr_overrides overrides;
	ferrule_status_t status = fr_settings_load();

	if (status != FERRULE_OK)
		return status;
	status = fr_transport_list_check(fr_settings()->transport, "FERRULE_TRANSPORT");
	if (status == FERRULE_OK)
		status = fr_overrides_parse(fr_settings()->algo, &overrides);
	if (status != FERRULE_OK)
		return status;
	if (strcmp(fr_settings()->isa, "auto") != 0 && !fr_kernel_use_isa(fr_settings()->isa))
		return fr_error(FERRULE_ERR_SETTING,
		                "FERRULE_ISA: \"%s\" is not something this processor can run",
		                fr_settings()->isa);
	return FERRULE_OK;
}

/* ---- from a boot ---- */

static ferrule_status_t establish_from_boot(struct fr_boot *boot, uint64_t deadline_ns,
                                            const struct fr_comm_config *config,
                                            struct ferrule_comm **out)
{
	const struct fr_boot_info *info = fr_boot_info(boot);
	const struct fr_exchange exchange = {
		.boot = boot,
		.deadline_ns = deadline_ns,
		.rank = info->rank,
		.n_ranks = info->n_ranks,
		.supervisor = fr_boot_supervisor(boot),
	};
	const struct fr_founding founding = {
		.exchange = &exchange,
		.comm_id = info->comm_id,
		.job_key = info->job_key,
		.master_addr = info->master_addr,
		.config = config,
		.deadline_ns = deadline_ns,
	};

	fr_log_set_rank(info->rank);
	const ferrule_status_t status = fr_establish(&founding, out);
	return status == FERRULE_OK ? status : fr_boot_fail(boot, status, fr_error_text());
}

ferrule_status_t fr_comm_create_env(const struct ferrule_comm_options *options,
                                    struct ferrule_comm **out)
{
	struct fr_comm_config config;
	struct fr_boot *boot = NULL;
	ferrule_status_t status = check_settings();

	if (status == FERRULE_OK)
		status = configure(options, &config);
	if (status != FERRULE_OK)
		return status;
	const uint64_t deadline_ns = setup_deadline_ns();

	status = fr_boot_open_env(deadline_ns, &boot);
	if (status == FERRULE_OK)
		status = establish_from_boot(boot, deadline_ns, &config, out);
	fr_boot_close(boot);
	return status;
}

ferrule_status_t fr_comm_create_id(const ferrule_unique_id_t *id, int rank, int n_ranks,
                                   const struct ferrule_comm_options *options,
                                   struct ferrule_comm **out)
{
	struct fr_comm_config config;
	struct fr_boot *boot = NULL;
	ferrule_status_t status = check_settings();

	if (status == FERRULE_OK)
		status = configure(options, &config);
	if (status != FERRULE_OK)
		return status;
	const uint64_t deadline_ns = setup_deadline_ns();

	status = fr_boot_open_id(id, rank, n_ranks, deadline_ns, &boot);
	if (status == FERRULE_OK)
		status = establish_from_boot(boot, deadline_ns, &config, out);
	fr_boot_close(boot);
	return status;
}

/* ---- from a parent ---- */

/* Spreads whatever differs over all bits (the finalizer of splitmix64). */
static uint64_t scramble(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* A child is set up under the eyes of its parent, which knows who lives. */
struct parent_watch {
	struct fr_supervisor supervisor;
	struct ferrule_comm *parent;
	uint64_t due_ns;
	ferrule_status_t failure; /* the first one */
	char text[400];
};

static ferrule_status_t ask_parent(struct fr_supervisor *supervisor)
{
	struct parent_watch *w = (struct parent_watch *)supervisor; /* its first member */
	const uint64_t now = fr_clock_ns();
	struct fr_exec *x = w->parent->exec;
	const char *text;

	if (w->failure == FERRULE_OK && now < w->due_ns)
		return FERRULE_OK;
	w->due_ns = now + PARENT_LOOK_NS;
	if (w->failure == FERRULE_OK)
		w->failure = fr_exec_look(x);
	if (w->failure != FERRULE_OK && fr_exec_fault(x, &text) != FERRULE_OK)
		snprintf(w->text, sizeof(w->text), "%s", text);
	/* A rank that cannot go on has refused the exchange in which outcomes are told. */
	if (w->failure == FERRULE_OK)
		w->failure = fr_exec_refused(x, w->parent->sequence + 1, w->text, sizeof(w->text));
	return w->failure == FERRULE_OK ? FERRULE_OK : fr_error(w->failure, "%s", w->text);
}

static ferrule_status_t establish_child(struct ferrule_comm *parent, const int *members, int rank,
                                        int n_ranks, int color, int called,
                                        struct ferrule_comm **out)
{
	const uint64_t deadline_ns = setup_deadline_ns();
	struct parent_watch watch = {.supervisor = {.fd = -1, .check = ask_parent},
	                             .parent = parent};
	const struct fr_exchange exchange = {
		.deadline_ns = deadline_ns,
		.parent = parent,
		.called = called,
		.members = members,
		.rank = rank,
		.n_ranks = n_ranks,
		.supervisor = &watch.supervisor,
	};
	const uint64_t birth = (uint64_t)parent->n_children++ << 32 | (uint32_t)color;
	const struct fr_founding founding = {
		.exchange = &exchange,
		.comm_id = scramble(parent->comm_id + scramble(birth + 1)),
		.job_key = parent->job_key,
		.master_addr = parent->master_addr,
		.config = &parent->config,
		.deadline_ns = deadline_ns,
	};

	if (n_ranks > 0)
		return fr_establish(&founding, out);
	*out = NULL;
	return fr_establish_sit_out(&exchange);
}

struct choice {
	int32_t color, key;
};

/* Ranks of one color in order of key, ties by old rank; returns how many. */
static int gather_members(const struct choice *choices, int n, int color, int *members)
{
	int n_members = 0;

	for (int r = 0; r < n; r++) {
		int at = n_members;

		if (choices[r].color != color)
			continue;
		for (; at > 0 && choices[members[at - 1]].key > choices[r].key; at--)
			members[at] = members[at - 1];
		members[at] = r;
		n_members++;
	}
	return n_members;
}

static int index_of(const int *members, int n, int rank)
{
	int i = 0;

	while (i < n && members[i] != rank)
		i++;
	return i;
}

ferrule_status_t fr_comm_refuse_child(struct ferrule_comm *parent, ferrule_status_t status)
{
	return fr_exchange_refused(&(struct fr_exchange){.parent = parent}, status);
}

ferrule_status_t fr_comm_split(struct ferrule_comm *parent, int color, int key,
                               struct ferrule_comm **out)
{
	const size_t n = (size_t)parent->n_ranks;
	const struct choice mine = {.color = color < 0 ? -1 : color, .key = key};
	struct choice *choices = calloc(n, sizeof(*choices));
	int *members = calloc(n, sizeof(*members));
	ferrule_status_t status;

	if (choices && members)
		status = fr_comm_allgather(parent, &mine, choices, sizeof(mine), FR_CALLED_SPLIT);
	else
		status = fr_comm_refuse_child(
			parent, fr_error(FERRULE_ERR_NO_MEMORY, "no memory to split %zu ranks", n));
	if (status == FERRULE_OK) {
		const int n_members =
			mine.color < 0 ? 0 : gather_members(choices, (int)n, mine.color, members);

		status =
			establish_child(parent, members, index_of(members, n_members, parent->rank),
		                        n_members, mine.color, FR_CALLED_SPLIT, out);
	}
	free(choices);
	free(members);
	return status;
}

ferrule_status_t fr_comm_dup(struct ferrule_comm *parent, struct ferrule_comm **out)
{
	int *members = calloc((size_t)parent->n_ranks, sizeof(*members));

	if (!members)
		return fr_comm_refuse_child(parent, fr_error(FERRULE_ERR_NO_MEMORY,
		                                             "no memory to duplicate %d ranks",
		                                             parent->n_ranks));
	for (int r = 0; r < parent->n_ranks; r++)
		members[r] = r;
	const ferrule_status_t status = establish_child(parent, members, parent->rank,
	                                                parent->n_ranks, 0, FR_CALLED_DUP, out);

	free(members);
	return status;
}
