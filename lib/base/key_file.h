/*
 * key_file.h - a fresh key for processes of one user on one host, where no launcher gave one.
 *
 * One process publishes a random key in a file of mode 0600, in a folder that belongs to this
 * user and nobody else can look into: $XDG_RUNTIME_DIR, /run/user/UID, or one made in /dev/shm or
 * /tmp.  It holds a lock on the file while the others may come and removes it then, so a file that
 * nobody locks is one that a killed process left: readers do not take it, and it is replaced or
 * swept.  Who can read the file could also trace the process.
 */
#ifndef FR_KEY_FILE_H
#define FR_KEY_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/auth.h"

#define FR_KEY_FILE_PATH_BYTES 160

struct fr_key_file {
	int fd;                            /* locked; -1: none */
	char path[FR_KEY_FILE_PATH_BYTES]; /* of the file */
	bool owns_folder;                  /* was it made for such files? */
};

/* What no file is yet. */
#define FR_KEY_FILE_NONE \
	{                \
		.fd = -1 \
	}

/* fr_key_file_publish - a new random key under a name that both sides derive from `purpose` (and
 * their network).  False: no folder will do, and `why` says what is wrong with each. */
bool fr_key_file_publish(struct fr_key_file *f, const char *purpose,
                         unsigned char key_out[FR_AUTH_KEY_BYTES], char *why, size_t why_bytes);
/* fr_key_file_read - the key that somebody publishes now; false when nobody does. */
bool fr_key_file_read(const char *purpose, unsigned char key_out[FR_AUTH_KEY_BYTES]);
/* fr_key_file_remove - nobody else is to come; none is a no-op. */
void fr_key_file_remove(struct fr_key_file *f);
/* fr_key_file_folders - where such files may lie, for people; returns buf. */
char *fr_key_file_folders(char *buf, size_t bytes);

#endif
