/* The table of a build without UCX: it says so where transports are listed. */
#include "config.h"

#include <stdio.h>

#include "lib/transport/transport_list.h"

static bool none_usable(char *why, size_t why_bytes)
{
	snprintf(why, why_bytes, "this Ferrule was built without UCX");
	return false;
}

static bool none_reaches(bool same_host)
{
	(void)same_host;
	return false;
}

const struct fr_transport_ops fr_transport_ucx = {
	.name = "ucx",
	.summary = "whatever UCX runs on",
	.only_when_named = true,
	.usable = none_usable,
	.reaches = none_reaches,
};
