/* Requests that wait at the CA, and its records: approve, decline, correct; and collecting what the
 * CA has in a form that somebody else wants. */

#include "app/app.h"
#include "app/plan.h"

#include "base/log.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The order of ours behind the CA's number; id 0: the journal does not know it. */
struct ours {
    struct journal *journal;
    struct order order;
    struct order_lock lock;
};

static void ours_done(struct ours *ours)
{
    order_lock_release(&ours->lock);
    order_done(&ours->order);
    journal_close(ours->journal);
}

DEFINE_AUTO_DONE(ours, struct ours, ours_done)

static bool find_ours(struct app *app, int64_t number, struct ours *ours, struct err *err)
{
    int64_t id = 0;

    if (!app_journal(app, &ours->journal, err) ||
        !app_find_ca_order(app, ours->journal, number, &id, err)) {
        return false;
    }
    return id == 0 || (order_lock_take(ours->journal, id, &ours->lock, err) &&
                       journal_load(ours->journal, id, &ours->order, err));
}

static enum ca_kind kind_of(const struct app *app, const struct order *order)
{
    enum ca_kind kind = (enum ca_kind)app->selection.profile->kind;

    if (order->kind != NULL && !ca_kind_parse(order->kind, &kind)) {
        return CA_KIND_TLS;
    }
    return order->id != 0 && order->kind == NULL ? CA_KIND_TLS : kind;
}

/* What happened at the CA has happened, whether or not the journal can say so. */
static void note(struct ours *ours, const char *event)
{
    struct err err = ERR_INIT;

    if (ours->order.id != 0 && !journal_save(ours->journal, &ours->order, event, &err)) {
        log_line(LOG_WARN, "order", "%s", err.msg);
    }
}

/* What the record says after the decision; if it cannot be read, nothing that is out of date. */
static void read_again(struct ca *ca, const struct ca_decision *sent, struct ca_record *record)
{
    struct err err = ERR_INIT;
    struct ca_record now = {.id = 0};

    if (ca_record_of(ca, sent->kind, sent->id, &now, &err)) {
        ca_record_done(record);
        *record = now;
        return;
    }
    ca_record_done(&now);
    log_line(LOG_WARN, "request", "what the CA says after the decision could not be read: %s",
             err.msg);
    free(record->status);
    record->status = NULL;
}

bool app_request_decide(struct app *app, const struct app_request_decision *decision,
                        struct ca_record *record, struct err *err)
{
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    AUTO(ours) struct ours ours = {.lock = ORDER_LOCK_INIT};
    const char *verb = decision->approve ? "approved" : "declined";
    char event[700];

    order_init(&ours.order);
    if (!find_ours(app, decision->id, &ours, err) || !app_ca_open(app, &connection, err)) {
        return false;
    }
    struct ca_decision sent = {.kind = kind_of(app, &ours.order),
                               .id = decision->id,
                               .approve = decision->approve,
                               .message = decision->message};
    if (!ca_record_of(connection.ca, sent.kind, sent.id, record, err)) {
        return false;
    }
    (void)snprintf(event, sizeof(event), "asking the CA to have it %s: '%.520s'", verb,
                   decision->message);
    note(&ours, event);
    if (ca_decide(connection.ca, &sent, err) == CA_DONE) {
        (void)snprintf(event, sizeof(event), "%s at the CA by this account", verb);
        note(&ours, event);
        read_again(connection.ca, &sent, record);
        return true;
    }
    note(&ours, err->msg);
    return err_wrap(err, "request %lld at CA '%s' was not %s", (long long)decision->id,
                    app->selection.ca->name, verb);
}

/* A request of ours keeps its key: the certificate would be of no use otherwise. */
static bool check_csr(const struct ours *ours, const struct ca_update *update, struct err *err)
{
    AUTO(x509_req) X509_REQ *csr = NULL;
    uint8_t hash[X509_SPKI_HASH_LEN];

    if (update->csr_pem == NULL) {
        return true;
    }
    if (!x509_csr_parse(update->csr_pem, &csr, err) || !x509_csr_spki_hash(csr, hash, err)) {
        return err_wrap(err, "--csr");
    }
    return ours->order.id == 0 || memcmp(hash, ours->order.spki_hash, sizeof(hash)) == 0 ||
           err_set(err, E_USAGE,
                   "the new certificate request is for another key than order %lld has",
                   (long long)ours->order.id);
}

/* From now on it is in the way of other orders than before. */
static bool follow_dedupe(const struct app *app, struct order *order,
                          const struct ca_update *update, struct err *err)
{
    AUTO(x509_names) struct x509_names kept = X509_NAMES_INIT;

    if (update->names == NULL && update->product_id == 0) {
        return true;
    }
    if (update->names == NULL && !x509_names_add_list(&kept, order->names, err)) {
        return false;
    }
    return plan_dedupe(app, update->names != NULL ? update->names : &kept, order, err);
}

