/* boot_pmix_none.c - stands in for boot_pmix.c where PMIx was not found at configure time. */
#include "config.h"

#include "lib/comm/boot_open.h"

#include "lib/base/error.h"

ferrule_status_t fr_boot_open_pmix(uint64_t deadline_ns, struct fr_boot **out)
{
	(void)deadline_ns;
	(void)out;
	/* Going on would make every process a communicator of its own, which nobody wants. */
	return fr_error(
		FERRULE_ERR_UNSUPPORTED,
		"this process was started under PMIx (PMIX_NAMESPACE is set), but Ferrule was "
		"built without PMIx; build it where libpmix-dev is installed, or set RANK, "
		"WORLD_SIZE, MASTER_ADDR and MASTER_PORT");
}
