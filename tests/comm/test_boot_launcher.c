/* What a process makes of the variables of one launcher, of several, and of what is left of one. */
#include "config.h"

#include "lib/comm/boot_launcher.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/error.h"
#include "tests/support/t_main.h"

#define MAX_VARIABLES 24

/* "A=1 B=2" as an environment. */
struct environment {
	char text[600];
	const char *list[MAX_VARIABLES + 1];
};

static const char *const *split(const char *text, struct environment *e)
{
	int n = 0;
	char *position;

	snprintf(e->text, sizeof(e->text), "%s", text);
	for (char *word = strtok_r(e->text, " ", &position); word && n < MAX_VARIABLES;
	     word = strtok_r(NULL, " ", &position))
		e->list[n++] = word;
	e->list[n] = NULL;
	return e->list;
}

static ferrule_status_t read_text(const char *text, struct fr_launcher_says *says)
{
	struct environment e;

	return fr_boot_launcher_read(split(text, &e), 0, says);
}

static void expect_meeting(const char *text, enum fr_meeting meeting)
{
	struct fr_launcher_says says = {.meeting = (enum fr_meeting) - 1};

	CU_ASSERT_EQUAL(read_text(text, &says), FERRULE_OK);
	CU_ASSERT_EQUAL(says.meeting, meeting);
	CU_ASSERT_STRING_EQUAL(says.warning, "");
	if (says.meeting != meeting)
		fprintf(stderr, "%s: %d, not %d: %s\n", text, says.meeting, meeting,
		        fr_error_text());
}

static void expect_place(const char *text, int rank, int n_ranks, const char *host, int port)
{
	struct fr_launcher_says says = {.meeting = FR_MEET_NOBODY};

	CU_ASSERT_EQUAL(read_text(text, &says), FERRULE_OK);
	CU_ASSERT_EQUAL(says.meeting, FR_MEET_AT_HOST);
	CU_ASSERT_EQUAL(says.env.rank, rank);
	CU_ASSERT_EQUAL(says.env.n_ranks, n_ranks);
	CU_ASSERT_STRING_EQUAL(says.env.host, host);
	if (port)
		CU_ASSERT_EQUAL(says.env.port, port);
}

static void expect_refusal(const char *text, ferrule_status_t status, const char *error)
{
	struct fr_launcher_says says = {.meeting = (enum fr_meeting) - 1};

	CU_ASSERT_EQUAL(read_text(text, &says), status);
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), error));
	CU_ASSERT_EQUAL(says.meeting, (enum fr_meeting) - 1);
	if (!strstr(fr_error_text(), error))
		fprintf(stderr, "%s: not in \"%s\": \"%s\"\n", text, fr_error_text(), error);
}

static void test_no_launcher_is_one_rank_silently(void)
{
	expect_meeting("", FR_MEET_NOBODY);
	expect_meeting("PATH=/bin MASTER_ADDR=node0 MASTER_PORT=29500", FR_MEET_NOBODY);
	expect_meeting("RANK=0 WORLD_SIZE=1", FR_MEET_NOBODY);
	expect_meeting("PMI_RANK=0 PMI_SIZE=1", FR_MEET_NOBODY);
	expect_meeting("PMI_FD=9 PMI_RANK=0 PMI_SIZE=1", FR_MEET_NOBODY);
	expect_meeting("OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=1", FR_MEET_NOBODY);
	expect_meeting("PMI_RANK= PMI_SIZE= PMI_FD=", FR_MEET_NOBODY);
}

