/* What must hold of each order, whatever was interrupted. */
#include "order/inspect.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char check[] = "orders";

/* What an order has to have in a state. */
enum {
    NEED_KEY = 1 << 0,
    NEED_CSR = 1 << 1,
    NEED_NUMBER = 1 << 2,
    NEED_ANSWER = 1 << 3,
    NEED_CERT = 1 << 4,
};

static unsigned needs_of(enum order_state state)
{
    switch (state) {
    case ORDER_PLANNED:
    case ORDER_ABANDONED: /* wherever it stood */
    case ORDER_STATES:
        break;
    case ORDER_KEY_READY:
        return NEED_KEY;
    case ORDER_SIGNED:
    case ORDER_AWAITING:
    case ORDER_DECLINED:
    case ORDER_SUBMITTING:
    case ORDER_AMBIGUOUS:
    case ORDER_NOT_ORDERED:
        return NEED_KEY | NEED_CSR;
    case ORDER_PENDING:
    case ORDER_WAITING:
    case ORDER_ISSUED:
    case ORDER_FAILED:
    case ORDER_REVOKED:
        return NEED_KEY | NEED_CSR | NEED_NUMBER;
    case ORDER_COLLECTED:
    case ORDER_REJECTED:
        return NEED_KEY | NEED_CSR | NEED_NUMBER | NEED_ANSWER;
    case ORDER_VERIFIED:
    case ORDER_DONE:
        return NEED_KEY | NEED_CSR | NEED_NUMBER | NEED_ANSWER | NEED_CERT;
    }
    return 0;
}

