/* boot_client.c - the rendezvous as every rank but 0 sees it. */
#include "config.h"

#include "lib/comm/boot_star.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/system.h"
#include "lib/base/text.h"
#include "lib/base/wire.h"
#include "lib/comm/boot_wire.h"

/* One try to connect; a host that drops packets should not eat the whole deadline. */
#define DIAL_NS 3000000000u
/* Whoever is silent this long may be somebody else: the next try, with twice the patience. */
#define ANSWER_NS     2000000000u
#define ANSWER_MAX_NS 16000000000u
/* How long a rank that failed waits for rank 0 to say what all of them report. */
#define VERDICT_NS 400000000u
/* Pauses between tries grow from the first to the second. */
#define PAUSE_MIN_NS 1000000u
#define PAUSE_MAX_NS 50000000u
/* How long before its deadline a client asks who is missing, at most. */
#define ASK_EARLY_NS 500000000u

struct fr_boot_client {
	int fd;
	int rank, n_ranks;
	uint32_t round;
	uint64_t comm_id;
	char where[FR_NET_TEXT_BYTES]; /* the address that answered */
	char host[FR_BOOT_HOST_BYTES];
};

/* How one try to reach rank 0 ended. */
enum try_end {
	TRY_IN,       /* both sides have proved the key */
	TRY_AGAIN,    /* nobody, or nobody of ours, is there yet */
	TRY_HOPELESS, /* nothing that rank 0 does can change it; something here may, soon */
	TRY_FATAL,    /* fr_error() has been called */
};

struct
try {
	const struct fr_star_params *params;
	uint64_t answer_ns;      /* patience with one that is silent */
	uint64_t hopeless_ns;    /* since when every try is TRY_HOPELESS; 0: it is not */
	ferrule_status_t status; /* of TRY_FATAL */
	char why[160];           /* of the last TRY_AGAIN or TRY_HOPELESS */
	/* Whoever answered without holding the key: nothing it says is believed, or ends the
	 * search. */
	unsigned n_strangers;
	char stranger[FR_NET_TEXT_BYTES];
};

__attribute__((format(printf, 2, 3))) static enum try_end again(struct try *t, const char *format,
                                                                ...)
{
	va_list args;

	va_start(args, format);
	fr_vformat(t->why, sizeof(t->why), format, args);
	va_end(args);
	return TRY_AGAIN;
}

/* An error of dialling that passes when rank 0, or its host, is there. */
static bool may_pass(int error)
{
	return error == ECONNREFUSED || error == ETIMEDOUT || error == ECONNRESET ||
	       error == ECONNABORTED || error == EHOSTUNREACH || error == EHOSTDOWN ||
	       error == EAGAIN || error == EINTR;
}

/* A failed call: out of something is final, the rest is a matter of time or of patience. */
static enum try_end failed_call(struct try *t, const char *call, int error)
{
	if (fr_is_exhaustion(error)) {
		char text[200];

		t->status =
			fr_error(FERRULE_ERR_SYSTEM, "rank %d cannot look for rank 0: %s",
		                 t->params->rank, fr_system_text(call, error, text, sizeof(text)));
		return TRY_FATAL;
	}
	again(t, "%s: %s", call, strerror(error));
	return may_pass(error) ? TRY_AGAIN : TRY_HOPELESS;
}

/* ---- one connection ---- */

static enum fr_net_end send_frame(int fd, enum fr_boot_kind kind, uint32_t round,
                                  const void *payload, size_t bytes, uint64_t deadline_ns)
{
	const struct fr_boot_head head = {.kind = kind, .round = round, .length = (uint32_t)bytes};
	unsigned char wire[FR_BOOT_HEAD_BYTES];

	fr_boot_put_head(&head, wire);
	const enum fr_net_end end = fr_net_send(fd, wire, sizeof(wire), deadline_ns);
	if (end != FR_NET_DONE || bytes == 0)
		return end;
	return fr_net_send(fd, payload, bytes, deadline_ns);
}

static enum fr_net_end receive_head(int fd, struct fr_boot_head *head, bool *is_ours,
                                    uint64_t deadline_ns)
{
	unsigned char wire[FR_BOOT_HEAD_BYTES];
	const enum fr_net_end end = fr_net_recv(fd, wire, sizeof(wire), deadline_ns);

	*is_ours = end == FR_NET_DONE && fr_boot_get_head(wire, head);
	return end;
}

