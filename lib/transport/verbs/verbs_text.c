/* verbs_text.c - what a device reports, in words, and what a person can look at next. */
#include "config.h"

#include "lib/transport/verbs/verbs_device.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

struct status_words {
	const char *text, *hint;
};

static const char path_hint[] =
	"the peer or the fabric does not answer, or the peer's queue pair has failed; what was "
	"under way may or may not have arrived.  At the start of a job: compare the GIDs, routes "
	"and MTUs of both ports; under load: look for packet loss in the ports' counters";
static const char key_hint[] =
	"a memory key is stale, of another communicator, or too small: an error in Ferrule, or an "
	"attack; do not try again";
static const char size_hint[] =
	"size or kind of a work request that a device does not take, or its port is gone: look at "
	"the port with `rdma link`";

/* By enum ibv_wc_status. */
static const struct status_words statuses[] = {
	[IBV_WC_SUCCESS] = {"success", ""},
	[IBV_WC_LOC_LEN_ERR] = {"local length error", size_hint},
	[IBV_WC_LOC_QP_OP_ERR] = {"local queue pair operation error", size_hint},
	[IBV_WC_LOC_EEC_OP_ERR] = {"local EE context operation error", ""},
	[IBV_WC_LOC_PROT_ERR] = {"local protection error", key_hint},
	[IBV_WC_WR_FLUSH_ERR] = {"work request flushed",
                                 "a consequence: the first other error of this queue pair is the "
                                 "cause"},
	[IBV_WC_MW_BIND_ERR] = {"memory window bind error", key_hint},
	[IBV_WC_BAD_RESP_ERR] = {"bad response", path_hint},
	[IBV_WC_LOC_ACCESS_ERR] = {"local access error", key_hint},
	[IBV_WC_REM_INV_REQ_ERR] = {"remote invalid request", size_hint},
	[IBV_WC_REM_ACCESS_ERR] = {"remote access error", key_hint},
	[IBV_WC_REM_OP_ERR] = {"remote operation error", size_hint},
	[IBV_WC_RETRY_EXC_ERR] = {"transport retries exhausted", path_hint},
	[IBV_WC_RNR_RETRY_EXC_ERR] = {"receiver-not-ready retries exhausted",
                                      "the peer has no receive posted, which credits rule out; "
                                      "is FERRULE_IB_RNR_RETRY below 7 and the peer stopped?"},
	[IBV_WC_LOC_RDD_VIOL_ERR] = {"local RDD violation", ""},
	[IBV_WC_REM_INV_RD_REQ_ERR] = {"remote invalid RD request", ""},
	[IBV_WC_REM_ABORT_ERR] = {"remote abort", ""},
	[IBV_WC_INV_EECN_ERR] = {"invalid EE context number", ""},
	[IBV_WC_INV_EEC_STATE_ERR] = {"invalid EE context state", ""},
	[IBV_WC_FATAL_ERR] = {"fatal error", "the device has failed: look at the kernel's log"},
	[IBV_WC_RESP_TIMEOUT_ERR] = {"response timeout", path_hint},
	[IBV_WC_GENERAL_ERR] = {"general error", "look at the kernel's log"},
	[IBV_WC_TM_ERR] = {"tag matching error", ""},
	[IBV_WC_TM_RNDV_INCOMPLETE] = {"tag matching rendezvous incomplete", ""},
};

static const struct status_words *words_of(enum ibv_wc_status status)
{
	static const struct status_words unknown = {"unknown status", ""};
	const size_t index = (size_t)status;

	return index < sizeof(statuses) / sizeof(statuses[0]) ? &statuses[index] : &unknown;
}

const char *fr_verbs_status_text(enum ibv_wc_status status)
{
	return words_of(status)->text;
}

const char *fr_verbs_status_hint(enum ibv_wc_status status)
{
	return words_of(status)->hint;
}

