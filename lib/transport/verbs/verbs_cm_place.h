/* verbs_cm_place.h - addresses of a device, for librdmacm. */
#ifndef FR_VERBS_CM_PLACE_H
#define FR_VERBS_CM_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "lib/transport/verbs/verbs_cm.h"
#include "lib/transport/verbs/verbs_cm_api.h"
#include "lib/transport/verbs/verbs_device.h"

/* fr_cm_is_on - does the id belong to the device's port? */
bool fr_cm_is_on(const struct rdma_cm_id *id, const struct fr_verbs_device *d);
/*
 * fr_cm_listen - an id that listens on an address of the device's port: of RoCE one of its GIDs,
 * best first; of InfiniBand the address of its IP interface.  scope_out is the interface of a
 * link-local address, else 0.  NULL and `why` when there is none.
 */
struct rdma_cm_id *fr_cm_listen(const struct fr_rdmacm *c, struct rdma_event_channel *channel,
                                const struct fr_verbs_device *d, struct fr_verbs_cm_address *out,
                                uint32_t *scope_out, char *why, size_t why_bytes);
/* fr_cm_sockaddr - false for an address that is none.  `port` replaces the address's own. */
bool fr_cm_sockaddr(const struct fr_verbs_cm_address *a, uint16_t port, uint32_t scope,
                    struct sockaddr_storage *out);

#endif
