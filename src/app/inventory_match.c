#include "app/app.h"

#include "base/str.h"
#include "x509/x509.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One kind of certificate at the CA. */
struct part {
    struct inventory *inventory;
    struct inventory_state state;
    const char *kind;
    bool wanted; /* it is looked at, and was read */
};

/* A certificate on the token whose private key is there too. */
struct bound {
    char serial[CA_SERIAL_TEXT_MAX];
    char *label, *uri, *subject;
    char *names, *common_name; /* as the CA lists them, if it is good there */
    const struct part *part;   /* likewise */
    int64_t ca_id;             /* likewise */
    uint8_t hash[X509_SPKI_HASH_LEN];
    bool seen; /* the CA has it, or may have it among what was not read */
};

struct token_key {
    char *label, *uri;
    uint8_t hash[X509_SPKI_HASH_LEN];
};

struct told {
    const struct part *part;
    int64_t ca_id;
};

/* What is on the token, and what was found out. */
struct matching {
    struct app *app;
    struct journal *journal;
    struct part parts[CA_KINDS];
    const struct part *part; /* that is looked at */
    struct token_key *keys;
    size_t key_count;
    struct bound *certs;
    size_t cert_count;
    struct told *told; /* the CA's numbers that are in a finding already */
    size_t told_count;
    app_match_fn *visit;
    void *ctx;
    struct app_matched *out;
    struct bound *cert;          /* that is looked at */
    const struct token_key *key; /* likewise */
};

static void matching_free(struct matching *m)
{
    if (m == NULL) {
        return;
    }
    for (size_t i = 0; i < m->key_count; i++) {
        free(m->keys[i].label);
        free(m->keys[i].uri);
    }
    for (size_t i = 0; i < m->cert_count; i++) {
        free(m->certs[i].label);
        free(m->certs[i].uri);
        free(m->certs[i].subject);
        free(m->certs[i].names);
        free(m->certs[i].common_name);
    }
    for (size_t i = 0; i < ARRAY_LEN(m->parts); i++) {
        inventory_close(m->parts[i].inventory);
    }
    journal_close(m->journal);
    free(m->keys);
    free(m->certs);
    free(m->told);
    free(m);
}

DEFINE_AUTO(matching, struct matching *, matching_free)

static const struct token_key *find_key(const struct matching *m, const uint8_t *hash)
{
    for (size_t i = 0; i < m->key_count; i++) {
        if (memcmp(m->keys[i].hash, hash, X509_SPKI_HASH_LEN) == 0) {
            return &m->keys[i];
        }
    }
    return NULL;
}

static bool add_key(struct matching *m, const struct keystore_item *item, struct err *err)
{
    struct token_key *grown = reallocarray(m->keys, m->key_count + 1, sizeof(*grown));

    if (grown == NULL) {
        return err_nomem(err);
    }
    m->keys = grown;
    struct token_key *key = &m->keys[m->key_count++];
    key->label = str_dup(item->label);
    key->uri = str_dup(item->uri);
    memcpy(key->hash, item->spki_hash, sizeof(key->hash));
    return (key->uri != NULL && key->label != NULL) || err_nomem(err);
}

static bool add_cert(struct matching *m, const struct keystore_item *item, struct err *err)
{
    AUTO(x509_info) struct x509_info info = {.subject = NULL};
    AUTO(buf) struct buf serial = BUF_INIT(CA_SERIAL_TEXT_MAX - 1);
    struct bound *grown = reallocarray(m->certs, m->cert_count + 1, sizeof(*grown));

    if (grown == NULL) {
        return err_nomem(err);
    }
    m->certs = grown;
    struct bound *cert = &m->certs[m->cert_count];
    memset(cert, 0, sizeof(*cert));
    if (!x509_info(item->cert, &info, err)) {
        return false;
    }
    if (ca_serial_text(info.serial, &serial)) {
        memcpy(cert->serial, buf_str(&serial), serial.len + 1);
    }
    m->cert_count++;
    cert->label = str_dup(item->label);
    cert->uri = str_dup(item->uri);
    cert->subject = str_dup(info.subject);
    memcpy(cert->hash, item->spki_hash, sizeof(cert->hash));
    return (cert->label != NULL && cert->uri != NULL && cert->subject != NULL) || err_nomem(err);
}

/* Keys come first. A certificate without its key here (an issuer, somebody's) is none of ours. */
static bool take_item(void *ctx, const struct keystore_item *item, struct err *err)
{
    struct matching *m = ctx;

    if (!item->known) {
        return true;
    }
    if (item->cert == NULL) {
        return add_key(m, item, err);
    }
    return find_key(m, item->spki_hash) == NULL || add_cert(m, item, err);
}

static bool was_told(const struct matching *m, int64_t ca_id)
{
    for (size_t i = 0; i < m->told_count; i++) {
        if (m->told[i].part == m->part && m->told[i].ca_id == ca_id) {
            return true;
        }
    }
    return false;
}

