#include "base/file.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void close_fd(int fd)
{
    if (fd >= 0) {
        (void)close(fd);
    }
}

DEFINE_AUTO(fd, int, close_fd)

/* Removes the temporary file of an atomic write that did not get as far as its rename. */
static void unlink_and_free(char *path)
{
    if (path != NULL) {
        (void)unlink(path);
        free(path);
    }
}

DEFINE_AUTO(temp, char *, unlink_and_free)

static int open_read(const char *path)
{
    int fd;

    do {
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

static bool read_all(int fd, const char *path, struct buf *out, struct err *err)
{
    uint8_t chunk[8192];

    for (;;) {
        ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return err_set_errno(err, E_IO, errno, "reading %s", path);
        }
        if (got == 0) {
            break;
        }
        buf_add(out, chunk, (size_t)got);
        if (!buf_ok(out)) {
            return err_set(err, E_IO, "%s is larger than the %zu bytes accepted here", path,
                           out->max);
        }
    }
    return true;
}

bool file_read(const char *path, struct buf *out, struct err *err)
{
    AUTO(fd) int fd = open_read(path);

    if (fd < 0) {
        return err_set_errno(err, E_IO, errno, "opening %s", path);
    }
    return read_all(fd, path, out, err);
}

bool file_read_secret_fd(int fd, struct secret *out, struct err *err)
{
    uint8_t byte[64];
    bool ok = secret_set(out, "", 0, err);

    while (ok) {
        ssize_t got = read(fd, byte, sizeof(byte));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            ok = err_set_errno(err, E_IO, errno, "reading a secret from descriptor %d", fd);
        } else if (got == 0) {
            break;
        } else {
            ok = secret_append(out, byte, (size_t)got, err);
        }
    }
    explicit_bzero(byte, sizeof(byte));
    if (!ok) {
        secret_done(out);
        return false;
    }
    secret_strip_newline(out);
    return true;
}

static bool read_private(const char *path, mode_t forbidden, struct secret *out, struct err *err)
{
    struct stat st;
    AUTO(fd) int fd = open_read(path);

    if (fd < 0) {
        return err_set_errno(err, E_IO, errno, "opening the secret file %s", path);
    }
    if (fstat(fd, &st) != 0) {
        return err_set_errno(err, E_IO, errno, "examining the secret file %s", path);
    }
    if (S_ISREG(st.st_mode)) {
        if ((st.st_mode & forbidden) != 0) {
            return err_set(err, E_IO,
                           "the secret file %s is open to other users (mode %04o); "
                           "'chmod 600 %s' closes it",
                           path, (unsigned)(st.st_mode & 07777), path);
        }
        if (st.st_uid != geteuid() && st.st_uid != 0) {
            return err_set(err, E_IO, "the secret file %s belongs to user %lu, not to us or root",
                           path, (unsigned long)st.st_uid);
        }
    } else if (!S_ISFIFO(st.st_mode)) {
        return err_set(err, E_IO, "the secret file %s is neither a file nor a pipe", path);
    }
    if (!file_read_secret_fd(fd, out, err)) {
        return err_wrap(err, "secret file %s", path);
    }
    return true;
}

bool file_read_secret(const char *path, struct secret *out, struct err *err)
{
    return read_private(path, S_IRWXG | S_IRWXO, out, err);
}

bool file_read_credential(const char *path, struct secret *out, struct err *err)
{
    return read_private(path, S_IWGRP | S_IXGRP | S_IRWXO, out, err);
}

static bool write_all(int fd, const void *data, size_t len, const char *path, struct err *err)
{
    const uint8_t *p = data;

    while (len > 0) {
        ssize_t put = write(fd, p, len);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return err_set_errno(err, E_IO, errno, "writing %s", path);
        }
        p += put;
        len -= (size_t)put;
    }
    return true;
}

/* The directory part of a path, "." for a bare name. free() it. */
static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL) {
        return str_dup(".");
    }
    return slash == path ? str_dup("/") : str_ndup(path, (size_t)(slash - path));
}

static bool sync_directory(const char *path, struct err *err)
{
    AUTO(str) char *dir = directory_of(path);

    if (dir == NULL) {
        return err_nomem(err);
    }
    AUTO(fd) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL)) {
        return err_set_errno(err, E_IO, errno, "syncing the directory %s", dir);
    }
    return true;
}

