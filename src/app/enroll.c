#include "app/plan.h"

#include "base/log.h"
#include "base/str.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What needs neither the CA nor the token. */
bool plan_check_profile(const struct config_selection *selection, struct err *err)
{
    const struct config_profile *p = selection->profile;

    if (config_product(selection) == NULL && !ca_type_has_fixed_product(selection->ca->type)) {
        return err_set(err, E_CONFIG,
                       "no product is configured ('product' in the profile or the CA section; "
                       "'p11enroll products' lists them)");
    }
    if (p->issuer_roots == NULL) {
        return err_set(err, E_CONFIG,
                       "no roots are configured for issued certificates "
                       "('issuer_roots' in the profile)");
    }
    return x509_roots_check(p->issuer_roots, err);
}

/* Of the key that is named, or of the one that will be made. */
bool plan_look_at_key(struct app *app, const struct app_enroll *request, struct wish *wish,
                      struct err *err)
{
    struct keystore_token token = app_token(app->selection.token);
    AUTO(keystore_key) struct keystore_key key = {.pkey = NULL};

    if (request->key_uri == NULL) {
        return keystore_login(app->keystore, &token, err);
    }
    if (!keystore_find(app->keystore, &token, request->key_uri, &key, err) ||
        !keystore_check_strength(&key, err) || !app_check_kind(app->selection.ca, key.kind, err) ||
        !x509_spki_hash(key.pkey, wish->spki_hash, err)) {
        return false;
    }
    wish->has_key = true;
    memcpy(wish->kind, key.kind, sizeof(key.kind));
    return true;
}

/* What kind of key will be made; the policy and the CA must want such a key. */
bool plan_check_kind(struct app *app, const struct app_enroll *request, struct wish *wish,
                     struct err *err)
{
    const struct config_profile *p = app->selection.profile;
    AUTO(buf) struct buf text = BUF_INIT(POLICY_TEXT_MAX);
    struct keystore_policy policy;

    return request->key_uri != NULL ||
           (app_policy(app->config, config_key_policy(&app->selection), &text, &policy, err) &&
            keystore_policy_kind(&policy, p->key_type, wish->kind, err) &&
            app_check_kind(app->selection.ca, wish->kind, err));
}

/* The account has one product; some of them want its number nevertheless. */
static bool take_fixed_product(const struct config_selection *selection, struct order *order,
                               struct err *err)
{
    const struct config_ca *ca = selection->ca;
    const char *given = config_product(selection);
    struct ca_products none = {.list = NULL};
    uint64_t number = 0;

    if (given != NULL && !str_to_u64(given, INT64_MAX, &number)) {
        return err_set(err, E_CONFIG,
                       "product: at this API an account has one product of its own; leave "
                       "'product' out, or give its number, not '%.80s'",
                       given);
    }
    if (number == 0 && ca->catalog != NULL) {
        return err_set(err, E_POLICY,
                       "at this API an account does not tell its product, so it cannot be held "
                       "against the catalog of [ca:%s]: give its number as 'product', or leave the "
                       "catalog out",
                       ca->name);
    }
    order->product_id = (int64_t)number;
    struct ca_product product = {.id = order->product_id, .name = (char[]){APP_OWN_PRODUCT}};
    return app_check_catalog(selection, &none, &product, err) &&
           order_set(&order->product, product.name, err);
}

/* What the CA and the token can tell. */
static bool preflight(struct app *app, struct ca *ca, const struct app_enroll *request,
                      struct wish *wish, struct err *err)
{
    struct order *order = &wish->order;
    AUTO(ca_products) struct ca_products products = {.list = NULL};
    const struct ca_product *product = NULL;
    const struct config_profile *p = app->selection.profile;

