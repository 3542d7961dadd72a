/* Messages: alone, in pairs, in groups, to oneself, and without elements. */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api/t_job.h"
#include "tests/support/t_main.h"

#define MAX_RANKS 8

static const char *const transports[] = {"shm", "tcp"};

static int32_t stamp(int from, int to, size_t i)
{
	return (int32_t)(from * 100000 + to * 1000 + (int)(i % 997));
}

static void fill(int32_t *data, size_t count, int from, int to)
{
	for (size_t i = 0; i < count; i++)
		data[i] = stamp(from, to, i);
}

static void check(struct t_job_rank *r, const int32_t *data, size_t count, int from, int to)
{
	for (size_t i = 0; i < count; i++)
		if (!t_check(r, data[i] == stamp(from, to, i)))
			return;
}

/* Even ranks send to the next, which sends back. */
static void pingpong(struct t_job_rank *r)
{
	static const size_t counts[] = {1, 2, 14, 100, 4096, 100000};
	const int peer = r->rank ^ 1;
	int32_t *data = malloc(100000 * sizeof(*data));

	for (int k = 0; k < 6 && peer < r->n; k++) {
		if (r->rank % 2 == 0) {
			fill(data, counts[k], r->rank, peer);
			t_ok(r, ferrule_send(r->comm, data, counts[k], FERRULE_INT32, peer));
			t_ok(r, ferrule_recv(r->comm, data, counts[k], FERRULE_INT32, peer));
			check(r, data, counts[k], r->rank, peer);
		} else {
			t_ok(r, ferrule_recv(r->comm, data, counts[k], FERRULE_INT32, peer));
			t_ok(r, ferrule_send(r->comm, data, counts[k], FERRULE_INT32, peer));
		}
	}
	free(data);
}

/* Small messages may be sent before anybody receives; they arrive in order. */
static void order(struct t_job_rank *r)
{
	int32_t x;

	for (int i = 0; i < 8 && r->rank == 0; i++) {
		x = i;
		t_ok(r, ferrule_send(r->comm, &x, 1, FERRULE_INT32, 1));
	}
	for (int i = 0; i < 8 && r->rank == 1; i++) {
		t_ok(r, ferrule_recv(r->comm, &x, 1, FERRULE_INT32, 0));
		t_check(r, x == i);
	}
}

static void around(struct t_job_rank *r)
{
	static const size_t counts[] = {0, 1, 1000, 50000};
	const int right = (r->rank + 1) % r->n, left = (r->rank + r->n - 1) % r->n;
	int32_t *out = malloc(50000 * sizeof(*out)), *in = malloc(50000 * sizeof(*in));
	ferrule_op_t op;

	for (int k = 0; k < 4; k++) {
		fill(out, counts[k], r->rank, right);
		t_ok(r, ferrule_sendrecv(r->comm, out, counts[k], right, in, counts[k], left,
		                         FERRULE_INT32));
		check(r, in, counts[k], left, r->rank);
		memset(in, 0, 50000 * sizeof(*in));
		t_ok(r, ferrule_sendrecv_start(r->comm, out, counts[k], right, in, counts[k], left,
		                               FERRULE_INT32, &op));
		t_ok(r, ferrule_op_wait(op));
		t_ok(r, ferrule_op_destroy(op));
		check(r, in, counts[k], left, r->rank);
	}
	t_ok(r,
	     ferrule_sendrecv_init(r->comm, out, 1000, right, in, 1000, left, FERRULE_INT32, &op));
	for (int k = 0; k < 3; k++) {
		out[0] = k;
		t_ok(r, ferrule_op_start(op));
		t_ok(r, ferrule_op_wait(op));
		t_check(r, in[0] == k);
	}
	t_ok(r, ferrule_op_destroy(op));
	free(out);
	free(in);
}

/* Everybody to everybody, itself included, receives first and in reverse. */
static void group_of_all(struct t_job_rank *r, size_t count, int started)
{
	int32_t *out[MAX_RANKS], *in[MAX_RANKS];
	ferrule_op_t op;

	for (int p = 0; p < r->n; p++) {
		out[p] = malloc((count + 1) * sizeof(**out));
		in[p] = calloc(count + 1, sizeof(**in));
		fill(out[p], count, r->rank, p);
	}
	t_ok(r, ferrule_group_begin(r->comm));
	for (int p = r->n - 1; p >= 0; p--)
		t_ok(r, ferrule_recv(r->comm, in[p], count, FERRULE_INT32, p));
	for (int p = 0; p < r->n; p++)
		t_ok(r, ferrule_send(r->comm, out[p], count, FERRULE_INT32, p));
	if (started) {
		t_ok(r, ferrule_group_end_start(r->comm, &op));
		t_ok(r, ferrule_op_wait(op));
		t_ok(r, ferrule_op_destroy(op));
	} else {
		t_ok(r, ferrule_group_end(r->comm));
	}
	for (int p = 0; p < r->n; p++) {
		check(r, in[p], count, p, r->rank);
		free(out[p]);
		free(in[p]);
	}
}

static void groups(struct t_job_rank *r)
{
	static const size_t counts[] = {0, 1, 300, 20000};

	for (int k = 0; k < 4; k++) {
		group_of_all(r, counts[k], 0);
		group_of_all(r, counts[k], 1);
	}
	/* An empty group is nothing. */
	t_ok(r, ferrule_group_begin(r->comm));
	t_ok(r, ferrule_group_end(r->comm));
}

