#include "app/plan.h"

#include "base/log.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* What one renewal or replacement works with. */
struct work {
    struct app *app;
    const struct app_reissue *request;
    struct journal *journal;
    struct app_ca connection;
    struct order_lock lock;
    struct order parent; /* id 0: the journal does not know it */
    enum ca_kind kind;
    int64_t number; /* the CA's, of what there is */
    struct ca_record record;
    struct x509_names names;
    struct wish wish;
};

static void work_done(struct work *work)
{
    order_lock_release(&work->lock);
    order_done(&work->wish.order);
    order_done(&work->parent);
    x509_names_done(&work->names);
    ca_record_done(&work->record);
    app_ca_close(&work->connection);
    journal_close(work->journal);
}

DEFINE_AUTO_DONE(work, struct work, work_done)

static const char *verb_of(const struct app_reissue *request)
{
    return request->replace ? "replaced" : "renewed";
}

/* The number that the CA gave the order. */
static bool take_number(struct work *work, struct err *err)
{
    char text[64];
    uint64_t number = 0;

    ca_order_id(work->parent.ca_state, text);
    bool is_number = str_to_u64(text, INT64_MAX, &number) && number != 0;
    if (!is_number && text[0] != '\0') {
        return err_set(err, E_USAGE,
                       "order %lld is '%s' at the CA, which is no number, and what is no number "
                       "cannot be %s over the CA's API; 'p11enroll enroll --again' orders anew",
                       (long long)work->parent.id, text, verb_of(work->request));
    }
    if (!is_number) {
        return err_set(err, E_USAGE,
                       "order %lld is in the state '%s': the CA has given it no number, so there "
                       "is nothing to be %s",
                       (long long)work->parent.id, order_state_name(work->parent.state),
                       verb_of(work->request));
    }
    work->number = (int64_t)number;
    return true;
}

/* The order of ours behind the CA's number, if there is one. */
static bool find_parent(struct work *work, int64_t *id, struct err *err)
{
    work->number = work->request->ca_order;
    return app_find_ca_order(work->app, work->journal, work->number, id, err);
}

/* Settles what is renewed or replaced, and with which sections. */
static bool settle(struct work *work, struct err *err)
{
    int64_t id = work->request->order;

    if (id == 0 && !find_parent(work, &id, err)) {
        return false;
    }
    if (id != 0 && (!journal_load(work->journal, id, &work->parent, err) ||
                    !take_number(work, err) || !app_select_for(work->app, &work->parent, err))) {
        return false;
    }
    work->kind = id != 0 ? CA_KIND_TLS : (enum ca_kind)work->app->selection.profile->kind;
    if (work->parent.kind != NULL && !ca_kind_parse(work->parent.kind, &work->kind)) {
        return err_set(err, E_JOURNAL, "order %lld is of a kind this program does not know",
                       (long long)id);
    }
    return app_ca_open(work->app, &work->connection, err) &&
           ca_record_of(work->connection.ca, work->kind, work->number, &work->record, err);
}

/* A number can have another certificate by now: then its key is not the one that we know. */
static bool check_serial(const struct work *work, struct err *err)
{
    const struct order *parent = &work->parent;
    const char *now = work->record.serial;

    if (parent->serial != NULL && now == NULL) {
        return err_set(err, E_CA_REFUSED,
                       "the CA says no serial number of number %lld now, so nobody can tell "
                       "whether it is the certificate of order %lld still; try again when it does",
                       (long long)work->number, (long long)parent->id);
    }
    return parent->serial == NULL || ca_same_serial(parent->serial, now) ||
           err_set(err, E_CA_REFUSED,
                   "number %lld at the CA is a certificate with the serial number %.80s now, and "
                   "not %.80s, which order %lld got: it was replaced there; name the order that "
                   "replaced it, or --ca-order with --new-key or --key",
                   (long long)work->number, now, parent->serial, (long long)parent->id);
}

static bool check_record(const struct work *work, struct err *err)
{
    const struct ca_record *record = &work->record;
    bool expired = str_equal_nocase(record->status, "expired");
    long long number = (long long)work->number;

    if (record->phase != CA_ISSUED && !(expired && !work->request->replace)) {
        return err_set(err, E_CA_REFUSED,
                       "number %lld at the CA is in the state '%.40s', and only a certificate that "
                       "is issued can be %s",
                       number, record->status, verb_of(work->request));
    }
    if (record->renewed && !work->request->replace && !work->request->again) {
        return err_set(err, E_ORDER_EXISTS,
                       "the CA says that number %lld was renewed already; to renew it once more "
                       "nevertheless, add --again",
                       number);
    }
    bool by_number = work->request->order == 0;
    bool own_key = work->request->new_key || work->request->key_uri != NULL;
    return (by_number && own_key) || check_serial(work, err);
}

