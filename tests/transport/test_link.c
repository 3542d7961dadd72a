/* A link over a socket pair: what one end says, whole or in parts, and what the other makes of it.
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/transport/link/link.h"
#include "lib/transport/link/link_wire.h"
#include "tests/support/t_main.h"

/* Two ends, joined; `raw` is the far end's socket for a test that writes what no link would. */
struct pair {
	struct fr_link near, far;
	int raw;
	char near_why[200], far_why[200];
};

static void pair_open(struct pair *p)
{
	int fds[2] = {-1, -1};
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	fr_link_init(&p->near, fds[0], 1, "far:1", p->near_why, sizeof(p->near_why));
	fr_link_init(&p->far, fds[1], 0, "near:1", p->far_why, sizeof(p->far_why));
	p->raw = fds[1];
	p->near_why[0] = p->far_why[0] = '\0';
}

static void pair_close(struct pair *p)
{
	fr_link_close(&p->near);
	fr_link_close(&p->far);
}

static struct fr_link_head make_head(enum fr_link_kind kind, unsigned note, uint64_t bytes)
{
	struct fr_link_head head = {.kind = (uint8_t)kind, .note = note, .bytes = bytes};
	fr_link_head_seal(&head);
	return head;
}

static void write_raw(const struct pair *p, const void *bytes, size_t n)
{
	CU_ASSERT_EQUAL(send(p->raw, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* Bytes that tell the note they belong to. */
static void fill(unsigned char *data, unsigned bytes, unsigned seed)
{
	for (unsigned i = 0; i < bytes; i++)
		data[i] = (unsigned char)(i * 7 + seed * 13 + (i >> 8));
}

static bool is_note(const struct fr_link_note *note, unsigned kind, unsigned bytes, unsigned seed)
{
	unsigned char expected[FR_LINK_NOTE_BYTES];
	fill(expected, bytes, seed);
	return note->kind == kind && note->bytes == bytes &&
	       memcmp(note->data, expected, bytes) == 0;
}

static void test_notes_of_every_length_arrive_whole(void)
{
	struct pair p;
	struct fr_link_note note;
	unsigned char data[FR_LINK_NOTE_BYTES];
	pair_open(&p);
	for (unsigned bytes = 0; bytes <= FR_LINK_NOTE_BYTES; bytes++) {
		fill(data, bytes, bytes);
		CU_ASSERT_TRUE(fr_link_send_note(&p.near, bytes % 256, data, bytes));
		CU_ASSERT_EQUAL(fr_link_poll(&p.far), FERRULE_OK);
		CU_ASSERT_TRUE(fr_link_take_note(&p.far, &note));
		CU_ASSERT_TRUE(is_note(&note, bytes % 256, bytes, bytes));
		CU_ASSERT_FALSE(fr_link_take_note(&p.far, &note));
	}
	pair_close(&p);
}

static void test_notes_keep_their_order_among_other_frames(void)
{
	struct pair p;
	struct fr_link_note note;
	struct fr_link_status status = {.epoch = 0};
	const struct fr_call call = {.sequence = 9};
	pair_open(&p);
	fr_link_send_note(&p.near, 1, "first", 5);
	/* Said at once, because the announcement is already seen to be old. */
	fr_link_announce(&status, &call);
	status.seen_epoch = status.epoch;
	fr_link_tell_status(&p.near, &status);
	fr_link_send_note(&p.near, 2, "second", 6);
	fr_link_goodbye(&p.near);
	CU_ASSERT_EQUAL(fr_link_poll(&p.far), FERRULE_OK);
	CU_ASSERT_FALSE(p.far.has_last_call);
	CU_ASSERT_TRUE(fr_link_take_note(&p.far, &note) && note.kind == 1);
	/* The status lies in front of the second note. */
	CU_ASSERT_FALSE(fr_link_take_note(&p.far, &note));
	CU_ASSERT_EQUAL(fr_link_poll(&p.far), FERRULE_OK);
	CU_ASSERT_TRUE(p.far.has_last_call && p.far.last_call.sequence == 9);
	CU_ASSERT_FALSE(p.far.has_left);
	CU_ASSERT_TRUE(fr_link_take_note(&p.far, &note) && note.kind == 2);
	CU_ASSERT_EQUAL(fr_link_poll(&p.far), FERRULE_OK);
	CU_ASSERT_TRUE(p.far.has_left);
	pair_close(&p);
}

static void test_frames_that_arrive_byte_by_byte_are_taken_when_whole(void)
{
	struct pair p;
	struct fr_link_note note;
	unsigned char wire[sizeof(struct fr_link_head) + 300];
	const struct fr_link_head head = make_head(FR_LINK_NOTE, 77, 300);
	pair_open(&p);
	memcpy(wire, &head, sizeof(head));
	fill(wire + sizeof(head), 300, 5);
	for (size_t i = 0; i < sizeof(wire); i++) {
		CU_ASSERT_FALSE(fr_link_take_note(&p.near, &note));
		write_raw(&p, wire + i, 1);
		CU_ASSERT_EQUAL(fr_link_poll(&p.near), FERRULE_OK);
	}
	CU_ASSERT_TRUE(fr_link_take_note(&p.near, &note));
	CU_ASSERT_TRUE(is_note(&note, 77, 300, 5));
	pair_close(&p);
}

/* More than socket and queue hold: the sender learns it, and nothing is lost or torn. */
static void test_a_full_queue_refuses_notes_and_loses_none(void)
{
	struct pair p;
	struct fr_link_note note;
	unsigned char data[FR_LINK_NOTE_BYTES];
	unsigned n_sent = 0, n_taken = 0;
	pair_open(&p);
	while (n_sent < 10000) {
		fill(data, sizeof(data), n_sent);
		if (!fr_link_send_note(&p.near, n_sent % 256, data, sizeof(data)))
			break;
		n_sent++;
	}
	CU_ASSERT(n_sent >= 4 && n_sent < 10000);
	/* The last words fit nonetheless. */
	fr_link_abort(&p.near, "enough");
	while (fr_link_poll(&p.far) == FERRULE_OK && n_taken <= n_sent) {
		while (fr_link_take_note(&p.far, &note)) {
			CU_ASSERT_TRUE(is_note(&note, n_taken % 256, sizeof(data), n_taken));
			n_taken++;
		}
		/* The sender's poll sends what its socket did not take before. */
		fr_link_poll(&p.near);
	}
	CU_ASSERT_EQUAL(n_taken, n_sent);
	CU_ASSERT_EQUAL(p.far.fault, FERRULE_ERR_ABORTED);
	CU_ASSERT_STRING_EQUAL(p.far_why, "enough");
	pair_close(&p);
}

static void test_what_no_link_says_is_a_protocol_error(void)
{
	const struct fr_link_head bad[] = {
		make_head(FR_LINK_NOTE, 3, FR_LINK_NOTE_BYTES + 1),
		make_head(FR_LINK_NOTE, 256, 0),
		make_head((enum fr_link_kind)(FR_LINK_REFUSAL + 1), 0, 0),
		make_head(FR_LINK_REFUSAL, 0, sizeof(struct fr_refusal) - 1),
		make_head((enum fr_link_kind)1, 0, 8),
		make_head(FR_LINK_ABORT, 0, FR_LINK_REASON_BYTES + 1),
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct pair p;
		struct fr_link_note note;
		pair_open(&p);
		write_raw(&p, &bad[i], sizeof(bad[i]));
		CU_ASSERT_EQUAL(fr_link_poll(&p.near), FERRULE_ERR_PROTOCOL);
		CU_ASSERT_PTR_NOT_NULL(strstr(p.near_why, "rank 1 (far:1) sent "));
		/* A fault stays. */
		CU_ASSERT_EQUAL(fr_link_poll(&p.near), FERRULE_ERR_PROTOCOL);
		CU_ASSERT_FALSE(fr_link_take_note(&p.near, &note));
		pair_close(&p);
	}
}

static void test_bytes_out_of_step_are_noticed(void)
{
	struct pair p;
	struct fr_link_head head = make_head(FR_LINK_NOTE, 3, 0);
	pair_open(&p);
	head.note = 4;
	write_raw(&p, &head, sizeof(head));
	CU_ASSERT_EQUAL(fr_link_poll(&p.near), FERRULE_ERR_PROTOCOL);
	CU_ASSERT_PTR_NOT_NULL(strstr(p.near_why, "wrong check"));
	pair_close(&p);
}

static void test_an_end_without_goodbye_is_death_after_the_notes(void)
{
	struct pair p;
	struct fr_link_note note;
	pair_open(&p);
	fr_link_send_note(&p.far, 8, "last", 4);
	fr_link_close(&p.far);
	CU_ASSERT_EQUAL(fr_link_poll(&p.near), FERRULE_OK);
	CU_ASSERT_TRUE(fr_link_take_note(&p.near, &note) && note.kind == 8);
	CU_ASSERT_EQUAL(fr_link_poll(&p.near), FERRULE_ERR_PEER_DIED);
	CU_ASSERT_PTR_NOT_NULL(strstr(p.near_why, "rank 1"));
	pair_close(&p);
}

static void test_an_end_with_goodbye_is_leaving(void)
{
	struct pair p;
	pair_open(&p);
	fr_link_goodbye(&p.far);
	fr_link_close(&p.far);
	CU_ASSERT_EQUAL(fr_link_poll(&p.near), FERRULE_OK);
	CU_ASSERT_TRUE(p.near.has_left);
	CU_ASSERT_EQUAL(fr_link_poll(&p.near), FERRULE_OK);
	/* It matters only to who still wants something. */
	CU_ASSERT_EQUAL(fr_link_lost(&p.near, 0), FERRULE_ERR_PEER_LEFT);
	pair_close(&p);
}

static void test_a_lost_data_path_waits_for_its_reason(void)
{
	struct pair p;
	pair_open(&p);
	CU_ASSERT_EQUAL(fr_link_lost(&p.near, ECONNRESET), FERRULE_OK);
	CU_ASSERT(p.near.lost_at != 0);
	fr_link_abort(&p.far, "rank 0 ran out of patience");
	CU_ASSERT_EQUAL(fr_link_lost(&p.near, ECONNRESET), FERRULE_ERR_ABORTED);
	CU_ASSERT_STRING_EQUAL(p.near_why, "rank 0 ran out of patience");
	pair_close(&p);
	pair_open(&p);
	CU_ASSERT_EQUAL(fr_link_lost(&p.near, EIO), FERRULE_ERR_PEER_DIED);
	CU_ASSERT_PTR_NOT_NULL(strstr(p.near_why, strerror(EIO)));
	pair_close(&p);
	/* No word for longer than a second. */
	pair_open(&p);
	p.near.lost_at = 1;
	CU_ASSERT_EQUAL(fr_link_lost(&p.near, 0), FERRULE_ERR_PEER_DIED);
	pair_close(&p);
}

static void test_the_first_fault_stays(void)
{
	struct pair p;
	pair_open(&p);
	CU_ASSERT_EQUAL(fr_link_fault(&p.near, FERRULE_ERR_TRANSPORT, "port %d is down", 1),
	                FERRULE_ERR_TRANSPORT);
	CU_ASSERT_EQUAL(fr_link_fault(&p.near, FERRULE_ERR_PEER_DIED, "and more"),
	                FERRULE_ERR_TRANSPORT);
	CU_ASSERT_STRING_EQUAL(p.near_why, "port 1 is down");
	CU_ASSERT_EQUAL(fr_link_poll(&p.near), FERRULE_ERR_TRANSPORT);
	pair_close(&p);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"notes of every length arrive whole", test_notes_of_every_length_arrive_whole},
		{"notes keep their order among other frames",
	         test_notes_keep_their_order_among_other_frames},
		{"frames that arrive byte by byte are taken when whole",
	         test_frames_that_arrive_byte_by_byte_are_taken_when_whole},
		{"a full queue refuses notes and loses none",
	         test_a_full_queue_refuses_notes_and_loses_none},
		{"what no link says is a protocol error",
	         test_what_no_link_says_is_a_protocol_error},
		{"bytes out of step are noticed", test_bytes_out_of_step_are_noticed},
		{"an end without goodbye is death after the notes",
	         test_an_end_without_goodbye_is_death_after_the_notes},
		{"an end with goodbye is leaving", test_an_end_with_goodbye_is_leaving},
		{"a lost data path waits for its reason",
	         test_a_lost_data_path_waits_for_its_reason},
		{"the first fault stays", test_the_first_fault_stays},
		{NULL, NULL},
	};
	return t_main("transport/link", cases);
}
