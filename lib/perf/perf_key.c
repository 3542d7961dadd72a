#include "config.h"

#include "lib/perf/perf_key.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/parse.h"
#include "lib/base/settings.h"

static const char magic[8] = "FRPKEY1";

bool fr_perf_key_given(struct fr_perf_key *key)
{
	*key = (struct fr_perf_key){.kind = FR_PERF_KEY_NONE};
	if (!fr_parse_hex(fr_settings()->job_key, key->bytes, sizeof(key->bytes)))
		return false;
	key->kind = FR_PERF_KEY_GIVEN;
	return true;
}

void fr_perf_key_purpose(unsigned port, char *buf, size_t bytes)
{
	snprintf(buf, bytes, "perf %u %u", port, (unsigned)geteuid());
}

/* The address without its port, IPv4 inside IPv6 as it is. */
static bool read_address(const struct sockaddr_storage *from, struct in6_addr *out, unsigned *port)
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)from;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;

	memset(out, 0, sizeof(*out));
	if (from->ss_family == AF_INET) {
		out->s6_addr[10] = out->s6_addr[11] = 0xff;
		memcpy(out->s6_addr + 12, &in4->sin_addr, 4);
		*port = ntohs(in4->sin_port);
		return true;
	}
	if (from->ss_family != AF_INET6)
		return false;
	*out = in6->sin6_addr;
	*port = ntohs(in6->sin6_port);
	return true;
}

bool fr_perf_key_is_local(int fd, bool is_server, unsigned *port_out)
{
	struct sockaddr_storage here, there;
	socklen_t n_here = sizeof(here), n_there = sizeof(there);
	struct in6_addr a, b;
	unsigned mine, theirs;

	if (getsockname(fd, (struct sockaddr *)&here, &n_here) != 0 ||
	    getpeername(fd, (struct sockaddr *)&there, &n_there) != 0 ||
	    !read_address(&here, &a, &mine) || !read_address(&there, &b, &theirs))
		return false;
	*port_out = is_server ? mine : theirs;
	/* A host speaks to itself from the very address that it calls, or within 127/8. */
	return memcmp(&a, &b, sizeof(a)) == 0 ||
	       (IN6_IS_ADDR_V4MAPPED(&a) && IN6_IS_ADDR_V4MAPPED(&b) && a.s6_addr[12] == 127 &&
	        b.s6_addr[12] == 127);
}

void fr_perf_key_begin(struct fr_auth *auth, enum fr_auth_role role, const struct fr_perf_key *key,
                       struct fr_perf_hello *out)
{
	unsigned char statement[FR_AUTH_STATEMENT_BYTES] = {(unsigned char)key->kind};

	fr_auth_init(auth, role, key->bytes, "perf", statement);
	memcpy(out->magic, magic, sizeof(out->magic));
	memcpy(out->statement, statement, sizeof(out->statement));
	memcpy(out->nonce, auth->nonce[role], sizeof(out->nonce));
}

int fr_perf_key_take(struct fr_auth *auth, const struct fr_perf_hello *theirs)
{
	if (memcmp(theirs->magic, magic, sizeof(magic)) != 0 ||
	    theirs->statement[0] > FR_PERF_KEY_GIVEN)
		return -1;
	fr_auth_peer(auth, theirs->nonce, theirs->statement);
	return theirs->statement[0];
}

ferrule_status_t fr_perf_key_differ(const char *peer, enum fr_perf_key_kind mine,
                                    enum fr_perf_key_kind theirs)
{
	static const char *const have[] = {"no key", "the key file of its user on its host",
	                                   "a key that it was given"};

	return fr_error(FERRULE_ERR_AUTH,
	                "the server at %s has %s, this side has %s; give both the same key, by "
	                "--key-file or FERRULE_JOB_KEY, or to both none",
	                peer, have[theirs],
	                mine == FR_PERF_KEY_FILE ? "that of its own" : have[mine]);
}

void fr_perf_key_warn(const struct fr_perf_key *key, const char *peer)
{
	if (key->kind == FR_PERF_KEY_NONE)
		fr_log(FR_LOG_WARNING,
		       "nothing proves that %s is who was meant: there is no key; give both sides "
		       "the same one, by --key-file or FERRULE_JOB_KEY",
		       peer);
}
