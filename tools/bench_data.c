#include "tools/bench_data.h"

#include <stdbool.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide_t;

/* A floating point type, and which exact values are drawn for it. */
struct float_format {
	int fraction_bits; /* stored bits of the significand */
	int bias;
	/* Sums are integers times 2^e, e in [e_low, e_high]: normal numbers, never too large. */
	int e_low, e_high;
	/* Products stay in 2^-product_e to 2^(product_e + 1). */
	int product_e;
};

static const struct float_format formats[FERRULE_N_TYPES] = {
	[FERRULE_FP8_E4M3] = {3, 7, -6, 4, 6},
	[FERRULE_FP8_E5M2] = {2, 15, -14, 12, 14},
	[FERRULE_FLOAT16] = {10, 15, -14, 4, 14},
	[FERRULE_BFLOAT16] = {7, 127, -60, 60, 120},
	[FERRULE_FLOAT32] = {23, 127, -60, 60, 120},
	[FERRULE_FLOAT64] = {52, 1023, -500, 500, 1000},
};

/* The exact number m * 2^e. */
struct exact {
	int64_t m;
	int e;
};

/* What one fill or check needs to know, worked out once. */
struct plan {
	struct fr_bench_data data;
	size_t bytes; /* an element */
	bool is_float, is_signed;
	struct float_format format;
	int64_t largest; /* integers up to here are exact in a float type */
	int64_t cap;     /* largest |m| of one rank; 0: only some ranks contribute */
	int product_cap; /* largest |exponent| of one rank's factor; 0: only some contribute */
};

/* The finalizer of splitmix64: every bit of the input changes half of the output. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* Drawn alike on all ranks. */
static uint64_t common_draw(const struct plan *p, uint64_t i)
{
	return mix(i * UINT64_C(0x9e3779b97f4a7c15) +
	           p->data.repetition * UINT64_C(0xd1b54a32d192ed03) + 1);
}

static uint64_t rank_draw(uint64_t common, int rank)
{
	return mix(common + ((uint64_t)rank + 1) * UINT64_C(0xa0761d6478bd642f));
}

/* Maps a draw to [0, n). */
static uint64_t below(uint64_t draw, uint64_t n)
{
	return (uint64_t)(((wide_t)draw * n) >> 64);
}

/* Maps a draw to [-cap, cap]. */
static int64_t around_zero(uint64_t draw, int64_t cap)
{
	return (int64_t)below(draw, 2 * (uint64_t)cap + 1) - cap;
}

static bool is_signed_type(ferrule_type_t type)
{
	return type == FERRULE_INT8 || type == FERRULE_INT16 || type == FERRULE_INT32 ||
	       type == FERRULE_INT64;
}

static struct plan make_plan(const struct fr_bench_data *d)
{
	struct plan p = {.data = *d, .bytes = ferrule_type_bytes(d->type)};

	p.format = formats[d->type];
	p.is_float = p.format.bias != 0;
	p.is_signed = is_signed_type(d->type);
	p.largest = INT64_C(1) << (p.format.fraction_bits + 1);
	p.cap = p.largest / d->n_ranks;
	p.product_cap = p.format.product_e / d->n_ranks;
	return p;
}

/* Where more ranks than the type can count would add up, these many have turns. */
static bool has_turn(const struct plan *p, uint64_t common, int rank, int64_t n_turns)
{
	const uint64_t n = (uint64_t)p->data.n_ranks;
	return ((uint64_t)rank + below(mix(common), n)) % n < (uint64_t)n_turns;
}

static int64_t sum_term(const struct plan *p, uint64_t common, int rank)
{
	const uint64_t draw = rank_draw(common, rank);
	if (p->cap)
		return around_zero(draw, p->cap);
	return has_turn(p, common, rank, p->largest) ? around_zero(draw, 1) : 0;
}

/* k plus something that its neighbour takes away again: the sum is n * k. */
static int64_t avg_term(const struct plan *p, uint64_t common, int rank)
{
	if (!p->cap)
		return sum_term(p, common, rank);
	const int64_t k = around_zero(mix(common + 1), p->cap - p->cap / 2);
	const int64_t room = p->cap - (k < 0 ? -k : k);
	const bool has_neighbour = (rank | 1) < p->data.n_ranks;
	const int64_t shift = has_neighbour ? around_zero(rank_draw(common, rank | 1), room) : 0;
	return rank & 1 ? k - shift : k + shift;
}

