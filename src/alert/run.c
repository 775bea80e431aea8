#include "alert/alert.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { POLL_MS = 50, GRACE_MS = 2000, WORDS_MAX = 16 * 1024, LINE_SHOWN = 300, ENV_MAX = 16 };

/* What a mail program sees of our environment. */
static const char *const kept[] = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ"};

static int64_t now_ms(void)
{
    struct timespec now = {.tv_sec = 0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Open descriptors; -1: none. */
struct ends {
    int input, words[2];
};

static void ends_done(struct ends *ends)
{
    int *const all[] = {&ends->input, &ends->words[0], &ends->words[1]};

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (*all[i] >= 0) {
            (void)close(*all[i]);
            *all[i] = -1;
        }
    }
}

DEFINE_AUTO_DONE(ends, struct ends, ends_done)

static bool write_all(int fd, const struct buf *input)
{
    for (size_t done = 0; done < input->len;) {
        ssize_t put = write(fd, input->data + done, input->len - done);
        if (put < 0 && errno != EINTR) {
            return false;
        }
        done += put > 0 ? (size_t)put : 0;
    }
    return lseek(fd, 0, SEEK_SET) == 0;
}

/* The input is a file in memory: whoever does not read it cannot make us wait, or die of a pipe. */
static bool open_ends(const struct buf *input, struct ends *ends, struct err *err)
{
    ends->input = memfd_create("p11enroll-alert", MFD_CLOEXEC);
    if (ends->input < 0 || !write_all(ends->input, input)) {
        return err_set_errno(err, E_IO, errno, "a file in memory for the message");
    }
    return (pipe2(ends->words, O_CLOEXEC) == 0 &&
            fcntl(ends->words[0], F_SETFL, O_NONBLOCK) == 0) ||
           err_set_errno(err, E_IO, errno, "a pipe for the program's words");
}

static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none;
    sigset_t all;

    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int rc = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                      POSIX_SPAWN_SETSIGDEF);
    rc = rc != 0 ? rc : posix_spawnattr_setpgroup(attributes, 0);
    rc = rc != 0 ? rc : posix_spawnattr_setsigmask(attributes, &none);
    return rc != 0 ? rc : posix_spawnattr_setsigdefault(attributes, &all);
}

static int set_descriptors(posix_spawn_file_actions_t *actions, const struct ends *ends)
{
    int rc = posix_spawn_file_actions_adddup2(actions, ends->input, 0);

    rc = rc != 0 ? rc : posix_spawn_file_actions_addopen(actions, 1, "/dev/null", O_WRONLY, 0);
    rc = rc != 0 ? rc : posix_spawn_file_actions_adddup2(actions, ends->words[1], 2);
    return rc != 0 ? rc : posix_spawn_file_actions_addclosefrom_np(actions, 3);
}

static int spawn_with(const struct alert_program *program, char **env, const struct ends *ends,
                      pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;

    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0) {
        return rc;
    }
    rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        rc = set_attributes(&attributes);
        rc = rc != 0 ? rc : set_descriptors(&actions, ends);
        rc = rc != 0 ? rc
                     : posix_spawn(pid, program->args[0], &actions, &attributes,
                                   (char *const *)(uintptr_t)program->args, env);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc;
}

static bool start(const struct alert_program *program, const struct ends *ends, pid_t *pid,
                  struct err *err)
{
    AUTO(buf) struct buf texts = BUF_INIT(64 * 1024);
    size_t offsets[ENV_MAX];
    char *env[ENV_MAX + 1];
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        const char *value = getenv(kept[i]);
        if (value != NULL) {
            offsets[count++] = texts.len;
            buf_addf(&texts, "%s=%s", kept[i], value);
            buf_add_byte(&texts, 0);
        }
    }
    if (!buf_ok(&texts)) {
        return err_nomem(err);
    }
    for (size_t i = 0; i < count; i++) {
        env[i] = (char *)texts.data + offsets[i];
    }
    env[count] = NULL;
    int rc = spawn_with(program, env, ends, pid);
    return rc == 0 || err_set_errno(err, E_HOOK, rc, "'%s' could not be started", program->args[0]);
}