/* The journal's order of that number at the CA, whichever way it was met. */
static bool find_order(struct matching *m, struct app_match *match, struct err *err)
{
    bool tls = str_equal(m->part->kind, ca_kind_name(CA_KIND_TLS));
    char number[24];

    (void)snprintf(number, sizeof(number), "%lld", (long long)match->ca_order);
    return journal_find_ca_order(m->journal, m->app->selection.ca->name, tls ? NULL : m->part->kind,
                                 number, &match->order, err);
}

static bool tell(struct matching *m, struct app_match *match, struct err *err)
{
    if (match->ca_order != 0) {
        if (match->order == 0 && !find_order(m, match, err)) {
            return false;
        }
        struct told *grown = reallocarray(m->told, m->told_count + 1, sizeof(*grown));
        if (grown == NULL) {
            return err_nomem(err);
        }
        m->told = grown;
        m->told[m->told_count++] = (struct told){.part = m->part, .ca_id = match->ca_order};
    }
    m->out->findings++;
    return m->visit(m->ctx, match, err);
}

static bool is_revoked(const struct inventory_row *row)
{
    return row->status != NULL && str_equal_nocase(row->status, "revoked");
}

static bool is_on_token(const struct matching *m, const char *serial)
{
    for (size_t i = 0; serial != NULL && i < m->cert_count; i++) {
        if (str_equal(m->certs[i].serial, serial)) {
            return true;
        }
    }
    return false;
}

/* What a certificate with the same key may be older than. */
static bool note_good(struct matching *m, const struct inventory_row *row, struct err *err)
{
    struct bound *cert = m->cert;

    free(cert->names);
    free(cert->common_name);
    cert->part = m->part;
    cert->ca_id = row->ca_id;
    cert->names = str_dup(row->names);
    cert->common_name = str_dup(row->common_name);
    return (row->names == NULL || cert->names != NULL) || err_nomem(err);
}

/* A certificate of the token in the CA's list. */
static bool look_at_cert(void *ctx, const struct inventory_row *row, struct err *err)
{
    struct matching *m = ctx;
    struct app_match match = {.finding = APP_BOUND_REVOKED,
                              .kind = m->part->kind,
                              .ca_order = row->ca_id,
                              .serial = row->serial,
                              .common_name = row->common_name,
                              .status = row->status,
                              .label = m->cert->label,
                              .uri = m->cert->uri};

    m->cert->seen = true;
    if (!inventory_set_key(m->part->inventory, row->ca_id, m->cert->hash, err)) {
        return false;
    }
    if (row->gone_s != 0) {
        match.finding = APP_GONE;
    } else if (!is_revoked(row)) {
        m->out->good++;
        return note_good(m, row, err);
    }
    return tell(m, &match, err);
}

/* One that is of another kind than those that are looked at. */
static bool note_cert(void *ctx, const struct inventory_row *row UNUSED, struct err *err UNUSED)
{
    struct matching *m = ctx;

    m->cert->seen = true;
    return false;
}

static bool note_order(void *ctx, const struct inventory_order *order, struct err *err UNUSED)
{
    struct matching *m = ctx;

    for (size_t i = 0; i < m->cert_count; i++) {
        m->certs[i].seen = m->certs[i].seen || ca_same_serial(order->serial, m->certs[i].serial);
    }
    return true;
}

static bool find_cert(struct matching *m, const struct part *part, struct err *err)
{
    struct inventory_query query = {.serial = m->cert->serial};

    m->part = part;
    return inventory_find(part->inventory, &query, part->wanted ? look_at_cert : note_cert, m, err);
}

static bool match_certs(struct matching *m, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(m->parts); i++) {
        if (!m->parts[i].wanted && !inventory_orders(m->parts[i].inventory, note_order, m, err)) {
            return false;
        }
    }
    for (size_t i = 0; i < m->cert_count; i++) {
        m->cert = &m->certs[i];
        for (size_t j = 0; j < ARRAY_LEN(m->parts); j++) {
            if (!find_cert(m, &m->parts[j], err)) {
                return false;
            }
        }
        struct app_match match = {.finding = APP_NOT_AT_CA,
                                  .serial = m->cert->serial,
                                  .common_name = m->cert->subject,
                                  .label = m->cert->label,
                                  .uri = m->cert->uri};
        if (!m->cert->seen && !tell(m, &match, err)) {
            return false;
        }
    }
    return true;
}

/* Whether one that the CA numbered later, for the same key and names, is bound: CAs count up. */
static bool has_newer(const struct matching *m, const struct inventory_row *row)
{
    for (size_t i = 0; i < m->cert_count; i++) {
        const struct bound *cert = &m->certs[i];
        if (cert->part == m->part && cert->ca_id > row->ca_id &&
            memcmp(cert->hash, m->key->hash, sizeof(cert->hash)) == 0 &&
            str_equal(cert->names, row->names) && str_equal(cert->common_name, row->common_name)) {
            return true;
        }
    }
    return false;
}

/* What has a successor is not missed on the token. */
static bool is_superseded(struct matching *m, const struct inventory_row *row, bool *out,
                          struct err *err)
{
    *out = has_newer(m, row);
    return *out || journal_has_successor(m->journal, m->app->selection.ca->name, m->part->kind,
                                         row->ca_id, out, err);
}

