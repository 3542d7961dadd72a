/* tcp_control.h - the control connection of an endpoint: liveness, reasons, last words. */
#ifndef FR_TCP_CONTROL_H
#define FR_TCP_CONTROL_H

#include "lib/transport/tcp/tcp.h"

/* fr_tcp_fault - makes this the endpoint's fault unless it has one; returns the one it has. */
ferrule_status_t fr_tcp_fault(struct fr_tcp_ep *e, ferrule_status_t status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * fr_tcp_lost - a data lane ended (err 0) or broke (an errno).  Asks the control connection for
 * the reason: returns the fault, or OK while it may still be on its way.
 */
ferrule_status_t fr_tcp_lost(struct fr_tcp_ep *e, int err);

/* fr_tcp_check - fr_ep_ops.check. */
ferrule_status_t fr_tcp_check(struct fr_ep *ep);

/* fr_tcp_tell - queues one control frame and sends what the socket takes.  `reason` belongs to
 * an ABORT, else NULL. */
void fr_tcp_tell(struct fr_tcp_ep *e, enum fr_tcp_kind kind, const struct fr_call *call,
                 const char *reason);

#endif
