/* What the CUDA driver says of a GPU, and the decision for this machine. */
#include "config.h"

#include "lib/mem/gdr.h"

#include <stdio.h>

#include "lib/base/settings.h"
#include "lib/mem/gpu.h"

static int ask(const struct fr_cuda *c, int device, int which, int otherwise)
{
	int value;

	return c->device_attribute(&value, which, device) == FR_CUDA_SUCCESS ? value : otherwise;
}

static enum fr_known known(int value)
{
	return value < 0 ? FR_UNKNOWN : value != 0 ? FR_YES : FR_NO;
}

static void fill(const struct fr_cuda *c, int device, struct fr_gdr_pair *pair)
{
	const int options = ask(c, device, FR_CUDA_DEVICE_RDMA_FLUSH_OPTIONS, -1);

	pair->capability = 10 * ask(c, device, FR_CUDA_DEVICE_CAPABILITY_MAJOR, 0) +
	                   ask(c, device, FR_CUDA_DEVICE_CAPABILITY_MINOR, 0);
	pair->gpu_rdma = known(ask(c, device, FR_CUDA_DEVICE_RDMA_SUPPORTED, -1));
	/* A driver that does not know the question gives none. */
	pair->gpu_dmabuf = c->range_handle && ask(c, device, FR_CUDA_DEVICE_DMA_BUF_SUPPORTED, 0)
	                           ? FR_YES
	                           : FR_NO;
	/* A GPU inside the processor has the same page tables too, but no way of its own. */
	pair->is_coherent =
		known(ask(c, device, FR_CUDA_DEVICE_PAGEABLE_USES_HOST_TABLES, -1) == 1 &&
	              ask(c, device, FR_CUDA_DEVICE_INTEGRATED, 0) == 0);
	pair->ordering = ask(c, device, FR_CUDA_DEVICE_RDMA_ORDERING, -1);
	pair->can_flush = c->flush_writes && options >= 0 && (options & FR_CUDA_FLUSH_OPTION_HOST)
	                          ? FR_YES
	                          : FR_NO;
}

bool fr_gdr_ask_gpu(const char *sysfs, int ordinal, struct fr_gdr_pair *pair, char *why,
                    size_t why_bytes)
{
	const struct fr_cuda *c = fr_cuda_get(why, why_bytes);
	char bus_id[32] = "";
	int count = 0, device;

	if (!c)
		return false;
	if (why_bytes > 0)
		why[0] = '\0';
	if (c->device_count(&count) != FR_CUDA_SUCCESS || ordinal < 0 || ordinal >= count ||
	    c->device_get(&device, ordinal) != FR_CUDA_SUCCESS)
		return false;
	pair->gpu = (struct fr_gdr_device){.numa_node = -1};
	c->device_name(pair->gpu.name, (int)sizeof(pair->gpu.name), device);
	c->device_bus_id(bus_id, (int)sizeof(bus_id), device);
	fr_gdr_read_gpu(sysfs, bus_id, &pair->gpu);
	fill(c, device, pair);
	return true;
}

bool fr_gdr_for(int gpu, const char *nic, enum fr_known nic_dmabuf, struct fr_gdr_decision *out,
                char *why, size_t why_bytes)
{
	struct fr_gdr_pair pair = {.nic_dmabuf = nic_dmabuf};

	if (!fr_gdr_ask_gpu("/sys", gpu, &pair, why, why_bytes))
		return false;
	fr_gdr_read_nic("/sys", nic, &pair.nic);
	fr_gdr_read_way("/sys", &pair);
	fr_gdr_decide(&pair, fr_settings()->gdr, out);
	return true;
}
