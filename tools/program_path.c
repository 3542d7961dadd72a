#include "tools/program_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool fr_is_executable(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

bool fr_program_find(const char *name, char *path, size_t n)
{
	const char *dir = getenv("PATH");
	if (!dir)
		dir = "/bin:/usr/bin";
	while (true) {
		const int length = (int)strcspn(dir, ":");
		/* An empty entry means the current directory. */
		snprintf(path, n, "%.*s%s%s", length, dir, length ? "/" : "./", name);
		if (fr_is_executable(path))
			return true;
		if (!dir[length])
			return false;
		dir += length + 1;
	}
}
