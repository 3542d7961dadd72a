#include "config.h"

#include "lib/comm/establish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/private_socket.h"
#include "lib/base/settings.h"
#include "lib/base/supervisor.h"
#include "lib/base/system.h"
#include "lib/comm/card_wire.h"
#include "lib/comm/handle.h"
#include "lib/comm/probe.h"
#include "lib/comm/prove.h"
#include "lib/comm/reach.h"
#include "lib/comm/report.h"
#include "lib/exec/exec.h"
#include "lib/transport/transport.h"

/* Beside what transports ask for: files that are read in passing. */
#define SPARE_DESCRIPTORS 4

/* Transports as a creation has them, by their index in fr_transports. */
struct opened {
	struct fr_transport *of[FR_MAX_TRANSPORTS];
	int *chosen; /* [n_ranks] which one joins us to that rank; -1 for ourselves */
};

static int n_built(void)
{
	int n = 0;

	while (fr_transports[n])
		n++;
	return n;
}

/* ---- rounds ---- */

/* The first report that is not OK, as an error of this rank. */
static ferrule_status_t judge(const unsigned char *blocks, size_t block_bytes, int n_ranks)
{
	for (int r = 0; r < n_ranks; r++) {
		struct fr_report report;

		memcpy(&report, blocks + (size_t)r * block_bytes, sizeof(report));
		report.text[sizeof(report.text) - 1] = '\0';
		/* Some texts name the rank themselves. */
		if (report.status != FERRULE_OK)
			return strncmp(report.text, "rank", 4) == 0
			               ? fr_error((ferrule_status_t)report.status, "%s",
			                          report.text)
			               : fr_error((ferrule_status_t)report.status, "rank %d: %s", r,
			                          report.text);
	}
	return FERRULE_OK;
}

ferrule_status_t fr_exchange_outcome(const struct fr_exchange *exchange, ferrule_status_t mine,
                                     const void *payload, size_t bytes, void *payloads)
{
	const size_t block_bytes = sizeof(struct fr_report) + bytes;
	const size_t n = (size_t)exchange->n_ranks;
	unsigned char *own = calloc(n + 1, block_bytes), *all = own + block_bytes;
	struct fr_report report = {.status = mine};

	if (!own)
		return fr_exchange_refused(exchange, fr_error(FERRULE_ERR_NO_MEMORY,
		                                              "no memory to exchange addresses"));
	/* What was noticed through others is told in their words. */
	if (mine != FERRULE_OK && exchange->parent) {
		char text[sizeof(report.text)];

		snprintf(text, sizeof(text), "%s", fr_error_text());
		if (fr_supervisor_check(exchange->supervisor) == FERRULE_OK)
			fr_exchange_refused(exchange, fr_error(mine, "%s", text));
	}
	if (mine != FERRULE_OK && exchange->boot) {
		/* At once: the others may be waiting for this rank in something else. */
		free(own);
		return fr_boot_fail(exchange->boot, mine, fr_error_text());
	}
	if (mine != FERRULE_OK)
		snprintf(report.text, sizeof(report.text), "%s", fr_error_text());
	memcpy(own, &report, sizeof(report));
	if (bytes > 0 && payload)
		memcpy(own + sizeof(report), payload, bytes);
	ferrule_status_t status = fr_exchange_allgather(exchange, own, all, block_bytes);

	if (status == FERRULE_OK)
		status = judge(all, block_bytes, exchange->n_ranks);
	if (status == FERRULE_OK)
		for (size_t r = 0; r < n && bytes > 0; r++)
			memcpy((unsigned char *)payloads + r * bytes,
			       all + r * block_bytes + sizeof(report), bytes);
	free(own);
	return status;
}

ferrule_status_t fr_establish_sit_out(const struct fr_exchange *exchange)
{
	const size_t addresses_bytes = (size_t)n_built() * FR_ADDRESS_BYTES;
	const ferrule_status_t status =
		fr_exchange_outcome(exchange, FERRULE_OK, NULL, addresses_bytes, NULL);

	return status == FERRULE_OK ? fr_exchange_outcome(exchange, FERRULE_OK, NULL, 0, NULL)
	                            : status;
}

