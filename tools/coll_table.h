/*
 * coll_table.h - the collectives as tools name, count and call them.
 *
 * `bytes` of a call is what nccl-tests means: all of the larger buffer.  From it follow the
 * elements a block has, as the API counts them.
 */
#ifndef FR_COLL_TABLE_H
#define FR_COLL_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include <ferrule/ferrule.h>

/* The buffers and constants of one call. */
struct fr_coll_call {
	ferrule_comm_t comm;
	const void *send;
	void *recv;
	size_t count; /* as the API counts them */
	ferrule_type_t type;
	ferrule_redop_t op;
	int root;
};

/* Which bytes hold what, in blocks of `count` elements. */
enum fr_coll_shape {
	FR_SHAPE_ONE,  /* one block on every rank */
	FR_SHAPE_ALL,  /* one block for each rank */
	FR_SHAPE_NONE, /* no data */
};

struct fr_coll {
	const char *name;
	ferrule_status_t (*call)(const struct fr_coll_call *c);
	enum fr_coll_shape send_shape, recv_shape;
	bool has_op;
	bool has_root;
	bool recv_at_root_only, send_at_root_only;
	bool has_in_place;
	/* Bus bandwidth over algorithm bandwidth for n ranks, as nccl-tests defines it. */
	double (*bus_factor)(int n_ranks);
};

/* fr_coll_find - NULL when there is none of that name. */
const struct fr_coll *fr_coll_find(const char *name);
/* fr_coll_at - the i-th, NULL past the last. */
const struct fr_coll *fr_coll_at(int i);
/* Names separated by |, for option tables. */
#define FR_COLL_NAMES                                                                           \
	"allreduce|allgather|reduce_scatter|broadcast|reduce|alltoall|gather|scatter|sendrecv|" \
	"barrier"

/* fr_coll_count - elements a block, for a call of `bytes`; at least one unless bytes is 0. */
size_t fr_coll_count(const struct fr_coll *coll, size_t bytes, ferrule_type_t type, int n_ranks);
/* fr_coll_bytes - the bytes that `count` elements a block really are. */
size_t fr_coll_bytes(const struct fr_coll *coll, size_t count, ferrule_type_t type, int n_ranks);
/* fr_coll_send_count, fr_coll_recv_count - elements of the buffers of one rank, 0 for a buffer
 * that it does not use. */
size_t fr_coll_send_count(const struct fr_coll *coll, size_t count, int rank, int n_ranks,
                          int root);
size_t fr_coll_recv_count(const struct fr_coll *coll, size_t count, int rank, int n_ranks,
                          int root);
/* fr_coll_in_place_offset - elements between the start of the larger buffer and this rank's own
 * block in it, for a call in place. */
size_t fr_coll_in_place_offset(const struct fr_coll *coll, size_t count, int rank);

/* fr_type_by_name, fr_redop_by_name - false when there is none. */
bool fr_type_by_name(const char *name, ferrule_type_t *type_out);
bool fr_redop_by_name(const char *name, ferrule_redop_t *op_out);
/* Names separated by |, for option tables. */
#define FR_TYPE_WORD(code, number, name, bytes) name "|"
#define FR_TYPE_NAMES                           FERRULE_TYPE_MAP(FR_TYPE_WORD) FR_TYPE_ALIASES "all"
#define FR_TYPE_ALIASES                         "float16|float32|float64|"

#define FR_REDOP_WORD(code, number, name) name "|"
#define FR_REDOP_NAMES                    FERRULE_REDOP_MAP(FR_REDOP_WORD) "all"

#endif
