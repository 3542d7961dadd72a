/*
 * verbs_cm_api.h - every librdmacm call that Ferrule makes, as a table filled at run time.
 *
 * As verbs_api.h: opened when first asked for, replaced by tests.  Meaning, arguments and return
 * values are those of the manual page rdma_NAME(3).
 */
#ifndef FR_VERBS_CM_API_H
#define FR_VERBS_CM_API_H

#include <stddef.h>
#include <stdint.h>
#include <rdma/rdma_cma.h>

#define FR_RDMACM_MAP(X)                                                                       \
	X(struct rdma_event_channel *, create_event_channel, (void))                           \
	X(void, destroy_event_channel, (struct rdma_event_channel *))                          \
	X(int, create_id,                                                                      \
	  (struct rdma_event_channel *, struct rdma_cm_id **, void *, enum rdma_port_space))   \
	X(int, destroy_id, (struct rdma_cm_id *))                                              \
	X(int, set_option, (struct rdma_cm_id *, int, int, void *, size_t))                    \
	X(int, bind_addr, (struct rdma_cm_id *, struct sockaddr *))                            \
	X(int, listen, (struct rdma_cm_id *, int))                                             \
	X(uint16_t, get_src_port, (struct rdma_cm_id *)) /* In network order. */               \
	X(int, resolve_addr, (struct rdma_cm_id *, struct sockaddr *, struct sockaddr *, int)) \
	X(int, resolve_route, (struct rdma_cm_id *, int))                                      \
	X(int, init_qp_attr, (struct rdma_cm_id *, struct ibv_qp_attr *, int *))               \
	X(int, connect, (struct rdma_cm_id *, struct rdma_conn_param *))                       \
	X(int, establish, (struct rdma_cm_id *))                                               \
	X(int, accept, (struct rdma_cm_id *, struct rdma_conn_param *))                        \
	X(int, reject, (struct rdma_cm_id *, const void *, uint8_t))                           \
	X(int, disconnect, (struct rdma_cm_id *))                                              \
	X(int, get_cm_event, (struct rdma_event_channel *, struct rdma_cm_event **))           \
	X(int, ack_cm_event, (struct rdma_cm_event *))

struct fr_rdmacm {
#define FR_RDMACM_MEMBER(type, name, args) type(*name) args;
	FR_RDMACM_MAP(FR_RDMACM_MEMBER)
#undef FR_RDMACM_MEMBER
};

/* fr_rdmacm_get - the table, opened on the first call; NULL and `why` where there is no library.
 * Thread safe. */
const struct fr_rdmacm *fr_rdmacm_get(char *why, size_t why_bytes);
/* fr_rdmacm_replace - tests: this table from now on; NULL: the library's again. */
void fr_rdmacm_replace(const struct fr_rdmacm *table);

#endif