/* The names are the certificate's, unless a replacement gets others. */
static bool take_names(struct work *work, struct err *err)
{
    const struct x509_names *given = work->request->names;
    struct err unusable = ERR_INIT;

    for (size_t i = 0; given != NULL && i < given->count; i++) {
        if (!x509_names_add(&work->names, given->list[i], err)) {
            return false;
        }
    }
    if (work->names.count > 0) {
        return true;
    }
    const char *cn = work->record.common_name;
    const char *list = work->record.names;
    if ((cn != NULL && x509_name_kind(cn) == X509_NAME_DNS && strlen(cn) > 0 &&
         !x509_names_add(&work->names, cn, &unusable)) ||
        (list != NULL && !x509_names_add_list(&work->names, list, &unusable))) {
        x509_names_done(&work->names);
    }
    if (work->names.count == 0 && work->parent.names != NULL) {
        return x509_names_add_list(&work->names, work->parent.names, err);
    }
    return work->names.count > 0 ||
           err_set(err, E_CA_REFUSED, "the CA says of number %lld no name that can be used",
                   (long long)work->number);
}

/* The key that is used again is the one of the journal. */
static bool same_key(const struct work *work, const char **uri, struct err *err)
{
    if (work->parent.id == 0 || work->parent.key_uri == NULL) {
        return err_set(err, E_USAGE,
                       "the journal does not know which key number %lld at the CA has: name one "
                       "with --key, or let --new-key make one",
                       (long long)work->number);
    }
    *uri = work->parent.key_uri;
    return true;
}

/* The product of what there is has to be one that may be ordered here, and to take such keys. */
static bool check_product(struct work *work, bool same, struct err *err)
{
    struct order *order = &work->wish.order;
    AUTO(ca_products) struct ca_products products = {.list = NULL};
    const struct ca_product *product = NULL;
    int64_t term = 0;
    char id[24];

    if (order->product_id == 0) {
        return work->app->selection.ca->catalog == NULL ||
               err_set(err, E_POLICY,
                       "the CA does not say which product number %lld is, so it cannot be told "
                       "whether the catalog of [ca:%s] has it",
                       (long long)work->number, work->app->selection.ca->name);
    }
    (void)snprintf(id, sizeof(id), "%lld", (long long)order->product_id);
    if (!ca_products_of(work->connection.ca, work->kind, &products, err) ||
        !ca_product_find(&products, id, &product, err) ||
        !app_check_catalog(&work->app->selection, &products, product, err)) {
        return false;
    }
    return order_set(&order->product, product->name, err) &&
           order_set(&order->validation, ca_product_is_ev(product) ? "EV" : NULL, err) &&
           (same || ca_product_check(product, work->wish.kind, &term, err));
}

/* What kind of key it will be; one that is used again has to be the one that is meant. */
static bool check_key(struct work *work, const struct app_enroll *enroll, bool same,
                      struct err *err)
{
    struct wish *wish = &work->wish;

    if (!plan_look_at_key(work->app, enroll, wish, err)) {
        return false;
    }
    return !same || memcmp(wish->spki_hash, work->parent.spki_hash, sizeof(wish->spki_hash)) == 0 ||
           err_set(err, E_POLICY, "the key %s is not the one that order %lld was made with",
                   enroll->key_uri, (long long)work->parent.id);
}

static enum order_origin origin_of(const struct app_reissue *request)
{
    bool same = !request->new_key && request->key_uri == NULL;

    return request->replace ? ORIGIN_REPLACE : same ? ORIGIN_RENEW_SAME_KEY : ORIGIN_RENEW;
}

