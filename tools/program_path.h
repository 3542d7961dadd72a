/* program_path.h - finding programs as a shell would. */
#ifndef FR_PROGRAM_PATH_H
#define FR_PROGRAM_PATH_H

#include <stdbool.h>
#include <stddef.h>

/* fr_is_executable - is `path` a regular file that this user may execute? */
bool fr_is_executable(const char *path);
/* fr_program_find - searches PATH for `name`, which has no slash; false when it is not there. */
bool fr_program_find(const char *name, char *path, size_t n);

#endif
