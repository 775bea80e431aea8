#include "app/app.h"

#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>

/* What one adoption works with. */
struct adoption {
    struct journal *journal;
    struct order_lock lock;
    struct app_ca connection;
    char *state; /* as it would be for that id */
};

static void adoption_done(struct adoption *a)
{
    free(a->state);
    app_ca_close(&a->connection);
    order_lock_release(&a->lock);
    journal_close(a->journal);
}

DEFINE_AUTO_DONE(adoption, struct adoption, adoption_done)

static bool check_state(const struct order *order, struct err *err)
{
    return order->state == ORDER_AMBIGUOUS || order->state == ORDER_SUBMITTING ||
           order->state == ORDER_NOT_ORDERED || /* it is there after all */
           err_set(
               err, E_USAGE,
               "order %lld is in the state '%s': only one of which it is not known whether the CA "
               "has it can be told what it is there",
               (long long)order->id, order_state_name(order->state));
}

static bool is_free(struct adoption *a, const struct order *order, struct err *err)
{
    char number[64];
    int64_t other = 0;

    ca_order_id(a->state, number);
    return journal_find_ca_order(a->journal, order->ca, order->kind, number, &other, err) &&
           (other == 0 || other == order->id ||
            (order->parent != NULL && str_equal(order->parent, number) &&
             str_equal(order->origin, order_origin_name(ORIGIN_REPLACE))) ||
            err_set(err, E_USAGE, "%s at the CA is order %lld already", number, (long long)other));
}

/* Whether certificates that are there already are for the order's key, or the one that is being
 * replaced still. */
static bool check_answer(const struct order *order, enum ca_how how, STACK_OF(X509) * certs,
                         struct err *err)
{
    AUTO(x509_stack) STACK_OF(X509) *chain = NULL;
    AUTO(x509) X509 *leaf = NULL;

    if (x509_sort_answer(certs, order->spki_hash, &leaf, &chain, err)) {
        return true;
    }
    if (how != CA_REPLACE || !order_has_old(order, certs)) {
        return false;
    }
    err_clear(err);
    return true;
}

/* A certificate that is there already shows whether somebody mistook the id. */
static bool check_key(struct adoption *a, const struct order *order, enum ca_how how,
                      struct err *err)
{
    AUTO(buf) struct buf answer = BUF_INIT(1 << 20);
    AUTO(x509_stack) STACK_OF(X509) *certs = NULL;
    bool ready = false;

    if (!ca_collect(a->connection.ca, a->state, &ready, &answer, err)) {
        return false;
    }
    return !ready || (x509_bundle_parse(answer.data, answer.len, &certs, err) &&
                      check_answer(order, how, certs, err));
}

/* A replacement has the number of what it replaces, so that number alone says nothing. */
static bool check_replaced(struct adoption *a, const struct ca_request *request, struct err *err)
{
    AUTO(ca_record) struct ca_record now = {.id = request->parent};
    char text[64];
    uint64_t number = 0;

    ca_order_id(a->state, text);
    if (request->how != CA_REPLACE || !str_to_u64(text, INT64_MAX, &number) ||
        (int64_t)number != request->parent) {
        return true;
    }
    if (!ca_record_of(a->connection.ca, request->kind, request->parent, &now, err)) {
        return false;
    }
    return now.phase != CA_ISSUED || !ca_same_serial(now.serial, request->parent_serial) ||
           err_set(err, E_CA_REFUSED,
                   "it is the certificate with the serial number %.80s still, which was to be "
                   "replaced: nothing shows that the CA has taken the replacement",
                   now.serial);
}

static bool look(struct adoption *a, const struct order *order, const char *ca_order,
                 struct err *err)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct ca_request request;
    struct ca_status status;

    if (!order_request(order, &names, &request, err) ||
        !ca_adopt(a->connection.ca, &request, ca_order, &a->state, err) ||
        !is_free(a, order, err)) {
        return false;
    }
    if (!ca_poll(a->connection.ca, a->state, &status, err) || !check_replaced(a, &request, err) ||
        (status.phase == CA_ISSUED && !check_key(a, order, request.how, err))) {
        return err_wrap(err, "order %lld cannot be '%.60s' at the CA", (long long)order->id,
                        ca_order);
    }
    return true;
}

bool app_adopt(struct app *app, int64_t id, const char *ca_order, struct order *order,
               struct err *err)
{
    AUTO(adoption) struct adoption a = {.lock = ORDER_LOCK_INIT};

    if (!app_journal(app, &a.journal, err) || !order_lock_take(a.journal, id, &a.lock, err) ||
        !journal_load(a.journal, id, order, err) || !check_state(order, err) ||
        !app_select_for(app, order, err) || !app_ca_open(app, &a.connection, err)) {
        return false;
    }
    log_set_order((long)id);
    return look(&a, order, ca_order, err) && order_adopt(a.journal, order, a.state, err) &&
           app_drive(app, a.journal, a.connection.ca, order, false, err);
}