static void test_the_innermost_launcher_decides(void)
{
#define SLURM_TASK \
	"SLURM_JOB_ID=7 SLURM_STEP_ID=0 SLURM_PROCID=1 SLURM_NTASKS=2 SLURM_STEP_NODELIST=a,b "
#define PMIX "PMIX_NAMESPACE=job PMIX_RANK=1 "
#define PMI  "PMI_FD=5 PMI_RANK=1 PMI_SIZE=4 "
	expect_place(SLURM_TASK PMIX PMI "RANK=2 WORLD_SIZE=3 MASTER_ADDR=h MASTER_PORT=5", 2, 3,
	             "h", 5);
	expect_meeting(SLURM_TASK PMIX PMI "RANK=0 WORLD_SIZE=1", FR_MEET_NOBODY);
	expect_meeting(SLURM_TASK PMIX "OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=4",
	               FR_MEET_BY_PMIX);
	expect_meeting(SLURM_TASK PMI, FR_MEET_BY_PMI);
	expect_meeting("PMI_PORT=host:5 PMI_ID=0", FR_MEET_BY_PMI);
	expect_place(SLURM_TASK "MASTER_ADDR=h MASTER_PORT=5 OMPI_COMM_WORLD_RANK=3 "
	                        "OMPI_COMM_WORLD_SIZE=4",
	             3, 4, "h", 5);
	/* What is left of a launcher around this one says less than the one inside. */
	expect_place("OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=1 " SLURM_TASK, 1, 2, "a", 0);
}

static void test_variables_of_a_launcher_serve_beside_a_master(void)
{
	static const char *const pairs[][2] = {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
	                                       {"MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"},
	                                       {"MVP_COMM_WORLD_RANK", "MVP_COMM_WORLD_SIZE"},
	                                       {"JSM_NAMESPACE_RANK", "JSM_NAMESPACE_SIZE"},
	                                       {"FLUX_TASK_RANK", "FLUX_JOB_SIZE"},
	                                       {"PMI_RANK", "PMI_SIZE"}};
	char text[300];

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		snprintf(text, sizeof(text), "%s=3 %s=8 MASTER_ADDR=n0 MASTER_PORT=77", pairs[i][0],
		         pairs[i][1]);
		expect_place(text, 3, 8, "n0", 77);
		snprintf(text, sizeof(text), "%s=3 %s=8", pairs[i][0], pairs[i][1]);
		expect_refusal(text, FERRULE_ERR_UNSUPPORTED, "one of several");
		expect_refusal(text, FERRULE_ERR_UNSUPPORTED, pairs[i][0]);
		snprintf(text, sizeof(text), "%s=8 %s=8 MASTER_ADDR=n0 MASTER_PORT=77", pairs[i][0],
		         pairs[i][1]);
		expect_refusal(text, FERRULE_ERR_SETTING, "=8 is not allowed; allowed: 0 to 7");
		snprintf(text, sizeof(text), "%s=3 %s=8 MASTER_ADDR=n0", pairs[i][0], pairs[i][1]);
		expect_refusal(text, FERRULE_ERR_SETTING, "MASTER_PORT is not set");
	}
}

static void test_more_than_one_rank_without_a_way_to_meet_is_refused(void)
{
	expect_refusal("PMI_RANK=1 PMI_SIZE=4", FERRULE_ERR_UNSUPPORTED,
	               "PMI_RANK=1 and PMI_SIZE=4 say that this process is one of several (MPICH's "
	               "or Intel's mpiexec)");
	expect_refusal("PMI_RANK=0 PMI_SIZE=4", FERRULE_ERR_UNSUPPORTED,
	               "set RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT");
	expect_refusal("OMPI_COMM_WORLD_SIZE=4", FERRULE_ERR_UNSUPPORTED,
	               "OMPI_COMM_WORLD_SIZE=4 says");
	expect_refusal("OMPI_COMM_WORLD_RANK=2", FERRULE_ERR_UNSUPPORTED,
	               "OMPI_COMM_WORLD_RANK=2 says");
	expect_refusal("PALS_RANKID=2 MASTER_ADDR=h MASTER_PORT=7", FERRULE_ERR_UNSUPPORTED,
	               "PALS_RANKID=2 says");
	expect_refusal("PMI_RANK=x PMI_SIZE=4", FERRULE_ERR_SETTING,
	               "PMI_RANK=x is not allowed; allowed: 0 to 3");
	expect_refusal("RANK=1", FERRULE_ERR_SETTING, "WORLD_SIZE is not set");
}

static void test_a_rank_without_a_number_of_ranks_is_warned_of(void)
{
	struct fr_launcher_says says;

	CU_ASSERT_EQUAL(read_text("ALPS_APP_PE=0", &says), FERRULE_OK);
	CU_ASSERT_EQUAL(says.meeting, FR_MEET_NOBODY);
	CU_ASSERT_PTR_NOT_NULL(strstr(says.warning, "ALPS_APP_PE=0 (aprun)"));
}

