/*
 * Connecting an endpoint, and connecting it anew.
 *
 * Design.  The queue pairs of an endpoint belong to a generation.  Whoever first uses the
 * endpoint, or sees it fail, makes new ones and sends an OFFER with the next generation's
 * number; the other end adopts a higher number than its own.  With both offers known, both
 * choose the same pair of GIDs for each rail, move their queue pairs to RTS and say READY,
 * since a write to a queue pair that cannot receive yet costs a whole timeout.  Then each
 * writes a probe on every queue pair and says PROVED with the rails whose probes were
 * acknowledged by the other's hardware.  Rails that both have proved carry traffic; when
 * there are none, the next generation tries the next pair of GIDs.
 *
 * An offer says what has arrived.  It is made after the old queue pairs were stopped and all
 * their completions taken, so that nothing can arrive behind its back.
 *
 * A peer that is busy elsewhere answers when it next waits or tests: that is no failure and has
 * no deadline here; the operation's own deadline and the link see to it.
 */
#include "config.h"

#include "lib/transport/verbs/verbs.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/settings.h"
#include "lib/base/text.h"

#define MILLISECOND 1000000u
/* A probe that is not acknowledged after this long takes another way. */
#define PROBE_NS (1500u * MILLISECOND)
/* Between two tries to make queue pairs, for a port that is down. */
#define RETRY_NS (100u * MILLISECOND)
/* The connection manager's: who starts has an answer soon; who expects waits for a peer that may
 * be busy, and is told when that has given up. */
#define START_S  5
#define EXPECT_S 600
#define HURRY_NS (1000u * MILLISECOND)

static bool is_connecting(enum fr_vb_state state)
{
	return state != FR_VB_IDLE && state != FR_VB_READY;
}

static void set_state(struct fr_vb_ep *e, enum fr_vb_state state)
{
	static const char *const names[] = {"idle",    "broken",  "offered", "connecting",
	                                    "waiting", "probing", "ready"};

	fr_vb_of_ep(e)->n_unready += is_connecting(state) - is_connecting(e->state);
	fr_log(FR_LOG_DEBUG, "verbs: %s, generation %u: %s -> %s", e->link.name, e->generation,
	       names[e->state], names[state]);
	e->state = state;
	e->since_ns = fr_clock_ns();
}

/* ---- queue pairs ---- */

void fr_vb_disconnect(struct fr_vb_ep *e)
{
	struct fr_vb *t = fr_vb_of_ep(e);

	for (unsigned i = 0; i < e->n_qps; i++) {
		e->qps[i].is_live = false;
		fr_verbs_cm_drop(e->qps[i].conn);
		e->qps[i].conn = NULL;
		fr_verbs_qp_stop(&t->rails[e->qps[i].rail].device, e->qps[i].qp);
	}
	/* What the old queue pairs still received counts. */
	if (e->n_qps > 0)
		fr_vb_drain(t);
	for (unsigned i = 0; i < e->n_qps; i++) {
		fr_vb_table_remove(t, &e->qps[i]);
		t->v->destroy_qp(e->qps[i].qp);
	}
	e->n_qps = e->n_live = e->n_connecting = 0;
}

static struct fr_verbs_cm_peer cm_peer(const struct fr_vb_ep *e, struct fr_vb_qp *q, double wait_s)
{
	return (struct fr_verbs_cm_peer){
		.rank = e->base.peer,
		.generation = e->generation,
		.rail = q->rail,
		.qp_index = q->lane,
		.mtu_code = IBV_MTU_4096,
		.deadline_ns = fr_clock_ns() + (uint64_t)(wait_s * 1e9),
		.arg = q,
	};
}

/* The higher rank must expect a connection before the lower one starts it, which it does when it
 * has the higher one's offer. */
static bool expect(struct fr_vb_ep *e, struct fr_vb_qp *q, char *why, size_t why_bytes)
{
	struct fr_vb *t = fr_vb_of_ep(e);
	const struct fr_verbs_cm_peer peer = cm_peer(e, q, EXPECT_S);

	if (t->rails[q->rail].cm == NULL || t->rank < e->base.peer)
		return true;
	if (fr_verbs_cm_expect(t->rails[q->rail].cm, q->qp, &peer, &q->conn, why, why_bytes) !=
	    FERRULE_OK)
		return false;
	e->n_connecting++;
	return true;
}

