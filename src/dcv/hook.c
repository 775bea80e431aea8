#include "dcv/dcv.h"

#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    POLL_MS = 50,
    GRACE_MS = 2000, /* between "please" and "now" */
    OUTPUT_MAX = 64 * 1024,
    ERRORS_MAX = 64 * 1024,
    LAST_LINE_MAX = 300,
    STATUS_LOST = 0xff00, /* "ended with status 255" */
    READS_MAX = 64,       /* of 4 KiB, before the time is looked at again */
    VARIABLES_MAX = 64,   /* of the configuration; a call has room for ours as well */
};

/* What a hook sees of our environment without being told. */
static const char *const kept[] = {"PATH", "HOME",   "USER", "LOGNAME",
                                   "LANG", "LC_ALL", "TZ",   "TMPDIR"};

static int64_t now_ms(void)
{
    struct timespec now = {.tv_sec = 0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool check_path(const char *path, struct err *err)
{
    struct stat what;

    if (path[0] != '/') {
        return err_set(err, E_CONFIG, "the hook '%s' is not named from the root", path);
    }
    if (stat(path, &what) != 0) {
        return err_set_errno(err, E_CONFIG, errno, "the hook '%s'", path);
    }
    if (!S_ISREG(what.st_mode) || access(path, X_OK) != 0) {
        return err_set(err, E_CONFIG, "the hook '%s' is not a program that can be run", path);
    }
    return (what.st_mode & S_IWOTH) == 0 ||
           err_set(err, E_CONFIG, "everybody can change the hook '%s' (chmod o-w)", path);
}

/* A name as the shell takes it. */
static bool is_variable(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9')) {
            return false;
        }
    }
    return len > 0;
}

/* One of "NAME=VALUE" and "NAME"; call NULL: only whether it is one. */
static bool take_variable(char *item, struct dcv_call *call, struct err *err)
{
    size_t len = strcspn(item, "=");
    const char *value = item[len] == '=' ? item + len + 1 : NULL;

    if (!is_variable(item, len)) {
        return err_set(err, E_CONFIG, "'%.60s' is neither NAME=VALUE nor NAME", item);
    }
    if (call == NULL) {
        return true;
    }
    item[len] = '\0';
    value = value != NULL ? value : getenv(item);
    return value == NULL || dcv_call_setenv(call, item, value) || err_nomem(err);
}

static bool take_variables(const char *list, struct dcv_call *call, struct err *err)
{
    AUTO(str) char *copy = str_dup(list != NULL ? list : "");
    char *rest = NULL;
    int count = 0;

    if (copy == NULL) {
        return err_nomem(err);
    }
    for (char *item = strtok_r(copy, ";", &rest); item != NULL; item = strtok_r(NULL, ";", &rest)) {
        char *word = str_trim(item);
        if (word[0] != '\0' && !take_variable(word, call, err)) {
            return err_wrap(err, "environment of the hook");
        }
        if (word[0] != '\0' && ++count > VARIABLES_MAX) {
            return err_set(err, E_CONFIG, "environment of the hook: more than %d variables",
                           VARIABLES_MAX);
        }
    }
    return true;
}

bool dcv_hook_check(const struct dcv_hook *hook, struct err *err)
{
    if (hook->path == NULL || hook->path[0] == '\0') {
        return err_set(err, E_CONFIG,
                       "no hook is named that publishes the record ('dcv_hook', or "
                       "--hook)");
    }
    return check_path(hook->path, err) &&
           (hook->cleanup_path == NULL || check_path(hook->cleanup_path, err)) &&
           take_variables(hook->environment, NULL, err);
}

static bool build_env(const struct dcv_hook *hook, struct dcv_call *call, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        const char *value = getenv(kept[i]);
        if (value != NULL && !dcv_call_setenv(call, kept[i], value)) {
            return err_nomem(err);
        }
    }
    return take_variables(hook->environment, call, err);
}

/* The two ends that we read. */
struct pipes {
    int out[2], errors[2];
};

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

static void pipes_done(struct pipes *pipes)
{
    for (int i = 0; i < 2; i++) {
        close_fd(&pipes->out[i]);
        close_fd(&pipes->errors[i]);
    }
}

