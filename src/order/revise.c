#include "order/order.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* Moves to a state that may follow, and writes that down. */
static bool change(struct journal *journal, struct order *order, enum order_state to,
                   const char *event, struct err *err)
{
    enum order_state from = order->state;

    order->state = to;
    if (!journal_save(journal, order, event, err)) {
        order->state = from;
        return false;
    }
    return true;
}

bool order_has_requester(const struct order *order, const char *who)
{
    size_t len = strlen(who);

    for (const char *p = order->requester; p != NULL; p = strchr(p, ',')) {
        p += *p == ',' ? 1 : 0;
        if (strncmp(p, who, len) == 0 && (p[len] == '\0' || p[len] == ',')) {
            return true;
        }
    }
    return false;
}

static bool take_text(char **field, const char *value, bool *changed, struct err *err)
{
    if (str_equal(*field, value)) {
        return true;
    }
    *changed = true;
    return order_set(field, value, err);
}

static void take_numbers(struct order *order, const struct order *wish, bool *changed)
{
    *changed = *changed || order->product_id != wish->product_id ||
               order->term_days != wish->term_days || order->send_names != wish->send_names;
    order->product_id = wish->product_id;
    order->term_days = wish->term_days;
    order->send_names = wish->send_names;
}

bool order_is_fresh(const struct order *order, struct err *err)
{
    return order->state == ORDER_PLANNED ||
           err_set(err, E_ORDER_BUSY,
                   "order %lld was taken up by another process as soon as it was begun, and is in "
                   "the state '%s' now; 'p11enroll order show %lld' tells more",
                   (long long)order->id, order_state_name(order->state), (long long)order->id);
}

/* Whoever takes an order up has a hand in it from then on, and none of them may approve it. */
bool order_add_requester(struct order *order, const char *who, bool *changed, struct err *err)
{
    AUTO(str) char *both = NULL;

    if (who == NULL || order_has_requester(order, who)) {
        return true;
    }
    *changed = true;
    if (order->requester == NULL) {
        return order_set(&order->requester, who, err);
    }
    if (asprintf(&both, "%s,%s", order->requester, who) < 0) {
        both = NULL;
        return err_nomem(err);
    }
    return order_set(&order->requester, both, err);
}

bool order_approve_anew(struct journal *journal, struct order *order, struct err *err)
{
    if (order->state == ORDER_AWAITING) {
        return change(journal, order, ORDER_SIGNED,
                      "settings taken as they are configured now; it is to be approved anew", err);
    }
    return journal_save(journal, order, "settings taken as they are configured now", err);
}

bool order_revise(struct journal *journal, struct order *order, const struct order *wish,
                  struct err *err)
{
    bool changed = false;

    if (order_state_is_sent(order->state) || order_state_is_final(order->state)) {
        return true;
    }
    take_numbers(order, wish, &changed);
    if (!take_text(&order->ca, wish->ca, &changed, err) ||
        !take_text(&order->profile, wish->profile, &changed, err) ||
        !take_text(&order->token, wish->token, &changed, err) ||
        !take_text(&order->product, wish->product, &changed, err) ||
        !take_text(&order->comments, wish->comments, &changed, err) ||
        !take_text(&order->external_requester, wish->external_requester, &changed, err) ||
        !take_text(&order->custom_fields, wish->custom_fields, &changed, err) ||
        !take_text(&order->optional_fields, wish->optional_fields, &changed, err) ||
        !take_text(&order->validation, wish->validation, &changed, err) ||
        !order_add_requester(order, wish->requester, &changed, err)) {
        return false;
    }
    bool is_signed = order->state == ORDER_SIGNED || order->state == ORDER_AWAITING;
    if (!is_signed && !take_text(&order->subject, wish->subject, &changed, err)) {
        return false;
    }
    /* A key that somebody else made is looked for anew; one of ours may be on the token already. */
    bool may_rename = order->state == ORDER_PLANNED && !order->key_is_ours && wish->key_uri != NULL;
    if (may_rename && !take_text(&order->key_uri, wish->key_uri, &changed, err)) {
        return false;
    }
    return !changed || order_approve_anew(journal, order, err);
}

bool order_abandon(struct journal *journal, struct order *order, struct err *err)
{
    long long id = (long long)order->id;

    if (order->state == ORDER_ABANDONED) {
        return true;
    }
    if (order_state_may_follow(order->state, ORDER_ABANDONED)) {
        return change(journal, order, ORDER_ABANDONED,
                      order->sent_again
                          ? "abandoned; it was sent once, and the CA showed nothing of it"
                          : "abandoned",
                      err);
    }
    if (order->state == ORDER_SUBMITTING || order->state == ORDER_AMBIGUOUS) {
        return err_set(
            err, E_ORDER_AMBIGUOUS,
            "order %lld cannot be abandoned: the CA may have it, and what it has must be "
            "ended there",
            id);
    }
    return err_set(err, E_USAGE,
                   "order %lld cannot be abandoned: it was sent to the CA and is in the state '%s'",
                   id, order_state_name(order->state));
}

bool order_decline_late(struct journal *journal, struct order *order, const char *event,
                        struct err *err)
{
    return order_set(&order->last_error, event, err) &&
           change(journal, order, ORDER_DECLINED, event, err);
}

bool order_revoked(struct journal *journal, struct order *order, const char *event, struct err *err)
{
    if (!order_state_may_follow(order->state, ORDER_REVOKED)) {
        return journal_save(journal, order, event, err);
    }
    return order_set(&order->ca_text, "Revoked", err) &&
           change(journal, order, ORDER_REVOKED, event, err);
}

bool order_look_again(struct journal *journal, struct order *order, struct err *err)
{
    return order->state != ORDER_REJECTED || order->answer_pem == NULL ||
           change(journal, order, ORDER_COLLECTED, "the certificate is checked again", err);
}

bool order_collect_again(struct journal *journal, struct ca *ca, struct order *order, bool *fresh,
                         struct err *err)
{
    AUTO(buf) struct buf answer = BUF_INIT(1 << 20);
    AUTO(buf) struct buf pem = BUF_INIT(1 << 20);
    AUTO(x509_stack) STACK_OF(X509) *certs = NULL;
    bool ready = false;
    bool stale = false;

    *fresh = false;
    if (!ca_collect(ca, order->ca_state, &ready, &answer, err)) {
        return false;
    }
    if (!ready) {
        err_clear(err);
        return err_set(err, E_ORDER_PENDING, "it has none for now");
    }
    if (!x509_bundle_parse(answer.data, answer.len, &certs, err) ||
        !order_is_stale(order, certs, &stale, err) || stale ||
        !x509_chain_to_pem(certs, &pem, err)) {
        return false;
    }
    if (str_equal(order->answer_pem, buf_str(&pem))) {
        return true;
    }
    *fresh = order_set(&order->answer_pem, buf_str(&pem), err) &&
             change(journal, order, ORDER_COLLECTED, "the CA gives another certificate now", err);
    return *fresh;
}

bool order_adopt(struct journal *journal, struct order *order, const char *ca_state,
                 struct err *err)
{
    char number[64];
    char event[64 + ORDER_USER_MAX + 64];
    char user[ORDER_USER_MAX];

    ca_order_id(ca_state, number);
    order_user(user);
    (void)snprintf(event, sizeof(event), "%s found it at the CA as order %s", user, number);
    return order_set(&order->ca_state, ca_state, err) &&
           order_set(&order->ca_order_id, number, err) &&
           order_set(&order->last_error, NULL, err) &&
           change(journal, order, ORDER_PENDING, event, err);
}
