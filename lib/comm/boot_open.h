/* boot_open.h - the ways into a boot, between the files that make one. */
#ifndef FR_BOOT_OPEN_H
#define FR_BOOT_OPEN_H

#include "lib/comm/boot.h"
#include "lib/comm/boot_star.h"

/* fr_boot_open_alone - one rank, nobody to wait for. */
ferrule_status_t fr_boot_open_alone(struct fr_boot **out);
/* fr_boot_open_star - rank 0 gives its listening socket away, the others pass -1. */
ferrule_status_t fr_boot_open_star(const struct fr_star_params *params, int listen_fd,
                                   struct fr_boot **out);
/* fr_boot_open_pmix - rank 0 hands a unique id to the others through PMIx. */
ferrule_status_t fr_boot_open_pmix(uint64_t deadline_ns, struct fr_boot **out);
/* fr_boot_open_pmi - the same through PMI-1 or PMI-2, over the connection in PMI_FD or PMI_PORT. */
ferrule_status_t fr_boot_open_pmi(uint64_t deadline_ns, struct fr_boot **out);

#endif
