/*
 * netif.h - network interfaces: which of them FERRULE_SOCKET_IFNAME lets ranks use.
 *
 * A selector is a comma-separated list, where "" allows everything.  Each entry is
 *
 *   eth             interfaces whose names begin so: eth0, eth1
 *   10.0.0.0/8      addresses in this network, fd00::/8 alike; an address alone is a network of one
 *
 * and the list as a whole may begin with = (names are whole names), ^ (all but these) or ^=.  The
 * sign may be repeated before each entry.
 */
#ifndef FR_NETIF_H
#define FR_NETIF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ifaddrs;
struct sockaddr;

/* fr_netif_check - is it a selector?  If not, `why` says what is wrong with which entry. */
bool fr_netif_check(const char *selector, char *why, size_t why_bytes);
/* fr_netif_fits - does the selector, which has been checked, allow this address (IPv4 or IPv6) of
 * this interface? */
bool fr_netif_fits(const char *selector, const char *name, const struct sockaddr *addr);
/* fr_netif_is_choice - does it name what may be used, and not only what may not? */
bool fr_netif_is_choice(const char *selector);

/* fr_netif_text - "lo 127.0.0.1 ::1, eth0 192.0.2.5": what is up and has an address, for people;
 * "none" when there is none.  Returns buf. */
char *fr_netif_text(const struct ifaddrs *list, char *buf, size_t bytes);

/* fr_netif_has_loopback - is loopback up?  Without it no process reaches another of its own host,
 * at whatever address. */
bool fr_netif_has_loopback(void);

/* fr_netif_is_link_local - an IPv6 address that says nothing without an interface? */
bool fr_netif_is_link_local(const unsigned char addr[16]);
/*
 * fr_netif_scope - number of the interface by which a link-local address is reached: the one that
 * has it, else the first that is up and has such an address, too.  0 when there is none.
 */
uint32_t fr_netif_scope(const unsigned char addr[16]);

#endif