static struct exact factor(const struct plan *p, uint64_t common, int rank)
{
	const uint64_t draw = rank_draw(common, rank);
	const int fraction_bits = p->format.fraction_bits;
	struct exact x = {.m = 1, .e = 0};

	if (p->product_cap)
		x.e = (int)around_zero(draw, p->product_cap);
	else if (has_turn(p, common, rank, p->format.product_e))
		x.e = (int)around_zero(draw, 1);
	if (rank == (int)below(mix(common + 2), (uint64_t)p->data.n_ranks)) {
		x.m = (INT64_C(1) << fraction_bits) +
		      (int64_t)below(mix(draw), UINT64_C(1) << fraction_bits);
		x.e -= fraction_bits;
	}
	if (draw & 1)
		x.m = -x.m;
	return x;
}

static int common_exponent(const struct plan *p, uint64_t common)
{
	const int n = p->format.e_high - p->format.e_low + 1;
	return p->format.e_low + (int)below(mix(common + 3), (uint64_t)n);
}

/* What `rank` contributes to element i. */
static struct exact float_term(const struct plan *p, uint64_t common, int rank)
{
	struct exact x = {.m = 0, .e = 0};

	if (p->data.op == FERRULE_PROD)
		return factor(p, common, rank);
	x.e = common_exponent(p, common);
	if (p->data.op == FERRULE_SUM)
		x.m = sum_term(p, common, rank);
	else if (p->data.op == FERRULE_AVG)
		x.m = avg_term(p, common, rank);
	else
		x.m = around_zero(rank_draw(common, rank), p->largest);
	return x;
}

static struct exact combine(ferrule_redop_t op, struct exact a, struct exact b)
{
	switch (op) {
	case FERRULE_PROD:
		return (struct exact){.m = a.m * b.m, .e = a.e + b.e};
	case FERRULE_MIN:
		return a.m < b.m ? a : b;
	case FERRULE_MAX:
		return a.m > b.m ? a : b;
	default:
		return (struct exact){.m = a.m + b.m, .e = a.e};
	}
}

/* sum / n: exact where it can be, else cut off behind the type's last bit. */
static struct exact divide(const struct plan *p, struct exact sum)
{
	const int64_t n = p->data.n_ranks;
	if (sum.m % n == 0)
		return (struct exact){.m = sum.m / n, .e = sum.e};
	struct exact q = {.m = sum.m * (INT64_C(1) << 40) / n, .e = sum.e - 40};
	while (q.m >= p->largest || q.m <= -p->largest) {
		q.m /= 2;
		q.e++;
	}
	return q;
}

static struct exact float_result(const struct plan *p, uint64_t i)
{
	const uint64_t common = common_draw(p, i);
	struct exact result = float_term(p, common, 0);

	for (int rank = 1; rank < p->data.n_ranks; rank++)
		result = combine(p->data.op, result, float_term(p, common, rank));
	return p->data.op == FERRULE_AVG ? divide(p, result) : result;
}

/* The bits of a number that the type holds exactly; below its normal numbers, where only averages
 * with a tolerance get to, what does not fit is cut off. */
static uint64_t encode(const struct plan *p, struct exact x)
{
	if (x.m == 0)
		return 0;
	const struct float_format *const f = &p->format;
	const uint64_t magnitude = x.m < 0 ? -(uint64_t)x.m : (uint64_t)x.m;
	const int top = 63 - __builtin_clzll(magnitude);
	const uint64_t below_top = magnitude ^ (UINT64_C(1) << top);
	const int shift = f->fraction_bits - top;
	const uint64_t fraction = shift >= 0 ? below_top << shift : below_top >> -shift;
	const int exponent = x.e + top + f->bias;
	const uint64_t sign = (uint64_t)(x.m < 0) << (8 * p->bytes - 1);
	if (exponent > 0)
		return sign | (uint64_t)exponent << f->fraction_bits | fraction;
	if (exponent < -f->fraction_bits)
		return sign;
	return sign | (fraction | UINT64_C(1) << f->fraction_bits) >> (1 - exponent);
}

