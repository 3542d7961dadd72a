/*
 * Design: from what rules GPUDirect out, to what makes it slow, to what is left: use it.
 *
 * A PCIe switch that joins GPU and card moves data at link speed and the processor sees nothing
 * of it.  When the two meet in the processor instead, many processors forward between their
 * ports at a fraction of that, so that staging through host memory is faster; and where access
 * control (ACS) or a translating IOMMU sends the traffic that way, some machines hang.  Both
 * are therefore left to people who know their machine and set FERRULE_GDR.
 */
#include "config.h"

#include "lib/mem/gdr.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/mem/gpu.h"

static void say(struct fr_gdr_decision *d, enum fr_gdr_way way, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void say(struct fr_gdr_decision *d, enum fr_gdr_way way, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fr_vformat(d->reason, sizeof(d->reason), format, arguments);
	va_end(arguments);
	d->way = way;
}

/* ---- distance ---- */

static int n_parts(const char *path)
{
	int n = path[0] != '\0';

	for (; *path; path++)
		n += *path == '/';
	return n;
}

int fr_gdr_n_common(const char *a, const char *b)
{
	for (int n = 0;; n++) {
		const size_t length = strcspn(a, "/");

		if (length == 0 || length != strcspn(b, "/") || memcmp(a, b, length) != 0)
			return n;
		a += length + (a[length] == '/');
		b += length + (b[length] == '/');
	}
}

enum fr_gdr_distance fr_gdr_distance_of(const struct fr_gdr_pair *pair)
{
	const struct fr_gdr_device *gpu = &pair->gpu, *nic = &pair->nic;
	const int common = fr_gdr_n_common(gpu->path, nic->path);

	if (!nic->path[0])
		return FR_GDR_NO_DEVICE;
	if (!gpu->path[0])
		return FR_GDR_UNKNOWN;
	/* A guest that is shown no bridge on either way is not shown the hardware. */
	if (pair->is_virtual && n_parts(gpu->path) <= 2 && n_parts(nic->path) <= 2)
		return FR_GDR_HIDDEN;
	/* A host bridge and a root port at least. */
	if (common >= 2)
		return FR_GDR_SWITCH;
	if (pair->is_coherent == FR_YES && gpu->numa_node >= 0 && gpu->numa_node == nic->numa_node)
		return FR_GDR_COHERENT;
	if (common == 1)
		return FR_GDR_BRIDGE;
	if (gpu->numa_node < 0 || nic->numa_node < 0)
		return FR_GDR_UNKNOWN;
	if (gpu->numa_node == nic->numa_node)
		return FR_GDR_NODE;
	return FR_GDR_SYSTEM;
}

/* ---- what there is ---- */

static bool has_dmabuf(const struct fr_gdr_pair *pair)
{
	return pair->gpu_dmabuf == FR_YES && pair->nic_dmabuf != FR_NO;
}

static enum fr_gdr_way best_way(const struct fr_gdr_pair *pair)
{
	if (has_dmabuf(pair))
		return FR_GDR_DMABUF;
	return pair->has_peermem ? FR_GDR_PEERMEM : FR_GDR_STAGED;
}

/* "dma-buf", or what there is instead and why. */
static const char *way_words(const struct fr_gdr_pair *pair)
{
	if (has_dmabuf(pair))
		return "by dma-buf";
	return pair->gpu_dmabuf == FR_YES
	               ? "by nvidia_peermem, since the card's driver takes no dma-buf"
	               : "by nvidia_peermem, since the GPU's driver gives no dma-buf";
}

static const char *distance_words(enum fr_gdr_distance distance)
{
	static const char *const words[] = {
		[FR_GDR_COHERENT] = "GPU and processor are one coherent machine",
		[FR_GDR_SWITCH] = "a PCIe switch joins them",
		[FR_GDR_BRIDGE] = "they meet in the processor, below one host bridge",
		[FR_GDR_NODE] = "they are below different host bridges of one NUMA node",
		[FR_GDR_SYSTEM] = "they are in different NUMA nodes",
		[FR_GDR_UNKNOWN] = "it is not known what joins them",
		[FR_GDR_HIDDEN] = "this guest is not shown what joins them",
		[FR_GDR_NO_DEVICE] = "the card is no PCI device",
	};

	return words[distance];
}

/* ---- what rules it out ---- */

/* True when there is no way at all; says why. */
static bool is_impossible(const struct fr_gdr_pair *pair, struct fr_gdr_decision *d)
{
	if (d->distance == FR_GDR_NO_DEVICE)
		say(d, FR_GDR_STAGED,
		    "%s is no PCI device: nothing but the processor copies for it", pair->nic.name);
	else if (pair->gpu_rdma == FR_NO)
		say(d, FR_GDR_STAGED,
		    "the driver says that other devices cannot reach the memory of this GPU");
	else if (best_way(pair) == FR_GDR_STAGED && pair->gpu_dmabuf == FR_YES)
		say(d, FR_GDR_STAGED,
		    "the driver of %s takes no dma-buf, and nvidia_peermem is not loaded",
		    pair->nic.name);
	else if (best_way(pair) == FR_GDR_STAGED)
		say(d, FR_GDR_STAGED,
		    "the GPU's driver gives no dma-buf (it does with NVIDIA's open kernel modules, "
		    "on most GPUs), and nvidia_peermem is not loaded");
	else
		return false;
	return true;
}

/* True when it would be slow or could hang; says why and what to do. */
static bool is_unwise(const struct fr_gdr_pair *pair, struct fr_gdr_decision *d)
{
	const char *way = fr_gdr_way_text(best_way(pair));

	if (d->distance == FR_GDR_COHERENT)
		return false;
	if (d->distance == FR_GDR_HIDDEN)
		say(d, FR_GDR_STAGED,
		    "%s; set FERRULE_GDR=%s if whoever runs the machine says that it is a PCIe "
		    "switch",
		    distance_words(d->distance), way);
	else if (d->distance > FR_GDR_SWITCH)
		say(d, FR_GDR_STAGED,
		    "%s, where copying through host memory is mostly faster; FERRULE_GDR=%s tries "
		    "it",
		    distance_words(d->distance), way);
	else if (pair->has_acs == FR_YES)
		say(d, FR_GDR_STAGED,
		    "access control (ACS) at bridge %s sends what one device writes to the other "
		    "up to the processor, which is slow and hangs some machines; switch it off, or "
		    "set FERRULE_GDR=%s if this machine is known to work",
		    pair->acs_bridge, way);
	else if (pair->iommu == FR_GDR_IOMMU_TRANSLATES)
		say(d, FR_GDR_STAGED,
		    "the IOMMU translates what devices access, so that all goes up to the "
		    "processor; boot with iommu=pt, or set FERRULE_GDR=%s if this machine is known "
		    "to work",
		    way);
	else
		return false;
	return true;
}

/* ---- flush ---- */

static enum fr_gdr_flush flush_of(const struct fr_gdr_pair *pair, const struct fr_gdr_decision *d)
{
	if (d->way == FR_GDR_STAGED)
		return FR_GDR_FLUSH_NONE; /* the copy is one */
	/* Where a GPU has a second, coherent way to the processor, what the card writes over PCIe
	 * can be overtaken by what the processor says. */
	const bool has_two_ways = pair->is_coherent == FR_YES && d->distance != FR_GDR_COHERENT;
	/* Before the driver had an answer: GPUs from 9.0 on keep the order. */
	const bool keeps_order = pair->ordering < 0 ? pair->capability >= 90
	                                            : pair->ordering >= FR_CUDA_ORDERING_OWNER;

	if (keeps_order && !has_two_ways)
		return FR_GDR_FLUSH_NONE;
	return pair->can_flush == FR_YES ? FR_GDR_FLUSH_DRIVER : FR_GDR_FLUSH_READ;
}

/* ---- the decision ---- */

static bool is_forced(const char *wish, struct fr_gdr_decision *d)
{
	static const enum fr_gdr_way ways[] = {FR_GDR_STAGED, FR_GDR_DMABUF, FR_GDR_PEERMEM};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(wish, fr_gdr_way_text(ways[i])) != 0)
			continue;
		say(d, ways[i], "FERRULE_GDR=%s; %s", wish, distance_words(d->distance));
		return true;
	}
	return false;
}

