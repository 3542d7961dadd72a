/*
 * The worker, and wiring up: addresses go over the links in notes, then every rank says hello to
 * every other.  UCX finishes a connection only while both ends call it, so it is finished here,
 * and no later message waits for a peer that is busy with something else.
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/auth.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/supervisor.h"
#include "lib/transport/ucx/ucx.h"

#define WAIT_NS 10000000u
/* Address bytes a note carries. */
#define PART_BYTES (FR_LINK_NOTE_BYTES - sizeof(struct fr_ucx_part))
/* A worker that stays busy while it is to be armed is looked at again so often. */
#define ARM_TRIES 16

/* ---- the worker ---- */

static ferrule_status_t refuse(const struct fr_ucx *t, const char *what, ucs_status_t status,
                               char *why, size_t why_bytes)
{
	snprintf(why, why_bytes, "ucx: %s: %s; see UCX_TLS and UCX_NET_DEVICES", what,
	         t->api->status_string(status));
	return FERRULE_ERR_FABRIC;
}

static ucs_status_t create_context(struct fr_ucx *t)
{
	const ucp_params_t params = {
		.field_mask = UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_ESTIMATED_NUM_EPS,
		.features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP,
		.estimated_num_eps = (size_t)t->n_ranks,
	};
	return t->api->init_version(UCP_API_MAJOR, UCP_API_MINOR, &params, NULL, &t->context);
}

static ucs_status_t create_worker(struct fr_ucx *t)
{
	const ucp_worker_params_t params = {
		.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE,
		.thread_mode = UCS_THREAD_MODE_SERIALIZED,
	};
	const ucp_am_handler_param_t handler = {
		.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_FLAGS |
	                      UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG,
		.id = FR_UCX_AM_ID,
		.flags = UCP_AM_FLAG_WHOLE_MSG | UCP_AM_FLAG_PERSISTENT_DATA,
		.cb = fr_ucx_on_message,
		.arg = t,
	};
	ucs_status_t status = t->api->worker_create(t->context, &params, &t->worker);
	if (status == UCS_OK)
		status = t->api->worker_set_am_recv_handler(t->worker, &handler);
	return status;
}

ferrule_status_t fr_ucx_worker_open(struct fr_ucx *t, char *why, size_t why_bytes)
{
	ucs_status_t status = create_context(t);
	if (status != UCS_OK)
		return refuse(t, "a context could not be made", status, why, why_bytes);
	status = create_worker(t);
	if (status != UCS_OK)
		return refuse(t, "a worker could not be made", status, why, why_bytes);
	status = t->api->worker_get_efd(t->worker, &t->efd);
	if (status != UCS_OK)
		return refuse(t, "no transport of UCX here can wake a sleeper", status, why,
		              why_bytes);
	status = t->api->worker_get_address(t->worker, &t->address, &t->address_bytes);
	if (status != UCS_OK)
		return refuse(t, "the worker has no address", status, why, why_bytes);
	if (t->address_bytes <= FR_UCX_ADDRESS_MAX)
		return FERRULE_OK;
	snprintf(why, why_bytes, "ucx: the worker's address has %zu bytes, at most %d are allowed",
	         t->address_bytes, FR_UCX_ADDRESS_MAX);
	return FERRULE_ERR_FABRIC;
}

void fr_ucx_worker_close(struct fr_ucx *t)
{
	if (t->address != NULL)
		t->api->worker_release_address(t->worker, t->address);
	if (t->worker != NULL)
		t->api->worker_destroy(t->worker);
	if (t->context != NULL)
		t->api->cleanup(t->context);
	t->address = NULL;
	t->worker = NULL;
	t->context = NULL;
}

/* ---- sleeping ---- */

/* May we sleep?  UCX must have nothing left to do before its descriptor tells of news. */
static bool arm(struct fr_ucx *t)
{
	for (int i = 0; i < ARM_TRIES; i++) {
		if (t->api->worker_progress(t->worker) > 0)
			return false;
		const ucs_status_t status = t->api->worker_arm(t->worker);
		if (status != UCS_ERR_BUSY)
			return status == UCS_OK;
	}
	return false;
}

