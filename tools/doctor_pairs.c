/*
 * doctor_pairs.c - does every pair of ranks reach each other over RDMA?
 *
 * Each pair gets a communicator of its own, which may use nothing else, so that a pair that
 * fails says nothing about the others.  Rounds as in a tournament: in each of them every rank has
 * one partner.  The ranks meet, and rank 0 learns the results, over shared memory and TCP.
 */
#include "tools/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ferrule/ferrule.h>

/* A round ends by the pair's own deadlines, long before. */
#define CONTROL_TIMEOUT_S 600
#define PAIR_TIMEOUT_S    20
#define PAIR_SETUP_S      "20"

#define LARGE_BYTES   (1 << 20)
#define LARGE_REPEATS 8
#define SMALL_REPEATS 200

/* What a rank says of itself. */
struct fr_pair_rank {
	char host[64];
	bool is_usable;
	char why[320]; /* why not */
	char first_gid[64];
};

/* How a pair fared, as one of its ranks saw it. */
struct fr_pair_view {
	int32_t status;
	bool is_tried;
	char path[280];
	char text[400]; /* of the error */
	double small_us, large_gbps;
};

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- one pair ---- */

struct invitation {
	int32_t status; /* of the lower rank's making an id */
	ferrule_unique_id_t id;
	char text[256];
};

static ferrule_status_t both_ways(ferrule_comm_t comm, const void *out, void *in, size_t bytes)
{
	const int peer = !ferrule_comm_rank(comm);
	ferrule_status_t status = ferrule_group_begin(comm);

	if (status != FERRULE_OK)
		return status;
	/* What fails in here is reported again by the end. */
	ferrule_send(comm, out, bytes, FERRULE_UINT8, peer);
	ferrule_recv(comm, in, bytes, FERRULE_UINT8, peer);
	return ferrule_group_end(comm);
}

static void fill(unsigned char *data, size_t bytes, int rank)
{
	for (size_t i = 0; i < bytes; i++)
		data[i] = (unsigned char)(i * 7 + (i >> 8) + (size_t)rank * 101);
}

static bool is_filled(const unsigned char *data, size_t bytes, int rank)
{
	size_t i = 0;

	while (i < bytes && data[i] == (unsigned char)(i * 7 + (i >> 8) + (size_t)rank * 101))
		i++;
	return i == bytes;
}

/* Seconds for each of `repeats` exchanges into *s_out. */
static ferrule_status_t timed(ferrule_comm_t comm, const void *out, void *in, size_t bytes,
                              int repeats, double *s_out)
{
	ferrule_status_t status = both_ways(comm, out, in, bytes);
	const double begin = now_s();

	for (int i = 0; i < repeats && status == FERRULE_OK; i++)
		status = both_ways(comm, out, in, bytes);
	*s_out = (now_s() - begin) / repeats;
	return status;
}

static ferrule_status_t exchange(ferrule_comm_t comm, unsigned char *out, unsigned char *in,
                                 struct fr_pair_view *v)
{
	const int rank = ferrule_comm_rank(comm);
	double small_s, large_s;

	fill(out, LARGE_BYTES, rank);
	ferrule_status_t status = timed(comm, out, in, 8, SMALL_REPEATS, &small_s);

	if (status == FERRULE_OK)
		status = timed(comm, out, in, LARGE_BYTES, LARGE_REPEATS, &large_s);
	if (status == FERRULE_OK)
		status = ferrule_comm_path(comm, !rank, v->path, sizeof(v->path));
	if (status != FERRULE_OK) {
		snprintf(v->text, sizeof(v->text), "%s", ferrule_comm_error_text(comm));
		return status;
	}
	v->small_us = small_s * 1e6;
	v->large_gbps = LARGE_BYTES / large_s / 1e9;
	if (is_filled(in, LARGE_BYTES, !rank))
		return FERRULE_OK;
	snprintf(v->text, sizeof(v->text), "1 MiB arrived with wrong bytes");
	return FERRULE_ERR_FABRIC;
}

