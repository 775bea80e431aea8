/* What ends soon or waits, from everybody who knows something of it. */
#include "app/app.h"

#include "base/log.h"
#include "base/str.h"
#include "x509/x509.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAY_S = 86400 };

struct gathering {
    struct app *app;
    struct app_alerted *out;
    size_t token_begin;                  /* the first item of the token that is read */
    uint8_t (*keys)[X509_SPKI_HASH_LEN]; /* of that token */
    size_t key_count;
};

static void gathering_done(struct gathering *g)
{
    free(g->keys);
}

DEFINE_AUTO_DONE(gathering, struct gathering, gathering_done)

/* A source that cannot be read is told, and the others are read. */
static void note_failure(struct app_alerted *out, const char *what, struct err *err)
{
    if (out->failure_count < APP_ALERT_FAILURES) {
        (void)snprintf(out->failed[out->failure_count], sizeof(out->failed[0]), "%s", what);
        out->errs[out->failure_count++] = *err;
    }
    log_line(LOG_ERROR, "alert", "%s: %s", what, err->msg);
    err_clear(err);
}

/* The first of comma-separated names. */
static char *first_name(const char *names)
{
    return names != NULL ? str_ndup(names, strcspn(names, ",")) : NULL;
}

static char *plain_serial(const char *serial)
{
    AUTO(buf) struct buf text = BUF_INIT(CA_SERIAL_TEXT_MAX);

    return serial != NULL && ca_serial_text(serial, &text) ? str_dup(buf_str(&text)) : NULL;
}

static enum due_validation due_validation(X509 *cert)
{
    switch (x509_validation(cert)) {
    case X509_VALIDATION_EV:
        return DUE_EV;
    case X509_VALIDATION_OV:
        return DUE_OV;
    case X509_VALIDATION_DV:
    case X509_VALIDATION_UNKNOWN:
        break;
    }
    return DUE_DV;
}

/* How long before its end a certificate is due for renewal; 0: not known. */
static int64_t lead_of(const struct gathering *g, const struct due_certificate *cert)
{
    const struct config_general *general = g->app->selection.general;
    struct due_rule rule = {.early_ov_s = general->renew_early_ov_s,
                            .early_ev_s = general->renew_early_ev_s};

    return due_judge(cert, &rule, 0).lead_s;
}

/* What the certificate itself says. */
static bool look_at(const struct gathering *g, X509 *cert, struct alert_item *item, struct err *err)
{
    AUTO(x509_info) struct x509_info info = {.subject = NULL};

    if (!x509_info(cert, &info, err)) {
        return false;
    }
    struct due_certificate due = {.not_before_s = info.not_before_s,
                                  .not_after_s = info.not_after_s,
                                  .validation = due_validation(cert)};
    item->at_s = info.not_after_s;
    item->lead_s = lead_of(g, &due);
    item->has_spki = x509_cert_spki_hash(cert, item->spki, err);
    return item->has_spki;
}

/* Old rows may lack a certificate that can be read; then there is its end. */
static void look_at_pem(const struct gathering *g, const char *pem, struct alert_item *item)
{
    AUTO(x509_stack) STACK_OF(X509) *certs = NULL;
    struct err unreadable = ERR_INIT;

    if (pem != NULL && x509_bundle_parse((const uint8_t *)pem, strlen(pem), &certs, &unreadable) &&
        !look_at(g, sk_X509_value(certs, 0), item, &unreadable)) {
        log_line(LOG_DEBUG, "alert", "order %lld: %s", (long long)item->order, unreadable.msg);
    }
}

static int64_t number_of(const char *text)
{
    uint64_t number = 0;

    return text != NULL && str_to_u64(text, INT64_MAX, &number) ? (int64_t)number : 0;
}

