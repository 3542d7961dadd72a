/* status.c - names and texts of status codes. */
#include "config.h"

#include <ferrule/status.h>

const char *ferrule_status_text(ferrule_status_t status)
{
	switch (status) {
#define STATUS_TEXT(code, number, text) \
	case FERRULE_##code:            \
		return text;
		FERRULE_STATUS_MAP(STATUS_TEXT)
#undef STATUS_TEXT
	}
	return "unknown status";
}

const char *ferrule_status_name(ferrule_status_t status)
{
	switch (status) {
#define STATUS_NAME(code, number, text) \
	case FERRULE_##code:            \
		return "FERRULE_" #code;
		FERRULE_STATUS_MAP(STATUS_NAME)
#undef STATUS_NAME
	}
	return "FERRULE_UNKNOWN";
}
