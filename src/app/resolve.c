#include "app/app.h"

#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>

/* What one settlement works with. */
struct settlement {
    struct journal *journal;
    struct order_lock lock;
    struct app_ca connection;
    char *state; /* what the CA shows; NULL: nothing */
};

static void settlement_done(struct settlement *s)
{
    free(s->state);
    app_ca_close(&s->connection);
    order_lock_release(&s->lock);
    journal_close(s->journal);
}

DEFINE_AUTO_DONE(settlement, struct settlement, settlement_done)

/* That there is nothing to look in is an answer of some CAs: then a person's word is all there is.
 */
static bool ask(struct settlement *s, const struct order *order, bool *found,
                struct app_resolved *out, struct err *err)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct ca_request request;

    *found = false;
    if (!order_request(order, &names, &request, err)) {
        return false;
    }
    if (ca_find_submitted(s->connection.ca, &request, found, &s->state, err)) {
        out->asked = true;
        return true;
    }
    if (err->code == E_ORDER_AMBIGUOUS) {
        err_clear(err);
        return true;
    }
    return err_wrap(err,
                    "nothing was changed: order %lld may be at the CA, and it could not be asked",
                    (long long)order->id);
}

/* What the CA shows may be another order of ours for the same names. */
static bool is_other(struct settlement *s, const struct order *order, const char *number,
                     bool *other, struct err *err)
{
    int64_t id = 0;

    if (!journal_find_ca_order(s->journal, order->ca, order->kind, number, &id, err)) {
        return false;
    }
    *other =
        id != 0 && id != order->id && !str_equal(order->origin, order_origin_name(ORIGIN_REPLACE));
    return true;
}

static bool check_absence(struct settlement *s, const struct order *order, struct app_resolved *out,
                          struct err *err)
{
    bool found = false;
    bool other = false;
    char number[64];

    if (!ask(s, order, &found, out, err)) {
        return false;
    }
    if (!found) {
        return true;
    }
    ca_order_id(s->state, number);
    if (!is_other(s, order, number, &other, err)) {
        return false;
    }
    return other || err_set(err, E_ORDER_PENDING,
                            "nothing was changed: the CA has order %lld, as number %s; 'p11enroll "
                            "order wait %lld' goes on with it",
                            (long long)order->id, number, (long long)order->id);
}

bool app_resolve(struct app *app, const struct app_resolve *request, struct order *order,
                 struct app_resolved *out, struct err *err)
{
    AUTO(settlement) struct settlement s = {.lock = ORDER_LOCK_INIT};
    int64_t id = request->order;

    *out = (struct app_resolved){.sent_s = 0};
    if (!app_journal(app, &s.journal, err) || !order_lock_take(s.journal, id, &s.lock, err) ||
        !journal_load(s.journal, id, order, err) || !order_is_unsettled(order, err) ||
        !journal_last_sent(s.journal, id, &out->sent_s, err) || !app_select_for(app, order, err) ||
        !app_ca_open(app, &s.connection, err)) {
        return false;
    }
    log_set_order((long)id);
    if (!check_absence(&s, order, out, err)) {
        return false;
    }
    if (!request->confirmed) {
        return err_set(
            err, E_USAGE,
            "nothing was changed: %s, but a CA may show an order later than that, and "
            "one that it has is paid for whatever is said here; with --yes order %lld %s",
            out->asked ? "the CA shows no such order"
                       : "the CA does not tell whether it has the order",
            (long long)id,
            request->again ? "is sent again when it is waited for"
                           : "is closed, and not sent again");
    }
    return order_settle_not_ordered(s.journal, order, request->again, request->why, err);
}
