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
#define FR_SETTING_MAP(X)                                                                     \
	X(transport, "FERRULE_TRANSPORT", TEXT, "", 0, 0,                                     \
	  "comma-separated transports, best first",                                           \
	  "transports that may be used; empty: every usable one but ucx")                     \
	X(timeout_s, "FERRULE_TIMEOUT", REAL, "300", 0.1, 86400, "seconds, 0.1 to 86400",     \
	  "longest wait for peers inside an operation")                                       \
	X(setup_timeout_s, "FERRULE_SETUP_TIMEOUT", REAL, "60", 0.1, 86400,                   \
	  "seconds, 0.1 to 86400", "longest wait for peers while a communicator is created")  \
	X(log, "FERRULE_LOG", WORD, "warning", 0, 0, "error|warning|info|debug",              \
	  "how much is written to stderr")                                                    \
	X(algo, "FERRULE_ALGO", TEXT, "", 0, 0, "COLLECTIVE=ALGORITHM, comma-separated",      \
	  "algorithms to use instead of the cost model's choice")                             \
	X(isa, "FERRULE_ISA", WORD, "auto", 0, 0, "auto|reference|avx2|avx512",               \
	  "instruction set of the reduction kernels")                                         \
	X(job_key, "FERRULE_JOB_KEY", TEXT, "", 0, 0, "64 hexadecimal digits",                \
	  "secret that ranks prove to each other; `ferrule run` makes a fresh one; taken "    \
	  "out of the environment when it has been read")                                     \
	X(require_key, "FERRULE_REQUIRE_KEY", BOOL, "0", 0, 0, "0 or 1",                      \
	  "1: refuse to join hosts, or to measure between them, without a key; 0: warn")      \
	X(socket_ifname, "FERRULE_SOCKET_IFNAME", TEXT, "", 0, 0,                             \
	  "beginnings of interface names and networks as 10.0.0.0/8, comma-separated; first " \
	  "= for whole names, ^ for all but these, ^= for both",                              \
	  "network interfaces that ranks may be reached at")                                  \
	X(socket_family, "FERRULE_SOCKET_FAMILY", WORD, "any", 0, 0, "any|ipv4|ipv6",         \
	  "address family of the TCP transport")                                              \
	X(sockets_per_peer, "FERRULE_SOCKETS_PER_PEER", INT, "1", 1, 16, "1 to 16",           \
	  "TCP connections a pair of ranks; large messages are striped over them")            \
	X(socket_keepalive_s, "FERRULE_SOCKET_KEEPALIVE", REAL, "10", 1.5, 3600,              \
	  "seconds, 1.5 to 3600",                                                             \
	  "a peer whose host has acknowledged nothing for this long is lost; over TCP")       \
	X(link_keepalive_s, "FERRULE_LINK_KEEPALIVE", REAL, "2", 1.5, 3600,                   \
	  "seconds, 1.5 to 3600",                                                             \
	  "the same over verbs and ucx, by the TCP connection beside them")                   \
	X(store_port, "FERRULE_STORE_PORT", INT, "0", 0, 65535, "0 to 65535",                 \
	  "port of rank 0's rendezvous; 0: MASTER_PORT, or the next one when torchrun's "     \
	  "agent holds that")                                                                 \
	X(spin_us, "FERRULE_SPIN_US", INT, "-1", -1, 1000000, "microseconds, -1 to 1000000",  \
	  "how long a wait spins before it yields the core; "                                 \
	  "-1: chosen from ranks and cores")                                                  \
	X(shm_ring, "FERRULE_SHM_RING", SIZE, "2M", 65536, 1073741824, "64K to 1G",           \
	  "shared-memory staging between two ranks of a host, in bytes, before scaling "      \
	  "down for many ranks")                                                              \
	X(shm_arena, "FERRULE_SHM_ARENA", SIZE, "64G", 1048576, 17592186044416, "1M to 16T",  \
	  "address space reserved a rank for ferrule_mem_alloc")                              \
	X(probe, "FERRULE_PROBE", BOOL, "1", 0, 0, "0 or 1",                                  \
	  "measure the machine and try RDMA paths when a communicator is created; "           \
	  "0: built-in constants, no trial")                                                  \
	X(verbs_library, "FERRULE_VERBS_LIBRARY", TEXT, "libibverbs.so.1", 0, 0,              \
	  "a file that dlopen() finds", "the libibverbs to use")                              \
	X(ib_hca, "FERRULE_IB_HCA", TEXT, "", 0, 0,                                           \
	  "DEVICE[:PORT], comma-separated; ^ first excludes them",                            \
	  "RDMA ports that may be used; empty: the nearest active ones")                      \
	X(ib_rails, "FERRULE_IB_RAILS", INT, "2", 1, 4, "1 to 4",                             \
	  "RDMA ports a rank uses at once; large messages are striped over them")             \
	X(ib_qps, "FERRULE_IB_QPS_PER_PEER", INT, "1", 1, 8, "1 to 8",                        \
	  "queue pairs a peer and rail; 2 or more for links of 200 Gb/s and bonded ports")    \
	X(ib_connect, "FERRULE_IB_CONNECT", WORD, "oob", 0, 0, "oob|cm",                      \
	  "how queue pairs are connected: over the authenticated link, or by librdmacm")      \
	X(ib_gid_index, "FERRULE_IB_GID_INDEX", INT, "-1", -1, 255, "-1 to 255",              \
	  "GID table entry to use on every port; -1: probed pair by pair")                    \
	X(ib_sl, "FERRULE_IB_SL", INT, "0", 0, 15, "0 to 15", "InfiniBand service level")     \
	X(ib_tc, "FERRULE_IB_TC", INT, "106", 0, 255, "0 to 255",                             \
	  "RoCE traffic class; 106 is DSCP 26 with ECN")                                      \
	X(ib_pkey_index, "FERRULE_IB_PKEY_INDEX", INT, "0", 0, 127, "0 to 127",               \
	  "partition key, by its index in the port's table")                                  \
	X(ib_mtu, "FERRULE_IB_MTU", WORD, "auto", 0, 0, "auto|256|512|1024|2048|4096",        \
	  "largest RDMA packet; auto: what both ports have active")                           \
	X(ib_timeout, "FERRULE_IB_TIMEOUT", INT, "-1", -1, 31, "-1 to 31",                    \
	  "acknowledgement timeout, 4.096 us * 2^N; 0 waits for ever; -1: 18, about 1 s")     \
	X(ib_retry, "FERRULE_IB_RETRY", INT, "-1", -1, 7, "-1 to 7",                          \
	  "repetitions without acknowledgement; -1: 7, on Soft-RoCE 6, as 7 is endless "      \
	  "there")                                                                            \
	X(ib_rnr_retry, "FERRULE_IB_RNR_RETRY", INT, "7", 0, 7, "0 to 7; 7 is endless",       \
	  "repetitions when the receiver was not ready, which credits rule out")              \
	X(ib_slot, "FERRULE_IB_SLOT", SIZE, "64K", 4096, 4194304, "4K to 4M",                 \
	  "RDMA staging: the largest piece of a message that was not registered")             \
	X(ib_slots, "FERRULE_IB_SLOTS", INT, "16", 4, 32, "4 to 32, a power of two",          \
	  "RDMA staging: pieces under way a peer and direction")                              \
	X(ib_zero_copy, "FERRULE_IB_ZERO_COPY", SIZE, "32K", 1, 1099511627776, "1 to 1T",     \
	  "messages of registered memory of at least this size are not copied")               \
	X(ib_inline, "FERRULE_IB_INLINE", INT, "220", 0, 1024, "0 to 1024",                   \
	  "bytes to ask for inside a work request; what the device grants is used")           \
	X(ib_relaxed_ordering, "FERRULE_IB_RELAXED_ORDERING", WORD, "auto", 0, 0, "auto|0|1", \
	  "let PCIe reorder writes of data, never of control")                                \
	X(ib_stall_s, "FERRULE_IB_STALL", REAL, "3", 0.1, 3600, "seconds, 0.1 to 3600",       \
	  "posted work without any completion for this long is mended by connecting anew")    \
	X(ib_recover_s, "FERRULE_IB_RECOVER", REAL, "10", 0, 3600, "seconds, 0 to 3600",      \
	  "how long to try to connect anew before the communicator fails")                    \
	X(mr_cache, "FERRULE_MR_CACHE", BOOL, "0", 0, 0, "0 or 1",                            \
	  "register unregistered user memory on first use, and watch it")                     \
	X(gdr, "FERRULE_GDR", WORD, "auto", 0, 0, "auto|dmabuf|peermem|staged",               \
	  "how RDMA reaches GPU memory; auto: by PCIe distance and what is there")

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
