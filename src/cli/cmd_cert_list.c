#include "base/file.h"
#include "base/str.h"
#include "cli/token.h"
#include "hsm/cert.h"
#include "hsm/object.h"
#include "x509/x509.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHAIN_MAX = 8, PEM_MAX = 1 << 20 };

static const struct out_column columns[] = {
    {"subject", "SUBJECT", 36, false},
    {"issuer", "ISSUER", 28, false},
    {"not_after", "VALID UNTIL", 20, false},
    {"key", "KEY", 12, false},
    {"label", "LABEL", 0, false},
    {"id", NULL, 0, false},
    {"serial", NULL, 0, false},
    {"uri", NULL, 0, false},
};

/* Whether a private key of the token belongs to it, in a word. */
static const char *key_word(const struct hsm_key_index *keys, const struct hsm_cert *cert)
{
    if (hsm_cert_is_attestation(cert)) {
        return "attestation";
    }
    switch (hsm_key_index_match(keys, cert)) {
    case HSM_MATCH_NONE:
        return "no";
    case HSM_MATCH_YES:
        return "yes";
    case HSM_MATCH_OTHER:
        return "other";
    }
    return "";
}

static bool uri_text(const struct hsm_session *session, const struct hsm_cert *cert,
                     struct buf *out, struct err *err)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    if (!hsm_cert_uri(session->token, cert, &uri, err)) {
        return false;
    }
    hsm_uri_format(&uri, out);
    return buf_ok(out) || err_nomem(err);
}

static bool list_one(struct cli *cli, struct hsm_session *session, CK_OBJECT_HANDLE handle,
                     const struct hsm_key_index *keys, struct err *err)
{
    AUTO(hsm_cert) struct hsm_cert cert = {0};
    AUTO(x509_info) struct x509_info info = {.subject = NULL};
    AUTO(buf) struct buf uri = BUF_INIT(HSM_URI_MAX);
    AUTO(buf) struct buf id = BUF_INIT(2 * HSM_ID_MAX);
    char until[CLOCK_TEXT_SIZE] = "";

    if (!hsm_cert_load(session, handle, &cert, err) || !uri_text(session, &cert, &uri, err)) {
        return false;
    }
    str_add_hex(&id, cert.id.data, cert.id.len, '\0');
    if (cert.x509 == NULL || !x509_info(cert.x509, &info, err)) {
        err_clear(err);
        const char *cells[] = {"(not a certificate)", NULL, NULL,         NULL, cert.label,
                               buf_str(&id),          NULL, buf_str(&uri)};
        out_row(&cli->out, cells);
        return true;
    }
    clock_format(info.not_after_s, until);
    const char *cells[] = {info.subject, info.issuer,  until,       key_word(keys, &cert),
                           cert.label,   buf_str(&id), info.serial, buf_str(&uri)};
    out_row(&cli->out, cells);
    return true;
}

bool cmd_cert_list(struct cli *cli, struct err *err)
{
    AUTO(hsm_opened) struct hsm_opened opened = {.token = NULL};
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;
    AUTO(hsm_key_index) struct hsm_key_index keys = {.count = 0};
    struct attrs template = ATTRS_INIT;

    if (!cli_token_open(cli, NULL, true, &opened, err) ||
        !hsm_session_take(opened.token, false, &session, err) ||
        !hsm_key_index(&session, &keys, err)) {
        return false;
    }
    hsm_uri_to_template(&opened.uri, CKO_CERTIFICATE, &template);
    if (!hsm_find(&session, &template, &found, err)) {
        return false;
    }
    out_text(&cli->out, "token", NULL, opened.token->info.label);
    out_table(&cli->out, "certificates", columns, ARRAY_LEN(columns),
              "The token has no certificate.");
    for (size_t i = 0; i < found.count; i++) {
        if (!list_one(cli, &session, found.list[i], &keys, err)) {
            return false;
        }
    }
    out_table_end(&cli->out);
    return true;
}

