/* What this library is, can do and would choose: for tools, logs and bug reports. */
#ifndef FERRULE_INFO_H
#define FERRULE_INFO_H

#include <stdbool.h>
#include <stdio.h>

#include <ferrule/status.h>
#include <ferrule/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ferrule_version - "major.minor.patch" of the library that is running. */
const char *ferrule_version(void);

/* One feature that configure looked for. */
struct ferrule_feature {
	const char *name; /* "libsodium" */
	bool present;
	const char *detail; /* version found, or what its absence costs */
};
/* ferrule_feature_at - the i-th feature, false past the last.  Strings are static. */
bool ferrule_feature_at(int i, struct ferrule_feature *out);

/* One setting, as the process's environment has it. */
struct ferrule_setting {
	const char *name;  /* "FERRULE_TIMEOUT" */
	const char *value; /* in force */
	const char *default_value;
	bool from_environment;
	const char *allowed; /* in words: "seconds, 0.1 to 86400" */
	const char *meaning;
};
/* ferrule_setting_at - the i-th setting, false past the last.  An invalid value in the
 * environment is shown as it stands; ferrule_settings_check() says what is wrong. */
bool ferrule_setting_at(int i, struct ferrule_setting *out);
/* ferrule_settings_check - OK, or FERRULE_ERR_SETTING with the variable, its value and what
 * is allowed in ferrule_comm_error_text(NULL). */
ferrule_status_t ferrule_settings_check(void);

/* One transport, and whether it works here. */
struct ferrule_transport_info {
	const char *name;
	const char *summary;
	bool usable;
	char why[200]; /* why not; "" when usable */
};
bool ferrule_transport_at(int i, struct ferrule_transport_info *out);

/* A GPU and an RDMA device, and how the one reaches the memory of the other. */
struct ferrule_gdr_info {
	char gpu[96]; /* "NVIDIA H100 PCIe" */
	int gpu_ordinal;
	char nic[64];         /* "mlx5_0" */
	const char *way;      /* "dmabuf", "peermem" or "staged", as FERRULE_GDR has it */
	const char *distance; /* "switch", "host bridge", "NUMA node", "across nodes", ... */
	const char *flush;    /* after data has arrived: "none", "driver" or "read" */
	char reason[320];     /* one sentence */
};
/* ferrule_gdr_at - the i-th pair of this host, false past the last.  When there is none at all,
 * reason says why.  Opens the CUDA driver and every RDMA device. */
bool ferrule_gdr_at(int i, struct ferrule_gdr_info *out);

/* A port of an RDMA device that FERRULE_IB_HCA allows, as the verbs transport sees it. */
struct ferrule_rdma_port {
	char device[64]; /* "mlx5_0" */
	int port;
	bool is_usable, is_active;
	bool is_ethernet;    /* RoCE; else InfiniBand */
	bool is_software;    /* Soft-RoCE: the kernel plays the device */
	char why[400];       /* why not; "" when usable */
	double gbps;         /* link speed, 0 when unknown */
	int mtu;             /* active, bytes */
	int numa_node;       /* -1 when unknown */
	int numa_distance;   /* from this process's cores; 0: the same node, higher is farther */
	char first_gid[64];  /* "10.0.0.1 (v2, index 3)": the one that is tried first */
	char gids[800];      /* all that can be used, best first, comma-separated */
	uint64_t peer_bytes; /* memory that is locked for each peer, beyond what users register */
};
/* ferrule_rdma_port_at - the i-th port, the best first, false past the last.  When there is none at
 * all, why says so.  Opens the device. */
bool ferrule_rdma_port_at(int i, struct ferrule_rdma_port *out);

/* The host as hwloc sees it, and the instruction set kernels use. */
struct ferrule_host_info {
	char cpu[96];
	int packages, numa_nodes, l3_caches, cores, threads;
	int usable_threads; /* that this process's affinity mask allows */
	uint64_t memory_bytes;
	const char *isa;
};
ferrule_status_t ferrule_host_describe(struct ferrule_host_info *out);

/* What ferrule_comm_create_from_env() makes of this process's environment. */
struct ferrule_launcher_info {
	bool is_rank;     /* of a job that somebody has started, maybe the only one */
	bool is_doubtful; /* taken for one rank alone, though something speaks of more */
	char text[400];   /* "rank 1 of 4 by srun, rank 0 at node07 port 21234" */
};
/*
 * ferrule_launcher_describe - contacts nobody.  Returns the error that creating a communicator
 * would meet with, with its text in ferrule_comm_error_text(NULL).
 */
ferrule_status_t ferrule_launcher_describe(struct ferrule_launcher_info *out);

/* An address of a network interface of this host. */
struct ferrule_interface_info {
	char name[32];    /* "eth0" */
	char address[80]; /* "192.0.2.5", "fe80::1%eth0" */
	bool is_up, is_loopback;
	bool is_allowed; /* by FERRULE_SOCKET_IFNAME and FERRULE_SOCKET_FAMILY */
};
/* ferrule_interface_at - the i-th address of IPv4 or IPv6, false past the last. */
bool ferrule_interface_at(int i, struct ferrule_interface_info *out);

/* A call to explain.  `size` is sizeof(struct ferrule_explain_call). */
struct ferrule_explain_call {
	size_t size;
	const char *collective; /* "allreduce", ... */
	int n_ranks;            /* 1 to 4096 */
	int n_hosts;            /* ranks are spread evenly, in blocks; 0 means 1 */
	size_t count;           /* elements, as the API counts them for this collective */
	ferrule_type_t type;
	ferrule_redop_t op;
	int root;
	bool in_place;
	const char *transport; /* "shm", "tcp", or NULL: what FERRULE_TRANSPORT lets ranks use */
	const char *algorithm; /* whose rounds to print; NULL: those of the choice */
	bool rounds;           /* also print who sends what in which round */
	bool json;
};
/*
 * ferrule_explain - writes to `out` the algorithm chosen, by FERRULE_ALGO or by the cost model, the
 * runner-up, the predicted time of each candidate, and the rounds.  Contacts nobody, and predicts
 * with built-in constants where a communicator measures its own.
 *
 * Returns FERRULE_ERR_ARGUMENT with a text in ferrule_comm_error_text(NULL) for what makes no
 * sense, FERRULE_ERR_SETTING for a wrong setting, FERRULE_ERR_SYSTEM when `out` has failed.
 */
ferrule_status_t ferrule_explain(const struct ferrule_explain_call *what, FILE *out);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
