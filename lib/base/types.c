/* types.c - names and sizes of element types and operators. */
#include "config.h"

#include <ferrule/types.h>

size_t ferrule_type_bytes(ferrule_type_t type)
{
	switch (type) {
#define TYPE_BYTES(code, number, name, bytes) \
	case FERRULE_##code:                  \
		return bytes;
		FERRULE_TYPE_MAP(TYPE_BYTES)
#undef TYPE_BYTES
	}
	return 0;
}

const char *ferrule_type_name(ferrule_type_t type)
{
	switch (type) {
#define TYPE_NAME(code, number, name, bytes) \
	case FERRULE_##code:                 \
		return name;
		FERRULE_TYPE_MAP(TYPE_NAME)
#undef TYPE_NAME
	}
	return "unknown";
}

const char *ferrule_redop_name(ferrule_redop_t op)
{
	switch (op) {
#define REDOP_NAME(code, number, name) \
	case FERRULE_##code:           \
		return name;
		FERRULE_REDOP_MAP(REDOP_NAME)
#undef REDOP_NAME
	}
	/* Every number past the table is an operator that the user made. */
	return op >= FERRULE_N_REDOPS ? "premulsum" : "unknown";
}
