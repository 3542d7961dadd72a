/* tcp_ep.h - messages over the data lanes. */
#ifndef FR_TCP_EP_H
#define FR_TCP_EP_H

#include "lib/transport/tcp/tcp.h"

extern const struct fr_ep_ops fr_tcp_ep_ops;

#endif