static enum try_end broken(struct try *t, enum fr_net_end end)
{
	if (end == FR_NET_LATE)
		return again(t, "it accepted the connection but did not answer");
	if (end == FR_NET_EOF)
		return again(t, "it closed the connection");
	return failed_call(t, "recv", errno) == TRY_FATAL ? TRY_FATAL : TRY_AGAIN;
}

/* Sends HELLO, takes CHALLENGE. */
static enum try_end greet(struct try *t, int fd, struct fr_auth *auth, uint64_t deadline_ns)
{
	struct fr_boot_hello_wire hello;
	struct fr_boot_head head;
	bool is_ours;

	memcpy(hello.nonce, auth->nonce[FR_AUTH_CLIENT], sizeof(hello.nonce));
	memcpy(hello.statement, auth->statement[FR_AUTH_CLIENT], sizeof(hello.statement));
	enum fr_net_end end = send_frame(fd, FR_BOOT_HELLO, 0, &hello, sizeof(hello), deadline_ns);
	if (end == FR_NET_DONE)
		end = receive_head(fd, &head, &is_ours, deadline_ns);
	if (end != FR_NET_DONE)
		return broken(t, end);
	if (!is_ours || head.kind != FR_BOOT_CHALLENGE || head.length != sizeof(hello))
		return again(t, "something that is not Ferrule answered");
	end = fr_net_recv(fd, &hello, sizeof(hello), deadline_ns);
	if (end != FR_NET_DONE)
		return broken(t, end);
	fr_auth_peer(auth, hello.nonce, hello.statement);
	return TRY_IN;
}

/* It turned our proof away, or its own is wrong: it is another job's, or an impostor, and the
 * rightful rank 0 may come yet. */
static enum try_end no_key(struct try *t, const char *where)
{
	if (t->n_strangers++ == 0)
		fr_log(FR_LOG_WARNING,
		       "what answers at %s does not hold the job key of rank %d; going on until "
		       "rank 0 does (FERRULE_JOB_KEY must be the same on all ranks)",
		       where, t->params->rank);
	snprintf(t->stranger, sizeof(t->stranger), "%s", where);
	return again(t, "it does not hold the same job key");
}

/* Sends our PROOF, takes rank 0's. */
static enum try_end prove(struct try *t, int fd, const struct fr_auth *auth, const char *where,
                          uint64_t deadline_ns)
{
	unsigned char proof[FR_AUTH_PROOF_BYTES];
	struct fr_boot_head head;
	bool is_ours;

	fr_auth_prove(auth, proof);
	enum fr_net_end end = send_frame(fd, FR_BOOT_PROOF, 0, proof, sizeof(proof), deadline_ns);
	if (end == FR_NET_DONE)
		end = receive_head(fd, &head, &is_ours, deadline_ns);
	if (end != FR_NET_DONE)
		return broken(t, end);
	if (is_ours && head.kind == FR_BOOT_REJECT && head.length == 0)
		return no_key(t, where);
	if (!is_ours || head.kind != FR_BOOT_PROOF || head.length != sizeof(proof))
		return again(t, "something that is not Ferrule answered");
	end = fr_net_recv(fd, proof, sizeof(proof), deadline_ns);
	if (end != FR_NET_DONE)
		return broken(t, end);
	return fr_auth_verify(auth, proof) ? TRY_IN : no_key(t, where);
}

/* Rank 0 has proved its statement; do we agree with it?  Rank 0 checks ours alike. */
static enum try_end agree(struct try *t, const struct fr_auth *auth)
{
	const struct fr_star_params *p = t->params;
	struct fr_boot_statement server;

	if (!fr_boot_get_statement(auth->statement[FR_AUTH_SERVER], &server) || server.rank != 0)
		t->status = fr_error(FERRULE_ERR_PROTOCOL,
		                     "the process at %s holds the job key but is not rank 0",
		                     p->place->text);
	else if (server.version != FR_BOOT_VERSION)
		t->status = fr_error(FERRULE_ERR_PROTOCOL,
		                     "rank %d speaks version %d of the set-up protocol, rank 0 "
		                     "version %u; all ranks must use the same Ferrule",
		                     p->rank, FR_BOOT_VERSION, server.version);
	else if (server.n_ranks != (uint32_t)p->n_ranks)
		t->status = fr_error(FERRULE_ERR_MISMATCH,
		                     "rank %d was started with %d ranks, rank 0 with %u; n_ranks "
		                     "(WORLD_SIZE) must be the same on all",
		                     p->rank, p->n_ranks, server.n_ranks);
	else if (!server.same_byte_order)
		t->status = fr_error(FERRULE_ERR_UNSUPPORTED,
		                     "rank %d and rank 0 have different byte orders", p->rank);
	else
		return TRY_IN;
	return TRY_FATAL;
}

