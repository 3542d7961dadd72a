/*
 * A peer that has proved the key and then writes what it likes into the memory both map: it may
 * spoil the communicator, but makes nobody read or write outside of that memory.
 */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/transport/shm/shm.h"
#include "tests/support/t_main.h"
#include "tests/transport/t_world.h"

#define BIG ((uint64_t)1 << 20)

static const struct t_subject *get_subject(struct t_subject *s)
{
	*s = (struct t_subject){.ops = fr_transport_find("shm")};
	return s;
}

static struct shm_peer *peer(struct t_rank *r)
{
	return (struct shm_peer *)t_rank_ep(r, 1 - r->rank);
}

/* ---- headers ---- */

/* What rank 1 writes where the header of its first message belongs, and what rank 0 expects. */
struct lie {
	uint32_t kind, inline_bytes;
	uint64_t bytes, begin, produced, place;
	uint64_t expected; /* bytes of the message that rank 0 waits for */
	bool is_anywhere;  /* rank 0 does not say where it shall go */
	const char *complaint;
};

static const struct lie lies[] = {
	{.kind = SHM_KIND_INLINE, .inline_bytes = BIG, .expected = BIG, .complaint = "bad length"},
	{.kind = SHM_KIND_INLINE, .inline_bytes = 49, .expected = 49, .complaint = "bad length"},
	{.kind = SHM_KIND_STAGED,
         .bytes = BIG,
         .begin = 7,
         .produced = 7,
         .expected = BIG,
         .complaint = "bad position"},
	{.kind = SHM_KIND_STAGED,
         .bytes = BIG,
         .produced = BIG + 1,
         .expected = BIG,
         .complaint = "bad length"},
	{.kind = SHM_KIND_STAGED,
         .bytes = BIG,
         .begin = 64,
         .produced = 0,
         .expected = BIG,
         .complaint = "bad length"},
	{.kind = SHM_KIND_MAPPED,
         .bytes = BIG,
         .produced = BIG,
         .place = UINT64_MAX - 64,
         .expected = BIG,
         .complaint = "bad place"},
	{.kind = SHM_KIND_MAPPED,
         .bytes = BIG,
         .produced = BIG,
         .place = (uint64_t)1 << 50,
         .expected = BIG,
         .complaint = "bad place"},
	{.kind = SHM_KIND_PUT,
         .bytes = BIG,
         .produced = BIG,
         .expected = BIG,
         .is_anywhere = true,
         .complaint = "bad kind"},
	{.kind = 0, .bytes = BIG, .produced = BIG, .expected = BIG, .complaint = "bad kind"},
	{.kind = 77, .bytes = BIG, .produced = BIG, .expected = BIG, .complaint = "bad kind"},
};
#define N_LIES (sizeof(lies) / sizeof(lies[0]))
static const struct lie *told;

static void tell(struct t_rank *r, const struct fr_call *call)
{
	struct shm_header *h = &peer(r)->tx.stream->headers[0];

	h->signature = call->signature;
	h->kind = told->kind;
	if (told->kind == SHM_KIND_INLINE) {
		h->inline_bytes = told->inline_bytes;
	} else {
		h->large.bytes = told->bytes;
		h->large.begin = told->begin;
		h->large.produced = told->produced;
		h->large.place = told->place;
	}
	atomic_store_explicit(&h->flag, 1, memory_order_release);
}

static int rank_with_a_liar(struct t_rank *r)
{
	const struct fr_call call = t_call(1);

	T_CHECK(t_rank_open(r, 8) == FERRULE_OK);
	if (r->rank == 1) {
		tell(r, &call);
		T_CHECK(t_rank_barrier(r));
		T_CHECK(t_rank_barrier(r));
		return 0;
	}
	unsigned char *memory = calloc(1, told->expected);
	const struct fr_message m = {.call = &call,
	                             .bytes = told->expected,
	                             .memory = told->is_anywhere ? NULL : memory};
	struct fr_ep *ep = t_rank_ep(r, 1);

	T_CHECK(memory != NULL);
	T_CHECK(t_rank_barrier(r));
	T_CHECK(ep->ops->recv_begin(ep, &m) == FERRULE_ERR_PROTOCOL);
	T_CHECK(strstr(ep->why, told->complaint) != NULL);
	T_CHECK(strstr(ep->why, "rank 1") != NULL);
	T_CHECK(t_rank_barrier(r));
	free(memory);
	return 0;
}

