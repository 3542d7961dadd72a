/* ferrule/info.h, but for ferrule_explain(). */
#include "config.h"

#include <ferrule/info.h>

#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "lib/api/check.h"
#include "lib/base/error.h"
#include "lib/base/settings.h"
#include "lib/comm/place.h"
#include "lib/comm/select.h"
#include "lib/comm/topology.h"
#include "lib/transport/transport.h"

const char *ferrule_version(void)
{
	return PACKAGE_VERSION;
}

bool ferrule_feature_at(int i, struct ferrule_feature *out)
{
	static const struct ferrule_feature features[] = {
#define FEATURE_ROW(feature, found, text) {.name = feature, .present = found, .detail = text},
		FR_FEATURE_MAP(FEATURE_ROW)
#undef FEATURE_ROW
	};

	if (!out || i < 0 || (size_t)i >= sizeof(features) / sizeof(features[0]))
		return false;
	*out = features[i];
	return true;
}

bool ferrule_setting_at(int i, struct ferrule_setting *out)
{
	static const struct ferrule_setting settings[FR_N_SETTINGS] = {
#define SETTING_ROW(member, variable, kind, standard, low, high, words, text) \
	[FR_SETTING_##member] = {                                             \
		.name = variable, .default_value = standard, .allowed = words, .meaning = text},
		FR_SETTING_MAP(SETTING_ROW)
#undef SETTING_ROW
	};

	if (!out || i < 0 || i >= FR_N_SETTINGS)
		return false;
	const char *set = getenv(settings[i].name);

	*out = settings[i];
	out->from_environment = set != NULL;
	out->value = set ? set : out->default_value;
	/* It may have been read, and is not there any more then. */
	if (i == FR_SETTING_job_key && ((set && set[0]) || fr_settings()->job_key[0])) {
		out->from_environment = true;
		out->value = "(set, not shown)";
	}
	return true;
}

ferrule_status_t ferrule_settings_check(void)
{
	struct fr_overrides overrides;
	ferrule_status_t status = fr_settings_load();

	if (status == FERRULE_OK)
		status = fr_transport_list_check(fr_settings()->transport, "FERRULE_TRANSPORT");
	if (status == FERRULE_OK)
		status = fr_overrides_parse(fr_settings()->algo, &overrides);
	return status;
}

bool ferrule_transport_at(int i, struct ferrule_transport_info *out)
{
	int n = 0;

	while (fr_transports[n])
		n++;
	if (!out || i < 0 || i >= n)
		return false;
	out->name = fr_transports[i]->name;
	out->summary = fr_transports[i]->summary;
	out->why[0] = '\0';
	out->usable = fr_transports[i]->usable(out->why, sizeof(out->why));
	return true;
}

ferrule_status_t ferrule_host_describe(struct ferrule_host_info *out)
{
	if (!out)
		return fr_no_output("out");
	const ferrule_status_t status = fr_topology_describe(out);

	out->isa = fr_kernel_isa();
	return status;
}
