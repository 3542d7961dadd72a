#include "config.h"

#include "lib/comm/reach.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/private_socket.h"
#include "lib/base/system.h"
#include "lib/comm/card_wire.h"
#include "lib/comm/establish.h"

static bool has_bit(const unsigned char *row, int bit)
{
	return row[bit / 8] >> bit % 8 & 1;
}

/* 0, or the errno of why the rank of this card cannot be met. */
static int try_card(const struct fr_card *card)
{
	char path[FR_PRIVATE_PATH_BYTES];

	memcpy(path, card->meeting, sizeof(path));
	path[sizeof(path) - 1] = '\0';
	const int fd = fr_private_connect(path);
	if (fd >= 0)
		close(fd);
	/* EAGAIN: it is there, and many came before. */
	return fd >= 0 || errno == EAGAIN ? 0 : errno;
}

static ferrule_status_t try_all(const struct fr_card *cards, int rank, int n_ranks,
                                struct fr_place *places, unsigned char *row)
{
	const struct fr_card *mine = &cards[rank];

	for (int r = 0; r < n_ranks; r++) {
		const struct fr_card *card = &cards[r];
		bool reached = r == rank;

		places[r].reach_error = 0;
		if (!reached && card->machine_id != mine->machine_id)
			continue;
		/* Where nobody finds a place to meet, TCP at least can be spared the detour. */
		if (!reached && !mine->meeting[0] && !card->meeting[0])
			reached = card->network_id == mine->network_id;
		else if (!reached && card->meeting[0])
			reached = (places[r].reach_error = try_card(card)) == 0;
		/* What this process is out of says nothing about the peer. */
		if (fr_is_exhaustion(places[r].reach_error))
			return fr_system_error("connect", places[r].reach_error);
		if (reached)
			row[r / 8] |= (unsigned char)(1 << r % 8);
	}
	return FERRULE_OK;
}

/* May this rank be one of the host whose first rank is `first`? */
static bool fits(const unsigned char *rows, size_t bytes, const struct fr_place *places, int first,
                 int rank)
{
	for (int r = first; r < rank; r++)
		if (places[r].host_id == places[first].host_id &&
		    (!has_bit(rows + (size_t)r * bytes, rank) ||
		     !has_bit(rows + (size_t)rank * bytes, r)))
			return false;
	return true;
}

void fr_reach_group(const unsigned char *rows, int n_ranks, struct fr_place *places)
{
	const size_t bytes = fr_reach_row_bytes(n_ranks);

	for (int rank = 0; rank < n_ranks; rank++) {
		int first = 0;

		/* A host is named by its first rank. */
		while (first < rank && (places[first].host_id != (uint64_t)first ||
		                        !fits(rows, bytes, places, first, rank)))
			first++;
		places[rank].host_id = (uint64_t)first;
	}
}

const char *fr_reach_why(const struct fr_place *place)
{
	return place->reach_error ? strerror(place->reach_error)
	                          : "not all ranks of both sides reach each other";
}

/* Ranks of one machine that are not of one host: why, as far as this rank knows. */
static void tell(int rank, int n_ranks, const struct fr_card *cards, const struct fr_place *places)
{
	for (int r = 0; r < n_ranks; r++) {
		if (places[r].host_id == places[rank].host_id ||
		    cards[r].machine_id != cards[rank].machine_id)
			continue;
		fr_log(FR_LOG_INFO,
		       "rank %d runs on this machine, but memory is not shared with it: %.*s: %s",
		       r, FR_PRIVATE_PATH_BYTES - 1, cards[r].meeting, fr_reach_why(&places[r]));
		return; /* the first stands for all */
	}
}

static bool any_two_of_a_machine(const struct fr_place *places, int n_ranks)
{
	for (int r = 1; r < n_ranks; r++)
		for (int q = 0; q < r; q++)
			if (places[q].machine_id == places[r].machine_id)
				return true;
	return false;
}

ferrule_status_t fr_reach(const struct fr_exchange *exchange, const struct fr_card *cards,
                          struct fr_place *places)
{
	const int rank = exchange->rank, n_ranks = exchange->n_ranks;
	const size_t bytes = fr_reach_row_bytes(n_ranks);

	if (!any_two_of_a_machine(places, n_ranks))
		return FERRULE_OK;
	unsigned char *row = calloc((size_t)n_ranks + 1, bytes), *rows = row + bytes;
	if (!row)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory to find the host of %d ranks",
		                n_ranks);
	ferrule_status_t status = try_all(cards, rank, n_ranks, places, row);

	status = fr_exchange_outcome(exchange, status, row, bytes, rows);
	if (status == FERRULE_OK) {
		fr_reach_group(rows, n_ranks, places);
		tell(rank, n_ranks, cards, places);
	}
	free(row);
	return status;
}
