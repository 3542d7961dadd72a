/*
 * Verbs, on whatever device is here: the stand-in under run-on-standin.sh, Soft-RoCE in the guest,
 * hardware where there is some.
 */
#include "config.h"

#include <stdio.h>

#include "lib/transport/transport.h"
#include "tests/transport/conformance.h"

int main(void)
{
	const struct t_subject subject = {.ops = fr_transport_find("verbs")};
	char why[200];

	if (!subject.ops->usable(why, sizeof(why))) {
		printf("skip: %s\n", why);
		return 77;
	}
	return t_conformance("transport/verbs", &subject);
}
