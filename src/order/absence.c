#include "order/drive_impl.h"

#include <stdio.h>

/* A CA shows what it was sent after a delay that nobody documents; one look is no proof. */
enum { LOOKS_MIN = 3 };

bool order_is_absent(const struct order *order, int64_t after_s, int64_t now_s)
{
    return after_s >= 0 && !order->sent_again && order->absent_looks >= LOOKS_MIN &&
           now_s - order->absent_since_s >= after_s;
}

/* A clock that was set back has measured nothing, so it begins anew. */
static void count_look(struct order *order, int64_t now_s)
{
    if (order->absent_looks == 0 || now_s < order->absent_since_s) {
        order->absent_since_s = now_s;
        order->absent_looks = 0;
    }
    order->absent_looks++;
}

/* What comes of it, for the message. */
static void say_next(const struct run *run, char out[static 160])
{
    const struct order *order = run->order;
    int64_t after_s = run->drive->absence_after_s;

    if (!ca_can_show_absence(run->drive->ca) || after_s < 0) {
        (void)snprintf(out, 160, "it is never sent again by itself");
    } else if (order->sent_again) {
        (void)snprintf(out, 160, "it was sent again once already, and is not a second time");
    } else {
        (void)snprintf(
            out, 160,
            "it is sent once more if the CA shows nothing of it for %lld s (absence_after)",
            (long long)after_s);
    }
}

enum step order_run_absent(struct run *run)
{
    struct order *order = run->order;
    int64_t now_s = clock_wall_s(run->drive->clock);
    char next[160];
    char event[256];

    count_look(order, now_s);
    long long looks = (long long)order->absent_looks;
    long long since_s = (long long)(now_s - order->absent_since_s);
    if (ca_can_show_absence(run->drive->ca) &&
        order_is_absent(order, run->drive->absence_after_s, now_s)) {
        order->absent_looks = 0;
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
    say_next(run, next);
    (void)err_set(run->err, E_ORDER_AMBIGUOUS, "order %lld: the CA %s %s so far; %s",
                  (long long)order->id,
                  order->parent != NULL ? "shows no trace of what was asked for number"
                                        : "lists no order with the mark",
                  order->parent != NULL ? order->parent : order->mark, next);
    return STEP_WAIT;
}