static void try_pair(const struct invitation *invited, bool is_lower, struct fr_pair_view *v)
{
	const struct ferrule_comm_options options = {
		.size = sizeof(options), .transport = "verbs", .timeout_s = PAIR_TIMEOUT_S};
	unsigned char *const buffers = malloc(2 * LARGE_BYTES);
	ferrule_comm_t comm = NULL;

	v->is_tried = true;
	v->status = invited->status;
	snprintf(v->text, sizeof(v->text), "%s", invited->text);
	if (v->status == FERRULE_OK && !buffers) {
		v->status = FERRULE_ERR_NO_MEMORY;
		snprintf(v->text, sizeof(v->text), "no memory for 2 MiB");
	}
	if (v->status == FERRULE_OK) {
		v->status = ferrule_comm_create(&invited->id, is_lower ? 0 : 1, 2, &options, &comm);
		if (v->status != FERRULE_OK)
			snprintf(v->text, sizeof(v->text), "%s", ferrule_comm_error_text(NULL));
	}
	if (v->status == FERRULE_OK)
		v->status = exchange(comm, buffers, buffers + LARGE_BYTES, v);
	if (v->status == FERRULE_OK)
		ferrule_comm_finalize(comm);
	ferrule_comm_destroy(comm);
	free(buffers);
}

static ferrule_status_t meet(ferrule_comm_t control, int partner, struct fr_pair_view *v)
{
	const bool is_lower = ferrule_comm_rank(control) < partner;
	struct invitation invited = {.status = FERRULE_OK};
	ferrule_status_t status;

	if (is_lower) {
		invited.status = ferrule_unique_id_create(&invited.id);
		if (invited.status != FERRULE_OK)
			snprintf(invited.text, sizeof(invited.text), "%s",
			         ferrule_comm_error_text(NULL));
		status = ferrule_send(control, &invited, sizeof(invited), FERRULE_UINT8, partner);
	} else {
		status = ferrule_recv(control, &invited, sizeof(invited), FERRULE_UINT8, partner);
	}
	if (status == FERRULE_OK)
		try_pair(&invited, is_lower, v);
	return status;
}

/* ---- all pairs ---- */

/* The partner of a rank in a round among an even number of players; all but the last go round a
 * circle.  A partner beyond the ranks means a rest. */
static int partner_in(int round, int rank, int players)
{
	const int m = players - 1;

	if (rank == players - 1) {
		for (int r = 0; r < m; r++)
			if (2 * r % m == round % m)
				return r;
	}
	const int partner = ((round - rank) % m + m) % m;

	return partner == rank ? players - 1 : partner;
}

static void introduce(struct fr_pair_rank *me)
{
	struct ferrule_transport_info t;
	struct ferrule_rdma_port port;
	bool is_verbs = false;

	gethostname(me->host, sizeof(me->host) - 1);
	snprintf(me->why, sizeof(me->why), "this Ferrule was built without the verbs transport");
	/* Later ones need not be asked, which would load their libraries. */
	for (int i = 0; !is_verbs && ferrule_transport_at(i, &t); i++)
		is_verbs = strcmp(t.name, "verbs") == 0;
	if (is_verbs) {
		me->is_usable = t.usable;
		snprintf(me->why, sizeof(me->why), "%s", t.why);
	}
	if (ferrule_rdma_port_at(0, &port) && port.is_ethernet)
		snprintf(me->first_gid, sizeof(me->first_gid), "%s", port.first_gid);
}

static ferrule_status_t play(ferrule_comm_t control, const struct fr_pair_rank *ranks,
                             struct fr_pair_view *views)
{
	const int n = ferrule_comm_size(control), rank = ferrule_comm_rank(control);
	const int players = n + n % 2;
	ferrule_status_t status = FERRULE_OK;

	for (int round = 0; round < players - 1 && status == FERRULE_OK; round++) {
		const int partner = partner_in(round, rank, players);

		if (partner < n && ranks[rank].is_usable && ranks[partner].is_usable)
			status = meet(control, partner, &views[partner]);
		if (status == FERRULE_OK)
			status = ferrule_barrier(control);
	}
	return status;
}

static ferrule_status_t run(ferrule_comm_t control, struct fr_pairs *p)
{
	const size_t n = (size_t)ferrule_comm_size(control);
	struct fr_pair_rank me = {.is_usable = false};
	struct fr_pair_view *mine = calloc(n, sizeof(*mine));
	ferrule_status_t status = FERRULE_ERR_NO_MEMORY;

	p->rank = ferrule_comm_rank(control);
	p->n_ranks = (int)n;
	p->ranks = calloc(n, sizeof(*p->ranks));
	p->views = p->rank == 0 ? calloc(n * n, sizeof(*p->views)) : NULL;
	if (mine && p->ranks && (p->rank != 0 || p->views)) {
		introduce(&me);
		status = ferrule_allgather(control, &me, p->ranks, sizeof(me), FERRULE_UINT8);
	}
	if (status == FERRULE_OK)
		status = play(control, p->ranks, mine);
	if (status == FERRULE_OK)
		status = ferrule_gather(control, mine, p->views, n * sizeof(*mine), FERRULE_UINT8,
		                        0);
	free(mine);
	return status;
}

