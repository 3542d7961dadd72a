/*
 * with_ports N COMMAND... - runs the command while N ports are held for it, see t_port.h, which it
 * finds in the environment: T_PORTS="PORT...".  Its exit status is the command's.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/t_port.h"

#define MOST 100

/* The words of T_PORTS, of which each port is one that was free. */
static int hold_all(int n, char *words, size_t bytes)
{
	size_t length = 0;

	for (int i = 0; i < n; i++) {
		int fd;
		const int port = t_port_hold(1, &fd);

		if (port < 0)
			return -1;
		length += (size_t)snprintf(words + length, bytes - length, "%d ", port);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const int n = argc > 2 ? atoi(argv[1]) : 0;
	char words[MOST * 8];
	int status = 1;

	if (n < 1 || n > MOST) {
		fprintf(stderr, "usage: with_ports N COMMAND..., N at most %d\n", MOST);
		return 2;
	}
	if (hold_all(n, words, sizeof(words)) != 0) {
		perror("with_ports");
		return 1;
	}
	setenv("T_PORTS", words, 1);
	const pid_t pid = fork();

	if (pid == 0) {
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
