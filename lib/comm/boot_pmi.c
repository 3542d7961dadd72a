/*
 * boot_pmi.c - ranks started by a launcher that speaks PMI-1 or PMI-2: MPICH's and Intel's mpiexec,
 * srun --mpi=pmi2, flux.
 *
 * As with PMIx the launcher only carries one unique id from rank 0 to the others, and everything
 * else is the star.  Puts are seen by others after a barrier, so here the ranks do meet in one,
 * and a launcher that waits there cannot say for whom.
 *
 * A PMI connection serves one initialisation and one end.  Its end comes at once, since launchers
 * take a process that ends without it for a crash and kill the job.  So a boot hands out the id
 * of the next one over its star, as long as the process lives.
 *
 * A set-up that fails leaves the connection as it is: the launcher then ends the job when this
 * process ends, and until that the program may say why.
 */
#include "config.h"

#include "lib/comm/boot_open.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/auth.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/parse.h"
#include "lib/base/text.h"
#include "lib/comm/boot_pmi_wire.h"
#include "lib/comm/boot_wire.h"

#define ID_TEXT_BYTES (2 * FERRULE_UNIQUE_ID_BYTES + 1)
#define ID_KEY        "ferrule.boot"

struct pmi {
	int fd;
	const char *variable, *place; /* "PMI_FD" and "7", for people */
	enum fr_pmi_version version;
	int rank, n_ranks; /* n_ranks is 0 while it is not known */
	char kvs[256];     /* of PMI-1 */
	uint64_t began_ns, deadline_ns;
	char message[FR_PMI_MESSAGE_BYTES]; /* the last that came */
};

/* ---- messages ---- */

/* The command of a message that we send, or what it begins with. */
static int command_length(const char *message)
{
	return (int)strcspn(message, " ;\n");
}

static ferrule_status_t broken(const struct pmi *p, enum fr_net_end end, const char *sent)
{
	const int length = command_length(sent);
	const bool is_meeting =
		strncmp(sent, "cmd=barrier_in", 14) == 0 || strncmp(sent, "cmd=kvs-fence", 13) == 0;
	const double waited = (double)(fr_clock_ns() - p->began_ns) * 1e-9;

	if (end == FR_NET_LATE && is_meeting)
		return fr_error(FERRULE_ERR_TIMEOUT,
		                "rank %d of %d: not all ranks met within %.3g s; the launcher "
		                "(PMI-%d, %s=%.60s) waits for the others at '%.*s' and does not "
		                "say for which",
		                p->rank, p->n_ranks, waited, p->version, p->variable, p->place,
		                length, sent);
	if (end == FR_NET_LATE)
		return fr_error(FERRULE_ERR_TIMEOUT,
		                "the launcher (PMI-%d, %s=%.60s) did not answer rank %d's '%.*s' "
		                "within %.3g s",
		                p->version, p->variable, p->place, p->rank, length, sent, waited);
	if (end == FR_NET_EOF)
		return fr_error(FERRULE_ERR_SYSTEM,
		                "the launcher closed the connection (PMI-%d, %s=%.60s) at rank "
		                "%d's '%.*s'; in a program that uses MPI too, or a process that a "
		                "rank started, set RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT",
		                p->version, p->variable, p->place, p->rank, length, sent);
	return fr_error(FERRULE_ERR_SYSTEM,
	                "the connection to the launcher (PMI-%d, %s=%.60s) failed at rank %d's "
	                "'%.*s': %s",
	                p->version, p->variable, p->place, p->rank, length, sent, strerror(errno));
}

static ferrule_status_t unexpected(const struct pmi *p, const char *sent)
{
	char shown[81];
	size_t n = 0;
	/* A value is the job's secret, and texts end up in logs. */
	const char *secret = strstr(p->message, "value=");
	const size_t length = secret ? (size_t)(secret - p->message) : strlen(p->message);

	for (; n < length && n < sizeof(shown) - 1; n++)
		shown[n] = p->message[n] >= ' ' && p->message[n] <= '~' ? p->message[n] : '?';
	shown[n] = '\0';
	return fr_error(FERRULE_ERR_PROTOCOL,
	                "the launcher (PMI-%d, %s=%.60s) answered rank %d's '%.*s' with '%s'",
	                p->version, p->variable, p->place, p->rank, command_length(sent), sent,
	                shown);
}