/* ---- the empty communicator ---- */

static uint64_t host_memory_bytes(void)
{
	struct sysinfo info;

	if (sysinfo(&info) != 0)
		return UINT64_MAX / 2;
	return ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
}

static ferrule_status_t new_comm(const struct fr_founding *f, struct ferrule_comm **out)
{
	const size_t n = (size_t)f->exchange->n_ranks;
	struct ferrule_comm *c = fr_comm_take();

	if (!c)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for a communicator");
	c->rank = f->exchange->rank;
	c->n_ranks = f->exchange->n_ranks;
	c->comm_id = f->comm_id;
	c->config = *f->config;
	c->thread_multiple = f->config->thread_multiple;
	c->called = FR_CALL_IDLE;
	memcpy(c->job_key, f->job_key, sizeof(c->job_key));
	snprintf(c->master_addr, sizeof(c->master_addr), "%s", f->master_addr);
	c->memory_limit = host_memory_bytes();
	c->safe_count = c->memory_limit / 8 / n;
	c->places = calloc(n, sizeof(*c->places));
	c->host_of = calloc(n, sizeof(*c->host_of));
	c->transports = calloc(FR_MAX_TRANSPORTS + 1, sizeof(*c->transports));
	c->eps = calloc(n, sizeof(*c->eps));
	c->send_sequence = calloc(n, sizeof(*c->send_sequence));
	c->recv_sequence = calloc(n, sizeof(*c->recv_sequence));
	if (!c->places || !c->host_of || !c->transports || !c->eps || !c->send_sequence ||
	    !c->recv_sequence) {
		fr_comm_destroy(c);
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for a communicator of %zu ranks",
		                n);
	}
	*out = c;
	return FERRULE_OK;
}

/* ---- who is where ---- */

static ferrule_status_t meet(const struct fr_founding *f, struct ferrule_comm *c)
{
	struct fr_card *cards = calloc((size_t)c->n_ranks + 1, sizeof(*cards));
	struct fr_card *mine = cards + c->n_ranks;

	if (!cards)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for %d ranks' cards", c->n_ranks);
	fr_card_fill(mine, c->config.transports, c->config.transports_source);
	struct fr_private_socket meeting = {.fd = -1};
	char why[400];

	if (c->n_ranks > 1 && fr_private_listen(&meeting, why, sizeof(why)) != FERRULE_OK)
		fr_log(FR_LOG_INFO, "no place to meet other ranks of this host: %s", why);
	memcpy(mine->meeting, meeting.path, sizeof(mine->meeting));
	ferrule_status_t status = fr_exchange_allgather(f->exchange, mine, cards, sizeof(*mine));

	if (status == FERRULE_OK)
		status = fr_cards_agree(cards, c->n_ranks);
	if (status == FERRULE_OK) {
		fr_places_from_cards(cards, c->n_ranks, c->places);
		status = fr_reach(f->exchange, cards, c->places);
	}
	c->n_hosts = fr_places_number(c->places, c->n_ranks);
	fr_private_close(&meeting);
	free(cards);
	return status;
}

static void inherit(const struct fr_exchange *exchange, struct ferrule_comm *c)
{
	for (int r = 0; r < c->n_ranks; r++)
		c->places[r] = exchange->parent->places[exchange->members[r]];
	c->n_hosts = fr_places_number(c->places, c->n_ranks);
	c->machine = exchange->parent->machine;
	c->overrides = exchange->parent->overrides;
}

