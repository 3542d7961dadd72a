/*
 * order.h - derives the order of a schedule's steps from the ranges they touch.
 */
#ifndef FR_ORDER_H
#define FR_ORDER_H

#include "collectives/schedule/schedule.h"

/*
 * fr_order_derive - fills s->deps and every step's first_dep and n_deps; may be called again
 * after steps were added.  FERRULE_ERR_NO_MEMORY is its only error.
 *
 * A read follows the last writer of each of its elements; a write follows the readers since
 * then, or the last writer where nobody read.  That is enough: element by element, every
 * other conflict follows through these.
 */
ferrule_status_t fr_order_derive(struct fr_sched *s);

#endif
