#include "cli/cli.h"

#include "base/buf.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { COLUMNS = 80, LINE_SIZE = 512 };

/* Ends the line that is rewritten in place, so that the next message has one of its own. */
void cli_progress_end(struct cli *cli)
{
    if (cli->line_open) {
        (void)fprintf(stderr, "\r\033[K");
        cli->line_open = false;
    }
}

enum { SPAN_SIZE = 48, SAID_MAX = 200 };

static void span(int64_t ms, char out[static SPAN_SIZE])
{
    int64_t s = (ms + 500) / 1000;

    if (s >= 120) {
        (void)snprintf(out, SPAN_SIZE, "%lld min %02lld s", (long long)(s / 60),
                       (long long)(s % 60));
    } else {
        (void)snprintf(out, SPAN_SIZE, "%lld s", (long long)s);
    }
}

void cli_progress(void *ctx, const struct order *order, int64_t elapsed_ms, int64_t wait_ms)
{
    struct cli *cli = ctx;
    char elapsed[SPAN_SIZE];
    char wait[SPAN_SIZE];

    if (cli->common.quiet) {
        return;
    }
    const char *doing = order_state_doing(order->state);
    if ((int)order->state != cli->shown_state && doing != NULL) {
        cli_progress_end(cli);
        (void)fprintf(stderr, "order %lld: %s\n", (long long)order->id, doing);
        cli->shown_state = (int)order->state;
    }
    if (wait_ms > 0 && cli->tty) {
        span(elapsed_ms, elapsed);
        span(wait_ms, wait);
        const char *said = order->ca_text != NULL ? order->ca_text : "?";
        AUTO(buf) struct buf safe = BUF_INIT(5 * SAID_MAX);
        str_add_quotable(&safe, said, strlen(said), SAID_MAX);
        (void)fprintf(stderr,
                      "\r\033[Korder %lld: waiting for %s; the CA says '%s'; asking again in %s",
                      (long long)order->id, elapsed, buf_str(&safe), wait);
        (void)fflush(stderr);
        cli->line_open = true;
    }
}

bool cli_shows_waiting(const struct cli *cli)
{
    return cli->tty && !cli->common.quiet && !cli->common.json;
}

/* A line that went on in the next one could not be taken back. */
static int columns(void)
{
    struct winsize size = {.ws_col = 0};

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : COLUMNS;
}

void cli_show_waiting(void *ctx, const struct app_waiting *waiting)
{
    struct cli *cli = ctx;
    AUTO(buf) struct buf line = BUF_INIT(LINE_SIZE);
    char next[SPAN_SIZE];

    buf_addf(&line, "%zu orders: %zu done, %zu failed, %zu open", waiting->count, waiting->done,
             waiting->failed, waiting->open);
    if (waiting->people > 0) {
        buf_addf(&line, " (%zu at people)", waiting->people);
    }
    if (waiting->left > 0) {
        buf_addf(&line, ", %zu left for later", waiting->left);
    }
    if (waiting->asking > 0) {
        buf_addf(&line, "; asking about %zu", waiting->asking);
    } else if (waiting->open > 0) {
        span(waiting->next_ms, next);
        buf_addf(&line, "; next in %s", next);
    }
    (void)fprintf(stderr, "\r\033[K%.*s", columns() - 1, buf_str(&line));
    (void)fflush(stderr);
    cli->line_open = true;
}