/* A certificate in the CA's list for a key of the token. */
static bool look_at_key(void *ctx, const struct inventory_row *row, struct err *err)
{
    struct matching *m = ctx;
    struct app_match match = {.finding = APP_NOT_BOUND,
                              .kind = m->part->kind,
                              .ca_order = row->ca_id,
                              .serial = row->serial,
                              .common_name = row->common_name,
                              .status = row->status,
                              .label = m->key->label,
                              .uri = m->key->uri};
    bool superseded = false;

    if (row->gone_s != 0 || !row->is_issued || is_on_token(m, row->serial) ||
        was_told(m, row->ca_id)) {
        return true;
    }
    return is_superseded(m, row, &superseded, err) && (superseded || tell(m, &match, err));
}

static bool match_keys(struct matching *m, struct err *err)
{
    for (size_t i = 0; i < m->key_count; i++) {
        m->key = &m->keys[i];
        struct inventory_query query = {.spki_hash = m->key->hash};
        if (!inventory_find(m->part->inventory, &query, look_at_key, m, err)) {
            return false;
        }
    }
    return true;
}

/* Whether the order came to an end that leaves nothing to bind. */
static bool is_over(const struct inventory_order *order)
{
    enum order_state state = ORDER_STATES;

    return order_state_parse(order->state, &state) && order_state_is_final(state);
}

static bool look_at_order(void *ctx, const struct inventory_order *order, struct err *err)
{
    struct matching *m = ctx;
    const struct inventory_row *row = &order->row;
    struct app_match match = {.kind = m->part->kind,
                              .ca_order = order->ca_id,
                              .order = order->order,
                              .serial = row->serial != NULL ? row->serial : order->serial,
                              .common_name =
                                  row->common_name != NULL ? row->common_name : order->names,
                              .status = row->status};
    bool read_since = order->created_s < m->part->state.started_s;

    if (was_told(m, order->ca_id)) {
        return true;
    }
    if ((order->listed && row->gone_s != 0) || (!order->listed && read_since)) {
        match.finding = APP_GONE;
        return tell(m, &match, err);
    }
    match.finding = APP_NOT_BOUND;
    const struct token_key *key = order->spki_hash != NULL ? find_key(m, order->spki_hash) : NULL;
    if (key != NULL) {
        match.label = key->label;
        match.uri = key->uri;
    }
    return !order->listed || is_over(order) || !row->is_issued || is_on_token(m, row->serial) ||
           tell(m, &match, err);
}

static bool open_part(struct matching *m, enum ca_kind kind, bool asked_for, struct err *err)
{
    struct part *part = &m->parts[kind];

    part->kind = ca_kind_name(kind);
    if (!inventory_open(journal_db(m->journal), m->app->clock, m->app->selection.ca->name,
                        part->kind, &part->inventory, err) ||
        !inventory_state(part->inventory, &part->state, err)) {
        return false;
    }
    part->wanted = asked_for && part->state.last_s != 0;
    if (!part->wanted) {
        return true;
    }
    if (m->out->read_s == 0 || part->state.last_s < m->out->read_s) {
        m->out->read_s = part->state.last_s;
    }
    return inventory_learn_orders(part->inventory, err);
}

static bool open_parts(struct matching *m, enum ca_kind wanted, struct err *err)
{
    if (!journal_open(m->app->state_dir, m->app->clock, &m->journal, err)) {
        return false;
    }
    for (int kind = 0; kind < CA_KINDS; kind++) {
        bool asked_for = wanted == CA_KINDS || wanted == (enum ca_kind)kind;
        if (!open_part(m, (enum ca_kind)kind, asked_for, err)) {
            return false;
        }
    }
    return m->out->read_s != 0 ||
           err_set(err, E_USAGE,
                   "what the account sees at CA '%s' was never read to its end%s%s: 'p11enroll "
                   "inventory sync' does that",
                   m->app->selection.ca->name, wanted != CA_KINDS ? ", of the kind " : "",
                   wanted != CA_KINDS ? ca_kind_name(wanted) : "");
}

static bool match_rest(struct matching *m, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(m->parts); i++) {
        m->part = &m->parts[i];
        if (m->part->wanted &&
            (!inventory_orders(m->part->inventory, look_at_order, m, err) || !match_keys(m, err))) {
            return false;
        }
    }
    return true;
}

bool app_inventory_match(struct app *app, enum ca_kind kind, app_match_fn *visit, void *ctx,
                         struct app_matched *out, struct err *err)
{
    AUTO(matching) struct matching *m = calloc(1, sizeof(*m));
    struct keystore_token token = app_token(app->selection.token);

    *out = (struct app_matched){.keys = 0};
    if (m == NULL) {
        return err_nomem(err);
    }
    m->app = app;
    m->visit = visit;
    m->ctx = ctx;
    m->out = out;
    if (!open_parts(m, kind, err) || !keystore_survey(app->keystore, &token, take_item, m, err)) {
        return false;
    }
    out->keys = m->key_count;
    out->certs = m->cert_count;
    return match_certs(m, err) && match_rest(m, err);
}
