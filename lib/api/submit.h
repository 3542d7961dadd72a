/* submit.h - from the arguments of a call to its run: what all collectives share. */
#ifndef FR_SUBMIT_H
#define FR_SUBMIT_H

#include <ferrule/coll.h>
#include "lib/comm/comm.h"

/* The three forms.  `comm` and `op_out` are as the user gave them, NULL included. */
ferrule_status_t fr_submit_run(ferrule_comm_t comm, const struct fr_request *r);
ferrule_status_t fr_submit_start(ferrule_comm_t comm, const struct fr_request *r,
                                 ferrule_op_t *op_out);
ferrule_status_t fr_submit_init(ferrule_comm_t comm, const struct fr_request *r,
                                ferrule_op_t *op_out);
/* fr_submit_enter - fr_comm_enter() for a form that gives an operation: the handle and `op_out`
 * are looked at.  The peers of `r` are told when there is no `op_out`; NULL: nobody is. */
ferrule_status_t fr_submit_enter(ferrule_comm_t comm, const ferrule_op_t *op_out,
                                 const struct fr_request *r, struct ferrule_comm **out);

/*
 * fr_submit_prepare - the shape of a request whose arguments are all right, and whether its
 * buffers are in place.  For the thread that holds the communicator.
 */
ferrule_status_t fr_submit_prepare(struct ferrule_comm *c, const struct fr_request *r,
                                   struct fr_shape **shape_out, bool *in_place_out);

#endif
