#include "config.h"

#include "tests/api/t_elements.h"

#include <stdint.h>
#include <string.h>

#include "kernels/small_float.h"

#define PUT(ctype)                            \
	do {                                  \
		const ctype x = (ctype)value; \
		memcpy(at, &x, sizeof(x));    \
	} while (0)
#define GET(ctype)                         \
	do {                               \
		ctype x;                   \
		memcpy(&x, at, sizeof(x)); \
		value = (double)x;         \
	} while (0)

static void put_small(unsigned char *at, ferrule_type_t type, double value)
{
	const float x = (float)value;
	const uint16_t half = (uint16_t)fr_small_from_float(FR_FORMAT_HALF, x);
	const uint16_t brain = (uint16_t)(fr_float_bits(x) >> 16);
	const uint8_t e4m3 = (uint8_t)fr_small_from_float(FR_FORMAT_E4M3, x);
	const uint8_t e5m2 = (uint8_t)fr_small_from_float(FR_FORMAT_E5M2, x);

	if (type == FERRULE_FLOAT16)
		memcpy(at, &half, sizeof(half));
	else if (type == FERRULE_BFLOAT16)
		memcpy(at, &brain, sizeof(brain));
	else
		*at = type == FERRULE_FP8_E4M3 ? e4m3 : e5m2;
}

/* long: one line a type */
void t_put(void *buf, ferrule_type_t type, size_t i, double value)
{
	unsigned char *at = (unsigned char *)buf + i * ferrule_type_bytes(type);

	switch (type) {
	case FERRULE_INT8:
		PUT(int8_t);
		break;
	case FERRULE_UINT8:
		PUT(uint8_t);
		break;
	case FERRULE_INT16:
		PUT(int16_t);
		break;
	case FERRULE_UINT16:
		PUT(uint16_t);
		break;
	case FERRULE_INT32:
		PUT(int32_t);
		break;
	case FERRULE_UINT32:
		PUT(uint32_t);
		break;
	case FERRULE_INT64:
		PUT(int64_t);
		break;
	case FERRULE_UINT64:
		PUT(uint64_t);
		break;
	case FERRULE_FLOAT32:
		PUT(float);
		break;
	case FERRULE_FLOAT64:
		PUT(double);
		break;
	default:
		put_small(at, type, value);
	}
}

static double get_small(const unsigned char *at, ferrule_type_t type)
{
	uint16_t half = 0;

	if (type == FERRULE_FP8_E4M3)
		return (double)fr_small_to_float(FR_FORMAT_E4M3, *at);
	if (type == FERRULE_FP8_E5M2)
		return (double)fr_small_to_float(FR_FORMAT_E5M2, *at);
	memcpy(&half, at, sizeof(half));
	if (type == FERRULE_FLOAT16)
		return (double)fr_small_to_float(FR_FORMAT_HALF, half);
	return (double)fr_float_from_bits((uint32_t)half << 16);
}

/* long: one line a type */
double t_get(const void *buf, ferrule_type_t type, size_t i)
{
	const unsigned char *at = (const unsigned char *)buf + i * ferrule_type_bytes(type);
	double value;

	switch (type) {
	case FERRULE_INT8:
		GET(int8_t);
		break;
	case FERRULE_UINT8:
		GET(uint8_t);
		break;
	case FERRULE_INT16:
		GET(int16_t);
		break;
	case FERRULE_UINT16:
		GET(uint16_t);
		break;
	case FERRULE_INT32:
		GET(int32_t);
		break;
	case FERRULE_UINT32:
		GET(uint32_t);
		break;
	case FERRULE_INT64:
		GET(int64_t);
		break;
	case FERRULE_UINT64:
		GET(uint64_t);
		break;
	case FERRULE_FLOAT32:
		GET(float);
		break;
	case FERRULE_FLOAT64:
		GET(double);
		break;
	default:
		value = get_small(at, type);
	}
	return value;
}

static unsigned draw(int rank, size_t i)
{
	uint64_t x = (uint64_t)i * 0x9e3779b97f4a7c15u + (uint64_t)(rank + 1) * 0xbf58476d1ce4e5b9u;

	return (unsigned)((x ^ x >> 29) * 0x94d049bb133111ebu >> 40);
}

double t_input(int rank, size_t i, ferrule_redop_t op)
{
	const unsigned x = draw(rank, i);

	if (op == FERRULE_PROD)
		return 1 + x % 2; /* 2^8 is exact in all floats, and wraps where it does not fit */
	if (op >= FERRULE_N_REDOPS && rank == 0)
		return 0; /* makes up for rank 1's factor */
	return x % 2;     /* so that eight ranks have at most 8, which all floats hold */
}

double t_factor(int rank)
{
	return rank == 1 ? 2 : 1;
}

static int is_small_float(ferrule_type_t type)
{
	return type == FERRULE_FLOAT16 || type == FERRULE_BFLOAT16 || type == FERRULE_FP8_E4M3 ||
	       type == FERRULE_FP8_E5M2;
}

/* The value as `type` holds it: integers wrap or lose their fraction, floats round. */
static double in_type(ferrule_type_t type, double value)
{
	unsigned char room[8];
	uint32_t bits;

	if (type == FERRULE_BFLOAT16) {
		/* To nearest even, which t_put() does not need to know. */
		bits = fr_float_bits((float)value);
		bits += 0x7fff + (bits >> 16 & 1);
		return (double)fr_float_from_bits(bits & 0xffff0000u);
	}
	if (type == FERRULE_INT8)
		return (double)(int8_t)(uint8_t)(int64_t)value;
	if (type == FERRULE_UINT8)
		return (double)(uint8_t)(int64_t)value;
	if (!is_small_float(type) && type != FERRULE_FLOAT32 && type != FERRULE_FLOAT64)
		return (double)(int64_t)value;
	t_put(room, type, 0, value);
	return t_get(room, type, 0);
}

double t_expected(int n, size_t i, ferrule_type_t type, ferrule_redop_t op)
{
	double value = op == FERRULE_PROD ? 1 : 0;

	for (int r = 0; r < n; r++) {
		const double x = t_input(r, i, op);

		if (op == FERRULE_PROD)
			value *= x;
		else if (op == FERRULE_MIN)
			value = r == 0 || x < value ? x : value;
		else if (op == FERRULE_MAX)
			value = r == 0 || x > value ? x : value;
		else
			value += op >= FERRULE_N_REDOPS ? x * t_factor(r) : x;
	}
	return in_type(type, op == FERRULE_AVG ? value / n : value);
}
