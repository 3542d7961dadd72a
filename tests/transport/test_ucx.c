/* The suite over UCX's sockets, which every machine has; UCX_TLS chooses others. */
#include "config.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/transport/transport.h"
#include "tests/support/t_main.h"
#include "tests/transport/conformance.h"

int main(void)
{
	const struct t_subject subject = {.ops = fr_transport_find("ucx")};
	char why[200];

	if (!subject.ops->usable(why, sizeof(why)))
		t_lacking("%s", why);
	else if (access("/sys/class/net/lo", F_OK) != 0)
		t_lacking("there is no /sys/class/net, where UCX looks for interfaces");
	/* Device files, /dev/shm and ptrace differ from one container to the next; loopback does
	 * not.  Ranks are forked, and each makes its own context, so this is set in time. */
	setenv("UCX_TLS", "tcp,self", 0);
	setenv("UCX_NET_DEVICES", "lo", 0);
	return t_conformance("transport/ucx", &subject);
}
