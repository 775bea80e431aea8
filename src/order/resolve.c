/* What a person knows of an order of which the CA and the journal do not. */
#include "order/journal_impl.h"

#include "base/str.h"

#include <stdio.h>

bool order_is_unsettled(const struct order *order, struct err *err)
{
    return order->state == ORDER_SUBMITTING || order->state == ORDER_AMBIGUOUS ||
           err_set(err, E_USAGE,
                   "order %lld is in the state '%s' (%s): there is nothing to settle, only of an "
                   "order whose answer was lost it is not known whether the CA has it",
                   (long long)order->id, order_state_name(order->state),
                   order_state_sentence(order->state));
}

bool journal_last_sent(struct journal *journal, int64_t id, int64_t *out, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    bool row = false;

    if (!db_query(
            journal->db,
            "SELECT at_s FROM events WHERE order_id = ? AND state = ? ORDER BY id DESC LIMIT 1",
            &query, err)) {
        return false;
    }
    db_bind_int(query, 1, id);
    db_bind_text(query, 2, order_state_name(ORDER_SUBMITTING));
    if (!db_step(query, &row, err)) {
        return false;
    }
    *out = row ? db_int(query, 0) : 0;
    return true;
}

bool order_settle_not_ordered(struct journal *journal, struct order *order, bool again,
                              const char *why, struct err *err)
{
    AUTO(buf) struct buf event = BUF_INIT(4096);
    enum order_state from = order->state;
    char user[ORDER_USER_MAX];

    if (!order_is_unsettled(order, err)) {
        return false;
    }
    order_user(user);
    buf_addf(&event, "%s says that the CA does not have it, and that it %s: %.1000s", user,
             again ? "may be sent again" : "is not to be sent", why);
    if (!buf_ok(&event)) {
        return err_nomem(err);
    }
    if (!order_set(&order->last_error, NULL, err)) {
        return false;
    }
    order->state = again ? ORDER_SIGNED : ORDER_NOT_ORDERED;
    order->sent_again = true; /* not by itself a third time */
    if (!journal_save(journal, order, buf_str(&event), err)) {
        order->state = from;
        return false;
    }
    return true;
}
