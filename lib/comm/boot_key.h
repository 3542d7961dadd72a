/* boot_key.h - the secret of a job whose ranks meet at rank 0's address. */
#ifndef FR_BOOT_KEY_H
#define FR_BOOT_KEY_H

#include <stdint.h>

#include <ferrule/status.h>
#include "lib/base/key_file.h"
#include "lib/comm/boot_env.h"

/*
 * fr_boot_key_find - the first of these that there is:
 *
 *   FERRULE_JOB_KEY      from `ferrule run`, or a person
 *   a key file           when all ranks are on this host: rank 0 publishes it (in *file, for
 *                        the caller to remove once all have come), the others wait for it
 *   what all ranks know  between hosts, with a warning, or an error by FERRULE_REQUIRE_KEY
 */
ferrule_status_t fr_boot_key_find(const struct fr_boot_env *env, uint64_t deadline_ns,
                                  struct fr_key_file *file,
                                  unsigned char key_out[FR_AUTH_KEY_BYTES]);

#endif