static enum try_end handshake(struct try *t, int fd, const char *where, uint64_t deadline_ns)
{
	const struct fr_boot_statement self = {.version = FR_BOOT_VERSION,
	                                       .rank = (uint32_t)t->params->rank,
	                                       .n_ranks = (uint32_t)t->params->n_ranks};
	unsigned char statement[FR_AUTH_STATEMENT_BYTES];
	struct fr_auth auth;

	fr_boot_put_statement(&self, statement);
	fr_auth_init(&auth, FR_AUTH_CLIENT, t->params->key, "boot", statement);
	enum try_end end = greet(t, fd, &auth, deadline_ns);
	if (end == TRY_IN)
		end = prove(t, fd, &auth, where, deadline_ns);
	if (end == TRY_IN)
		end = agree(t, &auth);
	fr_wipe(&auth, sizeof(auth));
	return end;
}

/* ---- finding rank 0 ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static enum try_end try_address(struct try *t, const struct fr_net_addr *a,
                                struct fr_boot_client *c)
{
	const uint64_t now = fr_clock_ns();
	const uint64_t deadline = t->params->deadline_ns;
	const int fd = fr_net_dial(a, earlier(deadline, now + DIAL_NS));

	fr_net_text(a, c->where);
	if (fd < 0)
		return failed_call(t, "connect", errno);
	const enum try_end end = handshake(t, fd, c->where, earlier(deadline, now + t->answer_ns));
	if (end == TRY_IN)
		c->fd = fd;
	else
		close(fd);
	return end;
}

static enum try_end try_addresses(struct try *t, const struct fr_net_addr *addrs, int n,
                                  struct fr_boot_client *c)
{
	bool is_hopeless = true;

	for (int i = 0; i < n; i++) {
		const enum try_end end = try_address(t, &addrs[i], c);
		if (end == TRY_IN || end == TRY_FATAL)
			return end;
		is_hopeless &= end == TRY_HOPELESS;
	}
	return is_hopeless ? TRY_HOPELESS : TRY_AGAIN;
}

static enum try_end try_place(struct try *t, struct fr_boot_client *c)
{
	const struct fr_rendezvous *place = t->params->place;
	struct fr_net_addr found[FR_RENDEZVOUS_MAX_ADDRS];
	const char *why;

	t->answer_ns = earlier(2 * t->answer_ns, ANSWER_MAX_NS);
	if (!place->host)
		return try_addresses(t, place->addrs, place->n_addrs, c);
	const int n =
		fr_net_resolve(place->host, place->port, found, FR_RENDEZVOUS_MAX_ADDRS, &why);
	if (n > 0)
		return try_addresses(t, found, n, c);
	if (fr_is_exhaustion(errno))
		return failed_call(t, "getaddrinfo", errno);
	const bool is_unknown = errno == ENOENT;
	again(t, "getaddrinfo of %.80s: %s", place->host, why);
	return is_unknown ? TRY_HOPELESS : TRY_AGAIN;
}

static ferrule_status_t give_up_search(const struct try *t, uint64_t began_ns)
{
	const struct fr_star_params *p = t->params;
	const double tried_s = (double)(fr_clock_ns() - began_ns) * 1e-9;

	if (t->n_strangers > 0)
		return fr_error(FERRULE_ERR_AUTH,
		                "rank %d of %d does not hold the same job key as what answers at "
		                "%s (%u answers in %.3g s; last try: %s); FERRULE_JOB_KEY must be "
		                "the same on all ranks (without it the key follows from "
		                "MASTER_ADDR, MASTER_PORT, TORCHELASTIC_RUN_ID and the user)",
		                p->rank, p->n_ranks, t->stranger, t->n_strangers, tried_s, t->why);
	return fr_error(FERRULE_ERR_TIMEOUT,
	                "rank 0 of %d did not answer rank %d at %s within %.3g s (last try: %s)",
	                p->n_ranks, p->rank, p->place->text, tried_s, t->why);
}

static ferrule_status_t give_up_hopeless(const struct try *t)
{
	const struct fr_star_params *p = t->params;

	return fr_error(
		FERRULE_ERR_SYSTEM,
		"rank %d of %d cannot reach %s, where rank 0 should be: %s, for %.2g s; check "
		"MASTER_ADDR and this host's network",
		p->rank, p->n_ranks, p->place->text, t->why,
		(double)(fr_clock_ns() - t->hopeless_ns) * 1e-9);
}

static void pause_ns(uint64_t ns)
{
	const struct timespec t = {.tv_sec = 0, .tv_nsec = (long)ns};

	nanosleep(&t, NULL);
}

/* Ranks start in any order, so rank 0 is tried again and again until the deadline. */
static ferrule_status_t find_rank_0(struct fr_boot_client *c, const struct fr_star_params *p)
{
	const uint64_t began = fr_clock_ns();
	const uint64_t grace_ns =
		p->deadline_ns > began ? (p->deadline_ns - began) / FR_STAR_GRACE_PART : 0;
	struct try t = {.params = p, .answer_ns = ANSWER_NS / 2};

	for (uint64_t pause = PAUSE_MIN_NS;; pause = earlier(2 * pause, PAUSE_MAX_NS)) {
		const enum try_end end = try_place(&t, c);
		if (end == TRY_IN)
			return FERRULE_OK;
		if (end == TRY_FATAL)
			return t.status;
		const uint64_t now = fr_clock_ns();
		if (end != TRY_HOPELESS)
			t.hopeless_ns = 0;
		else if (t.hopeless_ns == 0)
			t.hopeless_ns = now;
		if (t.hopeless_ns != 0 && now - t.hopeless_ns > grace_ns)
			return give_up_hopeless(&t);
		if (now + pause >= p->deadline_ns)
			return give_up_search(&t, began);
		pause_ns(pause);
	}
}