DEFINE_AUTO_DONE(pipes, struct pipes, pipes_done)

static bool open_pipes(struct pipes *pipes, struct err *err)
{
    return (pipe2(pipes->out, O_CLOEXEC) == 0 && pipe2(pipes->errors, O_CLOEXEC) == 0 &&
            fcntl(pipes->out[0], F_SETFL, O_NONBLOCK) == 0 &&
            fcntl(pipes->errors[0], F_SETFL, O_NONBLOCK) == 0) ||
           err_set_errno(err, E_IO, errno, "pipes for the hook");
}

/* A group of its own, so that everything it starts can be ended; signals as a shell gives them. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none;
    sigset_t all;
    short flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;

    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int rc = posix_spawnattr_setflags(attributes, flags);
    rc = rc != 0 ? rc : posix_spawnattr_setpgroup(attributes, 0);
    rc = rc != 0 ? rc : posix_spawnattr_setsigmask(attributes, &none);
    return rc != 0 ? rc : posix_spawnattr_setsigdefault(attributes, &all);
}

static int set_descriptors(posix_spawn_file_actions_t *actions, const struct pipes *pipes)
{
    int rc = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);

    rc = rc != 0 ? rc : posix_spawn_file_actions_adddup2(actions, pipes->out[1], 1);
    rc = rc != 0 ? rc : posix_spawn_file_actions_adddup2(actions, pipes->errors[1], 2);
    return rc != 0 ? rc : posix_spawn_file_actions_addclosefrom_np(actions, 3);
}

static int spawn(const char *path, struct dcv_call *call, const struct pipes *pipes, pid_t *pid)
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
        rc = rc != 0 ? rc : set_descriptors(&actions, pipes);
        /* our own files are private; what a hook publishes is for everybody */
        mode_t ours = umask(022);
        rc = rc != 0 ? rc : posix_spawn(pid, path, &actions, &attributes, call->args, call->env);
        (void)umask(ours);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc;
}

/* A hook that runs. */
struct running {
    pid_t pid;
    struct pipes pipes;
    struct buf *output;
    struct buf errors;
    int status;
    int64_t end_ms;
};

/* Reads what there is, within bounds: a hook may write without end. The end of the pipe closes it.
 * What does not fit is read and dropped. */
static void drain(int *fd, struct buf *into)
{
    char data[4096];

    for (int reads = 0; *fd >= 0 && reads < READS_MAX; reads++) {
        ssize_t got = read(*fd, data, sizeof(data));
        if (got > 0) {
            size_t room = into != NULL ? into->max - into->len : 0;
            if (room > 0) {
                buf_add(into, data, (size_t)got < room ? (size_t)got : room);
            }
        } else if (got < 0 && errno == EINTR) {
            continue;
        } else if (got < 0 && errno == EAGAIN) {
            return;
        } else {
            close_fd(fd);
        }
    }
}

static void drain_both(struct running *running)
{
    drain(&running->pipes.out[0], running->output);
    drain(&running->pipes.errors[0], &running->errors);
}

/* True once the hook itself has ended; what it left behind may still hold the pipes. */
static bool step(struct running *running)
{
    struct pollfd fds[] = {{.fd = running->pipes.out[0], .events = POLLIN},
                           {.fd = running->pipes.errors[0], .events = POLLIN}};

    (void)poll(fds, ARRAY_LEN(fds), POLL_MS);
    drain_both(running);
    pid_t ended = waitpid(running->pid, &running->status, WNOHANG);
    if (ended == 0 || (ended < 0 && errno == EINTR)) {
        return false;
    }
    if (ended < 0) { /* somebody else took its status */
        running->status = STATUS_LOST;
    }
    drain_both(running);
    return true;
}

static bool wait_until(struct running *running, int64_t end_ms, const volatile bool *stop)
{
    while (now_ms() < end_ms && (stop == NULL || !*stop)) {
        if (step(running)) {
            return true;
        }
    }
    return false;
}

/* Ends the hook and whatever it started. */
static void end_all(struct running *running)
{
    (void)kill(-running->pid, SIGTERM);
    if (!wait_until(running, now_ms() + GRACE_MS, NULL)) {
        (void)kill(-running->pid, SIGKILL);
        (void)waitpid(running->pid, &running->status, 0);
    }
    (void)kill(-running->pid, SIGKILL);
    drain_both(running);
}

