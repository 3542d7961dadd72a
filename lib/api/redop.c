/* Operators made by the user. */
#include "config.h"

#include <ferrule/coll.h>

#include <string.h>

#include "kernels/small_float.h"
#include "lib/api/check.h"
#include "lib/base/error.h"
#include "lib/comm/handle.h"

/* A scalar of a small float type. */
static double small_scalar(const void *scalar, ferrule_type_t type)
{
	uint16_t half = 0;
	uint8_t byte = 0;

	if (ferrule_type_bytes(type) == sizeof(half))
		memcpy(&half, scalar, sizeof(half));
	else
		memcpy(&byte, scalar, sizeof(byte));
	switch (type) {
	case FERRULE_FLOAT16:
		return (double)fr_small_to_float(FR_FORMAT_HALF, half);
	case FERRULE_BFLOAT16:
		return (double)fr_float_from_bits((uint32_t)half << 16);
	case FERRULE_FP8_E4M3:
		return (double)fr_small_to_float(FR_FORMAT_E4M3, byte);
	default:
		return (double)fr_small_to_float(FR_FORMAT_E5M2, byte);
	}
}

/* An integer scalar, sign-extended from its own width; unsigned ones are masked again below. */
static int64_t signed_scalar(const void *scalar, size_t bytes)
{
	int8_t i8;
	int16_t i16;
	int32_t i32;
	int64_t i64;

	switch (bytes) {
	case sizeof(i8):
		memcpy(&i8, scalar, sizeof(i8));
		return i8;
	case sizeof(i16):
		memcpy(&i16, scalar, sizeof(i16));
		return i16;
	case sizeof(i32):
		memcpy(&i32, scalar, sizeof(i32));
		return i32;
	default:
		memcpy(&i64, scalar, sizeof(i64));
		return i64;
	}
}

static uint64_t unsigned_scalar(const void *scalar, size_t bytes)
{
	const uint64_t mask = bytes < 8 ? (UINT64_C(1) << (8 * bytes)) - 1 : UINT64_MAX;

	return (uint64_t)signed_scalar(scalar, bytes) & mask;
}

/* Whole numbers that a double cannot hold would be applied as others than were given. */
static ferrule_status_t check_exact(uint64_t magnitude, bool negative)
{
	const double rounded = (double)magnitude;

	if (rounded < 0x1p64 && (uint64_t)rounded == magnitude)
		return FERRULE_OK;
	return fr_error(
		FERRULE_ERR_ARGUMENT,
		"scalar: %s%llu, must be a whole number that a double holds exactly, as all up "
		"to 2^53 are",
		negative ? "-" : "", (unsigned long long)magnitude);
}

static ferrule_status_t scalar_to_double(const void *scalar, ferrule_type_t type, double *out)
{
	const size_t bytes = ferrule_type_bytes(type);
	float single;
	int64_t whole;
	uint64_t natural;

	switch (type) {
	case FERRULE_INT8:
	case FERRULE_INT16:
	case FERRULE_INT32:
	case FERRULE_INT64:
		whole = signed_scalar(scalar, bytes);
		*out = (double)whole;
		return check_exact(whole < 0 ? 0 - (uint64_t)whole : (uint64_t)whole, whole < 0);
	case FERRULE_UINT8:
	case FERRULE_UINT16:
	case FERRULE_UINT32:
	case FERRULE_UINT64:
		natural = unsigned_scalar(scalar, bytes);
		*out = (double)natural;
		return check_exact(natural, false);
	case FERRULE_FLOAT64:
		memcpy(out, scalar, sizeof(*out));
		return FERRULE_OK;
	case FERRULE_FLOAT32:
		memcpy(&single, scalar, sizeof(single));
		*out = (double)single;
		return FERRULE_OK;
	default:
		*out = small_scalar(scalar, type);
		return FERRULE_OK;
	}
}

static ferrule_status_t create(struct ferrule_comm *c, ferrule_type_t type, double factor,
                               ferrule_redop_t *op_out)
{
	int at = 0;

	if (!fr_comm_is_ready(c))
		return fr_comm_not_ready(c);
	while (at < FR_MAX_PREMULS && c->premuls[at].live)
		at++;
	if (at == FR_MAX_PREMULS)
		return fr_comm_refuse(
			c,
			fr_error(
				FERRULE_ERR_NO_MEMORY,
				"op_out: %d operators exist already, at most that many are allowed "
				"at a time",
				FR_MAX_PREMULS));
	c->premuls[at] = (struct fr_premul){.live = true, .type = type, .factor = factor};
	*op_out = FERRULE_N_REDOPS + at;
	return FERRULE_OK;
}

ferrule_status_t ferrule_redop_create_premul_sum(ferrule_comm_t comm, const void *scalar,
                                                 ferrule_type_t type, ferrule_redop_t *op_out)
{
	struct ferrule_comm *c;
	double factor;

	if (!scalar)
		return fr_error(FERRULE_ERR_ARGUMENT, "scalar: NULL, must point to one element");
	if (!op_out)
		return fr_no_output("op_out");
	if (ferrule_type_bytes(type) == 0)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "type: %d, must be FERRULE_INT8 (0) to FERRULE_FP8_E5M2 (%d)",
		                (int)type, FERRULE_N_TYPES - 1);
	ferrule_status_t status = scalar_to_double(scalar, type, &factor);

	if (status == FERRULE_OK)
		status = fr_comm_enter(comm, &c);
	if (status != FERRULE_OK)
		return status;
	status = create(c, type, factor, op_out);
	fr_comm_leave(c);
	return status;
}

/* Persistent operations may still hold a shape of the operator, which would then run with
 * whatever operator comes to stand in its place. */
static bool is_held(const struct ferrule_comm *c, ferrule_redop_t op)
{
	for (int b = 0; b < FR_SHAPE_BUCKETS; b++)
		for (const struct fr_shape *s = c->shapes.buckets[b]; s; s = s->next)
			if (s->is_premul && s->op == op && s->in_use > 0)
				return true;
	return false;
}

static ferrule_status_t destroy(struct ferrule_comm *c, ferrule_redop_t op)
{
	const int made = op - FERRULE_N_REDOPS;

	if (made < 0 || made >= FR_MAX_PREMULS || !c->premuls[made].live)
		return fr_error(FERRULE_ERR_ARGUMENT,
		                "op: %d, must be an operator made for this communicator", op);
	if (is_held(c, op))
		return fr_error(FERRULE_ERR_BUSY,
		                "op: %d is used by an operation that was not destroyed yet", op);
	c->premuls[made].live = false;
	fr_shape_forget_op(&c->shapes, op);
	return FERRULE_OK;
}

ferrule_status_t ferrule_redop_destroy(ferrule_comm_t comm, ferrule_redop_t op)
{
	struct ferrule_comm *c;
	ferrule_status_t status = fr_comm_enter(comm, &c);

	if (status != FERRULE_OK)
		return status;
	status = destroy(c, op);
	if (status != FERRULE_OK)
		fr_comm_refuse(c, status);
	fr_comm_leave(c);
	return status;
}
