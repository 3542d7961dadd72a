/*
 * perf_contract.c - measuring what collectives use: a transport, through transport.h.
 *
 * One message an iteration: put where the receiver wants it, and the receiver told.  A
 * measurement by duration goes in rounds, after each of which a message of one byte says whether
 * there is another, because a receiver must know what it is to expect.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/auth.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/machine_id.h"
#include "lib/base/private_socket.h"
#include "lib/mem/region.h"
#include "lib/perf/perf_internal.h"
#include "lib/transport/transport.h"

/* Between two words about going on: so many messages, and no more bytes. */
#define ROUND_MAX   256
#define ROUND_BYTES (UINT64_C(16) << 20)
/* A look at a transport may cost a system call by itself. */
#define IDLE_LOOKS 512
#define PAGE_BYTES 4096

struct contract {
	struct ferrule_perf *perf;
	const struct fr_transport_ops *ops;
	struct fr_transport *t;
	struct fr_ep *ep;
	int host_of[2];
	unsigned char key[FR_AUTH_KEY_BYTES];
	struct fr_call call; /* what every message belongs to */
	struct fr_perf_memory memory;
	void *allocated;     /* of the transport, when that has such memory */
	unsigned char *word; /* a page for messages of one byte */
	uint64_t n_sent_bytes;
	/* Marks whose messages are still under way begin here. */
	size_t n_done_marks;
	uint64_t done_bytes;
};

/* ---- set-up ---- */

/* What the sides tell each other first; the server's id and key are used. */
struct who_frame {
	uint64_t comm_id;
	unsigned char key[FR_AUTH_KEY_BYTES];
	uint64_t machine_id, network_id;
	char meeting[FR_PRIVATE_PATH_BYTES];
};

/* One host is where both meet at the other's private socket, as ranks do (lib/comm/reach.h). */
static ferrule_status_t try_to_meet(struct ferrule_perf *perf, const struct who_frame *mine,
                                    const struct who_frame *theirs, bool *same_host_out)
{
	char path[FR_PRIVATE_PATH_BYTES];
	unsigned char reached = 0, was_reached = 0;

	memcpy(path, theirs->meeting, sizeof(path));
	path[sizeof(path) - 1] = '\0';
	const bool worth_it = mine->machine_id == theirs->machine_id && path[0] != '\0';
	const int fd = worth_it ? fr_private_connect(path) : -1;
	if (fd >= 0)
		close(fd);
	reached = fd >= 0;
	const ferrule_status_t status =
		fr_perf_control_exchange(&perf->control, FR_PERF_PORT, &reached, &was_reached, 1);
	*same_host_out = reached && was_reached == 1;
	return status;
}

static ferrule_status_t meet(struct contract *c, struct fr_transport_params *params)
{
	struct ferrule_perf *perf = c->perf;
	struct who_frame mine = {.comm_id = 0}, theirs;
	const bool is_server = perf->params.is_server;

	struct fr_private_socket meeting;
	char why[400];
	fr_private_listen(&meeting, why, sizeof(why));
	mine.machine_id = fr_machine_id();
	mine.network_id = fr_network_id();
	memcpy(mine.meeting, meeting.path, sizeof(mine.meeting));
	fr_random(&mine.comm_id, sizeof(mine.comm_id));
	/* A key that both sides have proved does not travel. */
	const bool has_key = perf->control.key.kind != FR_PERF_KEY_NONE;
	if (has_key)
		memcpy(c->key, perf->control.key.bytes, sizeof(c->key));
	if (!has_key && is_server) {
		fr_random(c->key, sizeof(c->key));
		memcpy(mine.key, c->key, sizeof(mine.key));
	}
	bool same_host = false;
	ferrule_status_t status = fr_perf_control_exchange(&perf->control, FR_PERF_PORT, &mine,
	                                                   &theirs, sizeof(mine));
	if (status == FERRULE_OK)
		status = try_to_meet(perf, &mine, &theirs, &same_host);
	fr_private_close(&meeting);
	if (status != FERRULE_OK)
		return status;
	if (!has_key && !is_server)
		memcpy(c->key, theirs.key, sizeof(c->key));
	c->host_of[1] = same_host ? 0 : 1;
	*params = (struct fr_transport_params){
		.rank = is_server ? 0 : 1,
		.n_ranks = 2,
		.host_of = c->host_of,
		.comm_id = is_server ? mine.comm_id : theirs.comm_id,
		.job_key = c->key,
		.one_host = same_host,
		.one_network = same_host && mine.network_id == theirs.network_id,
	};
	fr_wipe(&mine, sizeof(mine));
	fr_wipe(&theirs, sizeof(theirs));
	if (!fr_transport_reaches(c->ops, same_host))
		return fr_error(FERRULE_ERR_TRANSPORT, "%s does not reach %s, on %s host",
		                c->ops->name, perf->control.peer,
		                same_host ? "the same" : "another");
	return FERRULE_OK;
}

