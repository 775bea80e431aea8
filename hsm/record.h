/*
 * Small files of "name=value" lines in the program's state directory: what hsm remembers across
 * processes. Private, and replaced as a whole.
 */
#ifndef HSM_RECORD_H
#define HSM_RECORD_H

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* The path of DIR/folder/HASH.suffix, with the hash of the parts (NULL counts as ""), because
 * labels and serials may be anything. free() it; NULL without a state directory and when out of
 * memory. */
char *hsm_record_path(const char *folder, const char *const parts[], size_t count,
                      const char *suffix) NODISCARD;

/* Calls take for each line; nothing happens if there is no file. E_IO. */
typedef void hsm_record_line_fn(void *ctx, const char *name, const char *value);
bool hsm_record_read(const char *path, hsm_record_line_fn *take, void *ctx, bool *found,
                     struct err *err) NODISCARD;

/* Appends a line; control characters become '?'. */
void hsm_record_add(struct buf *out, const char *name, const char *value);

/* Writes the file, and makes its folder if there is none. E_IO. */
bool hsm_record_write(const char *path, const char *folder, const struct buf *text,
                      struct err *err) NODISCARD;

/* Removes the file if there is one; what goes wrong is logged. */
void hsm_record_remove(const char *path);

enum { HSM_RECORD_MAX = 4096 };

#endif