const char *fr_verbs_event_text(enum ibv_event_type event)
{
	static const char *const texts[] = {
		[IBV_EVENT_CQ_ERR] = "completion queue overrun or failed",
		[IBV_EVENT_QP_FATAL] = "queue pair failed",
		[IBV_EVENT_QP_REQ_ERR] = "queue pair refused an invalid request",
		[IBV_EVENT_QP_ACCESS_ERR] = "queue pair refused a forbidden access",
		[IBV_EVENT_COMM_EST] = "first packet on a queue pair",
		[IBV_EVENT_SQ_DRAINED] = "send queue drained",
		[IBV_EVENT_PATH_MIG] = "path migrated",
		[IBV_EVENT_PATH_MIG_ERR] = "path could not migrate",
		[IBV_EVENT_DEVICE_FATAL] = "device failed or was removed",
		[IBV_EVENT_PORT_ACTIVE] = "port became active",
		[IBV_EVENT_PORT_ERR] = "port went down",
		[IBV_EVENT_LID_CHANGE] = "port's LID changed",
		[IBV_EVENT_PKEY_CHANGE] = "port's partition keys changed",
		[IBV_EVENT_SM_CHANGE] = "subnet manager changed",
		[IBV_EVENT_SRQ_ERR] = "shared receive queue failed",
		[IBV_EVENT_SRQ_LIMIT_REACHED] = "shared receive queue is nearly empty",
		[IBV_EVENT_QP_LAST_WQE_REACHED] = "last receive of a failed queue pair",
		[IBV_EVENT_CLIENT_REREGISTER] = "subnet manager asks for registration",
		[IBV_EVENT_GID_CHANGE] = "port's GIDs changed",
		[IBV_EVENT_WQ_FATAL] = "work queue failed",
	};
	const size_t index = (size_t)event;

	return index < sizeof(texts) / sizeof(texts[0]) ? texts[index] : "unknown event";
}

static char *locked_memory_hint(char *buf, size_t bytes)
{
	struct rlimit limit = {.rlim_cur = RLIM_INFINITY};

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur == RLIM_INFINITY)
		snprintf(buf, bytes,
		         "the locked-memory limit is unlimited; is the device's or the machine's "
		         "memory used up?");
	else
		snprintf(
			buf, bytes,
			"the locked-memory limit is %llu KiB; raise it with `ulimit -l unlimited`, "
			"in limits.conf, or by LimitMEMLOCK= of the service that starts the ranks",
			(unsigned long long)limit.rlim_cur / 1024);
	return buf;
}

/* "" when there is nothing more to say than the errno's own text. */
static const char *hint_for(enum fr_verbs_call call, int error)
{
	if (error == EPERM || error == EACCES)
		return "this user may not use /dev/infiniband/uverbs*; look at their permissions, "
		       "and in a container at the devices that it is given";
	if (error == ENODEV || error == EIO)
		return "the device is gone or has failed; look at `rdma link` and the kernel's log";
	if (call == FR_VERBS_OPEN && error == ENOENT)
		return "/dev/infiniband/uverbs* is missing: is the kernel module ib_uverbs loaded, "
		       "and is the device given to this container?";
	if (call == FR_VERBS_REGISTER && error == EFAULT)
		return "the memory is not mapped, not writable, or of a device that needs dma-buf";
	if (call == FR_VERBS_REGISTER && error == EOPNOTSUPP)
		return "the driver, the kernel or libibverbs has no dma-buf support";
	if (call == FR_VERBS_CREATE && error == EINVAL)
		return "more is asked for than the device has; try smaller FERRULE_IB_SLOTS and "
		       "FERRULE_IB_INLINE";
	if (call != FR_VERBS_CONNECT)
		return "";
	if (error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH)
		return "there is no route between these addresses, or nobody answers ARP there; "
		       "`ping` one from the other";
	if (error == EINVAL || error == ENOENT)
		return "the GID may have gone from the port's table, or FERRULE_IB_PKEY_INDEX or "
		       "FERRULE_IB_SL does not fit the port";
	return "";
}

ferrule_status_t fr_verbs_explain(const struct fr_verbs_port *port, enum fr_verbs_call call,
                                  const char *name, int error, char *why, size_t why_bytes)
{
	char locked[200];
	const char *hint = error == ENOMEM ? locked_memory_hint(locked, sizeof(locked))
	                                   : hint_for(call, error);

	snprintf(why, why_bytes, "%s port %d: %s: %s%s%s", port->device, port->port, name,
	         strerror(error), hint[0] ? "; " : "", hint);
	if (error == ENOMEM)
		return FERRULE_ERR_NO_MEMORY;
	return error == EOPNOTSUPP || error == ENOSYS ? FERRULE_ERR_UNSUPPORTED
	                                              : FERRULE_ERR_SYSTEM;
}

int fr_verbs_errno(int rc)
{
	if (rc > 0)
		return rc;
	/* Some libraries forget to set it; no failure may look like "Success". */
	return errno ? errno : EIO;
}
