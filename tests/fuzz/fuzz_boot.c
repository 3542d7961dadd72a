/* Everything that set-up decodes from strangers: frames, statements, failures, unique ids, and
 * the state machine of a connection that has not proved the key. */
#include "config.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/comm/boot_guest.h"
#include "lib/comm/boot_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void require(int condition)
{
	if (!condition)
		abort();
}

static void decode_head(const uint8_t *data, size_t bytes)
{
	unsigned char again[FR_BOOT_HEAD_BYTES];
	struct fr_boot_head head;

	if (bytes < sizeof(again) || !fr_boot_get_head(data, &head))
		return;
	fr_boot_put_head(&head, again);
	require(memcmp(again, data, sizeof(again)) == 0);
}

static void decode_statement(const uint8_t *data, size_t bytes)
{
	struct fr_boot_statement s;

	if (bytes >= FR_AUTH_STATEMENT_BYTES && fr_boot_get_statement(data, &s))
		require(s.rank < s.n_ranks && s.n_ranks <= FR_BOOT_MAX_RANKS);
}

static void decode_failure(const uint8_t *data, size_t bytes)
{
	char text[FR_BOOT_FAIL_MAX_TEXT + 1];
	ferrule_status_t status;

	if (fr_boot_get_fail(data, bytes, &status, text))
		require(status < 0 && strlen(text) == bytes - 4);
}

static void decode_id(const uint8_t *data, size_t bytes)
{
	ferrule_unique_id_t raw = {{0}}, again;
	struct fr_boot_id id, back;

	memcpy(&raw, data, bytes < sizeof(raw) ? bytes : sizeof(raw));
	if (!fr_boot_get_id(&raw, &id))
		return;
	fr_boot_put_id(&id, &again);
	require(fr_boot_get_id(&again, &back) && memcmp(&id, &back, sizeof(id)) == 0);
}

/* A stranger that sends `data` and hangs up is never let in. */
static void knock(const uint8_t *data, size_t bytes)
{
	static const unsigned char key[FR_AUTH_KEY_BYTES] = {1, 2, 3};
	const struct fr_boot_statement self = {.version = FR_BOOT_VERSION, .n_ranks = 4};
	const struct fr_net_addr nowhere = {.length = 0};
	struct fr_guest guest;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0)
		return;
	/* More than a guest's frames hold is never read. */
	const size_t n = bytes < 1024 ? bytes : 1024;
	require(n == 0 || write(ends[1], data, n) == (ssize_t)n);
	shutdown(ends[1], SHUT_WR);
	fr_guest_admit(&guest, ends[0], &nowhere, UINT64_MAX);
	/* Each call reads something, or sees the end, as a poll loop would find out. */
	for (int i = 0; i < 6; i++)
		fr_guest_progress(&guest, key, &self);
	require(guest.state == FR_GUEST_LOST || guest.state == FR_GUEST_REJECTED);
	fr_guest_dismiss(&guest);
	close(ends[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	decode_head(data, bytes);
	decode_statement(data, bytes);
	decode_failure(data, bytes);
	decode_id(data, bytes);
	knock(data, bytes);
	return 0;
}
