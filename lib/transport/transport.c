#include "config.h"

#include "lib/transport/transport.h"

#include <string.h>

#include "lib/transport/transport_list.h"

const struct fr_transport_ops *const fr_transports[] = {
	&fr_transport_shm, &fr_transport_verbs, &fr_transport_tcp, &fr_transport_ucx, NULL,
};

const struct fr_transport_ops *fr_transport_find(const char *name)
{
	for (const struct fr_transport_ops *const *ops = fr_transports; *ops != NULL; ops++) {
		if (strcmp((*ops)->name, name) == 0)
			return *ops;
	}
	return NULL;
}