void fr_ucx_nap(struct fr_transport *base, uint64_t ns)
{
	struct fr_ucx *t = fr_ucx_of(base);
	const struct timespec limit = {.tv_sec = (time_t)(ns / 1000000000u),
	                               .tv_nsec = (long)(ns % 1000000000u)};
	nfds_t n = 0;
	if (t->naps == NULL || !arm(t))
		return;
	t->naps[n++] = (struct pollfd){.fd = t->efd, .events = POLLIN};
	for (int r = 0; r < t->n_ranks; r++) {
		const struct fr_ucx_ep *e = t->eps[r];
		if (e == NULL || e->link.fault != FERRULE_OK || e->link.has_left)
			continue;
		const int events = POLLIN | (e->link.out_bytes > 0 ? POLLOUT : 0);
		t->naps[n++] = (struct pollfd){.fd = e->link.fd, .events = (short)events};
		if (e->link.process.fd >= 0)
			t->naps[n++] = (struct pollfd){.fd = e->link.process.fd, .events = POLLIN};
	}
	ppoll(t->naps, n, &limit, NULL);
	t->api->worker_progress(t->worker);
}

/* ---- wiring up ---- */

/* UCX gave the connection up.  Called while UCX makes progress, so it only takes note. */
static void on_error(void *arg, ucp_ep_h ucp, ucs_status_t status)
{
	struct fr_ucx_ep *e = arg;
	(void)ucp;
	if (e->broken == UCS_OK)
		e->broken = status;
}

static void send_address(const struct fr_ucx *t, struct fr_ucx_ep *e)
{
	unsigned char note[FR_LINK_NOTE_BYTES];
	while (e->address_sent < t->address_bytes) {
		const size_t left = t->address_bytes - e->address_sent;
		const size_t n = left < PART_BYTES ? left : PART_BYTES;
		const struct fr_ucx_part part = {.token = e->token_in,
		                                 .total = (uint32_t)t->address_bytes,
		                                 .at = e->address_sent};
		memcpy(note, &part, sizeof(part));
		memcpy(note + sizeof(part), (const unsigned char *)t->address + e->address_sent, n);
		if (!fr_link_send_note(&e->link, FR_UCX_ADDRESS, note,
		                       (unsigned)(sizeof(part) + n)))
			return;
		e->address_sent += (uint32_t)n;
	}
}

/* Adds what a note holds to the peer's address. */
static ferrule_status_t add_part(struct fr_ucx_ep *e, const struct fr_link_note *note)
{
	struct fr_ucx_part part;
	const unsigned char *data;
	size_t n;
	if (note->kind != FR_UCX_ADDRESS ||
	    fr_ucx_part_parse(note->data, note->bytes, e->address_have, &part, &data, &n) !=
	            FERRULE_OK ||
	    (e->address_have > 0 && part.total != e->address_bytes))
		return fr_link_fault(&e->link, FERRULE_ERR_PROTOCOL,
		                     "%s sent a note that is no part of its UCX address",
		                     e->link.name);
	if (e->address == NULL)
		e->address = malloc(part.total);
	if (e->address == NULL)
		return fr_link_fault(&e->link, FERRULE_ERR_NO_MEMORY,
		                     "no memory for the UCX address of %s", e->link.name);
	memcpy(e->address + part.at, data, n);
	e->address_have += (uint32_t)n;
	e->address_bytes = part.total;
	e->token_out = part.token;
	return FERRULE_OK;
}

/*
 * Where there is a choice, UCX is to tell when a connection breaks.  Its shared memory cannot, and
 * is all there is when UCX_TLS says so; then the link has to do, which notices death anyway.
 */
static ucs_status_t make_endpoint(struct fr_ucx *t, struct fr_ucx_ep *e)
{
	ucp_ep_params_t params = {
		.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS |
	                      UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE | UCP_EP_PARAM_FIELD_ERR_HANDLER,
		.address = (const ucp_address_t *)e->address,
		.err_mode = UCP_ERR_HANDLING_MODE_PEER,
		.err_handler = {.cb = on_error, .arg = e},
	};
	ucs_status_t status = t->api->ep_create(t->worker, &params, &e->ucp);
	e->can_be_forced = status == UCS_OK;
	if (status == UCS_OK)
		return status;
	params.err_mode = UCP_ERR_HANDLING_MODE_NONE;
	params.field_mask &= ~(uint64_t)UCP_EP_PARAM_FIELD_ERR_HANDLER;
	status = t->api->ep_create(t->worker, &params, &e->ucp);
	if (status != UCS_OK)
		e->ucp = NULL;
	return status;
}

/* The peer's address is here: an endpoint. */
static ferrule_status_t reach(struct fr_ucx *t, struct fr_ucx_ep *e)
{
	const ucs_status_t status = make_endpoint(t, e);
	if (status != UCS_OK)
		return fr_link_fault(&e->link, FERRULE_ERR_FABRIC,
		                     "UCX cannot reach %s: %s; see UCX_TLS and UCX_NET_DEVICES",
		                     e->link.name, t->api->status_string(status));
	return FERRULE_OK;
}

