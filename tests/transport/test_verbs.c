/*
 * Verbs, on whatever device is here: the stand-in under run-on-standin.sh, Soft-RoCE in the guest,
 * hardware where there is some.
 */
#include "config.h"

#include "lib/transport/transport.h"
#include "tests/support/t_main.h"
#include "tests/transport/conformance.h"

int main(void)
{
	const struct t_subject subject = {.ops = fr_transport_find("verbs")};
	char why[200];

	if (!subject.ops->usable(why, sizeof(why)))
		t_lacking("%s", why);
	return t_conformance("transport/verbs", &subject);
}
