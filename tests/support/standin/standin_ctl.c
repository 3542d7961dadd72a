/* standin_ctl.c - standin_control.h as a program, for tests in shell. */
#include "tests/support/standin/standin_control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage_text[] =
	"usage: standin-ctl COMMAND, in the namespace STANDIN_NAMESPACE (default 0)\n"
	"\n"
	"  port DEVICE up|down|silent\n"
	"  gid DEVICE INDEX present|removed|dead\n"
	"  block FROM-DEVICE TO-DEVICE on|off\n"
	"  kill DEVICE AFTER [STATUS]     the request after AFTER more fails; -1: none\n"
	"  show                           what is not as usual\n"
	"  count [PID]                    processes, contexts, pds, mrs, cqs, qps that live\n"
	"  hold SECONDS                   keeps the namespace, faults and all, without users\n"
	"\n"
	"What was set is gone with the last process in the namespace.\n";

/* word - its place among the words, which end with NULL; -1 when it is none of them. */
static int word(const char *text, const char *const *words)
{
	for (int i = 0; words[i] != NULL; i++)
		if (strcmp(text, words[i]) == 0)
			return i;
	return -1;
}

static int count(struct standin_control *c, int pid)
{
	struct standin_counts n;
	standin_control_count(c, pid, &n);
	printf("processes %u contexts %u pds %u mrs %u cqs %u qps %u\n", n.n_processes,
	       n.n_contexts, n.n_pds, n.n_mrs, n.n_cqs, n.n_qps);
	return 0;
}

static int show(struct standin_control *c)
{
	static const char *const gids[] = {"present", "removed", "dead"};
	static const char *const modes[] = {"up", "down", "silent"};
	struct standin_state s;
	for (unsigned i = 0; i < STANDIN_DEVICES_MAX; i++)
		if (standin_control_state(c, i, &s) == 0 && s.is_unusual)
			printf("device %u port %s gid0 %s gid1 %s blocked %#x kill %ld\n", i,
			       modes[s.port], gids[s.gids[0]], gids[s.gids[1]], s.blocked,
			       s.kill_after);
	return 0;
}

/* run - 0, -1 when the library refuses, -2 when the words make no sense. */
static int run(struct standin_control *c, int argc, char **argv)
{
	static const char *const modes[] = {"up", "down", "silent", NULL};
	static const char *const gids[] = {"present", "removed", "dead", NULL};
	static const char *const switches[] = {"off", "on", NULL};
	const unsigned a = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 0) : 0;
	const unsigned b = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 0) : 0;
	if (strcmp(argv[1], "port") == 0 && argc == 4 && word(argv[3], modes) >= 0)
		return standin_control_port(c, a, (enum standin_port_mode)word(argv[3], modes));
	if (strcmp(argv[1], "gid") == 0 && argc == 5 && word(argv[4], gids) >= 0)
		return standin_control_gid(c, a, b, (enum standin_gid_mode)word(argv[4], gids));
	if (strcmp(argv[1], "block") == 0 && argc == 5 && word(argv[4], switches) >= 0)
		return standin_control_block(c, a, b, word(argv[4], switches) == 1);
	if (strcmp(argv[1], "kill") == 0 && (argc == 4 || argc == 5)) {
		const int status = argc == 5 ? atoi(argv[4]) : IBV_WC_RETRY_EXC_ERR;
		return standin_control_kill(c, a, atol(argv[3]), (enum ibv_wc_status)status);
	}
	if (strcmp(argv[1], "count") == 0 && argc <= 3)
		return count(c, (int)a);
	if (strcmp(argv[1], "show") == 0 && argc == 2)
		return show(c);
	if (strcmp(argv[1], "hold") == 0 && argc == 3) {
		sleep(a);
		return 0;
	}
	return -2;
}

int main(int argc, char **argv)
{
	const char *space = getenv("STANDIN_NAMESPACE");
	if (argc < 2) {
		fputs(usage_text, stderr);
		return 1;
	}
	struct standin_control *c =
		standin_control_open(space != NULL && *space != '\0' ? space : "0");
	if (c == NULL) {
		perror("standin-ctl: the namespace's table");
		return 2;
	}
	const int rc = run(c, argc, argv);
	standin_control_close(c);
	if (rc == -2)
		fputs(usage_text, stderr);
	else if (rc == -1)
		fprintf(stderr, "standin-ctl: %s: no such device or entry\n", argv[1]);
	return rc == 0 ? 0 : 1;
}
