#include "config.h"

#include "tests/support/simnet.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PIECE_DEFAULT    (64u << 10)
#define CAPACITY_DEFAULT (128u << 10)

/* What travels on a link: the announcement of a message, or bytes of it. */
struct parcel {
	struct parcel *next;
	uint64_t due; /* the tick from which it is seen */
	bool is_announcement;
	struct fr_call call;
	uint64_t bytes;            /* announced, or here */
	uint64_t used;             /* of those here */
	uint64_t place;            /* of the first byte in the stream of all payloads */
	const unsigned char *lent; /* the sender's memory, or NULL: `data` */
	unsigned char data[];
};

/* One direction between two ranks. */
struct link {
	struct parcel *first, **last;
	uint64_t in_flight, sent; /* payload bytes: under way, ever */
	uint64_t last_due;
	uint64_t random;
	bool is_cut_here;
};

struct sim_ep {
	struct fr_ep base;
	struct link *out, *in;
	struct sim_rank *here, *there;
	/* The messages under way. */
	uint64_t send_bytes, send_moved;
	bool is_lent;
	uint64_t recv_bytes, recv_moved;
	unsigned n_posted; /* receives posted and not begun */
	bool is_posted;    /* the one that begins has been seen */
	/* Windows: memory of the endpoint's own. */
	unsigned char *window_out, *window_in;
	size_t in_first, in_last;
	ferrule_status_t fault;
};

struct sim_rank {
	struct fr_transport base;
	struct t_simnet *net;
	int rank;
	struct sim_ep *eps; /* [n_ranks] */
	bool has_left, is_dead, is_aborted, has_call;
	struct fr_call call;
	char reason[160];
};

struct t_simnet {
	pthread_mutex_t mutex;
	int n_ranks;
	struct t_simnet_faults faults;
	uint64_t tick;
	struct sim_rank *ranks;
	struct link *links; /* [from * n_ranks + to] */
	struct fr_board board;
	unsigned char *board_memory;
	unsigned char *board_rows[2 * FR_BOARD_N_CLASSES * 64];
};

static uint64_t draw(struct link *link, uint64_t below)
{
	link->random = link->random * 6364136223846793005u + 1442695040888963407u;
	return below == 0 ? 0 : (link->random >> 33) % below;
}

static struct sim_ep *ep_of(struct fr_ep *ep)
{
	return (struct sim_ep *)ep;
}

/* Every call passes here: one at a time, and time goes on. */
static struct t_simnet *enter(struct sim_ep *e)
{
	struct t_simnet *net = e->here->net;
	pthread_mutex_lock(&net->mutex);
	net->tick++;
	return net;
}

static void leave(struct t_simnet *net)
{
	pthread_mutex_unlock(&net->mutex);
}

static ferrule_status_t set_fault(struct sim_ep *e, ferrule_status_t status, const char *how)
{
	if (e->fault == FERRULE_OK) {
		snprintf(e->base.why, sizeof(e->base.why), "rank %d %s", e->there->rank, how);
		e->fault = status;
	}
	return e->fault;
}

/* The fault of an endpoint that cannot go on. */
static ferrule_status_t look_at_peer(struct sim_ep *e, bool is_drained)
{
	if (e->fault != FERRULE_OK)
		return e->fault;
	if (e->there->is_aborted)
		return set_fault(e, FERRULE_ERR_ABORTED, e->there->reason);
	if (e->there->is_dead)
		return set_fault(e, FERRULE_ERR_PEER_DIED, "died");
	if (e->there->has_left && is_drained)
		return set_fault(e, FERRULE_ERR_PEER_LEFT, "left");
	return FERRULE_OK;
}

static bool has_stalled(struct sim_ep *e, struct link *link)
{
	return draw(link, 100) < e->here->net->faults.stall_percent;
}

/* How much one call moves of at most `most`. */
static size_t draw_piece(struct sim_ep *e, struct link *link, uint64_t most)
{
	const size_t limit = e->here->net->faults.piece_max;
	const size_t room = most < limit ? (size_t)most : limit;
	/* Small pieces are as likely as large ones. */
	return room == 0 ? 0 : 1 + (size_t)draw(link, 1 + draw(link, room));
}

/* ---- sending ---- */

