#include "config.h"

#include "lib/base/system.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/base/error.h"

bool fr_is_exhaustion(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS ||
	       error == ENOSPC;
}

static unsigned long long limit_of(int resource)
{
	struct rlimit limit;

	return getrlimit(resource, &limit) == 0 ? (unsigned long long)limit.rlim_cur : 0;
}

char *fr_system_text(const char *call, int error, char *buf, size_t bytes)
{
	const unsigned long long memory = limit_of(RLIMIT_AS);

	if (error == EMFILE)
		snprintf(buf, bytes,
		         "%s: out of file descriptors, the limit is %llu; raise it with ulimit -n",
		         call, limit_of(RLIMIT_NOFILE));
	else if (error == ENFILE)
		snprintf(buf, bytes,
		         "%s: this host is out of open files; raise fs.file-max with sysctl", call);
	else if (error == ENOMEM && memory != 0 && memory != (unsigned long long)RLIM_INFINITY)
		snprintf(buf, bytes,
		         "%s: out of memory, the limit of address space is %llu KiB; raise it with "
		         "ulimit -v, or the memory of the container",
		         call, memory >> 10);
	else if (error == ENOMEM)
		snprintf(buf, bytes,
		         "%s: out of memory; the host or its container (cgroup) has none left",
		         call);
	else if (error == ENOSPC)
		snprintf(buf, bytes, "%s: no space left; raise the memory of the container", call);
	else
		snprintf(buf, bytes, "%s: %s", call, strerror(error));
	return buf;
}

ferrule_status_t fr_system_error(const char *call, int error)
{
	char text[240];

	return fr_error(FERRULE_ERR_SYSTEM, "%s", fr_system_text(call, error, text, sizeof(text)));
}

/* Descriptors that this process has; 0 when it cannot be told. */
static size_t n_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	if (!dir)
		return 0;
	for (const struct dirent *at = readdir(dir); at; at = readdir(dir))
		n += at->d_name[0] != '.';
	closedir(dir);
	return n > 0 ? n - 1 : 0; /* the directory itself */
}

bool fr_descriptors_reserve(size_t n_more, size_t *need_out, size_t *limit_out)
{
	const size_t need = n_open() + n_more;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
	    need <= limit.rlim_cur)
		return true;
	const rlim_t had = limit.rlim_cur;
	limit.rlim_cur = need < limit.rlim_max ? need : limit.rlim_max;
	if (limit.rlim_cur != had && setrlimit(RLIMIT_NOFILE, &limit) != 0)
		limit.rlim_cur = had;
	*need_out = need;
	*limit_out = (size_t)limit.rlim_cur;
	return need <= limit.rlim_cur;
}