static bool create_qp(struct fr_vb_ep *e, int rail, unsigned lane, char *why, size_t why_bytes)
{
	struct fr_vb *t = fr_vb_of_ep(e);
	struct fr_vb_qp *q = &e->qps[e->n_qps];
	const struct fr_verbs_qp_params params = {
		.send_wr = (int)t->send_depth,
		.recv_wr = (int)t->recv_depth,
		.send_sge = 2,
		.access = IBV_ACCESS_REMOTE_WRITE,
	};

	*q = (struct fr_vb_qp){.ep = e, .rail = (uint8_t)rail, .lane = (uint8_t)lane};
	q->qp = fr_verbs_qp_create(&t->rails[rail].device, &params, &q->psn, &q->max_inline, why,
	                           why_bytes);
	if (q->qp == NULL)
		return false;
	fr_vb_table_add(t, q);
	e->n_qps++;
	/* Before anybody can write: who has no receive posted is asked again after a while. */
	return fr_vb_post_receives(t, q, t->recv_depth) && expect(e, q, why, why_bytes);
}

static void offer_rail(struct fr_vb_ep *e, int rail)
{
	struct fr_vb *t = fr_vb_of_ep(e);
	struct fr_verbs_device *d = &t->rails[rail].device;
	struct fr_verbs_offer_rail *o = &e->mine.rails[rail];
	struct fr_verbs_end end;
	char why[sizeof(e->trouble)];

	*o = (struct fr_verbs_offer_rail){.n_qps = 0};
	/* State and GIDs may have changed since; the first time they have just been read. */
	if (e->generation > 1 && fr_verbs_device_refresh(d, why, sizeof(why)) != FERRULE_OK) {
		snprintf(e->trouble, sizeof(e->trouble), "%s", why);
		return;
	}
	for (unsigned q = 0; q < t->qps_per_rail; q++) {
		if (!create_qp(e, rail, q, why, sizeof(why))) {
			snprintf(e->trouble, sizeof(e->trouble), "%s", why);
			/* All of its queue pairs or none: the peer refuses half an offer. */
			o->n_qps = 0;
			return;
		}
		o->qp_num[q] = e->qps[e->n_qps - 1].qp->qp_num;
		o->psn[q] = e->qps[e->n_qps - 1].psn;
		o->n_qps++;
	}
	o->is_ethernet = d->port.is_ethernet;
	o->lid = d->lid;
	o->gbps_x10 = (uint32_t)d->port.gbps_x10;
	o->inbox_rkey = e->inbox_mr.mr[rail]->rkey;
	o->n_gids = (uint8_t)(d->n_gids < FR_VERBS_OFFERED ? d->n_gids : FR_VERBS_OFFERED);
	memcpy(o->gids, d->gids, o->n_gids * sizeof(o->gids[0]));
	fr_verbs_qp_end(d, e->qps[e->n_qps - 1].qp, 0, &o->gids[0], &end);
	o->mtu_code = end.mtu_code;
	o->ece_vendor = end.ece_vendor;
	o->ece_options = end.ece_options;
	if (t->rails[rail].cm != NULL)
		fr_verbs_cm_address(t->rails[rail].cm, &o->cm_address);
}

static void on_both_offers(struct fr_vb_ep *e);

/* New queue pairs under this generation's number, offered to the peer. */
static void start_generation(struct fr_vb_ep *e, uint32_t generation)
{
	struct fr_vb *t = fr_vb_of_ep(e);
	bool has_rail = false;

	set_state(e, FR_VB_BROKEN);
	fr_vb_disconnect(e);
	e->generation = generation;
	e->is_peer_ready = e->has_proved = e->has_peer_proved = false;
	e->mine = (struct fr_verbs_offer){
		.magic = FR_VERBS_MAGIC,
		.generation = generation,
		.n_slots = t->n_slots,
		.slot_bytes = t->slot_bytes,
		.zero_copy = t->zero_copy,
		.inbox = (uint64_t)(uintptr_t)e->inbox,
		.next = e->rx.next,
		.arrived = e->rx.arrived,
		.grants_from = e->rx.grants_from,
	};
	memcpy(e->mine.tries, e->tries, sizeof(e->tries));
	for (int i = 0; i < t->n_rails; i++) {
		offer_rail(e, i);
		has_rail |= e->mine.rails[i].n_qps > 0;
	}
	if (!has_rail || !fr_link_send_note(&e->link, FR_VERBS_OFFER, &e->mine, sizeof(e->mine))) {
		if (e->mend_since_ns == 0)
			e->mend_since_ns = e->since_ns;
		return;
	}
	set_state(e, FR_VB_OFFERED);
	if (e->theirs.generation == generation)
		on_both_offers(e);
}

