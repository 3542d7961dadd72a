/* ferrule_gdr_at(): pairs of GPUs and RDMA devices. */
#include "config.h"

#include <ferrule/info.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/mem/gdr.h"
#include "lib/mem/gpu.h"
#include "lib/transport/verbs/verbs_api.h"
#include "lib/transport/verbs/verbs_device.h"

#define PORTS_MAX 64

/* The devices of the ports, each once; how many. */
static int one_a_device(struct fr_verbs_port *ports, int n)
{
	int n_devices = 0;

	for (int i = 0; i < n; i++) {
		int at = 0;

		while (at < n_devices && strcmp(ports[at].device, ports[i].device) != 0)
			at++;
		if (at == n_devices)
			ports[n_devices++] = ports[i];
	}
	return n_devices;
}

/* No descriptor has the number -1: whoever takes dma-bufs says so, the others that they do not. */
static enum fr_known ask_pd(const struct fr_verbs *v, struct ibv_pd *pd)
{
	if (!v->reg_dmabuf_mr)
		return FR_NO;
	errno = 0;
	struct ibv_mr *mr = v->reg_dmabuf_mr(pd, 0, 4096, 0, -1, 0);

	if (mr)
		v->dereg_mr(mr);
	if (errno == EBADF)
		return FR_YES;
	return errno == EOPNOTSUPP || errno == EPROTONOSUPPORT ? FR_NO : FR_UNKNOWN;
}

static enum fr_known takes_dmabuf(const struct fr_verbs *v, const char *name)
{
	enum fr_known answer = FR_UNKNOWN;
	int n = 0;
	struct ibv_device **list = v->get_device_list(&n);

	for (int i = 0; list && i < n; i++) {
		if (strcmp(v->get_device_name(list[i]), name) != 0)
			continue;
		struct ibv_context *context = v->open_device(list[i]);
		struct ibv_pd *pd = context ? v->alloc_pd(context) : NULL;

		if (pd) {
			answer = ask_pd(v, pd);
			v->dealloc_pd(pd);
		}
		if (context)
			v->close_device(context);
	}
	if (list)
		v->free_device_list(list);
	return answer;
}

static int count_gpus(char *why, size_t why_bytes)
{
	const struct fr_cuda *c = fr_cuda_get(why, why_bytes);
	int count = 0;

	return c && c->device_count(&count) == FR_CUDA_SUCCESS ? count : 0;
}

bool ferrule_gdr_at(int i, struct ferrule_gdr_info *out)
{
	struct fr_verbs_port ports[PORTS_MAX];
	struct fr_gdr_pair pair = {.capability = 0};
	struct fr_gdr_decision decision;

	if (!out || i < 0)
		return false;
	memset(out, 0, sizeof(*out));
	const int n_gpus = count_gpus(out->reason, sizeof(out->reason));

	if (n_gpus == 0)
		return false;
	const struct fr_verbs *v = fr_verbs_get(out->reason, sizeof(out->reason));
	const int n_ports =
		v ? fr_verbs_ports(v, ports, PORTS_MAX, out->reason, sizeof(out->reason)) : 0;

	if (n_ports <= 0)
		return false;
	const int n_devices = one_a_device(ports, n_ports);

	if (i >= n_gpus * n_devices)
		return false;
	const char *nic = ports[i % n_devices].device;

	out->gpu_ordinal = i / n_devices;
	if (!fr_gdr_ask_gpu("/sys", out->gpu_ordinal, &pair, out->reason, sizeof(out->reason)) ||
	    !fr_gdr_for(out->gpu_ordinal, nic, takes_dmabuf(v, nic), &decision, out->reason,
	                sizeof(out->reason)))
		return false;
	snprintf(out->gpu, sizeof(out->gpu), "%s", pair.gpu.name);
	snprintf(out->nic, sizeof(out->nic), "%s", nic);
	snprintf(out->reason, sizeof(out->reason), "%s", decision.reason);
	out->way = fr_gdr_way_text(decision.way);
	out->distance = fr_gdr_distance_text(decision.distance);
	out->flush = fr_gdr_flush_text(decision.flush);
	return true;
}