/* What follows from the places. */
static void settle_places(struct ferrule_comm *c)
{
	const int host = c->places[c->rank].host;
	int cores = 0;

	for (int r = 0; r < c->n_ranks; r++)
		c->host_of[r] = c->places[r].host;
	c->local_rank = c->places[c->rank].local_rank;
	c->local_size = fr_places_local_size(c->places, c->n_ranks, host);
	for (int h = 0; h < c->n_hosts; h++) {
		const int here = fr_places_cores(c->places, c->n_ranks, h);

		if (h == host)
			c->oversubscribed = c->local_size > here;
		if (h == 0 || here < cores)
			cores = here;
	}
	c->machine.cores = cores;
}

static ferrule_status_t choose_transports(const struct ferrule_comm *c, int *chosen)
{
	for (int r = 0; r < c->n_ranks; r++) {
		chosen[r] = r == c->rank ? -1 : fr_places_choose(c->places, c->rank, r);
		if (r != c->rank && chosen[r] < 0)
			return fr_error(FERRULE_ERR_TRANSPORT,
			                "no transport joins rank %d and rank %d, which are on %s; "
			                "allowed here: %s",
			                c->rank, r,
			                c->host_of[r] == c->host_of[c->rank] ? "one host"
			                                                     : "two hosts",
			                c->config.transports[0] ? c->config.transports : "all");
	}
	return FERRULE_OK;
}

/* Do all pairs of ranks use the same transport?  They do when all lists are the same and there
 * is one host. */
static bool is_uniform(const struct ferrule_comm *c)
{
	const struct fr_place *first = &c->places[0];

	if (c->n_hosts != 1)
		return false;
	for (int r = 1; r < c->n_ranks; r++) {
		const struct fr_place *p = &c->places[r];

		if (p->n_transports != first->n_transports ||
		    memcmp(p->transports, first->transports, (size_t)p->n_transports) != 0)
			return false;
	}
	return true;
}

/* Do all ranks have the same interfaces? */
static bool is_one_network(const struct ferrule_comm *c)
{
	for (int r = 1; r < c->n_ranks; r++)
		if (c->places[r].network_id != c->places[0].network_id)
			return false;
	return c->n_hosts == 1;
}

/* ---- joining ---- */

static ferrule_status_t open_one(const struct fr_founding *f, struct ferrule_comm *c,
                                 struct opened *o, int t, unsigned char *address)
{
	const struct fr_transport_params params = {
		.rank = c->rank,
		.n_ranks = c->n_ranks,
		.host_of = c->host_of,
		.comm_id = c->comm_id,
		.job_key = c->job_key,
		.master_addr = c->master_addr[0] ? c->master_addr : NULL,
		.supervisor = f->exchange->supervisor,
		.one_host = is_uniform(c),
		.one_network = is_one_network(c),
	};
	char why[400] = "";
	const ferrule_status_t status =
		fr_transports[t]->open(&params, &o->of[t], why, sizeof(why));

	if (status != FERRULE_OK)
		return fr_error(status, "transport %s could not be opened: %s",
		                fr_transports[t]->name, why);
	c->transports[c->n_transports++] = o->of[t];
	fr_transports[t]->address(o->of[t], address);
	return FERRULE_OK;
}

static bool is_wanted(const struct ferrule_comm *c, const struct opened *o, int t)
{
	for (int r = 0; r < c->n_ranks; r++)
		if (o->chosen[r] == t)
			return true;
	return false;
}

/* Said now rather than in the middle, when it is one connection of many that fails. */
static ferrule_status_t reserve_descriptors(const struct ferrule_comm *c, const struct opened *o)
{
	size_t n_more = SPARE_DESCRIPTORS, need, limit;

	for (int t = 0; t < n_built(); t++) {
		size_t n_peers = 0;

		for (int r = 0; r < c->n_ranks; r++)
			n_peers += o->chosen[r] == t;
		if (n_peers > 0 && fr_transports[t]->descriptors)
			n_more += fr_transports[t]->descriptors(n_peers);
	}
	if (fr_descriptors_reserve(n_more, &need, &limit))
		return FERRULE_OK;
	return fr_error(
		FERRULE_ERR_SYSTEM,
		"rank %d is out of file descriptors: it needs about %zu for %d ranks, the limit is "
		"%zu; raise it with ulimit -n",
		c->rank, need, c->n_ranks, limit);
}

