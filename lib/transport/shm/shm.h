/*
 * shm.h - what the files of this transport share: the transport object, its peers.
 *
 *   shm.c          the contract's table; open, close, board, announce, abort
 *   shm_connect.c  ranks of a host meet over private Unix sockets and pass memory
 *   shm_memory.c   segments and arenas: memfd, mapping, backing
 *   shm_stream.c   messages: the endpoint's functions
 *   shm_layout.*   what lies where in a segment
 */
#ifndef FR_SHM_H
#define FR_SHM_H

#include <stdbool.h>

#include "lib/base/auth.h"
#include "lib/base/private_socket.h"
#include "lib/base/process.h"
#include "lib/transport/shm/shm_layout.h"
#include "lib/transport/transport.h"

struct shm_arena_block;

/* One region of shared memory as one process maps it. */
struct shm_map {
	unsigned char *at; /* NULL: not mapped */
	size_t bytes;
};

/* The next message of a stream, as its sender keeps it. */
struct shm_tx {
	struct shm_stream *stream;
	unsigned char *ring;
	uint64_t number;   /* messages begun */
	uint64_t position; /* where the message's first byte lies */
	uint64_t next_position;
	uint64_t bytes, moved; /* of the message */
	uint64_t total_moved;  /* payload bytes of all messages */
	uint64_t consumed;     /* last seen */
	uint64_t headers_read; /* last seen */
	unsigned char *put;    /* SHM_KIND_PUT: the peer's memory, as mapped here */
	uint64_t place;        /* SHM_KIND_MAPPED: where the payload is in our arena */
	uint32_t signature;
	enum shm_kind kind;
	bool announced; /* is the header out? */
	bool is_held;   /* did the last send_begin find no room or no post? */
	bool backed;    /* has the ring memory? */
	/* Messages that the peer reads out of our memory and has not finished. */
	struct {
		uint64_t first_total, position, bytes;
	} lent[SHM_N_HEADERS];
	uint32_t lent_head, lent_tail;
};

/* The same for the receiver. */
struct shm_rx {
	struct shm_stream *stream;
	unsigned char *ring;
	uint64_t number;             /* messages finished */
	uint64_t posted;             /* messages posted */
	uint64_t position;           /* where the message's first byte lies */
	uint64_t bytes, released;    /* of the message */
	uint64_t produced;           /* last seen */
	const unsigned char *source; /* payload in place: mapped, put or inline; NULL: ring */
	bool in_stream;              /* does the message take room in the stream of positions? */
	bool entered;                /* are the ring's pages mapped? */
	unsigned far_score;          /* see judge_distance() */
};

/* A rank of this host, as this process sees it: the endpoint, first of all. */
struct shm_peer {
	struct fr_ep ep;
	struct shm_map segment, arena;
	struct shm_status *status;
	int socket; /* stays open: its end of file is the peer's death, unless it has forked */
	struct fr_process process; /* the peer's; its end is its death in any case */
	struct shm_tx tx;
	struct shm_rx rx;
	int local;
};

struct shm_transport {
	struct fr_transport base;
	int rank, n_ranks;
	int n_local, my_local;
	uint64_t comm_id;
	unsigned char job_key[FR_AUTH_KEY_BYTES];
	struct shm_layout layout;
	struct shm_map segment, arena;
	int segment_fd, arena_fd;
	struct fr_private_socket meeting; /* where ranks above us come */
	struct shm_status *status;
	struct shm_arena_block *blocks; /* of the arena, sorted by place */
	int *local_of;                  /* rank -> index on this host, -1 elsewhere */
	struct shm_peer **peers;        /* [n_ranks], NULL where there is none */
	struct fr_board board;
	bool has_board;
};

/* shm_memory.c */
ferrule_status_t shm_memory_create(struct shm_transport *t, char *why, size_t why_bytes);
/* shm_memory_adopt - maps a peer's memory; PROTOCOL when the file is, or could become, shorter. */
ferrule_status_t shm_memory_adopt(struct shm_map *map, int fd, size_t bytes);
void shm_memory_drop(struct shm_map *map);
void shm_memory_destroy(struct shm_transport *t);
ferrule_status_t shm_arena_alloc(struct fr_transport *base, size_t bytes, void **out);
ferrule_status_t shm_arena_free(struct fr_transport *base, void *ptr);
/* shm_arena_place - the offset of `bytes` at ptr in this rank's arena, or SHM_NO_PLACE. */
static inline uint64_t shm_arena_place(const struct shm_transport *t, const void *ptr,
                                       uint64_t bytes)
{
	const uintptr_t first = (uintptr_t)t->arena.at, at = (uintptr_t)ptr;

	if (at < first || at - first >= t->arena.bytes || bytes > t->arena.bytes - (at - first))
		return SHM_NO_PLACE;
	return at - first;
}

/* shm_connect.c */
ferrule_status_t shm_connect(struct fr_transport *base, const bool *wanted,
                             const unsigned char *addresses, uint64_t deadline_ns, char *why,
                             size_t why_bytes);

/* shm_stream.c */
extern const struct fr_ep_ops shm_ep_ops;
void shm_stream_init(struct shm_transport *t, struct shm_peer *p);

#endif
