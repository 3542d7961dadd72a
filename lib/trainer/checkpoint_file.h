/* checkpoint_file.h - a checkpoint's bytes on disk: whole, or not there. */
#ifndef FR_CHECKPOINT_FILE_H
#define FR_CHECKPOINT_FILE_H

#include <stddef.h>

#include <ferrule/status.h>

/*
 * fr_checkpoint_write - makes `path` a file of these bytes, at once: whoever looks, and whatever
 * happens meanwhile, finds what was there before or all of it, on disk.
 *
 * Symbolic links are followed to the file that they lead to, which need not exist yet.  A file that
 * is replaced hands its permissions on, and its owner as far as that is allowed.  What is no
 * regular file, or is write-protected, is refused.  Temporary files that writers have left behind
 * who died are removed from the folder.
 */
ferrule_status_t fr_checkpoint_write(const char *path, const unsigned char *bytes, size_t n);

/* fr_checkpoint_read - the whole file in fresh memory, which the caller frees. */
ferrule_status_t fr_checkpoint_read(const char *path, unsigned char **bytes_out, size_t *n_out);

#endif
