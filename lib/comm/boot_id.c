/* boot_id.c - finding each other through a unique id that the application carries. */
#include "config.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/auth.h"
#include "lib/base/error.h"
#include "lib/base/machine_id.h"
#include "lib/base/netif.h"
#include "lib/base/settings.h"
#include "lib/comm/boot_open.h"
#include "lib/comm/boot_wire.h"

/*
 * Ids made here whose communicator has not been opened yet.  The id is plain bytes that the
 * application copies about, so the listening socket it names can only be kept by the process.
 * An id that is never used keeps its socket until the process ends.
 */
struct waiting_id {
	struct waiting_id *next;
	unsigned char secret[FR_AUTH_KEY_BYTES];
	int listen_fd; /* -1 in a forked child, where it is closed */
	pid_t maker;
};
static pthread_mutex_t waiting_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t waiting_once = PTHREAD_ONCE_INIT;
static struct waiting_id *waiting_ids;

static void before_fork(void)
{
	pthread_mutex_lock(&waiting_lock);
}

static void after_fork_in_parent(void)
{
	pthread_mutex_unlock(&waiting_lock);
}

static void after_fork_in_child(void)
{
	for (struct waiting_id *w = waiting_ids; w; w = w->next)
		w->listen_fd = -1;
	pthread_mutex_init(&waiting_lock, NULL);
}

static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

static ferrule_status_t remember(const unsigned char *secret, int listen_fd)
{
	struct waiting_id *w = malloc(sizeof(*w));

	if (!w)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for a unique id");
	memcpy(w->secret, secret, sizeof(w->secret));
	w->listen_fd = listen_fd;
	w->maker = getpid();
	pthread_once(&waiting_once, watch_forks);
	pthread_mutex_lock(&waiting_lock);
	w->next = waiting_ids;
	waiting_ids = w;
	pthread_mutex_unlock(&waiting_lock);
	return FERRULE_OK;
}

/* The listening socket of an id, which is forgotten here; or -1 and the error. */
static int recall(const unsigned char *secret)
{
	struct waiting_id *found = NULL;
	int fd = -1, maker = 0;

	pthread_mutex_lock(&waiting_lock);
	for (struct waiting_id **at = &waiting_ids; *at; at = &(*at)->next) {
		if (memcmp((*at)->secret, secret, FR_AUTH_KEY_BYTES) != 0)
			continue;
		found = *at;
		*at = found->next;
		break;
	}
	pthread_mutex_unlock(&waiting_lock);
	if (found) {
		fd = found->listen_fd;
		maker = (int)found->maker;
		fr_wipe(found->secret, sizeof(found->secret));
		free(found);
	}
	if (found && fd < 0)
		fr_error(FERRULE_ERR_ARGUMENT,
		         "id: was made by process %d before it forked this one, process %d; rank 0 "
		         "must be the process that made the id, so make it after the fork",
		         maker, (int)getpid());
	else if (!found)
		fr_error(FERRULE_ERR_ARGUMENT,
		         "rank 0 must be the process that made the id, and an id makes one "
		         "communicator; this id is not waiting in this process");
	return fd;
}

/* How promising an interface is: 0 a real one, 1 a bridge that other hosts rarely reach. */
static int rank_interface(const char *name)
{
	static const char *const bridges[] = {"docker", "virbr", "veth", "br-", "cni", "lxc"};

	for (size_t i = 0; i < sizeof(bridges) / sizeof(bridges[0]); i++)
		if (strncmp(name, bridges[i], strlen(bridges[i])) == 0)
			return 1;
	return 0;
}

/* Takes an interface's address when it is up and the setting allows it. */
static bool take_address(const struct ifaddrs *at, bool is_loopback, struct fr_boot_id_addr *out)
{
	if (!at->ifa_addr || !(at->ifa_flags & IFF_UP) ||
	    !(at->ifa_flags & IFF_LOOPBACK) == is_loopback ||
	    !fr_netif_fits(fr_settings()->socket_ifname, at->ifa_name, at->ifa_addr))
		return false;
	memset(out, 0, sizeof(*out));
	if (at->ifa_addr->sa_family == AF_INET) {
		out->family = 4;
		memcpy(out->bytes, &((const struct sockaddr_in *)at->ifa_addr)->sin_addr, 4);
		return true;
	}
	if (at->ifa_addr->sa_family != AF_INET6)
		return false;
	out->family = 6;
	memcpy(out->bytes, &((const struct sockaddr_in6 *)at->ifa_addr)->sin6_addr, 16);
	return true;
}

/* Smaller is better: real interfaces before bridges, IPv4 before IPv6; link-local addresses need an
 * interface that the other host has to guess, so they come last. */
#define PENALTY_MAX 4
static int penalty(const struct ifaddrs *at, const struct fr_boot_id_addr *addr)
{
	if (addr->family == 6 && fr_netif_is_link_local(addr->bytes))
		return PENALTY_MAX;
	return 2 * rank_interface(at->ifa_name) + (addr->family == 6);
}

/* Best first, else in the kernel's order; returns how many. */
static int pick_addresses(const struct ifaddrs *list, bool is_loopback, struct fr_boot_id_addr *out,
                          int max)
{
	int n = 0;

	for (int wanted = 0; wanted <= PENALTY_MAX; wanted++) {
		for (const struct ifaddrs *at = list; at && n < max; at = at->ifa_next) {
			struct fr_boot_id_addr addr;
			if (take_address(at, is_loopback, &addr) && penalty(at, &addr) == wanted)
				out[n++] = addr;
		}
	}
	return n;
}

