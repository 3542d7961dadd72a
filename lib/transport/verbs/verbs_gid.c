/*
 * verbs_gid.c - which GIDs of a port may be used, and which pair of them is tried first.
 *
 * A GID is an address: of RoCE an IPv6 one, or an IPv4 one mapped into IPv6.  Nothing tells a
 * device whether a packet to another GID will arrive, so that pairs are probed in the order that
 * is made here.  Both sides make it from the same two lists, hence it must not depend on whose
 * side one is on.
 */
#include "config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/transport/verbs/verbs_device.h"

/* Best first. */
enum family { IPV4, IPV6_GLOBAL, IPV6_LINK_LOCAL };

static bool is_zero(const struct fr_gid *g)
{
	static const unsigned char zero[sizeof(g->raw)];

	return memcmp(g->raw, zero, sizeof(zero)) == 0;
}

static enum family family_of(const struct fr_gid *g)
{
	static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (memcmp(g->raw, mapped, sizeof(mapped)) == 0)
		return IPV4;
	if (g->raw[0] == 0xfe && (g->raw[1] & 0xc0) == 0x80)
		return IPV6_LINK_LOCAL;
	return IPV6_GLOBAL;
}

/* RoCE v2 is routed and what switches are set up for; v1 is a last resort. */
static unsigned type_rank(const struct fr_gid *g)
{
	return g->type == FR_GID_ROCE_V1;
}

static int compare_gids(const void *left, const void *right)
{
	const struct fr_gid *a = left, *b = right;

	if (type_rank(a) != type_rank(b))
		return (int)type_rank(a) - (int)type_rank(b);
	if (a->type != FR_GID_IB && family_of(a) != family_of(b))
		return (int)family_of(a) - (int)family_of(b);
	return (int)a->index - (int)b->index;
}

int fr_gids_choose(struct fr_gid *all, int n, int forced_index, struct fr_gid *out, int max)
{
	int n_out = 0;

	qsort(all, (size_t)n, sizeof(*all), compare_gids);
	for (int i = 0; i < n && n_out < max; i++)
		if (!is_zero(&all[i]) && (forced_index < 0 || all[i].index == forced_index))
			out[n_out++] = all[i];
	return n_out;
}

/* ---- pairs ---- */

struct candidate {
	unsigned type, family;
	int apart;         /* bits from the first one that differs to the end: smaller is nearer */
	int lower, higher; /* positions in the lists of the lower and of the higher rank */
};

static int bits_apart(const struct fr_gid *a, const struct fr_gid *b)
{
	for (int i = 0; i < 16; i++) {
		const unsigned differing = (unsigned)(a->raw[i] ^ b->raw[i]);

		if (differing)
			return 8 * (16 - i) - (__builtin_clz(differing) - 24);
	}
	return 0;
}

/* Addresses of different kinds never reach each other. */
static bool can_meet(const struct fr_gid *a, const struct fr_gid *b)
{
	if (a->type != b->type || is_zero(a) || is_zero(b))
		return false;
	return a->type == FR_GID_IB || family_of(a) == family_of(b);
}

static int compare_candidates(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;

	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	if (a->apart != b->apart)
		return a->apart < b->apart ? -1 : 1;
	if (a->lower != b->lower)
		return a->lower < b->lower ? -1 : 1;
	return (a->higher > b->higher) - (a->higher < b->higher);
}

static struct candidate weigh(const struct fr_gid *a, const struct fr_gid *b)
{
	struct candidate c = {.type = type_rank(a), .family = family_of(a)};

	if (a->type == FR_GID_IB) {
		/* The subnet prefix is what counts; the rest is the port's own number. */
		c.family = memcmp(a->raw, b->raw, 8) != 0;
		return c;
	}
	/* A netmask would say which IPv4 addresses are neighbours; it is not in the GID.  The
	 * longest common beginning is nearly as good, and the host part must not count: two
	 * link-local addresses are in one network whatever their ends. */
	if (c.family != IPV6_LINK_LOCAL)
		c.apart = bits_apart(a, b);
	return c;
}

int fr_gid_pairs(const struct fr_gid *mine, int n_mine, const struct fr_gid *theirs, int n_theirs,
                 bool i_am_lower, struct fr_gid_pair *out, int max)
{
	const struct fr_gid *lower = i_am_lower ? mine : theirs;
	const struct fr_gid *higher = i_am_lower ? theirs : mine;
	const int n_lower = i_am_lower ? n_mine : n_theirs;
	const int n_higher = i_am_lower ? n_theirs : n_mine;
	struct candidate all[FR_VERBS_GIDS_MAX * FR_VERBS_GIDS_MAX];
	int n = 0;

	for (int l = 0; l < n_lower && l < FR_VERBS_GIDS_MAX; l++) {
		for (int h = 0; h < n_higher && h < FR_VERBS_GIDS_MAX; h++) {
			if (!can_meet(&lower[l], &higher[h]))
				continue;
			all[n] = weigh(&lower[l], &higher[h]);
			all[n].lower = l;
			all[n].higher = h;
			n++;
		}
	}
	qsort(all, (size_t)n, sizeof(all[0]), compare_candidates);
	if (n > max)
		n = max;
	for (int i = 0; i < n; i++) {
		out[i].mine = (uint8_t)(i_am_lower ? all[i].lower : all[i].higher);
		out[i].theirs = (uint8_t)(i_am_lower ? all[i].higher : all[i].lower);
	}
	return n;
}

char *fr_gid_text(const struct fr_gid *gid, char *buf, size_t bytes)
{
	static const char *const types[] = {
		[FR_GID_IB] = "InfiniBand", [FR_GID_ROCE_V1] = "v1", [FR_GID_ROCE_V2] = "v2"};
	const bool is_ipv4 = gid->type != FR_GID_IB && family_of(gid) == IPV4;
	char address[INET6_ADDRSTRLEN];

	if (!inet_ntop(is_ipv4 ? AF_INET : AF_INET6, is_ipv4 ? gid->raw + 12 : gid->raw, address,
	               sizeof(address)))
		address[0] = '\0';
	snprintf(buf, bytes, "%s (%s, index %d)", address,
	         gid->type <= FR_GID_ROCE_V2 ? types[gid->type] : "unknown type", gid->index);
	return buf;
}
