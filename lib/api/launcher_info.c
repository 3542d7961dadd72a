/* launcher_info.c - who started this process, and which interfaces its ranks may use. */
#include "config.h"

#include <ferrule/info.h>

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/netif.h"
#include "lib/base/settings.h"
#include "lib/comm/boot_launcher.h"

static void describe_meeting(const struct fr_launcher_says *says, char *text, size_t bytes)
{
	const char *by = says->launcher[0] ? says->launcher : "RANK and WORLD_SIZE";

	switch (says->meeting) {
	case FR_MEET_AT_HOST:
		snprintf(text, bytes, "rank %d of %d by %s, rank 0 at %.100s port %u",
		         says->env.rank, says->env.n_ranks, by, says->env.host, says->env.port);
		break;
	case FR_MEET_BY_PMIX:
		snprintf(text, bytes, "a rank of mpirun, prterun or srun, through PMIx");
		break;
	case FR_MEET_BY_PMI:
		snprintf(text, bytes, "a rank of mpiexec or srun, through PMI-1 or PMI-2");
		break;
	default:
		snprintf(text, bytes, "%s",
		         says->env.n_ranks == 1 ? "rank 0 of 1 by RANK and WORLD_SIZE"
		         : says->warning[0]     ? says->warning
		                                : "none: one rank alone");
	}
}

ferrule_status_t ferrule_launcher_describe(struct ferrule_launcher_info *out)
{
	static const char *const empty[] = {NULL};
	struct fr_launcher_says says;

	const ferrule_status_t status =
		fr_boot_launcher_read(environ ? (const char *const *)environ : empty,
	                              (int)fr_settings()->store_port, &says);
	if (status != FERRULE_OK)
		return status;
	memset(out, 0, sizeof(*out));
	out->is_rank = says.meeting != FR_MEET_NOBODY || says.env.n_ranks == 1;
	out->is_doubtful = says.warning[0] != '\0';
	describe_meeting(&says, out->text, sizeof(out->text));
	return FERRULE_OK;
}

static bool is_ip(const struct ifaddrs *i)
{
	return i->ifa_addr &&
	       (i->ifa_addr->sa_family == AF_INET || i->ifa_addr->sa_family == AF_INET6);
}

static void describe_interface(const struct ifaddrs *i, struct ferrule_interface_info *out)
{
	static const unsigned up = IFF_UP | IFF_RUNNING;
	const char *family = fr_settings()->socket_family;
	const bool is_ipv4 = i->ifa_addr->sa_family == AF_INET;
	const socklen_t length = is_ipv4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

	memset(out, 0, sizeof(*out));
	snprintf(out->name, sizeof(out->name), "%s", i->ifa_name);
	if (getnameinfo(i->ifa_addr, length, out->address, sizeof(out->address), NULL, 0,
	                NI_NUMERICHOST) != 0)
		snprintf(out->address, sizeof(out->address), "?");
	out->is_up = (i->ifa_flags & up) == up;
	out->is_loopback = (i->ifa_flags & IFF_LOOPBACK) != 0;
	out->is_allowed = strcmp(family, is_ipv4 ? "ipv6" : "ipv4") != 0 &&
	                  fr_netif_fits(fr_settings()->socket_ifname, i->ifa_name, i->ifa_addr);
}

bool ferrule_interface_at(int index, struct ferrule_interface_info *out)
{
	struct ifaddrs *list;
	bool is_there = false;

	if (getifaddrs(&list) != 0)
		return false;
	for (const struct ifaddrs *i = list; i && !is_there; i = i->ifa_next) {
		if (!is_ip(i) || index-- > 0)
			continue;
		describe_interface(i, out);
		is_there = true;
	}
	freeifaddrs(list);
	return is_there;
}
