/* machine.c - a machine to assume where none has been measured: two cores near each other in
 * one host, hosts joined by sockets over a 25 Gbit/s network. */
#include "config.h"

#include "collectives/algo/algo.h"

const struct fr_machine fr_machine_default = {
	.publish_s = 0.1e-6,
	.publish_byte_s = 0.1e-9,
	.message_s = 0.4e-6,
	.message_byte_s = 0.05e-9,
	.direct_byte_s = 0.04e-9,
	.net_message_s = 8e-6,
	.net_byte_s = 0.3e-9,
	.reduce_byte_s = 0.03e-9,
	.copy_byte_s = 0.02e-9,
	.handoff_s = 1.5e-6,
	.cores = 64,
};
