/* One process works on an order at a time: a range of one file for each order, so that a process
 * that waits for thousands has one descriptor for them. */
#include "order/journal_impl.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RECORD = 24 }; /* the holder's process id, for the message alone */

bool order_locks_open(struct journal *journal, struct order_lock *lock, struct err *err)
{
    AUTO(str) char *path = NULL;

    if (asprintf(&path, "%s/orders.lock", journal->dir) < 0) {
        path = NULL;
        return err_nomem(err);
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return err_set_errno(err, E_JOURNAL, errno, "opening %s", path);
    }
    lock->fd = fd;
    return true;
}

static bool busy(const struct order_lock *lock, int64_t id, struct err *err)
{
    char holder[RECORD + 1] = "";
    ssize_t got = pread(lock->fd, holder, RECORD, (off_t)(id * RECORD));

    holder[got > 0 ? got : 0] = '\0';
    const char *who = str_trim(holder);
    return err_set(err, E_ORDER_BUSY, "order %lld is being worked on by process %s", (long long)id,
                   who[0] != '\0' ? who : "unknown");
}

bool order_locks_add(struct order_lock *lock, int64_t id, struct err *err)
{
    char holder[RECORD];

    if (id < 0 || id > INT64_MAX / RECORD - 1) {
        return err_set(err, E_USAGE, "there is no order %lld", (long long)id);
    }
    /* Of the open file, so that two of them in one process keep each other out as well. */
    struct flock range = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)(id * RECORD), .l_len = RECORD};
    if (fcntl(lock->fd, F_OFD_SETLK, &range) != 0) {
        return errno == EAGAIN || errno == EACCES
                   ? busy(lock, id, err)
                   : err_set_errno(err, E_JOURNAL, errno, "locking order %lld", (long long)id);
    }
    memset(holder, ' ', sizeof(holder));
    int len = snprintf(holder, sizeof(holder), "%ld", (long)getpid());
    holder[len] = ' ';
    holder[RECORD - 1] = '\n';
    if (pwrite(lock->fd, holder, sizeof(holder), range.l_start) != (ssize_t)sizeof(holder)) {
        holder[0] = '\0'; /* who holds it is only for the message; the lock itself is held */
    }
    return true;
}

bool order_lock_take(struct journal *journal, int64_t id, struct order_lock *lock, struct err *err)
{
    struct order_lock fresh = ORDER_LOCK_INIT;

    if (!order_locks_open(journal, &fresh, err)) {
        return false;
    }
    if (!order_locks_add(&fresh, id, err)) {
        order_lock_release(&fresh);
        return false;
    }
    *lock = fresh;
    return true;
}

void order_lock_release(struct order_lock *lock)
{
    if (lock->fd >= 0) {
        (void)close(lock->fd);
        lock->fd = -1;
    }
}
