/*
 * part.h - one run of one shape on two buffers.
 *
 * A collective is one part, ferrule_sendrecv() two, a group as many as it has messages.
 * All functions are called by the thread that holds the communicator.
 */
#ifndef FR_PART_H
#define FR_PART_H

#include <stdbool.h>

#include <ferrule/status.h>

struct ferrule_comm;
struct fr_shape;
struct fr_run;

struct fr_part {
	struct fr_shape *shape;
	const void *send;
	void *recv;
	struct fr_run *run; /* while it is under way */
	bool in_place;
};

/* fr_part_refused - tells the peers that this rank refused a call of this shape, as fr_comm_tell()
 * does; returns `status`. */
ferrule_status_t fr_part_refused(struct ferrule_comm *c, const struct fr_shape *shape,
                                 ferrule_status_t status);

/* fr_part_run - the blocking form, without a part.  A failure is the communicator's fault. */
ferrule_status_t fr_part_run(struct ferrule_comm *c, struct fr_shape *shape, const void *send,
                             void *recv, bool in_place);

/* fr_part_hold - fills a part and keeps its shape until fr_part_drop().  Compiles the plan, so
 * that starting can no longer fail for that. */
ferrule_status_t fr_part_hold(struct ferrule_comm *c, struct fr_part *part, struct fr_shape *shape,
                              const void *send, void *recv, bool in_place);
/* fr_part_drop - gives the shape back.  A run that is still under way is dropped, which only a
 * communicator that is being destroyed may do. */
void fr_part_drop(struct fr_part *part);

/* fr_part_start, _test, _wait - the run; test and wait return OK at once when there is none.
 * Failures are the communicator's fault. */
ferrule_status_t fr_part_start(struct ferrule_comm *c, struct fr_part *part);
ferrule_status_t fr_part_test(struct ferrule_comm *c, struct fr_part *part);
ferrule_status_t fr_part_wait(struct ferrule_comm *c, struct fr_part *part);

#endif
