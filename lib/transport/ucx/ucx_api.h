/*
 * ucx_api.h - every UCX call that Ferrule makes, as a table filled at run time.
 *
 * libucp is opened with dlopen(), so that one binary starts where it is absent.  Functions have
 * the meaning, arguments and return values of <ucp/api/ucp.h>.
 */
#ifndef FR_UCX_API_H
#define FR_UCX_API_H

#include <stdbool.h>
#include <stddef.h>
#include <ucp/api/ucp.h>

/* X(return type, name, arguments): exported by libucp, with the prefix ucp_. */
#define FR_UCX_MAP(X)                                                                        \
	X(void, get_version, (unsigned *, unsigned *, unsigned *))                           \
	X(ucs_status_t, init_version,                                                        \
	  (unsigned, unsigned, const ucp_params_t *, const ucp_config_t *, ucp_context_h *)) \
	X(void, cleanup, (ucp_context_h))                                                    \
	X(ucs_status_t, worker_create,                                                       \
	  (ucp_context_h, const ucp_worker_params_t *, ucp_worker_h *))                      \
	X(void, worker_destroy, (ucp_worker_h))                                              \
	X(ucs_status_t, worker_get_address, (ucp_worker_h, ucp_address_t **, size_t *))      \
	X(void, worker_release_address, (ucp_worker_h, ucp_address_t *))                     \
	X(unsigned, worker_progress, (ucp_worker_h))                                         \
	X(ucs_status_t, worker_get_efd, (ucp_worker_h, int *))                               \
	X(ucs_status_t, worker_arm, (ucp_worker_h))                                          \
	X(ucs_status_t, worker_set_am_recv_handler,                                          \
	  (ucp_worker_h, const ucp_am_handler_param_t *))                                    \
	X(ucs_status_t, ep_create, (ucp_worker_h, const ucp_ep_params_t *, ucp_ep_h *))      \
	X(ucs_status_ptr_t, ep_flush_nbx, (ucp_ep_h, const ucp_request_param_t *))           \
	X(ucs_status_ptr_t, ep_close_nbx, (ucp_ep_h, const ucp_request_param_t *))           \
	X(ucs_status_ptr_t, am_send_nbx,                                                     \
	  (ucp_ep_h, unsigned, const void *, size_t, const void *, size_t,                   \
	   const ucp_request_param_t *))                                                     \
	X(ucs_status_ptr_t, am_recv_data_nbx,                                                \
	  (ucp_worker_h, void *, void *, size_t, const ucp_request_param_t *))               \
	X(void, am_data_release, (ucp_worker_h, void *))                                     \
	X(ucs_status_t, request_check_status, (void *))                                      \
	X(void, request_free, (void *))

struct fr_ucx_api {
#define FR_UCX_MEMBER(type, name, args) type(*name) args;
	FR_UCX_MAP(FR_UCX_MEMBER)
#undef FR_UCX_MEMBER
	/* Of libucs: the text of a status. */
	const char *(*status_string)(ucs_status_t);
};

/* fr_ucx_api_get - the table, opened on the first call; NULL and `why` where there is no library
 * that can be used.  Thread safe. */
const struct fr_ucx_api *fr_ucx_api_get(char *why, size_t why_bytes);

#endif