/* A terminal, a pipe, /dev/null: there is nothing to replace, and replacing it would destroy it. */
static bool is_special(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

static bool write_special(const char *path, const void *data, size_t len, struct err *err)
{
    AUTO(fd) int fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);

    if (fd < 0) {
        return err_set_errno(err, E_IO, errno, "opening %s", path);
    }
    return write_all(fd, data, len, path, err);
}

/* The owner of the file that is replaced becomes that of the one in its place. */
static bool keep_owner(int fd, const struct stat *old, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return err_set_errno(err, E_IO, errno, "writing %s", path);
    }
    return (st.st_uid == old->st_uid && st.st_gid == old->st_gid) ||
           fchown(fd, old->st_uid, old->st_gid) == 0 ||
           err_set_errno(err, E_IO, errno, "keeping the owner of %s", path);
}

/* old: whose owner is kept; NULL: nobody's. */
static bool replace(const char *path, const void *data, size_t len, mode_t mode,
                    const struct stat *old, struct err *err)
{
    AUTO(temp) char *temp = NULL;

    if (asprintf(&temp, "%s.XXXXXX", path) < 0) {
        temp = NULL;
        return err_nomem(err);
    }
    AUTO(fd) int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0) {
        int saved = errno;
        free(TAKE(temp));
        return err_set_errno(err, E_IO, saved, "creating a file beside %s", path);
    }
    if (!write_all(fd, data, len, path, err) || (old != NULL && !keep_owner(fd, old, path, err))) {
        return false;
    }
    if (fchmod(fd, mode) != 0 || fsync(fd) != 0) {
        return err_set_errno(err, E_IO, errno, "writing %s", path);
    }
    if (rename(temp, path) != 0) {
        return err_set_errno(err, E_IO, errno, "replacing %s", path);
    }
    free(TAKE(temp));
    return sync_directory(path, err);
}

bool file_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *err)
{
    return is_special(path) ? write_special(path, data, len, err)
                            : replace(path, data, len, mode, NULL, err);
}

bool file_rewrite(const char *path, const void *data, size_t len, struct err *err)
{
    struct stat st;

    if (lstat(path, &st) != 0) {
        return err_set_errno(err, E_IO, errno, "examining %s", path);
    }
    return S_ISREG(st.st_mode)
               ? replace(path, data, len, st.st_mode & 07777, &st, err)
               : err_set(err, E_IO, "%s is no regular file, and is left as it is", path);
}

/* Whether there is nothing at the path is settled by the renaming itself. */
static bool rename_to(const char *temp, const char *path, bool over, struct err *err)
{
    int rc =
        over ? rename(temp, path) : renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_NOREPLACE);

    if (rc != 0 && !over && errno == EINVAL) { /* a file system that cannot say so */
        rc = link(temp, path) == 0 ? unlink(temp) : -1;
    }
    if (rc != 0 && errno == EEXIST) {
        return err_set(err, E_OBJECT_EXISTS, "%s is there already, and was left as it is", path);
    }
    return rc == 0 || err_set_errno(err, E_IO, errno, "naming %s", path);
}

bool file_put_in_place(const char *temp, const char *path, bool over, struct err *err)
{
    AUTO(fd) int fd = open_read(temp);
    struct stat st;

    if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode)) { /* a device, or a link to something */
        return err_set(err, E_IO, "%s is no regular file, and was left as it is", path);
    }
    if (fd < 0 || fsync(fd) != 0) {
        return err_set_errno(err, E_IO, errno, "writing %s", temp);
    }
    return rename_to(temp, path, over, err) && sync_directory(path, err);
}

bool file_make_private_dir(const char *path, struct err *err)
{
    AUTO(str) char *copy = str_dup(path);

    if (copy == NULL) {
        return err_nomem(err);
    }
    if (copy[0] == '\0') {
        return err_set(err, E_IO, "a directory without a name cannot be created");
    }
    for (char *p = copy + 1;; p++) {
        if (*p != '/' && *p != '\0') {
            continue;
        }
        char kept = *p;
        *p = '\0';
        if (mkdir(copy, 0700) != 0 && errno != EEXIST) {
            return err_set_errno(err, E_IO, errno, "creating the directory %s", copy);
        }
        *p = kept;
        if (kept == '\0') {
            break;
        }
    }
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        return err_set(err, E_IO, "%s is not a directory", path);
    }
    return true;
}

char *file_join(const char *dir, const char *name)
{
    char *joined = NULL;
    size_t len = strlen(dir);
    const char *between = len > 0 && dir[len - 1] == '/' ? "" : "/";

    return asprintf(&joined, "%s%s%s", dir, between, name) < 0 ? NULL : joined;
}

bool file_exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}