static struct parcel *put(struct sim_ep *e, size_t data_bytes)
{
	struct t_simnet *net = e->here->net;
	struct link *link = e->out;
	struct parcel *p = calloc(1, sizeof(*p) + data_bytes);
	if (p == NULL)
		return NULL;
	p->due = net->tick + draw(link, net->faults.delay_max + 1u);
	if (p->due < link->last_due)
		p->due = link->last_due;
	if (link->is_cut_here && link->sent >= net->faults.cut_after)
		p->due = UINT64_MAX;
	link->last_due = p->due;
	p->place = link->sent;
	*link->last = p;
	link->last = &p->next;
	return p;
}

static ferrule_status_t begin_send(struct sim_ep *e, const struct fr_message *m)
{
	const struct t_simnet_faults *faults = &e->here->net->faults;
	const ferrule_status_t status = look_at_peer(e, true);
	if (status != FERRULE_OK)
		return status;
	if (has_stalled(e, e->out))
		return FERRULE_INPROGRESS;
	struct parcel *p = put(e, 0);
	if (p == NULL)
		return set_fault(e, FERRULE_ERR_NO_MEMORY, "cannot be sent to: no memory");
	p->is_announcement = true;
	p->call = *m->call;
	p->bytes = m->bytes;
	e->send_bytes = m->bytes;
	e->send_moved = 0;
	e->is_lent = faults->is_lent && m->memory != NULL && draw(e->out, 2);
	e->base.send_has_window = faults->has_windows && draw(e->out, 2);
	return FERRULE_OK;
}

static ferrule_status_t sim_send_begin(struct fr_ep *ep, const struct fr_message *m)
{
	struct sim_ep *e = ep_of(ep);
	struct t_simnet *net = enter(e);
	const ferrule_status_t status = begin_send(e, m);
	leave(net);
	return status;
}

/* How many bytes the link takes now. */
static size_t room_now(struct sim_ep *e, uint64_t wanted)
{
	const size_t capacity = e->here->net->faults.capacity;
	const uint64_t left = e->send_bytes - e->send_moved;
	if (has_stalled(e, e->out) || e->out->in_flight >= capacity)
		return 0;
	const uint64_t room = capacity - e->out->in_flight;
	const uint64_t most = wanted < left ? wanted : left;
	return draw_piece(e, e->out, most < room ? most : room);
}

static int64_t put_bytes(struct sim_ep *e, const void *src, size_t bytes, bool is_lent)
{
	struct parcel *p = put(e, is_lent ? 0 : bytes);
	if (p == NULL)
		return set_fault(e, FERRULE_ERR_NO_MEMORY, "cannot be sent to: no memory");
	p->bytes = bytes;
	if (is_lent)
		p->lent = src;
	else
		memcpy(p->data, src, bytes);
	e->out->in_flight += bytes;
	e->out->sent += bytes;
	e->send_moved += bytes;
	return (int64_t)bytes;
}

static int64_t sim_send_some(struct fr_ep *ep, const void *src, size_t bytes)
{
	struct sim_ep *e = ep_of(ep);
	struct t_simnet *net = enter(e);
	int64_t n = look_at_peer(e, true);
	if (n == FERRULE_OK) {
		const size_t room = room_now(e, bytes);
		n = room > 0 ? put_bytes(e, src, room, e->is_lent) : 0;
	}
	leave(net);
	return n;
}

static void *sim_send_window(struct fr_ep *ep, size_t *room_out, bool *stream_out)
{
	struct sim_ep *e = ep_of(ep);
	struct t_simnet *net = enter(e);
	size_t room = e->base.send_has_window && look_at_peer(e, true) == FERRULE_OK
	                      ? room_now(e, UINT64_MAX)
	                      : 0;
	/* Whole lines, so that the next window begins where alignment was promised. */
	if (room > 64)
		room -= room % 64;
	*room_out = room;
	*stream_out = false;
	leave(net);
	return room > 0 ? e->window_out : NULL;
}

static void sim_send_commit(struct fr_ep *ep, size_t bytes)
{
	struct sim_ep *e = ep_of(ep);
	struct t_simnet *net = enter(e);
	put_bytes(e, e->window_out, bytes, false);
	/* What was written is no longer there: a writer must not read it back. */
	memset(e->window_out, 0xee, bytes);
	leave(net);
}

