/*
 * boot_pmi_wire.h - what a process and its launcher say to each other in PMI-1 and PMI-2.
 *
 * PMI-1 is lines of words "name=value" with blanks between them; PMI-2 is messages of such pairs
 * that each end with a semicolon (two stand for one inside a value), after six characters of
 * decimal length.  Both begin with a line of PMI-1 that agrees on the version.
 *
 *   process                                   launcher
 *   cmd=init pmi_version=1 pmi_subversion=1   cmd=response_to_init pmi_version=1 .. rc=0
 *   cmd=get_my_kvsname                        cmd=my_kvsname kvsname=K
 *   cmd=put kvsname=K key=k value=v           cmd=put_result rc=0
 *   cmd=barrier_in                            cmd=barrier_out           when all have come
 *   cmd=get kvsname=K key=k                   cmd=get_result rc=0 value=v
 *   cmd=finalize                              cmd=finalize_ack
 *
 *   cmd=init pmi_version=2 pmi_subversion=0   cmd=response_to_init pmi_version=2 .. rc=0
 *   cmd=fullinit;pmijobid=J;pmirank=R;..      cmd=fullinit-response;rank=R;size=N;rc=0;
 *   cmd=kvs-put;key=k;value=v;                cmd=kvs-put-response;rc=0;
 *   cmd=kvs-fence;                            cmd=kvs-fence-response;rc=0;   when all have come
 *   cmd=kvs-get;jobid=J;srcid=-1;key=k;       cmd=kvs-get-response;found=TRUE;value=v;rc=0;
 *   cmd=finalize;                             cmd=finalize-response;rc=0;
 *
 * With PMI_PORT the process connects by itself and first says which one it is:
 *
 *   cmd=initack pmiid=I                       cmd=initack, then cmd=set size=N, rank=R, debug=D
 */
#ifndef FR_BOOT_PMI_WIRE_H
#define FR_BOOT_PMI_WIRE_H

#include <stdbool.h>
#include <stddef.h>

/* A message and its NUL.  Launchers promise 1024 characters of value. */
#define FR_PMI_MESSAGE_BYTES 4096
#define FR_PMI_LENGTH_BYTES  6

enum fr_pmi_version { FR_PMI_1 = 1, FR_PMI_2 = 2 };

/*
 * fr_pmi_value - the value of `name`, without the escapes of PMI-2; false when there is none or
 * it does not fit.  `out` is written on success only.
 */
bool fr_pmi_value(enum fr_pmi_version version, const char *message, const char *name, char *out,
                  size_t bytes);
/* fr_pmi_number - the same for a number between low and high. */
bool fr_pmi_number(enum fr_pmi_version version, const char *message, const char *name, int low,
                   int high, int *out);
/* fr_pmi_is - is its command `command`? */
bool fr_pmi_is(enum fr_pmi_version version, const char *message, const char *command);

/* fr_pmi_put_length - the six characters before a message of `bytes` (up to 999999). */
void fr_pmi_put_length(size_t bytes, char out[FR_PMI_LENGTH_BYTES]);
/* fr_pmi_get_length - false when it is no number, or none that FR_PMI_MESSAGE_BYTES hold. */
bool fr_pmi_get_length(const char in[FR_PMI_LENGTH_BYTES], size_t *bytes_out);

#endif
