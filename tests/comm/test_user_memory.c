/* Memory that is had, registered and given back, with transports that count who tells them. */
#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/base/error.h"
#include "lib/comm/comm.h"
#include "lib/comm/user_memory.h"
#include "lib/mem/region.h"
#include "lib/transport/transport.h"
#include "tests/support/t_main.h"

#define LIMIT ((uint64_t)1 << 40)

/* A transport that registers, or gives memory of its own, or neither. */
struct device {
	struct fr_transport base;
	int n_registered, n_deregistered, n_allocated, n_freed;
	ferrule_status_t refuses; /* what the next registration returns */
	uintptr_t last;           /* registered or deregistered */
	size_t last_bytes;
};

static ferrule_status_t take(struct fr_transport *t, const struct fr_mem_block *block, char *why,
                             size_t why_bytes)
{
	struct device *d = (struct device *)t;
	const ferrule_status_t status = d->refuses;

	d->refuses = FERRULE_OK;
	snprintf(why, why_bytes, "the device is full");
	if (status != FERRULE_OK)
		return status;
	CU_ASSERT_EQUAL(block->kind, FR_MEM_HOST);
	CU_ASSERT_EQUAL(block->dmabuf_fd, -1);
	d->n_registered++;
	d->last = (uintptr_t)block->base;
	d->last_bytes = block->bytes;
	return FERRULE_OK;
}

static ferrule_status_t forget(struct fr_transport *t, const void *base, char *why,
                               size_t why_bytes)
{
	struct device *d = (struct device *)t;

	(void)why;
	(void)why_bytes;
	d->n_deregistered++;
	d->last = (uintptr_t)base;
	return FERRULE_OK;
}

static ferrule_status_t own_alloc(struct fr_transport *t, size_t bytes, void **out)
{
	((struct device *)t)->n_allocated++;
	*out = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
	return *out ? FERRULE_OK : FERRULE_ERR_NO_MEMORY;
}

static ferrule_status_t own_free(struct fr_transport *t, void *ptr)
{
	((struct device *)t)->n_freed++;
	free(ptr);
	return FERRULE_OK;
}

static const struct fr_transport_ops plain_ops = {.name = "plain"};
static const struct fr_transport_ops giving_ops = {
	.name = "giving", .mem_alloc = own_alloc, .mem_free = own_free};
static const struct fr_transport_ops registering_ops = {
	.name = "registering", .mem_register = take, .mem_deregister = forget};
/* Has memory of its own, which it need not be told of. */
static const struct fr_transport_ops both_ops = {.name = "both",
                                                 .mem_alloc = own_alloc,
                                                 .mem_free = own_free,
                                                 .mem_register = take,
                                                 .mem_deregister = forget};

struct bench {
	struct ferrule_comm comm;
	struct device devices[3];
	struct fr_transport *list[4];
};

static void begin(struct bench *b, const struct fr_transport_ops *const *ops)
{
	memset(b, 0, sizeof(*b));
	b->comm.memory_limit = LIMIT;
	b->comm.transports = b->list;
	for (int i = 0; ops[i]; i++) {
		b->devices[i].base.ops = ops[i];
		b->list[b->comm.n_transports++] = &b->devices[i].base;
	}
}

static void end(struct bench *b)
{
	fr_user_memory_fini(&b->comm);
	CU_ASSERT_PTR_NULL(b->comm.user_memory);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(b->devices[i].n_allocated, b->devices[i].n_freed);
}

static void test_memory_of_one_transport_is_made_known_to_the_others(void)
{
	static const struct fr_transport_ops *const ops[] = {&giving_ops, &plain_ops,
	                                                     &registering_ops, NULL};
	struct bench b;
	void *p = NULL;

	begin(&b, ops);
	CU_ASSERT_EQUAL(fr_user_memory_alloc(&b.comm, 10000, &p), FERRULE_OK);
	CU_ASSERT_EQUAL(b.devices[0].n_allocated, 1);
	CU_ASSERT_EQUAL(b.devices[2].n_registered, 1);
	CU_ASSERT_EQUAL(b.devices[2].last, (uintptr_t)p);
	CU_ASSERT_EQUAL(b.devices[2].last_bytes, 10000);
	CU_ASSERT_EQUAL(fr_user_memory_free(&b.comm, p), FERRULE_OK);
	CU_ASSERT_EQUAL(b.devices[2].n_deregistered, 1);
	CU_ASSERT_EQUAL(b.devices[0].n_freed, 1);
	end(&b);
}

