/* Status codes: what every Ferrule function returns. */
#ifndef FERRULE_STATUS_H
#define FERRULE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/*
 * One line a status: code, number, text.  Zero is success, one is "not yet",
 * everything negative is an error.  Numbers are part of the ABI and never reused.
 */
#define FERRULE_STATUS_MAP(X)                                                      \
	X(OK, 0, "success")                                                        \
	X(INPROGRESS, 1, "operation is still in progress")                         \
	X(ERR_ARGUMENT, -1, "invalid argument")                                    \
	X(ERR_SETTING, -2, "invalid FERRULE_* setting")                            \
	X(ERR_NO_MEMORY, -3, "out of memory")                                      \
	X(ERR_SYSTEM, -4, "system call failed")                                    \
	X(ERR_TIMEOUT, -5, "deadline passed while waiting for a peer")             \
	X(ERR_PEER_DIED, -6, "a peer process died or its connection broke")        \
	X(ERR_PEER_LEFT, -7, "a peer has already left the communicator")           \
	X(ERR_MISMATCH, -8, "ranks disagree about the operation")                  \
	X(ERR_ABORTED, -9, "communicator was aborted")                             \
	X(ERR_AUTH, -10, "job key was not proven")                                 \
	X(ERR_PROTOCOL, -11, "peer sent something that is not Ferrule's protocol") \
	X(ERR_BUSY, -12, "communicator or operation is in use by another call")    \
	X(ERR_UNSUPPORTED, -13, "not supported here")                              \
	X(ERR_TRANSPORT, -14, "no usable transport between two ranks")             \
	X(ERR_INTERNAL, -15, "internal error in Ferrule")                          \
	X(ERR_FABRIC, -16, "the fabric between two ranks failed")

typedef enum ferrule_status {
#define FERRULE_STATUS_ENUM(code, number, text) FERRULE_##code = number,
	FERRULE_STATUS_MAP(FERRULE_STATUS_ENUM)
#undef FERRULE_STATUS_ENUM
} ferrule_status_t;

/*
 * ferrule_status_text - the fixed English text of a status, "unknown status" for others.
 * The string is static.  Threads: any.  For what happened in one communicator, with
 * ranks and numbers, see ferrule_comm_error_text().
 */
const char *ferrule_status_text(ferrule_status_t status);

/* ferrule_status_name - the code as written in this header, e.g. "FERRULE_ERR_TIMEOUT". */
const char *ferrule_status_name(ferrule_status_t status);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