void fr_vb_want(struct fr_vb_ep *e)
{
	if (e->state == FR_VB_IDLE && fr_vb_ep_memory(e) == FERRULE_OK)
		start_generation(e, e->generation + 1);
}

/* The generation in hand has failed; the next one starts when it is due. */
static void fall_back(struct fr_vb_ep *e)
{
	set_state(e, FR_VB_BROKEN);
	if (e->mend_since_ns == 0)
		e->mend_since_ns = e->since_ns;
	e->generation++;
	e->since_ns = 0;
}

void fr_vb_trouble(struct fr_vb_ep *e, const char *format, ...)
{
	va_list args;

	if (e->state != FR_VB_READY || e->link.has_left || e->link.fault != FERRULE_OK)
		return;
	va_start(args, format);
	fr_vformat(e->trouble, sizeof(e->trouble), format, args);
	va_end(args);
	fr_log(FR_LOG_WARNING, "verbs: %s: %s; connecting anew", e->link.name, e->trouble);
	fall_back(e);
}

/* ---- two offers ---- */

/* "over the link" or "cm", as an offer shows. */
static bool is_cm(const struct fr_verbs_offer *o)
{
	for (int i = 0; i < FR_VERBS_RAILS_MAX; i++)
		if (o->rails[i].n_qps > 0 && o->rails[i].cm_address.family != 0)
			return true;
	return false;
}

static bool settings_agree(struct fr_vb_ep *e)
{
	const struct fr_verbs_offer *a = &e->mine, *b = &e->theirs;
	const struct {
		const char *name;
		unsigned long long mine, theirs;
	} rows[] = {
		{"FERRULE_IB_SLOTS", a->n_slots, b->n_slots},
		{"FERRULE_IB_SLOT", a->slot_bytes, b->slot_bytes},
		{"FERRULE_IB_ZERO_COPY", a->zero_copy, b->zero_copy},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].mine == rows[i].theirs)
			continue;
		fr_link_fault(&e->link, FERRULE_ERR_SETTING,
		              "%s is %llu here and %llu at %s; it must be the same on all ranks",
		              rows[i].name, rows[i].mine, rows[i].theirs, e->link.name);
		return false;
	}
	if (is_cm(a) == is_cm(b))
		return true;
	fr_link_fault(
		&e->link, FERRULE_ERR_SETTING,
		"FERRULE_IB_CONNECT is %s here and %s at %s; it must be the same on all ranks",
		is_cm(a) ? "cm" : "oob", is_cm(b) ? "cm" : "oob", e->link.name);
	return false;
}

/* Which GIDs this generation tries on a rail; false: the rail's ends cannot reach each other. */
static bool choose_pair(struct fr_vb_ep *e, int rail)
{
	const struct fr_vb *t = fr_vb_of_ep(e);
	const struct fr_verbs_offer_rail *a = &e->mine.rails[rail], *b = &e->theirs.rails[rail];
	struct fr_gid_pair pairs[FR_VERBS_OFFERED * FR_VERBS_OFFERED];

	if (a->n_qps == 0 || b->n_qps == 0 || a->is_ethernet != b->is_ethernet)
		return false;
	if (e->theirs.tries[rail] > e->tries[rail])
		e->tries[rail] = e->theirs.tries[rail];
	e->pairs[rail] = (struct fr_gid_pair){0, 0};
	e->n_pairs[rail] = 1;
	/* The connection manager finds its own way. */
	if (!a->is_ethernet || t->rails[rail].cm != NULL)
		return true;
	const int n = fr_gid_pairs(a->gids, a->n_gids, b->gids, b->n_gids, t->rank < e->base.peer,
	                           pairs, (int)(sizeof(pairs) / sizeof(pairs[0])));

	if (n == 0)
		return false;
	e->n_pairs[rail] = (uint8_t)n;
	e->pairs[rail] = pairs[e->tries[rail] % n];
	return true;
}