/* What the journal will say of it beside the key. */
static bool plan_texts(struct work *work, struct err *err)
{
    struct order *order = &work->wish.order;
    const struct order *parent = &work->parent;
    const struct config_profile *p = work->app->selection.profile;
    enum order_origin origin = origin_of(work->request);
    AUTO(str) char *names = x509_names_join(&work->names, ',');
    char number[24];
    char user[ORDER_USER_MAX];

    (void)snprintf(number, sizeof(number), "%lld", (long long)work->number);
    if (names == NULL) {
        return err_nomem(err);
    }
    bool said = work->record.product_id != 0; /* the list of persons' certificates does not */
    order->product_id = said ? work->record.product_id : parent->product_id;
    order->term_days = work->record.term_days != 0 ? work->record.term_days : parent->term_days;
    order->send_names = work->request->names != NULL ? CA_NAMES_ALWAYS : CA_NAMES_NEVER;
    order_user(user);
    return order_set(&order->requester, user, err) &&
           (parent->validation == NULL || order_set(&order->validation, parent->validation, err)) &&
           order_new_mark(order->mark, err) && order_set(&order->names, names, err) &&
           order_set(&order->ca, work->app->selection.ca->name, err) &&
           order_set(&order->token, work->app->selection.token->name, err) &&
           order_set(&order->profile, p->name, err) &&
           order_set(&order->subject, parent->id != 0 ? parent->subject : p->subject, err) &&
           order_set(&order->product, said ? work->record.product : parent->product, err) &&
           order_set(&order->comments, parent->id != 0 ? parent->comments : p->comments, err) &&
           order_set(&order->kind, work->kind == CA_KIND_TLS ? NULL : ca_kind_name(work->kind),
                     err) &&
           order_set(&order->origin, order_origin_name(origin), err) &&
           order_set(&order->parent, number, err) &&
           order_set(&order->parent_serial, work->record.serial, err) &&
           order_set(&order->reason, work->request->reason, err);
}

static bool plan(struct work *work, struct err *err)
{
    struct order *order = &work->wish.order;
    bool same = !work->request->new_key && work->request->key_uri == NULL;
    struct app_enroll enroll = {.names = &work->names, .key_uri = work->request->key_uri};

    if (same && !same_key(work, &enroll.key_uri, err)) {
        return false;
    }
    if (!plan_check_kind(work->app, &enroll, &work->wish, err) || !plan_texts(work, err) ||
        !check_key(work, &enroll, same, err) || !check_product(work, same, err) ||
        !plan_key(work->app, &enroll, &work->wish, err) ||
        !app_approval_check(work->app, order, err) ||
        !order_check(work->connection.ca, order, err) ||
        !order_look(work->journal, work->connection.ca, order, work->request->again, err)) {
        return false;
    }
    return work->parent.dedupe != NULL ? order_set(&order->dedupe, work->parent.dedupe, err)
                                       : plan_dedupe(work->app, &work->names, order, err);
}

/* Everything that can be found out before a key is made and an order is written down. */
static bool prepare(struct work *work, struct err *err)
{
    return x509_roots_check(work->app->selection.profile->issuer_roots, err) &&
           check_record(work, err) && take_names(work, err) && plan(work, err);
}

/* An order that does the same already; *other 0: there is none, or it does not matter. */
static bool find_other(struct work *work, int64_t *other, struct err *err)
{
    struct order *order = &work->wish.order;
    struct app_enroll enroll = {.key_uri = work->request->key_uri};
    char number[24];

    *other = 0;
    (void)snprintf(number, sizeof(number), "%lld", (long long)work->number);
    if (!order_set(&order->kind, work->kind == CA_KIND_TLS ? NULL : ca_kind_name(work->kind),
                   err) ||
        !order_set(&order->ca, work->app->selection.ca->name, err) ||
        !order_set(&order->origin, order_origin_name(origin_of(work->request)), err) ||
        !order_set(&order->parent, number, err)) {
        return false;
    }
    if (work->request->again) {
        return true;
    }
    return journal_same(work->journal, order, other, err) &&
           (*other == 0 || enroll.key_uri == NULL ||
            plan_look_at_key(work->app, &enroll, &work->wish, err));
}

/* True if the order that there is already prevents another one. */
static bool is_in_the_way(const struct work *work, const struct order *order, struct err *err)
{
    long long id = (long long)order->id;
    const char *verb = verb_of(work->request);
    char until[CLOCK_TEXT_SIZE];

    if (order->state == ORDER_DONE) {
        clock_format(order->not_after_s, until);
        return !err_set(err, E_ORDER_EXISTS,
                        "order %lld %s number %lld already, until %s; to do it once more "
                        "nevertheless, add --again",
                        id, verb, (long long)work->number, until);
    }
    if (order->state == ORDER_REJECTED) {
        return !err_set(err, E_ORDER_EXISTS,
                        "order %lld %s number %lld, and its certificate did not pass the checks; "
                        "'p11enroll order wait %lld' checks it again, and to do it once more "
                        "nevertheless, add --again",
                        id, verb, (long long)work->number, id);
    }
    bool named = work->request->key_uri != NULL && order->state != ORDER_PLANNED &&
                 memcmp(order->spki_hash, work->wish.spki_hash, sizeof(order->spki_hash)) != 0;
    if (named || !str_equal(order->origin, work->wish.order.origin)) {
        bool sent = order_state_is_sent(order->state);
        return !err_set(err, E_ORDER_EXISTS,
                        "order %lld is under way for number %lld with another key; 'p11enroll "
                        "order %s %lld' %s it, and to do it once more nevertheless, add --again",
                        id, (long long)work->number, sent ? "wait" : "abandon", id,
                        sent ? "continues" : "ends");
    }
    return false;
}

