/* The shared-memory transport: between processes of one host. */
#include "config.h"
#include "lib/transport/shm/shm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/settings.h"
#include "lib/transport/transport_list.h"

static inline struct shm_transport *shm_of(struct fr_transport *base)
{
	return (struct shm_transport *)base;
}

static bool usable(char *why, size_t why_bytes)
{
	const int fd = memfd_create("ferrule-try", MFD_CLOEXEC);

	if (fd < 0) {
		snprintf(why, why_bytes, "memfd_create: %s", strerror(errno));
		return false;
	}
	close(fd);

	struct fr_private_socket meeting;
	const bool has_place = fr_private_listen(&meeting, why, why_bytes) == FERRULE_OK;

	fr_private_close(&meeting);
	return has_place;
}

static bool reaches(bool same_host)
{
	return same_host;
}

/* Segment, arena, listener; of each peer a connection and its process; and in passing two that a
 * peer hands over. */
static size_t descriptors(size_t n_peers)
{
	return 3 + 2 * n_peers + 2;
}

static void close_transport(struct fr_transport *base)
{
	struct shm_transport *t = shm_of(base);

	if (!t)
		return;
	/* An abort keeps its text for peers that have not looked yet. */
	if (t->status) {
		uint32_t alive = SHM_ALIVE;

		atomic_compare_exchange_strong(&t->status->state, &alive, SHM_LEFT);
	}
	for (int r = 0; t->peers && r < t->n_ranks; r++) {
		struct shm_peer *p = t->peers[r];

		if (!p)
			continue;
		shm_memory_drop(&p->segment);
		shm_memory_drop(&p->arena);
		if (p->socket >= 0)
			close(p->socket);
		fr_process_unwatch(&p->process);
		free(p);
	}
	fr_private_close(&t->meeting);
	shm_memory_destroy(t);
	for (int c = 0; c < FR_BOARD_N_CLASSES; c++) {
		free(t->board.classes[c].base);
		free(t->board.classes[c].acks);
	}
	free(t->peers);
	free(t->local_of);
	fr_wipe(t->job_key, sizeof(t->job_key));
	free(t);
}

/* Numbers the ranks of this host in rank order. */
static void find_locals(struct shm_transport *t, const int *host_of)
{
	for (int r = 0; r < t->n_ranks; r++) {
		t->local_of[r] = host_of[r] == host_of[t->rank] ? t->n_local++ : -1;
		if (r == t->rank)
			t->my_local = t->local_of[r];
	}
}

static ferrule_status_t board_arrays(struct shm_transport *t)
{
	for (int c = 0; c < FR_BOARD_N_CLASSES; c++) {
		t->board.classes[c].base = calloc((size_t)t->n_ranks, sizeof(unsigned char *));
		t->board.classes[c].acks = calloc((size_t)t->n_ranks, sizeof(unsigned char *));
		if (!t->board.classes[c].base || !t->board.classes[c].acks)
			return FERRULE_ERR_NO_MEMORY;
	}
	return FERRULE_OK;
}

static ferrule_status_t open_transport(const struct fr_transport_params *params,
                                       struct fr_transport **out, char *why, size_t why_bytes)
{
	struct shm_transport *t = calloc(1, sizeof(*t));
	ferrule_status_t status = FERRULE_ERR_NO_MEMORY;

	snprintf(why, why_bytes, "out of memory");
	if (!t)
		return status;
	t->base.ops = &fr_transport_shm;
	t->base.supervisor = params->supervisor;
	t->rank = params->rank;
	t->n_ranks = params->n_ranks;
	t->comm_id = params->comm_id;
	t->segment_fd = t->arena_fd = t->meeting.fd = -1;
	memcpy(t->job_key, params->job_key, sizeof(t->job_key));
	t->peers = calloc((size_t)t->n_ranks, sizeof(*t->peers));
	t->local_of = calloc((size_t)t->n_ranks, sizeof(*t->local_of));
	if (!t->peers || !t->local_of || board_arrays(t) != FERRULE_OK)
		goto err_close;
	find_locals(t, params->host_of);
	t->has_board = params->one_host && t->n_ranks > 1;
	shm_layout_init(&t->layout, t->n_local, fr_settings()->shm_ring);
	status = shm_memory_create(t, why, why_bytes);
	if (status == FERRULE_OK)
		status = fr_private_listen(&t->meeting, why, why_bytes);
	if (status != FERRULE_OK)
		goto err_close;
	*out = &t->base;
	return FERRULE_OK;
err_close:
	close_transport(&t->base);
	return status;
}