bool fr_pairs_run(struct fr_pairs *p)
{
	const struct ferrule_comm_options options = {
		.size = sizeof(options), .transport = "shm,tcp", .timeout_s = CONTROL_TIMEOUT_S};
	ferrule_comm_t control = NULL;

	/* Before the library reads its settings. */
	setenv("FERRULE_SETUP_TIMEOUT", PAIR_SETUP_S, 0);
	setenv("FERRULE_PROBE", "0", 1);
	ferrule_status_t status = ferrule_comm_create_from_env(&options, &control);

	if (status == FERRULE_OK)
		status = run(control, p);
	if (status == FERRULE_OK)
		status = ferrule_comm_finalize(control);
	if (status != FERRULE_OK)
		fprintf(stderr, "ferrule doctor: the ranks cannot meet: %s: %s\n",
		        ferrule_status_name(status), ferrule_comm_error_text(control));
	ferrule_comm_destroy(control);
	return status == FERRULE_OK;
}

void fr_pairs_free(struct fr_pairs *p)
{
	free(p->ranks);
	free(p->views);
}

/* ---- the report ---- */

static const char *fix_for(ferrule_status_t status)
{
	switch (status) {
	case FERRULE_ERR_FABRIC:
	case FERRULE_ERR_TIMEOUT:
		return "compare the two ports (`rdma link`, `ip address`, MTU); can the hosts "
		       "`ping` each other's GID address?  Look for a firewall (UDP port 4791), a "
		       "VLAN, or a switch between; FERRULE_IB_GID_INDEX forces one entry";
	case FERRULE_ERR_NO_MEMORY:
		return "look at memlock in `ferrule doctor` on these hosts";
	case FERRULE_ERR_TRANSPORT:
		return "look at `ferrule doctor` on these hosts";
	default:
		return "FERRULE_LOG=debug tells more";
	}
}

static void say_pair(struct fr_doctor *d, const struct fr_pairs *p, int a, int b)
{
	const struct fr_pair_view *low = &p->views[a * p->n_ranks + b];
	const struct fr_pair_view *high = &p->views[b * p->n_ranks + a];
	const struct fr_pair_view *v = low->status == FERRULE_OK ? high : low;
	const char *first = p->ranks[a].first_gid;

	if (!low->is_tried || !high->is_tried)
		return;
	if (v->status != FERRULE_OK) {
		fr_doctor_say(d, FR_VERDICT_FAIL, "rdma pair", fix_for((ferrule_status_t)v->status),
		              "ranks %d (%s) and %d (%s): %s: %s", a, p->ranks[a].host, b,
		              p->ranks[b].host, ferrule_status_name((ferrule_status_t)v->status),
		              v->text);
		return;
	}
	const bool is_second = first[0] && !strstr(low->path, first);
	char note[120] = "";

	if (is_second)
		snprintf(note, sizeof(note), "; the first GID, %s, is not used", first);
	fr_doctor_say(d, is_second ? FR_VERDICT_WARN : FR_VERDICT_OK, "rdma pair",
	              "look at the address and route of the first GID; FERRULE_IB_GID_INDEX saves "
	              "the search for another",
	              "ranks %d (%s) and %d (%s): %s; 8 B both ways in %.1f us, "
	              "1 MiB at %.2f GB/s%s",
	              a, p->ranks[a].host, b, p->ranks[b].host, low->path, low->small_us,
	              low->large_gbps, note);
}

void fr_check_pairs(struct fr_doctor *d, const struct fr_pairs *p)
{
	if (p->n_ranks < 2)
		fr_doctor_say(d, FR_VERDICT_FAIL, "rdma pair",
		              "-N 2, or start several ranks: mpirun -n 2 ferrule doctor --pairs 0",
		              "this rank is alone");
	for (int r = 0; r < p->n_ranks; r++)
		if (!p->ranks[r].is_usable)
			fr_doctor_say(d, FR_VERDICT_FAIL, "rdma rank",
			              "as it says; `ferrule doctor` on that host tells more",
			              "rank %d (%s) cannot use RDMA: %s", r, p->ranks[r].host,
			              p->ranks[r].why);
	for (int a = 0; a < p->n_ranks; a++)
		for (int b = a + 1; b < p->n_ranks; b++)
			say_pair(d, p, a, b);
}