static uint64_t sim_send_reusable(struct fr_ep *ep)
{
	struct sim_ep *e = ep_of(ep);
	struct t_simnet *net = enter(e);
	uint64_t reusable = e->out->sent;
	for (const struct parcel *p = e->out->first; p != NULL; p = p->next) {
		if (p->lent == NULL)
			continue;
		reusable = p->place + p->used;
		break;
	}
	leave(net);
	return reusable;
}

/* ---- receiving ---- */

/* The next parcel that is to be seen by now, or NULL. */
static struct parcel *next_parcel(struct sim_ep *e)
{
	struct parcel *p = e->in->first;
	return p != NULL && p->due <= e->here->net->tick ? p : NULL;
}

static void drop_parcel(struct link *link)
{
	struct parcel *p = link->first;
	link->first = p->next;
	if (link->first == NULL)
		link->last = &link->first;
	free(p);
}

static bool is_drained(const struct sim_ep *e)
{
	return e->in->first == NULL && e->in_first == e->in_last;
}

/* Moves at most `bytes` that have arrived to dst. */
static size_t take_bytes(struct sim_ep *e, unsigned char *dst, size_t bytes)
{
	size_t n = 0;
	while (n < bytes) {
		struct parcel *p = next_parcel(e);
		if (p == NULL || p->is_announcement)
			break;
		const uint64_t left = p->bytes - p->used;
		const size_t part = left < bytes - n ? (size_t)left : bytes - n;
		memcpy(dst + n, (p->lent != NULL ? p->lent : p->data) + p->used, part);
		p->used += part;
		n += part;
		e->in->in_flight -= part;
		if (p->used == p->bytes)
			drop_parcel(e->in);
	}
	return n;
}

/* The receiver's side of a message is known: its memory belongs to the network. */
static void post(struct sim_ep *e, const struct fr_message *m)
{
	if (e->here->net->faults.is_rude && m->memory != NULL)
		memset(m->memory, 0xdd, m->bytes);
}

static void sim_recv_post(struct fr_ep *ep, const struct fr_message *m)
{
	struct sim_ep *e = ep_of(ep);
	struct t_simnet *net = enter(e);
	post(e, m);
	e->n_posted++;
	leave(net);
}

static ferrule_status_t begin_recv(struct sim_ep *e, const struct fr_message *m)
{
	if (e->fault != FERRULE_OK)
		return e->fault;
	if (!e->is_posted && e->n_posted > 0)
		e->n_posted--;
	else if (!e->is_posted)
		post(e, m);
	e->is_posted = true;
	struct parcel *p = next_parcel(e);
	if (p == NULL || has_stalled(e, e->in)) {
		const ferrule_status_t status = look_at_peer(e, is_drained(e));
		return status != FERRULE_OK ? status : FERRULE_INPROGRESS;
	}
	if (p->call.signature != m->call->signature || p->bytes != m->bytes) {
		e->base.peer_call = p->call;
		e->base.peer_bytes = p->bytes;
		return set_fault(e, FERRULE_ERR_MISMATCH, "announced another message");
	}
	e->recv_bytes = m->bytes;
	e->recv_moved = 0;
	e->is_posted = false;
	e->base.recv_prefers_some = m->memory != NULL && draw(e->in, 2);
	drop_parcel(e->in);
	return FERRULE_OK;
}

static ferrule_status_t sim_recv_begin(struct fr_ep *ep, const struct fr_message *m)
{
	struct sim_ep *e = ep_of(ep);
	struct t_simnet *net = enter(e);
	const ferrule_status_t status = begin_recv(e, m);
	leave(net);
	return status;
}

static int64_t recv_some(struct sim_ep *e, unsigned char *dst, size_t bytes)
{
	if (e->fault != FERRULE_OK)
		return e->fault;
	const uint64_t left = e->recv_bytes - e->recv_moved;
	size_t n = draw_piece(e, e->in, bytes < left ? bytes : left);
	if (e->in_first < e->in_last) {
		/* What a window has shown already comes first. */
		n = n < e->in_last - e->in_first ? n : e->in_last - e->in_first;
		memcpy(dst, e->window_in + e->in_first, n);
		e->in_first += n;
	} else {
		n = has_stalled(e, e->in) ? 0 : take_bytes(e, dst, n);
	}
	if (n == 0)
		return look_at_peer(e, is_drained(e));
	e->recv_moved += n;
	return (int64_t)n;
}

