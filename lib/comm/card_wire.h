/*
 * card_wire.h - what ranks tell each other while a communicator is created.
 *
 * Both structs travel as they lie in memory, through an authenticated allgather.  The first
 * two words of a card tell whether the other side lays it out the same way; texts are cut at
 * their last byte by the reader, never trusted to end.
 */
#ifndef FR_CARD_WIRE_H
#define FR_CARD_WIRE_H

#include <stdint.h>

#include "lib/base/private_socket.h"
#include "lib/comm/place.h"

#define FR_CARD_MAGIC 0x46524332u /* "FRC2"; reads otherwise in another byte order */

struct fr_card {
	uint32_t magic;
	uint32_t bytes; /* sizeof(struct fr_card) */
	char version[16];
	char built[FR_TRANSPORT_LIST_BYTES];      /* transports compiled in */
	char transports[FR_TRANSPORT_LIST_BYTES]; /* allowed and usable, best first */
	uint64_t machine_id, network_id;          /* see lib/base/machine_id.h */
	char meeting[FR_PRIVATE_PATH_BYTES];      /* where it listens for fr_meet(); "": nowhere */
	char host_name[64];
	struct fr_cpu_share cpus;
	/* Settings that must agree. */
	char algo[256];
	uint64_t algo_hash; /* of the whole text, should it be longer */
	uint64_t shm_ring;
	uint32_t sockets_per_peer;
	uint32_t probe;
	/* What this rank already failed in, FERRULE_OK if nothing. */
	int32_t status;
	int32_t zero;
	char text[512];
};
_Static_assert(sizeof(struct fr_card) == 24 + 2 * FR_TRANSPORT_LIST_BYTES + 16 +
                                                 FR_PRIVATE_PATH_BYTES + 64 +
                                                 sizeof(struct fr_cpu_share) + 256 + 16 + 16 + 512,
               "a card has no holes");

/* How a rank fared in one round of the creation; addresses may follow it. */
struct fr_report {
	int32_t status;
	char text[252];
};
_Static_assert(sizeof(struct fr_report) == 256, "a report has no holes");

#endif
