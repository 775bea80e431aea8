/*
 * Preloaded into the client: a disk that fails for the files of the journal alone.
 *
 *   BADDISK_FROM   the number of the first call that fails, from 1 (0 or not set: none)
 *   BADDISK_ERRNO  with what (28: no space left, 5: input/output error)
 *   BADDISK_ONCE   set: only that one call fails
 *   BADDISK_LOG    a file that gets a line for each call
 *
 * Calls are those by which SQLite changes a file: pwrite64, ftruncate64, fsync, fdatasync.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

static int calls;

static int number_of(const char *name)
{
    const char *text = getenv(name);

    return text != NULL ? atoi(text) : 0;
}

static bool is_journal(int fd)
{
    char link[64];
    char path[4096];

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof(path) - 1);
    if (len <= 0) {
        return false;
    }
    path[len] = '\0';
    return strstr(path, "/journal.db") != NULL;
}

static void note(const char *call, bool fails)
{
    const char *path = getenv("BADDISK_LOG");
    char line[80];
    int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

    if (fd >= 0) {
        int len = snprintf(line, sizeof(line), "%d %s%s\n", calls, call, fails ? " fails" : "");
        ssize_t put = write(fd, line, (size_t)len);
        (void)put;
        (void)close(fd);
    }
}

/* Whether this call on that descriptor fails; errno is set then. */
static bool fails(int fd, const char *call)
{
    int saved = errno;

    if (!is_journal(fd)) {
        errno = saved;
        return false;
    }
    calls++;
    int from = number_of("BADDISK_FROM");
    bool bad = from > 0 && (calls == from || (calls > from && getenv("BADDISK_ONCE") == NULL));
    note(call, bad);
    errno = bad ? number_of("BADDISK_ERRNO") : saved;
    return bad;
}

PUBLIC ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    ssize_t (*next)(int, const void *, size_t, off64_t) = NULL;
    void *found = dlsym(RTLD_NEXT, "pwrite64");

    if (fails(fd, "pwrite64")) {
        return -1;
    }
    memcpy(&next, &found, sizeof(next));
    return next(fd, data, len, at);
}

PUBLIC int ftruncate64(int fd, off64_t len)
{
    int (*next)(int, off64_t) = NULL;
    void *found = dlsym(RTLD_NEXT, "ftruncate64");

    if (fails(fd, "ftruncate64")) {
        return -1;
    }
    memcpy(&next, &found, sizeof(next));
    return next(fd, len);
}

static int sync_with(const char *name, int fd)
{
    int (*next)(int) = NULL;
    void *found = dlsym(RTLD_NEXT, name);

    if (fails(fd, name)) {
        return -1;
    }
    memcpy(&next, &found, sizeof(next));
    return next(fd);
}

PUBLIC int fsync(int fd)
{
    return sync_with("fsync", fd);
}

PUBLIC int fdatasync(int fd)
{
    return sync_with("fdatasync", fd);
}
