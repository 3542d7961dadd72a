/* cmd_info.c - `ferrule info`: what this library is and can do here. */
#include "tools/command.h"

#include <stdio.h>

#include <ferrule/ferrule.h>

#include "tools/json.h"
#include "tools/options.h"

struct info_options {
	bool json;
};

static const struct fr_option options[] = {
	{0, "json", NULL, FR_OPTION_FLAG, offsetof(struct info_options, json), 0, 0, NULL,
         "one JSON object"},
	{0, NULL, NULL, FR_OPTION_FLAG, 0, 0, 0, NULL, NULL},
};

static const struct fr_usage usage = {
	.command = "ferrule info",
	.synopsis = "[OPTIONS]",
	.summary = "Prints the version, what it was built with, this host as hwloc sees it, the\n"
		   "transports with why each is usable or not, how each RDMA device reaches the\n"
		   "memory of each GPU and why so, and every setting with its value, default,\n"
		   "source and meaning.",
	.notes = "Exit status: 0, or 1 when a FERRULE_* setting is wrong (it is marked).",
	.options = options,
};

static void print_features(void)
{
	struct ferrule_feature f;

	printf("\nbuilt with:\n");
	for (int i = 0; ferrule_feature_at(i, &f); i++)
		printf("  %-12s %-4s %s\n", f.name, f.present ? "yes" : "no", f.detail);
}

static void print_host(void)
{
	struct ferrule_host_info h;

	if (ferrule_host_describe(&h) != FERRULE_OK) {
		printf("\nhost: unknown: %s\n", ferrule_comm_error_text(NULL));
		return;
	}
	printf("\nhost:\n"
	       "  processor    %s\n"
	       "  topology     %d package(s), %d NUMA node(s), %d L3 cache(s), %d core(s), "
	       "%d thread(s)\n"
	       "  usable       %d thread(s) by this process's affinity\n"
	       "  memory       %.1f GiB\n"
	       "  kernels      %s\n",
	       h.cpu, h.packages, h.numa_nodes, h.l3_caches, h.cores, h.threads, h.usable_threads,
	       (double)h.memory_bytes / (1 << 30), h.isa);
}

static void print_transports(void)
{
	struct ferrule_transport_info t;

	printf("\ntransports:\n");
	for (int i = 0; ferrule_transport_at(i, &t); i++)
		printf("  %-12s %-8s %s\n", t.name, t.usable ? "usable" : "unusable",
		       t.usable ? t.summary : t.why);
}

static void print_gpus(void)
{
	struct ferrule_gdr_info g = {.way = NULL};
	int i = 0;

	printf("\ngpu memory over RDMA:\n");
	for (; ferrule_gdr_at(i, &g); i++)
		printf("  GPU %d (%s), %s: %s, distance: %s, flush: %s\n"
		       "      %s\n",
		       g.gpu_ordinal, g.gpu, g.nic, g.way, g.distance, g.flush, g.reason);
	if (i == 0)
		printf("  none: %s\n", g.reason);
}

/* An unset text has no characters to show. */
static const char *shown(const char *value)
{
	return value[0] ? value : "(empty)";
}

static void print_settings(void)
{
	struct ferrule_setting s;

	printf("\nsettings (environment variables):\n");
	for (int i = 0; ferrule_setting_at(i, &s); i++)
		printf("  %s = %s\n"
		       "      %s; default %s; allowed: %s\n"
		       "      %s\n",
		       s.name, shown(s.value), s.from_environment ? "set" : "not set",
		       shown(s.default_value), s.allowed, s.meaning);
}

static void json_features(struct fr_json *j)
{
	struct ferrule_feature f;

	fr_json_array_open(j, "features");
	for (int i = 0; ferrule_feature_at(i, &f); i++) {
		fr_json_object_open(j, NULL);
		fr_json_text(j, "name", f.name);
		fr_json_bool(j, "present", f.present);
		fr_json_text(j, "detail", f.detail);
		fr_json_object_close(j);
	}
	fr_json_array_close(j);
}

