/*
 * fuzz_schedule.c - schedules made of arbitrary steps.
 *
 * Each five bytes are one call of the builder.  Whatever they say, the builder either refuses
 * the schedule with a text or derives an order that the independent check accepts.
 */
#include "config.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "collectives/schedule/races.h"
#include "collectives/schedule/schedule.h"

#define CALL_BYTES 5
#define CALLS_MAX  64
#define RANKS      3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void append(struct fr_sched *s, const uint8_t *b)
{
	const struct fr_range dst =
		fr_range((enum fr_space)(b[1] % FR_N_SPACES), b[2] % 32, b[3] % 32);
	const struct fr_range src =
		fr_range((enum fr_space)(b[1] / 8 % FR_N_SPACES), b[4] % 32, b[3] % 32);
	const int peer = b[0] / 16 % (RANKS + 1);

	switch (b[0] % 16) {
	case FR_STEP_COPY:
		fr_sched_copy(s, dst, src);
		break;
	case FR_STEP_REDUCE:
		fr_sched_reduce(s, dst, src, dst);
		break;
	case FR_STEP_SCALE:
		fr_sched_scale(s, FR_SCALE_PREMUL, dst, src);
		break;
	case FR_STEP_SEND:
		fr_sched_send(s, peer, src);
		break;
	case FR_STEP_RECV:
		fr_sched_recv(s, peer, dst);
		break;
	case FR_STEP_RECV_REDUCE:
		fr_sched_recv_reduce(s, peer, dst, src);
		break;
	case FR_STEP_PUBLISH:
		fr_sched_publish(s, src);
		break;
	case FR_STEP_FOLD:
		fr_sched_fold(s, dst, src);
		break;
	case FR_STEP_COLLECT:
		fr_sched_collect_part(s, peer, dst, b[4] % 8, b[4]);
		break;
	default:
		fr_sched_tmp(s, b[2]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fr_sched s;
	char text[256];

	if (size < 2)
		return 0;
	fr_sched_init(&s, data[0] % RANKS, RANKS, (enum fr_alias)(data[1] % 3), data[1] / 3);
	for (size_t at = 2; at + CALL_BYTES <= size && at < CALLS_MAX * CALL_BYTES;
	     at += CALL_BYTES)
		append(&s, data + at);
	if (fr_sched_finish(&s) == FERRULE_OK) {
		if (fr_races_check(&s, text, sizeof(text)) != FERRULE_OK)
			abort();
	} else if (!s.error_text[0]) {
		abort();
	}
	fr_sched_fini(&s);
	return 0;
}
