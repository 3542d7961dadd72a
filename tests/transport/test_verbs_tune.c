/* The numbers of a queue pair, for a device of hardware, for Soft-RoCE, and by settings. */
#include "config.h"

#include <stddef.h>

#include "lib/base/settings.h"
#include "lib/transport/verbs/verbs_device.h"
#include "tests/support/t_main.h"

static const struct ibv_device_attr mlx5 = {.vendor_id = 0x02c9, .vendor_part_id = 4129};
static const struct ibv_device_attr rxe = {.vendor_id = 0xffffff, .vendor_part_id = 0};

/* Settings from one assignment, or none. */
static struct fr_verbs_tuning tune(const char *assignment, const struct ibv_device_attr *device,
                                   enum ibv_mtu active)
{
	const char *const env[] = {assignment ? assignment : "PATH=/bin", NULL};
	const struct ibv_port_attr port = {.active_mtu = active, .max_mtu = IBV_MTU_4096};
	struct fr_settings set;
	struct fr_verbs_tuning out = {.timeout = -1};

	CU_ASSERT_EQUAL_FATAL(fr_settings_parse(env, &set), FERRULE_OK);
	fr_verbs_tune(&set, device, &port, &out);
	return out;
}

static void test_hardware_by_default(void)
{
	const struct fr_verbs_tuning t = tune(NULL, &mlx5, IBV_MTU_4096);

	CU_ASSERT_EQUAL(t.timeout, 18);
	CU_ASSERT_EQUAL(t.retry, 7);
	CU_ASSERT_EQUAL(t.rnr_retry, 7);
	CU_ASSERT_EQUAL(t.min_rnr_timer, 12);
	CU_ASSERT_EQUAL(t.service_level, 0);
	CU_ASSERT_EQUAL(t.traffic_class, 106);
	CU_ASSERT_EQUAL(t.hop_limit, 64);
	CU_ASSERT_EQUAL(t.pkey_index, 0);
	CU_ASSERT_EQUAL(t.mtu, 4096);
	CU_ASSERT_EQUAL(t.max_inline, 220);
	CU_ASSERT_TRUE(t.relaxed_ordering);
}

static void test_soft_roce_does_not_retry_for_ever(void)
{
	CU_ASSERT_TRUE(fr_verbs_is_softroce(&rxe));
	CU_ASSERT_FALSE(fr_verbs_is_softroce(&mlx5));
	CU_ASSERT_EQUAL(tune(NULL, &rxe, IBV_MTU_1024).retry, 6);
	CU_ASSERT_FALSE(tune(NULL, &rxe, IBV_MTU_1024).relaxed_ordering);
	CU_ASSERT_EQUAL(tune("FERRULE_IB_INLINE=1024", &rxe, IBV_MTU_1024).max_inline, 512);
	CU_ASSERT_EQUAL(tune("FERRULE_IB_INLINE=1024", &mlx5, IBV_MTU_1024).max_inline, 1024);
}

static void test_settings_have_the_last_word(void)
{
	CU_ASSERT_EQUAL(tune("FERRULE_IB_TIMEOUT=0", &mlx5, IBV_MTU_1024).timeout, 0);
	CU_ASSERT_EQUAL(tune("FERRULE_IB_TIMEOUT=14", &rxe, IBV_MTU_1024).timeout, 14);
	CU_ASSERT_EQUAL(tune("FERRULE_IB_RETRY=0", &mlx5, IBV_MTU_1024).retry, 0);
	CU_ASSERT_EQUAL(tune("FERRULE_IB_RETRY=7", &rxe, IBV_MTU_1024).retry, 7);
	CU_ASSERT_EQUAL(tune("FERRULE_IB_RNR_RETRY=3", &rxe, IBV_MTU_1024).rnr_retry, 3);
	CU_ASSERT_EQUAL(tune("FERRULE_IB_SL=5", &mlx5, IBV_MTU_1024).service_level, 5);
	CU_ASSERT_EQUAL(tune("FERRULE_IB_TC=0", &mlx5, IBV_MTU_1024).traffic_class, 0);
	CU_ASSERT_EQUAL(tune("FERRULE_IB_PKEY_INDEX=3", &mlx5, IBV_MTU_1024).pkey_index, 3);
	CU_ASSERT_EQUAL(tune("FERRULE_IB_INLINE=0", &mlx5, IBV_MTU_1024).max_inline, 0);
	CU_ASSERT_FALSE(
		tune("FERRULE_IB_RELAXED_ORDERING=0", &mlx5, IBV_MTU_1024).relaxed_ordering);
	CU_ASSERT_TRUE(tune("FERRULE_IB_RELAXED_ORDERING=1", &rxe, IBV_MTU_1024).relaxed_ordering);
}

static void test_mtu_is_at_most_the_active_one(void)
{
	CU_ASSERT_EQUAL(tune(NULL, &rxe, IBV_MTU_1024).mtu, 1024);
	CU_ASSERT_EQUAL(tune("FERRULE_IB_MTU=4096", &rxe, IBV_MTU_1024).mtu, 1024);
	CU_ASSERT_EQUAL(tune("FERRULE_IB_MTU=512", &rxe, IBV_MTU_1024).mtu, 512);
	CU_ASSERT_EQUAL(tune("FERRULE_IB_MTU=256", &mlx5, IBV_MTU_4096).mtu, 256);
}

static void test_mtu_codes(void)
{
	for (int code = IBV_MTU_256; code <= IBV_MTU_4096; code++) {
		CU_ASSERT_EQUAL(fr_verbs_mtu_bytes(code), 256 << (code - IBV_MTU_256));
		CU_ASSERT_EQUAL(fr_verbs_mtu_code(fr_verbs_mtu_bytes(code)), code);
	}
	CU_ASSERT_EQUAL(fr_verbs_mtu_bytes(0), 0);
	CU_ASSERT_EQUAL(fr_verbs_mtu_bytes(6), 0);
	CU_ASSERT_EQUAL(fr_verbs_mtu_bytes(255), 0);
	CU_ASSERT_EQUAL(fr_verbs_mtu_code(0), IBV_MTU_256);
	CU_ASSERT_EQUAL(fr_verbs_mtu_code(1500), IBV_MTU_1024);
	CU_ASSERT_EQUAL(fr_verbs_mtu_code(9000), IBV_MTU_4096);
}

int main(void)
{
	static const struct t_case cases[] = {
		{"hardware by default", test_hardware_by_default},
		{"Soft-RoCE does not retry for ever", test_soft_roce_does_not_retry_for_ever},
		{"settings have the last word", test_settings_have_the_last_word},
		{"MTU is at most the active one", test_mtu_is_at_most_the_active_one},
		{"MTU codes", test_mtu_codes},
		{NULL, NULL},
	};
	return t_main("transport/verbs_tune", cases);
}
