/* The connection beside the measured path believes nothing and never waits for ever. */
#include "config.h"

#include "lib/perf/perf_control.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "tests/support/t_main.h"

/* Our end, and the bare socket of the other one. */
struct ends {
	struct fr_perf_control control;
	int other;
};

static struct ends open_ends(double timeout_s)
{
	struct ferrule_perf_params params;
	struct ends e;
	int fds[2];

	ferrule_perf_defaults(&params, sizeof(params), FERRULE_PERF_BW, FERRULE_PERF_WRITE);
	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	params.control_fd = fds[0];
	params.timeout_s = timeout_s;
	CU_ASSERT_FATAL(fr_perf_control_open(&e.control, &params) == FERRULE_OK);
	e.other = fds[1];
	return e;
}

static void close_ends(struct ends *e)
{
	fr_perf_control_close(&e->control);
	close(e->other);
}

static bool says(const char *text)
{
	return strstr(fr_error_text(), text) != NULL;
}

static ferrule_status_t receive(struct ends *e, enum fr_perf_kind kind, size_t most)
{
	char data[64];
	size_t bytes = most;

	return fr_perf_control_receive(&e->control, kind, data, &bytes, e->control.timeout_s);
}

static void test_frames_that_make_no_sense(void)
{
	static const struct {
		const char *frame;
		size_t bytes;
		const char *text;
	} rows[] = {
		{"GET / HTTP/1.1", 14, "does not speak the protocol"},
		{"FRPF\x04\0\x09\0\x08\0\0\0abcdefgh", 20, "speaks version 9"},
		{"FRPF\x04\0\x02\0\0\0\0\x10", 12, "frame of 268435456 bytes"},
		{"FRPF\x05\0\x02\0\x08\0\0\0abcdefgh", 20, "expected frame 4"},
		{"FRPF\x04\0\x02\0\x20\0\0\0abcdefghabcdefghabcdefghabcdefgh", 44, "of at most 8"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ends e = open_ends(2);
		CU_ASSERT_EQUAL(write(e.other, rows[i].frame, rows[i].bytes),
		                (ssize_t)rows[i].bytes);
		CU_ASSERT_EQUAL(receive(&e, FR_PERF_READY, 8), FERRULE_ERR_PROTOCOL);
		CU_ASSERT(says(rows[i].text));
		close_ends(&e);
	}
}

static void test_reason_of_the_other_side(void)
{
	/* Control characters of a stranger do not reach the terminal. */
	static const char frame[] = "FRPF\x08\0\x02\0\x08\0\0\0\x1b[31mno!";
	struct ends e = open_ends(2);

	CU_ASSERT_EQUAL(write(e.other, frame, 20), 20);
	CU_ASSERT_EQUAL(fr_perf_control_peek(&e.control), FERRULE_ERR_ABORTED);
	CU_ASSERT(says("gave up: ?[31mno!"));
	close_ends(&e);

	e = open_ends(2);
	struct fr_perf_control other = {.fd = e.other, .timeout_s = 2};
	fr_perf_control_fault(&other, "no such device");
	CU_ASSERT_EQUAL(receive(&e, FR_PERF_READY, 8), FERRULE_ERR_ABORTED);
	CU_ASSERT(says("no such device"));
	close_ends(&e);
}

static void test_done_is_taken_by_a_peek(void)
{
	struct ends e = open_ends(2);
	struct fr_perf_control other = {.fd = e.other, .timeout_s = 2};

	CU_ASSERT_EQUAL(fr_perf_control_peek(&e.control), FERRULE_OK);
	CU_ASSERT(!e.control.peer_done);
	/* What else comes stays where it is. */
	CU_ASSERT_EQUAL(fr_perf_control_send(&other, FR_PERF_DONE, NULL, 0), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_perf_control_send(&other, FR_PERF_READY, "12345678", 8), FERRULE_OK);
	CU_ASSERT_EQUAL(fr_perf_control_peek(&e.control), FERRULE_OK);
	CU_ASSERT(e.control.peer_done);
	CU_ASSERT_EQUAL(fr_perf_control_peek(&e.control), FERRULE_OK);
	CU_ASSERT_EQUAL(receive(&e, FR_PERF_READY, 8), FERRULE_OK);
	close_ends(&e);
}

static void test_end_of_the_other_side(void)
{
	struct ends e = open_ends(2);

	close(e.other);
	e.other = -1;
	CU_ASSERT_EQUAL(fr_perf_control_peek(&e.control), FERRULE_ERR_PEER_DIED);
	CU_ASSERT_EQUAL(receive(&e, FR_PERF_READY, 8), FERRULE_ERR_PEER_DIED);
	CU_ASSERT_EQUAL(fr_perf_control_send(&e.control, FR_PERF_DONE, NULL, 0),
	                FERRULE_ERR_PEER_DIED);
	close_ends(&e);
}

static void test_silence_has_a_deadline(void)
{
	struct ends e = open_ends(0.2);
	const uint64_t begin = fr_clock_ns();

	CU_ASSERT_EQUAL(receive(&e, FR_PERF_READY, 8), FERRULE_ERR_TIMEOUT);
	CU_ASSERT(fr_clock_ns() - begin < 5000000000u);
	CU_ASSERT(says("0.2 s"));
	close_ends(&e);
}

/* A loop that finds nothing learns of a death, of a last word, or of its deadline. */
static void test_watch(void)
{
	for (int way = 0; way < 3; way++) {
		struct ends e = open_ends(2);
		struct fr_perf_control other = {.fd = e.other, .timeout_s = 2};
		struct fr_perf_watch w = {
			.control = &e.control,
			.ends_with_peer = true,
			.limit_ns = way == 2 ? 50000000 : 5000000000,
		};
		const uint64_t begin = fr_clock_ns();
		if (way == 0)
			shutdown(e.other, SHUT_RDWR);
		else if (way == 1)
			fr_perf_control_send(&other, FR_PERF_DONE, NULL, 0);
		while (fr_perf_may_wait(&w) && fr_clock_ns() - begin < 10000000000u)
			continue;
		CU_ASSERT(fr_clock_ns() - begin < 2000000000u);
		CU_ASSERT_EQUAL(w.status, way == 0   ? FERRULE_ERR_PEER_DIED
		                          : way == 1 ? FERRULE_OK
		                                     : FERRULE_ERR_TIMEOUT);
		close_ends(&e);
	}
}

int main(void)
{
	static const struct t_case cases[] = {
		{"frames that make no sense", test_frames_that_make_no_sense},
		{"the reason of the other side", test_reason_of_the_other_side},
		{"DONE is taken by a peek", test_done_is_taken_by_a_peek},
		{"the end of the other side", test_end_of_the_other_side},
		{"silence has a deadline", test_silence_has_a_deadline},
		{"a watch", test_watch},
		{NULL, NULL},
	};

	return t_main("perf_control", cases);
}
