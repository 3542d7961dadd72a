/* Who measures with whom: a server goes on past strangers, and both sides prove their key. */
#include "config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/perf/perf_connect.h"
#include "tests/support/t_main.h"
#include "tests/support/t_spawn.h"

#define KEY       "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define OTHER_KEY "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* What the processes of a case share. */
struct place {
	int holder; /* keeps the port */
	char port[8];
	int turn[2]; /* a pipe: the last client comes when one before it has been */
};

/* A port that nobody else gets, though it may be listened at with SO_REUSEADDR. */
static struct place make_place(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t length = sizeof(at);
	struct place p;
	const int one = 1;

	p.holder = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_FATAL(p.holder >= 0);
	setsockopt(p.holder, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	CU_ASSERT_FATAL(bind(p.holder, (struct sockaddr *)&at, length) == 0);
	CU_ASSERT_FATAL(getsockname(p.holder, (struct sockaddr *)&at, &length) == 0);
	snprintf(p.port, sizeof(p.port), "%u", ntohs(at.sin_port));
	CU_ASSERT_FATAL(pipe(p.turn) == 0);
	return p;
}

static void leave_place(struct place *p)
{
	close(p->holder);
	close(p->turn[0]);
	close(p->turn[1]);
}

static uint64_t in_seconds(int s)
{
	return fr_clock_ns() + (uint64_t)s * 1000000000u;
}

static bool says(const char *text)
{
	if (strstr(fr_error_text(), text) != NULL)
		return true;
	printf("      \"%s\" does not say \"%s\"\n", fr_error_text(), text);
	return false;
}

static int serve(const struct place *p, enum fr_perf_key_kind kind)
{
	struct fr_perf_key key;
	char peer[80];
	int fd = -1;

	if (fr_perf_accept(p->port, in_seconds(20), &fd, peer, sizeof(peer), &key) != FERRULE_OK)
		return 1;
	CU_ASSERT_EQUAL(key.kind, kind);
	CU_ASSERT_EQUAL(send(fd, "!", 1, MSG_NOSIGNAL), 1);
	close(fd);
	return t_failures() != 0;
}

/* 0: in, and the server spoke to this side. */
static int call(const struct place *p, ferrule_status_t wanted)
{
	struct fr_perf_key key;
	char peer[80], word = 0;
	int fd = -1;
	const ferrule_status_t status = fr_perf_connect("localhost", p->port, in_seconds(20), &fd,
	                                                peer, sizeof(peer), &key);

	CU_ASSERT_EQUAL(status, wanted);
	if (status != FERRULE_OK)
		return t_failures() != 0;
	for (int i = 0; i < 2000 && recv(fd, &word, 1, MSG_DONTWAIT) != 1; i++)
		usleep(5000);
	CU_ASSERT_EQUAL(word, '!');
	close(fd);
	return t_failures() != 0;
}

/* A connection that has not proved anything, once the server listens. */
static int stray(const struct place *p)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
	                         .sin_port = htons((uint16_t)atoi(p->port)),
	                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const uint64_t until = in_seconds(10);

	while (fr_clock_ns() < until) {
		const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
			return fd;
		close(fd);
		usleep(5000);
	}
	return -1;
}

/* ---- strangers ---- */

static int strangers_then_client(const struct place *p)
{
	static const char *const words[] = {"GET / HTTP/1.1\r\n\r\n", "", "FRPF\x01"};
	struct fr_perf_key key = {.kind = FR_PERF_KEY_FILE};
	struct fr_perf_hello hello;
	struct fr_auth auth;

	for (int i = 0; i < 3; i++) {
		const int fd = stray(p);
		CU_ASSERT_FATAL(fd >= 0);
		send(fd, words[i], strlen(words[i]), MSG_NOSIGNAL);
		close(fd);
	}
	/* One that says all the right things but the proof. */
	const int fd = stray(p);
	fr_perf_key_begin(&auth, FR_AUTH_CLIENT, &key, &hello);
	CU_ASSERT_EQUAL(send(fd, &hello, sizeof(hello), MSG_NOSIGNAL), sizeof(hello));
	CU_ASSERT_EQUAL(recv(fd, &hello, sizeof(hello), MSG_WAITALL), sizeof(hello));
	fr_auth_prove(&auth, hello.nonce);
	CU_ASSERT_EQUAL(send(fd, hello.nonce, FR_AUTH_PROOF_BYTES, MSG_NOSIGNAL),
	                FR_AUTH_PROOF_BYTES);
	CU_ASSERT_EQUAL(recv(fd, &hello, 1, 0), 0);
	close(fd);
	/* More silent ones than the server keeps. */
	for (int i = 0; i < 20; i++)
		CU_ASSERT_FATAL(stray(p) >= 0);
	return call(p, FERRULE_OK);
}

