/* RANK, WORLD_SIZE and their kin: every bad value is named with what is allowed. */
#include "config.h"

#include "lib/comm/boot_env.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/error.h"
#include "tests/support/t_main.h"

static struct fr_boot_env_text good_text(void)
{
	return (struct fr_boot_env_text){.rank = "3",
	                                 .world_size = "8",
	                                 .local_rank = "1",
	                                 .master_addr = "node0.cluster",
	                                 .master_port = "29500"};
}

static void test_a_full_environment_is_taken(void)
{
	const struct fr_boot_env_text text = good_text();
	struct fr_boot_env env;

	CU_ASSERT_EQUAL(fr_boot_env_parse(&text, 0, &env), FERRULE_OK);
	CU_ASSERT_EQUAL(env.rank, 3);
	CU_ASSERT_EQUAL(env.n_ranks, 8);
	CU_ASSERT_STRING_EQUAL(env.host, "node0.cluster");
	CU_ASSERT_EQUAL(env.port, 29500);
}

static void test_the_port_moves_aside_for_torchruns_agent(void)
{
	struct fr_boot_env_text text = good_text();
	struct fr_boot_env env;

	text.agent_store = "True";
	CU_ASSERT_EQUAL(fr_boot_env_parse(&text, 0, &env), FERRULE_OK);
	CU_ASSERT_EQUAL(env.port, 29501);
	text.agent_store = "False";
	CU_ASSERT_EQUAL(fr_boot_env_parse(&text, 0, &env), FERRULE_OK);
	CU_ASSERT_EQUAL(env.port, 29500);
	text.agent_store = "True";
	CU_ASSERT_EQUAL(fr_boot_env_parse(&text, 4711, &env), FERRULE_OK);
	CU_ASSERT_EQUAL(env.port, 4711);
	text.master_port = "65535";
	CU_ASSERT_EQUAL(fr_boot_env_parse(&text, 0, &env), FERRULE_ERR_SETTING);
	CU_ASSERT_STRING_EQUAL(fr_error_text(),
	                       "MASTER_PORT=65535 is not allowed; allowed: 1 to 65534");
}

static void test_one_rank_needs_no_master(void)
{
	/* It may have inherited where its parent is among the ranks of a host. */
	const struct fr_boot_env_text text = {.rank = "0", .world_size = "1", .local_rank = "3"};
	struct fr_boot_env env;

	CU_ASSERT_EQUAL(fr_boot_env_parse(&text, 0, &env), FERRULE_OK);
	CU_ASSERT_EQUAL(env.n_ranks, 1);
	CU_ASSERT_STRING_EQUAL(env.host, "");
}

