/*
 * launch_output.h - ranks' output, a whole line at a time, with the rank in front.
 *
 * Nothing here blocks: what readers do not take is queued, and a rank is only read from while
 * the queue is short, so that a slow reader slows the ranks down as a plain pipe would.
 */
#ifndef FR_LAUNCH_OUTPUT_H
#define FR_LAUNCH_OUTPUT_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

struct fr_launch_output;

/* fr_output_create - pipes for n ranks; NULL when there are no descriptors or memory left. */
struct fr_launch_output *fr_output_create(int n_ranks);
/* fr_output_destroy - NULL is a no-op. */
void fr_output_destroy(struct fr_launch_output *o);

/* fr_output_child - in the child: makes its pipes stdout and stderr. */
void fr_output_child(struct fr_launch_output *o, int rank);
/* fr_output_parent - in the launcher, after the fork: closes the child's ends. */
void fr_output_parent(struct fr_launch_output *o, int rank);

/* fr_output_n_fds - the most that fr_output_poll_fds() fills in. */
int fr_output_n_fds(const struct fr_launch_output *o);
/* fr_output_poll_fds - what to wait for now; returns how many. */
int fr_output_poll_fds(struct fr_launch_output *o, struct pollfd *fds);
/* fr_output_progress - reads and writes what poll() found ready. */
void fr_output_progress(struct fr_launch_output *o, const struct pollfd *fds, int n);

/* fr_output_note - queues a line of the launcher's own for stderr. */
void fr_output_note(struct fr_launch_output *o, const char *line);

/* fr_output_is_drained - has everything been written, or nobody is left to read it? */
bool fr_output_is_drained(const struct fr_launch_output *o);

/* fr_output_error - the errno with which output was lost, and whose in *which_out, a word for
 * messages; 0 when nothing was. */
int fr_output_error(const struct fr_launch_output *o, const char **which_out);

#endif