/* ---- frames from a proven rank 0 ---- */

static ferrule_status_t lost(const struct fr_boot_client *c, enum fr_net_end end)
{
	if (end == FR_NET_LATE)
		return fr_error(FERRULE_ERR_TIMEOUT,
		                "rank 0 of %d at %s has not answered rank %d in time during set-up",
		                c->n_ranks, c->where, c->rank);
	if (end == FR_NET_EOF)
		return fr_error(FERRULE_ERR_PEER_DIED,
		                "rank 0 of %d at %s died or gave up while the communicator was set "
		                "up",
		                c->n_ranks, c->where);
	return fr_error(FERRULE_ERR_SYSTEM, "the connection of rank %d to rank 0 at %s failed: %s",
	                c->rank, c->where, strerror(errno));
}

static ferrule_status_t take_failure(const struct fr_boot_client *c, uint32_t length,
                                     uint64_t deadline_ns)
{
	unsigned char payload[FR_BOOT_FAIL_MAX_BYTES];
	char text[FR_BOOT_FAIL_MAX_TEXT + 1];
	ferrule_status_t status;

	if (length <= sizeof(payload) &&
	    fr_net_recv(c->fd, payload, length, deadline_ns) == FR_NET_DONE &&
	    fr_boot_get_fail(payload, length, &status, text))
		return fr_error(status, "%s", text);
	return fr_error(FERRULE_ERR_PROTOCOL, "rank 0 at %s reported a failure that is unreadable",
	                c->where);
}

/* Is there something to see before `until_ns`?  An error is, too. */
static bool is_readable(int fd, uint64_t until_ns)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int ms, n;

	do {
		ms = fr_net_poll_ms(until_ns);
		n = poll(&p, 1, ms);
		if (n > 0 || (n < 0 && errno != EINTR))
			return true;
	} while (ms > 0);
	return false;
}

/*
 * Waits for the next frame.  Shortly before the deadline it asks rank 0, which knows who is
 * missing and then tells everybody.
 */
static enum fr_net_end await_head(const struct fr_boot_client *c, struct fr_boot_head *head,
                                  bool *is_ours, uint64_t deadline_ns)
{
	const uint64_t now = fr_clock_ns();
	const uint64_t left = deadline_ns > now ? deadline_ns - now : 0;

	if (!is_readable(c->fd, deadline_ns - earlier(ASK_EARLY_NS, left / 4)))
		send_frame(c->fd, FR_BOOT_GIVE_UP, c->round, NULL, 0, deadline_ns);
	/* Its answer may be late on a busy host, and says more than that it is. */
	return receive_head(c->fd, head, is_ours, deadline_ns + VERDICT_NS);
}

