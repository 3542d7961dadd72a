/*
 * verbs_api.h - every verbs call that Ferrule makes, as a table filled at run time.
 *
 * libibverbs and librdmacm are opened with dlopen(), so that one binary starts where they are
 * absent, and everything else calls through this table, so that a test can put in functions
 * that fail the n-th call.  FERRULE_VERBS_LIBRARY names another libibverbs, which is how the
 * tests' stand-in device comes in.
 *
 * Functions have the meaning, arguments and return values of the manual page ibv_NAME(3) or
 * rdma_NAME(3).
 */
#ifndef FR_VERBS_API_H
#define FR_VERBS_API_H

#include <stdbool.h>
#include <stddef.h>
#include <infiniband/verbs.h>

/* X(return type, name, arguments): exported by libibverbs.  (reg_mr_iova2, reg_dmabuf_mr,
 * set_ece, query_ece, query_gid_ex, fork_init and is_fork_initialized may be NULL: old libraries
 * lack them.) */
#define FR_VERBS_MAP(X)                                                                            \
	X(struct ibv_device **, get_device_list, (int *))                                          \
	X(void, free_device_list, (struct ibv_device **))                                          \
	X(const char *, get_device_name, (struct ibv_device *))                                    \
	X(struct ibv_context *, open_device, (struct ibv_device *))                                \
	X(int, close_device, (struct ibv_context *))                                               \
	X(int, query_device, (struct ibv_context *, struct ibv_device_attr *))                     \
	X(int, query_port, (struct ibv_context *, uint8_t, struct ibv_port_attr *))                \
	X(int, query_gid, (struct ibv_context *, uint8_t, int, union ibv_gid *))                   \
	X(int, query_gid_ex,                                                                       \
	  (struct ibv_context *, uint32_t, uint32_t, struct ibv_gid_entry *, uint32_t))            \
	X(struct ibv_pd *, alloc_pd, (struct ibv_context *))                                       \
	X(int, dealloc_pd, (struct ibv_pd *))                                                      \
	X(struct ibv_mr *, reg_mr, (struct ibv_pd *, void *, size_t, int))                         \
	X(struct ibv_mr *, reg_mr_iova2,                                                           \
	  (struct ibv_pd *, void *, size_t, uint64_t, unsigned int))                               \
	X(struct ibv_mr *, reg_dmabuf_mr, (struct ibv_pd *, uint64_t, size_t, uint64_t, int, int)) \
	X(int, dereg_mr, (struct ibv_mr *))                                                        \
	X(struct ibv_comp_channel *, create_comp_channel, (struct ibv_context *))                  \
	X(int, destroy_comp_channel, (struct ibv_comp_channel *))                                  \
	X(struct ibv_cq *, create_cq,                                                              \
	  (struct ibv_context *, int, void *, struct ibv_comp_channel *, int))                     \
	X(int, destroy_cq, (struct ibv_cq *))                                                      \
	X(int, get_cq_event, (struct ibv_comp_channel *, struct ibv_cq **, void **))               \
	X(void, ack_cq_events, (struct ibv_cq *, unsigned int))                                    \
	X(struct ibv_qp *, create_qp, (struct ibv_pd *, struct ibv_qp_init_attr *))                \
	X(int, modify_qp, (struct ibv_qp *, struct ibv_qp_attr *, int))                            \
	X(int, query_qp, (struct ibv_qp *, struct ibv_qp_attr *, int, struct ibv_qp_init_attr *))  \
	X(int, destroy_qp, (struct ibv_qp *))                                                      \
	X(int, query_ece, (struct ibv_qp *, struct ibv_ece *))                                     \
	X(int, set_ece, (struct ibv_qp *, struct ibv_ece *))                                       \
	X(int, get_async_event, (struct ibv_context *, struct ibv_async_event *))                  \
	X(void, ack_async_event, (struct ibv_async_event *))                                       \
	X(int, fork_init, (void))                                                                  \
	X(int, is_fork_initialized, (void))                                                        \
	/* Inline in <infiniband/verbs.h>, through the context. */                                 \
	X(int, post_send, (struct ibv_qp *, struct ibv_send_wr *, struct ibv_send_wr **))          \
	X(int, post_recv, (struct ibv_qp *, struct ibv_recv_wr *, struct ibv_recv_wr **))          \
	X(int, poll_cq, (struct ibv_cq *, int, struct ibv_wc *))                                   \
	X(int, req_notify_cq, (struct ibv_cq *, int))

struct fr_verbs {
#define FR_VERBS_MEMBER(type, name, args) type(*name) args;
	FR_VERBS_MAP(FR_VERBS_MEMBER)
#undef FR_VERBS_MEMBER
};

/* fr_verbs_get - the table, opened on the first call; NULL and `why` where there is no library.
 * Thread safe. */
const struct fr_verbs *fr_verbs_get(char *why, size_t why_bytes);
/* fr_verbs_replace - tests: this table from now on; NULL: the library's again. */
void fr_verbs_replace(const struct fr_verbs *table);
/*
 * fr_verbs_fork_guard - calls ibv_fork_init() where the kernel needs it, and tells whether it did.
 * Newer kernels copy pinned pages at fork() by themselves; there the call would only split the
 * address space at every registration, until the process has no mappings left.
 * fr_verbs_get() has done this.
 */
bool fr_verbs_fork_guard(const struct fr_verbs *v);

#endif
