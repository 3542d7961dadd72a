/* launch_address.c - an address of this host at which its processes reach each other. */
#include "tools/launch_internal.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel answers for its own addresses at once, or not at all when loopback is down. */
#define PATIENCE_MS 200
/* More addresses than this that do not work say enough. */
#define MAX_TRIES 8

static socklen_t length_of(const struct sockaddr *a)
{
	return a->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* Does a connection to this address come about? */
static bool connects(const struct sockaddr *a)
{
	const int to = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int from = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd arrival = {.fd = to, .events = POLLIN};
	struct sockaddr_storage at;
	socklen_t length = sizeof(at);
	bool is_connected = false;

	if (to >= 0 && from >= 0 && bind(to, a, length_of(a)) == 0 && listen(to, 1) == 0 &&
	    getsockname(to, (struct sockaddr *)&at, &length) == 0) {
		/* In progress or not: what counts is that it arrives. */
		connect(from, (struct sockaddr *)&at, length);
		is_connected = poll(&arrival, 1, PATIENCE_MS) == 1;
	}
	if (to >= 0)
		close(to);
	if (from >= 0)
		close(from);
	return is_connected;
}

/* Smaller is better: loopback before the rest, IPv4 before IPv6. */
static int penalty(const struct ifaddrs *i)
{
	return 2 * !(i->ifa_flags & IFF_LOOPBACK) + (i->ifa_addr->sa_family == AF_INET6);
}
#define PENALTY_MAX 3

static bool take(const struct ifaddrs *i, struct fr_job *job)
{
	if (!connects(i->ifa_addr) ||
	    getnameinfo(i->ifa_addr, length_of(i->ifa_addr), job->master_addr,
	                sizeof(job->master_addr), NULL, 0, NI_NUMERICHOST) != 0)
		return false;
	job->master_family = i->ifa_addr->sa_family;
	return true;
}

static bool is_candidate(const struct ifaddrs *i)
{
	return i->ifa_addr && i->ifa_flags & IFF_UP &&
	       (i->ifa_addr->sa_family == AF_INET || i->ifa_addr->sa_family == AF_INET6);
}

bool fr_job_choose_address(struct fr_job *job)
{
	struct ifaddrs *list = NULL;
	int n_tried = 0;

	if (getifaddrs(&list) != 0)
		list = NULL;
	for (int wanted = 0; wanted <= PENALTY_MAX; wanted++) {
		for (const struct ifaddrs *i = list; i && n_tried < MAX_TRIES; i = i->ifa_next) {
			if (!is_candidate(i) || penalty(i) != wanted)
				continue;
			n_tried++;
			if (take(i, job)) {
				freeifaddrs(list);
				return true;
			}
		}
	}
	if (list)
		freeifaddrs(list);
	/* A rank alone looks for nobody. */
	if (job->what->n_ranks == 1) {
		snprintf(job->master_addr, sizeof(job->master_addr), "localhost");
		job->master_family = AF_INET;
		return true;
	}
	fr_job_note(job,
	            "no address of this host works for its own processes (%d tried): loopback is "
	            "down or has none; bring it up: ip link set lo up",
	            n_tried);
	return false;
}
