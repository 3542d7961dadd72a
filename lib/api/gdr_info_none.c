/* ferrule_gdr_at() without verbs: no pair. */
#include "config.h"

#include <ferrule/info.h>

#include <stdio.h>
#include <string.h>

bool ferrule_gdr_at(int i, struct ferrule_gdr_info *out)
{
	if (!out || i < 0)
		return false;
	memset(out, 0, sizeof(*out));
	snprintf(out->reason, sizeof(out->reason),
	         "this Ferrule was built without verbs, so no card writes to a GPU");
	return false;
}
