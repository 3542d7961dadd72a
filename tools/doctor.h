/*
 * doctor.h - `ferrule doctor`: what its checks share.
 *
 * A check looks at one thing and says what it saw, with a verdict and, unless all is well, a fix.
 */
#ifndef FR_DOCTOR_H
#define FR_DOCTOR_H

#include <stdbool.h>
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
void fr_check_master(struct fr_doctor *d);
void fr_check_peers(struct fr_doctor *d);

/* Two ranks on each transport that should work. */
void fr_check_transports(struct fr_doctor *d);

#endif