static int rank_among_strangers(int rank, int n_ranks, void *arg)
{
	(void)n_ranks;
	unsetenv("FERRULE_JOB_KEY");
	return rank == 0 ? serve(arg, FR_PERF_KEY_FILE) : strangers_then_client(arg);
}

static void test_a_server_goes_on_past_strangers(void)
{
	struct place p = make_place();

	CU_ASSERT_EQUAL(t_spawn(2, 40, rank_among_strangers, &p, NULL), 0);
	leave_place(&p);
}

/* ---- keys ---- */

static int rank_with_keys(int rank, int n_ranks, void *arg)
{
	static const char *const keys[] = {KEY, NULL, OTHER_KEY, KEY};
	static const char *const texts[] = {"", "has a key that it was given, this side has no key",
	                                    "does not prove a key", ""};
	struct place *p = arg;
	char turns[2];
	int end;

	(void)n_ranks;
	unsetenv("FERRULE_JOB_KEY");
	if (keys[rank])
		setenv("FERRULE_JOB_KEY", keys[rank], 1);
	if (rank == 0)
		return serve(p, FR_PERF_KEY_GIVEN);
	for (int i = 0; rank == 3 && i < 2; i++)
		if (read(p->turn[0], &turns[i], 1) != 1)
			return 1;
	end = call(p, rank == 3 ? FERRULE_OK : FERRULE_ERR_AUTH);
	CU_ASSERT(rank == 3 || says(texts[rank]));
	if (rank < 3 && write(p->turn[1], "x", 1) != 1)
		return 1;
	return end | (t_failures() != 0);
}

static void test_who_has_another_key_or_none_is_told(void)
{
	struct place p = make_place();

	CU_ASSERT_EQUAL(t_spawn(4, 40, rank_with_keys, &p, NULL), 0);
	leave_place(&p);
}

/* ---- an impostor that listens ---- */

static int impostor(const struct place *p)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
	                         .sin_port = htons((uint16_t)atoi(p->port)),
	                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct fr_perf_key key = {.kind = FR_PERF_KEY_GIVEN};
	const int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct fr_perf_hello hello;
	struct fr_auth auth;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 1) != 0)
		return 1;
	const int client = accept(fd, NULL, NULL);
	CU_ASSERT_EQUAL(recv(client, &hello, sizeof(hello), MSG_WAITALL), sizeof(hello));
	fr_perf_key_begin(&auth, FR_AUTH_SERVER, &key, &hello);
	send(client, &hello, sizeof(hello), MSG_NOSIGNAL);
	recv(client, &hello, FR_AUTH_PROOF_BYTES, MSG_WAITALL);
	/* Sends back what it got. */
	send(client, &hello, FR_AUTH_PROOF_BYTES, MSG_NOSIGNAL);
	recv(client, &hello, 1, 0);
	close(client);
	close(fd);
	return t_failures() != 0;
}

static int rank_and_impostor(int rank, int n_ranks, void *arg)
{
	(void)n_ranks;
	if (rank == 0)
		return impostor(arg);
	setenv("FERRULE_JOB_KEY", KEY, 1);
	const int end = call(arg, FERRULE_ERR_AUTH);
	CU_ASSERT(says("does not prove a key"));
	return end | (t_failures() != 0);
}

static void test_a_client_does_not_believe_an_impostor(void)
{
	struct place p = make_place();

	CU_ASSERT_EQUAL(t_spawn(2, 30, rank_and_impostor, &p, NULL), 0);
	leave_place(&p);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"a server goes on past strangers", test_a_server_goes_on_past_strangers},
		{"who has another key or none is told", test_who_has_another_key_or_none_is_told},
		{"a client does not believe an impostor",
	         test_a_client_does_not_believe_an_impostor},
		{NULL, NULL},
	};

	return t_main("perf_connect", cases);
}
