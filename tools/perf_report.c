#include "tools/perf_tool.h"

#include <stdlib.h>
#include <string.h>

#include "tools/json.h"
#include "tools/out_file.h"
#include "tools/stream.h"

#define LINE \
	"---------------------------------------------------------------------------------------"
#define MIB 1048576.0

struct fr_perf_report {
	const struct fr_perf_options *options;
	const struct ferrule_perf_params *params;
	char cores[40]; /* what both sides are bound to; "" when the other one is elsewhere */
	/* The JSON document so far, kept until it is whole. */
	FILE *stream;
	char *text;
	size_t text_bytes;
	struct fr_json json;
};

struct fr_perf_report *fr_perf_report_create(const struct fr_perf_options *o,
                                             const struct ferrule_perf_params *p)
{
	struct fr_perf_report *const r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->options = o;
	r->params = p;
	r->stream = open_memstream(&r->text, &r->text_bytes);
	if (!r->stream) {
		free(r);
		return NULL;
	}
	fr_json_init(&r->json, r->stream);
	return r;
}

void fr_perf_report_destroy(struct fr_perf_report *r)
{
	if (!r)
		return;
	if (r->stream)
		fclose(r->stream);
	free(r->text);
	free(r);
}

void fr_perf_report_cores(struct fr_perf_report *r, const struct fr_perf_cores *cores)
{
	if (cores->n == 2)
		snprintf(r->cores, sizeof(r->cores), "%d and %d", cores->cpu[0], cores->cpu[1]);
	else
		snprintf(r->cores, sizeof(r->cores), "none");
}

/* ---- words ---- */

static const char *on_off(bool is_on)
{
	return is_on ? "ON" : "OFF";
}

/* perftest's names of its tests, and one for what it has not. */
static void name_test(const struct fr_perf_report *r, char *out, size_t n)
{
	static const char *const ops[] = {"RDMA_Write", "RDMA_Write_Imm", "RDMA_Read", "Send"};
	const bool is_bw = r->params->test == FERRULE_PERF_BW;
	const bool is_contract = r->params->via == FERRULE_PERF_VIA_CONTRACT;

	snprintf(out, n, "%s %s%s Test", is_contract ? "Put_Notify" : ops[r->params->op],
	         is_bw && r->params->is_bidirectional ? "Bidirectional " : "",
	         is_bw ? "BW" : "Latency");
}

/* ---- the table ---- */

void fr_perf_report_waiting(struct fr_perf_report *r)
{
	if (r->options->json)
		return;
	printf("\n************************************\n"
	       "* Waiting for client to connect... *\n"
	       "************************************\n");
	fr_flush(stdout);
}

static void print_banner(const struct fr_perf_report *r, const struct ferrule_perf_setup *s)
{
	const struct ferrule_perf_params *const p = r->params;
	char name[64];

	name_test(r, name, sizeof(name));
	printf("%s\n                    %s\n", LINE, name);
	if (p->via == FERRULE_PERF_VIA_CONTRACT) {
		printf(" Transport       : %s\n", s->device);
	} else {
		printf(" Device          : %s\n", s->device);
		printf(" Number of qps   : %d\n", p->n_qps);
		printf(" Connection type : RC\n");
		printf(" PCIe relax order: %s\n", on_off(s->relaxed_ordering));
		if (p->test == FERRULE_PERF_BW) {
			printf(" TX depth        : %d\n", s->tx_depth);
			printf(" CQ Moderation   : %d\n", s->cq_moderation);
		}
		printf(" Mtu             : %d[B]\n", s->mtu);
		printf(" Link type       : %s\n", s->link);
		printf(" GID index       : %d\n", s->gid_index);
		printf(" Max inline data : %d[B]\n", s->inline_bytes);
		printf(" rdma_cm QPs     : %s\n", on_off(p->use_rdma_cm));
	}
	if (r->cores[0])
		printf(" Bound to cores  : %s\n", r->cores);
	printf(" Data ex. method : %s\n%s\n", p->use_rdma_cm ? "rdma_cm" : "Ethernet", LINE);
}

static void print_end(const char *which, const struct ferrule_perf_end *end)
{
	printf(" %s address: %s\n", which, end->name);
	if (end->gid[0])
		printf(" GID: %s\n", end->gid);
}

static void print_columns(const struct fr_perf_report *r)
{
	const char *const unit = r->options->report_gbits ? "Gb/sec" : "MiB/sec";

	if (r->params->test == FERRULE_PERF_BW)
		printf(" #bytes     #iterations    BW peak[%s]   BW average[%s]   MsgRate[Mpps]\n",
		       unit, unit);
	else
		printf(" #bytes     #iterations    t_min[usec]    t_max[usec]  t_typical[usec]    "
		       "t_avg[usec]    t_stdev[usec]   99%% percentile[usec]   "
		       "99.9%% percentile[usec]\n");
	fr_flush(stdout);
}

/* What the user asked figures to be in. */
static double in_unit(const struct fr_perf_report *r, double bytes_a_second)
{
	return r->options->report_gbits ? bytes_a_second * 8e-9 : bytes_a_second / MIB;
}

