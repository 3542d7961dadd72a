/*
 * Ranks of a host meet.
 *
 * Design: every rank listens on a Unix socket that other users cannot reach
 * (private_socket.h says why they must not), until all have come.  Rank i connects to every
 * j < i.  Both prove the job key (auth.h, context "shm"; the statement says communicator, own
 * rank and peer's rank), then pass the descriptors of segment and arena.  The connection
 * stays open: when the peer's process ends, however it ends, the kernel closes it, unless the
 * process has forked.  So the process is watched as well (process.h).
 *
 * Everything runs in one non-blocking poll loop with one deadline.  The four messages:
 *
 *   client: nonce statement          server: nonce statement proof
 *   client: proof [descriptors]      server: verdict [descriptors]
 */
#include "config.h"
#include "lib/transport/shm/shm.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/supervisor.h"
#include "lib/base/system.h"

/* A stranger's connection is dropped after this long. */
#define HANDSHAKE_NS (2ull * 1000 * 1000 * 1000)
/* Connections in the handshake at one time, besides those to ranks. */
#define STRANGERS_MAX 16

/* What one side of a connection waits for. */
enum meet_state {
	MEET_NONE,         /* no connection */
	MEET_SERVER_HELLO, /* accepted: the client's nonce and statement */
	MEET_SERVER_PROOF, /* the client's proof and descriptors */
	MEET_CLIENT_HELLO, /* connected: the server's nonce, statement and proof */
	MEET_CLIENT_FDS,   /* the server's verdict and descriptors */
	MEET_DONE,
};

struct meet_hello {
	unsigned char nonce[FR_AUTH_NONCE_BYTES];
	unsigned char statement[FR_AUTH_STATEMENT_BYTES];
};
struct meet_answer {
	struct meet_hello hello;
	unsigned char proof[FR_AUTH_PROOF_BYTES];
};
struct meet_fds {
	unsigned char proof[FR_AUTH_PROOF_BYTES]; /* the client's; unused by the server */
	uint32_t n_fds;
	uint32_t pad;
	uint64_t segment_bytes, arena_bytes;
};

/* Statement of a side: who it is and whom it means. */
struct meet_statement {
	uint64_t comm_id;
	uint32_t version;
	int32_t rank, peer;
	uint32_t zero[3];
};
_Static_assert(sizeof(struct meet_statement) == FR_AUTH_STATEMENT_BYTES, "fills a statement");

struct meet {
	enum meet_state state;
	int fd;
	int peer; /* rank; -1 until it is known */
	uint64_t deadline_ns;
	struct fr_auth auth;
};

struct meeting {
	struct shm_transport *t;
	const bool *wanted;
	struct meet *meets; /* n_ranks for connections we made, then STRANGERS_MAX + n_ranks */
	struct pollfd *polls;
	int *polled; /* the meet of each poll after the first two */
	int n_meets;
	int missing;
	ferrule_status_t failure; /* ends the meeting before its deadline, for this reason */
	char why[320];
};

/* This rank cannot go on, whatever the others do: for want of something of its own, */
static void fail_call(struct meeting *g, const char *call, int error)
{
	if (g->failure != FERRULE_OK)
		return;
	g->failure = FERRULE_ERR_SYSTEM;
	fr_system_text(call, error, g->why, sizeof(g->why));
}

/* Did a call move a whole message?  When it failed for want of something, that is final. */
static bool is_whole(struct meeting *g, const char *call, ssize_t moved, size_t bytes)
{
	if (moved < 0 && fr_is_exhaustion(errno))
		fail_call(g, call, errno);
	return moved == (ssize_t)bytes;
}

/* or because a rank that has proved the key handed over what cannot be. */
static void fail_peer(struct meeting *g, int peer)
{
	if (g->failure != FERRULE_OK)
		return;
	g->failure = FERRULE_ERR_PROTOCOL;
	snprintf(g->why, sizeof(g->why), "rank %d handed over shared memory that is not as agreed",
	         peer);
}

