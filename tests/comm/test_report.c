/* What joins a communicator, the way to each peer, and what is held of the hardware. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ferrule/ferrule.h>
#include "tests/api/t_job.h"
#include "tests/support/t_main.h"

#define STANDIN "tests/support/standin/libstandin.so"

static struct ferrule_comm_report report_of(struct t_job_rank *r, ferrule_comm_t comm)
{
	struct ferrule_comm_report report = {.size = sizeof(report)};

	t_ok(r, ferrule_comm_report(comm, &report));
	return report;
}

static void no_hardware(struct t_job_rank *r)
{
	const struct ferrule_comm_report report = report_of(r, r->comm);
	struct ferrule_comm_stats stats = {.size = sizeof(stats)};
	char path[64], wanted[64];

	snprintf(wanted, sizeof(wanted), "%s to rank", ferrule_comm_transport(r->comm, !r->rank));
	t_says_at(r, report.joins, wanted, __FILE__, __LINE__);
	t_check(r, report.n_queue_pairs == 0 && report.n_registrations == 0);
	t_check(r, report.registered_bytes == 0);
	t_ok(r, ferrule_comm_get_stats(r->comm, &stats));
	t_check(r, report.memory_bytes == stats.memory_bytes);
	t_ok(r, ferrule_comm_path(r->comm, !r->rank, path, sizeof(path)));
	t_check(r, strcmp(path, ferrule_comm_transport(r->comm, !r->rank)) == 0);
	t_ok(r, ferrule_comm_path(r->comm, r->rank, path, sizeof(path)));
	t_check(r, strcmp(path, "self") == 0);
}

static void alone(struct t_job_rank *r)
{
	t_check(r, strcmp(report_of(r, r->comm).joins, "alone") == 0);
}

static void test_shared_memory_and_tcp_hold_no_hardware(void)
{
	t_job(2, "shm", NULL, no_hardware, NULL);
	t_job(3, "tcp", NULL, no_hardware, NULL);
	t_job(1, NULL, NULL, alone, NULL);
}

static void refused(struct t_job_rank *r)
{
	struct ferrule_comm_report report = {.size = 8};
	char path[8] = "before";

	t_fails(r, ferrule_comm_report(r->comm, &report), FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_comm_report(r->comm, NULL), FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_comm_report(NULL, &report), FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_comm_path(r->comm, 2, path, sizeof(path)), FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_comm_path(r->comm, -1, path, sizeof(path)), FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_comm_path(r->comm, 0, path, 0), FERRULE_ERR_ARGUMENT);
	t_fails(r, ferrule_comm_path(r->comm, 0, NULL, 8), FERRULE_ERR_ARGUMENT);
	t_check(r, strcmp(path, "before") == 0);
	/* Cut, with its end. */
	t_ok(r, ferrule_comm_path(r->comm, !r->rank, path, 3));
	t_check(r, strcmp(path, "tc") == 0);
}

static void test_nonsense_is_refused(void)
{
	t_job(2, "tcp", NULL, refused, NULL);
}

/* ---- on the stand-in device ---- */

static void exchange_with_all(struct t_job_rank *r, ferrule_comm_t comm)
{
	int in[8] = {0}, out[8];

	t_ok(r, ferrule_alltoall(comm, in, out, 1, FERRULE_INT32));
}

