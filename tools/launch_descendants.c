/*
 * launch_descendants.c - reaching every process that a job has started.
 *
 * Process groups are not enough: a rank's child may have left its rank's group.  The launcher is
 * a subreaper (see prctl(2)), so that a process whose parent has died becomes the launcher's own
 * child and never leaves the tree that is walked here.
 */
#include "tools/launch_internal.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct process {
	pid_t pid, parent;
	bool is_ours;
};

struct process_list {
	struct process *all;
	size_t n, capacity;
};

/* Linux's PF_EXITING, among the flags of /proc/PID/stat. */
#define FLAG_EXITING 0x4u

bool fr_process_stat(pid_t pid, struct fr_process_stat *out)
{
	char path[64], text[512];
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *const f = fopen(path, "re");
	if (!f)
		return false;
	const size_t n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	/* The second field, a name, may hold spaces and brackets. */
	const char *const name_end = strrchr(text, ')');
	char state;
	int parent;
	unsigned flags;
	if (!name_end ||
	    sscanf(name_end + 1, " %c %d %*d %*d %*d %*d %u", &state, &parent, &flags) != 3)
		return false;
	*out = (struct fr_process_stat){
		.parent = parent, .is_zombie = state == 'Z', .is_exiting = flags & FLAG_EXITING};
	return true;
}

static bool append(struct process_list *list, pid_t pid, pid_t parent)
{
	if (list->n == list->capacity) {
		const size_t capacity = list->capacity ? 2 * list->capacity : 256;
		struct process *const grown = realloc(list->all, capacity * sizeof(*grown));
		if (!grown)
			return false;
		list->all = grown;
		list->capacity = capacity;
	}
	list->all[list->n++] = (struct process){.pid = pid, .parent = parent};
	return true;
}

static bool list_processes(struct process_list *list)
{
	DIR *const proc = opendir("/proc");
	if (!proc)
		return false;
	for (struct dirent *d = readdir(proc); d; d = readdir(proc)) {
		const pid_t pid = (pid_t)atoi(d->d_name);
		struct fr_process_stat stat;
		if (pid <= 0 || !fr_process_stat(pid, &stat) || stat.is_zombie)
			continue;
		if (!append(list, pid, stat.parent))
			break;
	}
	closedir(proc);
	return true;
}

static bool is_ours(const struct process_list *list, pid_t pid)
{
	if (pid == getpid())
		return true;
	for (size_t i = 0; i < list->n; i++) {
		if (list->all[i].pid == pid)
			return list->all[i].is_ours;
	}
	return false;
}

/* Marks children of what is marked until nothing changes: as many rounds as the tree is deep. */
static int mark_descendants(struct process_list *list)
{
	int n_ours = 0;
	bool is_changed = true;
	while (is_changed) {
		is_changed = false;
		for (size_t i = 0; i < list->n; i++) {
			struct process *const p = &list->all[i];
			if (p->is_ours || !is_ours(list, p->parent))
				continue;
			p->is_ours = is_changed = true;
			n_ours++;
		}
	}
	return n_ours;
}

int fr_signal_descendants(int signal)
{
	struct process_list list = {.all = NULL};

	if (!list_processes(&list))
		return -1;
	const int n_ours = mark_descendants(&list);
	for (size_t i = 0; i < list.n; i++) {
		if (list.all[i].is_ours)
			kill(list.all[i].pid, signal);
	}
	free(list.all);
	return n_ours;
}
