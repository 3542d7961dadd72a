/*
 * place.h - where the ranks are and what joins them.
 *
 * Every rank writes a card about itself; all cards go to all ranks, and everything decided
 * here is a function of the cards, so that all ranks decide the same.
 */
#ifndef FR_PLACE_H
#define FR_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferrule/status.h>
#include "lib/comm/topology.h"

#define FR_MAX_TRANSPORTS       8
#define FR_TRANSPORT_LIST_BYTES 96

struct fr_card;

/* What is kept of a card. */
struct fr_place {
	uint64_t machine_id, network_id; /* see lib/base/machine_id.h */
	uint64_t host_id;                /* equal for two ranks exactly when they share a host */
	int reach_error; /* why this process does not meet it on its own machine, or 0 */
	int host;        /* hosts are numbered in order of their first rank */
	int local_rank;  /* among the ranks of its host, in rank order */
	int n_transports;
	unsigned char transports[FR_MAX_TRANSPORTS]; /* indices into fr_transports, best first */
	struct fr_cpu_share cpus;
};

/* fr_transport_list_check - is every name in the comma-separated `list` a transport?  `source`
 * names the setting or option in the error. */
ferrule_status_t fr_transport_list_check(const char *list, const char *source);

/*
 * fr_card_fill - this process's card, allowing the transports in `list` ("" for all).  When
 * none of them is usable here, the card says so, and all ranks learn of it at once.
 */
void fr_card_fill(struct fr_card *card, const char *list, const char *source);

/* fr_cards_agree - do all ranks run the same library with the settings that must agree?  The
 * text names the ranks and what differs.  Also returns the error that a card carries. */
ferrule_status_t fr_cards_agree(const struct fr_card *cards, int n_ranks);

/* fr_places_from_cards - one place a card; returns the number of hosts, which are machines until
 * reach.h has found out more. */
int fr_places_from_cards(const struct fr_card *cards, int n_ranks, struct fr_place *places);
/* fr_places_number - hosts and local ranks anew, as after some ranks were picked out of many;
 * returns the number of hosts. */
int fr_places_number(struct fr_place *places, int n_ranks);

/* fr_places_cores - hardware threads that the ranks of `host` may use together; 0 when there
 * was no memory to count them. */
int fr_places_cores(const struct fr_place *places, int n_ranks, int host);
/* fr_places_local_size - ranks on `host`. */
int fr_places_local_size(const struct fr_place *places, int n_ranks, int host);

/* fr_places_choose - index into fr_transports of what joins ranks a and b, the same seen from
 * both: the first in the list of the lower rank that the other has and that reaches; -1. */
int fr_places_choose(const struct fr_place *places, int a, int b);

#endif
