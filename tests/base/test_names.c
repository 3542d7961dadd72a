/* Every code of the public tables has its name, text and size; no other number has. */
#include "config.h"

#include <ferrule/status.h>
#include <ferrule/types.h>

#include <string.h>

#include "tests/support/t_main.h"

static void test_every_status_has_a_name_and_a_text(void)
{
#define STATUS_ROW(code, number, text)                                                             \
	CU_ASSERT_STRING_EQUAL(ferrule_status_name((ferrule_status_t)(number)), "FERRULE_" #code); \
	CU_ASSERT_STRING_EQUAL(ferrule_status_text((ferrule_status_t)(number)), text);
	FERRULE_STATUS_MAP(STATUS_ROW)
#undef STATUS_ROW
	CU_ASSERT_STRING_EQUAL(ferrule_status_text((ferrule_status_t)-99), "unknown status");
	CU_ASSERT_STRING_EQUAL(ferrule_status_name((ferrule_status_t)2), "FERRULE_UNKNOWN");
}

static void test_every_type_has_a_name_and_a_size(void)
{
	int n = 0;
#define TYPE_ROW(code, number, name, bytes)                                        \
	CU_ASSERT_STRING_EQUAL(ferrule_type_name((ferrule_type_t)(number)), name); \
	CU_ASSERT_EQUAL(ferrule_type_bytes((ferrule_type_t)(number)), bytes);      \
	n++;
	FERRULE_TYPE_MAP(TYPE_ROW)
#undef TYPE_ROW
	CU_ASSERT_EQUAL(n, FERRULE_N_TYPES);
	for (int number = -1; number <= FERRULE_N_TYPES; number += FERRULE_N_TYPES + 1) {
		CU_ASSERT_STRING_EQUAL(ferrule_type_name((ferrule_type_t)number), "unknown");
		CU_ASSERT_EQUAL(ferrule_type_bytes((ferrule_type_t)number), 0);
	}
}

static void test_every_operator_has_a_name(void)
{
	int n = 0;
#define REDOP_ROW(code, number, name)                             \
	CU_ASSERT_STRING_EQUAL(ferrule_redop_name(number), name); \
	n++;
	FERRULE_REDOP_MAP(REDOP_ROW)
#undef REDOP_ROW
	CU_ASSERT_EQUAL(n, FERRULE_N_REDOPS);
	CU_ASSERT_STRING_EQUAL(ferrule_redop_name(FERRULE_N_REDOPS), "premulsum");
	CU_ASSERT_STRING_EQUAL(ferrule_redop_name(-1), "unknown");
}

int main(void)
{
	static const struct t_case cases[] = {
		{"every status has a name and a text", test_every_status_has_a_name_and_a_text},
		{"every type has a name and a size", test_every_type_has_a_name_and_a_size},
		{"every operator has a name", test_every_operator_has_a_name},
		{NULL, NULL},
	};

	return t_main("names", cases);
}