static void test_addresses_may_have_brackets_and_a_scope(void)
{
	static const struct {
		const char *text, *host;
	} rows[] = {{"::1", "::1"},
	            {"[::1]", "::1"},
	            {"[fd00:1::2]", "fd00:1::2"},
	            {"::ffff:10.0.0.1", "::ffff:10.0.0.1"},
	            {"10.0.0.1", "10.0.0.1"},
	            {"fe80::1%lo", "fe80::1%lo"},
	            {"[fe80::1%lo]", "fe80::1%lo"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fr_boot_env_text text = good_text();
		struct fr_boot_env env = {.host = ""};
		text.master_addr = rows[i].text;
		CU_ASSERT_EQUAL(fr_boot_env_parse(&text, 0, &env), FERRULE_OK);
		CU_ASSERT_STRING_EQUAL(env.host, rows[i].host);
	}
}

static void expect_error(struct fr_boot_env_text text, const char *error)
{
	struct fr_boot_env env = {.rank = -7};

	CU_ASSERT_EQUAL(fr_boot_env_parse(&text, 0, &env), FERRULE_ERR_SETTING);
	CU_ASSERT_PTR_NOT_NULL(strstr(fr_error_text(), error));
	CU_ASSERT_EQUAL(env.rank, -7);
	if (!strstr(fr_error_text(), error))
		fprintf(stderr, "not in \"%s\": \"%s\"\n", fr_error_text(), error);
}

static void test_bad_values_are_named_with_what_is_allowed(void)
{
	static const struct {
		size_t member;
		const char *value, *error;
	} rows[] = {
#define MEMBER(name) offsetof(struct fr_boot_env_text, name)
		{MEMBER(rank), "8", "RANK=8 is not allowed; allowed: 0 to 7"},
		{MEMBER(rank), "-1", "RANK=-1 is not allowed; allowed: 0 to 7"},
		{MEMBER(rank), "", "RANK= is not allowed; allowed: 0 to 7"},
		{MEMBER(rank), "1 ", "RANK=1  is not allowed; allowed: 0 to 7"},
		{MEMBER(rank), NULL, "RANK is not set"},
		{MEMBER(world_size), "0", "WORLD_SIZE=0 is not allowed; allowed: 1 to 4096"},
		{MEMBER(world_size), "4097", "WORLD_SIZE=4097 is not allowed; allowed: 1 to 4096"},
		{MEMBER(world_size), "99999999999999999999", "allowed: 1 to 4096"},
		{MEMBER(world_size), NULL, "WORLD_SIZE is not set"},
		{MEMBER(local_rank), "x", "LOCAL_RANK=x is not allowed; allowed: 0 to 7"},
		{MEMBER(master_addr), NULL, "MASTER_ADDR is not set"},
		{MEMBER(master_addr), "", "MASTER_ADDR is not set"},
		{MEMBER(master_addr), "two words", "MASTER_ADDR=two words is not allowed"},
		{MEMBER(master_addr), "node0:29500", "host alone; the port goes into MASTER_PORT"},
		{MEMBER(master_addr), "10.0.0.1:29500",
	         "host alone; the port goes into MASTER_PORT"},
		{MEMBER(master_addr), "[::1]:29500", "host alone; the port goes into MASTER_PORT"},
		{MEMBER(master_addr), "tcp://node0", "MASTER_ADDR=tcp://node0 is not allowed"},
		{MEMBER(master_addr), "[node0]", "brackets are for IPv6 addresses"},
		{MEMBER(master_addr), "[10.0.0.1]", "brackets are for IPv6 addresses"},
		{MEMBER(master_addr), "[::1", "it is no IPv6 address"},
		{MEMBER(master_addr), "[]", "MASTER_ADDR=[] is not allowed"},
		{MEMBER(master_addr), "fd00::1::2", "it is no IPv6 address"},
		{MEMBER(master_addr), "[fe80::1%nosuch0]",
	         "after % an interface that this host has"},
		{MEMBER(master_port), "0", "MASTER_PORT=0 is not allowed; allowed: 1 to 65535"},
		{MEMBER(master_port), "http", "MASTER_PORT=http is not allowed"},
		{MEMBER(master_port), NULL, "MASTER_PORT is not set"},
#undef MEMBER
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fr_boot_env_text text = good_text();
		memcpy((char *)&text + rows[i].member, &rows[i].value, sizeof(rows[i].value));
		expect_error(text, rows[i].error);
	}
}

static void test_a_host_name_of_any_length_is_safe(void)
{
	struct fr_boot_env_text text = good_text();
	struct fr_boot_env env;
	char name[400];

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	text.master_addr = name;
	CU_ASSERT_EQUAL(fr_boot_env_parse(&text, 0, &env), FERRULE_ERR_SETTING);
	name[255] = '\0';
	CU_ASSERT_EQUAL(fr_boot_env_parse(&text, 0, &env), FERRULE_OK);
	CU_ASSERT_STRING_EQUAL(env.host, name);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"a full environment is taken", test_a_full_environment_is_taken},
		{"the port moves aside for torchrun's agent",
	         test_the_port_moves_aside_for_torchruns_agent},
		{"one rank needs no master", test_one_rank_needs_no_master},
		{"addresses may have brackets and a scope",
	         test_addresses_may_have_brackets_and_a_scope},
		{"bad values are named with what is allowed",
	         test_bad_values_are_named_with_what_is_allowed},
		{"a host name of any length is safe", test_a_host_name_of_any_length_is_safe},
		{NULL, NULL},
	};

	return t_main("boot_env", cases);
}