/* Says the next hello when it is time, with some bytes or other. */
static void greet(struct fr_ucx *t, struct fr_ucx_ep *e)
{
	static const ucp_request_param_t param = {.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS,
	                                          .flags = UCP_AM_SEND_FLAG_EAGER};
	if (e->ucp == NULL || e->hellos_sent == FR_UCX_HELLOS || e->hellos_sent > e->hellos_heard ||
	    !fr_ucx_is_done(e, &e->hello_request))
		return;
	fr_ucx_seal(e, &e->hello, FR_UCX_HELLO);
	e->hello.number = e->hellos_sent++;
	e->hello_request = fr_ucx_started(e, t->api->am_send_nbx(e->ucp, FR_UCX_AM_ID, &e->hello,
	                                                         sizeof(e->hello), e->out_window,
	                                                         FR_UCX_EAGER_BYTES, &param));
}

/* Is all said, and heard? */
static bool is_wired_up(const struct fr_ucx *t, struct fr_ucx_ep *e)
{
	return e->hellos_sent == FR_UCX_HELLOS && e->hellos_heard >= FR_UCX_HELLOS &&
	       e->address_sent == t->address_bytes && fr_ucx_is_done(e, &e->hello_request);
}

/* One look at one peer; is it wired up?  The fault in *status. */
static bool wire_up_one(struct fr_ucx *t, struct fr_ucx_ep *e, ferrule_status_t *status)
{
	struct fr_link_note note;
	send_address(t, e);
	*status = fr_link_poll(&e->link);
	while (*status == FERRULE_OK && e->ucp == NULL && fr_link_take_note(&e->link, &note)) {
		*status = add_part(e, &note);
		if (*status == FERRULE_OK && e->address_have == e->address_bytes)
			*status = reach(t, e);
		if (*status == FERRULE_OK)
			*status = fr_link_poll(&e->link);
	}
	greet(t, e);
	/* A peer that gave up; one that is wired up and has left since is none of these. */
	if (*status == FERRULE_OK && e->ucp == NULL && e->link.has_left)
		*status = fr_link_lost(&e->link, 0);
	if (*status == FERRULE_OK)
		*status = fr_link_look(&e->link);
	if (*status == FERRULE_OK && e->broken != UCS_OK && !is_wired_up(t, e))
		*status = fr_ucx_lost(e);
	return *status == FERRULE_OK && is_wired_up(t, e);
}

/* One look at all; how many are not wired up, and one of them. */
static int wire_up_all(struct fr_ucx *t, int *missing, ferrule_status_t *status, char *why,
                       size_t why_bytes)
{
	int n_missing = 0;
	t->api->worker_progress(t->worker);
	for (int r = 0; r < t->n_ranks && *status == FERRULE_OK; r++) {
		struct fr_ucx_ep *e = t->eps[r];
		if (e == NULL || wire_up_one(t, e, status))
			continue;
		n_missing++;
		*missing = r;
		if (*status != FERRULE_OK)
			snprintf(why, why_bytes, "ucx: %s", e->base.why);
	}
	return n_missing;
}

ferrule_status_t fr_ucx_wire_up(struct fr_ucx *t, uint64_t deadline_ns, char *why, size_t why_bytes)
{
	ferrule_status_t status = FERRULE_OK;
	int missing = -1;
	for (int r = 0; r < t->n_ranks; r++) {
		if (t->eps[r] != NULL)
			fr_random(&t->eps[r]->token_in, sizeof(t->eps[r]->token_in));
	}
	while (wire_up_all(t, &missing, &status, why, why_bytes) > 0 && status == FERRULE_OK) {
		if (fr_clock_ns() > deadline_ns) {
			snprintf(why, why_bytes,
			         "ucx: %s did not answer over UCX in time; see UCX_TLS and "
			         "UCX_NET_DEVICES",
			         t->eps[missing]->link.name);
			status = FERRULE_ERR_TIMEOUT;
		} else {
			fr_ucx_nap(&t->base, WAIT_NS);
			status = fr_supervisor_check(t->base.supervisor);
			if (status != FERRULE_OK)
				snprintf(why, why_bytes, "%s", fr_error_text());
		}
	}
	for (int r = 0; r < t->n_ranks; r++) {
		if (t->eps[r] != NULL) {
			free(t->eps[r]->address);
			t->eps[r]->address = NULL;
		}
	}
	return status;
}
