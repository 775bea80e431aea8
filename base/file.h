/*
 * Files, read with a bound and written so that a crash leaves the old content or the new, never
 * half of it.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Reads a whole file of at most out->max bytes into out. E_IO, with the path. "-" is not special.
 */
bool file_read(const char *path, struct buf *out, struct err *err) NODISCARD;

/*
 * Reads a secret. The file must be a regular file (or a pipe) that belongs to us or to root and
 * that neither group nor others can access; E_IO otherwise, and the message says which chmod mends
 * it. One final line end is dropped.
 */
bool file_read_secret(const char *path, struct secret *out, struct err *err) NODISCARD;

/* As file_read_secret(), for systemd's credentials: what the service's user may read is an access
 * list there, which shows as the group's permission to read. */
bool file_read_credential(const char *path, struct secret *out, struct err *err) NODISCARD;

/* Reads a secret from an open descriptor up to its end; one final line end is dropped. The fd stays
 * open. */
bool file_read_secret_fd(int fd, struct secret *out, struct err *err) NODISCARD;

/*
 * Replaces a file: temporary file beside it, written, synced, renamed, directory synced. An
 * existing symbolic link to a file is replaced, not followed. What is no file (terminal, pipe,
 * /dev/null) is written to. E_IO, with the path.
 */
bool file_write_atomic(const char *path, const void *data, size_t len, mode_t mode,
                       struct err *err) NODISCARD;

/*
 * Replaces the content of a file that is there, likewise; it keeps its mode, owner and group. A
 * symbolic link is not followed. E_IO, also where the owner cannot be kept.
 */
bool file_rewrite(const char *path, const void *data, size_t len, struct err *err) NODISCARD;

/* Syncs a file, gives it another name in the same directory, and syncs that. What has the name
 * already is replaced, or unless `over` left alone: E_OBJECT_EXISTS. What is no regular file is
 * left alone always: E_IO. */
bool file_put_in_place(const char *temp, const char *path, bool over, struct err *err) NODISCARD;

/* Makes a directory and its parents (mode 0700, existing ones are left alone). E_IO. */
bool file_make_private_dir(const char *path, struct err *err) NODISCARD;

/* Joins with one '/'; free() it. NULL when out of memory. */
char *file_join(const char *dir, const char *name) NODISCARD;

/* True if something exists at the path. */
bool file_exists(const char *path);

#endif