static void make_statement(const struct shm_transport *t, int peer,
                           unsigned char out[FR_AUTH_STATEMENT_BYTES])
{
	const struct meet_statement s = {
		.comm_id = t->comm_id, .version = SHM_VERSION, .rank = t->rank, .peer = peer};

	memcpy(out, &s, sizeof(s));
}

static void hang_up(struct meet *m)
{
	close(m->fd);
	*m = (struct meet){.fd = -1, .peer = -1};
}

/* Who is on the other side of an accepted connection: -1 when it is nobody we wait for. */
static int read_statement(const struct meeting *g, const unsigned char *bytes)
{
	struct meet_statement s;

	memcpy(&s, bytes, sizeof(s));
	if (s.comm_id != g->t->comm_id || s.version != SHM_VERSION || s.peer != g->t->rank)
		return -1;
	if (s.rank <= g->t->rank || s.rank >= g->t->n_ranks || !g->wanted[s.rank] ||
	    g->t->peers[s.rank])
		return -1;
	return s.rank;
}

static bool send_fds(struct meeting *g, struct meet *m, bool with_proof)
{
	const struct shm_transport *t = g->t;
	const int fds[2] = {t->segment_fd, t->arena_fd};
	const uint32_t n_fds = t->arena_fd >= 0 ? 2 : 1;
	struct meet_fds body = {.n_fds = n_fds,
	                        .segment_bytes = t->layout.total_bytes,
	                        .arena_bytes = t->arena.bytes};
	union {
		char bytes[CMSG_SPACE(sizeof(fds))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = &body, .iov_len = sizeof(body)};
	struct msghdr msg = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = control.bytes,
	                     .msg_controllen = CMSG_SPACE(n_fds * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	if (with_proof)
		fr_auth_prove(&m->auth, body.proof);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	return is_whole(g, "sendmsg", sendmsg(m->fd, &msg, MSG_NOSIGNAL), sizeof(body));
}

/* Receives the peer's descriptors into fds[2] (-1: none).  False: not what was expected. */
static bool receive_fds(struct meeting *g, const struct meet *m, struct meet_fds *body, int fds[2])
{
	union {
		char bytes[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = body, .iov_len = sizeof(*body)};
	struct msghdr msg = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = control.bytes,
	                     .msg_controllen = sizeof(control.bytes)};
	const ssize_t got = recvmsg(m->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	struct cmsghdr *c = got > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	fds[0] = fds[1] = -1;
	/* A descriptor that finds no place is dropped without another word. */
	if (got > 0 && msg.msg_flags & MSG_CTRUNC)
		fail_call(g, "recvmsg", EMFILE);
	is_whole(g, "recvmsg", got, sizeof(*body));
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return false;
	const size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	memcpy(fds, CMSG_DATA(c), (n < 2 ? n : 2) * sizeof(int));
	return got == sizeof(*body) && body->n_fds == n;
}

static void watch_process(struct shm_peer *p)
{
	const struct fr_process_id id = p->status->process;
	const char *how = fr_process_watch(&p->process, p->socket, &id);

	fr_log(FR_LOG_DEBUG, "shm: the death of rank %d is told by %s", p->ep.peer, how);
}

/* Maps what the peer handed over and makes it an endpoint. */
static bool adopt_peer(struct meeting *g, struct meet *m, const struct meet_fds *body,
                       const int fds[2])
{
	struct shm_transport *t = g->t;
	struct shm_peer *p = calloc(1, sizeof(*p));

	if (!p) {
		fail_call(g, "malloc", ENOMEM);
		return false;
	}
	p->socket = -1;
	p->local = t->local_of[m->peer];
	const ferrule_status_t status =
		body->segment_bytes == t->layout.total_bytes
			? shm_memory_adopt(&p->segment, fds[0], t->layout.total_bytes)
			: FERRULE_ERR_PROTOCOL;
	if (status == FERRULE_ERR_NO_MEMORY)
		fail_call(g, "mmap", errno);
	if (status != FERRULE_OK)
		goto err_free;
	p->status = (struct shm_status *)p->segment.at;
	if (p->status->magic != SHM_MAGIC || p->status->version != SHM_VERSION ||
	    p->status->rank != (uint32_t)m->peer)
		goto err_drop;
	/* Without its arena the peer is still reachable, through the ring. */
	if (fds[1] >= 0 && shm_memory_adopt(&p->arena, fds[1], body->arena_bytes) != FERRULE_OK)
		fr_log(FR_LOG_INFO, "shm: cannot map the arena of rank %d", m->peer);
	p->ep.peer = m->peer;
	p->socket = m->fd;
	watch_process(p);
	shm_stream_init(t, p);
	t->peers[m->peer] = p;
	g->missing--;
	m->state = MEET_DONE;
	return true;
err_drop:
	shm_memory_drop(&p->segment);
err_free:
	fail_peer(g, m->peer);
	free(p);
	return false;
}

static bool take_fds(struct meeting *g, struct meet *m, bool verify)
{
	struct meet_fds body;
	int fds[2];
	bool ok = receive_fds(g, m, &body, fds);

	if (ok && verify)
		ok = fr_auth_verify(&m->auth, body.proof) && send_fds(g, m, false);
	if (ok)
		ok = adopt_peer(g, m, &body, fds);
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return ok;
}

static bool serve_hello(struct meeting *g, struct meet *m)
{
	unsigned char statement[FR_AUTH_STATEMENT_BYTES];
	struct meet_answer answer;
	struct meet_hello hello;

	if (!is_whole(g, "recv", recv(m->fd, &hello, sizeof(hello), MSG_DONTWAIT), sizeof(hello)))
		return false;
	m->peer = read_statement(g, hello.statement);
	if (m->peer < 0)
		return false;
	make_statement(g->t, m->peer, statement);
	fr_auth_init(&m->auth, FR_AUTH_SERVER, g->t->job_key, "shm", statement);
	fr_auth_peer(&m->auth, hello.nonce, hello.statement);
	memcpy(answer.hello.nonce, m->auth.nonce[FR_AUTH_SERVER], FR_AUTH_NONCE_BYTES);
	memcpy(answer.hello.statement, statement, sizeof(statement));
	fr_auth_prove(&m->auth, answer.proof);
	m->state = MEET_SERVER_PROOF;
	return is_whole(g, "send", send(m->fd, &answer, sizeof(answer), MSG_NOSIGNAL),
	                sizeof(answer));
}

static bool answer_server(struct meeting *g, struct meet *m)
{
	unsigned char expected[FR_AUTH_STATEMENT_BYTES];
	struct meet_statement theirs;
	struct meet_answer answer;

	if (!is_whole(g, "recv", recv(m->fd, &answer, sizeof(answer), MSG_DONTWAIT),
	              sizeof(answer)))
		return false;
	memcpy(&theirs, answer.hello.statement, sizeof(theirs));
	make_statement(g->t, m->peer, expected);
	if (theirs.comm_id != g->t->comm_id || theirs.rank != m->peer || theirs.peer != g->t->rank)
		return false;
	fr_auth_peer(&m->auth, answer.hello.nonce, answer.hello.statement);
	if (!fr_auth_verify(&m->auth, answer.proof))
		return false;
	m->state = MEET_CLIENT_FDS;
	return send_fds(g, m, true);
}

/* One readable connection.  False: hang up. */
static bool advance(struct meeting *g, struct meet *m)
{
	switch (m->state) {
	case MEET_SERVER_HELLO:
		return serve_hello(g, m);
	case MEET_SERVER_PROOF:
		return take_fds(g, m, true);
	case MEET_CLIENT_HELLO:
		return answer_server(g, m);
	case MEET_CLIENT_FDS:
		return take_fds(g, m, false);
	case MEET_NONE:
	case MEET_DONE:
		break;
	}
	return true;
}

/* The guest that has proved nothing for longest; NULL when there is none. */
static struct meet *oldest_guest(struct meeting *g)
{
	struct meet *oldest = NULL;

	for (int i = g->t->n_ranks; i < g->n_meets; i++) {
		struct meet *m = &g->meets[i];

		if (m->state != MEET_NONE && m->state != MEET_DONE &&
		    (!oldest || m->deadline_ns < oldest->deadline_ns))
			oldest = m;
	}
	return oldest;
}

/* A call failed for want of a descriptor: may it be tried again, now that a guest has gone? */
static bool make_room(struct meeting *g, int error)
{
	struct meet *oldest = error == EMFILE || error == ENFILE ? oldest_guest(g) : NULL;

	if (oldest)
		hang_up(oldest);
	return oldest != NULL;
}

/* Connects to one rank below us; it listens already, since addresses were exchanged. */
static void call_rank(struct meeting *g, int peer, const unsigned char *address)
{
	unsigned char statement[FR_AUTH_STATEMENT_BYTES];
	struct meet *m = &g->meets[peer];
	struct meet_hello hello;
	char path[FR_PRIVATE_PATH_BYTES + 1] = "";

	memcpy(path, address, FR_PRIVATE_PATH_BYTES);
	m->fd = fr_private_connect(path);
	if (m->fd < 0) {
		const int error = errno;

		/* A busy rank's queue may be full; one that has gone is its supervisor's matter. */
		if (fr_is_exhaustion(error) && !make_room(g, error))
			fail_call(g, "connect", error);
		return;
	}
	m->peer = peer;
	m->deadline_ns = UINT64_MAX;
	m->state = MEET_CLIENT_HELLO;
	make_statement(g->t, peer, statement);
	fr_auth_init(&m->auth, FR_AUTH_CLIENT, g->t->job_key, "shm", statement);
	memcpy(hello.nonce, m->auth.nonce[FR_AUTH_CLIENT], sizeof(hello.nonce));
	memcpy(hello.statement, statement, sizeof(statement));
	if (!is_whole(g, "send", send(m->fd, &hello, sizeof(hello), MSG_NOSIGNAL), sizeof(hello)))
		hang_up(m);
}

/* A free place for a guest.  When there is none, the oldest that has proved nothing makes room:
 * ranks speak at once, strangers that only sit there must not keep them out. */
static struct meet *find_room(struct meeting *g)
{
	for (int i = g->t->n_ranks; i < g->n_meets; i++)
		if (g->meets[i].state == MEET_NONE)
			return &g->meets[i];
	struct meet *oldest = oldest_guest(g);

	if (oldest)
		hang_up(oldest);
	return oldest;
}

static void accept_all(struct meeting *g)
{
	/* No more than there are places, or guests that come and go would be all we see. */
	for (int i = g->t->n_ranks; i < g->n_meets; i++) {
		const int fd = fr_private_accept(&g->t->meeting);
		const int error = errno;

		if (fd < 0 && (error == EINTR || error == ECONNABORTED || make_room(g, error)))
			continue;
		if (fd < 0 && error != EAGAIN)
			fail_call(g, "accept", error);
		struct meet *m = fd >= 0 ? find_room(g) : NULL;

		if (!m) {
			if (fd >= 0)
				close(fd);
			return;
		}
		m->fd = fd;
		m->state = MEET_SERVER_HELLO;
		m->deadline_ns = fr_clock_ns() + HANDSHAKE_NS;
	}
}

/* Calls every wanted rank below us that is not on the line. */
static void call_missing(struct meeting *g, const unsigned char *addresses)
{
	for (int r = 0; r < g->t->rank; r++)
		if (g->wanted[r] && !g->t->peers[r] && g->meets[r].state == MEET_NONE)
			call_rank(g, r, addresses + (size_t)r * FR_ADDRESS_BYTES);
}

/* Fills `polls`, which holds what is open and no more: a poll of more than the limit of
 * descriptors fails.  Returns how many. */
static nfds_t fill_polls(struct meeting *g)
{
	const uint64_t now = fr_clock_ns();
	nfds_t n = 2;

	g->polls[0] = (struct pollfd){.fd = g->t->meeting.fd, .events = POLLIN};
	g->polls[0] = (struct pollfd){.fd = g->t->meeting.fd, .events = POLLIN};
	g->polls[1] =
		(struct pollfd){.fd = fr_supervisor_fd(g->t->base.supervisor), .events = POLLIN};
	for (int i = 0; i < g->n_meets; i++) {
		struct meet *m = &g->meets[i];

		if (m->state == MEET_NONE || m->state == MEET_DONE)
			continue;
		if (now > m->deadline_ns) {
			hang_up(m);
			continue;
		}
		g->polled[n] = i;
		g->polls[n++] = (struct pollfd){.fd = m->fd, .events = POLLIN};
	}
	return n;
}

static void heed_supervisor(struct meeting *g)
{
	const ferrule_status_t status = fr_supervisor_check(g->t->base.supervisor);

	if (status == FERRULE_OK || g->failure != FERRULE_OK)
		return;
	g->failure = status;
	snprintf(g->why, sizeof(g->why), "%s", fr_error_text());
}

static void poll_once(struct meeting *g)
{
	const nfds_t n = fill_polls(g);
	/* Short, so that a busy rank is called again and deadlines are seen. */
	const int n_ready = poll(g->polls, n, FR_SUPERVISOR_LOOK_MS);

	if (n_ready < 0 && errno != EINTR)
		fail_call(g, "poll", errno);
	heed_supervisor(g);
	for (nfds_t i = 2; i < n && n_ready > 0; i++) {
		struct meet *m = &g->meets[g->polled[i]];

		if (g->polls[i].revents && !advance(g, m))
			hang_up(m);
	}
	if (n_ready > 0 && g->polls[0].revents)
		accept_all(g);
}

static ferrule_status_t name_missing(const struct meeting *g, char *why, size_t why_bytes)
{
	size_t at = 0;

	at += (size_t)snprintf(why, why_bytes, "no shared-memory connection with rank");
	for (int r = 0; r < g->t->n_ranks && at < why_bytes; r++)
		if (g->wanted[r] && r != g->t->rank && !g->t->peers[r])
			at += (size_t)snprintf(why + at, why_bytes - at, " %d", r);
	return FERRULE_ERR_TIMEOUT;
}

ferrule_status_t shm_connect(struct fr_transport *base, const bool *wanted,
                             const unsigned char *addresses, uint64_t deadline_ns, char *why,
                             size_t why_bytes)
{
	struct shm_transport *t = (struct shm_transport *)base;
	struct meeting g = {.t = t, .wanted = wanted, .n_meets = 2 * t->n_ranks + STRANGERS_MAX};
	ferrule_status_t status = FERRULE_OK;

	g.meets = calloc((size_t)g.n_meets, sizeof(*g.meets));
	g.polls = calloc((size_t)g.n_meets + 2, sizeof(*g.polls));
	g.polled = calloc((size_t)g.n_meets + 2, sizeof(*g.polled));
	if (!g.meets || !g.polls || !g.polled) {
		snprintf(why, why_bytes, "out of memory");
		status = FERRULE_ERR_NO_MEMORY;
		goto out;
	}
	for (int i = 0; i < g.n_meets; i++)
		g.meets[i] = (struct meet){.fd = -1, .peer = -1};
	for (int r = 0; r < t->n_ranks; r++)
		g.missing += wanted[r] && r != t->rank;
	while (g.missing > 0 && status == FERRULE_OK) {
		call_missing(&g, addresses);
		poll_once(&g);
		status = g.failure;
		if (status != FERRULE_OK)
			snprintf(why, why_bytes, "%s", g.why);
		else if (g.missing > 0 && fr_clock_ns() > deadline_ns)
			status = name_missing(&g, why, why_bytes);
	}
out:
	for (int i = 0; g.meets && i < g.n_meets; i++)
		if (g.meets[i].state != MEET_NONE && g.meets[i].state != MEET_DONE)
			hang_up(&g.meets[i]);
	/* Each holds the job key. */
	if (g.meets)
		fr_wipe(g.meets, (size_t)g.n_meets * sizeof(*g.meets));
	free(g.meets);
	free(g.polls);
	free(g.polled);
	fr_private_close(&t->meeting);
	return status;
}