/* Receives one frame of exactly this kind, round and length. */
static ferrule_status_t receive_frame(const struct fr_boot_client *c, enum fr_boot_kind kind,
                                      void *payload, size_t bytes, uint64_t deadline_ns)
{
	struct fr_boot_head head;
	bool is_ours;
	enum fr_net_end end = await_head(c, &head, &is_ours, deadline_ns);

	if (end != FR_NET_DONE)
		return lost(c, end);
	if (is_ours && head.kind == FR_BOOT_FAIL)
		return take_failure(c, head.length, deadline_ns);
	if (!is_ours || head.kind != kind || head.round != c->round || head.length != bytes)
		return fr_error(FERRULE_ERR_PROTOCOL,
		                "rank 0 at %s sent something unexpected during set-up", c->where);
	end = fr_net_recv(c->fd, payload, bytes, deadline_ns);
	return end == FR_NET_DONE ? FERRULE_OK : lost(c, end);
}

ferrule_status_t fr_boot_client_allgather(struct fr_boot_client *c, const void *in, void *out,
                                          size_t bytes, uint64_t deadline_ns)
{
	c->round++;
	/* When this fails, rank 0 has most likely said why before it closed: go and read it. */
	const enum fr_net_end end =
		send_frame(c->fd, FR_BOOT_DATA, c->round, in, bytes, deadline_ns);
	if (end != FR_NET_DONE && end != FR_NET_EOF)
		return lost(c, end);
	return receive_frame(c, FR_BOOT_DATA, out, bytes * (size_t)c->n_ranks, deadline_ns);
}

/* ---- between exchanges ---- */

ferrule_status_t fr_boot_client_check(struct fr_boot_client *c)
{
	unsigned char nothing;
	const ssize_t n = recv(c->fd, &nothing, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return FERRULE_OK;
	if (n <= 0)
		return lost(c, n == 0 || errno == ECONNRESET ? FR_NET_EOF : FR_NET_ERROR);
	/* Rank 0 says nothing unasked but that the set-up has failed. */
	return receive_frame(c, FR_BOOT_FAIL, &nothing, 0, fr_clock_ns() + VERDICT_NS);
}

ferrule_status_t fr_boot_client_fail(struct fr_boot_client *c, ferrule_status_t status,
                                     const char *text)
{
	unsigned char payload[FR_BOOT_FAIL_MAX_BYTES];
	const size_t bytes = fr_boot_put_fail(status, text, payload);
	const uint64_t until = fr_clock_ns() + VERDICT_NS;
	struct fr_boot_head head;
	bool is_ours;

	send_frame(c->fd, FR_BOOT_FAIL, c->round, payload, bytes, until);
	/* What rank 0 tells everybody is this reason, or an earlier one. */
	if (receive_head(c->fd, &head, &is_ours, until) == FR_NET_DONE && is_ours &&
	    head.kind == FR_BOOT_FAIL)
		return take_failure(c, head.length, until);
	return fr_error(status, "%s", text);
}

int fr_boot_client_fd(const struct fr_boot_client *c)
{
	return c->fd;
}

/* ---- life ---- */

ferrule_status_t fr_boot_client_open(const struct fr_star_params *params,
                                     struct fr_boot_client **out)
{
	struct fr_boot_welcome_wire welcome;
	struct fr_boot_client *c = calloc(1, sizeof(*c));

	if (!c)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory to look for rank 0");
	c->fd = -1;
	c->rank = params->rank;
	c->n_ranks = params->n_ranks;
	ferrule_status_t status = find_rank_0(c, params);
	if (status != FERRULE_OK)
		goto err_close_client;
	status = receive_frame(c, FR_BOOT_WELCOME, &welcome, sizeof(welcome), params->deadline_ns);
	if (status != FERRULE_OK)
		goto err_close_client;
	c->comm_id = fr_load_le64(welcome.comm_id);
	snprintf(c->host, sizeof(c->host), "%.*s", FR_BOOT_HOST_BYTES - 1, welcome.host);
	*out = c;
	return FERRULE_OK;

err_close_client:
	fr_boot_client_close(c);
	return status;
}

uint64_t fr_boot_client_comm_id(const struct fr_boot_client *c)
{
	return c->comm_id;
}

const char *fr_boot_client_host(const struct fr_boot_client *c)
{
	return c->host;
}

void fr_boot_client_close(struct fr_boot_client *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}
