/* standin_config.c - the stand-in's settings: all from the environment, see standin.h. */
#include "tests/support/standin/standin_local.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : otherwise;
}

void standin_config_read(struct standin_config *c, _Atomic int64_t *kill_after)
{
	const char *space = getenv("STANDIN_NAMESPACE");
	snprintf(c->space, sizeof c->space, "%s", space != NULL && *space != '\0' ? space : "0");
	for (char *p = c->space; *p != '\0'; p++)
		if (*p == '/')
			*p = '_';
	c->n_devices = (uint32_t)number("STANDIN_DEVICES", 1);
	if (c->n_devices > STANDIN_DEVICES_MAX)
		c->n_devices = STANDIN_DEVICES_MAX;
	c->first_device = (uint32_t)number("STANDIN_NODE", 0) * c->n_devices;
	if (c->first_device + c->n_devices > STANDIN_DEVICES_MAX) {
		fprintf(stderr,
		        "standin: STANDIN_NODE=%u with STANDIN_DEVICES=%u: at most %d devices\n",
		        c->n_devices == 0 ? 0 : c->first_device / c->n_devices, c->n_devices,
		        STANDIN_DEVICES_MAX);
		c->first_device = STANDIN_DEVICES_MAX - c->n_devices;
	}
	const char *link = getenv("STANDIN_LINK");
	c->is_infiniband = link != NULL && strcmp(link, "ib") == 0;
	c->scramble_ns = number("STANDIN_SCRAMBLE", 0);
	c->has_dmabuf = number("STANDIN_DMABUF", 1) != 0;
	c->is_sharing = number("STANDIN_SHARE", 1) != 0;
	c->gbps = number("STANDIN_GBPS", 0);
	c->lat_ns = number("STANDIN_LAT_NS", 0);
	c->max_msg = number("STANDIN_MAX_MSG", 1u << 30);
	c->memlock = number("STANDIN_MEMLOCK", UINT64_MAX);
	const char *scale = getenv("STANDIN_TIME_SCALE");
	c->time_scale = scale != NULL && *scale != '\0' ? strtod(scale, NULL) : 1;
	if (!(c->time_scale > 0))
		c->time_scale = 1;
	const char *kill = getenv("STANDIN_KILL_AFTER");
	const char *status = kill != NULL ? strchr(kill, ':') : NULL;
	*kill_after = kill != NULL && *kill != '\0' ? strtoll(kill, NULL, 0) : -1;
	c->kill_status =
		status != NULL ? (uint32_t)strtoul(status + 1, NULL, 0) : IBV_WC_RETRY_EXC_ERR;
}
