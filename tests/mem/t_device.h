/* t_device.h - stands in for a device: counts registrations and remembers what they cover. */
#ifndef T_DEVICE_H
#define T_DEVICE_H

#include "lib/mem/region.h"

struct t_device {
	int n_attached, n_detached;
	int fail_at;  /* this attach fails, counted from 1; 0: none */
	size_t bytes; /* attached */
	size_t limit; /* attaching more than this fails; 0: none */
	/* NULL: there is no memory behind the addresses.  Else attaching fails where nothing is
	 * mapped, and what this returns is kept in the handle. */
	uint64_t (*stamp)(const struct fr_mem_block *block);
};

/* What attach gives out. */
struct t_handle {
	uintptr_t base;
	size_t bytes;
	uint64_t stamp;
};

extern const struct fr_region_ops t_device_ops; /* the context is a struct t_device */

#endif