/* What the certificate has to be from now on. */
static bool follow(const struct app *app, struct ours *ours, const struct ca_update *update,
                   struct err *err)
{
    struct order *order = &ours->order;
    AUTO(str)
    char *names = update->names != NULL ? x509_names_join(update->names, ',') : NULL;

    if (order->id == 0) {
        return true;
    }
    order->term_days = update->term_days != 0 ? update->term_days : order->term_days;
    order->product_id = update->product_id != 0 ? update->product_id : order->product_id;
    return (names == NULL || order_set(&order->names, names, err)) &&
           (update->csr_pem == NULL || order_set(&order->csr_pem, update->csr_pem, err)) &&
           follow_dedupe(app, order, update, err) &&
           journal_save(ours->journal, order, "its request was changed at the CA", err);
}

/* Another product has to be one that may be ordered here. */
static bool check_product(const struct app *app, struct ca *ca, const struct ca_update *update,
                          struct err *err)
{
    AUTO(ca_products) struct ca_products products = {.list = NULL};
    const struct ca_product *product = NULL;
    char id[24];

    if (update->product_id == 0 || app->selection.ca->catalog == NULL) {
        return true;
    }
    (void)snprintf(id, sizeof(id), "%lld", (long long)update->product_id);
    return ca_products_of(ca, update->kind, &products, err) &&
           ca_product_find(&products, id, &product, err) &&
           app_check_catalog(&app->selection, &products, product, err);
}

/* How the product is called, the record says. */
static bool take_product(struct ours *ours, const struct ca_update *update,
                         const struct ca_record *record, struct err *err)
{
    return ours->order.id == 0 || update->product_id == 0 ||
           (order_set(&ours->order.product, record->product, err) &&
            journal_save(ours->journal, &ours->order, "it is another product now", err));
}

/* New comments keep our mark: an order whose answer was lost is found again by it. */
static bool keep_mark(const struct ours *ours, struct ca_update *update, struct buf *comments,
                      struct err *err)
{
    if (ours->order.id == 0 || update->comments == NULL) {
        return true;
    }
    buf_addf(comments, "%s %s", ours->order.mark, update->comments);
    update->comments = buf_str(comments);
    return buf_ok(comments) || err_set(err, E_USAGE, "--comments: longer than the CA takes");
}

bool app_update(struct app *app, struct ca_update *update, struct ca_record *record,
                struct err *err)
{
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    AUTO(ours) struct ours ours = {.lock = ORDER_LOCK_INIT};
    AUTO(buf) struct buf comments = BUF_INIT(1024);

    order_init(&ours.order);
    if (!find_ours(app, update->id, &ours, err) ||
        (ours.order.id != 0 && !app_select_for(app, &ours.order, err)) ||
        !app_approval_allows(app, &ours.order, update, err) || !check_csr(&ours, update, err) ||
        !keep_mark(&ours, update, &comments, err) || !app_ca_open(app, &connection, err)) {
        return false;
    }
    update->kind = kind_of(app, &ours.order);
    if (!check_product(app, connection.ca, update, err)) {
        return false;
    }
    if (update->custom_fields != NULL &&
        !ca_check_fields(connection.ca, update->kind, update->custom_fields, err)) {
        return false;
    }
    if (ca_update(connection.ca, update, err) != CA_DONE) {
        note(&ours, err->msg);
        return err_wrap(err, "record %lld at CA '%s'", (long long)update->id,
                        app->selection.ca->name);
    }
    return follow(app, &ours, update, err) &&
           ca_record_of(connection.ca, update->kind, update->id, record, err) &&
           take_product(&ours, update, record, err);
}

bool app_collect_as(struct app *app, int64_t id, const char *format, struct buf *out,
                    struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    AUTO(order) struct order order;
    bool ready = false;

    order_init(&order);
    if (!journal_open(app->state_dir, app->clock, &journal, err) ||
        !journal_load(journal, id, &order, err) || !app_select_for(app, &order, err)) {
        return false;
    }
    if (order.ca_order_id == NULL || order.ca_order_id[0] == '\0') {
        return err_set(err, E_USAGE,
                       "order %lld is in the state '%s': the CA has given it no number, so there "
                       "is nothing to collect",
                       (long long)id, order_state_name(order.state));
    }
    if (!app_ca_open(app, &connection, err) ||
        !ca_collect_as(connection.ca, order.ca_state, format, &ready, out, err)) {
        return err_wrap(err, "order %lld", (long long)id);
    }
    return ready || err_set(err, E_ORDER_PENDING,
                            "order %lld (%s at the CA): the certificate cannot be collected yet",
                            (long long)id, order.ca_order_id);
}
