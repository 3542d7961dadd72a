/* verbs_cm_none.c - built without the headers of librdmacm. */
#include "config.h"

#include "lib/transport/verbs/verbs_cm.h"

#include <stdio.h>

ferrule_status_t fr_verbs_cm_open(struct fr_verbs_device *d, const struct fr_verbs_cm_params *p,
                                  struct fr_verbs_cm **out, char *why, size_t why_bytes)
{
	(void)d;
	(void)p;
	(void)out;
	snprintf(why, why_bytes, "FERRULE_IB_CONNECT=cm: this library was built without rdmacm");
	return FERRULE_ERR_UNSUPPORTED;
}

/* The rest is never called, since nothing was opened. */

void fr_verbs_cm_close(struct fr_verbs_cm *cm)
{
	(void)cm;
}

int fr_verbs_cm_fd(const struct fr_verbs_cm *cm)
{
	(void)cm;
	return -1;
}

void fr_verbs_cm_address(const struct fr_verbs_cm *cm, struct fr_verbs_cm_address *out)
{
	(void)cm;
	*out = (struct fr_verbs_cm_address){.family = 0};
}

char *fr_verbs_cm_address_text(const struct fr_verbs_cm_address *a, char *buf, size_t bytes)
{
	(void)a;
	snprintf(buf, bytes, "no address");
	return buf;
}

ferrule_status_t fr_verbs_cm_start(struct fr_verbs_cm *cm, struct ibv_qp *qp,
                                   const struct fr_verbs_cm_peer *peer,
                                   const struct fr_verbs_cm_address *to,
                                   struct fr_verbs_cm_conn **out, char *why, size_t why_bytes)
{
	(void)to;
	return fr_verbs_cm_expect(cm, qp, peer, out, why, why_bytes);
}

ferrule_status_t fr_verbs_cm_expect(struct fr_verbs_cm *cm, struct ibv_qp *qp,
                                    const struct fr_verbs_cm_peer *peer,
                                    struct fr_verbs_cm_conn **out, char *why, size_t why_bytes)
{
	(void)cm;
	(void)qp;
	(void)peer;
	(void)out;
	snprintf(why, why_bytes, "this library was built without rdmacm");
	return FERRULE_ERR_UNSUPPORTED;
}

void fr_verbs_cm_hurry(struct fr_verbs_cm_conn *conn, uint64_t deadline_ns)
{
	(void)conn;
	(void)deadline_ns;
}

void fr_verbs_cm_drop(struct fr_verbs_cm_conn *conn)
{
	(void)conn;
}

int fr_verbs_cm_poll(struct fr_verbs_cm *cm, struct fr_verbs_cm_event *out, int max)
{
	(void)cm;
	(void)out;
	(void)max;
	return 0;
}
