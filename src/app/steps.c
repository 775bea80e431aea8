#include "app/app.h"

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static bool take_key(struct order *order, struct keystore_key *key, struct err *err)
{
    if (!order_set(&order->key_uri, key->uri, err) ||
        !order_set(&order->key_type, key->kind, err) ||
        !x509_spki_hash(key->pkey, order->spki_hash, err)) {
        return false;
    }
    memcpy(order->key_id, key->id, key->id_len);
    order->key_id_len = key->id_len;
    return true;
}

/* {name}, {date}, {id} and {order} of a label pattern. */
static bool expand_label(const struct order *order, const char *pattern, int64_t now_s,
                         struct buf *out, struct err *err)
{
    char date[CLOCK_TEXT_SIZE];
    char number[24];
    AUTO(buf) struct buf id = BUF_INIT(16);
    size_t name_len = strcspn(order->names, ",");

    clock_format(now_s, date);
    date[10] = '\0';
    (void)snprintf(number, sizeof(number), "%lld", (long long)order->id);
    str_add_hex(&id, order->key_id, order->key_id_len < 3 ? order->key_id_len : 3, '\0');
    while (*pattern != '\0') {
        if (str_starts_with(pattern, "{name}")) {
            buf_add(out, order->names, name_len);
        } else if (str_starts_with(pattern, "{date}")) {
            buf_add_str(out, date);
        } else if (str_starts_with(pattern, "{id}")) {
            buf_add_str(out, buf_str(&id));
        } else if (str_starts_with(pattern, "{order}")) {
            buf_add_str(out, number);
        } else {
            buf_add_byte(out, (uint8_t)*pattern++);
            continue;
        }
        pattern += strcspn(pattern, "}") + 1;
    }
    return buf_ok(out) || err_set(err, E_CONFIG, "the key's label is too long");
}

/* What happens on the token is journaled when it happens: a run that takes the key up later has no
 * other way to know what it lacks. */
static void told(void *ctx, const char *left_out, const char *sentence)
{
    struct app_steps *s = ctx;
    struct err err = ERR_INIT;

    log_line(LOG_WARN, "key", "%s", sentence);
    if ((left_out != NULL && !order_set(&s->order->key_left_out, left_out, &err)) ||
        !journal_save(s->journal, s->order, sentence, &err)) {
        log_line(LOG_WARN, "key", "that is not in the journal: %s", err.msg);
    }
}

/* The key made before a crash, if there is one: it carries the id that was written down first. */
static bool find_made(struct app_steps *s, const struct keystore_policy *policy,
                      struct order *order, bool *found, struct keystore_key *key, struct err *err)
{
    struct keystore_token token = app_token(s->app->selection.token);

    if (!keystore_find_id(s->app->keystore, &token, order->key_id, order->key_id_len, found, key,
                          err)) {
        return false;
    }
    return !*found ||
           keystore_check_policy(s->app->keystore, &token, key->uri, policy, order->key_type, err);
}

static bool generate(struct app_steps *s, const struct keystore_policy *policy, struct order *order,
                     struct keystore_key *key, struct err *err)
{
    struct keystore_token token = app_token(s->app->selection.token);
    AUTO(buf) struct buf label = BUF_INIT(255);

    if (!expand_label(order, order->key_label, clock_wall_s(s->app->clock), &label, err) ||
        !order_set(&order->key_left_out, "", err)) {
        return false;
    }
    s->order = order;
    struct keystore_new wanted = {.policy = *policy,
                                  .key_type = order->key_type,
                                  .id = order->key_id,
                                  .id_len = order->key_id_len,
                                  .label = buf_str(&label),
                                  .told = told,
                                  .ctx = s};
    return keystore_generate(s->app->keystore, &token, &wanted, key, err);
}