static void print_row(const struct fr_perf_report *r, const struct ferrule_perf_result *x)
{
	if (r->params->test == FERRULE_PERF_BW)
		printf(" %-10llu %-14llu %-17.2f %-20.2f %-.6f\n", (unsigned long long)x->bytes,
		       (unsigned long long)x->iterations, in_unit(r, x->bw_peak),
		       in_unit(r, x->bw_average), x->message_rate / 1e6);
	else
		printf(" %-10llu %-14llu %-14.2f %-12.2f %-18.2f %-14.2f %-15.2f %-22.2f %-.2f\n",
		       (unsigned long long)x->bytes, (unsigned long long)x->iterations, x->t_min,
		       x->t_max, x->t_typical, x->t_avg, x->t_stdev, x->t_99, x->t_999);
	fr_flush(stdout);
}

/* ---- JSON ---- */

static void write_info(struct fr_perf_report *r, const struct ferrule_perf_setup *s)
{
	const struct ferrule_perf_params *const p = r->params;
	const bool is_bw = p->test == FERRULE_PERF_BW;
	struct fr_json *const j = &r->json;
	char name[64];

	name_test(r, name, sizeof(name));
	for (char *c = name; *c; c++)
		*c = *c == ' ' ? '_' : *c;
	fr_json_object_open(j, "test_info");
	fr_json_text(j, "test", name);
	fr_json_text(j, "Device", s->device);
	if (p->via == FERRULE_PERF_VIA_VERBS) {
		fr_json_int(j, "Number_of_qps", p->n_qps);
		fr_json_text(j, "Transport_type", "IB");
		fr_json_text(j, "Connection_type", "RC");
		fr_json_text(j, "PCIe_relax_order", on_off(s->relaxed_ordering));
		fr_json_int(j, "TX_depth", is_bw ? s->tx_depth : 1);
		if (is_bw)
			fr_json_int(j, "CQ_Moderation", s->cq_moderation);
		fr_json_int(j, "Mtu", s->mtu);
		fr_json_text(j, "Link_type", s->link);
		fr_json_int(j, "GID_index", s->gid_index);
		fr_json_int(j, "Max_inline_data", s->inline_bytes);
		fr_json_text(j, "rdma_cm_QPs", on_off(p->use_rdma_cm));
	}
	if (r->cores[0])
		fr_json_text(j, "Bound_to_cores", r->cores);
	fr_json_text(j, "Data_ex_method", p->use_rdma_cm ? "rdma_cm" : "Ethernet");
	if (is_bw)
		fr_json_text(j, "BW_unit", r->options->report_gbits ? "Gb/sec" : "MiB/sec");
	fr_json_object_close(j);
}

static void write_row(struct fr_perf_report *r, const char *key,
                      const struct ferrule_perf_result *x)
{
	struct fr_json *const j = &r->json;

	fr_json_object_open(j, key);
	fr_json_uint(j, "MsgSize", x->bytes);
	fr_json_uint(j, "n_iterations", x->iterations);
	if (r->params->test == FERRULE_PERF_BW) {
		fr_json_real(j, "BW_peak", in_unit(r, x->bw_peak));
		fr_json_real(j, "BW_average", in_unit(r, x->bw_average));
		fr_json_real(j, "MsgRate", x->message_rate / 1e6);
	} else {
		fr_json_real(j, "t_min", x->t_min);
		fr_json_real(j, "t_max", x->t_max);
		fr_json_real(j, "t_typical", x->t_typical);
		fr_json_real(j, "t_avg", x->t_avg);
		fr_json_real(j, "t_stdev", x->t_stdev);
		fr_json_real(j, "percentile_99", x->t_99);
		fr_json_real(j, "percentile_99.9", x->t_999);
	}
	if (r->params->validate)
		fr_json_uint(j, "wrong_bytes", x->n_wrong);
	fr_json_object_close(j);
}

/* ---- in the order of a test ---- */

void fr_perf_report_setup(struct fr_perf_report *r, const struct ferrule_perf_setup *setup)
{
	fr_json_object_open(&r->json, NULL);
	write_info(r, setup);
	if (r->options->all_sizes)
		fr_json_array_open(&r->json, "results");
	if (r->options->json)
		return;
	print_banner(r, setup);
	print_end("local", &setup->local);
	print_end("remote", &setup->remote);
	printf("%s\n", LINE);
	print_columns(r);
}

void fr_perf_report_row(struct fr_perf_report *r, const struct ferrule_perf_result *result)
{
	write_row(r, r->options->all_sizes ? NULL : "results", result);
	if (!r->options->json)
		print_row(r, result);
}

static bool write_file(const struct fr_perf_report *r, const char *path, char *why, size_t n)
{
	char reason[256];

	if (fr_out_put(path, r->text, r->text_bytes, reason, sizeof(reason)))
		return true;
	snprintf(why, n, "option --out_json_file: %s", reason);
	return false;
}

bool fr_perf_report_finish(struct fr_perf_report *r, char *why, size_t n)
{
	if (r->options->all_sizes)
		fr_json_array_close(&r->json);
	fr_json_object_close(&r->json);
	fr_json_end(&r->json);
	if (!r->options->json)
		printf("%s\n", LINE);
	else
		fwrite(r->text, 1, r->text_bytes, stdout);
	return !r->options->json_file || write_file(r, r->options->json_file, why, n);
}