static int64_t sim_recv_some(struct fr_ep *ep, void *dst, size_t bytes)
{
	struct sim_ep *e = ep_of(ep);
	struct t_simnet *net = enter(e);
	const int64_t n = recv_some(e, dst, bytes);
	leave(net);
	return n;
}

/* Adds to the window what has arrived, now and then; it always grows when it is short. */
static void grow_window(struct sim_ep *e)
{
	const size_t size = e->here->net->faults.piece_max;
	const size_t have = e->in_last - e->in_first;
	if (have >= FR_WINDOW_MIN && draw(e->in, 4) != 0)
		return;
	if (have < FR_WINDOW_MIN && has_stalled(e, e->in))
		return;
	memmove(e->window_in, e->window_in + e->in_first, have);
	e->in_first = 0;
	e->in_last = have;
	const uint64_t left = e->recv_bytes - e->recv_moved - have;
	const size_t room = left < size - have ? (size_t)left : size - have;
	e->in_last += take_bytes(e, e->window_in + have, draw_piece(e, e->in, room));
}

static const void *sim_recv_window(struct fr_ep *ep, size_t *avail_out,
                                   ferrule_status_t *status_out)
{
	struct sim_ep *e = ep_of(ep);
	struct t_simnet *net = enter(e);
	if (e->fault == FERRULE_OK)
		grow_window(e);
	*avail_out = e->in_last - e->in_first;
	*status_out = e->fault;
	if (*avail_out == 0)
		*status_out = look_at_peer(e, is_drained(e));
	const bool is_good = *avail_out > 0 && *status_out == FERRULE_OK;
	leave(net);
	return is_good ? e->window_in + e->in_first : NULL;
}

static void sim_recv_release(struct fr_ep *ep, size_t bytes)
{
	struct sim_ep *e = ep_of(ep);
	struct t_simnet *net = enter(e);
	memset(e->window_in + e->in_first, 0xcc, bytes);
	e->in_first += bytes;
	e->recv_moved += bytes;
	leave(net);
}

static ferrule_status_t sim_check(struct fr_ep *ep)
{
	struct sim_ep *e = ep_of(ep);
	struct t_simnet *net = enter(e);
	const ferrule_status_t status = look_at_peer(e, is_drained(e));
	leave(net);
	return status;
}

static bool sim_peer_call(struct fr_ep *ep, struct fr_call *call_out)
{
	struct sim_ep *e = ep_of(ep);
	struct t_simnet *net = enter(e);
	const bool has_call = e->there->has_call;
	if (has_call)
		*call_out = e->there->call;
	leave(net);
	return has_call;
}

static const struct fr_ep_ops sim_ep_ops = {
	.send_begin = sim_send_begin,
	.send_some = sim_send_some,
	.send_window = sim_send_window,
	.send_commit = sim_send_commit,
	.send_reusable = sim_send_reusable,
	.recv_begin = sim_recv_begin,
	.recv_post = sim_recv_post,
	.recv_some = sim_recv_some,
	.recv_window = sim_recv_window,
	.recv_release = sim_recv_release,
	.check = sim_check,
	.peer_call = sim_peer_call,
};

/* ---- the transport ---- */

static struct sim_rank *rank_of(struct fr_transport *t)
{
	return (struct sim_rank *)t;
}

static bool sim_usable(char *why, size_t why_bytes)
{
	(void)why;
	(void)why_bytes;
	return true;
}

static bool sim_reaches(bool same_host)
{
	return same_host;
}

static ferrule_status_t sim_open(const struct fr_transport_params *params,
                                 struct fr_transport **out, char *why, size_t why_bytes)
{
	(void)params;
	(void)out;
	snprintf(why, why_bytes, "simnet: ranks come from t_simnet_rank()");
	return FERRULE_ERR_UNSUPPORTED;
}

static size_t sim_address(struct fr_transport *t, void *buf)
{
	(void)t;
	(void)buf;
	return 0;
}

static ferrule_status_t sim_connect(struct fr_transport *t, const bool *wanted,
                                    const unsigned char *addresses, uint64_t deadline_ns, char *why,
                                    size_t why_bytes)
{
	(void)t;
	(void)wanted;
	(void)addresses;
	(void)deadline_ns;
	(void)why;
	(void)why_bytes;
	return FERRULE_OK;
}

static struct fr_ep *sim_ep(struct fr_transport *t, int peer)
{
	struct sim_rank *r = rank_of(t);
	return peer == r->rank ? NULL : &r->eps[peer].base;
}

