#include "config.h"

#include "tests/support/t_folder.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int t_folder_count(const char *folder, const char *prefix)
{
	DIR *dir = opendir(folder);
	int n = 0;

	if (!dir)
		return 0;
	for (const struct dirent *e = readdir(dir); e; e = readdir(dir))
		n += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
	closedir(dir);
	return n;
}

bool t_has_meeting_place(void)
{
	char prefix[32];

	snprintf(prefix, sizeof(prefix), "ferrule-%d-", (int)getpid());
	return t_folder_count("/dev/shm", prefix) > 0;
}
