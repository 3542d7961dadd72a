#include "config.h"

#include "lib/base/netif.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/parse.h"

/* Longer than any network in text, and than any interface's name. */
#define ENTRY_BYTES 64

/* "^=" and what follows it. */
struct selector {
	bool is_exclusion, is_exact;
	const char *entries;
};

struct network {
	int family;
	unsigned char addr[16];
	int prefix; /* bits */
};

/* One entry: a network, or else the name that stands in its text. */
struct entry {
	char text[ENTRY_BYTES];
	bool is_network;
	struct network network;
};

/* ---- reading ---- */

static struct selector split(const char *text)
{
	struct selector s = {.is_exclusion = text[0] == '^'};

	text += s.is_exclusion;
	s.is_exact = text[0] == '=';
	s.entries = text + s.is_exact;
	return s;
}

/* "10.0.0.0/8"; false when it is none. */
static bool read_network(const char *text, struct network *out)
{
	char addr[ENTRY_BYTES];
	const char *slash = strchr(text, '/');
	const int length = slash ? (int)(slash - text) : (int)strlen(text);
	int64_t prefix;

	snprintf(addr, sizeof(addr), "%.*s", length, text);
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, addr, out->addr) == 1)
		out->family = AF_INET;
	else if (inet_pton(AF_INET6, addr, out->addr) == 1)
		out->family = AF_INET6;
	else
		return false;
	const int bits = out->family == AF_INET ? 32 : 128;
	out->prefix = bits;
	if (!slash)
		return true;
	if (!fr_parse_int(slash + 1, 0, bits, &prefix))
		return false;
	out->prefix = (int)prefix;
	return true;
}

/* Reads the entry at `at`, which has `length` characters; NULL, or what is wrong with it. */
static const char *read_entry(const struct selector *s, const char *at, size_t length,
                              struct entry *out)
{
	/* The list's own sign may stand before each entry, and no other. */
	if (s->is_exclusion && length > 0 && *at == '^')
		at++, length--;
	if (s->is_exact && length > 0 && *at == '=')
		at++, length--;
	if (length == 0)
		return "is empty";
	if (length >= sizeof(out->text))
		return "is too long";
	snprintf(out->text, sizeof(out->text), "%.*s", (int)length, at);
	if (strpbrk(out->text, "^="))
		return "has a ^ or = that does not begin the list; one sign holds for all entries";
	if (strpbrk(out->text, " \t\r\n"))
		return "has a blank in it";
	out->is_network = read_network(out->text, &out->network);
	if (!out->is_network && strchr(out->text, '/'))
		return "is no network; allowed: as 10.0.0.0/8 or fd00::/8";
	return NULL;
}

bool fr_netif_check(const char *selector, char *why, size_t why_bytes)
{
	const struct selector s = split(selector);

	if (selector[0] == '\0')
		return true;
	for (const char *at = s.entries;; at++) {
		const size_t length = strcspn(at, ",");
		struct entry entry;
		const char *wrong = read_entry(&s, at, length, &entry);
		if (wrong) {
			snprintf(why, why_bytes, "entry '%.*s' %s",
			         length < ENTRY_BYTES ? (int)length : ENTRY_BYTES, at, wrong);
			return false;
		}
		at += length;
		if (*at == '\0')
			return true;
	}
}

bool fr_netif_is_choice(const char *selector)
{
	return selector[0] != '\0' && selector[0] != '^';
}

/* ---- fitting ---- */

/* The address's bytes; NULL for other families. */
static const unsigned char *bytes_of(const struct sockaddr *addr)
{
	if (addr->sa_family == AF_INET)
		return (const unsigned char *)&((const struct sockaddr_in *)addr)->sin_addr;
	if (addr->sa_family == AF_INET6)
		return ((const struct sockaddr_in6 *)addr)->sin6_addr.s6_addr;
	return NULL;
}

static bool is_in(const struct network *network, const struct sockaddr *addr)
{
	const unsigned char *bytes = addr ? bytes_of(addr) : NULL;
	const size_t whole = (size_t)network->prefix / 8;
	const int rest = network->prefix % 8;

	if (!bytes || addr->sa_family != network->family ||
	    memcmp(bytes, network->addr, whole) != 0)
		return false;
	return rest == 0 || (bytes[whole] ^ network->addr[whole]) >> (8 - rest) == 0;
}

