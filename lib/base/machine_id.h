/*
 * machine_id.h - which running kernel this is, and which of its networks.
 *
 * These are claims, not proofs: a copied virtual machine can claim what its original does.  What
 * two processes share is found out by trying (private_socket.h); the ids say what is worth a try.
 */
#ifndef FR_MACHINE_ID_H
#define FR_MACHINE_ID_H

#include <stdint.h>

/* fr_machine_id - the same for all processes of one running kernel, in whatever container. */
uint64_t fr_machine_id(void);
/* fr_network_id - the same for processes of one kernel that have the same interfaces: whose
 * loopback address means the same. */
uint64_t fr_network_id(void);

#endif
