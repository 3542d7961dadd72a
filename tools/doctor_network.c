/* doctor_network.c - who can be reached from here, and over what. */
#include "tools/doctor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ferrule/comm.h>
#include <ferrule/info.h>

static int interface_mtu(const char *name)
{
	struct ifreq request = {.ifr_mtu = 0};
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%.15s", name);
	const int status = fd < 0 ? -1 : ioctl(fd, SIOCGIFMTU, &request);
	if (fd >= 0)
		close(fd);
	return status == 0 ? request.ifr_mtu : -1;
}

static void say_interface(struct fr_doctor *d, const struct ferrule_interface_info *i)
{
	enum fr_verdict verdict = FR_VERDICT_OK;

	if (!i->is_up)
		verdict = i->is_loopback ? FR_VERDICT_FAIL : FR_VERDICT_WARN;
	fr_doctor_say(d, verdict, "interface", "ip link set IFACE up, and check its cable",
	              "%s %s, %s, mtu %d%s%s", i->name, i->address, i->is_up ? "up" : "down",
	              interface_mtu(i->name), i->is_loopback ? " (this host only)" : "",
	              i->is_allowed ? "" : ", left out by FERRULE_SOCKET_IFNAME or _FAMILY");
}

void fr_check_interfaces(struct fr_doctor *d)
{
	struct ferrule_interface_info interface;
	int n_usable = 0, n_loopback = 0, n_allowed = 0;

	for (int i = 0; ferrule_interface_at(i, &interface); i++) {
		say_interface(d, &interface);
		n_allowed += interface.is_up && interface.is_allowed;
		if (interface.is_loopback)
			n_loopback++;
		else
			n_usable += interface.is_up;
	}
	if (n_loopback == 0)
		fr_doctor_say(d, FR_VERDICT_FAIL, "interface", "ip link set lo up",
		              "no loopback interface: ranks of this host need it");
	else if (n_allowed == 0)
		fr_doctor_say(d, FR_VERDICT_FAIL, "interface",
		              "change or unset FERRULE_SOCKET_IFNAME and FERRULE_SOCKET_FAMILY",
		              "none that is up is allowed: ranks cannot use TCP");
	if (n_usable == 0)
		fr_doctor_say(d, FR_VERDICT_WARN, "interface",
		              "connect this host to a network, or keep all ranks on it",
		              "none but loopback: no other host can be reached");
}

static struct addrinfo *resolve(const char *host, const char *port, int *error_out)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	char bare[256];

	/* "[::1]" for "::1", as ranks take it. */
	const size_t length = strlen(host);
	if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
		snprintf(bare, sizeof(bare), "%.*s", (int)length - 2, host + 1);
		host = bare;
	}
	*error_out = getaddrinfo(host, port, &hints, &found);
	return *error_out == 0 ? found : NULL;
}

/* 0, or why no connection came about before the deadline. */
static int try_connect(const struct addrinfo *to, double timeout_s)
{
	const int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd writable = {.fd = fd, .events = POLLOUT};
	int error = 0;
	socklen_t length = sizeof(error);

	if (fd < 0)
		return errno;
	if (connect(fd, to->ai_addr, to->ai_addrlen) != 0) {
		error = errno;
		if (error == EINPROGRESS && poll(&writable, 1, (int)(timeout_s * 1000)) == 1)
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
		else if (error == EINPROGRESS)
			error = ETIMEDOUT;
	}
	close(fd);
	return error;
}

