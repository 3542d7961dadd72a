/*
 * descriptors.h - the library's descriptors do not live on in forked children.
 *
 * A socket that a child holds too does not end when its owner dies, so nobody would see the death;
 * and a listening socket, a lock or a device would be held for as long as a data loader runs.  So
 * whatever stays open longer than a call is registered where it is made, and a fork handler closes
 * it in the child.
 *
 * Nothing needs to be taken off the list when it is closed: a descriptor is only closed in the
 * child when it still is the socket or file that was registered, by device and inode.  Those that
 * have no inode of their own (pidfd, epoll, userfaultfd, devices) must be closed with
 * fr_fd_close(), or forgotten before somebody else closes them.
 */
#ifndef FR_DESCRIPTORS_H
#define FR_DESCRIPTORS_H

/* fr_fd_own - registers `fd` and returns it; -1 is returned with errno as it was.  Without memory
 * it is not registered, and a child inherits it.  Threads: any. */
int fr_fd_own(int fd);
/* fr_fd_forget - it is not the library's any more. */
void fr_fd_forget(int fd);
/* fr_fd_close - forgets and closes it; errno stays. */
void fr_fd_close(int fd);

#endif
