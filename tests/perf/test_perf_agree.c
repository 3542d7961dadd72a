/* Parameters: what makes no sense is refused by name, and what differs is told with both values. */
#include "config.h"

#include <ferrule/comm.h>
#include <ferrule/perf.h>

#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/support/t_main.h"

static struct ferrule_perf_params defaults(void)
{
	struct ferrule_perf_params p;

	ferrule_perf_defaults(&p, sizeof(p), FERRULE_PERF_BW, FERRULE_PERF_WRITE);
	p.via = FERRULE_PERF_VIA_CONTRACT;
	p.transport = "shm";
	p.timeout_s = 5;
	return p;
}

static bool says(const char *text)
{
	return strstr(ferrule_comm_error_text(NULL), text) != NULL;
}

/* ---- one side ---- */

static void refuse(const struct ferrule_perf_params *p, const char *text)
{
	ferrule_perf_t perf = NULL;

	CU_ASSERT_EQUAL(ferrule_perf_open(p, &perf), FERRULE_ERR_ARGUMENT);
	CU_ASSERT_PTR_NULL(perf);
	CU_ASSERT(says(text));
}

#define REFUSE(member, value, text)                        \
	do {                                               \
		struct ferrule_perf_params p = defaults(); \
		p.member = (value);                        \
		refuse(&p, text);                          \
	} while (0)

static void test_values_out_of_bounds(void)
{
	REFUSE(size, 8, "size: 8");
	REFUSE(max_bytes, 0, "max_bytes: 0");
	REFUSE(iterations, 0, "iterations: 0");
	REFUSE(n_qps, 257, "n_qps: 257 is not allowed; allowed: 1 to 256");
	REFUSE(tx_depth, 0, "tx_depth: 0");
	REFUSE(rx_depth, 0, "rx_depth: 0");
	REFUSE(post_list, 129, "post_list: 129 is not allowed; allowed: 1 to 128");
	REFUSE(mtu, 1500, "mtu: 1500");
	REFUSE(gid_index, -2, "gid_index: -2");
	REFUSE(service_level, 16, "service_level: 16");
	REFUSE(traffic_class, 256, "traffic_class: 256");
	REFUSE(qp_timeout, 32, "qp_timeout: 32");
	REFUSE(retry_count, 8, "retry_count: 8");
	REFUSE(duration_s, -1, "duration of -1 s");
	struct ferrule_perf_params p = defaults();
	p.duration_s = 2;
	p.margin_s = 1;
	refuse(&p, "longer than both margins");
}

static void test_combinations(void)
{
	REFUSE(op, FERRULE_PERF_READ, "bw of read via contract");
	REFUSE(n_qps, 2, "there is one stream");
	REFUSE(is_bidirectional, true, "only one direction");
	REFUSE(use_events, true, "no events");
	struct ferrule_perf_params p;
	ferrule_perf_defaults(&p, sizeof(p), FERRULE_PERF_LAT, FERRULE_PERF_WRITE);
	p.use_events = true;
	refuse(&p, "use write_imm or send");
	ferrule_perf_defaults(&p, sizeof(p), FERRULE_PERF_LAT, FERRULE_PERF_SEND);
	p.n_qps = 2;
	refuse(&p, "one message at a time");
	ferrule_perf_defaults(&p, sizeof(p), FERRULE_PERF_BW, FERRULE_PERF_READ);
	p.is_bidirectional = true;
	refuse(&p, "one direction");
}

/* ---- two sides ---- */

struct side {
	struct ferrule_perf_params params;
	ferrule_status_t status;
	char text[512];
};

static void *open_side(void *arg)
{
	struct side *s = arg;
	ferrule_perf_t perf = NULL;

	s->status = ferrule_perf_open(&s->params, &perf);
	strncpy(s->text, ferrule_comm_error_text(NULL), sizeof(s->text) - 1);
	ferrule_perf_close(perf);
	return NULL;
}

/* Opens both ends of a connection; the server with `p`, the client with the defaults. */
static void open_both(const struct ferrule_perf_params *p, struct side out[2])
{
	pthread_t server;
	int fds[2];

	memset(out, 0, 2 * sizeof(*out));
	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	out[0].params = *p;
	out[0].params.is_server = true;
	out[1].params = defaults();
	for (int i = 0; i < 2; i++)
		out[i].params.control_fd = fds[i];
	CU_ASSERT_FATAL(pthread_create(&server, NULL, open_side, &out[0]) == 0);
	open_side(&out[1]);
	pthread_join(server, NULL);
}

static void differ(const struct ferrule_perf_params *p, const char *name, const char *theirs,
                   const char *mine)
{
	struct side sides[2];
	bool is_told = false;

	open_both(p, sides);
	/* Each side finds it out; the slower one may be told instead. */
	for (int i = 0; i < 2; i++) {
		CU_ASSERT(sides[i].status == FERRULE_ERR_MISMATCH ||
		          sides[i].status == FERRULE_ERR_ABORTED);
		CU_ASSERT(strstr(sides[i].text, name) != NULL);
		CU_ASSERT(strstr(sides[i].text, theirs) != NULL);
		CU_ASSERT(strstr(sides[i].text, mine) != NULL);
		is_told |= sides[i].status == FERRULE_ERR_MISMATCH;
	}
	CU_ASSERT(is_told);
}

#define DIFFER(member, value, name, theirs, mine)          \
	do {                                               \
		struct ferrule_perf_params p = defaults(); \
		p.member = (value);                        \
		differ(&p, name, theirs, mine);            \
	} while (0)

static void test_sides_that_differ(void)
{
	DIFFER(test, FERRULE_PERF_LAT, "test", "lat", "bw");
	DIFFER(via, FERRULE_PERF_VIA_VERBS, "via", "verbs", "contract");
	DIFFER(transport, "tcp", "transport", "tcp", "shm");
	DIFFER(max_bytes, 4096, "size", "4096", "65536");
	DIFFER(iterations, 7, "iterations", "7", "5000");
	DIFFER(duration_s, 3, "iterations", "0", "5000");
	DIFFER(validate, true, "validation", "yes", "no");
}

static void test_transport_that_is_not_there(void)
{
	struct side sides[2];
	struct ferrule_perf_params p = defaults();
	pthread_t server;
	int fds[2];

	p.transport = "pigeon";
	memset(sides, 0, sizeof(sides));
	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	for (int i = 0; i < 2; i++) {
		sides[i].params = p;
		sides[i].params.is_server = i == 0;
		sides[i].params.control_fd = fds[i];
	}
	CU_ASSERT_FATAL(pthread_create(&server, NULL, open_side, &sides[0]) == 0);
	open_side(&sides[1]);
	pthread_join(server, NULL);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT(sides[i].status < 0);
		CU_ASSERT(strstr(sides[i].text, "'pigeon' is not in this build; allowed: shm") !=
		          NULL);
	}
}

int main(void)
{
	static const struct t_case cases[] = {
		{"values out of bounds", test_values_out_of_bounds},
		{"combinations", test_combinations},
		{"sides that differ", test_sides_that_differ},
		{"a transport that is not there", test_transport_that_is_not_there},
		{NULL, NULL},
	};

	return t_main("perf_agree", cases);
}