static bool is_there(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static bool has_key(const struct order *order)
{
    static const uint8_t none[X509_SPKI_HASH_LEN];

    return is_there(order->key_uri) && memcmp(order->spki_hash, none, sizeof(none)) != 0;
}

/* What is missing; NULL: nothing. */
static const char *missing(const struct order *order)
{
    unsigned needs = needs_of(order->state);
    /* the CA has the request of the certificate that it renews */
    bool no_csr = str_equal(order->origin, order_origin_name(ORIGIN_RENEW_SAME_KEY));

    if ((needs & NEED_KEY) != 0 && !has_key(order)) {
        return "which key it is for";
    }
    if ((needs & NEED_CSR) != 0 && !no_csr && !is_there(order->csr_pem)) {
        return "its certificate request";
    }
    if ((needs & NEED_NUMBER) != 0 &&
        (!is_there(order->ca_state) || !is_there(order->ca_order_id))) {
        return "its number at the CA";
    }
    if ((needs & NEED_ANSWER) != 0 && !is_there(order->answer_pem)) {
        return "what the CA sent";
    }
    if ((needs & NEED_CERT) != 0 && (!is_there(order->cert_pem) || !is_there(order->serial))) {
        return "its certificate";
    }
    return NULL;
}

static bool is_for_key(const struct order *order, const uint8_t hash[static X509_SPKI_HASH_LEN])
{
    return memcmp(hash, order->spki_hash, X509_SPKI_HASH_LEN) == 0;
}

static void check_csr(struct inspection *in, const struct order *order)
{
    AUTO(x509_req) X509_REQ *csr = NULL;
    uint8_t hash[X509_SPKI_HASH_LEN];
    struct err err = ERR_INIT;

    if (!is_there(order->csr_pem)) {
        return;
    }
    if (!x509_csr_parse(order->csr_pem, &csr, &err) || !x509_csr_spki_hash(csr, hash, &err)) {
        inspect_tell(in, check, JOURNAL_BAD, order->id, "its certificate request: %s", err.msg);
    } else if (!is_for_key(order, hash)) {
        inspect_tell(in, check, JOURNAL_BAD, order->id,
                     "its certificate request is for another key than the order");
    }
}

static void check_cert(struct inspection *in, const struct order *order)
{
    AUTO(x509_stack) STACK_OF(X509) *certs = NULL;
    uint8_t hash[X509_SPKI_HASH_LEN];
    struct err err = ERR_INIT;

    if (!is_there(order->cert_pem)) {
        return;
    }
    if (!x509_bundle_parse((const uint8_t *)order->cert_pem, strlen(order->cert_pem), &certs,
                           &err) ||
        !x509_cert_spki_hash(sk_X509_value(certs, 0), hash, &err)) {
        inspect_tell(in, check, JOURNAL_BAD, order->id, "its certificate: %s", err.msg);
    } else if (!is_for_key(order, hash)) {
        inspect_tell(in, check, JOURNAL_BAD, order->id,
                     "its certificate is for another key than the order");
    }
}

static bool is_intent(const char *event)
{
    return event != NULL && str_starts_with(event, "asking the CA to ");
}

/* What was begun at the CA, and how it ended is not written down. */
static void check_intent(struct inspection *in, const struct order *order, int64_t at_s,
                         const char *event)
{
    char since[CLOCK_TEXT_SIZE];

    clock_format(at_s, since);
    if (order->state == ORDER_SUBMITTING || order->state == ORDER_AMBIGUOUS) {
        inspect_tell(in, "intents", JOURNAL_RECOVER, order->id,
                     "%s (last entry %s): %s; 'p11enroll order wait %lld' asks it",
                     order_state_name(order->state), since, order_state_sentence(order->state),
                     (long long)order->id);
    } else if (is_intent(event)) {
        inspect_tell(in, "intents", JOURNAL_RECOVER, order->id,
                     "%s, at %s, and what came of it is not known: doing it again tells, and does "
                     "no harm",
                     event, since);
    }
}

/* The last entry was written with the state. */
static bool check_events(struct inspection *in, struct db_query *last, const struct order *order,
                         struct err *err)
{
    bool row = false;

    db_reset(last);
    db_bind_int(last, 1, order->id);
    if (!db_step(last, &row, err)) {
        return false;
    }
    if (!row) {
        inspect_tell(in, check, JOURNAL_BAD, order->id, "nothing is written down of what happened");
        return true;
    }
    const char *state = db_text(last, 1);
    if (!str_equal(state, order_state_name(order->state))) {
        inspect_tell(in, check, JOURNAL_BAD, order->id,
                     "it is '%s', and its last entry was made when it was '%.40s'",
                     order_state_name(order->state), state != NULL ? state : "");
    }
    check_intent(in, order, db_int(last, 0), db_text(last, 2));
    return true;
}

/* False: it cannot be read, which was told. */
static bool load(struct inspection *in, int64_t id, struct order *order)
{
    struct err err = ERR_INIT;

    if (journal_load(&in->journal, id, order, &err)) {
        return true;
    }
    inspect_tell(in, check, JOURNAL_BAD, id, "%s", err.msg);
    return false;
}

static bool check_one(struct inspection *in, struct db_query *last, int64_t id, bool open,
                      struct err *err)
{
    AUTO(order) struct order order;

    order_init(&order);
    in->out->orders++;
    in->out->open += open ? 1 : 0;
    if (!load(in, id, &order)) {
        return true;
    }
    const char *what = missing(&order);
    if (what != NULL) {
        inspect_tell(in, check, JOURNAL_BAD, id, "it is '%s', and the journal does not have %s",
                     order_state_name(order.state), what);
    }
    if (open == order_state_is_final(order.state)) {
        inspect_tell(in, check, JOURNAL_BAD, id, "it is '%s', and marked as %s",
                     order_state_name(order.state), open ? "open" : "ended");
    }
    if (!str_starts_with(order.mark, "p11e-")) {
        inspect_tell(in, check, JOURNAL_BAD, id,
                     "it has no mark by which the CA could be asked for it");
    }
    check_csr(in, &order);
    check_cert(in, &order);
    return check_events(in, last, &order, err);
}

static bool check_all(struct inspection *in, struct err *err)
{
    AUTO(db_query) struct db_query *each = NULL;
    AUTO(db_query) struct db_query *last = NULL;
    bool row = true;

    if (!db_query(in->journal.db, "SELECT id, open FROM orders ORDER BY id", &each, err) ||
        !db_query(
            in->journal.db,
            "SELECT at_s, state, text FROM events WHERE order_id = ? ORDER BY id DESC LIMIT 1",
            &last, err)) {
        return false;
    }
    while (row) {
        if (!db_step(each, &row, err) ||
            (row && !check_one(in, last, db_int(each, 0), db_int(each, 1) != 0, err))) {
            return false;
        }
    }
    return true;
}

/* Numbers at a CA belong to one order each, but to a replacement as well. */
static bool check_numbers(struct inspection *in, struct err *err)
{
    AUTO(db_query) struct db_query *query = NULL;
    bool row = true;

    if (!db_query(in->journal.db,
                  "SELECT max(id), min(id), ca_order_id, ca FROM orders WHERE ca_order_id IS NOT "
                  "NULL AND ca_order_id <> '' AND (origin IS NULL OR origin <> ?) "
                  "GROUP BY ca, kind, ca_order_id HAVING count(*) > 1",
                  &query, err)) {
        return false;
    }
    db_bind_text(query, 1, order_origin_name(ORIGIN_REPLACE));
    while (row) {
        if (!db_step(query, &row, err)) {
            return false;
        }
        if (row) {
            inspect_tell(in, check, JOURNAL_BAD, db_int(query, 0),
                         "it is number %.60s at the CA '%.60s', and so is order %lld",
                         db_text(query, 2), db_text(query, 3), (long long)db_int(query, 1));
        }
    }
    return true;
}

void inspect_orders(struct inspection *in)
{
    struct err err = ERR_INIT;

    in->faults = 0;
    if (!check_all(in, &err) || !check_numbers(in, &err)) {
        inspect_broken(in, check, &err);
    }
    if (in->faults == 0) {
        inspect_tell(in, check, JOURNAL_OK, 0, "%lld orders, %lld of them open",
                     (long long)in->out->orders, (long long)in->out->open);
    }
    if (in->out->recover == 0) {
        inspect_tell(in, "intents", JOURNAL_OK, 0,
                     "everything that was begun at a CA has its answer");
    }
}
