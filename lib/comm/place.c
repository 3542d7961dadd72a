#include "config.h"

#include "lib/comm/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/machine_id.h"
#include "lib/base/settings.h"
#include "lib/comm/card_wire.h"
#include "lib/transport/transport.h"

static void append_name(char *list, size_t bytes, const char *name)
{
	const size_t used = strlen(list);

	snprintf(list + used, bytes - used, "%s%s", used > 0 ? "," : "", name);
}

static int n_built(void)
{
	int n = 0;

	while (fr_transports[n])
		n++;
	return n;
}

/* The list as an array of indices; a name twice counts once.  -1 at a name that is none, which
 * is then in `unknown`. */
static int parse_list(const char *list, unsigned char *indices, char *unknown, size_t unknown_bytes)
{
	const int n_known = n_built();
	int n = 0;

	while (*list) {
		const size_t length = strcspn(list, ",");
		bool seen = false;
		int t = 0;

		while (t < n_known && (strlen(fr_transports[t]->name) != length ||
		                       strncmp(fr_transports[t]->name, list, length) != 0))
			t++;
		if (t == n_known) {
			snprintf(unknown, unknown_bytes, "%.*s", (int)length, list);
			return -1;
		}
		for (int i = 0; i < n; i++)
			seen |= indices[i] == t;
		if (!seen && n < FR_MAX_TRANSPORTS)
			indices[n++] = (unsigned char)t;
		list += length + (list[length] == ',');
	}
	return n;
}

static void built_list(char *list, size_t bytes)
{
	list[0] = '\0';
	for (int t = 0; fr_transports[t]; t++)
		append_name(list, bytes, fr_transports[t]->name);
}

ferrule_status_t fr_transport_list_check(const char *list, const char *source)
{
	unsigned char indices[FR_MAX_TRANSPORTS];
	char unknown[FR_TRANSPORT_LIST_BYTES], built[FR_TRANSPORT_LIST_BYTES];

	built_list(built, sizeof(built));
	if (strlen(list) >= FR_TRANSPORT_LIST_BYTES)
		return fr_error(FERRULE_ERR_SETTING,
		                "%s: \"%.40s...\" is longer than %d characters; allowed: %s, "
		                "comma-separated",
		                source, list, FR_TRANSPORT_LIST_BYTES - 1, built);
	if (parse_list(list, indices, unknown, sizeof(unknown)) < 0)
		return fr_error(FERRULE_ERR_SETTING,
		                "%s: \"%s\" is not a transport; allowed: %s, comma-separated",
		                source, unknown, built);
	return FERRULE_OK;
}

/* Writes the usable transports of the list, or why there is none. */
static void fill_transports(struct fr_card *card, const char *list, const char *source)
{
	unsigned char indices[FR_MAX_TRANSPORTS];
	char all[FR_TRANSPORT_LIST_BYTES], unknown[FR_TRANSPORT_LIST_BYTES];
	char why[200] = "none is built in";

	built_list(all, sizeof(all));
	const int n = parse_list(list[0] ? list : all, indices, unknown, sizeof(unknown));

	for (int i = 0; i < n; i++) {
		const struct fr_transport_ops *ops = fr_transports[indices[i]];

		if (ops->only_when_named && !list[0])
			continue;
		if (ops->usable(why, sizeof(why)))
			append_name(card->transports, sizeof(card->transports), ops->name);
		else
			fr_log(FR_LOG_INFO, "transport %s is not usable: %s", ops->name, why);
	}
	if (card->transports[0])
		return;
	card->status = FERRULE_ERR_TRANSPORT;
	snprintf(card->text, sizeof(card->text),
	         "%s: no transport of \"%s\" is usable here: %.160s", source, list[0] ? list : all,
	         why);
}

/* FNV-1a: equal texts, equal numbers; no secret depends on it. */
static uint64_t hash_text(const char *text)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3u;
	return h;
}

void fr_card_fill(struct fr_card *card, const char *list, const char *source)
{
	const struct fr_settings *settings = fr_settings();

	memset(card, 0, sizeof(*card));
	card->magic = FR_CARD_MAGIC;
	card->bytes = sizeof(*card);
	snprintf(card->version, sizeof(card->version), "%s", PACKAGE_VERSION);
	built_list(card->built, sizeof(card->built));
	card->machine_id = fr_machine_id();
	card->network_id = fr_network_id();
	gethostname(card->host_name, sizeof(card->host_name) - 1);
	fr_cpu_share_get(&card->cpus);
	snprintf(card->algo, sizeof(card->algo), "%s", settings->algo);
	card->algo_hash = hash_text(settings->algo);
	card->shm_ring = settings->shm_ring;
	card->sockets_per_peer = (uint32_t)settings->sockets_per_peer;
	card->probe = settings->probe;
	fill_transports(card, list, source);
}

static ferrule_status_t differ(int rank, const char *what, const char *mine, const char *first)
{
	return fr_error(FERRULE_ERR_SETTING,
	                "rank %d has %s \"%s\", rank 0 has \"%s\"; all ranks must have the same",
	                rank, what, mine, first);
}

