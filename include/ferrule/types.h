/* Element types, reduction operators and handles. */
#ifndef FERRULE_TYPES_H
#define FERRULE_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Element types: code, number, name as tools print and parse it, bytes an element. */
#define FERRULE_TYPE_MAP(X)                                                         \
	X(INT8, 0, "int8", 1)                                                       \
	X(UINT8, 1, "uint8", 1)                                                     \
	X(INT16, 2, "int16", 2)                                                     \
	X(UINT16, 3, "uint16", 2)                                                   \
	X(INT32, 4, "int32", 4)                                                     \
	X(UINT32, 5, "uint32", 4)                                                   \
	X(INT64, 6, "int64", 8)                                                     \
	X(UINT64, 7, "uint64", 8)                                                   \
	X(FLOAT16, 8, "half", 2)      /* IEEE 754 binary16 */                       \
	X(BFLOAT16, 9, "bfloat16", 2) /* upper half of binary32 */                  \
	X(FLOAT32, 10, "float", 4)                                                  \
	X(FLOAT64, 11, "double", 8)                                                 \
	X(FP8_E4M3, 12, "f8e4m3", 1) /* OCP OFP8: no infinity, NaN is S.1111.111 */ \
	X(FP8_E5M2, 13, "f8e5m2", 1) /* OCP OFP8: IEEE-like, with infinities */

typedef enum ferrule_type {
#define FERRULE_TYPE_ENUM(code, number, name, bytes) FERRULE_##code = number,
	FERRULE_TYPE_MAP(FERRULE_TYPE_ENUM)
#undef FERRULE_TYPE_ENUM
} ferrule_type_t;
#define FERRULE_N_TYPES 14

/* Reduction operators: code, number, name as tools print and parse it. */
#define FERRULE_REDOP_MAP(X) \
	X(SUM, 0, "sum")     \
	X(PROD, 1, "prod")   \
	X(MIN, 2, "min")     \
	X(MAX, 3, "max")     \
	X(AVG, 4, "avg") /* the sum divided by the number of ranks; integers truncate */

enum ferrule_redop {
#define FERRULE_REDOP_ENUM(code, number, name) FERRULE_##code = number,
	FERRULE_REDOP_MAP(FERRULE_REDOP_ENUM)
#undef FERRULE_REDOP_ENUM
};
#define FERRULE_N_REDOPS 5

/*
 * At the limits of a type.  Sums and products are rounded to the type itself before they go on to
 * another rank or are divided, whatever is computed with inside:
 *
 *   integers            wrap (two's complement)
 *   half, bfloat16, float, double, f8e5m2
 *                       become infinite
 *   f8e4m3              stays at +-448, its largest number
 *
 * AVG divides the sum, so it is wrong where the sum is: 448 and 448 of f8e4m3 average to 224, 100
 * and 100 of int8 to -28.  Where sums may pass the limit, scale before they are made: with an
 * operator of ferrule_redop_create_premul_sum() and the factor one over the number of ranks.  For
 * integers that truncates every rank's share.
 */

/* A built-in operator above, or one made by ferrule_redop_create_premul_sum(). */
typedef int ferrule_redop_t;

/* An ordered group of ranks that communicate.  See ferrule/comm.h. */
typedef struct ferrule_comm *ferrule_comm_t;
/* A started or persistent operation.  See ferrule/coll.h. */
typedef struct ferrule_op *ferrule_op_t;

/* ferrule_type_bytes - bytes of one element, 0 for a value that is no type. */
size_t ferrule_type_bytes(ferrule_type_t type);
/* ferrule_type_name - the table's name, "unknown" for a value that is no type. */
const char *ferrule_type_name(ferrule_type_t type);
/* ferrule_redop_name - the table's name, "premulsum" for made operators. */
const char *ferrule_redop_name(ferrule_redop_t op);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
