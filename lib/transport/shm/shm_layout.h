/*
 * shm_layout.h - what lies in shared memory, and where.
 *
 * Every rank owns one segment (a memfd, so nothing has a name that could leak) that the other
 * ranks of its host map.  Each cache line has one writer.
 *
 *   segment of rank w:   | status | board acks | board slots | stream w->0 | stream w->1 | ...
 *   stream w->r:         | line tx | line rx | posts | headers | data ring |
 *
 * In a stream, rank w writes tx, headers and ring; rank r writes rx and posts.  (When r
 * grants its own memory, w writes payload there instead; see SHM_KIND_PUT.)
 *
 * Positions count payload bytes since the stream began; every message starts at a multiple
 * of SHM_ALIGN.  The ring holds position p at p mod ring_bytes.
 */
#ifndef FR_SHM_LAYOUT_H
#define FR_SHM_LAYOUT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/call.h"
#include "lib/base/process.h"
#include "lib/transport/transport.h"

#define SHM_LINE    64
#define SHM_ALIGN   64
#define SHM_PAGE    4096
#define SHM_MAGIC   0x46525348u /* "FRSH" */
#define SHM_VERSION 5

enum shm_state { SHM_ALIVE = 1, SHM_LEFT = 2, SHM_ABORTED = 3 };

/* How many of its last calls a rank shows. */
#define SHM_N_CALLS 16

/* What a rank says of itself. */
struct shm_status {
	uint32_t magic, version;
	_Atomic uint32_t state; /* enum shm_state; abort_text is written before SHM_ABORTED */
	uint32_t rank;
	struct fr_process_id process;
	char abort_text[448];
	_Atomic uint32_t arena_in_use; /* has ferrule_mem_alloc() given out memory here? */
	/* What the rank does and did last.  Not locked: a reader that catches a call half
	 * written sees a wrong signature and looks again later. */
	_Alignas(SHM_LINE) uint32_t last_call;
	_Alignas(SHM_LINE) struct {
		_Alignas(SHM_LINE / 2) struct fr_call call;
	} calls[SHM_N_CALLS];
	_Alignas(SHM_LINE) struct fr_wait wait; /* likewise */
};

/* How the payload of a message reaches the receiver. */
enum shm_kind {
	SHM_KIND_INLINE = 1, /* inside the header */
	SHM_KIND_STAGED,     /* through the ring */
	SHM_KIND_MAPPED,     /* the receiver reads the sender's arena at `place` */
	SHM_KIND_PUT,        /* the sender wrote into the receiver's arena, where it was posted */
};

#define SHM_INLINE_BYTES 48
/* One message's announcement: one cache line, `flag` stored last. */
struct shm_header {
	_Atomic uint32_t flag; /* low half of the message number plus one */
	uint32_t signature;
	uint32_t kind;
	uint32_t inline_bytes;
	union {
		unsigned char payload[SHM_INLINE_BYTES];
		struct {
			uint64_t bytes;    /* of the whole message */
			uint64_t begin;    /* position of its first byte */
			uint64_t produced; /* position up to which data was there at once */
			uint64_t place;    /* SHM_KIND_MAPPED: offset in the sender's arena */
		} large;
	};
};
_Static_assert(sizeof(struct shm_header) == SHM_LINE, "a header is one cache line");
#define SHM_N_HEADERS 64

/* Where the receiver wants a message of at least SHM_POST_MIN bytes. */
struct shm_post {
	_Atomic uint32_t flag; /* low half of the message number plus one */
	uint32_t pad;
	uint64_t place; /* offset in the receiver's arena, or SHM_NO_PLACE: through the ring */
};
_Static_assert(sizeof(struct shm_post) == 16, "four posts a cache line");
#define SHM_N_POSTS  64
#define SHM_NO_PLACE UINT64_MAX
_Static_assert(SHM_N_POSTS > FR_POSTS_MAX, "posts may run ahead");

struct shm_stream {
	_Alignas(SHM_LINE) _Atomic uint64_t produced; /* tx: position up to which data is there */
	_Alignas(SHM_LINE) _Atomic uint64_t consumed; /* rx: position up to which it was used */
	_Atomic uint64_t headers_read;                /* rx: messages finished */
	_Atomic uint32_t is_far;                      /* rx: does a line take long to arrive? */
	_Alignas(SHM_LINE) _Atomic uint64_t distance_probe; /* tx: a line for rx to time */
	_Alignas(SHM_LINE) struct shm_post posts[SHM_N_POSTS];
	_Alignas(SHM_LINE) struct shm_header headers[SHM_N_HEADERS];
	/* tx: what w refused last, and r may wait in, by fr_refusal_place(); `writes` is odd while
	 * one is written. */
	struct {
		_Alignas(SHM_LINE) _Atomic uint32_t writes;
		struct fr_refusal refusal;
	} refused[FR_REFUSAL_PLACES];
};

/* From this size on a receiver posts, and a sender to an arena in use waits for the post. */
#define SHM_POST_MIN 16384

/* The board's classes: payload bytes and slots of each. */
#define SHM_BOARD_BYTES 16384
#define SHM_BOARD_CLASSES(X) \
	X(0, 56, 64)         \
	X(1, 1024, 16)       \
	X(2, SHM_BOARD_BYTES, 8)

/* Offsets inside a segment; the same for every rank of a communicator. */
struct shm_layout {
	int n_local;
	size_t ring_bytes;
	size_t acks[FR_BOARD_N_CLASSES]; /* + writer's local index * FR_BOARD_ACK_STRIDE */
	size_t slots[FR_BOARD_N_CLASSES];
	size_t stride[FR_BOARD_N_CLASSES];
	size_t streams, stream_stride, ring; /* ring: inside a stream */
	size_t total_bytes;
};

void shm_layout_init(struct shm_layout *l, int n_local, uint64_t ring_setting);

static inline struct shm_stream *shm_stream_at(const struct shm_layout *l, void *segment, int local)
{
	return (struct shm_stream *)((char *)segment + l->streams +
	                             (size_t)local * l->stream_stride);
}

#endif
