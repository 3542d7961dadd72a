/* check.h - are the arguments of a call what the API allows?  The error names the argument. */
#ifndef FR_CHECK_H
#define FR_CHECK_H

#include <stdbool.h>

#include "lib/comm/comm.h"

/* fr_check_request - all but the buffers; once a shape. */
ferrule_status_t fr_check_request(const struct ferrule_comm *c, const struct fr_request *r);

/* fr_check_redop - is a made operator still alive, and for this type? */
ferrule_status_t fr_check_redop(const struct ferrule_comm *c, ferrule_redop_t op,
                                ferrule_type_t type);

/* fr_check_buffers_slow - the error of buffers that overlap or are missing; OK when they do not. */
ferrule_status_t fr_check_buffers_slow(const struct fr_shape *shape, const void *send,
                                       const void *recv);

/* fr_check_buffers - are both there, and apart or exactly in place?  Once a call. */
static inline ferrule_status_t fr_check_buffers(const struct fr_shape *shape, const void *send,
                                                const void *recv, bool *in_place_out)
{
	const uintptr_t s = (uintptr_t)send, r = (uintptr_t)recv;
	const bool in_place = fr_shape_in_place(shape, send, recv);
	const bool apart = s + shape->send_bytes <= r || r + shape->recv_bytes <= s ||
	                   !shape->send_bytes || !shape->recv_bytes;
	const bool missing = (!send && shape->send_bytes) || (!recv && shape->recv_bytes);

	*in_place_out = in_place;
	if (__builtin_expect((in_place || apart) && !missing, 1))
		return FERRULE_OK;
	return fr_check_buffers_slow(shape, send, recv);
}

/* fr_no_output - the error of a result pointer that is NULL; `name` as in the header. */
ferrule_status_t fr_no_output(const char *name);

#endif
