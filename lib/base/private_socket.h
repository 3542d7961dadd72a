/*
 * private_socket.h - Unix sockets that no other user of the host can reach.
 *
 * Whoever can connect to a Unix socket can queue descriptors on it, and the kernel closes those
 * that are never taken in the context of the process that lets go of the connection: before any
 * byte is read, and even when none ever is.  A close may block for as long as the sender likes
 * (SO_LINGER).  So a listening socket lies in a folder of mode 0700 that is made for it, mostly in
 * /dev/shm, which is what processes on one host share whatever their networks and process ids are.
 *
 * The folder is there while its owner listens.  What a killed process left is swept by the next
 * one that listens.
 */
#ifndef FR_PRIVATE_SOCKET_H
#define FR_PRIVATE_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

#include <ferrule/status.h>

/* "/dev/shm/ferrule-4194304-XXXXXX/s" and as much again. */
#define FR_PRIVATE_PATH_BYTES 72

struct fr_private_socket {
	int fd;                           /* listens, non-blocking, SOCK_SEQPACKET; -1: none */
	char path[FR_PRIVATE_PATH_BYTES]; /* "": none */
};

/* fr_private_listen - a new socket in a new folder.  On failure *s is none, and `why` says which
 * folders were tried and what was wrong with them. */
ferrule_status_t fr_private_listen(struct fr_private_socket *s, char *why, size_t why_bytes);
/* fr_private_close - stops listening and removes socket and folder; none is a no-op. */
void fr_private_close(struct fr_private_socket *s);
/* fr_private_connect - a non-blocking connection to a path; -1 with errno, EAGAIN when the
 * other side has too many that it did not accept. */
int fr_private_connect(const char *path);
/* fr_private_accept - the next connection from a process of this user; others are closed.  -1
 * with errno. */
int fr_private_accept(const struct fr_private_socket *s);

#endif