void fr_gdr_decide(const struct fr_gdr_pair *pair, const char *wish, struct fr_gdr_decision *out)
{
	*out = (struct fr_gdr_decision){.distance = fr_gdr_distance_of(pair)};
	if (!is_forced(wish, out) && !is_impossible(pair, out) && !is_unwise(pair, out))
		say(out, best_way(pair), "%s; %s", distance_words(out->distance), way_words(pair));
	out->flush = flush_of(pair, out);
}

/* ---- words ---- */

const char *fr_gdr_way_text(enum fr_gdr_way way)
{
	static const char *const words[] = {[FR_GDR_STAGED] = "staged",
	                                    [FR_GDR_DMABUF] = "dmabuf",
	                                    [FR_GDR_PEERMEM] = "peermem"};

	return words[way];
}

const char *fr_gdr_distance_text(enum fr_gdr_distance distance)
{
	static const char *const words[] = {
		[FR_GDR_COHERENT] = "coherent",   [FR_GDR_SWITCH] = "switch",
		[FR_GDR_BRIDGE] = "host bridge",  [FR_GDR_NODE] = "NUMA node",
		[FR_GDR_SYSTEM] = "across nodes", [FR_GDR_UNKNOWN] = "unknown",
		[FR_GDR_HIDDEN] = "hidden",       [FR_GDR_NO_DEVICE] = "none",
	};

	return words[distance];
}

const char *fr_gdr_flush_text(enum fr_gdr_flush flush)
{
	static const char *const words[] = {[FR_GDR_FLUSH_NONE] = "none",
	                                    [FR_GDR_FLUSH_DRIVER] = "driver",
	                                    [FR_GDR_FLUSH_READ] = "read"};

	return words[flush];
}