/* Several messages of different sizes to one peer in one group keep their order. */
static void several_in_a_group(struct t_job_rank *r)
{
	const int right = (r->rank + 1) % r->n, left = (r->rank + r->n - 1) % r->n;
	int32_t out[600], in[600];

	memset(in, 0, sizeof(in));
	fill(out, 600, r->rank, right);
	t_ok(r, ferrule_group_begin(r->comm));
	for (int k = 0; k < 3; k++) {
		t_ok(r, ferrule_send(r->comm, out + 100 * k * k, (size_t)(100 + k), FERRULE_INT32,
		                     right));
		t_ok(r,
		     ferrule_recv(r->comm, in + 150 * k, (size_t)(100 + k), FERRULE_INT32, left));
	}
	t_ok(r, ferrule_group_end(r->comm));
	for (int k = 0; k < 3; k++)
		for (int i = 0; i < 100 + k; i++)
			if (!t_check(r, in[150 * k + i] ==
			                        stamp(left, r->rank, (size_t)(100 * k * k + i))))
				return;
}

/* A message without elements is one like any other, and needs no buffer. */
static void empty_messages(struct t_job_rank *r)
{
	int32_t x = 7, y = 0;

	if (r->rank == 0) {
		t_ok(r, ferrule_send(r->comm, NULL, 0, FERRULE_INT32, 1));
		t_ok(r, ferrule_send(r->comm, &x, 1, FERRULE_INT32, 1));
	}
	if (r->rank == 1) {
		t_ok(r, ferrule_recv(r->comm, NULL, 0, FERRULE_INT32, 0));
		t_ok(r, ferrule_recv(r->comm, &y, 1, FERRULE_INT32, 0));
		t_check(r, y == 7);
	}
}

static void mixed_with_collectives(struct t_job_rank *r)
{
	const int right = (r->rank + 1) % r->n, left = (r->rank + r->n - 1) % r->n;
	float x = 1, sum;
	int32_t out = r->rank, in;

	for (int i = 0; i < 30; i++) {
		t_ok(r, ferrule_allreduce(r->comm, &x, &sum, 1, FERRULE_FLOAT32, FERRULE_SUM));
		t_check(r, sum == (float)r->n);
		t_ok(r, ferrule_sendrecv(r->comm, &out, 1, right, &in, 1, left, FERRULE_INT32));
		t_check(r, in == left);
	}
}

static void messages(struct t_job_rank *r)
{
	pingpong(r);
	order(r);
	around(r);
	groups(r);
	several_in_a_group(r);
	empty_messages(r);
	mixed_with_collectives(r);
}

static void test_messages(void)
{
	static const int ranks[] = {2, 3, 5};

	for (int t = 0; t < 2; t++)
		for (int i = 0; i < 3; i++)
			t_job(ranks[i], transports[t], NULL, messages, NULL);
}

/* One rank alone can still talk to itself. */
static void alone(struct t_job_rank *r)
{
	int32_t out[4] = {1, 2, 3, 4}, in[4] = {0};

	t_ok(r, ferrule_group_begin(r->comm));
	t_ok(r, ferrule_send(r->comm, out, 4, FERRULE_INT32, 0));
	t_ok(r, ferrule_recv(r->comm, in, 4, FERRULE_INT32, 0));
	t_ok(r, ferrule_group_end(r->comm));
	t_check(r, memcmp(in, out, sizeof(in)) == 0);
	memset(in, 0, sizeof(in));
	t_ok(r, ferrule_sendrecv(r->comm, out, 4, 0, in, 4, 0, FERRULE_INT32));
	t_check(r, memcmp(in, out, sizeof(in)) == 0);
}

static void test_alone(void)
{
	t_job(1, NULL, NULL, alone, NULL);
}

static void bad_groups(struct t_job_rank *r)
{
	int32_t x = 1, y[2];
	ferrule_op_t op;

	t_fails(r, ferrule_send(r->comm, &x, 1, FERRULE_INT32, r->rank), FERRULE_ERR_ARGUMENT);
	t_says(r, "peer");
	t_fails(r, ferrule_group_end(r->comm), FERRULE_ERR_ARGUMENT);
	t_ok(r, ferrule_group_begin(r->comm));
	t_fails(r, ferrule_group_begin(r->comm), FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_barrier(r->comm), FERRULE_ERR_ARGUMENT);
	t_says(r, "ferrule_group_end");
	t_fails(r, ferrule_send_start(r->comm, &x, 1, FERRULE_INT32, r->rank, &op),
	        FERRULE_ERR_ARGUMENT);
	t_ok(r, ferrule_group_end(r->comm));
	/* A failed member fails the group, and the communicator lives on. */
	t_ok(r, ferrule_group_begin(r->comm));
	t_fails(r, ferrule_send(r->comm, NULL, 1, FERRULE_INT32, (r->rank + 1) % r->n),
	        FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_group_end(r->comm), FERRULE_ERR_ARGUMENT);
	t_ok(r, ferrule_group_begin(r->comm));
	t_ok(r, ferrule_send(r->comm, &x, 1, FERRULE_INT32, r->rank));
	t_fails(r, ferrule_group_end(r->comm), FERRULE_ERR_ARGUMENT);
	t_says(r, "no recv");
	t_ok(r, ferrule_group_begin(r->comm));
	t_ok(r, ferrule_send(r->comm, &x, 1, FERRULE_INT32, r->rank));
	t_ok(r, ferrule_recv(r->comm, y, 2, FERRULE_INT32, r->rank));
	t_fails(r, ferrule_group_end(r->comm), FERRULE_ERR_MISMATCH);
	t_ok(r, ferrule_barrier(r->comm));
}

static void test_bad_groups(void)
{
	t_job(2, "shm", NULL, bad_groups, NULL);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"messages in every form", test_messages},
		{"a rank alone", test_alone},
		{"groups that make no sense", test_bad_groups},
		{NULL, NULL},
	};

	return t_main("p2p", cases);
}
