#include "hsm/lock.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char shared_dir[] = "/run/lock/p11enroll";

/* A directory that others prepared is fine; a link or a foreign user's private one is not. */
static bool is_usable_dir(const char *dir, bool must_be_ours)
{
    struct stat st;

    if (lstat(dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
        return false;
    }
    if (must_be_ours) {
        return st.st_uid == geteuid() && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
    }
    return st.st_uid == 0 || st.st_uid == geteuid() || (st.st_mode & S_ISVTX) != 0;
}

/* Like /run/lock itself: everybody may add a lock file, nobody may remove another's. */
static bool make_shared_dir(void)
{
    if (mkdir(shared_dir, 0755) == 0) {
        (void)chmod(shared_dir, 01777);
    }
    return is_usable_dir(shared_dir, false) && access(shared_dir, W_OK | X_OK) == 0;
}

static char *private_dir(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char *dir = NULL;

    if (runtime != NULL && runtime[0] == '/') {
        dir = file_join(runtime, "p11enroll");
    } else if (asprintf(&dir, "/tmp/p11enroll-%lu", (unsigned long)geteuid()) < 0) {
        dir = NULL;
    }
    if (dir != NULL && ((mkdir(dir, 0700) != 0 && errno != EEXIST) || !is_usable_dir(dir, true))) {
        free(TAKE(dir));
    }
    return dir;
}

static char *choose_dir(const char *configured, struct err *err)
{
    if (configured != NULL) {
        char *dir = file_make_private_dir(configured, err) ? str_dup(configured) : NULL;
        if (dir == NULL) {
            (void)err_wrap(err, "lock directory");
        }
        return dir;
    }
    if (make_shared_dir()) {
        return str_dup(shared_dir);
    }
    char *dir = private_dir();
    if (dir == NULL) {
        (void)err_set(err, E_IO,
                      "there is no directory for the token lock: neither %s nor a "
                      "private one can be used; name one with 'lock_dir'",
                      shared_dir);
    }
    return dir;
}

/* The module's path as one file name: readable, and different paths stay different. A path that is
 * too long for a name is represented by its SHA-256. */
static char *lock_path(const char *dir, const char *module_path)
{
    static const char suffix[] = ".lock";
    AUTO(buf) struct buf name = BUF_INIT(4096);
    AUTO(buf) struct buf path = BUF_INIT(8192);
    uint8_t hash[EVP_MAX_MD_SIZE];
    size_t hash_len = 0;

    str_percent_encode(&name, (const uint8_t *)module_path, strlen(module_path), "");
    if (!buf_ok(&name) || name.len + sizeof(suffix) > NAME_MAX) {
        buf_reset(&name);
        if (EVP_Q_digest(NULL, "SHA256", NULL, module_path, strlen(module_path), hash, &hash_len) !=
            1) {
            return NULL;
        }
        str_add_hex(&name, hash, hash_len, '\0');
    }
    buf_addf(&path, "%s/%s%s", dir, buf_str(&name), suffix);
    return buf_take_str(&path);
}

/* flock() needs no write access, so a file that another user made will do. */
static int open_lock_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);

    if (fd >= 0) {
        (void)fchmod(fd, 0644); /* whatever the umask: others must be able to open it */
        return fd;
    }
    if (errno == EEXIST) {
        fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    }
    if (fd < 0 && errno == EACCES) {
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    }
    return fd;
}

/* Always as long, so that nothing of a longer number stays: truncating the file would cost a disk
 * ten times as much. */
static void note_holder(int fd)
{
    char text[24];
    int len = snprintf(text, sizeof(text), "%-20ld\n", (long)getpid());

    ssize_t put UNUSED = pwrite(fd, text, (size_t)len, 0);
}

static bool busy(int fd, const char *path, int64_t wait_ms, struct err *err)
{
    char holder[24] = "";
    ssize_t got = pread(fd, holder, sizeof(holder) - 1, 0);

    holder[got > 0 ? got : 0] = '\0';
    return err_set(err, E_TOKEN_BUSY,
                   "the lock %s was not free for %lld seconds (process %s has it)", path,
                   (long long)(wait_ms / 1000), got > 0 ? str_trim(holder) : "unknown");
}

bool hsm_lock_take(struct hsm_lock *lock, const char *dir, const char *module_path, int64_t wait_ms,
                   struct err *err)
{
    struct clock clock = clock_system(lock->stop);
    AUTO(str) char *chosen = choose_dir(dir, err);

    if (chosen == NULL) {
        return err->code != E_NONE ? false : err_nomem(err);
    }
    AUTO(str) char *path = lock_path(chosen, module_path);
    if (path == NULL) {
        return err_nomem(err);
    }
    int fd = open_lock_file(path);
    if (fd < 0) {
        return err_set_errno(err, E_IO, errno, "opening the token lock %s", path);
    }
    int64_t end = clock_mono_ms(&clock) + wait_ms;
    int64_t pause = 1;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EINTR && errno != EWOULDBLOCK) {
            (void)err_set_errno(err, E_IO, errno, "locking %s", path);
            (void)close(fd);
            return false;
        }
        if (clock_mono_ms(&clock) >= end) {
            (void)busy(fd, path, wait_ms, err);
            (void)close(fd);
            return false;
        }
        if (!clock_sleep_ms(&clock, pause)) {
            (void)err_set(err, E_INTERRUPTED, "interrupted while waiting for the lock %s", path);
            (void)close(fd);
            return false;
        }
        pause = pause < 20 ? pause * 2 : 20;
    }
    note_holder(fd);
    lock->fd = fd;
    if (lock->note != NULL) {
        atomic_store(lock->note, fd + 1);
    }
    return true;
}

void hsm_lock_release(struct hsm_lock *lock)
{
    if (lock->fd >= 0) {
        if (lock->note != NULL && atomic_exchange(lock->note, 0) == 0) {
            lock->fd = -1; /* in a forked child, which has closed it */
            return;
        }
        /* A child that was forked meanwhile has the descriptor, too: closing ours would not do. */
        (void)flock(lock->fd, LOCK_UN);
        (void)close(lock->fd);
        lock->fd = -1;
    }
}