static void test_headers_that_lie(void)
{
	struct t_subject s;

	for (size_t i = 0; i < N_LIES; i++) {
		told = &lies[i];
		const int failed = t_world_run(get_subject(&s), 2, 20, rank_with_a_liar, NULL);

		if (failed != 0)
			printf("      lie %zu: kind %u\n", i, told->kind);
		CU_ASSERT_EQUAL(failed, 0);
	}
}

/* ---- posts ---- */

/* Rank 1 posts a place beside its arena; rank 0 must send another way. */
static int rank_with_a_bad_post(struct t_rank *r)
{
	static const uint64_t places[] = {UINT64_MAX - 1, (uint64_t)1 << 50};
	const struct fr_call call = t_call(1);
	unsigned char *memory = calloc(1, BIG);

	T_CHECK(memory != NULL);
	T_CHECK(t_rank_open(r, 8) == FERRULE_OK);
	for (uint32_t i = 0; i < 2; i++) {
		if (r->rank == 1) {
			struct shm_transport *t = (struct shm_transport *)r->t;
			struct shm_post *post = &peer(r)->rx.stream->posts[i];

			atomic_store(&t->status->arena_in_use, 1);
			post->place = places[i];
			atomic_store_explicit(&post->flag, i + 1, memory_order_release);
			/* It is posted already. */
			peer(r)->rx.posted++;
		}
		T_CHECK(t_rank_barrier(r));
		struct t_move move = {.peer = 1 - r->rank,
		                      .is_send = r->rank == 0,
		                      .call = &call,
		                      .memory = memory,
		                      .bytes = BIG};
		if (r->rank == 0)
			t_fill(memory, BIG, i);
		T_CHECK(t_pump(r, &move, 1, 8, NULL) == FERRULE_OK);
		T_CHECK(t_differs(memory, BIG, i) == BIG);
		T_CHECK(t_rank_barrier(r));
	}
	free(memory);
	return 0;
}

static void test_a_post_beside_the_arena(void)
{
	struct t_subject s;

	CU_ASSERT_EQUAL(t_world_run(get_subject(&s), 2, 20, rank_with_a_bad_post, NULL), 0);
}

/* ---- memory that is handed over ---- */

/* A memory file of `bytes`, which may never become shorter when `is_sealed`. */
static int memory_file(size_t bytes, bool is_sealed)
{
	const int fd = memfd_create("handed-over", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CU_ASSERT_FATAL(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
	CU_ASSERT_FATAL(!is_sealed || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
	return fd;
}

static void test_memory_that_is_or_may_become_too_short(void)
{
	static const struct {
		size_t bytes;
		bool is_sealed;
		ferrule_status_t status;
	} files[] = {
		{65535, true, FERRULE_ERR_PROTOCOL},
		{65536, false, FERRULE_ERR_PROTOCOL},
		{65536, true, FERRULE_OK},
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		const int fd = memory_file(files[i].bytes, files[i].is_sealed);
		struct shm_map map = {0};

		CU_ASSERT_EQUAL(shm_memory_adopt(&map, fd, 65536), files[i].status);
		CU_ASSERT_EQUAL(map.at != NULL, files[i].status == FERRULE_OK);
		shm_memory_drop(&map);
		close(fd);
	}
}

int main(void)
{
	static const struct t_case cases[] = {
		{"headers that lie", test_headers_that_lie},
		{"a post beside the arena", test_a_post_beside_the_arena},
		{"memory that is, or may become, too short",
	         test_memory_that_is_or_may_become_too_short},
		{NULL, NULL},
	};

	return t_main("transport/shm_dishonest", cases);
}
