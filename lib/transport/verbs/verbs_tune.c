/*
 * verbs_tune.c - the numbers of a queue pair, from the settings and from what the device is.
 *
 * An acknowledgement timeout of 18 is 1.07 s, so that with seven repetitions a link may flap for
 * some seconds before an operation fails.  A receiver that was not ready is asked again after
 * 0.64 ms (12), and for ever: credits rule it out, and what remains is a receiver about to post.
 */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/settings.h"
#include "lib/transport/verbs/verbs_device.h"

#define TIMEOUT        18
#define RETRY          7
#define RETRY_SOFTROCE 6
#define MIN_RNR_TIMER  12
#define HOP_LIMIT      64
/* Soft-RoCE refuses a queue pair that asks for more. */
#define INLINE_SOFTROCE 512

int fr_verbs_mtu_bytes(int code)
{
	return code >= IBV_MTU_256 && code <= IBV_MTU_4096 ? 128 << code : 0;
}

int fr_verbs_mtu_code(int bytes)
{
	int code = IBV_MTU_4096;

	while (code > IBV_MTU_256 && fr_verbs_mtu_bytes(code) > bytes)
		code--;
	return code;
}

bool fr_verbs_is_softroce(const struct ibv_device_attr *device)
{
	return device->vendor_id == 0xffffff && device->vendor_part_id == 0;
}

static bool wants_relaxed_ordering(const char *word, bool is_softroce)
{
	/* No PCIe lies between a processor and a device that it is itself. */
	if (strcmp(word, "auto") == 0)
		return !is_softroce;
	return strcmp(word, "1") == 0;
}

void fr_verbs_tune(const struct fr_settings *set, const struct ibv_device_attr *device,
                   const struct ibv_port_attr *port, struct fr_verbs_tuning *out)
{
	const bool is_softroce = fr_verbs_is_softroce(device);
	const int active = fr_verbs_mtu_bytes((int)port->active_mtu);
	const int wanted =
		strcmp(set->ib_mtu, "auto") == 0 ? active : (int)strtol(set->ib_mtu, NULL, 10);

	*out = (struct fr_verbs_tuning){
		.timeout = set->ib_timeout >= 0 ? (int)set->ib_timeout : TIMEOUT,
		.retry = is_softroce ? RETRY_SOFTROCE : RETRY,
		.rnr_retry = (int)set->ib_rnr_retry,
		.min_rnr_timer = MIN_RNR_TIMER,
		.service_level = (int)set->ib_sl,
		.traffic_class = (int)set->ib_tc,
		.hop_limit = HOP_LIMIT,
		.pkey_index = (int)set->ib_pkey_index,
		.mtu = wanted < active ? wanted : active,
		.max_inline = (int)set->ib_inline,
		.relaxed_ordering = wants_relaxed_ordering(set->ib_relaxed_ordering, is_softroce),
	};
	if (set->ib_retry >= 0)
		out->retry = (int)set->ib_retry;
	if (is_softroce && out->max_inline > INLINE_SOFTROCE)
		out->max_inline = INLINE_SOFTROCE;
}