static ferrule_status_t differ_number(int rank, const char *what, uint64_t mine, uint64_t first)
{
	char a[24], b[24];

	snprintf(a, sizeof(a), "%llu", (unsigned long long)mine);
	snprintf(b, sizeof(b), "%llu", (unsigned long long)first);
	return differ(rank, what, a, b);
}

static ferrule_status_t card_agrees(const struct fr_card *card, const struct fr_card *first,
                                    int rank)
{
	char a[256], b[256];

	if (card->magic != FR_CARD_MAGIC || card->bytes != sizeof(*card))
		return fr_error(
			FERRULE_ERR_PROTOCOL,
			"rank %d runs another version of Ferrule or another kind of machine", rank);
	if (card->status != FERRULE_OK)
		return fr_error((ferrule_status_t)card->status, "rank %d: %.*s", rank,
		                (int)sizeof(card->text) - 1, card->text);
	if (strncmp(card->version, first->version, sizeof(card->version)) != 0) {
		snprintf(a, sizeof(a), "%.*s", (int)sizeof(card->version) - 1, card->version);
		snprintf(b, sizeof(b), "%.*s", (int)sizeof(card->version) - 1, first->version);
		return differ(rank, "Ferrule version", a, b);
	}
	if (strncmp(card->built, first->built, sizeof(card->built)) != 0) {
		snprintf(a, sizeof(a), "%.*s", (int)sizeof(card->built) - 1, card->built);
		snprintf(b, sizeof(b), "%.*s", (int)sizeof(card->built) - 1, first->built);
		return differ(rank, "transports built in", a, b);
	}
	if (card->algo_hash != first->algo_hash) {
		snprintf(a, sizeof(a), "%.*s", 100, card->algo);
		snprintf(b, sizeof(b), "%.*s", 100, first->algo);
		return differ(rank, "FERRULE_ALGO", a, b);
	}
	if (card->shm_ring != first->shm_ring)
		return differ_number(rank, "FERRULE_SHM_RING", card->shm_ring, first->shm_ring);
	if (card->sockets_per_peer != first->sockets_per_peer)
		return differ_number(rank, "FERRULE_SOCKETS_PER_PEER", card->sockets_per_peer,
		                     first->sockets_per_peer);
	if (card->probe != first->probe)
		return differ_number(rank, "FERRULE_PROBE", card->probe, first->probe);
	return FERRULE_OK;
}

ferrule_status_t fr_cards_agree(const struct fr_card *cards, int n_ranks)
{
	for (int r = 0; r < n_ranks; r++) {
		const ferrule_status_t status = card_agrees(&cards[r], &cards[0], r);

		if (status != FERRULE_OK)
			return status;
	}
	return FERRULE_OK;
}

int fr_places_from_cards(const struct fr_card *cards, int n_ranks, struct fr_place *places)
{
	char list[FR_TRANSPORT_LIST_BYTES], unknown[FR_TRANSPORT_LIST_BYTES];

	for (int r = 0; r < n_ranks; r++) {
		struct fr_place *p = &places[r];

		p->host_id = p->machine_id = cards[r].machine_id;
		p->network_id = cards[r].network_id;
		p->reach_error = 0;
		p->cpus = cards[r].cpus;
		snprintf(list, sizeof(list), "%.*s", (int)sizeof(list) - 1, cards[r].transports);
		const int n = parse_list(list, p->transports, unknown, sizeof(unknown));

		p->n_transports = n > 0 ? n : 0;
	}
	return fr_places_number(places, n_ranks);
}

int fr_places_number(struct fr_place *places, int n_ranks)
{
	int n_hosts = 0;

	for (int r = 0; r < n_ranks; r++) {
		int last = r - 1; /* the last rank before r on its host */

		while (last >= 0 && places[last].host_id != places[r].host_id)
			last--;
		places[r].host = last < 0 ? n_hosts++ : places[last].host;
		places[r].local_rank = last < 0 ? 0 : places[last].local_rank + 1;
	}
	return n_hosts;
}

int fr_places_cores(const struct fr_place *places, int n_ranks, int host)
{
	struct fr_cpu_share *shares = calloc((size_t)n_ranks, sizeof(*shares));
	int n = 0;

	if (!shares)
		return 0;
	for (int r = 0; r < n_ranks; r++)
		if (places[r].host == host)
			shares[n++] = places[r].cpus;
	const int cores = fr_cpu_share_count(shares, n);

	free(shares);
	return cores;
}

int fr_places_local_size(const struct fr_place *places, int n_ranks, int host)
{
	int n = 0;

	for (int r = 0; r < n_ranks; r++)
		n += places[r].host == host;
	return n;
}

static bool has_transport(const struct fr_place *p, int transport)
{
	for (int i = 0; i < p->n_transports; i++)
		if (p->transports[i] == transport)
			return true;
	return false;
}

int fr_places_choose(const struct fr_place *places, int a, int b)
{
	const struct fr_place *low = &places[a < b ? a : b], *high = &places[a < b ? b : a];
	const bool same_host = low->host == high->host;

	for (int i = 0; i < low->n_transports; i++) {
		const int t = low->transports[i];

		if (has_transport(high, t) && fr_transport_reaches(fr_transports[t], same_host))
			return t;
	}
	return -1;
}
