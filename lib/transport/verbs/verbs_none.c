/* The verbs transport of a build without <infiniband/verbs.h>: it says so, and is never opened. */
#include "config.h"

#include <stdio.h>

#include "lib/transport/transport_list.h"

static bool none_usable(char *why, size_t why_bytes)
{
	snprintf(why, why_bytes, "this Ferrule was built without verbs");
	return false;
}

static bool none_reaches(bool same_host)
{
	(void)same_host;
	return false;
}

const struct fr_transport_ops fr_transport_verbs = {
	.name = "verbs",
	.summary = "InfiniBand and RoCE, between any two ranks",
	.usable = none_usable,
	.reaches = none_reaches,
};