/* ---- Slurm ---- */

static void test_slurms_tasks_meet_on_the_first_host(void)
{
	expect_place(SLURM_TASK, 1, 2, "a", 0);
	expect_place("SLURM_JOB_ID=7 SLURM_STEP_ID=3 SLURM_PROCID=5 SLURM_STEP_NUM_TASKS=6 "
	             "SLURM_NTASKS=64 SLURM_STEP_NODELIST=n[08-09,12] SLURM_JOB_NODELIST=n[01-64]",
	             5, 6, "n08", 0);
	expect_place("SLURM_JOB_ID=7 SLURM_STEP_ID=3 SLURM_PROCID=5 SLURM_NTASKS=6 "
	             "SLURM_JOB_NODELIST=n[01-64]",
	             5, 6, "n01", 0);
	expect_place(SLURM_TASK "MASTER_ADDR=elsewhere", 1, 2, "elsewhere", 0);
	expect_place(SLURM_TASK "MASTER_ADDR=elsewhere MASTER_PORT=99", 1, 2, "elsewhere", 99);
	/* On one host nobody has to find its name. */
	expect_place("SLURM_JOB_ID=7 SLURM_STEP_ID=3 SLURM_PROCID=1 SLURM_NTASKS=2 "
	             "SLURM_STEP_NODELIST=n[08]",
	             1, 2, "localhost", 0);
}

static void test_slurms_steps_have_ports_of_their_own(void)
{
	struct fr_launcher_says a, again, step, job;

	CU_ASSERT_EQUAL(read_text(SLURM_TASK, &a), FERRULE_OK);
	CU_ASSERT_EQUAL(read_text(SLURM_TASK "SLURMD_NODENAME=b", &again), FERRULE_OK);
	CU_ASSERT_EQUAL(read_text("SLURM_STEP_ID=1 " SLURM_TASK, &step), FERRULE_OK);
	CU_ASSERT_EQUAL(read_text("SLURM_JOB_ID=8 " SLURM_TASK, &job), FERRULE_OK);
	CU_ASSERT_EQUAL(a.env.port, again.env.port);
	CU_ASSERT_NOT_EQUAL(a.env.port, step.env.port);
	CU_ASSERT_NOT_EQUAL(a.env.port, job.env.port);
	CU_ASSERT_TRUE(a.env.port >= 20000 && a.env.port < 30000);
}

static void test_a_shell_in_an_allocation_is_one_rank(void)
{
	/* salloc's shell; the task 0 of its interactive step; a task of `srun -n 1`. */
	expect_meeting("SLURM_JOB_ID=7 SLURM_NTASKS=4 SLURM_JOB_NODELIST=n[1-4]", FR_MEET_NOBODY);
	expect_meeting("SLURM_JOB_ID=7 SLURM_NTASKS=4 SLURM_STEP_ID=4294967290 SLURM_PROCID=0 "
	               "SLURM_STEP_NUM_TASKS=1",
	               FR_MEET_NOBODY);
	expect_meeting("SLURM_JOB_ID=7 SLURM_NTASKS=1 SLURM_STEP_ID=0 SLURM_PROCID=0",
	               FR_MEET_NOBODY);
}

static void test_a_batch_script_is_one_rank_with_a_warning(void)
{
	struct fr_launcher_says says;

	CU_ASSERT_EQUAL(read_text("SLURM_JOB_ID=7 SLURM_NTASKS=4 SLURM_PROCID=0", &says),
	                FERRULE_OK);
	CU_ASSERT_EQUAL(says.meeting, FR_MEET_NOBODY);
	CU_ASSERT_PTR_NOT_NULL(strstr(says.warning, "SLURM_NTASKS=4"));
	CU_ASSERT_EQUAL(read_text("SLURM_NTASKS=4 SLURM_PROCID=0 SLURM_STEP_ID=4294967291", &says),
	                FERRULE_OK);
	CU_ASSERT_EQUAL(says.meeting, FR_MEET_NOBODY);
	expect_refusal("SLURM_NTASKS=4 SLURM_PROCID=2", FERRULE_ERR_UNSUPPORTED,
	               "SLURM_PROCID=2 and SLURM_NTASKS=4 say");
}