static uint64_t truncate_to(uint64_t bits, size_t bytes)
{
	return bytes == 8 ? bits : bits & ((UINT64_C(1) << (8 * bytes)) - 1);
}

static int64_t sign_extend(uint64_t bits, size_t bytes)
{
	const int unused = 64 - 8 * (int)bytes;
	return (int64_t)(bits << unused) >> unused;
}

static bool is_less(const struct plan *p, uint64_t a, uint64_t b)
{
	if (p->is_signed)
		return sign_extend(a, p->bytes) < sign_extend(b, p->bytes);
	return a < b;
}

static uint64_t int_term(const struct plan *p, uint64_t common, int rank)
{
	return truncate_to(rank_draw(common, rank), p->bytes);
}

static uint64_t int_combine(const struct plan *p, uint64_t a, uint64_t b)
{
	switch (p->data.op) {
	case FERRULE_PROD:
		return a * b;
	case FERRULE_MIN:
		return is_less(p, b, a) ? b : a;
	case FERRULE_MAX:
		return is_less(p, a, b) ? b : a;
	default:
		return a + b;
	}
}

static uint64_t int_result(const struct plan *p, uint64_t i)
{
	const uint64_t common = common_draw(p, i);
	uint64_t result = int_term(p, common, 0);

	for (int rank = 1; rank < p->data.n_ranks; rank++)
		result = int_combine(p, result, int_term(p, common, rank));
	result = truncate_to(result, p->bytes);
	if (p->data.op != FERRULE_AVG)
		return result;
	if (p->is_signed)
		return truncate_to((uint64_t)(sign_extend(result, p->bytes) / p->data.n_ranks),
		                   p->bytes);
	return result / (uint64_t)p->data.n_ranks;
}

static uint64_t load(const void *from, size_t i, size_t bytes)
{
	uint64_t bits = 0;
	memcpy(&bits, (const char *)from + i * bytes, bytes);
	return bits;
}

/* Little-endian, as every machine that Ferrule's kernels know. */
static void store(void *to, size_t i, size_t bytes, uint64_t bits)
{
	memcpy((char *)to + i * bytes, &bits, bytes);
}

void fr_bench_fill(const struct fr_bench_data *d, int rank, uint64_t first, size_t count, void *out)
{
	const struct plan p = make_plan(d);

	for (size_t i = 0; i < count; i++) {
		const uint64_t common = common_draw(&p, first + i);
		const uint64_t bits = p.is_float ? encode(&p, float_term(&p, common, rank))
		                                 : int_term(&p, common, rank);
		store(out, i, p.bytes, bits);
	}
}

void fr_bench_fill_bytes(const struct fr_bench_data *d, int rank, uint64_t first, size_t count,
                         void *out)
{
	const struct plan p = make_plan(d);

	for (size_t i = 0; i < count; i++)
		store(out, i, p.bytes, int_term(&p, common_draw(&p, first + i), rank));
}

/* Averages that need rounding may end one bit off; see the header. */
static uint64_t tolerance(const struct plan *p)
{
	if (!p->is_float || p->data.op != FERRULE_AVG)
		return 0;
	return p->data.type == FERRULE_FLOAT64 || p->cap == 0;
}

static bool is_near(uint64_t a, uint64_t b, uint64_t distance)
{
	return (a > b ? a - b : b - a) <= distance;
}

size_t fr_bench_check_reduced(const struct fr_bench_data *d, uint64_t first, size_t count,
                              const void *got)
{
	const struct plan p = make_plan(d);
	const uint64_t allowed = tolerance(&p);
	size_t n_wrong = 0;

	for (size_t i = 0; i < count; i++) {
		const uint64_t want = p.is_float ? encode(&p, float_result(&p, first + i))
		                                 : int_result(&p, first + i);
		n_wrong += !is_near(want, load(got, i, p.bytes), allowed);
	}
	return n_wrong;
}

size_t fr_bench_check_bytes(const struct fr_bench_data *d, int rank, uint64_t first, size_t count,
                            const void *got)
{
	const struct plan p = make_plan(d);
	size_t n_wrong = 0;

	for (size_t i = 0; i < count; i++)
		n_wrong += int_term(&p, common_draw(&p, first + i), rank) != load(got, i, p.bytes);
	return n_wrong;
}