/* A line, without its end.  Byte by byte: what follows it may be the first of another message. */
static enum fr_net_end receive_line(struct pmi *p)
{
	for (size_t n = 0; n < sizeof(p->message); n++) {
		const enum fr_net_end end = fr_net_recv(p->fd, p->message + n, 1, p->deadline_ns);
		if (end != FR_NET_DONE)
			return end;
		if (p->message[n] == '\n' || p->message[n] == '\0') {
			p->message[n] = '\0';
			return FR_NET_DONE;
		}
	}
	p->message[sizeof(p->message) - 1] = '\0';
	return FR_NET_DONE;
}

static enum fr_net_end receive_counted(struct pmi *p)
{
	char length[FR_PMI_LENGTH_BYTES];
	size_t bytes;

	enum fr_net_end end = fr_net_recv(p->fd, length, sizeof(length), p->deadline_ns);
	if (end != FR_NET_DONE)
		return end;
	if (!fr_pmi_get_length(length, &bytes)) {
		snprintf(p->message, sizeof(p->message), "%.*s", (int)sizeof(length), length);
		return FR_NET_DONE;
	}
	end = fr_net_recv(p->fd, p->message, bytes, p->deadline_ns);
	p->message[end == FR_NET_DONE ? bytes : 0] = '\0';
	return end;
}

/* Sends `sent`, whose form says its version, and takes the answer as it is. */
static ferrule_status_t ask(struct pmi *p, enum fr_pmi_version version, const char *sent)
{
	char length[FR_PMI_LENGTH_BYTES];
	const size_t bytes = strlen(sent);
	enum fr_net_end end = FR_NET_DONE;

	if (version == FR_PMI_2) {
		fr_pmi_put_length(bytes, length);
		end = fr_net_send(p->fd, length, sizeof(length), p->deadline_ns);
	}
	if (end == FR_NET_DONE)
		end = fr_net_send(p->fd, sent, bytes, p->deadline_ns);
	if (end == FR_NET_DONE)
		end = version == FR_PMI_1 ? receive_line(p) : receive_counted(p);
	return end == FR_NET_DONE ? FERRULE_OK : broken(p, end, sent);
}

/* Not every answer has a code. */
static bool has_failed(const struct pmi *p)
{
	char text[24];
	int rc;

	return fr_pmi_value(p->version, p->message, "rc", text, sizeof(text)) &&
	       !fr_pmi_number(p->version, p->message, "rc", 0, 0, &rc);
}

/* Sends what the format says; the answer must be `expected`, without a code of failure. */
__attribute__((format(printf, 3, 4))) static ferrule_status_t talk(struct pmi *p,
                                                                   const char *expected,
                                                                   const char *format, ...)
{
	char sent[FR_PMI_MESSAGE_BYTES];
	va_list args;

	va_start(args, format);
	fr_vformat(sent, sizeof(sent), format, args);
	va_end(args);
	ferrule_status_t status = ask(p, p->version, sent);
	if (status == FERRULE_OK && (!fr_pmi_is(p->version, p->message, expected) || has_failed(p)))
		status = unexpected(p, sent);
	fr_wipe(sent, sizeof(sent));
	return status;
}

/* ---- the connection ---- */

static ferrule_status_t read_variable(const char *name, int low, int high, int *out)
{
	const char *text = getenv(name);
	int64_t value;

	if (!text || !fr_parse_int(text, low, high, &value))
		return fr_error(FERRULE_ERR_SETTING,
		                "%s=%.80s, which PMI needs, is not allowed; allowed: %d to %d",
		                name, text ? text : " (not set)", low, high);
	*out = (int)value;
	return FERRULE_OK;
}