static void test_a_transport_need_not_be_told_of_its_own_memory(void)
{
	static const struct fr_transport_ops *const ops[] = {&both_ops, NULL};
	struct bench b;
	void *p = NULL;

	begin(&b, ops);
	CU_ASSERT_EQUAL(fr_user_memory_alloc(&b.comm, 10000, &p), FERRULE_OK);
	CU_ASSERT_EQUAL(b.devices[0].n_registered, 0);
	CU_ASSERT_EQUAL(fr_user_memory_free(&b.comm, p), FERRULE_OK);
	end(&b);
}

static void test_plain_pages_are_made_known_and_unmapped_in_the_end(void)
{
	static const struct fr_transport_ops *const ops[] = {&plain_ops, &registering_ops, NULL};
	struct bench b;
	unsigned char *p = NULL, *q = NULL, is_there;

	begin(&b, ops);
	CU_ASSERT_EQUAL(fr_user_memory_alloc(&b.comm, 8192, (void **)&p), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_user_memory_alloc(&b.comm, 0, (void **)&q), FERRULE_OK);
	CU_ASSERT_TRUE((uintptr_t)p % 4096 == 0 && p[0] == 0 && p[8191] == 0);
	CU_ASSERT_EQUAL(b.devices[1].n_registered, 2);
	CU_ASSERT_EQUAL(fr_user_memory_free(&b.comm, p), FERRULE_OK);
	CU_ASSERT_EQUAL(b.devices[1].n_deregistered, 1);
	CU_ASSERT_NOT_EQUAL(mincore(p, 8192, &is_there), 0);
	end(&b); /* q is left to it */
	CU_ASSERT_NOT_EQUAL(mincore(q, 4096, &is_there), 0);
}

static void test_memory_that_could_not_be_made_known_is_given_out_all_the_same(void)
{
	static const struct fr_transport_ops *const ops[] = {&registering_ops, NULL};
	struct bench b;
	void *p = NULL;

	begin(&b, ops);
	b.devices[0].refuses = FERRULE_ERR_NO_MEMORY;
	CU_ASSERT_EQUAL(fr_user_memory_alloc(&b.comm, 8192, &p), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_user_memory_free(&b.comm, p), FERRULE_OK);
	CU_ASSERT_EQUAL(b.devices[0].n_deregistered, 0);
	CU_ASSERT_EQUAL(fr_user_memory_alloc(&b.comm, LIMIT + 1, &p), FERRULE_ERR_NO_MEMORY);
	end(&b);
}

static void test_own_memory_is_registered_with_all_that_want_it_and_counts(void)
{
	static const struct fr_transport_ops *const ops[] = {&both_ops, &plain_ops,
	                                                     &registering_ops, NULL};
	static unsigned char mine[3000];
	struct bench b;

	begin(&b, ops);
	CU_ASSERT_EQUAL(fr_user_memory_register(&b.comm, mine, 3000), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_user_memory_register(&b.comm, mine, 3000), FERRULE_OK);
	CU_ASSERT_TRUE(b.devices[0].n_registered == 1 && b.devices[2].n_registered == 1);
	CU_ASSERT_EQUAL(fr_user_memory_deregister(&b.comm, mine), FERRULE_OK);
	CU_ASSERT_EQUAL(b.devices[0].n_deregistered, 0);
	CU_ASSERT_EQUAL(fr_user_memory_deregister(&b.comm, mine), FERRULE_OK);
	CU_ASSERT_TRUE(b.devices[0].n_deregistered == 1 && b.devices[2].n_deregistered == 1);
	CU_ASSERT_EQUAL(fr_user_memory_deregister(&b.comm, mine), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), "ferrule_mem_register"));
	end(&b);
}

static void test_a_refusal_undoes_what_others_took_and_names_who(void)
{
	static const struct fr_transport_ops *const ops[] = {&both_ops, &registering_ops, NULL};
	static unsigned char mine[3000];
	struct bench b;

	begin(&b, ops);
	b.devices[1].refuses = FERRULE_ERR_NO_MEMORY;
	CU_ASSERT_EQUAL(fr_user_memory_register(&b.comm, mine, 3000), FERRULE_ERR_NO_MEMORY);
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), "registering cannot register 3000 bytes"));
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), "the device is full"));
	CU_ASSERT_TRUE(b.devices[0].n_registered == 1 && b.devices[0].n_deregistered == 1);
	CU_ASSERT_EQUAL(fr_user_memory_deregister(&b.comm, mine), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_EQUAL(fr_user_memory_register(&b.comm, mine, 3000), FERRULE_OK);
	end(&b);
}

