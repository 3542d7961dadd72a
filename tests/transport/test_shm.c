#include "config.h"

#include "lib/transport/transport.h"
#include "tests/transport/conformance.h"

int main(void)
{
	const struct t_subject subject = {.ops = fr_transport_find("shm")};
	return t_conformance("transport/shm", &subject);
}
