/*
 * perf_control.h - the TCP connection beside the path that is measured.
 *
 * It carries parameters, addresses, barriers and results as frames, and it is how one side
 * learns that the other one died: most of what is measured gives the passive side no sign.
 *
 *   byte 0      4       6         8        12
 *   +-----------+-------+---------+--------+------------
 *   | "FRPF"    | kind  | version | bytes  | payload ...      (little endian)
 *   +-----------+-------+---------+--------+------------
 *
 * Every function that waits has a deadline.  Errors are written with fr_error().
 */
#ifndef FR_PERF_CONTROL_H
#define FR_PERF_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferrule/perf.h>
#include "lib/perf/perf_key.h"

#define FR_PERF_VERSION     2
#define FR_PERF_FRAME_BYTES 65536 /* a payload is at most this long */

enum fr_perf_kind {
	FR_PERF_HELLO = 1, /* parameters, as text */
	FR_PERF_PORT,      /* what a port offers */
	FR_PERF_ENDS,      /* queue pairs and memory, or a transport's address */
	FR_PERF_READY,     /* a barrier */
	FR_PERF_BYTES,     /* the size that is measured next */
	FR_PERF_DONE,      /* I have sent everything */
	FR_PERF_RESULT,
	FR_PERF_FAULT, /* I give up; the text says why */
};

struct fr_perf_control {
	int fd;
	double timeout_s;
	bool peer_done;         /* DONE has come */
	char peer[80];          /* "192.168.7.2:40312" */
	struct fr_perf_key key; /* what was proved; NONE on a socket that was given */
};

/* fr_perf_control_open - waits for the client, or connects to the server.  */
ferrule_status_t fr_perf_control_open(struct fr_perf_control *c,
                                      const struct ferrule_perf_params *params);
void fr_perf_control_close(struct fr_perf_control *c);

ferrule_status_t fr_perf_control_send(struct fr_perf_control *c, enum fr_perf_kind kind,
                                      const void *data, size_t bytes);
/* fr_perf_control_receive - the next frame, which must be of this kind and have at most *bytes
 * of payload; *bytes is set to what it has.  A FAULT becomes an error with its text. */
ferrule_status_t fr_perf_control_receive(struct fr_perf_control *c, enum fr_perf_kind kind,
                                         void *data, size_t *bytes, double timeout_s);
/* fr_perf_control_exchange - both ways, of exactly this size. */
ferrule_status_t fr_perf_control_exchange(struct fr_perf_control *c, enum fr_perf_kind kind,
                                          const void *mine, void *theirs, size_t bytes);
/* fr_perf_control_fault - tells the other side why this one gives up, as well as that goes. */
void fr_perf_control_fault(struct fr_perf_control *c, const char *text);
/* fr_perf_control_peek - without waiting: takes DONE, turns FAULT and the end of the connection
 * into an error. */
ferrule_status_t fr_perf_control_peek(struct fr_perf_control *c);

/* ---- waiting in a measured loop ---- */

/* So many looks that found nothing pass between two that cost a system call. */
#define FR_PERF_IDLE_LOOKS 4096

struct fr_perf_watch {
	struct fr_perf_control *control;
	bool ends_with_peer; /* the peer's DONE ends the wait, too */
	unsigned n_idle;
	uint64_t limit_ns; /* the longest wait without anything */
	uint64_t since_ns, looked_ns;
	ferrule_status_t status;
};

/* fr_perf_watch_look - the slow part; true: go on waiting. */
bool fr_perf_watch_look(struct fr_perf_watch *w);

/*
 * fr_perf_may_wait - after every look that found nothing.  False: stop; w->status is OK when the
 * peer is done, else the fault.
 */
static inline bool fr_perf_may_wait(struct fr_perf_watch *w)
{
	return ++w->n_idle % FR_PERF_IDLE_LOOKS != 0 || fr_perf_watch_look(w);
}
/* fr_perf_has_moved - after every look that found something. */
static inline void fr_perf_has_moved(struct fr_perf_watch *w)
{
	w->n_idle = 0;
}

#endif