static void test_ranges_that_overlap_or_are_none_are_refused(void)
{
	/* With transports that do not care: the rule is the same everywhere. */
	static const struct fr_transport_ops *const ops[] = {&plain_ops, NULL};
	static unsigned char mine[3000];
	struct bench b;

	begin(&b, ops);
	CU_ASSERT_EQUAL(fr_user_memory_register(&b.comm, NULL, 1), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_EQUAL(fr_user_memory_register(&b.comm, mine, 0), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_EQUAL(fr_user_memory_register(&b.comm, mine, SIZE_MAX), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_EQUAL(fr_user_memory_register(&b.comm, mine + 1000, 1000), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_user_memory_register(&b.comm, mine + 1000, 999), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_EQUAL(fr_user_memory_register(&b.comm, mine + 1999, 1), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_EQUAL(fr_user_memory_register(&b.comm, mine, 1001), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), "overlap the 1000 bytes"));
	CU_ASSERT_EQUAL(fr_user_memory_register(&b.comm, mine, 1000), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_user_memory_register(&b.comm, mine + 2000, 1000), FERRULE_OK);
	end(&b);
}

static void test_a_part_of_memory_that_was_given_out_is_registered_already(void)
{
	static const struct fr_transport_ops *const ops[] = {&registering_ops, NULL};
	struct bench b;
	unsigned char *p = NULL;

	begin(&b, ops);
	CU_ASSERT_EQUAL(fr_user_memory_alloc(&b.comm, 8192, (void **)&p), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_user_memory_register(&b.comm, p, 4096), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_user_memory_register(&b.comm, p + 8000, 192), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_user_memory_register(&b.comm, p + 8000, 193), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_EQUAL(b.devices[0].n_registered, 1);
	CU_ASSERT_EQUAL(fr_user_memory_free(&b.comm, p), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), "still registered"));
	CU_ASSERT_EQUAL(fr_user_memory_deregister(&b.comm, p), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_user_memory_deregister(&b.comm, p + 8000), FERRULE_OK);
	CU_ASSERT_EQUAL(b.devices[0].n_deregistered, 0);
	CU_ASSERT_EQUAL(fr_user_memory_free(&b.comm, p), FERRULE_OK);
	CU_ASSERT_EQUAL(b.devices[0].n_deregistered, 1);
	end(&b);
}

static void test_neither_call_takes_back_what_the_other_gave(void)
{
	static const struct fr_transport_ops *const ops[] = {&plain_ops, NULL};
	static unsigned char mine[100];
	struct bench b;
	void *p = NULL;

	begin(&b, ops);
	CU_ASSERT_EQUAL(fr_user_memory_alloc(&b.comm, 100, &p), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_user_memory_register(&b.comm, mine, 100), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_user_memory_deregister(&b.comm, p), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_EQUAL(fr_user_memory_free(&b.comm, mine), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_EQUAL(fr_user_memory_free(&b.comm, p), FERRULE_OK);
	end(&b);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"memory of one transport is made known to the others",
	         test_memory_of_one_transport_is_made_known_to_the_others},
		{"a transport need not be told of its own memory",
	         test_a_transport_need_not_be_told_of_its_own_memory},
		{"plain pages are made known and unmapped in the end",
	         test_plain_pages_are_made_known_and_unmapped_in_the_end},
		{"memory that could not be made known is given out all the same",
	         test_memory_that_could_not_be_made_known_is_given_out_all_the_same},
		{"own memory is registered with all that want it, and counts",
	         test_own_memory_is_registered_with_all_that_want_it_and_counts},
		{"a refusal undoes what others took and names who",
	         test_a_refusal_undoes_what_others_took_and_names_who},
		{"ranges that overlap or are none are refused",
	         test_ranges_that_overlap_or_are_none_are_refused},
		{"a part of memory that was given out is registered already",
	         test_a_part_of_memory_that_was_given_out_is_registered_already},
		{"neither call takes back what the other gave",
	         test_neither_call_takes_back_what_the_other_gave},
		{NULL, NULL},
	};
	return t_main("comm/user_memory", cases);
}
