#include "cli/cli.h"

#include "base/buf.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1024, SLICE_MS = 200 };

static bool put(int fd, const char *text)
{
    size_t len = strlen(text);

    return write(fd, text, len) == (ssize_t)len;
}

/* Waits for a byte in slices, so that a signal is seen whenever it comes. 1: read; 0: the end. */
static int read_byte(int fd, const volatile bool *stop, char *out)
{
    for (;;) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        if (stop != NULL && *stop) {
            return -1;
        }
        int ready = poll(&waiting, 1, SLICE_MS);
        if (ready == 0 || (ready < 0 && errno == EINTR)) {
            continue;
        }
        ssize_t got = read(fd, out, 1);
        if (got >= 0 || errno != EINTR) {
            return got == 1 ? 1 : 0;
        }
    }
}

/* Reads up to a line end, byte by byte, so that nothing of the secret stays in a stdio buffer. */
static bool read_line(int fd, const volatile bool *stop, struct secret *out, struct err *err)
{
    if (!secret_set(out, "", 0, err)) {
        return false;
    }
    for (;;) {
        char c = 0;
        int got = read_byte(fd, stop, &c);
        if (got < 0) {
            return err_set(err, E_INTERRUPTED, "interrupted");
        }
        if (got == 0) {
            return err_set(err, E_PIN_NEEDED, "nothing was typed");
        }
        if (c == '\n' || c == '\r') {
            return true;
        }
        if (out->len == LINE_MAX_BYTES) {
            return err_set(err, E_USAGE, "that is too long");
        }
        if (!secret_append(out, &c, 1, err)) {
            return false;
        }
    }
}

/* The terminal while it does not echo, for a signal handler; per process by nature. */
static struct termios echoing;
static volatile sig_atomic_t silent_fd = -1;

void cli_prompt_restore(void)
{
    if (silent_fd >= 0) {
        (void)tcsetattr(silent_fd, TCSANOW, &echoing);
    }
}

/* Asks without echo; the terminal is as before afterwards. */
static bool ask(int fd, const char *what, const volatile bool *stop, struct secret *out,
                struct err *err)
{
    struct termios silent = echoing;
    AUTO(buf) struct buf asks = BUF_INIT(LINE_MAX_BYTES);

    silent.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
    silent_fd = fd;
    str_add_quotable(&asks, what, strlen(what), LINE_MAX_BYTES / 5); /* a token chose its label */
    buf_add_str(&asks, ": ");
    bool asked = tcsetattr(fd, TCSAFLUSH, &silent) == 0 && put(fd, buf_str(&asks));
    bool ok = asked ? read_line(fd, stop, out, err)
                    : err_set(err, E_IO, "the terminal cannot be used to ask for the %s", what);
    (void)tcsetattr(fd, TCSAFLUSH, &echoing);
    silent_fd = -1;
    (void)put(fd, "\n");
    return ok;
}

bool cli_prompt(void *ctx, const char *what, struct secret *out, struct err *err)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

    if (fd < 0 || tcgetattr(fd, &echoing) != 0) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return err_set(err, E_PIN_NEEDED, "there is no terminal to ask for the %s", what);
    }
    bool ok = ask(fd, what, ctx, out, err);
    (void)close(fd);
    if (!ok) {
        secret_done(out);
    }
    return ok;
}
