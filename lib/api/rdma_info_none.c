/* ferrule_rdma_port_at() without verbs: no port. */
#include "config.h"

#include <ferrule/info.h>

#include <stdio.h>
#include <string.h>

bool ferrule_rdma_port_at(int i, struct ferrule_rdma_port *out)
{
	if (!out || i < 0)
		return false;
	memset(out, 0, sizeof(*out));
	snprintf(out->why, sizeof(out->why), "this Ferrule was built without verbs");
	return false;
}