static ferrule_status_t open_wanted(const struct fr_founding *f, struct ferrule_comm *c,
                                    struct opened *o, unsigned char *addresses)
{
	const ferrule_status_t chosen = choose_transports(c, o->chosen);

	if (chosen != FERRULE_OK)
		return chosen;
	const ferrule_status_t reserved = reserve_descriptors(c, o);
	if (reserved != FERRULE_OK)
		return reserved;
	for (int t = 0; t < n_built(); t++) {
		if (!is_wanted(c, o, t))
			continue;
		const ferrule_status_t status =
			open_one(f, c, o, t, addresses + (size_t)t * FR_ADDRESS_BYTES);

		if (status != FERRULE_OK)
			return status;
	}
	return FERRULE_OK;
}

/* `all` holds n_built() addresses a rank. */
static ferrule_status_t connect_one(struct ferrule_comm *c, const struct opened *o, int t,
                                    const unsigned char *all, uint64_t deadline_ns)
{
	const size_t n = (size_t)c->n_ranks, stride = (size_t)n_built() * FR_ADDRESS_BYTES;
	bool *wanted = calloc(n, sizeof(*wanted));
	unsigned char *addresses = calloc(n, FR_ADDRESS_BYTES);
	ferrule_status_t status = FERRULE_ERR_NO_MEMORY;
	char why[400] = "no memory for addresses";

	if (wanted && addresses) {
		for (size_t r = 0; r < n; r++) {
			wanted[r] = o->chosen[r] == t;
			memcpy(addresses + r * FR_ADDRESS_BYTES,
			       all + r * stride + (size_t)t * FR_ADDRESS_BYTES, FR_ADDRESS_BYTES);
		}
		status = fr_transports[t]->connect(o->of[t], wanted, addresses, deadline_ns, why,
		                                   sizeof(why));
	}
	if (status != FERRULE_OK)
		fr_error(status, "transport %s: %s", fr_transports[t]->name, why);
	for (size_t r = 0; r < n && status == FERRULE_OK; r++)
		if (wanted[r])
			c->eps[r] = fr_transports[t]->ep(o->of[t], (int)r);
	free(wanted);
	free(addresses);
	return status;
}

static size_t largest_publication(const struct fr_board *board)
{
	size_t bytes = 0;

	for (int i = 0; board && i < FR_BOARD_N_CLASSES; i++)
		if (board->classes[i].payload > bytes)
			bytes = board->classes[i].payload;
	return bytes;
}

static ferrule_status_t create_exec(struct ferrule_comm *c, struct fr_supervisor *supervisor)
{
	struct fr_transport *only = c->n_transports == 1 && is_uniform(c) ? c->transports[0] : NULL;
	const struct fr_exec_params params = {
		.rank = c->rank,
		.n_ranks = c->n_ranks,
		.eps = c->eps,
		.transports = c->transports,
		.board = only ? fr_transport_board(only) : NULL,
		.timeout_ns = (uint64_t)(c->config.timeout_s * 1e9),
		.spin_us = fr_settings()->spin_us,
		.oversubscribed = c->oversubscribed,
		.coll_name = fr_called_name,
		.differ = fr_calls_differ_text,
		.owner = c,
		.supervisor = supervisor,
	};

	c->board_bytes = largest_publication(params.board);
	return fr_exec_create(&params, &c->exec);
}

static ferrule_status_t connect_all(const struct fr_founding *f, struct ferrule_comm *c,
                                    const struct opened *o, const unsigned char *addresses)
{
	for (int t = 0; t < n_built(); t++) {
		if (!o->of[t])
			continue;
		const ferrule_status_t status = connect_one(c, o, t, addresses, f->deadline_ns);

		if (status != FERRULE_OK)
			return status;
	}
	return create_exec(c, f->exchange->supervisor);
}