static bool connect_qp(struct fr_vb_ep *e, struct fr_vb_qp *q)
{
	struct fr_vb *t = fr_vb_of_ep(e);
	struct fr_verbs_device *d = &t->rails[q->rail].device;
	const struct fr_verbs_offer_rail *a = &e->mine.rails[q->rail];
	const struct fr_verbs_offer_rail *b = &e->theirs.rails[q->rail];
	const struct fr_gid_pair *pair = &e->pairs[q->rail];
	struct fr_verbs_end mine;
	const struct fr_verbs_end theirs = {.qp_num = b->qp_num[q->lane],
	                                    .psn = b->psn[q->lane],
	                                    .lid = b->lid,
	                                    .is_ethernet = b->is_ethernet,
	                                    .mtu_code = b->mtu_code,
	                                    .ece_vendor = b->ece_vendor,
	                                    .ece_options = b->ece_options,
	                                    .gid = b->gids[pair->theirs]};

	fr_verbs_qp_end(d, q->qp, q->psn, &a->gids[pair->mine], &mine);
	return fr_verbs_qp_connect(d, q->qp, &mine, &theirs, e->trouble, sizeof(e->trouble)) ==
	       FERRULE_OK;
}

static void tell(struct fr_vb_ep *e, enum fr_verbs_note kind, uint32_t rails)
{
	const struct fr_verbs_state_note note = {
		.magic = FR_VERBS_MAGIC, .generation = e->generation, .rails = rails};

	if (!fr_link_send_note(&e->link, kind, &note, sizeof(note)))
		fall_back(e);
}

static void start_probing(struct fr_vb_ep *e)
{
	set_state(e, FR_VB_PROBING);
	for (unsigned i = 0; i < e->n_qps; i++) {
		struct fr_vb_qp *q = &e->qps[i];

		if (q->is_probing)
			q->is_probing = fr_vb_post_word(e, q, fr_verbs_imm(0, FR_VERBS_PROBE), NULL,
			                                e->remote_inbox, true);
	}
}

/* Once every queue pair is connected or has failed to be. */
static void finish_connecting(struct fr_vb_ep *e)
{
	set_state(e, FR_VB_WAITING);
	tell(e, FR_VERBS_READY, 0);
	if (e->state == FR_VB_WAITING && e->is_peer_ready)
		start_probing(e);
}

/* Through the connection manager: the lower rank starts, the higher one has been expecting. */
static void start_cm(struct fr_vb_ep *e, struct fr_vb_qp *q)
{
	struct fr_vb *t = fr_vb_of_ep(e);
	const struct fr_verbs_cm_peer peer = cm_peer(e, q, START_S);

	if (t->rank < e->base.peer &&
	    fr_verbs_cm_start(t->rails[q->rail].cm, q->qp, &peer,
	                      &e->theirs.rails[q->rail].cm_address, &q->conn, e->trouble,
	                      sizeof(e->trouble)) == FERRULE_OK)
		e->n_connecting++;
}

static void on_both_offers(struct fr_vb_ep *e)
{
	struct fr_vb *t = fr_vb_of_ep(e);

	if (!settings_agree(e))
		return;
	e->remote_inbox = e->theirs.inbox;
	set_state(e, FR_VB_CONNECTING);
	for (unsigned i = 0; i < e->n_qps; i++) {
		struct fr_vb_qp *q = &e->qps[i];
		const struct fr_verbs_offer_rail *b = &e->theirs.rails[q->rail];

		e->remote_rkey[q->rail] = b->inbox_rkey;
		if (!choose_pair(e, q->rail))
			snprintf(e->trouble, sizeof(e->trouble),
			         "rail %d: no GIDs that fit each other", q->rail);
		else if (q->lane < b->n_qps && t->rails[q->rail].cm != NULL)
			start_cm(e, q);
		else if (q->lane < b->n_qps)
			q->is_probing = connect_qp(e, q);
	}
	if (e->n_connecting == 0)
		finish_connecting(e);
}