    order->term_days = config_term_days(&app->selection);
    if (ca_type_has_fixed_product(app->selection.ca->type)) {
        return take_fixed_product(&app->selection, order, err) && ca_products(ca, &products, err) &&
               plan_look_at_key(app, request, wish, err);
    }
    if (!ca_products_of(ca, (enum ca_kind)p->kind, &products, err) ||
        !app_check_organization(&app->selection, ca, err) ||
        !ca_product_find(&products, config_product(&app->selection), &product, err) ||
        !app_check_catalog(&app->selection, &products, product, err) ||
        !ca_check_fields(ca, (enum ca_kind)p->kind, p->custom_fields, err) ||
        !plan_look_at_key(app, request, wish, err) ||
        !ca_product_check(product, wish->kind, &order->term_days, err)) {
        return false;
    }
    order->product_id = product->id;
    return order_set(&order->product, product->name, err) &&
           order_set(&order->validation, ca_product_is_ev(product) ? "EV" : NULL, err);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/*
 * Orders of the same thing have the same text: where it is ordered, what, for which token, and for
 * which names in any order. The key is not part of it: there are many ways to write one key, and
 * none of them may order a second time.
 */
bool plan_dedupe(const struct app *app, const struct x509_names *names, struct order *order,
                 struct err *err)
{
    AUTO(buf) struct buf text = BUF_INIT(256 * 1024);
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    AUTO(buf) struct buf hex = BUF_INIT(2 * EVP_MAX_MD_SIZE);
    AUTO(mem) void *memory = calloc(names->count, sizeof(char *));
    char **sorted = memory;

    if (sorted == NULL) {
        return err_nomem(err);
    }
    const struct config_token *token = app->selection.token;
    memcpy(sorted, names->list, names->count * sizeof(char *));
    qsort(sorted, names->count, sizeof(char *), by_text);
    buf_addf(&text, "%s\n%lld\n%lld\n%s\n%s\n", app->selection.ca->url,
             (long long)config_org_id(&app->selection), (long long)order->product_id, token->name,
             app_has_section(token->name) || token->uri == NULL ? "" : token->uri);
    if (ca_type_has_fixed_product(app->selection.ca->type)) {
        buf_addf(&text, "%s\n", app->selection.ca->client_id); /* whose product it is */
    }
    for (size_t i = 0; i < names->count; i++) {
        buf_addf(&text, "%s\n", sorted[i]);
    }
    buf_add_str(&text, order->kind != NULL ? order->kind : "");
    if (!buf_ok(&text) ||
        EVP_Digest(buf_str(&text), text.len, hash, &len, EVP_sha256(), NULL) != 1) {
        return err_set_ssl(err, E_INTERNAL, "hashing the order's names");
    }
    str_add_hex(&hex, hash, len, '\0');
    return order_set(&order->dedupe, buf_str(&hex), err);
}

/* The profile's label, or the policy's. */
static const char *label_of(const struct app *app)
{
    const struct config_profile *p = app->selection.profile;
    const char *name = config_key_policy(&app->selection);
    const struct config_policy *policy =
        name != NULL ? config_policy_named(app->config, name) : NULL;

    return p->label != NULL                          ? p->label
           : policy != NULL && policy->label != NULL ? policy->label
                                                     : CONFIG_LABEL;
}

bool plan_key(struct app *app, const struct app_enroll *request, struct wish *wish, struct err *err)
{
    struct order *order = &wish->order;

    if (request->key_uri != NULL) {
        order->key_is_ours = false;
        return order_set(&order->key_uri, request->key_uri, err);
    }
    order->key_is_ours = true;
    return keystore_new_id(order->key_id, &order->key_id_len, err) &&
           order_set(&order->key_type, wish->kind, err) &&
           order_set(&order->key_left_out, "", err) &&
           order_set(&order->key_label, label_of(app), err);
}

const char *plan_kind_name(const struct config_profile *profile)
{
    enum ca_kind kind = (enum ca_kind)profile->kind;

    return kind == CA_KIND_TLS ? NULL : ca_kind_name(kind);
}

static bool plan(struct app *app, const struct app_enroll *request, struct wish *wish,
                 struct err *err)
{
    const struct config_profile *p = app->selection.profile;
    struct order *order = &wish->order;
    AUTO(str) char *names = x509_names_join(request->names, ',');
    char user[ORDER_USER_MAX];

