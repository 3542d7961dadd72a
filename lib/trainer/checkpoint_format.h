/*
 * checkpoint_format.h - the bytes of a checkpoint file, version 1.  Little-endian.
 *
 *   offset  bytes  what
 *        0      8  magic "FERRULEC"
 *        8      4  version
 *       12      4  CRC-32 (zlib's) of everything from offset 16 to the end
 *       16      8  bytes of the whole file
 *       24      8  seed
 *       32      8  epoch
 *       40      8  batch
 *       48     32  metrics, 4 float64
 *       80      8  steps of the optimizer
 *       88      8  n_params
 *       96      4  kind of optimizer
 *      100      4  n_slots, numbers of optimizer state a parameter
 *      104      4  n_ranks
 *      108      4  config_bytes
 *      112         config text, config_bytes, no NUL
 *                  params, n_params float32
 *                  slots, n_slots times n_params float32
 *
 * Pure: no files, no communicator.
 */
#ifndef FR_CHECKPOINT_FORMAT_H
#define FR_CHECKPOINT_FORMAT_H

#include <ferrule/trainer.h>

#define FR_CHECKPOINT_VERSION      1
#define FR_CHECKPOINT_HEADER_BYTES 112

/* A decoded checkpoint; pointers lead into the decoded bytes. */
struct fr_checkpoint_view {
	uint64_t seed, epoch, batch;
	double metrics[FERRULE_CHECKPOINT_METRICS];
	uint64_t optimizer_steps;
	enum ferrule_optimizer_kind kind;
	int n_slots;
	int n_ranks;
	size_t n_params;
	const char *config; /* not NUL-terminated */
	size_t config_bytes;
	const unsigned char *numbers; /* params, then the slots */
};

/* fr_checkpoint_bytes - size of the file that holds `c`. */
size_t fr_checkpoint_bytes(const struct ferrule_checkpoint *c);
/* fr_checkpoint_encode - writes fr_checkpoint_bytes(c) bytes to `out`. */
void fr_checkpoint_encode(const struct ferrule_checkpoint *c, int n_ranks, unsigned char *out);
/* fr_checkpoint_decode - FERRULE_ERR_ARGUMENT with a text unless all of it is sound. */
ferrule_status_t fr_checkpoint_decode(const unsigned char *bytes, size_t n,
                                      struct fr_checkpoint_view *view_out);
/* fr_checkpoint_match - does the view fit into `c`?  Else FERRULE_ERR_ARGUMENT with both. */
ferrule_status_t fr_checkpoint_match(const struct fr_checkpoint_view *view,
                                     const struct ferrule_checkpoint *c);
/* fr_checkpoint_apply - fills `c` and its optimizer from a view that matches. */
void fr_checkpoint_apply(const struct fr_checkpoint_view *view, struct ferrule_checkpoint *c);

#endif
