/* standin_queue.c - event queues: what a context or a completion channel has to tell. */
#include "tests/support/standin/standin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static socklen_t queue_address(const char *name, struct sockaddr_un *out)
{
	memset(out, 0, sizeof *out);
	out->sun_family = AF_UNIX;
	const size_t length = strlen(name);
	memcpy(out->sun_path + 1, name, length);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
}

uint32_t standin_queue_create(struct standin_table *t, uint32_t owner, uint32_t device, int *fd_out)
{
	const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return STANDIN_NONE;
	standin_lock(&t->lock);
	uint32_t slot = 0;
	while (slot < STANDIN_QUEUES && t->queues[slot].is_used)
		slot++;
	if (slot == STANDIN_QUEUES) {
		standin_unlock(&t->lock);
		close(fd);
		errno = EMFILE;
		return STANDIN_NONE;
	}
	struct standin_queue *q = &t->queues[slot];
	q->owner = owner;
	q->device = device;
	q->head = q->tail = 0;
	snprintf(q->name, sizeof q->name, "ferrule-standin-%d-%u", (int)getpid(), t->next_queue++);
	struct sockaddr_un address;
	const socklen_t bytes = queue_address(q->name, &address);
	if (bind(fd, (struct sockaddr *)&address, bytes) != 0) {
		standin_unlock(&t->lock);
		close(fd);
		return STANDIN_NONE;
	}
	q->is_used = 1;
	standin_unlock(&t->lock);
	*fd_out = fd;
	return slot;
}

void standin_queue_destroy(struct standin_table *t, uint32_t queue, int fd)
{
	standin_lock(&t->lock);
	t->queues[queue].is_used = 0;
	standin_unlock(&t->lock);
	close(fd);
}

/* The socket that bells are rung with is opened once a process. */
static void bell_ring(const char *name)
{
	static _Atomic int bell_fd = -1;
	struct sockaddr_un address;
	const socklen_t bytes = queue_address(name, &address);
	for (int attempt = 0; attempt < 2; attempt++) {
		int fd = atomic_load(&bell_fd);
		if (fd < 0) {
			int expected = -1;
			fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
			if (!atomic_compare_exchange_strong(&bell_fd, &expected, fd)) {
				close(fd);
				fd = expected;
			}
		}
		/* A full socket is readable, which is all that is wanted. */
		if (sendto(fd, "", 1, MSG_NOSIGNAL, (struct sockaddr *)&address, bytes) >= 0 ||
		    (errno != EBADF && errno != ENOTSOCK))
			return;
		atomic_store(&bell_fd, -1); /* the program closed what it did not know */
	}
}

void standin_queue_ring(struct standin_table *t, uint32_t queue)
{
	if (t->queues[queue].is_used)
		bell_ring(t->queues[queue].name);
}

void standin_queue_push(struct standin_table *t, uint32_t queue, struct standin_event event)
{
	if (queue == STANDIN_NONE)
		return;
	struct standin_queue *q = &t->queues[queue];
	if (!standin_lock_patiently(&q->lock))
		return;
	if (q->is_used && q->tail - q->head < STANDIN_EVENTS) {
		q->events[q->tail % STANDIN_EVENTS] = event;
		q->tail++;
		bell_ring(q->name);
	}
	standin_unlock(&q->lock);
}

int standin_queue_pop(struct standin_table *t, uint32_t queue, int fd, struct standin_event *out)
{
	struct standin_queue *q = &t->queues[queue];
	char bell;
	for (;;) {
		standin_lock(&q->lock);
		const bool has_one = q->head != q->tail;
		if (has_one) {
			*out = q->events[q->head % STANDIN_EVENTS];
			q->head++;
		}
		/* Bells are rung under the lock: after the last event there is none to keep. */
		if (q->head == q->tail)
			while (recv(fd, &bell, 1, MSG_DONTWAIT) >= 0)
				continue;
		standin_unlock(&q->lock);
		if (has_one)
			return 0;
		struct sockaddr_un none;
		socklen_t bytes = sizeof none;
		if (recvfrom(fd, &bell, 1, MSG_PEEK, (struct sockaddr *)&none, &bytes) < 0)
			return -1;
	}
}

void standin_port_event(struct standin_table *t, uint32_t device, enum ibv_event_type type)
{
	const struct standin_event event = {.type = type};
	for (uint32_t i = 0; i < STANDIN_QUEUES; i++)
		if (t->queues[i].is_used && t->queues[i].device == device)
			standin_queue_push(t, i, event);
}