/* One that was not sent is sent for today's reason, and for the names that were signed. */
static bool revise(struct work *work, struct order *order, struct err *err)
{
    const struct app_reissue *request = work->request;
    long long id = (long long)order->id;
    bool named = order->send_names == CA_NAMES_ALWAYS;
    AUTO(str) char *names = request->names != NULL ? x509_names_join(request->names, ',') : NULL;

    if (order_state_is_sent(order->state)) {
        return true;
    }
    char user[ORDER_USER_MAX];
    bool changed = false;
    order_user(user);
    if (!order_add_requester(order, user, &changed, err)) {
        return false;
    }
    if (!request->replace) {
        return !changed || order_approve_anew(work->journal, order, err);
    }
    if (named != (names != NULL) || (named && !str_equal(order->names, names))) {
        return err_set(err, E_ORDER_EXISTS,
                       "order %lld is under way for number %lld with other names and was not sent; "
                       "'p11enroll order abandon %lld' ends it",
                       id, (long long)work->number, id);
    }
    if (!str_equal(order->reason, request->reason)) {
        changed = true;
        if (!order_set(&order->reason, request->reason, err)) {
            return false;
        }
    }
    return !changed || order_approve_anew(work->journal, order, err);
}

/* It goes on with the sections it was begun with: their rules, roots and token are its own. */
static bool follow(struct work *work, const struct order *order, struct err *err)
{
    const struct config_ca *before = work->app->selection.ca;

    if (!app_select_for(work->app, order, err)) {
        return false;
    }
    if (work->app->selection.ca == before) {
        return true;
    }
    app_ca_close(&work->connection);
    return app_ca_open(work->app, &work->connection, err);
}

static bool take_up(struct work *work, int64_t id, struct order *order, struct err *err)
{
    log_set_order((long)id);
    if (!order_lock_take(work->journal, id, &work->lock, err)) {
        return false;
    }
    return journal_load(work->journal, id, order, err) && !is_in_the_way(work, order, err) &&
           revise(work, order, err) && follow(work, order, err);
}

static bool begin(struct work *work, struct order *order, struct err *err)
{
    int64_t other = 0;

    if (!prepare(work, err) ||
        !journal_add(work->journal, &work->wish.order, work->request->again, &other, err)) {
        return false;
    }
    if (other != 0) { /* somebody else was faster */
        return err_set(err, E_ORDER_BUSY, "order %lld for the same was begun just now",
                       (long long)other);
    }
    int64_t id = work->wish.order.id;

    order_done(order);
    log_set_order((long)id);
    return order_lock_take(work->journal, id, &work->lock, err) &&
           journal_load(work->journal, id, order, err) && order_is_fresh(order, err);
}

/* Best effort: the order that was renewed or replaced says so, too. */
static void tell_parent(struct work *work, const struct order *order)
{
    AUTO(order_lock) struct order_lock lock = ORDER_LOCK_INIT;
    AUTO(order) struct order parent;
    struct err err = ERR_INIT;
    char event[80];

    order_init(&parent);
    (void)snprintf(event, sizeof(event), "%s by order %lld", verb_of(work->request),
                   (long long)order->id);
    if (work->parent.id != 0 && (!order_lock_take(work->journal, work->parent.id, &lock, &err) ||
                                 !journal_load(work->journal, work->parent.id, &parent, &err) ||
                                 !journal_save(work->journal, &parent, event, &err))) {
        log_line(LOG_WARN, "order", "%s", err.msg);
    }
}

bool app_reissue(struct app *app, const struct app_reissue *request, struct order *order,
                 struct app_result *result, struct err *err)
{
    AUTO(work)
    struct work work = {.app = app, .request = request, .lock = ORDER_LOCK_INIT};
    int64_t other = 0;

    *result = (struct app_result){.continued = false};
    order_init(&work.parent);
    order_init(&work.wish.order);
    if (!app_journal(app, &work.journal, err) || !settle(&work, err) ||
        !find_other(&work, &other, err)) {
        return false;
    }
    if (!(other != 0 ? take_up(&work, other, order, err) : begin(&work, order, err))) {
        return false;
    }
    result->continued = other != 0;
    if (!app_drive(app, work.journal, work.connection.ca, order, false, err)) {
        return false;
    }
    tell_parent(&work, order);
    return true;
}
