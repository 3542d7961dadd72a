/* Feeds bytes to one side of `ferrule bw` as the other side would: parameters, then last words. */
#include "config.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/perf/perf_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct ferrule_perf perf = {.is_active = true};
	int fds[2];

	if (bytes > FR_PERF_FRAME_BYTES || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
		return 0;
	ferrule_perf_defaults(&perf.params, sizeof(perf.params), FERRULE_PERF_BW,
	                      FERRULE_PERF_WRITE);
	perf.params.control_fd = fds[0];
	perf.params.timeout_s = 0.5;
	if (fr_perf_control_open(&perf.control, &perf.params) != FERRULE_OK)
		abort();
	/* All that will ever come, so that nothing is waited for. */
	if (write(fds[1], data, bytes) == (ssize_t)bytes)
		shutdown(fds[1], SHUT_WR);
	if (fr_perf_params_agree(&perf) == FERRULE_OK) {
		fr_perf_control_peek(&perf.control);
		fr_perf_await_done(&perf, 8);
	}
	fr_perf_control_close(&perf.control);
	close(fds[1]);
	return 0;
}
