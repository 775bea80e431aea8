#include "order/drive_impl.h"

#include <stdio.h>

/* A CA shows what it was sent after a delay that nobody documents; one look is no proof. */
enum { LOOKS_MIN = 3 };

bool order_is_absent(const struct order *order, int64_t after_s)
{
    return after_s >= 0 && !order->sent_again && order->absent_looks >= LOOKS_MIN &&
           order->absent_for_s >= after_s;
}

void order_count_look(struct order *order, int64_t after_s, int64_t now_s)
{
    int64_t gap_s = order->absent_looks > 0 ? now_s - order->absent_last_s : 0;
    int64_t most_s = after_s / 2 + 1; /* a clock that is set forward is half of the time at most */

    if (gap_s > 0) { /* one that was set back has measured nothing */
        order->absent_for_s += gap_s < most_s ? gap_s : most_s;
    }
    order->absent_last_s = now_s;
    order->absent_looks++;
}

void order_forget_looks(struct order *order)
{
    order->absent_last_s = 0;
    order->absent_for_s = 0;
    order->absent_looks = 0;
}

/* What comes of it, for the message. */
static void say_next(const struct run *run, bool shows, char out[static 160])
{
    const struct order *order = run->order;
    int64_t after_s = run->drive->absence_after_s;

    if (order->sent_again) {
        (void)snprintf(out, 160, "it was sent again once already, and is not a second time");
    } else if (!shows || after_s < 0) {
        (void)snprintf(out, 160, "it is never sent again by itself; 'p11enroll order resolve %lld'",
                       (long long)order->id);
    } else {
        (void)snprintf(
            out, 160,
            "it is sent once more if the CA shows nothing of it for %lld s (absence_after)",
            (long long)after_s);
    }
}

enum step order_run_absent(struct run *run, const struct ca_request *request)
{
    struct order *order = run->order;
    int64_t now_s = clock_wall_s(run->drive->clock);
    char next[160];
    char event[256];

    bool shows = ca_can_show_absence(run->drive->ca, request);

    order_count_look(order, run->drive->absence_after_s, now_s);
    long long looks = (long long)order->absent_looks;
    long long since_s = (long long)order->absent_for_s;
    if (shows && order_is_absent(order, run->drive->absence_after_s)) {
        order->sent_again = true;
        return order_run_go(run, ORDER_SIGNED,
                            "the CA has shown nothing of it for %lld s, asked %lld times: it did "
                            "not get it; it is sent once more",
                            since_s, looks);
    }
    (void)snprintf(event, sizeof(event), "asked the CA (%lld.): nothing of it is there", looks);
    if (!journal_save(run->drive->journal, order, event, run->err)) {
        return STEP_STOP;
    }
    say_next(run, shows, next);
    (void)err_set(run->err, E_ORDER_AMBIGUOUS, "order %lld: the CA %s %s so far; %s",
                  (long long)order->id,
                  order->parent != NULL ? "shows no trace of what was asked for number"
                                        : "lists no order with the mark",
                  order->parent != NULL ? order->parent : order->mark, next);
    return STEP_WAIT;
}