static void check_reach(struct fr_doctor *d, const char *check, const char *host, const char *port)
{
	int resolve_error;
	struct addrinfo *const found = resolve(host, port, &resolve_error);

	if (!found) {
		fr_doctor_say(d, FR_VERDICT_FAIL, check,
		              "check the name, /etc/hosts and DNS, or use an address",
		              "%s does not resolve: %s", host, gai_strerror(resolve_error));
		return;
	}
	int error = EHOSTUNREACH;
	for (const struct addrinfo *a = found; a && error != 0 && error != ECONNREFUSED;
	     a = a->ai_next)
		error = try_connect(a, d->timeout_s);
	freeaddrinfo(found);
	if (error == 0)
		fr_doctor_say(d, FR_VERDICT_OK, check, NULL, "%s port %s accepts connections", host,
		              port);
	else if (error == ECONNREFUSED)
		fr_doctor_say(d, FR_VERDICT_WARN, check,
		              "nothing to fix when no job is running there; else check the port",
		              "%s answers, but nothing listens on port %s", host, port);
	else
		fr_doctor_say(d, FR_VERDICT_FAIL, check,
		              "check routes and firewalls between the hosts",
		              "%s port %s cannot be reached within %g s: %s", host, port,
		              d->timeout_s, strerror(error));
}

void fr_check_host_name(struct fr_doctor *d)
{
	char name[256] = "";
	int error;

	gethostname(name, sizeof(name) - 1);
	struct addrinfo *const found = resolve(name, NULL, &error);
	if (found)
		freeaddrinfo(found);
	fr_doctor_say(d, found ? FR_VERDICT_OK : FR_VERDICT_WARN, "host name",
	              "add this host to /etc/hosts, or give MASTER_ADDR as an address", "%s %s",
	              name, found ? "resolves" : "does not resolve");
}

void fr_check_launcher(struct fr_doctor *d)
{
	struct ferrule_launcher_info info;

	if (ferrule_launcher_describe(&info) != FERRULE_OK)
		fr_doctor_say(d, FR_VERDICT_FAIL, "launcher", "see WHICH LAUNCHER in ferrule(7)",
		              "%s", ferrule_comm_error_text(NULL));
	else
		fr_doctor_say(d, info.is_doubtful ? FR_VERDICT_WARN : FR_VERDICT_OK, "launcher",
		              "start the program with srun or ferrule run", "%s", info.text);
}

void fr_check_master(struct fr_doctor *d)
{
	const char *const host = getenv("MASTER_ADDR"), *const port = getenv("MASTER_PORT");

	if (!host) {
		fr_doctor_say(d, FR_VERDICT_OK, "MASTER_ADDR", NULL,
		              "not set (launchers set it for their ranks)");
		return;
	}
	if (!port) {
		fr_doctor_say(d, FR_VERDICT_FAIL, "MASTER_ADDR", "set MASTER_PORT too",
		              "%s, but MASTER_PORT is not set", host);
		return;
	}
	check_reach(d, "MASTER_ADDR", host, port);
}

/* "host:port" or "[v6]:port", in place; false when it is neither. */
static bool split_peer(char *peer, char **host, char **port)
{
	char *const colon = strrchr(peer, ':');

	if (!colon || colon == peer || !colon[1])
		return false;
	*colon = '\0';
	*host = peer;
	*port = colon + 1;
	if (peer[0] == '[' && colon[-1] == ']') {
		colon[-1] = '\0';
		*host = peer + 1;
	}
	char *end;
	const long number = strtol(*port, &end, 10);
	return !*end && number >= 1 && number <= 65535;
}

void fr_check_peers(struct fr_doctor *d)
{
	if (!d->peers)
		return;
	char *const list = strdup(d->peers);
	char *position = NULL;

	for (char *peer = list ? strtok_r(list, ",", &position) : NULL; peer;
	     peer = strtok_r(NULL, ",", &position)) {
		char text[300], *host, *port;
		snprintf(text, sizeof(text), "%s", peer);
		if (split_peer(peer, &host, &port))
			check_reach(d, "peer", host, port);
		else
			fr_doctor_say(d, FR_VERDICT_FAIL, "peer",
			              "write --peers HOST:PORT,[IPV6]:PORT,...",
			              "'%s' is not allowed; allowed: a host and a port, 1 to 65535",
			              text);
	}
	free(list);
}
