#include "cli/cli.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

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