/* The device is being removed, which waits for all that holds it. */
static void lose_cm(struct fr_vb *t, int rail)
{
	for (int r = 0; r < t->n_ranks; r++)
		for (unsigned i = 0; t->eps[r] != NULL && i < t->eps[r]->n_qps; i++)
			if (t->eps[r]->qps[i].rail == rail)
				t->eps[r]->qps[i].conn = NULL;
	fr_verbs_cm_close(t->rails[rail].cm);
	t->rails[rail].cm = NULL;
}

static void serve_link(struct fr_vb *t, struct fr_vb_ep *e);

static void on_cm_event(struct fr_vb *t, int rail, const struct fr_verbs_cm_event *event)
{
	struct fr_vb_qp *q = event->arg;
	struct fr_vb_ep *e = q != NULL ? q->ep : NULL;

	if (e == NULL) {
		lose_cm(t, rail);
		fr_vb_lose_rail(t, rail, event->why);
		return;
	}
	if (event->kind == FR_VERBS_CM_LOST) {
		/* A peer that leaves says so, but on another connection. */
		serve_link(t, e);
		if (q->is_live)
			fr_vb_trouble(e, "%s", event->why);
		return;
	}
	q->is_probing = event->kind == FR_VERBS_CM_READY;
	if (!q->is_probing) {
		snprintf(e->trouble, sizeof(e->trouble), "%s", event->why);
		fr_verbs_cm_drop(q->conn);
		q->conn = NULL;
	}
	if (--e->n_connecting == 0 && e->state == FR_VB_CONNECTING)
		finish_connecting(e);
}

void fr_vb_serve_cm(struct fr_vb *t, int rail)
{
	struct fr_verbs_cm_event event;

	/* One by one: what is done about an event may drop the subject of the next. */
	while (t->rails[rail].cm != NULL && fr_verbs_cm_poll(t->rails[rail].cm, &event, 1) == 1)
		on_cm_event(t, rail, &event);
}

/* ---- proved ---- */

/* Every queue pair that was probed, by how its probe went: rails without a failed one. */
static bool judge_probes(struct fr_vb_ep *e, uint32_t *rails_out)
{
	const bool is_late = fr_clock_ns() - e->since_ns > PROBE_NS;
	uint32_t good = 0, bad = 0;

	for (unsigned i = 0; i < e->n_qps; i++) {
		const struct fr_vb_qp *q = &e->qps[i];
		const uint32_t bit = 1u << q->rail;

		if (q->completed != 0)
			good |= bit;
		else if (!q->is_probing || is_late)
			bad |= bit;
		else
			return false;
	}
	*rails_out = good & ~bad;
	return true;
}

/* What the peer does not have is sent again. */
static void replay(struct fr_vb_ep *e)
{
	struct fr_vb *t = fr_vb_of_ep(e);
	struct fr_vb_tx *tx = &e->tx;
	const struct fr_verbs_offer *o = &e->theirs;

	if ((int32_t)(o->next - tx->credited) < 0 || (int32_t)(tx->next - o->next) < 0) {
		fr_link_fault(&e->link, FERRULE_ERR_PROTOCOL,
		              "%s waits for piece %u, but %u to %u are under way", e->link.name,
		              o->next, tx->credited, tx->next);
		return;
	}
	tx->credited = o->next;
	for (uint32_t n = tx->credited; n != tx->next; n++) {
		struct fr_vb_piece *p = &tx->pieces[n & (t->n_slots - 1)];

		p->is_delivered = o->arrived >> (n - o->next) & 1;
		if (!p->is_delivered)
			fr_vb_post_piece(e, n);
	}
}

static uint32_t speed_of(const struct fr_vb_ep *e, const struct fr_vb_qp *q)
{
	const uint32_t a = e->mine.rails[q->rail].gbps_x10, b = e->theirs.rails[q->rail].gbps_x10;

	return a < b ? a : b;
}

/* The queue pairs of proved rails, the fastest rail's first; in a second, third and fourth turn
 * only those whose rail is fast enough for one more share. */
