#include "base/log.h"

#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096 };

/* One of the two places with process-wide state (the other is hsm/module.c): there is one stderr.
 */
static struct {
    pthread_mutex_t lock;
    _Atomic(enum log_level) level; /* asked at each PKCS#11 call, and in forked children */
    int fd;
    long order_id;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = LOG_WARN, .fd = -1};

static const char *const level_names[] = {"error", "warn", "info", "debug", "trace"};

bool log_level_parse(const char *name, enum log_level *out)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (str_equal_nocase(name, level_names[i])) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

void log_set_level(enum log_level level)
{
    state.level = level;
}

bool log_open_file(const char *path, struct err *err)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0) {
        return err_set_errno(err, E_IO, errno, "opening the log file %s", path);
    }
    pthread_mutex_lock(&state.lock);
    if (state.fd >= 0) {
        (void)close(state.fd);
    }
    state.fd = fd;
    pthread_mutex_unlock(&state.lock);
    return true;
}

void log_set_order(long order_id)
{
    pthread_mutex_lock(&state.lock);
    state.order_id = order_id;
    pthread_mutex_unlock(&state.lock);
}

bool log_enabled(enum log_level level)
{
    return level <= state.level;
}

/* Keeps a line one line that says what it shows: what is not to be shown, or no UTF-8, becomes '?'.
 * Returns the length that is left. */
static size_t flatten(char *line, size_t len)
{
    size_t put = 0;

    for (size_t i = 0; i < len;) {
        uint32_t code = 0;
        size_t step = str_char((const uint8_t *)line + i, len - i, &code);
        if (step > 0 && str_char_is_shown(code)) {
            memmove(line + put, line + i, step);
            put += step;
        } else {
            line[put++] = '?';
        }
        i += step > 0 ? step : 1;
    }
    return put;
}

static void emit(int fd, const char *line, size_t len)
{
    ssize_t put;

    do {
        put = write(fd, line, len);
    } while (put < 0 && errno == EINTR);
}

void log_line(enum log_level level, const char *area, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    char now[CLOCK_TEXT_SIZE];
    struct clock clock = clock_system(NULL);
    va_list args;

    if (!log_enabled(level)) {
        return;
    }
    clock_format(clock_wall_s(&clock), now);
    pthread_mutex_lock(&state.lock);
    int used = state.order_id > 0
                   ? snprintf(line, sizeof(line), "%s %-5s %s order=%ld: ", now, level_names[level],
                              area, state.order_id)
                   : snprintf(line, sizeof(line), "%s %-5s %s: ", now, level_names[level], area);
    size_t len = used > 0 ? (size_t)used : 0;
    va_start(args, fmt);
    int more = vsnprintf(line + len, sizeof(line) - len - 1, fmt, args);
    va_end(args);
    len += more > 0 ? (size_t)more : 0;
    len = len < sizeof(line) - 2 ? len : sizeof(line) - 2;
    len = flatten(line, len);
    line[len++] = '\n';
    emit(STDERR_FILENO, line, len);
    if (state.fd >= 0) {
        emit(state.fd, line, len);
    }
    pthread_mutex_unlock(&state.lock);
}

void log_close(void)
{
    pthread_mutex_lock(&state.lock);
    if (state.fd >= 0) {
        (void)close(state.fd);
        state.fd = -1;
    }
    pthread_mutex_unlock(&state.lock);
}
