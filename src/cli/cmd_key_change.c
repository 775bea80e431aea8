#include "cli/key.h"

#include "base/str.h"
#include "x509/x509.h"

#include <stdlib.h>
#include <string.h>

/* key delete, key rename: what is done to a key and to everything that belongs to it. */

bool cli_family(struct cli *cli, struct hsm_opened *opened, struct hsm_session *session,
                struct hsm_family *family, struct err *err)
{
    return cli_token_open(cli, cli->operands[0], true, opened, err) &&
           hsm_session_take(opened->token, false, session, err) &&
           hsm_family_find(session, &opened->uri, family, err);
}

/* The key; or what is left of one that was being deleted. */
static bool family_or_rest(struct cli *cli, bool with_certificates, struct hsm_opened *opened,
                           struct hsm_session *session, struct hsm_family *family, struct err *err)
{
    struct err why = ERR_INIT;

    if (cli_family(cli, opened, session, family, err)) {
        return true;
    }
    if (err->code != E_OBJECT_MISSING || session->token == NULL) {
        return false;
    }
    hsm_family_done(family);
    if (!hsm_family_find_rest(session, &opened->uri, family, &why)) {
        if (why.code != E_OBJECT_MISSING) {
            *err = why;
            return err_wrap(err, "nothing was destroyed");
        }
        return false;
    }
    if (family->publics.count == 0 && (!with_certificates || family->certs.count == 0)) {
        return false;
    }
    err_clear(err);
    return true;
}

/* Orders of the journal that are open and use the key. */
struct users {
    struct cli *cli;
    const struct hsm_key *key;
    bool has_hash;
    uint8_t hash[X509_SPKI_HASH_LEN];
    size_t count;
};

/* An order that has not got to its key yet knows only what somebody typed. */
static bool is_named_by(const struct users *users, const struct order *order)
{
    const struct hsm_key *key = users->key;
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct err ignored = ERR_INIT;

    if (order->key_id_len > 0 || order->key_uri == NULL ||
        !hsm_uri_parse(order->key_uri, &uri, &ignored) || uri.object == NULL ||
        !str_equal(uri.object, key->label) || !hsm_token_info_matches(&key->token->info, &uri)) {
        return false;
    }
    bool same_id = !uri.id.set || (key->id.set && uri.id.len == key->id.len &&
                                   memcmp(uri.id.data, key->id.data, key->id.len) == 0);
    return same_id && (hsm_uri_names_token(&uri) ||
                       str_equal(order->token, users->cli->selection.token->name));
}

static bool uses(const struct users *users, const struct order *order)
{
    const struct hsm_id *id = &users->key->id;
    bool same_id =
        id->set && order->key_id_len == id->len && memcmp(order->key_id, id->data, id->len) == 0;

    return same_id || is_named_by(users, order) ||
           (users->has_hash && memcmp(order->spki_hash, users->hash, sizeof(users->hash)) == 0);
}

static bool print_user(void *ctx, const struct order *order)
{
    struct users *users = ctx;
    AUTO(buf) struct buf id = BUF_INIT(24);

    if (uses(users, order)) {
        buf_addf(&id, "%lld", (long long)order->id);
        const char *cells[] = {buf_str(&id), order_state_name(order->state), order->names};
        out_row(&users->cli->out, cells);
        users->count++;
    }
    return true;
}

static const struct out_column order_columns[] = {
    {"order", "OPEN ORDER", 10, true},
    {"state", "STATE", 13, false},
    {"names", "NAMES", 0, false},
};

static bool open_users(struct cli *cli, struct journal **journal, struct users *users,
                       struct err *err)
{
    AUTO(pkey) EVP_PKEY *public = NULL;
    const struct hsm_key *key = users->key;

    if (!cli_journal(cli, journal, err)) {
        return err_wrap(err, "whether an order uses the key");
    }
    if (key->public.known && key->spec.type != HSM_KEY_OTHER) {
        if (!hsm_key_public_evp(key, &public, err) || !x509_spki_hash(public, users->hash, err)) {
            return false;
        }
        users->has_hash = true;
    }
    return true;
}

static bool print_orders(struct cli *cli, const struct hsm_key *key, size_t *count, struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;
    struct users users = {.cli = cli, .key = key};

    if (!open_users(cli, &journal, &users, err)) {
        return false;
    }
    out_table(&cli->out, "open_orders", order_columns, ARRAY_LEN(order_columns),
              "No open order uses it.");
    bool ok = journal_list(journal, true, INT64_MAX, print_user, &users, err);
    out_table_end(&cli->out);
    *count = users.count;
    return ok;
}

static bool print_rest(struct cli *cli, const struct hsm_family *family, struct err *err)
{
    AUTO(buf) struct buf id = BUF_INIT(2 * HSM_ID_MAX);

    str_add_hex(&id, family->key.id.data, family->key.id.len, '\0');
    if (family->key.handle != 0) {
        return cli_print_key(cli, &family->key, err);
    }
    out_text(&cli->out, "left_of", "What is left of the key with id", buf_str(&id));
    return true;
}

static bool is_meant(const struct hsm_family *family, const struct opts_key_delete *opts,
                     size_t orders, struct err *err)
{
    return opts->yes ||
           err_set(err, E_USAGE,
                   "nothing was destroyed: a key that is destroyed is gone for ever%s%s%s; to do "
                   "it, add --yes",
                   family->certs.count == 0  ? ""
                   : opts->with_certificates ? ", and its certificates with it"
                                             : ", and its certificates are of no use then",
                   orders > 0 ? ", and an open order needs it" : "",
                   family->strangers > 0 ? ", and other objects that share its id stay" : "");
}

