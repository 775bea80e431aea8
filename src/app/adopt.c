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

/* A certificate that is there already shows whether somebody mistook the id. */
static bool check_key(struct adoption *a, const struct order *order, struct err *err)
{
    AUTO(buf) struct buf answer = BUF_INIT(1 << 20);
    AUTO(x509_stack) STACK_OF(X509) *certs = NULL;
    AUTO(x509_stack) STACK_OF(X509) *chain = NULL;
    AUTO(x509) X509 *leaf = NULL;
    bool ready = false;

    if (!ca_collect(a->connection.ca, a->state, &ready, &answer, err)) {
        return false;
    }
    return !ready || (x509_bundle_parse(answer.data, answer.len, &certs, err) &&
                      x509_sort_answer(certs, order->spki_hash, &leaf, &chain, err));
}

static bool look(struct adoption *a, const struct order *order, const char *ca_order,
                 struct err *err)
{
    struct ca_status status;

    if (!ca_adopt(a->connection.ca, ca_order, &a->state, err) || !is_free(a, order, err)) {
        return false;
    }
    if (!ca_poll(a->connection.ca, a->state, &status, err) ||
        (status.phase == CA_ISSUED && !check_key(a, order, err))) {
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
