/*
 * gdr.h - how a network card should reach the memory of a GPU: directly, and by which way, or
 * staged through host memory.
 *
 * The decision is a pure function of what is known of a GPU, a card and the way between them, so
 * that it can be tested on recorded machines.  What is known is read by gdr_topology.c and by
 * whoever asks the CUDA driver and verbs.  Nothing of this has run on a GPU yet.
 */
#ifndef FR_GDR_H
#define FR_GDR_H

#include <stdbool.h>
#include <stddef.h>

/* What can be true, false, or not to be found out. */
enum fr_known { FR_UNKNOWN = -1, FR_NO, FR_YES };

enum fr_gdr_iommu {
	FR_GDR_IOMMU_UNKNOWN,
	FR_GDR_IOMMU_OFF,
	FR_GDR_IOMMU_PASS,      /* there, and lets addresses through (iommu=pt) */
	FR_GDR_IOMMU_TRANSLATES /* every access of a device is translated */
};

/* One end of the way. */
struct fr_gdr_device {
	char name[96];
	/* From the host bridge down, as sysfs has it below /sys/devices:
	 * "pci0000:80/0000:80:01.0/0000:81:00.0".  "": not a PCI device. */
	char path[256];
	int numa_node; /* -1: not known */
};

/* What is known of a pair. */
struct fr_gdr_pair {
	struct fr_gdr_device gpu, nic;
	int capability;            /* of the GPU, major * 10 + minor */
	enum fr_known gpu_rdma;    /* the GPU model can be reached by other devices */
	enum fr_known gpu_dmabuf;  /* the driver gives dma-bufs */
	enum fr_known is_coherent; /* GPU and processor share memory coherently (C2C) */
	int ordering;              /* FR_CUDA_ORDERING_*; -1: the driver does not say */
	enum fr_known can_flush;   /* the driver can flush for the host */
	enum fr_known nic_dmabuf;  /* the card's driver takes dma-bufs */
	bool has_peermem;          /* the module nvidia_peermem is loaded */
	enum fr_known has_acs;     /* a bridge between them sends peers' accesses upwards */
	char acs_bridge[24];       /* which */
	enum fr_gdr_iommu iommu;
	bool is_virtual; /* this is a guest */
};

enum fr_gdr_way { FR_GDR_STAGED, FR_GDR_DMABUF, FR_GDR_PEERMEM };

/* Nearest first. */
enum fr_gdr_distance {
	FR_GDR_COHERENT,  /* GPU and processor are one coherent machine */
	FR_GDR_SWITCH,    /* below one root port: a PCIe switch joins them */
	FR_GDR_BRIDGE,    /* below one host bridge: they meet in the processor */
	FR_GDR_NODE,      /* in one NUMA node */
	FR_GDR_SYSTEM,    /* across sockets */
	FR_GDR_UNKNOWN,   /* the GPU's place or a NUMA node is not known */
	FR_GDR_HIDDEN,    /* a guest that is not shown the hardware's bridges */
	FR_GDR_NO_DEVICE, /* the card is no PCI device */
};

/* What has to happen after the last byte arrived and before the GPU is told. */
enum fr_gdr_flush {
	FR_GDR_FLUSH_NONE,
	FR_GDR_FLUSH_DRIVER, /* fr_gpu_flush() */
	FR_GDR_FLUSH_READ,   /* an RDMA READ of one element through the same card */
};

struct fr_gdr_decision {
	enum fr_gdr_way way;
	enum fr_gdr_distance distance;
	enum fr_gdr_flush flush;
	char reason[320]; /* one sentence for people */
};

/* fr_gdr_decide - `wish` is FERRULE_GDR: auto, dmabuf, peermem or staged. */
void fr_gdr_decide(const struct fr_gdr_pair *pair, const char *wish, struct fr_gdr_decision *out);
/* fr_gdr_n_common - how many parts of their paths two devices have in common. */
int fr_gdr_n_common(const char *a, const char *b);
/* fr_gdr_distance_of - how the two are joined. */
enum fr_gdr_distance fr_gdr_distance_of(const struct fr_gdr_pair *pair);

/* In words: "dmabuf"; "switch"; "driver". */
const char *fr_gdr_way_text(enum fr_gdr_way way);
const char *fr_gdr_distance_text(enum fr_gdr_distance distance);
const char *fr_gdr_flush_text(enum fr_gdr_flush flush);

/* ---- from this machine (gdr_topology.c, gdr_gpu.c); `sysfs` is "/sys" but in tests ---- */

/* fr_gdr_has_peermem - is nvidia_peermem, or one of its forerunners, loaded? */
bool fr_gdr_has_peermem(const char *sysfs);
/* fr_gdr_read_gpu, fr_gdr_read_nic - path and NUMA node of a GPU by its PCI address, as the CUDA
 * driver gives it, and of an RDMA device by its name.  False when there is none. */
bool fr_gdr_read_gpu(const char *sysfs, const char *bus_id, struct fr_gdr_device *out);
bool fr_gdr_read_nic(const char *sysfs, const char *name, struct fr_gdr_device *out);
/* fr_gdr_read_way - fills what lies between: ACS, IOMMU, peermem, is_virtual. */
void fr_gdr_read_way(const char *sysfs, struct fr_gdr_pair *pair);
/* fr_gdr_ask_gpu - fills all that is the GPU's, from the CUDA driver and sysfs; false and `why`
 * past the last GPU (why is "") or without a driver. */
bool fr_gdr_ask_gpu(const char *sysfs, int ordinal, struct fr_gdr_pair *pair, char *why,
                    size_t why_bytes);
/*
 * fr_gdr_for - the decision for a GPU of this machine and an RDMA device, as FERRULE_GDR has it.
 * False and `why` when there is no such GPU.  Slow: reads files.  `nic_dmabuf` as verbs says.
 */
bool fr_gdr_for(int gpu, const char *nic, enum fr_known nic_dmabuf, struct fr_gdr_decision *out,
                char *why, size_t why_bytes);

#endif