/* The last line that says something, harmless. */
static void last_line(const struct buf *text, struct buf *out)
{
    size_t end = text->len;
    const char *data = buf_str(text);

    while (end > 0 && strchr(" \t\r\n", data[end - 1]) != NULL) {
        end--;
    }
    size_t begin = end;
    while (begin > 0 && data[begin - 1] != '\n') {
        begin--;
    }
    str_add_quotable(out, data + begin, end - begin, LAST_LINE_MAX);
}

static bool ended_badly(const struct running *running, const char *path, struct err *err)
{
    AUTO(buf) struct buf line = BUF_INIT(2048);

    last_line(&running->errors, &line);
    const char *said = line.len > 0 ? buf_str(&line) : "it said nothing on its standard error";
    if (WIFSIGNALED(running->status)) {
        return err_set(err, E_HOOK, "the hook '%s' was killed by signal %d: %s", path,
                       WTERMSIG(running->status), said);
    }
    return err_set(err, E_HOOK, "the hook '%s' ended with status %d: %s", path,
                   WEXITSTATUS(running->status), said);
}

static bool finish(struct running *running, const struct dcv_hook *hook, const char *path,
                   const volatile bool *stop, struct err *err)
{
    if (wait_until(running, running->end_ms, stop)) {
        return (WIFEXITED(running->status) && WEXITSTATUS(running->status) == 0) ||
               ended_badly(running, path, err);
    }
    end_all(running);
    if (stop != NULL && *stop) {
        return err_set(err, E_INTERRUPTED, "interrupted; the hook '%s' was ended", path);
    }
    return err_set(err, E_HOOK, "the hook '%s' did not end within %lld seconds and was ended", path,
                   (long long)(hook->timeout_ms / 1000));
}

static bool prepare(const struct dcv_hook *hook, enum dcv_step step_now, const char *path,
                    const struct dcv_record *record, const struct buf *output,
                    struct dcv_call *call, struct err *err)
{
    call->args[0] = str_dup(path);
    if (call->args[0] == NULL) {
        return err_nomem(err);
    }
    call->arg_count = 1;
    return build_env(hook, call, err) &&
           dcv_style_call(hook->style, hook->quoted, step_now, record, buf_str(output), call, err);
}

static void log_errors(const char *path, const struct buf *errors)
{
    AUTO(buf) struct buf line = BUF_INIT(2048);

    if (errors->len > 0) {
        last_line(errors, &line);
        log_line(LOG_DEBUG, "dcv", "%s: %s", path, buf_str(&line));
    }
}

bool dcv_hook_run(const struct dcv_hook *hook, enum dcv_step step_now,
                  const struct dcv_record *record, struct buf *output, struct err *err)
{
    AUTO(dcv_call) struct dcv_call call = {.arg_count = 0};
    bool publishes = step_now == DCV_PUBLISH;
    const char *path = publishes || hook->cleanup_path == NULL ? hook->path : hook->cleanup_path;
    AUTO(pipes) struct pipes pipes = {.out = {-1, -1}, .errors = {-1, -1}};
    struct running running = {.output = publishes ? output : NULL, .errors = BUF_INIT(ERRORS_MAX)};

    if (!prepare(hook, step_now, path, record, output, &call, err) || !open_pipes(&pipes, err)) {
        return false;
    }
    log_line(LOG_DEBUG, "dcv", "%s: %s", path, publishes ? "publish" : "remove");
    int rc = spawn(path, &call, &pipes, &running.pid);
    if (rc != 0) {
        return err_set_errno(err, E_HOOK, rc, "the hook '%s' could not be started", path);
    }
    close_fd(&pipes.out[1]);
    close_fd(&pipes.errors[1]);
    running.pipes = pipes;
    running.end_ms = now_ms() + hook->timeout_ms;
    bool ok = finish(&running, hook, path, publishes ? hook->stop : NULL, err);
    pipes = running.pipes;
    log_errors(path, &running.errors);
    buf_done(&running.errors);
    return ok;
}
