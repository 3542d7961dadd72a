/*
 * settings.h - the ONE table of FERRULE_* settings.
 *
 * Read once from the environment, checked as a whole, never changed after.  A setting that
 * is not in the table but begins with FERRULE_ gets a warning with the nearest name.
 */
#ifndef FR_SETTINGS_H
#define FR_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include <ferrule/status.h>

/*
 * X(member, name, kind, default, low, high, allowed, meaning)
 * kinds: INT (int64_t), REAL (double), BOOL (0/1/yes/no/on/off), SIZE (uint64_t bytes, with
 * K/M/G suffixes), TEXT (const char *), WORD (TEXT that must be one of the words in `allowed`,
 * separated by "|").  low and high bound INT, REAL and SIZE.
 */
#define FR_SETTING_MAP(X)                                                                    \
	X(transport, "FERRULE_TRANSPORT", TEXT, "", 0, 0,                                    \
	  "comma-separated transports, best first",                                          \
	  "transports that may be used; empty: every usable one")                            \
	X(timeout_s, "FERRULE_TIMEOUT", REAL, "300", 0.1, 86400, "seconds, 0.1 to 86400",    \
	  "longest wait for peers inside an operation")                                      \
	X(setup_timeout_s, "FERRULE_SETUP_TIMEOUT", REAL, "60", 0.1, 86400,                  \
	  "seconds, 0.1 to 86400", "longest wait for peers while a communicator is created") \
	X(log, "FERRULE_LOG", WORD, "warning", 0, 0, "error|warning|info|debug",             \
	  "how much is written to stderr")                                                   \
	X(algo, "FERRULE_ALGO", TEXT, "", 0, 0, "COLLECTIVE=ALGORITHM, comma-separated",     \
	  "algorithms to use instead of the cost model's choice")                            \
	X(isa, "FERRULE_ISA", WORD, "auto", 0, 0, "auto|reference|avx2|avx512",              \
	  "instruction set of the reduction kernels")                                        \
	X(job_key, "FERRULE_JOB_KEY", TEXT, "", 0, 0, "64 hexadecimal digits",               \
	  "secret that ranks prove to each other; `ferrule run` makes a fresh one")          \
	X(socket_ifname, "FERRULE_SOCKET_IFNAME", TEXT, "", 0, 0,                            \
	  "interface names, comma-separated; ^ first excludes them",                         \
	  "network interfaces of the TCP transport")                                         \
	X(socket_family, "FERRULE_SOCKET_FAMILY", WORD, "any", 0, 0, "any|ipv4|ipv6",        \
	  "address family of the TCP transport")                                             \
	X(sockets_per_peer, "FERRULE_SOCKETS_PER_PEER", INT, "1", 1, 16, "1 to 16",          \
	  "TCP connections a pair of ranks; large messages are striped over them")           \
	X(store_port, "FERRULE_STORE_PORT", INT, "0", 0, 65535, "0 to 65535",                \
	  "port of rank 0's rendezvous; 0: MASTER_PORT, or the next one when torchrun's "    \
	  "agent holds that")                                                                \
	X(spin_us, "FERRULE_SPIN_US", INT, "-1", -1, 1000000, "microseconds, -1 to 1000000", \
	  "how long a wait spins before it yields the core; "                                \
	  "-1: chosen from ranks and cores")                                                 \
	X(shm_ring, "FERRULE_SHM_RING", SIZE, "2M", 65536, 1073741824, "64K to 1G",          \
	  "shared-memory staging between two ranks of a host, in bytes, before scaling "     \
	  "down for many ranks")                                                             \
	X(shm_arena, "FERRULE_SHM_ARENA", SIZE, "64G", 1048576, 17592186044416, "1M to 16T", \
	  "address space reserved a rank for ferrule_mem_alloc")                             \
	X(probe, "FERRULE_PROBE", BOOL, "1", 0, 0, "0 or 1",                                 \
	  "measure the machine when a communicator is created; 0: built-in constants")

enum fr_setting_index {
#define FR_SETTING_ENUM(member, ...) FR_SETTING_##member,
	FR_SETTING_MAP(FR_SETTING_ENUM)
#undef FR_SETTING_ENUM
		FR_N_SETTINGS
};

/* The C type of each kind. */
#define FR_SETTING_C_INT  int64_t
#define FR_SETTING_C_REAL double
#define FR_SETTING_C_BOOL bool
#define FR_SETTING_C_SIZE uint64_t
#define FR_SETTING_C_TEXT const char *
#define FR_SETTING_C_WORD const char *
struct fr_settings {
#define FR_SETTING_MEMBER(member, name, kind, ...) FR_SETTING_C_##kind member;
	FR_SETTING_MAP(FR_SETTING_MEMBER)
#undef FR_SETTING_MEMBER
};

/*
 * fr_settings_load - parses the environment on the first call (any thread), later calls
 * return the same answer: OK, or ERR_SETTING with the first bad variable in fr_error_text().
 */
ferrule_status_t fr_settings_load(void);
/* fr_settings - the values, loaded if need be; the defaults when loading failed. */
const struct fr_settings *fr_settings(void);
/* fr_settings_parse - the same from a list "NAME=value" (environ's form), for tests and the
 * fuzzer; texts point into `env`. */
ferrule_status_t fr_settings_parse(const char *const *env, struct fr_settings *out);
/* fr_settings_nearest - the setting whose name is most like `name` (shorter than 64 bytes),
 * NULL when none is near. */
const char *fr_settings_nearest(const char *name);

#endif