/* One certificate that the command line names, on an opened token. */
struct named {
    struct hsm_opened opened;
    struct hsm_session session;
    struct hsm_cert cert;
};

static void named_done(struct named *named)
{
    hsm_cert_done(&named->cert);
    hsm_session_give(&named->session);
    hsm_opened_done(&named->opened);
}

DEFINE_AUTO_DONE(named, struct named, named_done)

static bool find_named(struct cli *cli, struct named *out, struct err *err)
{
    const struct opts_cert_one *opts = cli->opts;

    return cli_token_open(cli, cli->operands[0], true, &out->opened, err) &&
           hsm_session_take(out->opened.token, false, &out->session, err) &&
           hsm_cert_find(&out->session, &out->opened.uri, opts->serial, &out->cert, err);
}

/* E_TOKEN for an object whose value is something else. */
static bool need_certificate(const struct named *named, struct err *err)
{
    return named->cert.x509 != NULL ||
           err_set(err, E_TOKEN, "'%.100s' on %s is no X.509 certificate", named->cert.label,
                   hsm_token_name(&named->opened.token->info));
}

/* The certificate and its issuers on the token, root included. */
static bool chain_of(struct named *named, STACK_OF(X509) * *out, struct err *err)
{
    AUTO(x509_stack) STACK_OF(X509) *chain = sk_X509_new_null();
    X509 *at = named->cert.x509;

    if (chain == NULL) {
        return err_nomem(err);
    }
    for (int i = 0; i < CHAIN_MAX; i++) {
        X509 *issuer = NULL;
        if (X509_NAME_cmp(X509_get_subject_name(at), X509_get_issuer_name(at)) == 0) {
            break;
        }
        if (!hsm_cert_find_issuer(&named->session, at, &issuer, err)) {
            return false;
        }
        if (issuer == NULL) {
            break;
        }
        if (sk_X509_push(chain, issuer) <= 0) {
            X509_free(issuer);
            return err_nomem(err);
        }
        at = issuer;
    }
    *out = TAKE(chain);
    return true;
}

static bool print_names(struct cli *cli, X509 *cert, struct err *err)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;

    if (!x509_names_of_cert(cert, &names, err)) {
        err_clear(err);
        return true;
    }
    AUTO(str) char *all = x509_names_join(&names, ',');
    if (all == NULL) {
        return err_nomem(err);
    }
    out_text(&cli->out, "names", "Names", names.count > 0 ? all : NULL);
    return true;
}

static bool print_fingerprint(struct cli *cli, X509 *cert, struct err *err)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    AUTO(buf) struct buf hex = BUF_INIT(2 * EVP_MAX_MD_SIZE);

    if (X509_digest(cert, EVP_sha256(), hash, &len) != 1) {
        return err_set_ssl(err, E_INTERNAL, "a certificate cannot be hashed");
    }
    str_add_hex(&hex, hash, len, '\0');
    out_text(&cli->out, "sha256", "SHA-256", buf_str(&hex));
    return true;
}

/* What show and remove have in common. */
static bool print_certificate(struct cli *cli, const struct named *named,
                              const struct hsm_key_index *keys, struct err *err)
{
    AUTO(x509_info) struct x509_info info = {.subject = NULL};
    AUTO(buf) struct buf uri = BUF_INIT(HSM_URI_MAX);
    AUTO(buf) struct buf id = BUF_INIT(2 * HSM_ID_MAX);
    struct out *out = &cli->out;

    if (!x509_info(named->cert.x509, &info, err) ||
        !uri_text(&named->session, &named->cert, &uri, err)) {
        return false;
    }
    str_add_hex(&id, named->cert.id.data, named->cert.id.len, '\0');
    out_text(out, "label", "Label", named->cert.label);
    out_text(out, "id", "Id", buf_str(&id));
    out_text(out, "subject", "Subject", info.subject);
    out_text(out, "issuer", "Issuer", info.issuer);
    out_text(out, "serial", "Serial", info.serial);
    out_time(out, "not_before", "Valid from", info.not_before_s);
    out_time(out, "not_after", "Valid until", info.not_after_s);
    out_text(out, "key", "Its key is there", key_word(keys, &named->cert));
    out_text(out, "uri", "URI", buf_str(&uri));
    return true;
}

