#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1024 };

static bool put(int fd, const char *text)
{
    size_t len = strlen(text);

    return write(fd, text, len) == (ssize_t)len;
}

/* Reads up to a line end, byte by byte, so that nothing of the secret stays in a stdio buffer. */
static bool read_line(int fd, const volatile bool *stop, struct secret *out, struct err *err)
{
    if (!secret_set(out, "", 0, err)) {
        return false;
    }
    for (;;) {
        char c = 0;
        ssize_t got = read(fd, &c, 1);
        if (stop != NULL && *stop) {
            return err_set(err, E_INTERRUPTED, "interrupted");
        }
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
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

bool cli_prompt(void *ctx, const char *what, struct secret *out, struct err *err)
{
    struct termios before;
    struct termios silent;
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

    if (fd < 0 || tcgetattr(fd, &before) != 0) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return err_set(err, E_PIN_NEEDED, "there is no terminal to ask for the %s", what);
    }
    silent = before;
    silent.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
    bool ok = tcsetattr(fd, TCSAFLUSH, &silent) == 0 && put(fd, what) && put(fd, ": ") &&
              read_line(fd, ctx, out, err);
    (void)tcsetattr(fd, TCSAFLUSH, &before);
    (void)put(fd, "\n");
    (void)close(fd);
    if (!ok) {
        secret_done(out);
    }
    return ok || err->code != E_NONE ||
           err_set(err, E_IO, "the terminal cannot be used to ask for the %s", what);
}