static void choose_live(struct fr_vb_ep *e, uint32_t rails)
{
	uint32_t fastest = 1, slowest = UINT32_MAX;

	e->n_live = e->turn = 0;
	for (unsigned i = 0; i < e->n_qps; i++) {
		struct fr_vb_qp *q = &e->qps[i];
		const uint32_t speed = speed_of(e, q);

		q->is_live = rails >> q->rail & 1;
		if (q->is_live && speed > fastest)
			fastest = speed;
		if (q->is_live && speed < slowest)
			slowest = speed;
	}
	for (uint32_t share = slowest == fastest ? FR_VB_SHARES : 1; share <= FR_VB_SHARES; share++)
		for (unsigned i = 0; i < e->n_qps; i++)
			if (e->qps[i].is_live &&
			    speed_of(e, &e->qps[i]) * FR_VB_SHARES >=
			            (uint64_t)(FR_VB_SHARES + 1 - share) * fastest)
				e->live[e->n_live++] = &e->qps[i];
	/* A rail that is slower than a share of the fastest is spare. */
}

/* Either side may have learnt, or made, its first grant after the offers: what came since then
 * over these queue pairs is not undone, and what was told in no offer still has to be. */
static void resume_grants(struct fr_vb_ep *e)
{
	struct fr_vb_rx *rx = &e->rx;

	if (e->theirs.grants_from != UINT32_MAX)
		e->tx.grants_from = e->theirs.grants_from;
	rx->has_told_on = e->mine.grants_from != UINT32_MAX;
	if (rx->grants_from == UINT32_MAX)
		rx->granted_sent = rx->granted;
	else if ((int32_t)(rx->large - rx->grants_from) < 0)
		rx->granted_sent = rx->grants_from;
	else
		rx->granted_sent = rx->large;
}

static void become_ready(struct fr_vb_ep *e, uint32_t rails)
{
	char path[200];

	choose_live(e, rails);
	/* Pieces may have come, and been read, since the offer said what had arrived. */
	e->rx.told = e->mine.next;
	resume_grants(e);
	e->looked_ns = 0;
	set_state(e, FR_VB_READY);
	fr_log(e->mend_since_ns != 0 ? FR_LOG_WARNING : FR_LOG_INFO,
	       "verbs: %s: %u queue pairs over %s%s", e->link.name, e->n_live,
	       fr_vb_path_text(e, e->live[0]->rail, path, sizeof(path)),
	       (rails & (rails - 1)) != 0 ? " and other rails" : "");
	e->mend_since_ns = 0;
	e->trouble[0] = '\0';
	replay(e);
	fr_vb_tell_credit(e);
	fr_vb_flush_grants(e);
}

static void conclude(struct fr_vb_ep *e)
{
	const uint32_t rails = e->proved & e->peer_proved;
	bool has_another_try = false;
	uint32_t offered = 0;
	char path[200];

	for (unsigned i = 0; i < e->n_qps; i++)
		offered |= 1u << e->qps[i].rail;
	for (int r = 0; r < FR_VERBS_RAILS_MAX; r++) {
		if (!(offered >> r & 1) || rails >> r & 1)
			continue;
		has_another_try |= e->tries[r] + 1 < e->n_pairs[r];
		e->tries[r]++;
	}
	if (rails != 0 && !has_another_try) {
		become_ready(e, rails);
		return;
	}
	if (e->trouble[0] == '\0')
		snprintf(e->trouble, sizeof(e->trouble), "%s: a probe was not acknowledged",
		         fr_vb_path_text(e, e->qps[0].rail, path, sizeof(path)));
	fall_back(e);
}

static void serve_probing(struct fr_vb_ep *e)
{
	if (!e->has_proved) {
		if (!judge_probes(e, &e->proved))
			return;
		e->has_proved = true;
		tell(e, FR_VERBS_PROVED, e->proved);
	}
	if (e->state == FR_VB_PROBING && e->has_peer_proved)
		conclude(e);
}

/* ---- what peers say ---- */

static void on_offer(struct fr_vb_ep *e, const struct fr_link_note *note)
{
	struct fr_verbs_offer offer;
	const char *why;

	if (fr_verbs_offer_parse(note->data, note->bytes, &offer, &why) != FERRULE_OK) {
		fr_link_fault(&e->link, FERRULE_ERR_PROTOCOL, "%s sent %s", e->link.name, why);
		return;
	}
	if (offer.generation < e->generation || fr_vb_ep_memory(e) != FERRULE_OK)
		return;
	e->theirs = offer;
	if (e->state == FR_VB_OFFERED && offer.generation == e->generation)
		on_both_offers(e);
	else
		start_generation(e, offer.generation);
}