bool cmd_cert_show(struct cli *cli, struct err *err)
{
    AUTO(named) struct named named = {.session = HSM_SESSION_INIT};
    AUTO(hsm_key_index) struct hsm_key_index keys = {.count = 0};
    AUTO(x509_stack) STACK_OF(X509) *chain = NULL;

    if (!find_named(cli, &named, err) || !need_certificate(&named, err) ||
        !hsm_key_index_for(&named.session, &named.cert.id, &keys, err) ||
        !print_certificate(cli, &named, &keys, err) || !print_names(cli, named.cert.x509, err) ||
        !print_fingerprint(cli, named.cert.x509, err) || !chain_of(&named, &chain, err)) {
        return false;
    }
    out_number(&cli->out, "issuers", "Issuers on the token", sk_X509_num(chain));
    return true;
}

static bool export_der(struct cli *cli, X509 *cert, struct err *err)
{
    const struct opts_cert_one *opts = cli->opts;
    unsigned char *der = NULL;
    int len = i2d_X509(cert, &der);

    if (len <= 0) {
        return err_set_ssl(err, E_INTERNAL, "a certificate cannot be encoded");
    }
    bool ok = file_write_atomic(opts->out_path, der, (size_t)len, 0644, err);
    OPENSSL_free(der);
    return ok;
}

static bool export_pem(struct cli *cli, X509 *cert, STACK_OF(X509) * chain, struct err *err)
{
    const struct opts_cert_one *opts = cli->opts;
    AUTO(buf) struct buf pem = BUF_INIT(PEM_MAX);

    if (!x509_to_pem(cert, &pem, err) || (chain != NULL && !x509_chain_to_pem(chain, &pem, err))) {
        return false;
    }
    if (opts->out_path != NULL) {
        return cli_write_public(opts->out_path, buf_str(&pem), err);
    }
    out_block(&cli->out, "pem", buf_str(&pem));
    return true;
}

bool cmd_cert_export(struct cli *cli, struct err *err)
{
    const struct opts_cert_one *opts = cli->opts;
    AUTO(named) struct named named = {.session = HSM_SESSION_INIT};
    AUTO(x509_stack) STACK_OF(X509) *chain = NULL;

    if (opts->der && (opts->out_path == NULL || opts->chain)) {
        return err_set(err, E_USAGE,
                       opts->chain ? "--der is for one certificate, without --chain"
                                   : "--der needs --out");
    }
    if (!find_named(cli, &named, err) || !need_certificate(&named, err) ||
        (opts->chain && !chain_of(&named, &chain, err))) {
        return false;
    }
    if (!(opts->der ? export_der(cli, named.cert.x509, err)
                    : export_pem(cli, named.cert.x509, chain, err))) {
        return false;
    }
    if (opts->out_path != NULL) {
        out_number(&cli->out, "certificates", "Certificates",
                   1 + (chain != NULL ? sk_X509_num(chain) : 0));
        out_text(&cli->out, "file", "File", opts->out_path);
    }
    return true;
}

/* How many other certificates its key would still have. */
static bool count_others(struct named *named, size_t *others, struct err *err)
{
    AUTO(hsm_certs) struct hsm_certs certs = HSM_CERTS_INIT;
    struct hsm_uri uri = {.id = named->cert.id};
    uint8_t ours[X509_SPKI_HASH_LEN];
    uint8_t its[X509_SPKI_HASH_LEN];

    *others = 0;
    if (!hsm_certs_find(&named->session, &uri, &certs, err) ||
        !x509_cert_spki_hash(named->cert.x509, ours, err)) {
        return false;
    }
    for (size_t i = 0; i < certs.count; i++) {
        const struct hsm_cert *cert = &certs.list[i];
        if (cert->handle != named->cert.handle && cert->x509 != NULL &&
            !hsm_cert_is_attestation(cert) && x509_cert_spki_hash(cert->x509, its, err) &&
            memcmp(ours, its, sizeof(its)) == 0) {
            (*others)++;
        }
    }
    return err->code == E_NONE;
}