/* PMI_FD: a connection that the launcher has left open for us. */
static ferrule_status_t take_descriptor(struct pmi *p)
{
	int type = 0;
	socklen_t length = sizeof(type);

	p->variable = "PMI_FD";
	p->place = getenv("PMI_FD");
	const ferrule_status_t status = read_variable("PMI_FD", 0, 1 << 20, &p->fd);
	if (status != FERRULE_OK)
		return status;
	if (getsockopt(p->fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_STREAM)
		return fr_error(
			FERRULE_ERR_SETTING,
			"PMI_FD=%d is no connection to a launcher (%s), though PMI_SIZE=%s "
			"says that this process is one of several; a process that a rank "
			"started needs RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT of its "
			"own (RANK=0 WORLD_SIZE=1 for one rank alone)",
			p->fd, type ? "not a stream" : strerror(errno),
			getenv("PMI_SIZE") ? getenv("PMI_SIZE") : "");
	/* Children of this process have no business with it. */
	fcntl(p->fd, F_SETFD, FD_CLOEXEC);
	return FERRULE_OK;
}

/* "host:port", "[::1]:port" */
static bool split_place(const char *text, char *host, size_t bytes, uint16_t *port_out)
{
	const char *colon = strrchr(text, ':');
	int64_t port;

	if (!colon || colon == text || (size_t)(colon - text) >= bytes ||
	    !fr_parse_int(colon + 1, 1, 65535, &port))
		return false;
	const bool has_brackets = text[0] == '[' && colon[-1] == ']';
	snprintf(host, bytes, "%.*s", (int)(colon - text) - 2 * has_brackets, text + has_brackets);
	*port_out = (uint16_t)port;
	return true;
}

/* PMI_PORT: a launcher that waits for our connection. */
static ferrule_status_t dial_launcher(struct pmi *p)
{
	struct fr_net_addr found[FR_RENDEZVOUS_MAX_ADDRS];
	const char *why = "";
	char host[256];
	uint16_t port;

	p->variable = "PMI_PORT";
	p->place = getenv("PMI_PORT");
	if (!split_place(p->place, host, sizeof(host), &port))
		return fr_error(FERRULE_ERR_SETTING,
		                "PMI_PORT=%.80s is not allowed; allowed: host:port", p->place);
	const int n = fr_net_resolve(host, port, found, FR_RENDEZVOUS_MAX_ADDRS, &why);
	for (int i = 0; i < n && p->fd < 0; i++)
		p->fd = fr_net_dial(&found[i], p->deadline_ns);
	if (p->fd < 0)
		return fr_error(FERRULE_ERR_SYSTEM,
		                "cannot reach the launcher at PMI_PORT=%.80s: %s", p->place,
		                n > 0 ? strerror(errno) : why);
	return FERRULE_OK;
}

/* The launcher at a port says who we are in three lines. */
static ferrule_status_t introduce(struct pmi *p)
{
	char sent[80];
	bool has_rank = false;

	snprintf(sent, sizeof(sent), "cmd=initack pmiid=%.40s\n",
	         getenv("PMI_ID") ? getenv("PMI_ID") : "0");
	const ferrule_status_t status = ask(p, FR_PMI_1, sent);
	if (status != FERRULE_OK)
		return status;
	if (!fr_pmi_is(FR_PMI_1, p->message, "initack"))
		return unexpected(p, sent);
	for (int i = 0; i < 3; i++) {
		const enum fr_net_end end = receive_line(p);
		if (end != FR_NET_DONE)
			return broken(p, end, sent);
		if (!fr_pmi_is(FR_PMI_1, p->message, "set"))
			return unexpected(p, sent);
		fr_pmi_number(FR_PMI_1, p->message, "size", 1, FR_BOOT_MAX_RANKS, &p->n_ranks);
		has_rank |= fr_pmi_number(FR_PMI_1, p->message, "rank", 0, FR_BOOT_MAX_RANKS - 1,
		                          &p->rank);
	}
	return has_rank && p->rank < p->n_ranks ? FERRULE_OK : unexpected(p, sent);
}

static ferrule_status_t connect_launcher(struct pmi *p)
{
	ferrule_status_t status;

	if (getenv("PMI_FD") && getenv("PMI_FD")[0]) {
		status = take_descriptor(p);
	} else {
		status = dial_launcher(p);
		if (status == FERRULE_OK)
			return introduce(p);
	}
	if (status == FERRULE_OK)
		status = read_variable("PMI_SIZE", 1, FR_BOOT_MAX_RANKS, &p->n_ranks);
	if (status == FERRULE_OK)
		status = read_variable("PMI_RANK", 0, p->n_ranks - 1, &p->rank);
	return status;
}

/* ---- agreeing on a version ---- */

/* Says which version we would like; FERRULE_INPROGRESS when the launcher wants the other one. */
static ferrule_status_t offer(struct pmi *p, enum fr_pmi_version version)
{
	char sent[64];
	int theirs = 0, rc = 0;

	p->version = version;
	snprintf(sent, sizeof(sent), "cmd=init pmi_version=%d pmi_subversion=%d\n", version,
	         version == FR_PMI_1);
	const ferrule_status_t status = ask(p, FR_PMI_1, sent);
	if (status != FERRULE_OK)
		return status;
	if (!fr_pmi_is(FR_PMI_1, p->message, "response_to_init") ||
	    !fr_pmi_number(FR_PMI_1, p->message, "pmi_version", 1, 2, &theirs))
		return unexpected(p, sent);
	if (!fr_pmi_number(FR_PMI_1, p->message, "rc", 0, 0, &rc))
		return FERRULE_INPROGRESS;
	p->version = theirs == 1 ? FR_PMI_1 : FR_PMI_2;
	return FERRULE_OK;
}

/* A launcher of PMI-2 tells the job's name in PMI_JOBID; those of PMI-1 have no use for it. */
static ferrule_status_t agree_on_version(struct pmi *p)
{
	const enum fr_pmi_version first = getenv("PMI_JOBID") ? FR_PMI_2 : FR_PMI_1;
	const enum fr_pmi_version second = first == FR_PMI_1 ? FR_PMI_2 : FR_PMI_1;
	ferrule_status_t status = offer(p, first);

	if (status == FERRULE_INPROGRESS)
		status = offer(p, second);
	if (status == FERRULE_INPROGRESS)
		return fr_error(FERRULE_ERR_UNSUPPORTED,
		                "the launcher (%s=%.60s) speaks neither PMI-1 nor PMI-2",
		                p->variable, p->place);
	return status;
}

static ferrule_status_t begin(struct pmi *p)
{
	const char *job = getenv("PMI_JOBID");
	int rank, n_ranks;

	ferrule_status_t status = agree_on_version(p);
	if (status != FERRULE_OK)
		return status;
	if (p->version == FR_PMI_1) {
		status = talk(p, "my_kvsname", "cmd=get_my_kvsname\n");
		if (status == FERRULE_OK &&
		    !fr_pmi_value(FR_PMI_1, p->message, "kvsname", p->kvs, sizeof(p->kvs)))
			status = unexpected(p, "cmd=get_my_kvsname");
		return status;
	}
	status = talk(p, "fullinit-response",
	              "cmd=fullinit;pmijobid=%.200s;pmirank=%d;threaded=FALSE;", job ? job : "0",
	              p->rank);
	if (status != FERRULE_OK)
		return status;
	if (!fr_pmi_number(FR_PMI_2, p->message, "size", 1, FR_BOOT_MAX_RANKS, &n_ranks) ||
	    !fr_pmi_number(FR_PMI_2, p->message, "rank", 0, n_ranks - 1, &rank) ||
	    rank != p->rank || n_ranks != p->n_ranks)
		return unexpected(p, "cmd=fullinit");
	return FERRULE_OK;
}

/* ---- the id ---- */

static ferrule_status_t put_id(struct pmi *p, const char *text)
{
	if (p->version == FR_PMI_1)
		return talk(p, "put_result", "cmd=put kvsname=%s key=" ID_KEY " value=%s\n", p->kvs,
		            text);
	return talk(p, "kvs-put-response", "cmd=kvs-put;key=" ID_KEY ";value=%s;", text);
}

static ferrule_status_t meet(struct pmi *p)
{
	return p->version == FR_PMI_1 ? talk(p, "barrier_out", "cmd=barrier_in\n")
	                              : talk(p, "kvs-fence-response", "cmd=kvs-fence;");
}

static ferrule_status_t get_id(struct pmi *p, ferrule_unique_id_t *id)
{
	char text[ID_TEXT_BYTES];
	const char *job = getenv("PMI_JOBID");

	const ferrule_status_t status =
		p->version == FR_PMI_1
			? talk(p, "get_result", "cmd=get kvsname=%s key=" ID_KEY "\n", p->kvs)
			: talk(p, "kvs-get-response",
	                       "cmd=kvs-get;jobid=%.200s;srcid=-1;key=" ID_KEY ";",
	                       job ? job : "0");
	if (status != FERRULE_OK)
		return status;
	const bool is_id = fr_pmi_value(p->version, p->message, "value", text, sizeof(text)) &&
	                   fr_parse_hex(text, id, sizeof(*id));
	fr_wipe(text, sizeof(text));
	return is_id ? FERRULE_OK : unexpected(p, "cmd=get");
}

static ferrule_status_t exchange_id(struct pmi *p, ferrule_unique_id_t *id)
{
	char text[ID_TEXT_BYTES];
	ferrule_status_t status = FERRULE_OK;

	if (p->rank == 0) {
		status = fr_boot_new_id(id);
		if (status == FERRULE_OK)
			status = put_id(p, fr_hex_text(id->bytes, sizeof(id->bytes), text));
		fr_wipe(text, sizeof(text));
	}
	if (status == FERRULE_OK)
		status = meet(p);
	if (status == FERRULE_OK && p->rank != 0)
		status = get_id(p, id);
	return status;
}

static ferrule_status_t end_talk(struct pmi *p)
{
	return p->version == FR_PMI_1 ? talk(p, "finalize_ack", "cmd=finalize\n")
	                              : talk(p, "finalize-response", "cmd=finalize;");
}

/* ---- boots ---- */

/* The launcher has done its part; the ranks hand each other the id of their next boot. */
static struct {
	pthread_mutex_t lock;
	bool has_begun, has_next;
	int rank, n_ranks;
	ferrule_unique_id_t next;
} the_pmi = {.lock = PTHREAD_MUTEX_INITIALIZER};

static ferrule_status_t ask_launcher(uint64_t deadline_ns)
{
	struct pmi p = {.fd = -1,
	                .version = FR_PMI_1,
	                .rank = -1,
	                .began_ns = fr_clock_ns(),
	                .deadline_ns = deadline_ns};

	the_pmi.has_begun = true;
	ferrule_status_t status = connect_launcher(&p);
	if (status == FERRULE_OK)
		status = begin(&p);
	if (status == FERRULE_OK && p.n_ranks > 1)
		status = exchange_id(&p, &the_pmi.next);
	if (status == FERRULE_OK)
		status = end_talk(&p);
	the_pmi.has_next = status == FERRULE_OK;
	the_pmi.rank = p.rank;
	the_pmi.n_ranks = p.n_ranks;
	if (strcmp(p.variable, "PMI_PORT") == 0 && p.fd >= 0)
		close(p.fd);
	fr_wipe(p.message, sizeof(p.message));
	return status;
}

/* Rank 0 makes the id of the next boot, and the others get it over this one. */
static ferrule_status_t share_next(struct fr_boot *boot, uint64_t deadline_ns)
{
	ferrule_unique_id_t mine = {{0}};
	ferrule_unique_id_t *all = calloc((size_t)the_pmi.n_ranks, sizeof(*all));
	ferrule_status_t status = FERRULE_OK;

	if (!all)
		return fr_error(FERRULE_ERR_NO_MEMORY, "no memory for the ids of %d ranks",
		                the_pmi.n_ranks);
	if (the_pmi.rank == 0)
		status = fr_boot_new_id(&mine);
	if (status == FERRULE_OK)
		status = fr_boot_allgather(boot, &mine, all, sizeof(mine), deadline_ns);
	if (status == FERRULE_OK) {
		the_pmi.next = all[0];
		the_pmi.has_next = true;
	}
	fr_wipe(&mine, sizeof(mine));
	fr_wipe(all, sizeof(*all) * (size_t)the_pmi.n_ranks);
	free(all);
	return status;
}

static ferrule_status_t open_next(uint64_t deadline_ns, struct fr_boot **out)
{
	struct fr_boot *boot;

	if (the_pmi.has_begun && !the_pmi.has_next)
		return fr_error(FERRULE_ERR_UNSUPPORTED,
		                "an earlier set-up through PMI failed, and a launcher of PMI-1 or "
		                "PMI-2 brings ranks together only once; start the job anew");
	ferrule_status_t status = the_pmi.has_begun ? FERRULE_OK : ask_launcher(deadline_ns);
	if (status != FERRULE_OK)
		return status;
	if (the_pmi.n_ranks == 1)
		return fr_boot_open_alone(out);
	the_pmi.has_next = false;
	status = fr_boot_open_id(&the_pmi.next, the_pmi.rank, the_pmi.n_ranks, deadline_ns, &boot);
	fr_wipe(&the_pmi.next, sizeof(the_pmi.next));
	if (status != FERRULE_OK)
		return status;
	status = share_next(boot, deadline_ns);
	if (status != FERRULE_OK) {
		fr_boot_close(boot);
		return status;
	}
	*out = boot;
	return FERRULE_OK;
}

ferrule_status_t fr_boot_open_pmi(uint64_t deadline_ns, struct fr_boot **out)
{
	pthread_mutex_lock(&the_pmi.lock);
	const ferrule_status_t status = open_next(deadline_ns, out);
	pthread_mutex_unlock(&the_pmi.lock);
	return status;
}