static size_t address(struct fr_transport *base, void *buf)
{
	memcpy(buf, shm_of(base)->meeting.path, sizeof(shm_of(base)->meeting.path));
	return sizeof(shm_of(base)->meeting.path);
}

static struct fr_ep *endpoint(struct fr_transport *base, int peer)
{
	return &shm_of(base)->peers[peer]->ep;
}

static struct fr_board *board(struct fr_transport *base)
{
	static const size_t payloads[FR_BOARD_N_CLASSES] = {
#define SHM_BOARD_PAYLOAD(index, payload, slots) [index] = payload,
		SHM_BOARD_CLASSES(SHM_BOARD_PAYLOAD)
#undef SHM_BOARD_PAYLOAD
	};
	static const uint32_t slots[FR_BOARD_N_CLASSES] = {
#define SHM_BOARD_SLOTS(index, payload, slots) [index] = slots,
		SHM_BOARD_CLASSES(SHM_BOARD_SLOTS)
#undef SHM_BOARD_SLOTS
	};
	struct shm_transport *t = shm_of(base);

	if (!t->has_board)
		return NULL;
	t->board.n_ranks = t->n_ranks;
	for (int c = 0; c < FR_BOARD_N_CLASSES; c++) {
		struct fr_board_class *class = &t->board.classes[c];

		class->payload = payloads[c];
		class->n_slots = slots[c];
		class->stride = t->layout.stride[c];
		for (int r = 0; r < t->n_ranks; r++) {
			unsigned char *segment =
				r == t->rank ? t->segment.at : t->peers[r]->segment.at;

			class->base[r] = segment + t->layout.slots[c];
			class->acks[r] = segment + t->layout.acks[c];
		}
	}
	return &t->board;
}

static void announce(struct fr_transport *base, const struct fr_call *call)
{
	struct shm_status *status = shm_of(base)->status;
	const uint32_t next = status->last_call + 1;

	status->calls[next % SHM_N_CALLS].call = *call;
	status->last_call = next;
}

static void tell_wait(struct fr_transport *base, const struct fr_wait *wait)
{
	shm_of(base)->status->wait = *wait;
}

/* Nobody wakes a sleeper here: a store that had to look for sleepers would cost every small
 * message a fence.  So naps are short. */
static void nap(struct fr_transport *base, uint64_t ns)
{
	const struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u),
	                           .tv_nsec = (long)(ns % 1000000000u)};

	(void)base;
	nanosleep(&t, NULL);
}

static void abort_peers(struct fr_transport *base, const char *reason)
{
	struct shm_status *status = shm_of(base)->status;

	if (atomic_load_explicit(&status->state, memory_order_relaxed) != SHM_ALIVE)
		return;
	snprintf(status->abort_text, sizeof(status->abort_text), "%s", reason);
	atomic_store_explicit(&status->state, SHM_ABORTED, memory_order_release);
}

static uint64_t memory_bytes(struct fr_transport *base)
{
	const struct shm_transport *t = shm_of(base);
	uint64_t bytes = sizeof(*t) + t->layout.streams;

	for (int r = 0; r < t->n_ranks; r++)
		if (t->peers[r])
			bytes += sizeof(struct shm_peer) + t->layout.ring +
			         (t->peers[r]->tx.backed ? t->layout.ring_bytes : 0);
	return bytes;
}

const struct fr_transport_ops fr_transport_shm = {
	.name = "shm",
	.summary = "shared memory between processes of one host",
	.board_bytes = SHM_BOARD_BYTES,
	.usable = usable,
	.reaches = reaches,
	.descriptors = descriptors,
	.open = open_transport,
	.address = address,
	.connect = shm_connect,
	.ep = endpoint,
	.board = board,
	.announce = announce,
	.wait = tell_wait,
	.nap = nap,
	.abort = abort_peers,
	.mem_alloc = shm_arena_alloc,
	.mem_free = shm_arena_free,
	.memory_bytes = memory_bytes,
	.close = close_transport,
};