/* What it replaces is nothing, but 'cert undo' shall be able to put it back. */
static bool note_removal(struct cli *cli, const struct named *named, struct err *err)
{
    AUTO(buf) struct buf uri = BUF_INIT(HSM_URI_MAX);
    uint8_t hash[X509_SPKI_HASH_LEN];
    struct keystore_old old = {.cert = named->cert.x509, .label = named->cert.label};
    struct app_note note = {.spki_hash = hash, .old = &old, .old_count = 1};

    if (!x509_cert_spki_hash(named->cert.x509, hash, err) ||
        !uri_text(&named->session, &named->cert, &uri, err) || !cli_app(cli, err)) {
        return false;
    }
    note.key_uri = buf_str(&uri);
    return app_note_old(&cli->app, NULL, &note, err);
}

/* An attestation goes only if it was meant: it cannot be had again from every device. */
static bool may_remove(struct cli *cli, const struct named *named, struct err *err)
{
    const struct opts_cert_one *opts = cli->opts;

    if (!hsm_cert_is_attestation(&named->cert) || opts->serial != NULL ||
        str_equal(named->opened.uri.object, named->cert.label)) {
        return true;
    }
    return err_set(err, E_USAGE,
                   "'%.100s' on %s is an attestation certificate of the device; it is removed only "
                   "if its label ('object=') or --serial names it",
                   named->cert.label, hsm_token_name(&named->opened.token->info));
}

/* By whoever writes certificates on this token. */
static bool remove_it(struct cli *cli, struct named *named, struct err *err)
{
    struct hsm_access access = cli_access(cli);
    AUTO(hsm_opened) struct hsm_opened writer = {.token = NULL};
    struct hsm_key under = {.id = named->cert.id};
    bool removed = false;

    if (!access.so_writes_certificates) {
        return hsm_cert_remove(named->opened.token, &named->cert, err);
    }
    hsm_session_give(&named->session); /* another role, another login: handles change */
    return hsm_access_open_to(&access, cli->operands[0], HSM_TO_WRITE_CERTIFICATES, &writer, err) &&
           hsm_cert_unbind(writer.token, &under, named->cert.x509, &removed, err) &&
           (removed || err_set(err, E_OBJECT_MISSING, "the certificate is not there any more"));
}

bool cmd_cert_remove(struct cli *cli, struct err *err)
{
    const struct opts_cert_one *opts = cli->opts;
    AUTO(named) struct named named = {.session = HSM_SESSION_INIT};
    AUTO(hsm_key_index) struct hsm_key_index keys = {.count = 0};
    size_t others = 0;

    if (!find_named(cli, &named, err) || !need_certificate(&named, err) ||
        !may_remove(cli, &named, err) ||
        !hsm_key_index_for(&named.session, &named.cert.id, &keys, err) ||
        !count_others(&named, &others, err) || !print_certificate(cli, &named, &keys, err)) {
        return false;
    }
    bool last = others == 0 && hsm_key_index_match(&keys, &named.cert) == HSM_MATCH_YES &&
                !hsm_cert_is_attestation(&named.cert);
    out_bool(&cli->out, "last_of_key", "Its key's last one", last);
    if (!opts->yes) {
        return err_set(err, E_USAGE, "nothing was removed%s; --yes removes it",
                       last ? ": it is the last certificate of a key that is there" : "");
    }
    if (!note_removal(cli, &named, err) || !remove_it(cli, &named, err)) {
        return false;
    }
    out_bool(&cli->out, "removed", "Removed", true);
    return true;
}
