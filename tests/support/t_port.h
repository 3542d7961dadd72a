/*
 * t_port.h - ports that nobody else gets while a test uses them.
 *
 * A socket is bound to each and never listens.  With SO_REUSEADDR on both sides a server of the
 * test may bind and listen there all the same, and the kernel gives a bound port to nobody who did
 * not ask for it by number.
 */
#ifndef T_PORT_H
#define T_PORT_H

/*
 * t_port_hold - takes `n` ports that follow each other, of every address of IPv4 and IPv6, and
 * fills fds[0..n-1] with sockets that hold them, which the caller closes; close-on-exec.
 *
 * Returns the first port, or -1.
 */
int t_port_hold(int n, int *fds);

#endif
