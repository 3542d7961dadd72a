#include "config.h"

#include "tests/comm/t_pmi.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct client {
	int fd, version; /* 0 before init */
	int is_in_barrier;
};

struct server {
	const struct t_pmi *pmi;
	struct client clients[T_PMI_MAX_RANKS];
	char key[128], value[1200];
};

/* ---- reading ---- */

static int read_all(int fd, char *to, size_t bytes)
{
	while (bytes > 0) {
		const ssize_t n = read(fd, to, bytes);
		if (n <= 0)
			return 0;
		to += n;
		bytes -= (size_t)n;
	}
	return 1;
}

/* A line, or what six digits count. */
static int read_message(const struct client *c, char *out, size_t bytes)
{
	char length[7] = "";

	if (c->version == 2) {
		if (!read_all(c->fd, length, 6))
			return 0;
		const size_t n = (size_t)atoi(length);
		if (n >= bytes || !read_all(c->fd, out, n))
			return 0;
		out[n] = '\0';
		return 1;
	}
	for (size_t n = 0; n < bytes; n++) {
		if (!read_all(c->fd, out + n, 1))
			return 0;
		if (out[n] == '\n') {
			out[n] = '\0';
			return 1;
		}
	}
	return 0;
}

/* The value of a name, up to the next blank or semicolon. */
static const char *value_of(const char *message, const char *name, char *out, size_t bytes)
{
	char pattern[40];

	snprintf(pattern, sizeof(pattern), "%s=", name);
	const char *at = strstr(message, pattern);
	at = at ? at + strlen(pattern) : "";
	snprintf(out, bytes, "%.*s", (int)strcspn(at, " ;\n"), at);
	return out;
}

/* ---- answering ---- */

static void put(const struct client *c, const char *data, size_t bytes, int is_slow)
{
	for (size_t i = 0; is_slow && i < bytes; i++) {
		if (write(c->fd, data + i, 1) != 1)
			return;
		poll(NULL, 0, 1); /* so that the pieces are seen as pieces */
	}
	if (!is_slow && write(c->fd, data, bytes) != (ssize_t)bytes)
		return;
}

/* What is wrong instead of the answer; 0 when the answer is still to be sent. */
static int misbehave(const struct server *s, struct client *c, int is_counted)
{
	static const char garbage[] = "\x7f\x01garbage;;;===\n  \n";
	char many[8192];

	switch (s->pmi->fault) {
	case T_PMI_SILENT:
		return 1;
	case T_PMI_CLOSES:
		shutdown(c->fd, SHUT_RDWR);
		return 1;
	case T_PMI_GARBAGE:
		put(c, garbage, sizeof(garbage) - 1, 0);
		return 1;
	case T_PMI_ENDLESS:
		memset(many, '9', sizeof(many));
		put(c, many, sizeof(many), 0);
		return 1;
	case T_PMI_CONFUSED:
		put(c, is_counted ? "    20cmd=other-answer;a=;" : "cmd=other_answer rc=0\n",
		    is_counted ? 26 : 22, 0);
		return 1;
	default:
		return 0;
	}
}

/* Sends an answer to `command`: `name`, rc, and what the format says. */
__attribute__((format(printf, 5, 6))) static void answer(const struct server *s, struct client *c,
                                                         const char *command, const char *name,
                                                         const char *format, ...)
{
	char text[2048], whole[2200];
	const int is_chosen = s->pmi->at && strcmp(command, s->pmi->at) == 0;
	const int rc = is_chosen && s->pmi->fault == T_PMI_FAILS ? -1 : 0;
	const int is_counted = c->version == 2 && strcmp(command, "init") != 0;
	va_list args;

	if (is_chosen && misbehave(s, c, is_counted))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (is_counted) {
		char body[2180];
		snprintf(body, sizeof(body), "cmd=%s;rc=%d;%s", name, rc, text);
		snprintf(whole, sizeof(whole), "%6zu%s", strlen(body), body);
	} else {
		snprintf(whole, sizeof(whole), "cmd=%s rc=%d %s\n", name, rc, text);
	}
	put(c, whole, strlen(whole), is_chosen && s->pmi->fault == T_PMI_SLOW);
}

static void init(struct server *s, struct client *c, const char *message)
{
	char wanted[16];
	const int only = s->pmi->only_version;
	const int version = atoi(value_of(message, "pmi_version", wanted, sizeof(wanted)));

	if ((only && version != only) ||
	    (s->pmi->fault == T_PMI_FAILS && strcmp(s->pmi->at, "init") == 0)) {
		dprintf(c->fd, "cmd=response_to_init pmi_version=%d pmi_subversion=0 rc=-1\n",
		        only ? only : version);
		return;
	}
	c->version = version;
	answer(s, c, "init", "response_to_init", "pmi_version=%d pmi_subversion=%d", version,
	       version == 1);
}

