/* report.h - what joins a communicator and what it holds of the hardware, for people. */
#ifndef FR_REPORT_H
#define FR_REPORT_H

#include <stddef.h>

#include <ferrule/comm.h>

/* fr_comm_report - fills all but `size`. */
void fr_comm_report(const struct ferrule_comm *c, struct ferrule_comm_report *out);
/* fr_comm_path - the way to a rank of the communicator, in words. */
void fr_comm_path(const struct ferrule_comm *c, int peer, char *text, size_t bytes);

/* fr_comm_log_begin, fr_comm_log_end - one line each, at FERRULE_LOG=info; the second one says
 * nothing of a communicator that never stood. */
void fr_comm_log_begin(const struct ferrule_comm *c);
void fr_comm_log_end(const struct ferrule_comm *c);

#endif