static bool make_key(void *ctx, struct order *order, struct err *err)
{
    struct app_steps *s = ctx;
    struct keystore_token token = app_token(s->app->selection.token);
    AUTO(keystore_key) struct keystore_key key = {.pkey = NULL};
    AUTO(buf) struct buf text = BUF_INIT(POLICY_TEXT_MAX);
    struct keystore_policy policy;
    bool found = false;

    if (!order->key_is_ours) {
        return keystore_find(s->app->keystore, &token, order->key_uri, &key, err) &&
               app_evidence_keep(s->app, &key, NULL, err) && take_key(order, &key, err);
    }
    if (!app_policy(s->app->config, config_key_policy(&s->app->selection), &text, &policy, err) ||
        !find_made(s, &policy, order, &found, &key, err) ||
        (!found && !generate(s, &policy, order, &key, err))) {
        return false;
    }
    return app_evidence_keep(s->app, &key, order->key_left_out, err) && take_key(order, &key, err);
}

static bool sign(void *ctx, struct order *order, struct err *err)
{
    struct app_steps *s = ctx;
    struct keystore_token token = app_token(s->app->selection.token);
    AUTO(keystore_key) struct keystore_key key = {.pkey = NULL};
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    AUTO(buf) struct buf pem = BUF_INIT(64 * 1024);
    uint8_t hash[X509_SPKI_HASH_LEN];

    if (!x509_names_add_list(&names, order->names, err) ||
        !keystore_find(s->app->keystore, &token, order->key_uri, &key, err) ||
        !keystore_check_strength(&key, err) || !x509_spki_hash(key.pkey, hash, err)) {
        return false;
    }
    if (memcmp(hash, order->spki_hash, sizeof(hash)) != 0) {
        return err_set(err, E_POLICY, "the key %s is not the one this order was begun with",
                       order->key_uri);
    }
    struct x509_csr request = {.subject = order->subject, .names = &names};
    return x509_csr_create(&request, key.pkey, &pem, err) &&
           order_set(&order->csr_pem, buf_str(&pem), err);
}

/* A certificate that was paid for is kept, even if it is not what was ordered. */
static bool keep_rejected(struct app_steps *s, const struct order *order, struct err *err)
{
    AUTO(str) char *dir = file_join(journal_dir(s->journal), "rejected");
    AUTO(str) char *path = NULL;
    struct err saving = ERR_INIT;
    size_t used = strlen(err->msg);

    if (dir == NULL || asprintf(&path, "%s/order-%lld.pem", dir, (long long)order->id) < 0) {
        path = NULL;
        return false;
    }
    if (file_make_private_dir(dir, &saving) &&
        file_write_atomic(path, order->answer_pem, strlen(order->answer_pem), 0600, &saving)) {
        (void)snprintf(err->msg + used, sizeof(err->msg) - used, "; it is kept in %s", path);
    } else {
        (void)snprintf(err->msg + used, sizeof(err->msg) - used,
                       "; it is in the journal alone, because: %.200s", saving.msg);
    }
    used = strlen(err->msg);
    (void)snprintf(err->msg + used, sizeof(err->msg) - used,
                   "; 'p11enroll order wait %lld' checks it again, and asks the CA for it anew",
                   (long long)order->id);
    return false;
}

static bool verify_answer(struct app_steps *s, struct order *order, X509 **leaf,
                          STACK_OF(X509) * *chain, struct err *err)
{
    AUTO(x509_stack) STACK_OF(X509) *answer = NULL;
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;

    if (!x509_bundle_parse((const uint8_t *)order->answer_pem, strlen(order->answer_pem), &answer,
                           err) ||
        !x509_names_add_list(&names, order->names, err) ||
        !x509_sort_answer(answer, order->spki_hash, leaf, chain, err)) {
        return false;
    }
    struct x509_expectation expect = {
        .spki_hash = order->spki_hash,
        .names = &names,
        .roots_path = s->app->selection.profile->issuer_roots,
        .now_s = clock_wall_s(s->app->clock),
    };
    return x509_roots_check(expect.roots_path, err) &&
           x509_verify_issued(*leaf, *chain, &expect, err);
}

static bool take_certificate(struct order *order, X509 *leaf, STACK_OF(X509) * chain,
                             struct err *err)
{
    AUTO(buf) struct buf cert_pem = BUF_INIT(1 << 20);
    AUTO(buf) struct buf chain_pem = BUF_INIT(1 << 20);
    AUTO(x509_info) struct x509_info info = {.subject = NULL};

