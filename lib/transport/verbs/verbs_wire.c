#include "config.h"

#include "lib/transport/verbs/verbs_wire.h"

#include <string.h>

static ferrule_status_t wrong(const char **why, const char *what)
{
	*why = what;
	return FERRULE_ERR_PROTOCOL;
}

static bool is_power_of_two(uint32_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

static ferrule_status_t check_rail(const struct fr_verbs_offer_rail *r, const char **why)
{
	if (r->n_qps > FR_VERBS_QPS_MAX)
		return wrong(why, "an offer of too many queue pairs");
	if (r->n_qps == 0)
		return FERRULE_OK;
	if (r->n_gids > FR_VERBS_OFFERED || r->is_ethernet > 1 || (r->is_ethernet && !r->n_gids))
		return wrong(why, "an offer with a bad GID list");
	if (r->mtu_code < IBV_MTU_256 || r->mtu_code > IBV_MTU_4096)
		return wrong(why, "an offer with a bad MTU");
	for (unsigned q = 0; q < r->n_qps; q++)
		if (r->qp_num[q] >> 24 || r->psn[q] >> 24)
			return wrong(why, "an offer with a bad queue pair");
	for (unsigned g = 0; g < r->n_gids; g++)
		if (r->gids[g].type > FR_GID_ROCE_V2)
			return wrong(why, "an offer with a bad GID type");
	return FERRULE_OK;
}

ferrule_status_t fr_verbs_offer_parse(const void *wire, unsigned bytes, struct fr_verbs_offer *out,
                                      const char **why)
{
	struct fr_verbs_offer o;
	bool has_rail = false;

	if (bytes != sizeof(o))
		return wrong(why, "an offer of the wrong length");
	memcpy(&o, wire, sizeof(o));
	if (o.magic != FR_VERBS_MAGIC || o.generation == 0)
		return wrong(why, "an offer of another version");
	if (!is_power_of_two(o.n_slots) || o.n_slots > FR_VERBS_SLOTS_MAX || o.slot_bytes == 0 ||
	    o.zero_copy == 0)
		return wrong(why, "an offer with bad slots");
	if (o.n_slots < 32 && o.arrived >> o.n_slots)
		return wrong(why, "an offer that has more pieces than slots");
	for (int i = 0; i < FR_VERBS_RAILS_MAX; i++) {
		if (check_rail(&o.rails[i], why) != FERRULE_OK)
			return FERRULE_ERR_PROTOCOL;
		has_rail |= o.rails[i].n_qps > 0;
	}
	if (!has_rail)
		return wrong(why, "an offer without queue pairs");
	*out = o;
	return FERRULE_OK;
}

ferrule_status_t fr_verbs_state_parse(const void *wire, unsigned bytes,
                                      struct fr_verbs_state_note *out, const char **why)
{
	struct fr_verbs_state_note s;

	if (bytes != sizeof(s))
		return wrong(why, "a state of the wrong length");
	memcpy(&s, wire, sizeof(s));
	if (s.magic != FR_VERBS_MAGIC || s.generation == 0 || s.rails >> FR_VERBS_RAILS_MAX)
		return wrong(why, "a state with bad members");
	*out = s;
	return FERRULE_OK;
}
