/* standin_control.c - faults and counts, written straight into the shared table. */
#include "tests/support/standin/standin_control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct standin_control {
	struct standin_table *table;
	int fd;
	char space[64];
};

struct standin_control *standin_control_open(const char *space)
{
	struct standin_control *c = calloc(1, sizeof *c);
	if (c == NULL)
		return NULL;
	snprintf(c->space, sizeof c->space, "%s", space);
	c->table = standin_table_open(c->space, &c->fd);
	if (c->table == NULL) {
		free(c);
		return NULL;
	}
	return c;
}

void standin_control_close(struct standin_control *c)
{
	if (c == NULL)
		return;
	standin_table_close(c->table, c->space, c->fd);
	free(c);
}

/* trouble_update - the word that requests look at first. */
static void trouble_update(struct standin_device *d)
{
	bool is_unusual = d->port != STANDIN_PORT_UP || d->blocked != 0 || d->kill_after >= 0;
	for (int i = 0; i < STANDIN_GIDS; i++)
		is_unusual = is_unusual || d->gids[i].mode != STANDIN_GID_PRESENT;
	atomic_store(&d->trouble, is_unusual);
}

static struct standin_device *device_at(struct standin_control *c, unsigned device)
{
	if (device < STANDIN_DEVICES_MAX)
		return &c->table->devices[device];
	errno = EINVAL;
	return NULL;
}

int standin_control_port(struct standin_control *c, unsigned device, enum standin_port_mode mode)
{
	struct standin_device *d = device_at(c, device);
	if (d == NULL)
		return -1;
	const uint32_t was = atomic_exchange(&d->port, mode);
	trouble_update(d);
	if (was == STANDIN_PORT_UP && mode != STANDIN_PORT_UP)
		standin_port_event(c->table, device, IBV_EVENT_PORT_ERR);
	if (was != STANDIN_PORT_UP && mode == STANDIN_PORT_UP)
		standin_port_event(c->table, device, IBV_EVENT_PORT_ACTIVE);
	return 0;
}

int standin_control_gid(struct standin_control *c, unsigned device, unsigned index,
                        enum standin_gid_mode mode)
{
	struct standin_device *d = device_at(c, device);
	if (d == NULL || index >= STANDIN_GIDS) {
		errno = EINVAL;
		return -1;
	}
	const uint32_t was = atomic_exchange(&d->gids[index].mode, mode);
	trouble_update(d);
	if ((was == STANDIN_GID_REMOVED) != (mode == STANDIN_GID_REMOVED))
		standin_port_event(c->table, device, IBV_EVENT_GID_CHANGE);
	return 0;
}

int standin_control_block(struct standin_control *c, unsigned from, unsigned to, bool is_on)
{
	struct standin_device *d = device_at(c, from);
	if (d == NULL || device_at(c, to) == NULL)
		return -1;
	if (is_on)
		atomic_fetch_or(&d->blocked, 1u << to);
	else
		atomic_fetch_and(&d->blocked, ~(1u << to));
	trouble_update(d);
	return 0;
}

int standin_control_kill(struct standin_control *c, unsigned device, long after,
                         enum ibv_wc_status status)
{
	struct standin_device *d = device_at(c, device);
	if (d == NULL)
		return -1;
	atomic_store(&d->kill_status, status);
	atomic_store(&d->kill_after, after < 0 ? -1 : after);
	trouble_update(d);
	return 0;
}

int standin_control_state(struct standin_control *c, unsigned device, struct standin_state *out)
{
	struct standin_device *d = device_at(c, device);
	if (d == NULL)
		return -1;
	out->is_unusual = d->trouble != 0;
	out->port = d->port;
	for (int i = 0; i < STANDIN_GIDS; i++)
		out->gids[i] = d->gids[i].mode;
	out->blocked = d->blocked;
	out->kill_after = d->kill_after;
	return 0;
}

static bool is_counted(const struct standin_table *t, uint32_t slot, int pid)
{
	const uint32_t owner = t->procs[slot].pid;
	return owner != 0 && (pid == 0 || (int)owner == pid);
}

void standin_control_count(struct standin_control *c, int pid, struct standin_counts *out)
{
	const struct standin_table *t = c->table;
	*out = (struct standin_counts){0};
	standin_reclaim(c->table);
	for (uint32_t i = 0; i < STANDIN_PROCS; i++) {
		if (!is_counted(t, i, pid))
			continue;
		out->n_processes++;
		out->n_contexts += t->procs[i].n_contexts;
		out->n_pds += t->procs[i].n_pds;
	}
	for (uint32_t i = 0; i < STANDIN_QPS; i++)
		out->n_qps += t->qps[i].number != 0 && is_counted(t, t->qps[i].owner, pid);
	for (uint32_t i = 0; i < STANDIN_CQS; i++)
		out->n_cqs += t->cqs[i].number != 0 && is_counted(t, t->cqs[i].owner, pid);
	for (uint32_t i = 0; i < STANDIN_MRS; i++)
		out->n_mrs += t->mrs[i].key != 0 && is_counted(t, t->mrs[i].owner, pid);
}