/* The peer is done with connecting: what is not connected soon never will be. */
static void hurry_cm(struct fr_vb_ep *e)
{
	for (unsigned i = 0; e->state == FR_VB_CONNECTING && i < e->n_qps; i++)
		if (e->qps[i].conn != NULL)
			fr_verbs_cm_hurry(e->qps[i].conn, fr_clock_ns() + HURRY_NS);
}

static void on_state_note(struct fr_vb_ep *e, const struct fr_link_note *note)
{
	struct fr_verbs_state_note s;
	const char *why;

	if (fr_verbs_state_parse(note->data, note->bytes, &s, &why) != FERRULE_OK) {
		fr_link_fault(&e->link, FERRULE_ERR_PROTOCOL, "%s sent %s", e->link.name, why);
		return;
	}
	if (s.generation != e->generation)
		return;
	if (note->kind == FR_VERBS_READY) {
		e->is_peer_ready = true;
		hurry_cm(e);
		if (e->state == FR_VB_WAITING)
			start_probing(e);
		return;
	}
	e->peer_proved = s.rails;
	e->has_peer_proved = true;
	if (e->state == FR_VB_PROBING)
		serve_probing(e);
}

static void on_note(struct fr_vb_ep *e, const struct fr_link_note *note)
{
	switch (note->kind) {
	case FR_VERBS_OFFER:
		on_offer(e, note);
		break;
	case FR_VERBS_READY:
	case FR_VERBS_PROVED:
		on_state_note(e, note);
		break;
	default:
		fr_link_fault(&e->link, FERRULE_ERR_PROTOCOL, "%s sent a note of kind %u",
		              e->link.name, note->kind);
	}
}

static void serve_link(struct fr_vb *t, struct fr_vb_ep *e)
{
	struct fr_link_note note;
	ferrule_status_t status;

	do {
		status = fr_link_poll(&e->link);
	} while (status == FERRULE_OK && fr_link_take_note(&e->link, &note) &&
	         (on_note(e, &note), e->link.fault == FERRULE_OK));
	/* An ended connection or process would wake every nap. */
	if (e->link.fault != FERRULE_OK || e->link.has_left) {
		epoll_ctl(t->epoll, EPOLL_CTL_DEL, e->link.fd, NULL);
		epoll_ctl(t->epoll, EPOLL_CTL_DEL, e->link.process.fd, NULL);
	}
}

/* What is due by the clock while an endpoint is being connected. */
static void serve_due(struct fr_vb_ep *e)
{
	if (e->link.fault != FERRULE_OK || e->link.has_left)
		return;
	if (e->state == FR_VB_PROBING)
		serve_probing(e);
	const uint64_t now = fr_clock_ns();

	if (e->state != FR_VB_BROKEN || now - e->since_ns < RETRY_NS)
		return;
	if (e->mend_since_ns != 0 &&
	    (double)(now - e->mend_since_ns) > fr_settings()->ib_recover_s * 1e9) {
		fr_link_fault(&e->link, FERRULE_ERR_FABRIC,
		              "no RDMA path to %s for %.1f s (FERRULE_IB_RECOVER): %s; look at "
		              "both ports, the route and the switch (ferrule doctor)",
		              e->link.name, (double)(now - e->mend_since_ns) / 1e9, e->trouble);
		return;
	}
	start_generation(e, e->generation);
}

void fr_vb_serve_links(struct fr_vb *t)
{
	struct epoll_event events[16];
	const int n = epoll_wait(t->epoll, events, 16, 0);

	for (int i = 0; i < n; i++) {
		const uint32_t what = events[i].data.u32;

		if (what >= (uint32_t)t->n_ranks)
			fr_vb_serve_events(t,
			                   (int)(what - (uint32_t)t->n_ranks) % FR_VERBS_RAILS_MAX);
		else
			serve_link(t, t->eps[what]);
	}
	/* Also by the clock, as connections have deadlines. */
	for (int i = 0; (n > 0 || t->n_unready > 0) && i < t->n_rails; i++)
		if (t->rails[i].cm != NULL)
			fr_vb_serve_cm(t, i);
	for (int r = 0; t->n_unready > 0 && r < t->n_ranks; r++)
		if (t->eps[r] != NULL && is_connecting(t->eps[r]->state))
			serve_due(t->eps[r]);
}
