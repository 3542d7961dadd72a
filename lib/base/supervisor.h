/*
 * supervisor.h - who tells a rank that sets up that another rank cannot go on.
 *
 * Until a communicator stands, its ranks wait for each other in many places: for connections, for
 * proofs, for measurements.  Each of these waits polls the supervisor's descriptor beside its
 * own, and asks it; so a rank that dies or gives up ends all of them at once.
 */
#ifndef FR_SUPERVISOR_H
#define FR_SUPERVISOR_H

#include <stddef.h>

#include <ferrule/status.h>

/* How long a wait sleeps before it asks again: not all that a supervisor watches has a
 * descriptor. */
#define FR_SUPERVISOR_LOOK_MS 10

struct fr_supervisor {
	int fd; /* readable when there may be news; -1: only check() can tell */
	/* OK, or the failure that ends the set-up, with its text in fr_error_text().  Never
	 * blocks; a failure stays. */
	ferrule_status_t (*check)(struct fr_supervisor *s);
};

/* fr_supervisor_fd - for a poll set, which ignores -1.  Without a supervisor nobody watches. */
static inline int fr_supervisor_fd(const struct fr_supervisor *s)
{
	return s != NULL ? s->fd : -1;
}

/* fr_supervisor_check - OK without a supervisor. */
static inline ferrule_status_t fr_supervisor_check(struct fr_supervisor *s)
{
	return s != NULL ? s->check(s) : FERRULE_OK;
}

#endif
