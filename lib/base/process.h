/*
 * process.h - another process of this host, watched so that its end is seen.
 *
 * The end of a connection tells that nobody holds its other end any more, which is later than the
 * end of the peer when that has forked.  A pidfd tells of the process itself, so whoever has a peer
 * on its own host watches both.
 *
 * A number is not a process: numbers are used again.  A socket tells its peer's process itself
 * where the kernel can (SO_PEERPIDFD, Linux 6.5); else the number counts only together with the
 * moment at which the process began.  Where no process can be watched (an older kernel, another
 * PID namespace, no /proc) the connection has to do.
 */
#ifndef FR_PROCESS_H
#define FR_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a process tells its peers of itself. */
struct fr_process_id {
	uint64_t space; /* stands for this boot of this kernel and the PID namespace; 0: unknown,
	                 * and then the other members are 0 too */
	uint64_t start; /* clock ticks after boot */
	uint32_t pid;
	uint32_t zero;
};
_Static_assert(sizeof(struct fr_process_id) == 24, "no padding on the wire");

/* fr_process_self - the id of this process; all zeros when it cannot be told. */
void fr_process_self(struct fr_process_id *out);

/* A process that is watched, or not: zeroed with fd -1. */
struct fr_process {
	int fd;       /* a pidfd, readable when the process has ended; -1: none */
	bool is_gone; /* it had ended before it could be watched */
};

/*
 * fr_process_watch - watches the process that `id` tells of, and of which `socket` is the Unix
 * connection (-1: none).  Returns in words what will tell of its end, for a log.
 */
const char *fr_process_watch(struct fr_process *p, int socket, const struct fr_process_id *id);
/* fr_process_is_watched - will fr_process_has_ended() tell the end of it? */
bool fr_process_is_watched(const struct fr_process *p);
/* fr_process_has_ended - one system call; false as long as it is not known. */
bool fr_process_has_ended(const struct fr_process *p);
/* fr_process_unwatch - closes what fr_process_watch() opened; again is a no-op. */
void fr_process_unwatch(struct fr_process *p);

#endif
