/* boot_net.h - the sockets under the rendezvous: every call has a deadline (fr_clock_ns()). */
#ifndef FR_BOOT_NET_H
#define FR_BOOT_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <ferrule/status.h>

/* One numeric address with its port. */
struct fr_net_addr {
	struct sockaddr_storage storage;
	socklen_t length;
};

/* "127.0.0.1:29500", "[::1]:29500". */
#define FR_NET_TEXT_BYTES 80
/* "127.0.0.1", "::1": without the port. */
#define FR_NET_HOST_BYTES 64

/* fr_net_numeric - an address from its family (4 or 6), bytes in network order and port. */
void fr_net_numeric(int family, const unsigned char *bytes, uint16_t port, struct fr_net_addr *out);
/* fr_net_resolve - addresses of a name or number, at most `max`; returns how many, 0 when there
 * are none now, with the reason in *why_out (static) and errno: ENOENT, there is no such name;
 * EAGAIN, it cannot be told now; or what this process is out of.  A name server may make it
 * block. */
int fr_net_resolve(const char *host, uint16_t port, struct fr_net_addr *out, int max,
                   const char **why_out);
/* fr_net_is_numeric - is it an address and not a name? */
bool fr_net_is_numeric(const char *host);
/* fr_net_text, fr_net_host - for people; return buf.  IPv4 inside IPv6 is shown as IPv4. */
char *fr_net_text(const struct fr_net_addr *a, char buf[FR_NET_TEXT_BYTES]);
char *fr_net_host(const struct fr_net_addr *a, char buf[FR_NET_HOST_BYTES]);
/* fr_net_is_loopback - can only this host reach it? */
bool fr_net_is_loopback(const struct fr_net_addr *a);
/* fr_net_is_loopback_host - the same of a name or number; no name but "localhost" is looked up. */
bool fr_net_is_loopback_host(const char *host);

/* fr_net_listen - a non-blocking listening socket, or -1 with errno.  NULL listens on every
 * address of the host; port 0 takes a free one.  *port_out is the port it has. */
int fr_net_listen(const struct fr_net_addr *a, uint16_t port, uint16_t *port_out);
/* fr_net_dial - a connected, non-blocking socket, or -1 with errno. */
int fr_net_dial(const struct fr_net_addr *a, uint64_t deadline_ns);
/* fr_net_has_way - false when this host has no route, or no address, towards it. */
bool fr_net_has_way(const struct fr_net_addr *a);
/* fr_net_prepare - the options of every connection. */
void fr_net_prepare(int fd);

/* fr_net_poll_ms - poll()'s timeout until the deadline: 0 when it has passed. */
int fr_net_poll_ms(uint64_t deadline_ns);

enum fr_net_end {
	FR_NET_DONE,  /* all bytes moved */
	FR_NET_EOF,   /* the peer has closed or reset the connection */
	FR_NET_LATE,  /* the deadline has passed */
	FR_NET_ERROR, /* anything else; see errno */
};
/* fr_net_send, fr_net_recv - moves exactly `bytes`; sockets that block are kept to the deadline
 * too. */
enum fr_net_end fr_net_send(int fd, const void *buf, size_t bytes, uint64_t deadline_ns);
enum fr_net_end fr_net_recv(int fd, void *buf, size_t bytes, uint64_t deadline_ns);

#endif
