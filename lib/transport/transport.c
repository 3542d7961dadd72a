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

bool fr_transport_reaches(const struct fr_transport_ops *ops, bool same_host)
{
	return ops->reaches == NULL || ops->reaches(same_host);
}

struct fr_board *fr_transport_board(struct fr_transport *t)
{
	return t->ops->board != NULL ? t->ops->board(t) : NULL;
}

ferrule_status_t fr_transport_mem_alloc(struct fr_transport *t, size_t bytes, void **out)
{
	return t->ops->mem_alloc != NULL ? t->ops->mem_alloc(t, bytes, out)
	                                 : FERRULE_ERR_UNSUPPORTED;
}
