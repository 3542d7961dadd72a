/* Settings have defaults, bounds, and errors that name variable, value and what is allowed. */
#include "config.h"

#include "lib/base/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "tests/support/t_main.h"
#include "tests/support/t_spawn.h"

static ferrule_status_t parse(const char *assignment, struct fr_settings *out)
{
	const char *const env[] = {"PATH=/bin", assignment, "FERRULELESS=1", NULL};

	return fr_settings_parse(env, out);
}

static void test_defaults(void)
{
	const char *const env[] = {NULL};
	struct fr_settings s;

	CU_ASSERT_EQUAL(fr_settings_parse(env, &s), FERRULE_OK);
	CU_ASSERT_STRING_EQUAL(s.transport, "");
	CU_ASSERT_EQUAL(s.timeout_s, 300.0);
	CU_ASSERT_EQUAL(s.setup_timeout_s, 60.0);
	CU_ASSERT_STRING_EQUAL(s.log, "warning");
	CU_ASSERT_EQUAL(s.sockets_per_peer, 1);
	CU_ASSERT_EQUAL(s.spin_us, -1);
	CU_ASSERT_EQUAL(s.shm_ring, 2u << 20);
	CU_ASSERT_EQUAL(s.shm_arena, (uint64_t)64 << 30);
	CU_ASSERT_TRUE(s.probe);
}

/* Every default must pass its own row's check, or the table lies. */
static void test_every_default_is_allowed(void)
{
#define SETTING_ROW(member, name, kind, value, ...)                     \
	{                                                               \
		struct fr_settings s;                                   \
		CU_ASSERT_EQUAL(parse(name "=" value, &s), FERRULE_OK); \
	}
	FR_SETTING_MAP(SETTING_ROW)
#undef SETTING_ROW
}

static void test_values_of_every_kind_are_taken(void)
{
	const char *const env[] = {
		"FERRULE_TRANSPORT=shm,tcp",
		"FERRULE_TIMEOUT=0.1",
		"FERRULE_SOCKETS_PER_PEER=16",
		"FERRULE_SHM_RING=64K",
		"FERRULE_PROBE=off",
		"FERRULE_LOG=debug",
		"FERRULE_SPIN_US=-1",
		"FERRULE_JOB_KEY=00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF",
		NULL};
	struct fr_settings s;

	CU_ASSERT_EQUAL(fr_settings_parse(env, &s), FERRULE_OK);
	CU_ASSERT_STRING_EQUAL(s.transport, "shm,tcp");
	CU_ASSERT_EQUAL(s.timeout_s, 0.1);
	CU_ASSERT_EQUAL(s.sockets_per_peer, 16);
	CU_ASSERT_EQUAL(s.shm_ring, 65536);
	CU_ASSERT_FALSE(s.probe);
	CU_ASSERT_STRING_EQUAL(s.log, "debug");
	CU_ASSERT_EQUAL(s.spin_us, -1);
	CU_ASSERT_EQUAL(strlen(s.job_key), 64);
}