static void counts(struct t_job_rank *r)
{
	static char user[65536];
	const uint64_t peers = (uint64_t)(r->n - 1);
	struct ferrule_comm_report before, after;
	char path[256];

	/* Nothing was measured, so nothing was sent. */
	before = report_of(r, r->comm);
	t_check(r, before.n_queue_pairs == 0 && before.n_registrations == 0);
	t_says_at(r, before.joins, "verbs (standin0:1) to rank", __FILE__, __LINE__);
	t_ok(r, ferrule_comm_path(r->comm, !r->rank, path, sizeof(path)));
	t_check(r, strcmp(path, "verbs: not used yet") == 0);
	t_ok(r, ferrule_mem_register(r->comm, user, sizeof(user)));
	t_check(r, report_of(r, r->comm).n_registrations == 1);
	t_check(r, report_of(r, r->comm).registered_bytes == sizeof(user));
	t_ok(r, ferrule_mem_deregister(r->comm, user));
	exchange_with_all(r, r->comm);
	exchange_with_all(r, r->comm);
	after = report_of(r, r->comm);
	t_check(r, after.n_queue_pairs == peers && after.n_registrations == 2 * peers);
	t_check(r, after.registered_bytes > 0 && after.registered_bytes < after.memory_bytes);
	t_ok(r, ferrule_comm_path(r->comm, !r->rank, path, sizeof(path)));
	t_check(r, strcmp(path, "verbs: standin0 port 1, GID 10.77.0.1 (v2, index 1) to 10.77.0.1 "
	                        "(v2, index 1), MTU 4096") == 0);
}

static void test_queue_pairs_and_registrations_are_counted(void)
{
	static const char *const settings[] = {"FERRULE_VERBS_LIBRARY=" STANDIN, "FERRULE_PROBE=0",
	                                       NULL};

	if (access(STANDIN, R_OK) != 0) {
		t_skip("%s is not built", STANDIN);
		return;
	}
	t_job(2, "verbs", settings, counts, NULL);
	t_job(4, "verbs", settings, counts, NULL);
}

/* What a twin of the communicator writes to stderr between its creation and its end. */
static void log_of_a_twin(struct t_job_rank *r, char *text, size_t bytes)
{
	const int before = dup(STDERR_FILENO);
	FILE *file = tmpfile();
	ferrule_comm_t twin;

	dup2(fileno(file), STDERR_FILENO);
	t_ok(r, ferrule_comm_dup(r->comm, &twin));
	exchange_with_all(r, twin);
	t_ok(r, ferrule_comm_finalize(twin));
	ferrule_comm_destroy(twin);
	dup2(before, STDERR_FILENO);
	close(before);
	rewind(file);
	text[fread(text, 1, bytes - 1, file)] = '\0';
	fclose(file);
}

static void logged(struct t_job_rank *r)
{
	char text[8192], wanted[128];

	log_of_a_twin(r, text, sizeof(text));
	snprintf(wanted, sizeof(wanted), "rank %d of 3: verbs (standin0:1) to ranks %s", r->rank,
	         r->rank == 0   ? "1, 2"
	         : r->rank == 1 ? "0, 2"
	                        : "0, 1");
	t_says_at(r, text, wanted, __FILE__, __LINE__);
	snprintf(wanted, sizeof(wanted), "rank %d of 3, ends: ", r->rank);
	t_says_at(r, text, wanted, __FILE__, __LINE__);
	t_says_at(r, text, "2 queue pairs, 4 registrations of ", __FILE__, __LINE__);
}

static void test_both_are_logged_at_info(void)
{
	static const char *const settings[] = {"FERRULE_VERBS_LIBRARY=" STANDIN, "FERRULE_LOG=info",
	                                       NULL};

	if (access(STANDIN, R_OK) != 0) {
		t_skip("%s is not built", STANDIN);
		return;
	}
	t_job(3, "verbs", settings, logged, NULL);
}

int main(void)
{
	/* A namespace of this run's own. */
	char name[32];

	snprintf(name, sizeof(name), "report-%d", (int)getpid());
	setenv("STANDIN_NAMESPACE", name, 1);
	static const struct t_case cases[] = {
		{"shared memory and TCP hold no hardware",
	         test_shared_memory_and_tcp_hold_no_hardware},
		{"nonsense is refused", test_nonsense_is_refused},
		{"queue pairs and registrations are counted",
	         test_queue_pairs_and_registrations_are_counted},
		{"both are logged at info", test_both_are_logged_at_info},
		{NULL, NULL},
	};
	return t_main("comm/report", cases);
}
