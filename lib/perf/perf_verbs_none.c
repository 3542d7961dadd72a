/* perf_verbs_none.c - stands in for perf_verbs*.c where verbs were not found at configure time. */
#include "config.h"

#include "lib/base/error.h"
#include "lib/perf/perf_internal.h"

static ferrule_status_t none_open(struct ferrule_perf *perf)
{
	(void)perf;
	return fr_error(FERRULE_ERR_UNSUPPORTED,
	                "Ferrule was built without verbs; build it where libibverbs-dev is "
	                "installed, or measure a transport via contract");
}

static ferrule_status_t none_prepare(struct ferrule_perf *perf, uint64_t bytes)
{
	(void)perf;
	(void)bytes;
	return FERRULE_ERR_UNSUPPORTED;
}

static ferrule_status_t none_run(struct ferrule_perf *perf, uint64_t bytes)
{
	return none_prepare(perf, bytes);
}

static uint64_t none_count_wrong(struct ferrule_perf *perf, uint64_t bytes)
{
	(void)perf;
	(void)bytes;
	return 0;
}

static void none_close(struct ferrule_perf *perf)
{
	(void)perf;
}

const struct fr_perf_engine fr_perf_verbs_engine = {
	.open = none_open,
	.prepare = none_prepare,
	.run = none_run,
	.count_wrong = none_count_wrong,
	.close = none_close,
};