static struct fr_board *sim_board(struct fr_transport *t)
{
	struct t_simnet *net = rank_of(t)->net;
	return net->faults.has_board ? &net->board : NULL;
}

static void sim_announce(struct fr_transport *t, const struct fr_call *call)
{
	struct sim_rank *r = rank_of(t);
	pthread_mutex_lock(&r->net->mutex);
	r->call = *call;
	r->has_call = true;
	pthread_mutex_unlock(&r->net->mutex);
}

static void sim_nap(struct fr_transport *t, uint64_t ns)
{
	/* Nothing here happens by itself: just let the other ranks run. */
	const struct timespec pause = {.tv_nsec = ns < 50000 ? (long)ns : 50000};
	(void)t;
	nanosleep(&pause, NULL);
}

static void sim_abort(struct fr_transport *t, const char *reason)
{
	struct sim_rank *r = rank_of(t);
	pthread_mutex_lock(&r->net->mutex);
	if (!r->is_aborted)
		snprintf(r->reason, sizeof(r->reason), "gave up: %s", reason);
	r->is_aborted = true;
	pthread_mutex_unlock(&r->net->mutex);
}

static uint64_t sim_memory_bytes(struct fr_transport *t)
{
	const struct t_simnet *net = rank_of(t)->net;
	return 2 * (uint64_t)net->n_ranks * net->faults.piece_max;
}

/* The caller's memory is his own from now on: what is lent and unread is copied, or lost. */
static void take_back(struct sim_rank *r, bool is_lost)
{
	struct t_simnet *net = r->net;
	for (int to = 0; to < net->n_ranks; to++) {
		struct link *link = &net->links[r->rank * net->n_ranks + to];
		for (struct parcel **at = &link->first; *at != NULL; at = &(*at)->next) {
			struct parcel *p = *at;
			if (p->lent == NULL)
				continue;
			struct parcel *copy = calloc(1, sizeof(*copy) + p->bytes);
			if (copy == NULL || is_lost) {
				/* The stream ends here. */
				free(copy);
				p->due = UINT64_MAX;
				break;
			}
			*copy = *p;
			memcpy(copy->data, p->lent, p->bytes);
			copy->lent = NULL;
			*at = copy;
			if (link->last == &p->next)
				link->last = &copy->next;
			free(p);
		}
	}
}

static void sim_close(struct fr_transport *t)
{
	struct sim_rank *r = rank_of(t);
	pthread_mutex_lock(&r->net->mutex);
	if (!r->has_left)
		take_back(r, false);
	r->has_left = true;
	pthread_mutex_unlock(&r->net->mutex);
}

void t_simnet_kill(struct t_simnet *net, int rank)
{
	pthread_mutex_lock(&net->mutex);
	take_back(&net->ranks[rank], true);
	net->ranks[rank].is_dead = true;
	pthread_mutex_unlock(&net->mutex);
}

const struct fr_transport_ops t_simnet_ops = {
	.name = "simnet",
	.summary = "ranks in one process, for tests",
	.usable = sim_usable,
	.reaches = sim_reaches,
	.open = sim_open,
	.address = sim_address,
	.connect = sim_connect,
	.ep = sim_ep,
	.board = sim_board,
	.announce = sim_announce,
	.nap = sim_nap,
	.abort = sim_abort,
	.memory_bytes = sim_memory_bytes,
	.close = sim_close,
};

/* ---- building ---- */

static const struct {
	size_t stride;
	uint32_t n_slots;
} board_shape[FR_BOARD_N_CLASSES] = {{64, 8}, {2048, 8}, {65536, 4}};

static bool make_board(struct t_simnet *net)
{
	const size_t n = (size_t)net->n_ranks;
	size_t bytes = 0;
	for (int c = 0; c < FR_BOARD_N_CLASSES; c++)
		bytes += n * board_shape[c].stride * board_shape[c].n_slots +
		         n * n * FR_BOARD_ACK_STRIDE;
	net->board_memory = aligned_alloc(64, bytes);
	if (net->board_memory == NULL)
		return false;
	memset(net->board_memory, 0, bytes);
	unsigned char *at = net->board_memory, **rows = net->board_rows;
	net->board.n_ranks = net->n_ranks;
	for (int c = 0; c < FR_BOARD_N_CLASSES; c++) {
		struct fr_board_class *class = &net->board.classes[c];
		*class = (struct fr_board_class){
			.payload = board_shape[c].stride - FR_BOARD_HEAD_BYTES,
			.stride = board_shape[c].stride,
			.n_slots = board_shape[c].n_slots,
			.base = rows,
			.acks = rows + n,
		};
		rows += 2 * n;
		for (size_t r = 0; r < n; r++) {
			class->base[r] = at;
			at += class->stride * class->n_slots;
			class->acks[r] = at;
			at += n * FR_BOARD_ACK_STRIDE;
		}
	}
	return true;
}