static void json_host(struct fr_json *j)
{
	struct ferrule_host_info h;

	if (ferrule_host_describe(&h) != FERRULE_OK) {
		fr_json_null(j, "host");
		return;
	}
	fr_json_object_open(j, "host");
	fr_json_text(j, "cpu", h.cpu);
	fr_json_int(j, "packages", h.packages);
	fr_json_int(j, "numa_nodes", h.numa_nodes);
	fr_json_int(j, "l3_caches", h.l3_caches);
	fr_json_int(j, "cores", h.cores);
	fr_json_int(j, "threads", h.threads);
	fr_json_int(j, "usable_threads", h.usable_threads);
	fr_json_uint(j, "memory_bytes", h.memory_bytes);
	fr_json_text(j, "isa", h.isa);
	fr_json_object_close(j);
}

static void json_transports(struct fr_json *j)
{
	struct ferrule_transport_info t;

	fr_json_array_open(j, "transports");
	for (int i = 0; ferrule_transport_at(i, &t); i++) {
		fr_json_object_open(j, NULL);
		fr_json_text(j, "name", t.name);
		fr_json_text(j, "summary", t.summary);
		fr_json_bool(j, "usable", t.usable);
		fr_json_text(j, "why", t.why);
		fr_json_object_close(j);
	}
	fr_json_array_close(j);
}

static void json_gpus(struct fr_json *j)
{
	struct ferrule_gdr_info g = {.way = NULL};
	int i = 0;

	fr_json_array_open(j, "gpu_rdma");
	for (; ferrule_gdr_at(i, &g); i++) {
		fr_json_object_open(j, NULL);
		fr_json_int(j, "gpu", g.gpu_ordinal);
		fr_json_text(j, "gpu_name", g.gpu);
		fr_json_text(j, "nic", g.nic);
		fr_json_text(j, "way", g.way);
		fr_json_text(j, "distance", g.distance);
		fr_json_text(j, "flush", g.flush);
		fr_json_text(j, "reason", g.reason);
		fr_json_object_close(j);
	}
	fr_json_array_close(j);
	fr_json_text(j, "gpu_rdma_none", i == 0 ? g.reason : NULL);
}

static void json_settings(struct fr_json *j)
{
	struct ferrule_setting s;

	fr_json_array_open(j, "settings");
	for (int i = 0; ferrule_setting_at(i, &s); i++) {
		fr_json_object_open(j, NULL);
		fr_json_text(j, "name", s.name);
		fr_json_text(j, "value", s.value);
		fr_json_text(j, "default", s.default_value);
		fr_json_text(j, "source", s.from_environment ? "environment" : "default");
		fr_json_text(j, "allowed", s.allowed);
		fr_json_text(j, "meaning", s.meaning);
		fr_json_object_close(j);
	}
	fr_json_array_close(j);
}

static void print_json(const char *settings_error)
{
	struct fr_json j;

	fr_json_init(&j, stdout);
	fr_json_object_open(&j, NULL);
	fr_json_text(&j, "version", ferrule_version());
	json_features(&j);
	json_host(&j);
	json_transports(&j);
	json_gpus(&j);
	json_settings(&j);
	fr_json_text(&j, "settings_error", settings_error);
	fr_json_object_close(&j);
	fr_json_end(&j);
}

int fr_cmd_info(int argc, char **argv)
{
	struct info_options o = {.json = false};
	char error[512] = "";
	int first;

	const enum fr_parsed parsed = fr_options_parse(&usage, argc, argv, &o, &first);
	if (parsed != FR_PARSED_RUN)
		return parsed == FR_PARSED_HELP ? FR_EXIT_OK : FR_EXIT_USAGE;
	const bool is_wrong = ferrule_settings_check() != FERRULE_OK;
	if (is_wrong)
		snprintf(error, sizeof(error), "%s", ferrule_comm_error_text(NULL));
	if (o.json) {
		print_json(is_wrong ? error : NULL);
	} else {
		printf("ferrule %s\n", ferrule_version());
		print_features();
		print_host();
		print_transports();
		print_gpus();
		print_settings();
		if (is_wrong)
			printf("\nwrong setting: %s\n", error);
	}
	return is_wrong ? FR_EXIT_FAILED : FR_EXIT_OK;
}