static ferrule_status_t find_transport(struct contract *c)
{
	const char *name = c->perf->params.transport ? c->perf->params.transport : "verbs";
	char why[256] = "";

	/* One that is named was found when the parameters were checked. */
	c->ops = fr_transport_find(name);
	if (c->ops == NULL)
		return fr_error(FERRULE_ERR_UNSUPPORTED, "transport: %s is not in this build",
		                name);
	if (!c->ops->usable(why, sizeof(why)))
		return fr_error(FERRULE_ERR_UNSUPPORTED, "transport: %s cannot be used here: %s",
		                name, why);
	return FERRULE_OK;
}

static ferrule_status_t join(struct contract *c, const struct fr_transport_params *params)
{
	struct ferrule_perf *perf = c->perf;
	const bool wanted[2] = {params->rank == 1, params->rank == 0};
	unsigned char addresses[2][FR_ADDRESS_BYTES] = {{0}};
	char why[400] = "";

	ferrule_status_t status = c->ops->open(params, &c->t, why, sizeof(why));
	if (status != FERRULE_OK)
		return fr_error(status, "%s: %s", c->ops->name, why);
	c->ops->address(c->t, addresses[params->rank]);
	status = fr_perf_control_exchange(&perf->control, FR_PERF_ENDS, addresses[params->rank],
	                                  addresses[1 - params->rank], FR_ADDRESS_BYTES);
	if (status != FERRULE_OK)
		return status;
	const uint64_t deadline = fr_clock_ns() + (uint64_t)(perf->params.timeout_s * 1e9);
	status = c->ops->connect(c->t, wanted, addresses[0], deadline, why, sizeof(why));
	if (status != FERRULE_OK)
		return fr_error(status, "%s: %s", c->ops->name, why);
	c->ep = c->ops->ep(c->t, 1 - params->rank);
	return FERRULE_OK;
}

/* Tells the transport of memory that is not its own, so that it can be moved in place. */
static ferrule_status_t make_known(struct contract *c)
{
	const struct fr_mem_block block = {
		.base = c->memory.base, .bytes = c->memory.bytes, .device = -1, .dmabuf_fd = -1};
	char why[256] = "";

	if (c->ops->mem_register == NULL || c->memory.gpu >= 0)
		return FERRULE_OK;
	const ferrule_status_t status = c->ops->mem_register(c->t, &block, why, sizeof(why));

	return status == FERRULE_OK ? FERRULE_OK : fr_error(status, "%s: %s", c->ops->name, why);
}