/* Adds bytes; of what does not fit the oldest are dropped: the last line says why. */
static void add_words(struct buf *words, const char *data, size_t len)
{
    size_t room = words->max - words->len;

    if (len > room) {
        size_t gone = len - room;
        memmove(words->data, words->data + gone, words->len - gone);
        words->len -= gone;
    }
    buf_add(words, data, len);
}

/* Reads what there is. */
static void drain(int fd, struct buf *words)
{
    char data[4096];

    for (int reads = 0; reads < 16; reads++) {
        ssize_t got = read(fd, data, sizeof(data));
        if (got <= 0) {
            return;
        }
        add_words(words, data, (size_t)got);
    }
}

/* Whether it has ended, by then. */
static bool wait_until(pid_t pid, int fd, int64_t end_ms, const volatile bool *stop,
                       struct buf *words, int *status)
{
    for (;;) {
        drain(fd, words);
        pid_t ended = waitpid(pid, status, WNOHANG);
        if (ended == pid || (ended < 0 && errno != EINTR)) {
            drain(fd, words);
            return true;
        }
        if (now_ms() >= end_ms || (stop != NULL && *stop)) {
            return false;
        }
        struct pollfd what = {.fd = fd, .events = POLLIN};
        if (poll(&what, 1, POLL_MS) > 0 && (what.revents & POLLIN) == 0) {
            (void)poll(NULL, 0, POLL_MS); /* closed, and not ended yet */
        }
    }
}

static void end_all(pid_t pid, int fd, struct buf *words, int *status)
{
    (void)kill(-pid, SIGTERM);
    if (!wait_until(pid, fd, now_ms() + GRACE_MS, NULL, words, status)) {
        (void)kill(-pid, SIGKILL);
        (void)waitpid(pid, status, 0);
    }
}

/* The last line that it wrote, which is where programs say why. */
static void last_line(struct buf *words, struct buf *out)
{
    while (words->len > 0 && strchr("\r\n \t", words->data[words->len - 1]) != NULL) {
        words->len--;
    }
    size_t begin = words->len;
    while (begin > 0 && words->data[begin - 1] != '\n') {
        begin--;
    }
    if (words->len > begin) {
        str_add_quotable(out, (const char *)words->data + begin, words->len - begin, LINE_SHOWN);
    } else {
        buf_add_str(out, "it said nothing on its standard error");
    }
}

static bool judge(const char *path, int status, struct buf *words, struct err *err)
{
    AUTO(buf) struct buf line = BUF_INIT(2048);

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return true;
    }
    last_line(words, &line);
    return WIFSIGNALED(status) ? err_set(err, E_HOOK, "'%s' was killed by signal %d: %s", path,
                                         WTERMSIG(status), buf_str(&line))
                               : err_set(err, E_HOOK, "'%s' ended with status %d: %s", path,
                                         WEXITSTATUS(status), buf_str(&line));
}

bool alert_run(const struct alert_program *program, struct err *err)
{
    AUTO(ends) struct ends ends = {.input = -1, .words = {-1, -1}};
    AUTO(buf) struct buf words = BUF_INIT(WORDS_MAX);
    const char *path = program->args[0];
    pid_t pid = 0;
    int status = 0xff00; /* lost */

    if (!open_ends(program->input, &ends, err) || !start(program, &ends, &pid, err)) {
        return false;
    }
    (void)close(ends.words[1]);
    ends.words[1] = -1;
    int64_t end_ms = now_ms() + program->timeout_ms;
    if (wait_until(pid, ends.words[0], end_ms, program->stop, &words, &status)) {
        return judge(path, status, &words, err);
    }
    end_all(pid, ends.words[0], &words, &status);
    if (program->stop != NULL && *program->stop) {
        return err_set(err, E_INTERRUPTED, "interrupted; '%s' was ended", path);
    }
    return err_set(err, E_HOOK, "'%s' did not end within %lld seconds and was ended", path,
                   (long long)(program->timeout_ms / 1000));
}