    if (!x509_to_pem(leaf, &cert_pem, err) || !x509_chain_to_pem(chain, &chain_pem, err) ||
        !x509_info(leaf, &info, err)) {
        return false;
    }
    order->not_after_s = info.not_after_s;
    return order_set(&order->cert_pem, buf_str(&cert_pem), err) &&
           order_set(&order->chain_pem, buf_str(&chain_pem), err) &&
           order_set(&order->serial, info.serial, err);
}

static bool verify(void *ctx, struct order *order, struct err *err)
{
    struct app_steps *s = ctx;
    AUTO(x509) X509 *leaf = NULL;
    AUTO(x509_stack) STACK_OF(X509) *chain = NULL;

    if (!verify_answer(s, order, &leaf, &chain, err)) {
        return err->code == E_CERT_REJECTED ? keep_rejected(s, order, err) : false;
    }
    return take_certificate(order, leaf, chain, err);
}

static bool bind(void *ctx, struct order *order, struct err *err)
{
    struct app_steps *s = ctx;
    AUTO(x509_stack) STACK_OF(X509) *certs = NULL;
    AUTO(x509_stack) STACK_OF(X509) *chain = NULL;
    AUTO(app_bound) struct app_bound bound = {.detached_dir = NULL};

    if (!x509_bundle_parse((const uint8_t *)order->cert_pem, strlen(order->cert_pem), &certs,
                           err)) {
        return false;
    }
    if (order->chain_pem[0] != '\0' && !x509_bundle_parse((const uint8_t *)order->chain_pem,
                                                          strlen(order->chain_pem), &chain, err)) {
        return false;
    }
    struct app_put put = {.key_uri = order->key_uri,
                          .spki_hash = order->spki_hash,
                          .leaf = sk_X509_value(certs, 0),
                          .chain = chain,
                          .journal = s->journal};
    return app_put(s->app, &put, &bound, err) &&
           order_set(&order->cert_uri, bound.report.cert_uri, err);
}

static bool approve(void *ctx, const struct order *order, enum order_approval *out, struct err *err)
{
    struct app_steps *s = ctx;

    return app_approval_ask(s->app, s->journal, order, out, err);
}

static void progress(void *ctx, const struct order *order, int64_t elapsed_ms, int64_t wait_ms)
{
    struct app_steps *s = ctx;

    if (s->app->progress != NULL) {
        s->app->progress(s->app->progress_ctx, order, elapsed_ms, wait_ms);
    }
}

struct backoff app_backoff(const struct config_ca *ca, bool once)
{
    int64_t people_s = ca->people_deadline_s >= 0 ? ca->people_deadline_s : ca->poll_deadline_s;
    struct backoff backoff = {
        .kind = ca->poll == CONFIG_POLL_BACKOFF ? BACKOFF_POWER : BACKOFF_STEPS,
        .people_deadline_ms = once ? 0 : people_s * 1000,
        .deadline_ms = once ? 0 : ca->poll_deadline_s * 1000,
        .base_s = ca->backoff_base_s,
        .max_s = ca->backoff_max_s,
        .attempts = once ? 0 : ca->backoff_attempts,
        .scale_percent = ca->poll_scale_percent,
    };

    return backoff;
}

void app_driver(struct app *app, struct journal *journal, struct ca *ca, bool once,
                struct app_driver *out)
{
    out->steps = (struct app_steps){.app = app, .journal = journal};
    out->hooks = (struct drive_hooks){.make_key = make_key,
                                      .sign = sign,
                                      .approve = approve,
                                      .verify = verify,
                                      .bind = bind,
                                      .progress = progress,
                                      .ctx = &out->steps};
    out->drive = (struct drive){.journal = journal,
                                .ca = ca,
                                .clock = app->clock,
                                .backoff = app_backoff(app->selection.ca, once),
                                .absence_after_s = app->selection.ca->absence_after_s,
                                .hooks = &out->hooks};
}

bool app_drive(struct app *app, struct journal *journal, struct ca *ca, struct order *order,
               bool once, struct err *err)
{
    struct app_driver driver;

    app_driver(app, journal, ca, once, &driver);
    return order_drive(&driver.drive, order, err);
}
