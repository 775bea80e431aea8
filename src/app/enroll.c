#include "app/app.h"

#include "base/log.h"
#include "base/str.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/* Kind of the key that will be used: of the one that is named, or of the one that will be made. */
static bool key_kind(struct app *app, const struct app_enroll *request, char out[static 32],
                     struct err *err)
{
    struct keystore_token token = app_token(app->selection.token);
    AUTO(keystore_key) struct keystore_key key = {.pkey = NULL};

    if (request->key_uri == NULL) {
        return keystore_kind_name(app->selection.profile->key_type, out, err) &&
               keystore_login(app->keystore, &token, err);
    }
    if (!keystore_find(app->keystore, &token, request->key_uri, &key, err)) {
        return false;
    }
    memcpy(out, key.kind, sizeof(key.kind));
    return true;
}

/* Everything that can be found out before a key is made and an order is written down. */
static bool preflight(struct app *app, struct ca *ca, const struct app_enroll *request,
                      struct order *order, struct err *err)
{
    const struct config_profile *p = app->selection.profile;
    AUTO(ca_products) struct ca_products products = {.list = NULL};
    const struct ca_product *product = NULL;
    char kind[32];

    if (p->product == NULL) {
        return err_set(err, E_CONFIG,
                       "no product is configured ('product' in the profile; "
                       "'p11enroll products' lists them)");
    }
    if (p->issuer_roots == NULL) {
        return err_set(err, E_CONFIG,
                       "no roots are configured for issued certificates "
                       "('issuer_roots' in the profile)");
    }
    order->term_days = p->term_days;
    if (!ca_products(ca, &products, err) ||
        !ca_product_find(&products, p->product, &product, err) ||
        !key_kind(app, request, kind, err) ||
        !ca_product_check(product, kind, &order->term_days, err)) {
        return false;
    }
    order->product_id = product->id;
    return order_set(&order->product, product->name, err);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Orders of the same thing have the same text: where it is ordered, what, and for which names in
 * any order. */
static bool set_dedupe(const struct app *app, const struct app_enroll *request, struct order *order,
                       struct err *err)
{
    AUTO(buf) struct buf text = BUF_INIT(256 * 1024);
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    AUTO(buf) struct buf hex = BUF_INIT(2 * EVP_MAX_MD_SIZE);
    AUTO(mem) void *memory = calloc(request->names->count, sizeof(char *));
    char **sorted = memory;

    if (sorted == NULL) {
        return err_nomem(err);
    }
    memcpy(sorted, request->names->list, request->names->count * sizeof(char *));
    qsort(sorted, request->names->count, sizeof(char *), by_text);
    buf_addf(&text, "%s\n%lld\n%lld\n%s\n", app->selection.ca->url,
             (long long)app->selection.ca->org_id, (long long)order->product_id,
             request->key_uri != NULL ? request->key_uri : "");
    for (size_t i = 0; i < request->names->count; i++) {
        buf_addf(&text, "%s\n", sorted[i]);
    }
    if (!buf_ok(&text) ||
        EVP_Digest(buf_str(&text), text.len, hash, &len, EVP_sha256(), NULL) != 1) {
        return err_set_ssl(err, E_INTERNAL, "hashing the order's names");
    }
    str_add_hex(&hex, hash, len, '\0');
    return order_set(&order->dedupe, buf_str(&hex), err);
}

static bool plan_key(struct app *app, const struct app_enroll *request, struct order *order,
                     struct err *err)
{
    const struct config_profile *p = app->selection.profile;

    if (request->key_uri != NULL) {
        order->key_is_ours = false;
        return order_set(&order->key_uri, request->key_uri, err);
    }
    order->key_is_ours = true;
    return keystore_new_id(order->key_id, &order->key_id_len, err) &&
           order_set(&order->key_type, p->key_type, err) &&
           order_set(&order->key_label, p->label, err);
}

static bool plan(struct app *app, const struct app_enroll *request, struct order *order,
                 struct err *err)
{
    const struct config_profile *p = app->selection.profile;
    AUTO(str) char *names = x509_names_join(request->names, ',');

    order->state = ORDER_PLANNED;
    order->send_names = p->san == CONFIG_SAN_ALWAYS  ? CA_NAMES_ALWAYS
                        : p->san == CONFIG_SAN_NEVER ? CA_NAMES_NEVER
                                                     : CA_NAMES_AUTO;
    if (names == NULL) {
        return err_nomem(err);
    }
    return order_new_mark(order->mark, err) && order_set(&order->names, names, err) &&
           order_set(&order->ca, app->selection.ca->name, err) &&
           order_set(&order->token, app->selection.token->name, err) &&
           order_set(&order->profile, p->name, err) &&
           order_set(&order->subject, p->subject, err) &&
           order_set(&order->comments, p->comments, err) &&
           order_set(&order->external_requester, p->external_requester, err) &&
           order_set(&order->custom_fields, p->custom_fields, err) &&
           plan_key(app, request, order, err) && set_dedupe(app, request, order, err);
}

/* The journal has an order of the same thing: an open one is taken up, a finished one is in the
 * way. */
static bool take_up(struct journal *journal, int64_t other, struct order *order,
                    struct app_result *result, struct err *err)
{
    char until[CLOCK_TEXT_SIZE];

    order_done(order);
    if (!journal_load(journal, other, order, err)) {
        return false;
    }
    if (order->state == ORDER_DONE) {
        clock_format(order->not_after_s, until);
        return err_set(err, E_ORDER_EXISTS,
                       "order %lld got a certificate for these names, valid until %s; to order "
                       "another one nevertheless, add --again",
                       (long long)other, until);
    }
    result->continued = true;
    return true;
}

bool app_enroll(struct app *app, const struct app_enroll *request, struct order *order,
                struct app_result *result, struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    AUTO(order_lock) struct order_lock lock = ORDER_LOCK_INIT;
    int64_t other = 0;

    *result = (struct app_result){.continued = false};
    if (!journal_open(app->state_dir, app->clock, &journal, err) ||
        !app_ca_open(app, &connection, err) ||
        !preflight(app, connection.ca, request, order, err) || !plan(app, request, order, err) ||
        !journal_add(journal, order, request->again, &other, err)) {
        return false;
    }
    if (other != 0 && !take_up(journal, other, order, result, err)) {
        return false;
    }
    log_set_order((long)order->id);
    if (!order_lock_take(journal, order->id, &lock, err)) {
        return false;
    }
    if (result->continued) {
        /* Somebody else may have brought it on between the look and the lock. */
        int64_t id = order->id;
        order_done(order);
        if (!journal_load(journal, id, order, err)) {
            return false;
        }
    }
    return app_drive(app, journal, connection.ca, order, false, err);
}