static void test_bad_values_are_named_with_what_is_allowed(void)
{
	static const struct {
		const char *assignment, *error;
	} rows[] = {
		{"FERRULE_TIMEOUT=0.09",
	         "FERRULE_TIMEOUT=0.09 is not allowed; allowed: seconds, 0.1 to 86400"},
		{"FERRULE_TIMEOUT=86401",
	         "FERRULE_TIMEOUT=86401 is not allowed; allowed: seconds, 0.1 to 86400"},
		{"FERRULE_TIMEOUT=soon",
	         "FERRULE_TIMEOUT=soon is not allowed; allowed: seconds, 0.1 to 86400"},
		{"FERRULE_SOCKETS_PER_PEER=0",
	         "FERRULE_SOCKETS_PER_PEER=0 is not allowed; allowed: 1 to 16"},
		{"FERRULE_SOCKETS_PER_PEER=17",
	         "FERRULE_SOCKETS_PER_PEER=17 is not allowed; allowed: 1 to 16"},
		{"FERRULE_SHM_RING=1K", "FERRULE_SHM_RING=1K is not allowed; allowed: 64K to 1G"},
		{"FERRULE_SHM_RING=2G", "FERRULE_SHM_RING=2G is not allowed; allowed: 64K to 1G"},
		{"FERRULE_PROBE=maybe", "FERRULE_PROBE=maybe is not allowed; allowed: 0 or 1"},
		{"FERRULE_LOG=loud",
	         "FERRULE_LOG=loud is not allowed; allowed: error|warning|info|debug"},
		{"FERRULE_LOG=warn",
	         "FERRULE_LOG=warn is not allowed; allowed: error|warning|info|debug"},
		{"FERRULE_SOCKET_IFNAME=eth0,10.0.0.0/40",
	         "FERRULE_SOCKET_IFNAME=eth0,10.0.0.0/40 is not allowed: entry '10.0.0.0/40' is no "
	         "network; allowed: as 10.0.0.0/8 or fd00::/8"},
		{"FERRULE_LOG=error|warning",
	         "FERRULE_LOG=error|warning is not allowed; allowed: error|warning|info|debug"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fr_settings s;
		CU_ASSERT_EQUAL(parse(rows[i].assignment, &s), FERRULE_ERR_SETTING);
		CU_ASSERT_STRING_EQUAL(fr_error_text(), rows[i].error);
	}
}

static void test_a_bad_key_is_not_shown(void)
{
	struct fr_settings s;

	CU_ASSERT_EQUAL(parse("FERRULE_JOB_KEY=hunter2", &s), FERRULE_ERR_SETTING);
	CU_ASSERT_STRING_EQUAL(fr_error_text(), "FERRULE_JOB_KEY has 7 characters; allowed: 64 "
	                                        "hexadecimal digits");
}

#define KEY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* `arg` says whether the string is one that cannot be written to. */
static int rank_reads_the_key(int rank, int n_ranks, void *arg)
{
	char copy[] = "FERRULE_JOB_KEY=" KEY;
	static const char constant[] = "FERRULE_JOB_KEY=" KEY;

	(void)rank, (void)n_ranks;
	if (putenv(arg ? (char *)constant : copy) != 0)
		return 1;
	CU_ASSERT_EQUAL(fr_settings_load(), FERRULE_OK);
	CU_ASSERT_STRING_EQUAL(fr_settings()->job_key, KEY);
	CU_ASSERT_PTR_NULL(getenv("FERRULE_JOB_KEY"));
	CU_ASSERT(arg || strstr(copy, "00112233") == NULL);
	return t_failures() != 0;
}

static void test_the_key_is_taken_out_of_the_environment(void)
{
	char constant = 1;

	CU_ASSERT_EQUAL(t_spawn(1, 10, rank_reads_the_key, NULL, NULL), 0);
	CU_ASSERT_EQUAL(t_spawn(1, 10, rank_reads_the_key, &constant, NULL), 0);
}

static void test_set_but_empty_is_not_set(void)
{
	struct fr_settings s;

	CU_ASSERT_EQUAL(parse("FERRULE_TIMEOUT=", &s), FERRULE_OK);
	CU_ASSERT_EQUAL(s.timeout_s, 300.0);
}

static void test_a_failed_parse_writes_nothing(void)
{
	struct fr_settings s;

	memset(&s, 0x5a, sizeof(s));
	CU_ASSERT_EQUAL(parse("FERRULE_TIMEOUT=x", &s), FERRULE_ERR_SETTING);
	for (size_t i = 0; i < sizeof(s); i++)
		CU_ASSERT_EQUAL(((unsigned char *)&s)[i], 0x5a);
}

static void test_the_nearest_name_is_found(void)
{
	CU_ASSERT_STRING_EQUAL(fr_settings_nearest("FERRULE_TIMOUT"), "FERRULE_TIMEOUT");
	CU_ASSERT_STRING_EQUAL(fr_settings_nearest("FERRULE_SHMRING"), "FERRULE_SHM_RING");
	CU_ASSERT_STRING_EQUAL(fr_settings_nearest("FERRULE_TRANSPORTS"), "FERRULE_TRANSPORT");
	CU_ASSERT_PTR_NULL(fr_settings_nearest("FERRULE_SOMETHING_ELSE"));
}

/* ---- loading, once a process, so each in a process of its own ---- */

static int load_and_listen(const char *wanted)
{
	char text[1000] = "";
	FILE *file = tmpfile();
	const int saved = dup(STDERR_FILENO);

	if (!file)
		return 1;
	dup2(fileno(file), STDERR_FILENO);
	const ferrule_status_t status = fr_settings_load();
	dup2(saved, STDERR_FILENO);
	rewind(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	close(saved);
	return status != FERRULE_OK || strcmp(text, wanted) != 0;
}

static int unknown_names(int rank, int n_ranks, void *arg)
{
	(void)rank, (void)n_ranks, (void)arg;
	clearenv();
	setenv("FERRULE_TIMOUT", "5", 1);
	setenv("FERRULE_SOMETHING_ELSE", "5", 1);
	return load_and_listen("ferrule: warning: FERRULE_TIMOUT is no setting; did you mean "
	                       "FERRULE_TIMEOUT?\n"
	                       "ferrule: warning: FERRULE_SOMETHING_ELSE is no setting; `ferrule "
	                       "info` lists them\n");
}

static void test_unknown_names_are_warned_about_and_ignored(void)
{
	CU_ASSERT_EQUAL(t_spawn(1, 10, unknown_names, NULL, NULL), 0);
}

static int quiet_log(int rank, int n_ranks, void *arg)
{
	(void)rank, (void)n_ranks, (void)arg;
	clearenv();
	setenv("FERRULE_TIMOUT", "5", 1);
	setenv("FERRULE_LOG", "error", 1);
	return load_and_listen("");
}

static void test_the_log_level_holds_from_the_start(void)
{
	CU_ASSERT_EQUAL(t_spawn(1, 10, quiet_log, NULL, NULL), 0);
}

static int changed_later(int rank, int n_ranks, void *arg)
{
	char transport[] = "FERRULE_TRANSPORT=shm";

	(void)rank, (void)n_ranks, (void)arg;
	clearenv();
	putenv(transport);
	if (fr_settings_load() != FERRULE_OK)
		return 1;
	memset(transport + strlen("FERRULE_TRANSPORT="), '?', 3);
	setenv("FERRULE_TIMEOUT", "nonsense", 1);
	return fr_settings_load() != FERRULE_OK || strcmp(fr_settings()->transport, "shm") != 0 ||
	       fr_settings()->timeout_s != 300.0;
}

static void test_settings_are_read_once(void)
{
	CU_ASSERT_EQUAL(t_spawn(1, 10, changed_later, NULL, NULL), 0);
}

static int long_text(int rank, int n_ranks, void *arg)
{
	char text[20001];

	(void)rank, (void)n_ranks, (void)arg;
	clearenv();
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	setenv("FERRULE_IB_HCA", text, 1);
	return fr_settings_load() != FERRULE_ERR_SETTING ||
	       strstr(fr_error_text(), "FERRULE_IB_HCA has 20000 characters; allowed: ") == NULL;
}

static void test_a_text_that_is_too_long_is_refused(void)
{
	CU_ASSERT_EQUAL(t_spawn(1, 10, long_text, NULL, NULL), 0);
}

static int broken_environment(int rank, int n_ranks, void *arg)
{
	int bad = 0;

	(void)rank, (void)n_ranks, (void)arg;
	clearenv();
	setenv("FERRULE_TIMEOUT", "never", 1);
	/* Each asker gets the text, not only the first. */
	for (int i = 0; i < 2; i++) {
		fr_error(FERRULE_ERR_BUSY, "something else");
		bad |= fr_settings_load() != FERRULE_ERR_SETTING;
		bad |= strstr(fr_error_text(), "FERRULE_TIMEOUT=never is not allowed") == NULL;
	}
	return bad || fr_settings()->timeout_s != 300.0;
}

static void test_a_bad_environment_is_an_error_every_time(void)
{
	CU_ASSERT_EQUAL(t_spawn(1, 10, broken_environment, NULL, NULL), 0);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"defaults", test_defaults},
		{"every default is allowed", test_every_default_is_allowed},
		{"values of every kind are taken", test_values_of_every_kind_are_taken},
		{"bad values are named with what is allowed",
	         test_bad_values_are_named_with_what_is_allowed},
		{"the key is taken out of the environment",
	         test_the_key_is_taken_out_of_the_environment},
		{"a bad key is not shown", test_a_bad_key_is_not_shown},
		{"set but empty is not set", test_set_but_empty_is_not_set},
		{"a failed parse writes nothing", test_a_failed_parse_writes_nothing},
		{"the nearest name is found", test_the_nearest_name_is_found},
		{"unknown names are warned about and ignored",
	         test_unknown_names_are_warned_about_and_ignored},
		{"the log level holds from the start", test_the_log_level_holds_from_the_start},
		{"settings are read once", test_settings_are_read_once},
		{"a text that is too long is refused", test_a_text_that_is_too_long_is_refused},
		{"a bad environment is an error every time",
	         test_a_bad_environment_is_an_error_every_time},
		{NULL, NULL},
	};

	return t_main("settings", cases);
}
