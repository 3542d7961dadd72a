/*
 * t_elements.h - elements of every type as doubles, and a plain oracle for reductions.
 *
 * Inputs are small whole numbers, chosen so that every sum and product of at most eight ranks
 * is exact in every type, in any order; so results can be compared bit for bit with an oracle
 * that knows nothing of algorithms.
 */
#ifndef T_ELEMENTS_H
#define T_ELEMENTS_H

#include <stddef.h>

#include <ferrule/types.h>

/* t_put, t_get - element i of a buffer. */
void t_put(void *buf, ferrule_type_t type, size_t i, double value);
double t_get(const void *buf, ferrule_type_t type, size_t i);

/* t_input - what rank r has at element i for a call of this kind. */
double t_input(int rank, size_t i, ferrule_redop_t op);
/* t_factor - the scalar of rank r's pre-multiplied sum. */
double t_factor(int rank);
/* t_expected - the combination of all n ranks' inputs at element i, as `type` holds it. */
double t_expected(int n, size_t i, ferrule_type_t type, ferrule_redop_t op);

#endif