/* How other hosts reach this one.  None is an error only when the setting leaves nothing. */
static ferrule_status_t collect_addresses(struct fr_boot_id *id)
{
	const char *selector = fr_settings()->socket_ifname;
	struct fr_boot_id_addr loopback;
	struct ifaddrs *list;
	char text[200];

	if (getifaddrs(&list) != 0)
		return FERRULE_OK;
	id->n_addrs = pick_addresses(list, false, id->addrs, FR_BOOT_ID_MAX_ADDRS);
	const bool has_any = id->n_addrs > 0 || pick_addresses(list, true, &loopback, 1) > 0;
	fr_netif_text(list, text, sizeof(text));
	freeifaddrs(list);
	if (has_any || selector[0] == '\0')
		return FERRULE_OK;
	return fr_error(
		FERRULE_ERR_SETTING,
		"no interface fits FERRULE_SOCKET_IFNAME=%.80s; with addresses and up are: %s",
		selector, text);
}

ferrule_status_t fr_boot_new_id(ferrule_unique_id_t *id_out)
{
	struct fr_boot_id id = {.network = fr_network_id()};
	const int fd = fr_net_listen(NULL, 0, &id.port);

	if (fd < 0)
		return fr_error(FERRULE_ERR_SYSTEM, "cannot listen for a unique id: %s",
		                strerror(errno));
	fr_random(id.secret, sizeof(id.secret));
	ferrule_status_t status = collect_addresses(&id);
	if (status == FERRULE_OK)
		status = remember(id.secret, fd);
	if (status == FERRULE_OK)
		fr_boot_put_id(&id, id_out);
	else
		close(fd);
	fr_wipe(&id, sizeof(id));
	return status;
}

static ferrule_status_t check_arguments(const ferrule_unique_id_t *bytes, int rank, int n_ranks,
                                        struct fr_boot_id *id)
{
	if (n_ranks < 1 || n_ranks > FR_BOOT_MAX_RANKS)
		return fr_error(FERRULE_ERR_ARGUMENT, "n_ranks is %d; allowed: 1 to %d", n_ranks,
		                FR_BOOT_MAX_RANKS);
	if (rank < 0 || rank >= n_ranks)
		return fr_error(FERRULE_ERR_ARGUMENT, "rank is %d; allowed: 0 to %d", rank,
		                n_ranks - 1);
	if (!fr_boot_get_id(bytes, id))
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "id is not a unique id of this version; allowed: what "
		                "ferrule_unique_id_create() wrote, copied whole");
	return FERRULE_OK;
}

static void add_addresses(const struct fr_boot_id_addr *addrs, int n, uint16_t port,
                          struct fr_rendezvous *place)
{
	for (int i = 0; i < n && place->n_addrs < FR_RENDEZVOUS_MAX_ADDRS; i++)
		fr_net_numeric(addrs[i].family, addrs[i].bytes, port,
		               &place->addrs[place->n_addrs++]);
}

/* In rank 0's own network loopback is surest; the other addresses follow in the id's order. */
static ferrule_status_t find_place(const struct fr_boot_id *id, struct fr_rendezvous *place)
{
	struct fr_boot_id_addr loopback[2];
	const bool is_near = id->network == fr_network_id();
	struct ifaddrs *list;

	memset(place, 0, sizeof(*place));
	if (is_near && !fr_netif_has_loopback())
		return fr_error(FERRULE_ERR_SYSTEM, "the loopback interface is down, so processes "
		                                    "of this host cannot reach each other; bring "
		                                    "it up: ip link set lo up");
	if (is_near && getifaddrs(&list) == 0) {
		const int n = pick_addresses(list, true, loopback, 2);
		add_addresses(loopback, n, id->port, place);
		freeifaddrs(list);
	}
	add_addresses(id->addrs, id->n_addrs, id->port, place);
	if (place->n_addrs == 0)
		return fr_error(FERRULE_ERR_SYSTEM,
		                "the host of rank 0 has no address but loopback that %s; connect "
		                "it to a network, or see FERRULE_SOCKET_IFNAME",
		                is_near ? "this process may use" : "other hosts could reach");
	fr_net_text(&place->addrs[0], place->text);
	return FERRULE_OK;
}

static ferrule_status_t open_with(const struct fr_boot_id *id, int rank, int n_ranks,
                                  uint64_t deadline_ns, struct fr_boot **out)
{
	int listen_fd = -1;
	struct fr_rendezvous place;

	if (rank == 0) {
		listen_fd = recall(id->secret);
		if (listen_fd < 0)
			return FERRULE_ERR_ARGUMENT;
	}
	if (n_ranks == 1) {
		close(listen_fd);
		return fr_boot_open_alone(out);
	}
	const ferrule_status_t status = find_place(id, &place);
	if (status != FERRULE_OK) {
		if (listen_fd >= 0)
			close(listen_fd);
		return status;
	}
	const struct fr_star_params params = {.rank = rank,
	                                      .n_ranks = n_ranks,
	                                      .key = id->secret,
	                                      .deadline_ns = deadline_ns,
	                                      .place = &place};
	return fr_boot_open_star(&params, listen_fd, out);
}

ferrule_status_t fr_boot_open_id(const ferrule_unique_id_t *bytes, int rank, int n_ranks,
                                 uint64_t deadline_ns, struct fr_boot **out)
{
	struct fr_boot_id id;
	ferrule_status_t status = check_arguments(bytes, rank, n_ranks, &id);

	if (status != FERRULE_OK)
		return status;
	status = open_with(&id, rank, n_ranks, deadline_ns, out);
	fr_wipe(&id, sizeof(id));
	return status;
}
