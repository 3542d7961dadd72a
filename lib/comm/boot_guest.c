#include "config.h"

#include "lib/comm/boot_guest.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void fr_guest_admit(struct fr_guest *g, int fd, const struct fr_net_addr *from,
                    uint64_t deadline_ns)
{
	memset(g, 0, sizeof(*g));
	g->fd = fd;
	g->state = FR_GUEST_GREETING;
	g->deadline_ns = deadline_ns;
	g->from = *from;
}

int fr_guest_take_fd(struct fr_guest *g)
{
	const int fd = g->fd;

	fr_wipe(&g->auth, sizeof(g->auth));
	g->fd = -1;
	g->state = FR_GUEST_FREE;
	return fd;
}

void fr_guest_dismiss(struct fr_guest *g)
{
	close(fr_guest_take_fd(g));
}

/* The connection is new and its buffer empty, so a short write means that it is broken. */
static bool say(struct fr_guest *g, enum fr_boot_kind kind, const void *payload, size_t bytes)
{
	const struct fr_boot_head head = {.kind = kind, .length = (uint32_t)bytes};
	unsigned char frame[FR_BOOT_HEAD_BYTES + sizeof(struct fr_boot_hello_wire)];

	fr_boot_put_head(&head, frame);
	if (bytes > 0)
		memcpy(frame + FR_BOOT_HEAD_BYTES, payload, bytes);
	const size_t total = FR_BOOT_HEAD_BYTES + bytes;
	return send(g->fd, frame, total, MSG_NOSIGNAL) == (ssize_t)total;
}

static enum fr_guest_state on_hello(struct fr_guest *g, const unsigned char *key,
                                    const struct fr_boot_statement *self)
{
	unsigned char statement[FR_AUTH_STATEMENT_BYTES];
	struct fr_boot_hello_wire hello;

	memcpy(&hello, g->frame + FR_BOOT_HEAD_BYTES, sizeof(hello));
	if (!fr_boot_get_statement(hello.statement, &g->claim))
		return FR_GUEST_LOST;
	fr_boot_put_statement(self, statement);
	fr_auth_init(&g->auth, FR_AUTH_SERVER, key, "boot", statement);
	fr_auth_peer(&g->auth, hello.nonce, hello.statement);
	memcpy(hello.nonce, g->auth.nonce[FR_AUTH_SERVER], sizeof(hello.nonce));
	memcpy(hello.statement, statement, sizeof(hello.statement));
	if (!say(g, FR_BOOT_CHALLENGE, &hello, sizeof(hello)))
		return FR_GUEST_LOST;
	return FR_GUEST_PROVING;
}

static enum fr_guest_state on_proof(struct fr_guest *g)
{
	unsigned char proof[FR_AUTH_PROOF_BYTES];

	if (!fr_auth_verify(&g->auth, g->frame + FR_BOOT_HEAD_BYTES)) {
		say(g, FR_BOOT_REJECT, NULL, 0);
		return FR_GUEST_REJECTED;
	}
	fr_auth_prove(&g->auth, proof);
	if (!say(g, FR_BOOT_PROOF, proof, sizeof(proof)))
		return FR_GUEST_LOST;
	return FR_GUEST_PROVEN;
}

/* The one frame that a guest may send in its state. */
static const struct {
	enum fr_boot_kind kind;
	size_t payload;
} expected[] = {
	[FR_GUEST_GREETING] = {FR_BOOT_HELLO, sizeof(struct fr_boot_hello_wire)},
	[FR_GUEST_PROVING] = {FR_BOOT_PROOF, FR_AUTH_PROOF_BYTES},
};

/* Reads towards `goal` bytes of frame.  1: they are here, 0: not yet, -1: lost. */
static int read_to(struct fr_guest *g, size_t goal)
{
	if (g->got >= goal)
		return 1;
	const ssize_t n = recv(g->fd, g->frame + g->got, goal - g->got, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (n == 0)
		return -1;
	g->got += (size_t)n;
	return g->got == goal;
}

/* 1: the expected frame is here, 0: not yet, -1: it never will be. */
static int read_expected(struct fr_guest *g)
{
	struct fr_boot_head head;
	const size_t payload = expected[g->state].payload;
	const int rc = read_to(g, FR_BOOT_HEAD_BYTES);

	if (rc <= 0)
		return rc;
	if (!fr_boot_get_head(g->frame, &head) || head.kind != expected[g->state].kind ||
	    head.length != payload)
		return -1;
	return read_to(g, FR_BOOT_HEAD_BYTES + payload);
}

void fr_guest_progress(struct fr_guest *g, const unsigned char key[FR_AUTH_KEY_BYTES],
                       const struct fr_boot_statement *self)
{
	while (g->state == FR_GUEST_GREETING || g->state == FR_GUEST_PROVING) {
		const int rc = read_expected(g);
		if (rc == 0)
			return;
		g->got = 0;
		if (rc < 0)
			g->state = FR_GUEST_LOST;
		else if (g->state == FR_GUEST_GREETING)
			g->state = on_hello(g, key, self);
		else
			g->state = on_proof(g);
	}
}
