#include "config.h"

#include "lib/perf/perf_connect.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/descriptors.h"
#include "lib/base/error.h"
#include "lib/base/key_file.h"
#include "lib/base/log.h"
#include "lib/base/settings.h"

/* Between two tries to reach a server that is not there yet. */
#define RETRY_NS 50000000u
/* How long a server may listen before its key file is there. */
#define EARLY_NS 1000000000u
/* Strangers are not to keep a client waiting. */
#define BACKLOG 128

static ferrule_status_t resolve(const char *host, const char *port, struct addrinfo **out)
{
	const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = host ? 0 : AI_PASSIVE,
	};
	char bare[256];

	/* "[::1]" for "::1", as people write addresses beside ports. */
	const size_t length = host ? strlen(host) : 0;
	if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
		snprintf(bare, sizeof(bare), "%.*s", (int)length - 2, host + 1);
		host = bare;
	}
	const int result = getaddrinfo(host, port, &hints, out);

	if (result == 0)
		return FERRULE_OK;
	return fr_error(FERRULE_ERR_ARGUMENT, "%s%sport '%s': %s", host ? host : "",
	                host ? ", " : "", port,
	                result == EAI_SYSTEM ? strerror(errno) : gai_strerror(result));
}

static void name_peer(const struct sockaddr *addr, socklen_t length, char *peer, size_t bytes)
{
	char host[64], port[16];

	if (getnameinfo(addr, length, host, sizeof(host), port, sizeof(port),
	                NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return;
	/* An IPv4 client of a socket for both families. */
	const char *bare = strncmp(host, "::ffff:", 7) == 0 ? host + 7 : host;
	snprintf(peer, bytes, strchr(bare, ':') ? "[%s]:%s" : "%s:%s", bare, port);
}

/* Waits until the socket is ready or the deadline has passed: then 0. */
static int await(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd p = {.fd = fd, .events = events};

	for (;;) {
		const uint64_t now = fr_clock_ns();
		if (now >= deadline_ns)
			return 0;
		const uint64_t left_ms = (deadline_ns - now) / 1000000 + 1;
		const int n = poll(&p, 1, left_ms > 1000 ? 1000 : (int)left_ms);
		if (n > 0 || (n < 0 && errno != EINTR))
			return n;
	}
}

static int listen_at(const struct addrinfo *a)
{
	const int one = 1, zero = 0;
	const int fd =
		fr_fd_own(socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* One socket for both families. */
	if (a->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	const int err = errno;
	close(fd);
	errno = err;
	return -1;
}

static ferrule_status_t listen_on(const char *port, int *fd_out)
{
	struct addrinfo *list;
	const ferrule_status_t status = resolve(NULL, port, &list);
	int fd = -1;

	if (status != FERRULE_OK)
		return status;
	/* IPv6 first: its socket takes IPv4, too.  A host without IPv6 has the other one. */
	for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
		if (a->ai_family == AF_INET6)
			fd = listen_at(a);
	}
	for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
		if (a->ai_family == AF_INET)
			fd = listen_at(a);
	}
	const int err = errno;
	freeaddrinfo(list);
	if (fd < 0)
		return fr_error(FERRULE_ERR_SYSTEM, "port %s: cannot listen: %s", port,
		                strerror(err));
	*fd_out = fd;
	return FERRULE_OK;
}

/* ---- guests ---- */

/* Connections that have proved nothing yet; the oldest makes room for another one. */
#define N_GUESTS       16
#define GUEST_PATIENCE 5000000000u

struct guest {
	int fd; /* -1: none */
	uint64_t deadline_ns;
	bool has_greeted;
	size_t got;
	union {
		struct fr_perf_hello hello;
		unsigned char bytes[sizeof(struct fr_perf_hello)];
	} in;
	struct fr_perf_key key;
	struct fr_auth auth;
	char name[80];
};

struct reception {
	int listener;
	struct fr_perf_key given; /* kind NONE: none */
	struct fr_key_file file;
	struct fr_perf_key local; /* what it holds; kind NONE when there is none */
	struct guest guests[N_GUESTS];
};

static void dismiss(struct guest *g)
{
	if (g->fd >= 0)
		close(g->fd);
	fr_wipe(g, sizeof(*g));
	g->fd = -1;
}

/* The place of the guest that has been here longest, or a free one. */
static struct guest *oldest_place(struct reception *r)
{
	struct guest *place = &r->guests[0];

	for (int i = 0; i < N_GUESTS && place->fd >= 0; i++)
		if (r->guests[i].fd < 0 || r->guests[i].deadline_ns < place->deadline_ns)
			place = &r->guests[i];
	return place;
}

/* No descriptor for who wants to come. */
static void make_room(struct reception *r)
{
	const struct timespec pause = {.tv_nsec = RETRY_NS};

	for (int i = 0; i < N_GUESTS; i++)
		dismiss(&r->guests[i]);
	nanosleep(&pause, NULL);
}

static void admit(struct reception *r, int fd, const struct sockaddr_storage *from,
                  socklen_t length)
{
	struct guest *place = oldest_place(r);
	unsigned port;

	dismiss(place);
	place->fd = fd;
	place->deadline_ns = fr_clock_ns() + GUEST_PATIENCE;
	place->key = r->given;
	if (r->given.kind == FR_PERF_KEY_NONE && fr_perf_key_is_local(fd, true, &port))
		place->key = r->local;
	name_peer((const struct sockaddr *)from, length, place->name, sizeof(place->name));
}

static bool may_come(const struct guest *g, int theirs)
{
	return theirs == (int)g->key.kind &&
	       (theirs != FR_PERF_KEY_NONE || !fr_settings()->require_key);
}

/* Its hello is here: answers with ours, whatever it is, so that it can tell its user. */
static bool greet(struct guest *g)
{
	struct fr_perf_hello mine;

	fr_perf_key_begin(&g->auth, FR_AUTH_SERVER, &g->key, &mine);
	const int theirs = fr_perf_key_take(&g->auth, &g->in.hello);
	if (theirs < 0 || send(g->fd, &mine, sizeof(mine), MSG_NOSIGNAL) != sizeof(mine))
		return false;
	if (!may_come(g, theirs)) {
		fr_log(FR_LOG_WARNING, "%s was turned away: it has %s key", g->name,
		       theirs == FR_PERF_KEY_NONE ? "no" : "another kind of");
		return false;
	}
	g->has_greeted = true;
	g->got = 0;
	return true;
}

/* 1: it has proved its key, 0: not yet, -1: it will not. */
static int hear(struct guest *g)
{
	unsigned char proof[FR_AUTH_PROOF_BYTES];

	for (;;) {
		const size_t goal = g->has_greeted ? FR_AUTH_PROOF_BYTES : sizeof(g->in.hello);
		const ssize_t n = recv(g->fd, g->in.bytes + g->got, goal - g->got, MSG_DONTWAIT);
		if (n <= 0)
			return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
		g->got += (size_t)n;
		if (g->got < goal)
			continue;
		if (g->has_greeted)
			break;
		if (!greet(g))
			return -1;
	}
	if (!fr_auth_verify(&g->auth, g->in.bytes)) {
		fr_log(FR_LOG_WARNING, "%s was turned away: it has another key", g->name);
		return -1;
	}
	fr_log(FR_LOG_INFO, "%s has proved the key", g->name);
	fr_auth_prove(&g->auth, proof);
	return send(g->fd, proof, sizeof(proof), MSG_NOSIGNAL) == sizeof(proof) ? 1 : -1;
}

/* Who comes is let in until one has proved its key, which is returned; NULL: nobody in time. */
static struct guest *receive_guests(struct reception *r, uint64_t deadline_ns)
{
	while (fr_clock_ns() < deadline_ns) {
		struct pollfd polls[1 + N_GUESTS] = {{.fd = r->listener, .events = POLLIN}};

		for (int i = 0; i < N_GUESTS; i++)
			polls[1 + i] = (struct pollfd){.fd = r->guests[i].fd, .events = POLLIN};
		/* Short, so that deadlines are seen. */
		poll(polls, 1 + N_GUESTS, 100);
		for (int i = 0; i < N_GUESTS; i++) {
			struct guest *g = &r->guests[i];
			const int end = g->fd >= 0 && polls[1 + i].revents ? hear(g) : 0;
			if (end > 0)
				return g;
			if (g->fd >= 0 && (end < 0 || fr_clock_ns() > g->deadline_ns))
				dismiss(g);
		}
		if (!polls[0].revents)
			continue;
		struct sockaddr_storage from;
		socklen_t length = sizeof(from);
		const int fd = fr_fd_own(accept4(r->listener, (struct sockaddr *)&from, &length,
		                                 SOCK_CLOEXEC | SOCK_NONBLOCK));
		if (fd >= 0)
			admit(r, fd, &from, length);
		else if (errno == EMFILE || errno == ENFILE)
			make_room(r);
	}
	return NULL;
}

static void open_file(struct reception *r)
{
	struct sockaddr_storage at;
	socklen_t length = sizeof(at);
	char purpose[64], why[500] = "";

	r->file = (struct fr_key_file)FR_KEY_FILE_NONE;
	if (r->given.kind != FR_PERF_KEY_NONE ||
	    getsockname(r->listener, (struct sockaddr *)&at, &length) != 0)
		return;
	/* The port lies at the same place in both families. */
	fr_perf_key_purpose(ntohs(((const struct sockaddr_in *)&at)->sin_port), purpose,
	                    sizeof(purpose));
	if (fr_key_file_publish(&r->file, purpose, r->local.bytes, why, sizeof(why)))
		r->local.kind = FR_PERF_KEY_FILE;
	else
		fr_log(FR_LOG_WARNING, "no folder for a key that clients of this host read: %s",
		       why);
}

ferrule_status_t fr_perf_accept(const char *port, uint64_t deadline_ns, int *fd_out, char *peer,
                                size_t peer_bytes, struct fr_perf_key *key_out)
{
	struct reception r = {.listener = -1};
	ferrule_status_t status = listen_on(port, &r.listener);

	if (status != FERRULE_OK)
		return status;
	for (int i = 0; i < N_GUESTS; i++)
		r.guests[i].fd = -1;
	fr_perf_key_given(&r.given);
	open_file(&r);
	struct guest *const g = receive_guests(&r, deadline_ns);
	if (g) {
		*fd_out = g->fd;
		g->fd = -1;
		*key_out = g->key;
		snprintf(peer, peer_bytes, "%s", g->name);
		fr_perf_key_warn(key_out, peer);
	} else {
		status = fr_error(FERRULE_ERR_TIMEOUT, "no client came to port %s in time", port);
	}
	close(r.listener);
	fr_key_file_remove(&r.file);
	for (int i = 0; i < N_GUESTS; i++)
		dismiss(&r.guests[i]);
	fr_wipe(&r, sizeof(r));
	return status;
}

/* ---- the client ---- */

/* Exactly so many bytes. */
static bool receive_whole(int fd, void *buf, size_t bytes, uint64_t deadline_ns)
{
	for (size_t got = 0; got < bytes;) {
		if (await(fd, POLLIN, deadline_ns) <= 0)
			return false;
		const ssize_t n = recv(fd, (unsigned char *)buf + got, bytes - got, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return false;
		if (n > 0)
			got += (size_t)n;
	}
	return true;
}

static ferrule_status_t no_proof(const char *peer)
{
	return fr_error(FERRULE_ERR_AUTH,
	                "what listens at %s does not prove a key: it is no server of this version "
	                "of ferrule bw or lat, it is taken, or its key is another one",
	                peer);
}

/* INPROGRESS: try again, on a new connection. */
static ferrule_status_t prove_to_server(int fd, const char *peer, uint64_t deadline_ns,
                                        bool may_be_early, struct fr_perf_key *key)
{
	unsigned char mine[FR_AUTH_PROOF_BYTES], theirs[FR_AUTH_PROOF_BYTES];
	struct fr_perf_hello hello;
	struct fr_auth auth;
	char purpose[64];
	unsigned port;

	if (!fr_perf_key_given(key) && fr_perf_key_is_local(fd, false, &port)) {
		fr_perf_key_purpose(port, purpose, sizeof(purpose));
		if (fr_key_file_read(purpose, key->bytes))
			key->kind = FR_PERF_KEY_FILE;
	}
	fr_perf_key_begin(&auth, FR_AUTH_CLIENT, key, &hello);
	if (send(fd, &hello, sizeof(hello), MSG_NOSIGNAL) != sizeof(hello) ||
	    !receive_whole(fd, &hello, sizeof(hello), deadline_ns))
		return no_proof(peer);
	const int kind = fr_perf_key_take(&auth, &hello);
	if (kind < 0)
		return no_proof(peer);
	/* A server listens a moment before its key file is there. */
	if (kind == FR_PERF_KEY_FILE && key->kind == FR_PERF_KEY_NONE && may_be_early)
		return FERRULE_INPROGRESS;
	if (kind != (int)key->kind)
		return fr_perf_key_differ(peer, key->kind, (enum fr_perf_key_kind)kind);
	if (kind == FR_PERF_KEY_NONE && fr_settings()->require_key)
		return fr_error(
			FERRULE_ERR_SETTING,
			"FERRULE_REQUIRE_KEY is set, and there is no key; give both sides the "
			"same one, by --key-file or FERRULE_JOB_KEY");
	fr_auth_prove(&auth, mine);
	if (send(fd, mine, sizeof(mine), MSG_NOSIGNAL) != sizeof(mine) ||
	    !receive_whole(fd, theirs, sizeof(theirs), deadline_ns) ||
	    !fr_auth_verify(&auth, theirs))
		return no_proof(peer);
	fr_perf_key_warn(key, peer);
	return FERRULE_OK;
}

static void rest(void)
{
	const struct timespec pause = {.tv_nsec = RETRY_NS};

	nanosleep(&pause, NULL);
}

/* One try at one address; errno says why not. */
static int connect_to(const struct addrinfo *a, uint64_t deadline_ns)
{
	const int fd =
		fr_fd_own(socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	int err = 0;
	socklen_t length = sizeof(err);

	if (fd < 0)
		return -1;
	if (connect(fd, a->ai_addr, a->ai_addrlen) != 0)
		err = errno;
	if (err == EINPROGRESS) {
		err = ETIMEDOUT;
		if (await(fd, POLLOUT, deadline_ns) > 0)
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &length);
	}
	if (err == 0)
		return fd;
	close(fd);
	errno = err;
	return -1;
}

/* Any of the addresses, again and again until the deadline; -1 with errno. */
static int connect_to_any(const struct addrinfo *list, uint64_t deadline_ns, char *peer,
                          size_t peer_bytes)
{
	for (;;) {
		for (const struct addrinfo *a = list; a; a = a->ai_next) {
			const int fd = connect_to(a, deadline_ns);

			if (fd < 0)
				continue;
			name_peer(a->ai_addr, a->ai_addrlen, peer, peer_bytes);
			return fd;
		}
		if (fr_clock_ns() + RETRY_NS >= deadline_ns)
			return -1;
		rest();
	}
}

ferrule_status_t fr_perf_connect(const char *host, const char *port, uint64_t deadline_ns,
                                 int *fd_out, char *peer, size_t peer_bytes,
                                 struct fr_perf_key *key_out)
{
	const uint64_t early_until = fr_clock_ns() + EARLY_NS;
	struct addrinfo *list;
	ferrule_status_t status = resolve(host, port, &list);
	int fd;

	if (status != FERRULE_OK)
		return status;
	do {
		fd = connect_to_any(list, deadline_ns, peer, peer_bytes);
		if (fd < 0) {
			status = fr_error(FERRULE_ERR_TIMEOUT,
			                  "cannot reach a server at %s, port %s: %s", host, port,
			                  strerror(errno));
			break;
		}
		status = prove_to_server(fd, peer, deadline_ns, fr_clock_ns() < early_until,
		                         key_out);
		if (status != FERRULE_OK)
			close(fd);
		if (status == FERRULE_INPROGRESS)
			rest();
	} while (status == FERRULE_INPROGRESS);
	freeaddrinfo(list);
	if (status == FERRULE_OK)
		*fd_out = fd;
	return status;
}