static bool add_order_certificate(void *ctx, const struct journal_expiry *found, struct err *err)
{
    struct gathering *g = ctx;
    AUTO(str) char *name = first_name(found->names);
    AUTO(str) char *serial = plain_serial(found->serial);
    struct alert_item item = {.kind = ALERT_CERTIFICATE,
                              .sources = ALERT_JOURNAL,
                              .order = found->order,
                              .ca_order = number_of(found->ca_order_id),
                              .at_s = found->not_after_s,
                              .over = found->over,
                              .name = name,
                              .names = (char *)(uintptr_t)found->names,
                              .serial = serial,
                              .ca = (char *)(uintptr_t)found->ca};

    look_at_pem(g, found->cert_pem, &item);
    return alerts_add(&g->out->alerts, &item, err);
}

static bool add_waiting(void *ctx, const struct journal_wait *found, struct err *err)
{
    struct gathering *g = ctx;
    AUTO(str) char *name = first_name(found->names);
    AUTO(buf) struct buf text = BUF_INIT(4096);
    struct alert_item item = {.kind = ALERT_ORDER,
                              .sources = ALERT_JOURNAL,
                              .order = found->order,
                              .ca_order = number_of(found->ca_order_id),
                              .at_s = found->since_s,
                              .name = name,
                              .names = (char *)(uintptr_t)found->names,
                              .ca = (char *)(uintptr_t)found->ca};

    buf_add_str(&text, order_state_sentence(found->state));
    if (found->ca_text != NULL) {
        buf_addf(&text, "; the CA says '%.80s'", found->ca_text);
    }
    item.text = (char *)(uintptr_t)buf_str(&text);
    return alerts_add(&g->out->alerts, &item, err);
}

/* The day of issue says nothing of its lifetime: one that was replaced is of the day of that. */
static bool add_listed(void *ctx, const struct inventory_expiry *found, struct err *err)
{
    struct gathering *g = ctx;
    AUTO(str) char *first = first_name(found->names);
    struct alert_item item = {
        .kind = ALERT_CERTIFICATE,
        .sources = ALERT_INVENTORY,
        .ca_order = found->ca_id,
        .at_s = found->expires_s,
        .is_day = true,
        .over = found->over,
        .superseded = found->superseded,
        .name = found->common_name != NULL ? (char *)(uintptr_t)found->common_name : first,
        .names = (char *)(uintptr_t)found->names,
        .serial = (char *)(uintptr_t)found->serial,
        .ca = (char *)(uintptr_t)found->ca,
        .has_spki = found->spki_hash != NULL};

    if (found->spki_hash != NULL) {
        memcpy(item.spki, found->spki_hash, sizeof(item.spki));
    }
    return alerts_add(&g->out->alerts, &item, err);
}

static bool add_key(struct gathering *g, const uint8_t *hash, struct err *err)
{
    void *grown = reallocarray(g->keys, g->key_count + 1, sizeof(g->keys[0]));

    if (grown == NULL) {
        return err_nomem(err);
    }
    g->keys = grown;
    memcpy(g->keys[g->key_count++], hash, sizeof(g->keys[0]));
    return true;
}