static bool make_rank(struct t_simnet *net, int rank)
{
	struct sim_rank *r = &net->ranks[rank];
	r->base.ops = &t_simnet_ops;
	r->net = net;
	r->rank = rank;
	r->eps = calloc((size_t)net->n_ranks, sizeof(*r->eps));
	if (r->eps == NULL)
		return false;
	const size_t window_bytes = (net->faults.piece_max + 63) / 64 * 64;
	for (int p = 0; p < net->n_ranks; p++) {
		struct sim_ep *e = &r->eps[p];
		e->base.ops = &sim_ep_ops;
		e->base.transport = &r->base;
		e->base.peer = p;
		e->here = r;
		e->there = &net->ranks[p];
		e->out = &net->links[rank * net->n_ranks + p];
		e->in = &net->links[p * net->n_ranks + rank];
		e->window_out = aligned_alloc(64, window_bytes);
		e->window_in = aligned_alloc(64, window_bytes);
		if (e->window_out == NULL || e->window_in == NULL)
			return false;
	}
	return true;
}

struct t_simnet *t_simnet_create(int n_ranks, uint64_t seed, struct t_simnet_faults faults)
{
	if (n_ranks < 1 || n_ranks > 64)
		return NULL;
	struct t_simnet *net = calloc(1, sizeof(*net));
	if (net == NULL)
		return NULL;
	fprintf(stderr, "simnet: %d ranks, seed %" PRIu64 "\n", n_ranks, seed);
	if (faults.piece_max == 0)
		faults.piece_max = PIECE_DEFAULT;
	if (faults.piece_max < FR_WINDOW_MIN)
		faults.piece_max = FR_WINDOW_MIN;
	if (faults.capacity == 0)
		faults.capacity = CAPACITY_DEFAULT;
	pthread_mutex_init(&net->mutex, NULL);
	net->n_ranks = n_ranks;
	net->faults = faults;
	const size_t n_links = (size_t)n_ranks * (size_t)n_ranks;
	net->ranks = calloc((size_t)n_ranks, sizeof(*net->ranks));
	net->links = calloc(n_links, sizeof(*net->links));
	bool is_whole = net->ranks != NULL && net->links != NULL;
	for (size_t i = 0; is_whole && i < n_links; i++) {
		struct link *link = &net->links[i];
		link->last = &link->first;
		link->random = seed * 0x9e3779b97f4a7c15u + i * 0xd6e8feb86659fd93u;
		link->is_cut_here =
			faults.cut_after > 0 &&
			i == (size_t)faults.cut_from * (size_t)n_ranks + (size_t)faults.cut_to;
		draw(link, 1);
	}
	for (int r = 0; is_whole && r < n_ranks; r++)
		is_whole = make_rank(net, r);
	if (is_whole && faults.has_board)
		is_whole = make_board(net);
	if (is_whole)
		return net;
	t_simnet_destroy(net);
	return NULL;
}

void t_simnet_destroy(struct t_simnet *net)
{
	if (net == NULL)
		return;
	for (int r = 0; net->ranks != NULL && r < net->n_ranks; r++) {
		struct sim_ep *eps = net->ranks[r].eps;
		for (int p = 0; eps != NULL && p < net->n_ranks; p++) {
			free(eps[p].window_out);
			free(eps[p].window_in);
		}
		free(eps);
	}
	for (int i = 0; net->links != NULL && i < net->n_ranks * net->n_ranks; i++) {
		while (net->links[i].first != NULL)
			drop_parcel(&net->links[i]);
	}
	free(net->board_memory);
	free(net->links);
	free(net->ranks);
	pthread_mutex_destroy(&net->mutex);
	free(net);
}

struct fr_transport *t_simnet_rank(struct t_simnet *net, int rank)
{
	return &net->ranks[rank].base;
}