    order->state = ORDER_PLANNED;
    order->send_names = p->san == CONFIG_SAN_ALWAYS  ? CA_NAMES_ALWAYS
                        : p->san == CONFIG_SAN_NEVER ? CA_NAMES_NEVER
                                                     : CA_NAMES_AUTO;
    if (names == NULL) {
        return err_nomem(err);
    }
    order_user(user);
    return order_set(&order->requester, user, err) && order_new_mark(order->mark, err) &&
           order_set(&order->names, names, err) &&
           order_set(&order->ca, app->selection.ca->name, err) &&
           order_set(&order->token, app->selection.token->name, err) &&
           order_set(&order->profile, p->name, err) &&
           order_set(&order->subject, p->subject, err) &&
           order_set(&order->comments, p->comments, err) &&
           order_set(&order->external_requester, config_requester(&app->selection), err) &&
           order_set(&order->custom_fields, p->custom_fields, err) &&
           order_set(&order->optional_fields, p->optional_fields, err) &&
           order_set(&order->person, p->person, err) &&
           order_set(&order->kind, plan_kind_name(p), err) && plan_key(app, request, wish, err) &&
           plan_dedupe(app, request->names, order, err);
}

/* Whether a key was named now that is not the one the order was begun with. */
static bool has_other_key(const struct order *order, const struct wish *wish)
{
    if (!wish->has_key) {
        return false;
    }
    if (order->state == ORDER_PLANNED) { /* its hash is not known before the key is */
        return order->key_is_ours;
    }
    return memcmp(order->spki_hash, wish->spki_hash, sizeof(wish->spki_hash)) != 0;
}

/* True if nothing may be ordered because of that order; err says why then. */
static bool is_in_the_way(const struct order *order, const struct wish *wish, struct err *err)
{
    char until[CLOCK_TEXT_SIZE];
    long long id = (long long)order->id;

    if (order->state == ORDER_DONE) {
        clock_format(order->not_after_s, until);
        return !err_set(err, E_ORDER_EXISTS,
                        "order %lld got a certificate for these names, valid until %s; to order "
                        "another one nevertheless, add --again",
                        id, until);
    }
    if (order->state == ORDER_REJECTED) {
        return !err_set(err, E_ORDER_EXISTS,
                        "order %lld got a certificate for these names that did not pass the "
                        "checks; 'p11enroll order wait %lld' checks it again, and to order another "
                        "one nevertheless, add --again",
                        id, id);
    }
    if (has_other_key(order, wish)) {
        bool sent = order_state_is_sent(order->state);
        return !err_set(err, E_ORDER_EXISTS,
                        "order %lld for these names is under way with another key; 'p11enroll "
                        "order %s %lld' %s it, and to order another one nevertheless, add --again",
                        id, sent ? "wait" : "abandon", id, sent ? "continues" : "ends");
    }
    return false;
}

/* "EC P-256" of an order whose key may still be named as the configuration does. */
static void kind_of(const struct order *order, char out[static 32])
{
    struct err ignored = ERR_INIT;

    if (!keystore_kind_name(order->key_type, out, &ignored)) {
        (void)snprintf(out, 32, "%s", order->key_type);
    }
}

/* A continued order stays as it is; where today's request differs, a warning says so. */
static void tell_differences(const struct order *order, const struct wish *wish)
{
    long long id = (long long)order->id;
    char kind[32];

    if (order_state_is_sent(order->state)) {
        if (!str_equal(order->profile, wish->order.profile)) {
            log_line(LOG_WARN, "enroll",
                     "order %lld is continued with the profile '%s' it was made with, not '%s'", id,
                     order->profile, wish->order.profile);
        }
        if (order->term_days != wish->order.term_days) {
            log_line(LOG_WARN, "enroll",
                     "order %lld is continued with its term of %lld days, not %lld", id,
                     (long long)order->term_days, (long long)wish->order.term_days);
        }
    }
    if (order->key_type == NULL) {
        return;
    }
    kind_of(order, kind);
    if (!str_equal(kind, wish->kind)) {
        log_line(LOG_WARN, "enroll",
                 "order %lld is continued with its %s key, not with a key of the kind %s%s", id,
                 kind, wish->kind,
                 order_state_is_sent(order->state) ? "" : " ('p11enroll order abandon' ends it)");
    }
}

/* What one run holds. */
struct enrolment {
    struct app *app;
    struct journal *journal;
    struct app_ca connection;
    struct order_lock lock;
    struct wish wish;
};

static void enrolment_done(struct enrolment *e)
{
    order_done(&e->wish.order);
    order_lock_release(&e->lock);
    app_ca_close(&e->connection);
    journal_close(e->journal);
}

DEFINE_AUTO_DONE(enrolment, struct enrolment, enrolment_done)

/* An order that the CA has goes on with the sections it was made with. */
static bool follow(struct enrolment *e, const struct order *order, struct err *err)
{
    const struct config_ca *before = e->app->selection.ca;

    if (!app_select_for(e->app, order, err)) {
        return false;
    }
    if (e->app->selection.ca == before) {
        return true;
    }
    app_ca_close(&e->connection);
    return app_ca_open(e->app, &e->connection, err);
}

/* The journal has an order of the same thing: it is taken up, or in the way. */
static bool take_up(struct enrolment *e, int64_t id, struct order *order, struct err *err)
{
    log_set_order((long)id);
    if (!journal_load(e->journal, id, order, err) || is_in_the_way(order, &e->wish, err) ||
        !order_lock_take(e->journal, id, &e->lock, err)) {
        return false;
    }
    /* Somebody else may have brought it on between the look and the lock. */
    order_done(order);
    if (!journal_load(e->journal, id, order, err) || is_in_the_way(order, &e->wish, err)) {
        return false;
    }
    tell_differences(order, &e->wish);
    return order_state_is_sent(order->state) ? follow(e, order, err)
                                             : order_revise(e->journal, order, &e->wish.order, err);
}

/* The order that was wished for is now in the journal. */
static bool begin(struct enrolment *e, struct order *order, struct err *err)
{
    int64_t id = e->wish.order.id;

    order_done(order);
    log_set_order((long)id);
    return order_lock_take(e->journal, id, &e->lock, err) &&
           journal_load(e->journal, id, order, err) && order_is_fresh(order, err);
}

/* Everything that can be found out before a key is made and an order is written down. */
static bool prepare(struct enrolment *e, const struct app_enroll *request, struct err *err)
{
    return plan_check_profile(&e->app->selection, err) &&
           plan_check_kind(e->app, request, &e->wish, err) &&
           app_journal(e->app, &e->journal, err) && app_ca_open(e->app, &e->connection, err) &&
           preflight(e->app, e->connection.ca, request, &e->wish, err) &&
           plan(e->app, request, &e->wish, err) &&
           app_approval_check(e->app, &e->wish.order, err) &&
           order_check(e->connection.ca, &e->wish.order, err);
}

bool app_enroll(struct app *app, const struct app_enroll *request, struct order *order,
                struct app_result *result, struct err *err)
{
    AUTO(enrolment) struct enrolment e = {.app = app, .lock = ORDER_LOCK_INIT};
    int64_t other = 0;

    *result = (struct app_result){.continued = false};
    if (!prepare(&e, request, err) ||
        !journal_add(e.journal, &e.wish.order, request->again, &other, err)) {
        return false;
    }
    if (!(other != 0 ? take_up(&e, other, order, err) : begin(&e, order, err))) {
        return false;
    }
    result->continued = other != 0;
    return app_drive(app, e.journal, e.connection.ca, order, false, err);
}