static void test_what_slurm_says_wrongly_is_named(void)
{
	expect_refusal("SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_NTASKS=2 SLURM_JOB_ID=7",
	               FERRULE_ERR_SETTING, "neither MASTER_ADDR nor SLURM_STEP_NODELIST");
	expect_refusal("SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_NTASKS=2 SLURM_JOB_ID=7 "
	               "SLURM_STEP_NODELIST=n[1-",
	               FERRULE_ERR_SETTING, "SLURM_STEP_NODELIST=n[1- is no list of hosts");
	expect_refusal("SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_NTASKS=2 SLURM_STEP_NODELIST=n",
	               FERRULE_ERR_SETTING, "MASTER_PORT is not set");
	expect_refusal("SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_NTASKS=2 SLURM_JOB_ID=7 "
	               "SLURM_STEP_NODELIST=a,b SLURMD_NODENAME=b",
	               FERRULE_ERR_SETTING, "rank 0 runs on SLURMD_NODENAME=b");
	expect_refusal("SLURM_STEP_ID=0 SLURM_PROCID=2 SLURM_NTASKS=2", FERRULE_ERR_SETTING,
	               "SLURM_PROCID=2 is not allowed; allowed: 0 to 1");
}

static void test_the_first_host_of_a_list(void)
{
	static const struct {
		const char *list, *host; /* NULL: no list */
		bool is_only;
	} rows[] = {
		{"node1", "node1", true},
		{"node1,node2", "node1", false},
		{"node[01-03,7]", "node01", false},
		{"node[7]", "node7", true},
		{"node[7],x", "node7", false},
		{"rack[1-2]node[08,10]-ib", "rack1node08-ib", false},
		{"rack[1]node[2]", "rack1node2", true},
		{"a.b-c_d[0001-1000].e", "a.b-c_d0001.e", false},
		{"", NULL, false},
		{",a", NULL, false},
		{"[", NULL, false},
		{"a[", NULL, false},
		{"a[]", NULL, false},
		{"a[x]", NULL, false},
		{"a[1", NULL, false},
		{"a[1-", NULL, false},
		{"a[1,2", NULL, false},
		{"a]", NULL, false},
		{"a b", NULL, false},
		{"a/b", NULL, false},
		{"a2345678901234567890", NULL, false},
		{"a[12345678901234567890]", NULL, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char host[20] = "before";
		bool is_only = false;
		const bool is_list = fr_boot_first_host(rows[i].list, host, sizeof(host), &is_only);
		CU_ASSERT_EQUAL(is_list, rows[i].host != NULL);
		if (!is_list || !rows[i].host)
			continue;
		CU_ASSERT_STRING_EQUAL(host, rows[i].host);
		CU_ASSERT_EQUAL(is_only, rows[i].is_only);
	}
}

int main(void)
{
	static const struct t_case cases[] = {
		{"no launcher is one rank, silently", test_no_launcher_is_one_rank_silently},
		{"the innermost launcher decides", test_the_innermost_launcher_decides},
		{"variables of a launcher serve beside a master",
	         test_variables_of_a_launcher_serve_beside_a_master},
		{"more than one rank without a way to meet is refused",
	         test_more_than_one_rank_without_a_way_to_meet_is_refused},
		{"a rank without a number of ranks is warned of",
	         test_a_rank_without_a_number_of_ranks_is_warned_of},
		{"Slurm's tasks meet on the first host", test_slurms_tasks_meet_on_the_first_host},
		{"Slurm's steps have ports of their own",
	         test_slurms_steps_have_ports_of_their_own},
		{"a shell in an allocation is one rank", test_a_shell_in_an_allocation_is_one_rank},
		{"a batch script is one rank, with a warning",
	         test_a_batch_script_is_one_rank_with_a_warning},
		{"what Slurm says wrongly is named", test_what_slurm_says_wrongly_is_named},
		{"the first host of a list", test_the_first_host_of_a_list},
		{NULL, NULL},
	};

	return t_main("boot_launcher", cases);
}