/* Under one public half: its certificates from the i-th on, unless it had its turn before. */
static bool note_half(struct cli *cli, const struct hsm_family *family, size_t i,
                      struct keystore_old *old, struct err *err)
{
    const struct hsm_certs *certs = &family->certs;
    AUTO(buf) struct buf text = BUF_INIT(HSM_URI_MAX);
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    uint8_t hash[X509_SPKI_HASH_LEN];
    uint8_t other[X509_SPKI_HASH_LEN];
    struct app_note note = {.spki_hash = hash, .old = old};

    if (!x509_cert_spki_hash(certs->list[i].x509, hash, err)) {
        return false;
    }
    for (size_t j = 0; j < certs->count; j++) {
        if (!x509_cert_spki_hash(certs->list[j].x509, other, err)) {
            return false;
        }
        if (memcmp(hash, other, sizeof(hash)) != 0) {
            continue;
        }
        if (j < i) {
            return true;
        }
        old[note.old_count++] =
            (struct keystore_old){.cert = certs->list[j].x509, .label = certs->list[j].label};
    }
    if (!hsm_cert_uri(family->key.token, &certs->list[i], &uri, err)) {
        return false;
    }
    hsm_uri_format(&uri, &text);
    note.key_uri = buf_str(&text);
    return app_note_old(&cli->app, NULL, &note, err);
}

/* What is destroyed with the key stays in the journal, as with 'cert remove'. */
static bool note_certificates(struct cli *cli, const struct hsm_family *family, struct err *err)
{
    size_t count = family->certs.count;
    bool ok = true;

    if (count == 0) {
        return true;
    }
    struct keystore_old *old = calloc(count, sizeof(*old));
    if (old == NULL) {
        return err_nomem(err);
    }
    ok = cli_app(cli, err);
    for (size_t i = 0; ok && i < count; i++) {
        ok = note_half(cli, family, i, old, err);
    }
    free(old);
    return ok;
}

/* A key that happens to be the only one on its token is not meant by that. */
static bool names_key(const char *text, struct err *err)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    return hsm_uri_parse(text, &uri, err) &&
           (hsm_uri_names_object(&uri) ||
            err_set(err, E_USAGE,
                    "%s names a token and no key: what is to be destroyed has to be named with "
                    "'object=' or 'id='",
                    text));
}

bool cmd_key_delete(struct cli *cli, struct err *err)
{
    const struct opts_key_delete *opts = cli->opts;
    AUTO(hsm_opened) struct hsm_opened opened = {.token = NULL};
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_family) struct hsm_family family = {.strangers = 0};
    size_t orders = 0;

    if (!names_key(cli->operands[0], err) ||
        !family_or_rest(cli, opts->with_certificates, &opened, &session, &family, err) ||
        !print_rest(cli, &family, err) ||
        !cli_print_certificates(cli, &family.certs, "No certificate is bound to it.", err) ||
        !print_orders(cli, &family.key, &orders, err)) {
        return false;
    }
    out_number(&cli->out, "strangers", family.strangers > 0 ? "Others with its id" : NULL,
               (int64_t)family.strangers);
    bool destroyed = is_meant(&family, opts, orders, err) &&
                     (!opts->with_certificates || note_certificates(cli, &family, err)) &&
                     hsm_family_destroy(opened.token, &family, opts->with_certificates, err);
    out_bool(&cli->out, "destroyed", "Destroyed", destroyed);
    return destroyed;
}

/* Whether the order would look for the key by the label that it has now. */
static bool looks_for_label(const struct order *order)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct err ignored = ERR_INIT;

    return order->key_uri == NULL || !hsm_uri_parse(order->key_uri, &uri, &ignored) ||
           uri.object != NULL;
}

/* For journal_list(): ends at the first order that is in the way of a new label. */
struct in_the_way {
    struct users users;
    struct err *err;
};

static bool stop_rename(void *ctx, const struct order *order)
{
    struct in_the_way *way = ctx;

    if (!uses(&way->users, order) || !looks_for_label(order)) {
        return true;
    }
    return err_set(way->err, E_USAGE,
                   "nothing was renamed: the open order %lld (%s, %s) names the key by its label "
                   "'%s'; rename it when the order is done or abandoned",
                   (long long)order->id, order->names != NULL ? order->names : "no names",
                   order_state_name(order->state), way->users.key->label);
}

static bool no_order_needs_label(struct cli *cli, const struct hsm_key *key, struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;
    struct in_the_way way = {.users = {.cli = cli, .key = key}, .err = err};

    return open_users(cli, &journal, &way.users, err) &&
           journal_list(journal, true, INT64_MAX, stop_rename, &way, err) && err->code == E_NONE;
}

bool cmd_key_rename(struct cli *cli, struct err *err)
{
    const struct opts_key_rename *opts = cli->opts;
    AUTO(hsm_opened) struct hsm_opened opened = {.token = NULL};
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_family) struct hsm_family family = {.strangers = 0};

    if (opts->label == NULL || opts->label[0] == '\0') {
        return err_set(err, E_USAGE, "--label is missing: what shall the key be called?");
    }
    if (!cli_family(cli, &opened, &session, &family, err) ||
        !no_order_needs_label(cli, &family.key, err) ||
        !hsm_family_rename(opened.token, &family, opts->label, err)) {
        return false;
    }
    out_text(&cli->out, "old_label", "Was called", family.key.label);
    free(family.key.label);
    family.key.label = str_dup(opts->label);
    if (family.key.label == NULL) {
        return err_nomem(err);
    }
    out_number(&cli->out, "certificates_renamed", "Certificates renamed",
               (int64_t)family.certs.count);
    return cli_print_key(cli, &family.key, err);
}
