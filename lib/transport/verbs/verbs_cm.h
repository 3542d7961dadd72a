/*
 * verbs_cm.h - queue pairs connected by librdmacm instead of fr_verbs_qp_connect().
 *
 * For fabrics where the route, not the table of GIDs, must say which way a peer is reached
 * (FERRULE_IB_CONNECT=cm).  The queue pairs stay the transport's own, made by
 * fr_verbs_qp_create(); only addresses, packet numbers and the path come from the connection
 * manager, and the transport's tuning is put on top of its defaults, of which some are very slow.
 *
 * One object a device and communicator: it listens on an address of the device, and takes part
 * in one connection a queue pair.  The lower rank starts, the higher one expects; the caller sees
 * to it that the expectation is there first, by whatever it exchanges before.  Requests and
 * replies carry a proof of the job key, so that strangers are turned away.
 *
 * Nothing blocks.  All functions are called by the one thread that holds the communicator.
 */
#ifndef FR_VERBS_CM_H
#define FR_VERBS_CM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferrule/status.h>

struct fr_verbs_device;
struct ibv_qp;

struct fr_verbs_cm;      /* a device's */
struct fr_verbs_cm_conn; /* a queue pair's */

/* Where a device listens.  Travels in notes. */
struct fr_verbs_cm_address {
	uint8_t family; /* 4, 6, or 0: nowhere */
	uint8_t zero;
	uint16_t port; /* as a number, not in network order */
	unsigned char ip[16];
};

struct fr_verbs_cm_params {
	int rank;
	uint64_t comm_id;
	const unsigned char *job_key; /* 32 bytes; copied */
};

/*
 * fr_verbs_cm_open - finds an address of the device and listens there.  The device must stay open
 * until fr_verbs_cm_close().  ERR_UNSUPPORTED where there is no librdmacm or no address.
 */
ferrule_status_t fr_verbs_cm_open(struct fr_verbs_device *d, const struct fr_verbs_cm_params *p,
                                  struct fr_verbs_cm **out, char *why, size_t why_bytes);
/* fr_verbs_cm_close - drops all connections; the queue pairs stay the caller's.  NULL is fine. */
void fr_verbs_cm_close(struct fr_verbs_cm *cm);
/* fr_verbs_cm_fd - readable when fr_verbs_cm_poll() has something to do; for epoll. */
int fr_verbs_cm_fd(const struct fr_verbs_cm *cm);
void fr_verbs_cm_address(const struct fr_verbs_cm *cm, struct fr_verbs_cm_address *out);
/* fr_verbs_cm_address_text - "192.0.2.1:4711"; returns buf. */
char *fr_verbs_cm_address_text(const struct fr_verbs_cm_address *a, char *buf, size_t bytes);

/* Which queue pair of which peer; both ends name it alike but for the rank. */
struct fr_verbs_cm_peer {
	int rank;            /* the other end's */
	uint32_t generation; /* of the pair's connections, so that late requests are refused */
	uint8_t rail, qp_index;
	uint8_t mtu_code;     /* a limit beside those that both ends say, enum ibv_mtu; 0: none */
	uint32_t qp_num;      /* the other end's queue pair; 0: not known yet, the proof will do */
	uint64_t deadline_ns; /* on fr_clock_ns(); afterwards the connection has failed */
	void *arg;            /* comes back in events */
};

/* fr_verbs_cm_start - connects `qp`, which is in INIT, to the peer that listens at `to`.  What
 * fails later is an event. */
ferrule_status_t fr_verbs_cm_start(struct fr_verbs_cm *cm, struct ibv_qp *qp,
                                   const struct fr_verbs_cm_peer *peer,
                                   const struct fr_verbs_cm_address *to,
                                   struct fr_verbs_cm_conn **out, char *why, size_t why_bytes);
/* fr_verbs_cm_expect - the same for the end that is connected to. */
ferrule_status_t fr_verbs_cm_expect(struct fr_verbs_cm *cm, struct ibv_qp *qp,
                                    const struct fr_verbs_cm_peer *peer,
                                    struct fr_verbs_cm_conn **out, char *why, size_t why_bytes);
/* fr_verbs_cm_hurry - a nearer deadline, for who learns that the peer has given up. */
void fr_verbs_cm_hurry(struct fr_verbs_cm_conn *conn, uint64_t deadline_ns);
/* fr_verbs_cm_drop - ends the connection, in whatever state; the peer learns of it.  NULL is
 * fine.  No event of it comes afterwards. */
void fr_verbs_cm_drop(struct fr_verbs_cm_conn *conn);

enum fr_verbs_cm_kind {
	FR_VERBS_CM_READY,  /* the queue pair is in RTS, and the peer's is at least in RTR */
	FR_VERBS_CM_FAILED, /* it never was: refused, unreachable, late; drop it */
	FR_VERBS_CM_LOST,   /* it was, and the peer has gone; drop it */
	FR_VERBS_CM_GONE,   /* the device is being removed; arg is NULL; close everything on it */
};
struct fr_verbs_cm_event {
	enum fr_verbs_cm_kind kind;
	void *arg;
	char why[240]; /* all but READY */
};
/* fr_verbs_cm_poll - what has happened, at most `max` of it; also the time that has passed, so it
 * must be called now and then while connections are being made.  Returns how many. */
int fr_verbs_cm_poll(struct fr_verbs_cm *cm, struct fr_verbs_cm_event *out, int max);

#endif