static bool is_named(const struct selector *s, const char *text, const char *name)
{
	return s->is_exact ? strcmp(text, name) == 0 : strncmp(text, name, strlen(text)) == 0;
}

bool fr_netif_fits(const char *selector, const char *name, const struct sockaddr *addr)
{
	const struct selector s = split(selector);
	bool is_listed = false;

	if (selector[0] == '\0')
		return true;
	for (const char *at = s.entries; !is_listed;) {
		const size_t length = strcspn(at, ",");
		struct entry entry;
		if (!read_entry(&s, at, length, &entry))
			is_listed = entry.is_network ? is_in(&entry.network, addr)
			                             : is_named(&s, entry.text, name);
		at += length;
		if (*at++ == '\0')
			break;
	}
	return is_listed != s.is_exclusion;
}

/* ---- what there is ---- */

static bool is_usable(const struct ifaddrs *ifa)
{
	return ifa->ifa_addr && bytes_of(ifa->ifa_addr) && ifa->ifa_flags & IFF_UP;
}

/* Appends; false when it does not fit, and then nothing is. */
static bool append(char *buf, size_t bytes, size_t *at, const char *before, const char *text)
{
	const size_t room = bytes - *at;
	const int n = snprintf(buf + *at, room, "%s%s", before, text);

	if (n < 0 || (size_t)n >= room) {
		buf[*at] = '\0';
		return false;
	}
	*at += (size_t)n;
	return true;
}

/* An interface's name and addresses, unless an earlier entry has shown it. */
static bool append_interface(const struct ifaddrs *list, const struct ifaddrs *ifa, char *buf,
                             size_t bytes, size_t *at)
{
	char text[INET6_ADDRSTRLEN];

	for (const struct ifaddrs *before = list; before != ifa; before = before->ifa_next)
		if (is_usable(before) && strcmp(before->ifa_name, ifa->ifa_name) == 0)
			return true;
	const char *const name = ifa->ifa_name;
	if (!append(buf, bytes, at, *at > 0 ? ", " : "", name))
		return false;
	for (; ifa; ifa = ifa->ifa_next) {
		if (!is_usable(ifa) || strcmp(ifa->ifa_name, name) != 0)
			continue;
		inet_ntop(ifa->ifa_addr->sa_family, bytes_of(ifa->ifa_addr), text, sizeof(text));
		if (!append(buf, bytes, at, " ", text))
			return false;
	}
	return true;
}

char *fr_netif_text(const struct ifaddrs *list, char *buf, size_t bytes)
{
	size_t at = 0;
	bool fits = true;

	snprintf(buf, bytes, "none");
	for (const struct ifaddrs *ifa = list; ifa && fits; ifa = ifa->ifa_next)
		if (is_usable(ifa))
			fits = append_interface(list, ifa, buf, bytes - sizeof(" ..."), &at);
	if (!fits)
		snprintf(buf + at, bytes - at, " ...");
	return buf;
}

bool fr_netif_has_loopback(void)
{
	static const unsigned up = IFF_UP | IFF_LOOPBACK;
	struct ifaddrs *list;
	bool is_up = false;

	if (getifaddrs(&list) != 0)
		return true; /* who knows */
	for (const struct ifaddrs *ifa = list; ifa; ifa = ifa->ifa_next)
		is_up |= (ifa->ifa_flags & up) == up;
	freeifaddrs(list);
	return is_up;
}

/* ---- link-local addresses ---- */

bool fr_netif_is_link_local(const unsigned char addr[16])
{
	return addr[0] == 0xfe && (addr[1] & 0xc0) == 0x80;
}

uint32_t fr_netif_scope(const unsigned char addr[16])
{
	struct ifaddrs *list;
	uint32_t first = 0, owner = 0;

	if (getifaddrs(&list) != 0)
		return 0;
	for (const struct ifaddrs *ifa = list; ifa; ifa = ifa->ifa_next) {
		if (!is_usable(ifa) || ifa->ifa_addr->sa_family != AF_INET6 ||
		    !fr_netif_is_link_local(bytes_of(ifa->ifa_addr)))
			continue;
		const uint32_t scope = ((const struct sockaddr_in6 *)ifa->ifa_addr)->sin6_scope_id;
		if (owner == 0 && memcmp(bytes_of(ifa->ifa_addr), addr, 16) == 0)
			owner = scope;
		if (first == 0)
			first = scope;
	}
	freeifaddrs(list);
	return owner != 0 ? owner : first;
}
