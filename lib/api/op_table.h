/*
 * op_table.h - what users hold of an operation.
 *
 * A handle is a place in a table and a generation, not an address: one that was destroyed, or
 * that never was one, is found out before anything is read through it.  Operations are never
 * freed; they lie in chunks of the table and are used again under the next generation, so that a
 * thread which still looks at one finds memory there.
 */
#ifndef FR_OP_TABLE_H
#define FR_OP_TABLE_H

#include <stdbool.h>

#include <ferrule/types.h>

struct ferrule_op;

/* fr_op_new - an operation that nobody uses, zeroed but for its place; NULL, and the error, when
 * there is no memory. */
struct ferrule_op *fr_op_new(void);
/* fr_op_retire - from now on no handle of it is good.  fr_op_recycle() may follow, or it is kept
 * for the next call of the same communicator. */
void fr_op_retire(struct ferrule_op *op);
/* fr_op_recycle - back to the table. */
void fr_op_recycle(struct ferrule_op *op);

/* fr_op_handle - what the user gets. */
ferrule_op_t fr_op_handle(const struct ferrule_op *op);
/* fr_op_find - NULL, and the error that says why, when the handle is of none that lives. */
struct ferrule_op *fr_op_find(ferrule_op_t handle);
/* fr_op_is - is this still the operation of the handle?  To be asked again once its communicator
 * was entered. */
bool fr_op_is(const struct ferrule_op *op, ferrule_op_t handle);
/* fr_op_claim - retires the operation of a handle; false when another thread did so before. */
bool fr_op_claim(struct ferrule_op *op, ferrule_op_t handle);

#endif