/* Memory that the transport can reach in place, where it has such. */
static ferrule_status_t get_memory(struct contract *c)
{
	const struct ferrule_perf_params *p = &c->perf->params;
	const size_t stride = (p->max_bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	ferrule_status_t status =
		fr_transport_mem_alloc(c->t, 2 * stride + PAGE_BYTES, &c->allocated);

	if (status == FERRULE_OK) {
		c->memory = (struct fr_perf_memory){
			.base = c->allocated, .stride = stride, .n_lanes = 1, .gpu = -1};
		c->word = c->memory.base + 2 * stride;
		return FERRULE_OK;
	}
	if (status != FERRULE_ERR_UNSUPPORTED)
		return fr_error(status, "%s: no memory for buffers of %zu bytes", c->ops->name,
		                2 * stride);
	/* A second lane, of which the first page is used. */
	status = fr_perf_memory_open(&c->memory, p, 2);
	if (status != FERRULE_OK)
		return status;
	c->word = fr_perf_memory_out(&c->memory, 1);
	c->memory.n_lanes = 1;
	return make_known(c);
}

static ferrule_status_t contract_open(struct ferrule_perf *perf)
{
	struct contract *c = calloc(1, sizeof(*c));
	struct fr_transport_params params;

	if (c == NULL)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for a measurement");
	perf->engine_state = c;
	c->perf = perf;
	c->call = (struct fr_call){.sequence = 1, .root = -1};
	fr_call_seal(&c->call);
	ferrule_status_t status = find_transport(c);
	if (status == FERRULE_OK)
		status = meet(c, &params);
	if (status == FERRULE_OK)
		status = join(c, &params);
	if (status == FERRULE_OK)
		status = get_memory(c);
	if (status != FERRULE_OK)
		return status;
	struct ferrule_perf_setup *s = &perf->setup;
	snprintf(s->device, sizeof(s->device), "%s", c->ops->name);
	s->gid_index = -1;
	snprintf(s->local.name, sizeof(s->local.name), "process %d", (int)getpid());
	snprintf(s->remote.name, sizeof(s->remote.name), "%s", perf->control.peer);
	return FERRULE_OK;
}

static void contract_close(struct ferrule_perf *perf)
{
	struct contract *c = perf->engine_state;

	if (c == NULL)
		return;
	if (c->allocated != NULL)
		c->ops->mem_free(c->t, c->allocated);
	if (c->t != NULL)
		c->ops->close(c->t);
	/* What the transport knows of must be there until it is closed. */
	if (c->allocated == NULL)
		fr_perf_memory_close(&c->memory);
	fr_wipe(c->key, sizeof(c->key));
	free(c);
	perf->engine_state = NULL;
}

/* ---- moving one message ---- */

static ferrule_status_t ep_fault(struct contract *c, ferrule_status_t status)
{
	return fr_error(status, "%s: %s", c->ops->name,
	                c->ep->why[0] ? c->ep->why : ferrule_status_text(status));
}

/* After a look that found nothing: OK to look again, or the fault. */
static inline ferrule_status_t wait_more(struct contract *c)
{
	struct fr_perf_watch *w = &c->perf->watch;

	if (++w->n_idle % IDLE_LOOKS != 0)
		return FERRULE_OK;
	if (!fr_perf_watch_look(w))
		return w->status;
	const ferrule_status_t status = c->ep->ops->check(c->ep);
	return status == FERRULE_OK ? FERRULE_OK : ep_fault(c, status);
}

/* One message, whole.  Which way is known where it is called, and costs nothing here. */
static inline __attribute__((always_inline)) ferrule_status_t move_message(struct contract *c,
                                                                           bool is_send,
                                                                           unsigned char *memory,
                                                                           uint64_t bytes)
{
	const struct fr_message m = {.call = &c->call, .bytes = bytes, .memory = memory};
	const struct fr_ep_ops *ops = c->ep->ops;
	ferrule_status_t status;

	while ((status = is_send ? ops->send_begin(c->ep, &m) : ops->recv_begin(c->ep, &m)) ==
	       FERRULE_INPROGRESS) {
		status = wait_more(c);
		if (status != FERRULE_OK)
			return status;
	}
	if (status != FERRULE_OK)
		return ep_fault(c, status);
	if (is_send)
		c->n_sent_bytes += bytes;
	for (uint64_t moved = 0; moved < bytes;) {
		const int64_t n = is_send ? ops->send_some(c->ep, memory + moved, bytes - moved)
		                          : ops->recv_some(c->ep, memory + moved, bytes - moved);
		if (n < 0)
			return ep_fault(c, (ferrule_status_t)n);
		moved += (uint64_t)n;
		if (n > 0)
			fr_perf_has_moved(&c->perf->watch);
		else if ((status = wait_more(c)) != FERRULE_OK)
			return status;
	}
	return FERRULE_OK;
}

static inline ferrule_status_t send_message(struct contract *c, unsigned char *memory,
                                            uint64_t bytes)
{
	return move_message(c, true, memory, bytes);
}

static inline ferrule_status_t receive_message(struct contract *c, unsigned char *memory,
                                               uint64_t bytes)
{
	return move_message(c, false, memory, bytes);
}

/* Until the transport needs none of the memory any more. */
static ferrule_status_t settle(struct contract *c, uint64_t base)
{
	while (c->ep->ops->send_reusable(c->ep) - base < c->n_sent_bytes) {
		const ferrule_status_t status = wait_more(c);
		if (status != FERRULE_OK)
			return status;
	}
	return FERRULE_OK;
}

/* ---- rounds ---- */

static inline uint64_t round_length(const struct ferrule_perf *perf, uint64_t bytes)
{
	const uint64_t fits = ROUND_BYTES / bytes + 1;

	if (perf->params.duration_s <= 0)
		return perf->params.iterations;
	return fits < ROUND_MAX ? fits : ROUND_MAX;
}

/* The client decides whether there is another round, the server hears it. */
static ferrule_status_t ask_on(struct contract *c, bool *goes_on)
{
	if (c->perf->params.duration_s <= 0) {
		*goes_on = false;
		return FERRULE_OK;
	}
	if (!c->perf->is_active) {
		const ferrule_status_t status = receive_message(c, c->word, 1);
		*goes_on = status == FERRULE_OK && c->word[0] == 1;
		return status;
	}
	/* Of the two bytes that are ever said, neither changes while it is under way. */
	c->word[64] = 0;
	c->word[128] = 1;
	return send_message(c, c->word + (*goes_on ? 128 : 64), 1);
}

/* ---- latency ---- */

/* As the executor does: the next message's place is told before anything is sent that the peer
 * answers, so that the answer can be written there. */
static inline void post_next(struct contract *c, uint64_t bytes)
{
	const struct fr_message m = {
		.call = &c->call,
		.bytes = bytes,
		.memory = fr_perf_memory_in(&c->memory, 0),
	};

	if (c->ep->ops->recv_post)
		c->ep->ops->recv_post(c->ep, &m);
}

/* One trip of the client; the clock is read while the message is on its way, where that costs
 * nothing. */
static inline ferrule_status_t ping(struct contract *c, uint64_t bytes, uint64_t *sent_ns)
{
	post_next(c, bytes);
	const ferrule_status_t status = send_message(c, fr_perf_memory_out(&c->memory, 0), bytes);

	*sent_ns = fr_clock_ns();
	if (status != FERRULE_OK)
		return status;
	return receive_message(c, fr_perf_memory_in(&c->memory, 0), bytes);
}

/* Trips before the clock runs: caches, page tables and the processor's frequency settle.  Both
 * sides count the same. */
static uint64_t warm_up_trips(uint64_t bytes)
{
	const uint64_t fits = ROUND_BYTES / bytes + 1;

	return fits < FR_PERF_WARM_UP ? fits : FR_PERF_WARM_UP;
}

static ferrule_status_t warm_up(struct contract *c, uint64_t bytes)
{
	ferrule_status_t status = FERRULE_OK;
	uint64_t sent_ns;

	for (uint64_t i = 0; i < warm_up_trips(bytes) && status == FERRULE_OK; i++)
		status = ping(c, bytes, &sent_ns);
	return status;
}

static ferrule_status_t lat_client(struct contract *c, uint64_t bytes)
{
	struct ferrule_perf *perf = c->perf;
	struct fr_perf_window window;
	ferrule_status_t status = warm_up(c, bytes);
	const uint64_t begin = fr_clock_ns();
	bool goes_on = status == FERRULE_OK;

	fr_perf_window_open(&perf->params, begin, &window);
	while (goes_on) {
		uint64_t before, now;
		/* A time is from one departure to the next: n times take n + 1 trips. */
		status = ping(c, bytes, &before);
		for (uint64_t i = 0; i < round_length(perf, bytes) && status == FERRULE_OK; i++) {
			status = ping(c, bytes, &now);
			if (before >= window.from_ns && now <= window.to_ns)
				fr_perf_samples_add(&perf->samples, now - before);
			before = now;
		}
		if (status != FERRULE_OK)
			return status;
		goes_on = before < window.end_ns;
		status = ask_on(c, &goes_on);
		if (status != FERRULE_OK)
			return status;
	}
	perf->outcome.ns = fr_clock_ns() - begin;
	perf->outcome.n_messages = perf->samples.n;
	return status;
}

/* Answers n messages. */
static ferrule_status_t answer(struct contract *c, uint64_t bytes, uint64_t n)
{
	post_next(c, bytes);
	for (uint64_t i = 0; i < n; i++) {
		ferrule_status_t status =
			receive_message(c, fr_perf_memory_in(&c->memory, 0), bytes);
		if (i + 1 < n)
			post_next(c, bytes);
		if (status == FERRULE_OK)
			status = send_message(c, fr_perf_memory_out(&c->memory, 0), bytes);
		if (status != FERRULE_OK)
			return status;
	}
	return FERRULE_OK;
}

static ferrule_status_t lat_server(struct contract *c, uint64_t bytes)
{
	ferrule_status_t status = answer(c, bytes, warm_up_trips(bytes));
	bool goes_on = true;

	while (goes_on && status == FERRULE_OK) {
		status = answer(c, bytes, round_length(c->perf, bytes) + 1);
		if (status == FERRULE_OK)
			status = ask_on(c, &goes_on);
	}
	return status;
}

/* ---- bandwidth ---- */

/* Groups of messages whose memory the transport is through with are done. */
static inline void close_marks(struct contract *c, uint64_t base, uint64_t bytes, uint64_t now_ns)
{
	struct ferrule_perf *perf = c->perf;
	const uint64_t reusable = c->ep->ops->send_reusable(c->ep) - base;

	while (c->n_done_marks < perf->n_marks) {
		struct fr_perf_mark *mark = &perf->marks[c->n_done_marks];
		if (c->done_bytes + mark->n * bytes > reusable)
			return;
		mark->done_ns = now_ns;
		c->done_bytes += mark->n * bytes;
		c->n_done_marks++;
	}
}

static inline void open_mark(struct ferrule_perf *perf, uint64_t n, uint64_t now_ns)
{
	if (perf->n_marks == perf->marks_max)
		return;
	perf->marks[perf->n_marks++] = (struct fr_perf_mark){.posted_ns = now_ns, .n = (uint32_t)n};
}

/* One round; the clock is read once a group. */
static ferrule_status_t bw_round(struct contract *c, uint64_t bytes, uint64_t base,
                                 uint64_t *n_sent, struct fr_perf_tally *tally)
{
	struct ferrule_perf *perf = c->perf;
	const uint64_t n = round_length(perf, bytes);
	const uint64_t group = (uint64_t)fr_perf_moderation(&perf->params, bytes);
	unsigned char *out = fr_perf_memory_out(&c->memory, 0);

	for (uint64_t i = 0; i < n; i++) {
		if (i % group == 0) {
			const uint64_t now = fr_clock_ns();
			close_marks(c, base, bytes, now);
			open_mark(perf, n - i < group ? n - i : group, now);
			fr_perf_tally_look(tally, now, *n_sent);
		}
		const ferrule_status_t status = send_message(c, out, bytes);
		if (status != FERRULE_OK)
			return status;
		(*n_sent)++;
	}
	return FERRULE_OK;
}

static ferrule_status_t bw_client(struct contract *c, uint64_t bytes)
{
	struct ferrule_perf *perf = c->perf;
	struct fr_perf_tally tally;
	const uint64_t base = c->ep->ops->send_reusable(c->ep);
	uint64_t n_sent = 0;
	ferrule_status_t status = FERRULE_OK;
	bool goes_on = true;

	c->n_sent_bytes = c->done_bytes = 0;
	c->n_done_marks = 0;
	fr_perf_tally_open(&perf->params, fr_clock_ns(), &tally);
	while (goes_on && status == FERRULE_OK) {
		status = bw_round(c, bytes, base, &n_sent, &tally);
		goes_on = fr_clock_ns() < tally.window.end_ns;
		if (status == FERRULE_OK)
			status = ask_on(c, &goes_on);
	}
	/* What is copied is not yet there: the server says when the last byte is. */
	if (status == FERRULE_OK)
		status = settle(c, base);
	if (status == FERRULE_OK)
		status = receive_message(c, c->word, 1);
	if (status != FERRULE_OK)
		return status;
	const uint64_t now = fr_clock_ns();
	close_marks(c, base, bytes, now);
	fr_perf_tally_look(&tally, now, n_sent);
	fr_perf_tally_close(&tally, &perf->outcome);
	return FERRULE_OK;
}

static ferrule_status_t bw_server(struct contract *c, uint64_t bytes)
{
	const uint64_t n = round_length(c->perf, bytes);
	unsigned char *in = fr_perf_memory_in(&c->memory, 0);
	ferrule_status_t status = FERRULE_OK;
	bool goes_on = true;

	while (goes_on) {
		uint64_t n_posted = 0;
		for (uint64_t i = 0; i < n; i++) {
			for (; n_posted < n && n_posted < i + FR_POSTS_MAX; n_posted++)
				post_next(c, bytes);
			status = receive_message(c, in, bytes);
			if (status != FERRULE_OK)
				return status;
		}
		status = ask_on(c, &goes_on);
		if (status != FERRULE_OK)
			return status;
	}
	return send_message(c, c->word, 1);
}

/* ---- the engine ---- */

/* A byte each way: transports connect when they are first used, which is not to be measured. */
static ferrule_status_t greet(struct contract *c)
{
	const bool is_server = c->perf->params.is_server;
	const uint64_t base = c->ep->ops->send_reusable(c->ep);
	ferrule_status_t status = FERRULE_OK;

	c->n_sent_bytes = 0;
	if (is_server)
		status = receive_message(c, c->word, 1);
	if (status == FERRULE_OK)
		status = send_message(c, c->word + 64, 1);
	if (status == FERRULE_OK && !is_server)
		status = receive_message(c, c->word, 1);
	return status == FERRULE_OK ? settle(c, base) : status;
}

static ferrule_status_t contract_prepare(struct ferrule_perf *perf, uint64_t bytes)
{
	struct contract *c = perf->engine_state;

	/* The number of messages is known on both sides, so the peer's last word is no end. */
	perf->watch.ends_with_peer = false;
	const ferrule_status_t status = greet(c);

	if (status != FERRULE_OK || !perf->params.validate)
		return status;
	return fr_perf_memory_fill(&c->memory, bytes);
}

static ferrule_status_t contract_run(struct ferrule_perf *perf, uint64_t bytes)
{
	struct contract *c = perf->engine_state;
	const bool is_bw = perf->params.test == FERRULE_PERF_BW;

	if (!perf->is_active)
		return is_bw ? bw_server(c, bytes) : lat_server(c, bytes);
	return is_bw ? bw_client(c, bytes) : lat_client(c, bytes);
}

static uint64_t contract_count_wrong(struct ferrule_perf *perf, uint64_t bytes)
{
	struct contract *c = perf->engine_state;
	const bool receives = perf->params.test == FERRULE_PERF_LAT || !perf->is_active;

	return receives ? fr_perf_memory_wrong(&c->memory, 0, bytes, bytes) : 0;
}

const struct fr_perf_engine fr_perf_contract_engine = {
	.open = contract_open,
	.prepare = contract_prepare,
	.run = contract_run,
	.count_wrong = contract_count_wrong,
	.close = contract_close,
};