static bool is_our_key(const struct gathering *g, const uint8_t *hash)
{
    for (size_t i = 0; i < g->key_count; i++) {
        if (memcmp(g->keys[i], hash, sizeof(g->keys[0])) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether b took the place of a, a certificate of the same key. */
static bool took_place(const struct alert_item *a, const struct alert_item *b)
{
    return a->own_issuer != b->own_issuer ? a->own_issuer : a->at_s < b->at_s;
}

/* Of several certificates of one key, the one that lasts longest is in use; a placeholder is not,
 * however long it lasts. */
static void settle(struct gathering *g, struct alert_item *item)
{
    for (size_t i = g->token_begin; i < g->out->alerts.count; i++) {
        struct alert_item *other = &g->out->alerts.list[i];
        if (memcmp(other->spki, item->spki, sizeof(item->spki)) == 0) {
            other->outlived = other->outlived || took_place(other, item);
            item->outlived = item->outlived || took_place(item, other);
        }
    }
}

static char *name_of_cert(X509 *cert, const char *label)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct err odd = ERR_INIT;

    return x509_names_of_cert(cert, &names, &odd) && names.count > 0 ? str_dup(names.list[0])
                                                                     : str_dup(label);
}

/* Keys come first. A certificate without its key here (an issuer, somebody's) is none of ours. */
static bool add_bound(void *ctx, const struct keystore_item *found, struct err *err)
{
    struct gathering *g = ctx;
    AUTO(x509_info) struct x509_info info = {.subject = NULL};
    struct alert_item item = {.kind = ALERT_CERTIFICATE, .sources = ALERT_TOKEN};

    if (!found->known || found->cert == NULL) {
        return !found->known || add_key(g, found->spki_hash, err);
    }
    if (!is_our_key(g, found->spki_hash)) {
        return true;
    }
    if (!x509_info(found->cert, &info, err) || !look_at(g, found->cert, &item, err)) {
        return false;
    }
    AUTO(str) char *name = name_of_cert(found->cert, found->label);
    AUTO(str) char *serial = plain_serial(info.serial);
    item.own_issuer =
        X509_NAME_cmp(X509_get_subject_name(found->cert), X509_get_issuer_name(found->cert)) == 0;
    item.name = name;
    item.serial = serial;
    item.uri = (char *)(uintptr_t)found->uri;
    settle(g, &item);
    return alerts_add(&g->out->alerts, &item, err);
}

static void survey(struct gathering *g, const struct config_token *section)
{
    struct keystore_token token = app_token(section);
    struct err err = ERR_INIT;
    char what[80];

    g->token_begin = g->out->alerts.count;
    g->key_count = 0;
    if (!keystore_survey(g->app->keystore, &token, add_bound, g, &err)) {
        (void)snprintf(what, sizeof(what), "token '%.60s'",
                       token.section != NULL ? token.section : section->module);
        note_failure(g->out, what, &err);
    }
}

static void survey_all(struct gathering *g, bool one_token)
{
    const struct config_token *section = NULL;

    if (one_token) {
        survey(g, g->app->selection.token);
        return;
    }
    for (size_t i = 0; (section = config_token_at(g->app->config, i)) != NULL; i++) {
        if (section->module != NULL) {
            survey(g, section);
        }
    }
}

/* What was never read has nothing to tell, which is not the same as nothing to be told. */
static bool check_was_read(struct db *db, struct app_alerted *out, struct err *err)
{
    struct err why = ERR_INIT;
    bool was_read = false;

    if (!inventory_was_read(db, &was_read, err)) {
        return false;
    }
    if (!was_read) {
        (void)err_set(&why, E_JOURNAL,
                      "it is named as a source of alerts and was never read; 'p11enroll inventory "
                      "sync --details' reads it");
        note_failure(out, "inventory", &why);
    }
    return true;
}

bool app_alert_gather(struct app *app, struct journal *journal, const struct app_alert_look *look,
                      struct app_alerted *out, struct err *err)
{
    AUTO(gathering) struct gathering g = {.app = app, .out = out};
    /* The inventory has days, the journal seconds: whoever has something to say of a certificate is
     * to be heard. What is too early or too late is left out when it is judged. */
    int64_t after_s = out->rules.now_s - out->rules.expired_s - 1 - (ALERT_DAYS_APART + 1) * DAY_S;
    int64_t until_s = out->rules.now_s + out->rules.left.list[0] + ALERT_DAYS_APART * DAY_S;

    if ((look->sources & ALERT_JOURNAL) != 0 &&
        (!journal_expiring(journal, after_s, until_s, add_order_certificate, &g, err) ||
         !journal_waiting(journal, add_waiting, &g, err))) {
        return false;
    }
    if ((look->sources & ALERT_INVENTORY) != 0 &&
        ((look->named && !check_was_read(journal_db(journal), out, err)) ||
         !inventory_expiring(journal_db(journal), after_s, until_s, add_listed, &g, err) ||
         !inventory_undated(journal_db(journal), &out->undated, err))) {
        return false;
    }
    if ((look->sources & ALERT_TOKEN) != 0) {
        survey_all(&g, look->one_token);
    }
    return true;
}