static void enter_barrier(struct server *s, struct client *c, const char *command)
{
	int n_in = 0;

	c->is_in_barrier = 1;
	for (int i = 0; i < s->pmi->n_ranks; i++)
		n_in += s->clients[i].is_in_barrier;
	for (int i = 0; i < s->pmi->n_ranks && n_in == s->pmi->n_ranks; i++) {
		struct client *other = &s->clients[i];
		other->is_in_barrier = 0;
		answer(s, other, command,
		       other->version == 2 ? "kvs-fence-response" : "barrier_out", "%s", "");
	}
}

static void remember(struct server *s, const char *message)
{
	value_of(message, "key", s->key, sizeof(s->key));
	value_of(message, "value", s->value, sizeof(s->value));
}

static void reply_1(struct server *s, struct client *c, const char *command, const char *message)
{
	if (strcmp(command, "get_my_kvsname") == 0) {
		answer(s, c, command, "my_kvsname", "kvsname=kvs_of_test");
	} else if (strcmp(command, "put") == 0) {
		remember(s, message);
		answer(s, c, command, "put_result", "msg=success");
	} else if (strcmp(command, "barrier_in") == 0) {
		enter_barrier(s, c, command);
	} else if (strcmp(command, "get") == 0) {
		answer(s, c, command, "get_result", "msg=success value=%s", s->value);
	} else if (strcmp(command, "finalize") == 0) {
		answer(s, c, command, "finalize_ack", "%s", "");
	}
}

static void reply_2(struct server *s, struct client *c, const char *command, const char *message)
{
	const int n = s->pmi->says_ranks ? s->pmi->says_ranks : s->pmi->n_ranks;

	if (strcmp(command, "fullinit") == 0) {
		answer(s, c, command, "fullinit-response",
		       "pmi-version=2;pmi-subversion=0;rank=%d;size=%d;"
		       "appnum=0;debugged=FALSE;pmiverbose=FALSE;",
		       (int)(c - s->clients), n);
	} else if (strcmp(command, "kvs-put") == 0) {
		remember(s, message);
		answer(s, c, command, "kvs-put-response", "%s", "");
	} else if (strcmp(command, "kvs-fence") == 0) {
		enter_barrier(s, c, command);
	} else if (strcmp(command, "kvs-get") == 0) {
		answer(s, c, command, "kvs-get-response", "found=TRUE;value=%s;", s->value);
	} else if (strcmp(command, "finalize") == 0) {
		answer(s, c, command, "finalize-response", "%s", "");
	}
}

/* Takes one message; 0 when the client is gone. */
static int serve(struct server *s, struct client *c)
{
	char message[4096], command[40];

	if (!read_message(c, message, sizeof(message)))
		return 0;
	value_of(message, "cmd", command, sizeof(command));
	if (c->version == 0)
		init(s, c, message);
	else if (c->version == 1)
		reply_1(s, c, command, message);
	else
		reply_2(s, c, command, message);
	return 1;
}

/* Until it is killed: a launcher does not end before its ranks. */
static _Noreturn void run(struct server *s)
{
	struct pollfd polled[T_PMI_MAX_RANKS];
	const int n = s->pmi->n_ranks;

	for (int i = 0; i < n; i++)
		polled[i] = (struct pollfd){.fd = s->clients[i].fd, .events = POLLIN};
	for (;;) {
		if (poll(polled, (nfds_t)n, -1) < 0)
			_exit(1);
		for (int i = 0; i < n; i++)
			if (polled[i].revents && !serve(s, &s->clients[i]))
				polled[i].fd = -1;
	}
}

pid_t t_pmi_start(struct t_pmi *pmi)
{
	struct server s = {.pmi = pmi};

	for (int i = 0; i < pmi->n_ranks; i++) {
		int ends[2];
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
			return -1;
		pmi->fd[i] = ends[0];
		s.clients[i].fd = ends[1];
	}
	const pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		for (int i = 0; i < pmi->n_ranks; i++)
			close(pmi->fd[i]);
		run(&s);
	}
	for (int i = 0; i < pmi->n_ranks; i++)
		close(s.clients[i].fd);
	return pid;
}

static void set_int(const char *name, int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", value);
	setenv(name, text, 1);
}

void t_pmi_enter(const struct t_pmi *pmi, int rank)
{
	static const char *const others[] = {"RANK",           "WORLD_SIZE", "LOCAL_RANK",
	                                     "MASTER_ADDR",    "PMI_PORT",   "MASTER_PORT",
	                                     "PMIX_NAMESPACE", "PMI_JOBID"};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		unsetenv(others[i]);
	for (int i = 0; i < pmi->n_ranks; i++)
		if (i != rank)
			close(pmi->fd[i]);
	set_int("PMI_FD", pmi->fd[rank]);
	set_int("PMI_RANK", rank);
	set_int("PMI_SIZE", pmi->n_ranks);
}

void t_pmi_stop(struct t_pmi *pmi, pid_t pid)
{
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	for (int i = 0; i < pmi->n_ranks; i++)
		close(pmi->fd[i]);
}
