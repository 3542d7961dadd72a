/*
 * doctor.h - `ferrule doctor`: what its checks share.
 *
 * A check looks at one thing and says what it saw, with a verdict and, unless all is well, a fix.
 */
#ifndef FR_DOCTOR_H
#define FR_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/json.h"

enum fr_verdict {
	FR_VERDICT_OK,
	FR_VERDICT_WARN, /* works, but slower or not for everyone */
	FR_VERDICT_FAIL, /* something will not work */
	FR_N_VERDICTS,
};

struct fr_doctor {
	int64_t n_ranks; /* how many ranks this host is to run */
	const char *peers;
	double timeout_s;
	struct fr_json *json; /* NULL: lines of text */
	int count[FR_N_VERDICTS];
};

/* fr_doctor_say - one line of the report.  `fix` is ignored when all is well, and may be NULL. */
void fr_doctor_say(struct fr_doctor *d, enum fr_verdict verdict, const char *check, const char *fix,
                   const char *format, ...) __attribute__((format(printf, 5, 6)));

/* fr_doctor_read_line - first line of a small file, without its newline; false when there is none.
 */
bool fr_doctor_read_line(const char *path, char *text, size_t n);

/* The library and this host. */
void fr_check_settings(struct fr_doctor *d);
void fr_check_features(struct fr_doctor *d);
void fr_check_cores(struct fr_doctor *d);
void fr_check_memory(struct fr_doctor *d);
void fr_check_dev_shm(struct fr_doctor *d);
void fr_check_cross_memory(struct fr_doctor *d);
void fr_check_huge_pages(struct fr_doctor *d);
void fr_check_memlock(struct fr_doctor *d);
void fr_check_open_files(struct fr_doctor *d);

/* The network. */
void fr_check_interfaces(struct fr_doctor *d);
void fr_check_host_name(struct fr_doctor *d);
void fr_check_launcher(struct fr_doctor *d);
void fr_check_master(struct fr_doctor *d);
void fr_check_peers(struct fr_doctor *d);

/* RDMA: ports, rights, the fabric's settings and errors, and what is between card and memory. */
void fr_check_rdma_ports(struct fr_doctor *d);
void fr_check_rdma_files(struct fr_doctor *d);
void fr_check_rdma_congestion(struct fr_doctor *d);
void fr_check_rdma_counters(struct fr_doctor *d);
void fr_check_rdma_pci(struct fr_doctor *d);

struct fr_pair_rank;
struct fr_pair_view;
/* How pairs of ranks fared. */
struct fr_pairs {
	int rank, n_ranks;
	struct fr_pair_rank *ranks; /* [n_ranks] */
	struct fr_pair_view *views; /* [n_ranks * n_ranks], at rank 0 */
};
/*
 * fr_pairs_run - this process is a rank of a job: every pair of ranks sends data both ways over
 * RDMA.  False, and a line on stderr, when the ranks cannot even meet.  fr_pairs_free() after it.
 */
bool fr_pairs_run(struct fr_pairs *p);
void fr_pairs_free(struct fr_pairs *p);
/* fr_check_pairs - at rank 0, a line for each pair. */
void fr_check_pairs(struct fr_doctor *d, const struct fr_pairs *p);

/* Two ranks on each transport that should work. */
void fr_check_transports(struct fr_doctor *d);

#endif
