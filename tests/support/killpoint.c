/*
 * Preloaded into the client: counts what its process does to the world, and ends it at the n-th
 * thing.
 *
 * Counted are writes, synchronisations and renamings of files below P11POINT_STATE ("journal"),
 * what goes to and comes from a network socket ("send", "receive"), and what goes to and comes from
 * the token's own process, whose socket has a path ("ask", "answer").
 *
 *   P11POINT_LOG=FILE    one line for each: its number, its kind
 *   P11POINT=N:ACTION    at the n-th of them: kill (before it is done), killafter, cut (the
 * connection is shut down before it, and the process goes on), cutafter, full (it and every later
 * write below P11POINT_STATE fails with ENOSPC) P11POINT_KINDS=A,B   only these are counted
 * (default: all)
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATH_LEN = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long counted;
static bool full;

static const char *setting(const char *name)
{
    const char *value = getenv(name);

    return value != NULL ? value : "";
}

static bool is_client(void)
{
    return strcmp(program_invocation_short_name, "p11enroll") == 0;
}

static bool is_counted(const char *kind)
{
    const char *kinds = setting("P11POINT_KINDS");
    const char *at = strstr(kinds, kind);

    return kinds[0] == '\0' || (at != NULL && (at == kinds || at[-1] == ','));
}

static void write_down(const char *kind)
{
    char line[64];
    const char *path = setting("P11POINT_LOG");
    int len = snprintf(line, sizeof(line), "%ld %s\n", counted, kind);

    if (path[0] == '\0') {
        return;
    }
    long fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    (void)syscall(SYS_write, fd, line, len);
    (void)syscall(SYS_close, fd);
}

static bool is_full(const char *kind)
{
    return full && strcmp(kind, "journal") == 0;
}

static void die(void)
{
    (void)syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) {
        (void)pause();
    }
}

/* What is to be done at this thing; NULL: nothing. */
static const char *due(const char *kind)
{
    const char *action = NULL;

    if (kind == NULL || !is_client() || !is_counted(kind)) {
        return NULL;
    }
    (void)pthread_mutex_lock(&lock);
    counted++;
    write_down(kind);
    char *end = NULL;
    long nth = strtol(setting("P11POINT"), &end, 10);
    if (nth == counted && *end == ':') {
        action = end + 1;
        full = full || strcmp(action, "full") == 0;
    }
    (void)pthread_mutex_unlock(&lock);
    return action;
}

static void act(const char *action, bool before, int fd)
{
    if (action == NULL) {
        return;
    }
    if (strcmp(action, before ? "kill" : "killafter") == 0) {
        die();
    }
    if (fd >= 0 && strcmp(action, before ? "cut" : "cutafter") == 0) {
        (void)shutdown(fd, SHUT_RDWR);
    }
}

static bool is_below_state(const char *path)
{
    const char *state = setting("P11POINT_STATE");

    return state[0] != '\0' && strncmp(path, state, strlen(state)) == 0;
}

/* The kind of what is done to a descriptor; NULL: not counted. */
static const char *kind_of(int fd, bool out)
{
    int domain = 0;
    socklen_t len = sizeof(domain);
    int saved = errno;
    const char *kind = NULL;

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0) {
        struct sockaddr_un peer = {.sun_family = AF_UNSPEC};
        socklen_t size = sizeof(peer);
        if (domain == AF_INET || domain == AF_INET6) {
            kind = out ? "send" : "receive";
        } else if (domain == AF_UNIX && getpeername(fd, (struct sockaddr *)&peer, &size) == 0 &&
                   size > sizeof(sa_family_t) && peer.sun_path[0] != '\0') {
            kind = out ? "ask" : "answer";
        }
    } else if (out) {
        char link[64];
        char path[PATH_LEN];
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t got = readlink(link, path, sizeof(path) - 1);
        if (got > 0) {
            path[got] = '\0';
            kind = is_below_state(path) ? "journal" : NULL;
        }
    }
    errno = saved;
    return kind;
}

/* The function of that name that would be called without us. */
#pragma GCC visibility push(default)

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

/* A write of any form: what is due before it, the call, what is due after it. */
#define WRITING(fd, call)                                                                          \
    do {                                                                                           \
        const char *kind = kind_of(fd, true);                                                      \
        const char *action = due(kind);                                                            \
        act(action, true, fd);                                                                     \
        if (kind != NULL && is_full(kind)) {                                                       \
            errno = ENOSPC;                                                                        \
            return -1;                                                                             \
        }                                                                                          \
        __typeof__(call) result = (call);                                                          \
        act(action, false, fd);                                                                    \
        return result;                                                                             \
    } while (0)

/* A read is a thing of its own only when something came. */
#define READING(fd, call)                                                                          \
    do {                                                                                           \
        __typeof__(call) result = (call);                                                          \
        int saved = errno;                                                                         \
        const char *kind = result > 0 ? kind_of(fd, false) : NULL;                                 \
        const char *action = due(kind);                                                            \
        act(action, true, fd);                                                                     \
        act(action, false, fd);                                                                    \
        errno = saved;                                                                             \
        return result;                                                                             \
    } while (0)

ssize_t write(int fd, const void *data, size_t len)
{
    WRITING(fd, REAL(write)(fd, data, len));
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    WRITING(fd, REAL(pwrite)(fd, data, len, at));
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    WRITING(fd, REAL(pwrite64)(fd, data, len, at));
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    WRITING(fd, REAL(writev)(fd, parts, count));
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
    WRITING(fd, REAL(send)(fd, data, len, flags));
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    WRITING(fd, REAL(sendmsg)(fd, message, flags));
}

int fsync(int fd)
{
    WRITING(fd, REAL(fsync)(fd));
}

int fdatasync(int fd)
{
    WRITING(fd, REAL(fdatasync)(fd));
}

int ftruncate(int fd, off_t len)
{
    WRITING(fd, REAL(ftruncate)(fd, len));
}

int ftruncate64(int fd, off64_t len)
{
    WRITING(fd, REAL(ftruncate64)(fd, len));
}

ssize_t read(int fd, void *data, size_t len)
{
    READING(fd, REAL(read)(fd, data, len));
}

ssize_t recv(int fd, void *data, size_t len, int flags)
{
    READING(fd, REAL(recv)(fd, data, len, flags));
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    READING(fd, REAL(recvmsg)(fd, message, flags));
}

/* Names below the state directory. */
#define NAMING(path, call)                                                                         \
    do {                                                                                           \
        const char *action = due(is_below_state(path) ? "journal" : NULL);                         \
        act(action, true, -1);                                                                     \
        __typeof__(call) result = (call);                                                          \
        act(action, false, -1);                                                                    \
        return result;                                                                             \
    } while (0)

int rename(const char *from, const char *to)
{
    NAMING(to, REAL(rename)(from, to));
}

int unlink(const char *path)
{
    NAMING(path, REAL(unlink)(path));
}

#pragma GCC visibility pop
