/* transport_list.h - the tables that transport.c lists; each is defined in its own folder. */
#ifndef FR_TRANSPORT_LIST_H
#define FR_TRANSPORT_LIST_H

#include "lib/transport/transport.h"

extern const struct fr_transport_ops fr_transport_shm;
extern const struct fr_transport_ops fr_transport_verbs;
extern const struct fr_transport_ops fr_transport_tcp;
extern const struct fr_transport_ops fr_transport_ucx;

#endif
