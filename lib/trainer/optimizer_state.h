/* optimizer_state.h - an optimizer's insides, for checkpoints. */
#ifndef FR_OPTIMIZER_STATE_H
#define FR_OPTIMIZER_STATE_H

#include <ferrule/trainer.h>

#define FR_OPTIMIZER_MAX_SLOTS 2

struct ferrule_optimizer {
	struct ferrule_optimizer_options options;
	uint64_t steps; /* t of the formulas */
	size_t n_params;
	/* Velocity (momentum); first and second moment (Adam); n_params numbers each. */
	float *slots[FR_OPTIMIZER_MAX_SLOTS];
};

/* fr_optimizer_n_slots - numbers of state a parameter; -1 for a kind that is none. */
int fr_optimizer_n_slots(enum ferrule_optimizer_kind kind);

#endif
