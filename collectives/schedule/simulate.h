/*
 * simulate.h - runs the schedules of all ranks on symbols; the engine below verify.h.
 *
 * Every send element of every rank is a symbol.  A value is what became of symbols: a sum of
 * 64-bit random numbers, one a symbol, that tells which symbols are in it and how often; and a
 * hash of the tree in which they were combined, where a op b and b op a are the same but
 * (a op b) op c and a op (b op c) are not.
 */
#ifndef FR_SIMULATE_H
#define FR_SIMULATE_H

#include "collectives/schedule/match.h"
#include "collectives/schedule/verify.h"

/* Both zero: undefined. */
struct fr_value {
	uint64_t sum, order;
};

struct fr_sim;

/* fr_sim_create - at the start; `job` and `match` must outlive it. */
ferrule_status_t fr_sim_create(const struct fr_verify_job *job, const struct fr_match *match,
                               struct fr_sim **out);
void fr_sim_destroy(struct fr_sim *sim);

/* fr_sim_leave_out - before running: no step of this rank is to run. */
void fr_sim_leave_out(struct fr_sim *sim, int rank);
/* fr_sim_run - until every step is done.  FERRULE_ERR_INTERNAL, and who is stuck or reads what
 * was never written in `text`. */
ferrule_status_t fr_sim_run(struct fr_sim *sim, char *text, size_t text_bytes);

/* fr_sim_is_done - has rank r run all its steps? */
bool fr_sim_is_done(const struct fr_sim *sim, int r);

/* fr_sim_recv - what rank r's recv buffer holds. */
const struct fr_value *fr_sim_recv(const struct fr_sim *sim, int r);
/* fr_sim_token - the symbol of one send element. */
struct fr_value fr_sim_token(int r, size_t element);
/* fr_sim_note_order - the first rank noted for an element sets the order expected of all. */
void fr_sim_note_order(struct fr_sim *sim, const struct fr_expect *e);
/* fr_sim_all - all ranks' symbols of an element, combined in the order noted; and by whom. */
struct fr_value fr_sim_all(const struct fr_sim *sim, size_t element);
int fr_sim_first_owner(const struct fr_sim *sim, size_t element);
/* fr_sim_stray_write - the first recv element of rank r that nobody asked for and that changed
 * all the same; SIZE_MAX: none. */
size_t fr_sim_stray_write(struct fr_sim *sim, int r);

#endif