/* Two rounds, whatever happens: in a split the other children go through the same ones. */
static ferrule_status_t join(const struct fr_founding *f, struct ferrule_comm *c)
{
	const size_t n = (size_t)c->n_ranks, stride = (size_t)n_built() * FR_ADDRESS_BYTES;
	struct opened o = {.chosen = calloc(n, sizeof(*o.chosen))};
	unsigned char *mine = calloc(n + 1, stride), *all = mine + stride;
	ferrule_status_t status;

	if (!o.chosen || !mine) {
		free(o.chosen);
		free(mine);
		return fr_exchange_refused(
			f->exchange,
			fr_error(FERRULE_ERR_NO_MEMORY, "no memory for %d addresses", c->n_ranks));
	}
	status = open_wanted(f, c, &o, mine);
	status = fr_exchange_outcome(f->exchange, status, mine, stride, all);
	if (status == FERRULE_OK)
		status = connect_all(f, c, &o, all);
	status = fr_exchange_outcome(f->exchange, status, NULL, 0, NULL);
	free(o.chosen);
	free(mine);
	return status;
}

/* Undoes a join, for another one. */
static void part(struct ferrule_comm *c)
{
	fr_exec_destroy(c->exec);
	c->exec = NULL;
	for (int t = 0; t < c->n_transports; t++) {
		c->transports[t]->ops->close(c->transports[t]);
		c->transports[t] = NULL;
	}
	c->n_transports = 0;
	memset(c->eps, 0, (size_t)c->n_ranks * sizeof(struct fr_ep *));
	/* Nothing of the first time fits the second one. */
	c->comm_id = ~c->comm_id;
}

/* Has any rank a transport that may turn out not to work?  The same on all ranks. */
static bool has_doubts(const struct ferrule_comm *c)
{
	for (int r = 0; r < c->n_ranks; r++)
		for (int i = 0; i < c->places[r].n_transports; i++)
			if (fr_transports[c->places[r].transports[i]]->prove)
				return true;
	return false;
}

/* Joins, and does without what turns out not to carry data. */
static ferrule_status_t join_by_what_works(const struct fr_founding *f, struct ferrule_comm *c)
{
	bool is_shorter = has_doubts(c);
	ferrule_status_t status = join(f, c);

	/* Ends: each time round there is a transport less. */
	while (status == FERRULE_OK && is_shorter) {
		status = fr_prove(f->exchange, c, f->deadline_ns, &is_shorter);
		if (status == FERRULE_OK && is_shorter) {
			part(c);
			status = join(f, c);
		}
	}
	return status;
}

/* From here on the communicator watches its ranks itself. */
static void end_supervision(struct ferrule_comm *c)
{
	for (int t = 0; t < c->n_transports; t++)
		c->transports[t]->supervisor = NULL;
	if (c->exec)
		fr_exec_supervise(c->exec, NULL);
}

ferrule_status_t fr_establish(const struct fr_founding *f, struct ferrule_comm **out)
{
	const bool is_child = f->exchange->parent != NULL;
	struct ferrule_comm *c = NULL;
	ferrule_status_t status = new_comm(f, &c);

	if (status != FERRULE_OK)
		return fr_exchange_refused(f->exchange, status);
	if (is_child) {
		inherit(f->exchange, c);
	} else {
		c->machine = fr_machine_default;
		status = fr_overrides_parse(fr_settings()->algo, &c->overrides);
		if (status == FERRULE_OK)
			status = meet(f, c);
	}
	/* A child has what its parent found out. */
	const bool probes = !is_child && c->n_ranks > 1 && fr_settings()->probe;

	if (status == FERRULE_OK) {
		settle_places(c);
		status = probes ? join_by_what_works(f, c) : join(f, c);
	}
	if (status == FERRULE_OK && probes)
		status = fr_probe(f->exchange, c);
	if (status != FERRULE_OK) {
		fr_comm_destroy(c);
		return status;
	}
	end_supervision(c);
	fr_comm_log_begin(c);
	*out = c;
	return FERRULE_OK;
}
