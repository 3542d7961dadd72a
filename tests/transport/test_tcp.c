#include "config.h"

#include "lib/transport/transport.h"
#include "tests/transport/conformance.h"

int main(void)
{
	const struct t_subject subject = {.ops = fr_transport_find("tcp")};
	return t_conformance("transport/tcp", &subject);
}
