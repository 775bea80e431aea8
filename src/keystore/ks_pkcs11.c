#include "keystore/ks_token.h"

#include "base/str.h"
#include "hsm/access.h"
#include "hsm/cert.h"
#include "hsm/key.h"
#include "hsm/object.h"
#include "hsm/session.h"
#include "x509/x509.h"

#include <openssl/err.h>
#include <openssl/store.h>
#include <stdio.h>
#include <string.h>

enum { CHAIN_MAX = 6 };

static void store_close(OSSL_STORE_CTX *ctx)
{
    (void)OSSL_STORE_close(ctx);
}

DEFINE_AUTO(store_ctx, OSSL_STORE_CTX *, store_close)
DEFINE_AUTO(store_info, OSSL_STORE_INFO *, OSSL_STORE_INFO_free)

static bool matches(const struct keystore_source *source, const uint8_t *data UNUSED,
                    size_t len UNUSED)
{
    const char *first = source->key != NULL ? source->key : source->cert;

    return hsm_uri_is(first);
}

void keystore_access(const struct keystore_token *token, const struct secret_policy *secrets,
                     struct hsm_access *out)
{
    *out = (struct hsm_access){
        .section = token->section,
        .module_path = token->module,
        .init_args = token->init_args,
        .quirks = token->quirks,
        .token_uri = token->uri,
        .pin_source = token->pin_source,
        .pin_source_is_deliberate = token->pin_source_is_deliberate,
        .try_pin_again = token->try_pin_again,
        .so_generates = token->so_generates,
        .so_writes_certificates = token->so_writes_certificates,
        .so_pin_source = token->so_pin_source,
        .secrets = secrets,
    };
}

static struct hsm_access access_of(const struct keystore *keystore,
                                   const struct keystore_token *token)
{
    struct hsm_access access;

    keystore_access(token, &keystore->secrets, &access);
    return access;
}

bool ks_connect_token(struct keystore *keystore, const struct keystore_token *token,
                      const char *uri, struct hsm_opened *out, struct err *err)
{
    struct hsm_access access = access_of(keystore, token);

    return hsm_access_open(&access, uri, true, out, err);
}

bool ks_connect_token_to(struct keystore *keystore, const struct keystore_token *token,
                         const char *uri, enum hsm_purpose purpose, struct hsm_opened *out,
                         struct err *err)
{
    struct hsm_access access = access_of(keystore, token);

    return hsm_access_open_to(&access, uri, purpose, out, err);
}

bool ks_explain_role(const struct keystore *keystore, const struct keystore_token *token,
                     enum hsm_purpose purpose, struct err *err)
{
    struct hsm_access access = access_of(keystore, token);

    return hsm_access_explain_role(&access, purpose, err);
}

bool keystore_login(struct keystore *keystore, const struct keystore_token *token, struct err *err)
{
    AUTO(hsm_opened) struct hsm_opened target = {.token = NULL};

    return ks_connect_token(keystore, token, NULL, &target, err);
}

/* The text by which the provider finds the key again: token, id and label, module, and a PIN source
 * if any. */
static bool provider_uri(const struct hsm_opened *target, const struct hsm_key *key,
                         struct buf *out, struct err *err)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    if (!hsm_key_uri(key, &uri, err)) {
        return false;
    }
    hsm_uri_format_with_module(&uri, hsm_module_path(key->token->module), out);
    if (key->always_authenticate && !secret_source_is_prompt(target->pin_source)) {
        buf_add_str(out, "&pin-source=");
        str_percent_encode(out, (const uint8_t *)target->pin_source, strlen(target->pin_source),
                           "/:");
    }
    return buf_ok(out) || err_nomem(err);
}

/* Loads the key through OSSL_STORE and our provider: the client sees what every other program sees.
 */
static bool load_pkey(struct keystore *keystore, const char *uri, EVP_PKEY **out, struct err *err)
{
    AUTO(store_ctx)
    OSSL_STORE_CTX *store =
        OSSL_STORE_open_ex(uri, keystore->libctx, NULL, NULL, NULL, NULL, NULL, NULL);

    if (store == NULL || OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY) != 1) {
        return err_set_ssl(err, E_TOKEN, "opening the key through the provider");
    }
    while (!OSSL_STORE_eof(store)) {
        AUTO(store_info) OSSL_STORE_INFO *info = OSSL_STORE_load(store);
        if (info != NULL && OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY) {
            *out = OSSL_STORE_INFO_get1_PKEY(info);
            ERR_clear_error();
            return *out != NULL || err_nomem(err);
        }
    }
    return err_set_ssl(err, E_TOKEN, "loading the key through the provider");
}

bool ks_public_uri(const struct hsm_key *key, enum hsm_uri_type type, char **out, struct err *err)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    AUTO(buf) struct buf text = BUF_INIT(HSM_URI_MAX);

    if (!hsm_key_uri(key, &uri, err)) {
        return false;
    }
    uri.type = type;
    hsm_uri_format(&uri, &text);
    *out = buf_take_str(&text);
    return *out != NULL || err_nomem(err);
}

bool ks_describe(struct keystore *keystore, const struct hsm_opened *target,
                 const struct hsm_key *key, struct keystore_key *out, struct err *err)
{
    AUTO(buf) struct buf uri = BUF_INIT(2 * HSM_URI_MAX);
    AUTO(keystore_key) struct keystore_key made = {.pkey = NULL};

    if (key->spec.type == HSM_KEY_OTHER || key->spec.type == HSM_KEY_MONTGOMERY) {
        return err_set(err, E_USAGE,
                       "key '%s' on %s is no key that signs: neither RSA, nor EC with a usual "
                       "curve, nor Ed25519 or Ed448",
                       key->label, hsm_token_name(&key->token->info));
    }
    if (!provider_uri(target, key, &uri, err) ||
        !load_pkey(keystore, buf_str(&uri), &made.pkey, err) ||
        !ks_public_uri(key, HSM_URI_PRIVATE, &made.uri, err)) {
        return false;
    }
    made.label = str_dup(key->label);
    if (made.label == NULL) {
        return err_nomem(err);
    }
    memcpy(made.id, key->id.data, key->id.len);
    made.id_len = key->id.len;
    (void)snprintf(made.kind, sizeof(made.kind), "%s", hsm_key_spec_name(&key->spec));
    *out = made;
    made = (struct keystore_key){.pkey = NULL};
    return true;
}

bool ks_find_private(struct hsm_opened *target, bool want_public, struct hsm_key *key,
                     struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;

    if (target->uri.type != HSM_URI_ANY && target->uri.type != HSM_URI_PRIVATE) {
        return err_set(err, E_USAGE, "a private key is wanted, and the URI has type=%s",
                       hsm_uri_type_name(target->uri.type));
    }
    return hsm_session_take(target->token, false, &session, err) &&
           hsm_key_find(&session, &target->uri, CKO_PRIVATE_KEY, want_public, key, err);
}

bool keystore_find(struct keystore *keystore, const struct keystore_token *token, const char *uri,
                   struct keystore_key *out, struct err *err)
{
    AUTO(hsm_opened) struct hsm_opened target = {.token = NULL};
    AUTO(hsm_key) struct hsm_key key = {0};

    return ks_connect_token(keystore, token, uri, &target, err) &&
           ks_find_private(&target, false, &key, err) &&
           ks_describe(keystore, &target, &key, out, err);
}

bool keystore_find_id(struct keystore *keystore, const struct keystore_token *token,
                      const uint8_t *id, size_t id_len, bool *found, struct keystore_key *out,
                      struct err *err)
{
    AUTO(hsm_opened) struct hsm_opened target = {.token = NULL};
    AUTO(hsm_key) struct hsm_key key = {0};

    *found = false;
    if (!ks_connect_token(keystore, token, NULL, &target, err)) {
        return false;
    }
    memcpy(target.uri.id.data, id, id_len);
    target.uri.id.len = id_len;
    target.uri.id.set = true;
    if (!ks_find_private(&target, false, &key, err)) {
        if (err->code != E_OBJECT_MISSING) {
            return false;
        }
        err_clear(err);
        return true;
    }
    *found = true;
    return ks_describe(keystore, &target, &key, out, err);
}

/* A certificate for TLS from the token itself */

/* Of the certificates with the key's id: of this key, no attestation, the one that lasts longest.
 */
static X509 *best_certificate(const struct hsm_certs *certs, const struct hsm_key *key)
{
    X509 *best = NULL;

    for (size_t i = 0; i < certs->count; i++) {
        X509 *cert = certs->list[i].x509;
        if (cert == NULL || hsm_cert_is_attestation(&certs->list[i]) ||
            !hsm_cert_is_of(&certs->list[i], key)) {
            continue;
        }
        if (best == NULL || x509_ends_later(cert, best)) {
            best = cert;
        }
    }
    return best;
}

static bool add_chain(struct hsm_session *session, X509 *leaf, STACK_OF(X509) * certs,
                      struct err *err)
{
    X509 *at = leaf;

    for (int i = 0; i < CHAIN_MAX; i++) {
        X509 *issuer = NULL;
        if (X509_NAME_cmp(X509_get_subject_name(at), X509_get_issuer_name(at)) == 0) {
            break;
        }
        if (!hsm_cert_find_issuer(session, at, &issuer, err)) {
            return false;
        }
        if (issuer == NULL) {
            break;
        }
        if (sk_X509_push(certs, issuer) <= 0) {
            X509_free(issuer);
            return err_nomem(err);
        }
        at = issuer;
    }
    return true;
}

static bool certificates_beside(struct hsm_opened *target, const struct hsm_key *key,
                                STACK_OF(X509) * *out, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_certs) struct hsm_certs certs = HSM_CERTS_INIT;
    AUTO(x509_stack) STACK_OF(X509) *stack = sk_X509_new_null();
    struct hsm_uri uri = {.id = key->id};

    if (stack == NULL) {
        return err_nomem(err);
    }
    if (!hsm_session_take(target->token, false, &session, err) ||
        !hsm_certs_find(&session, &uri, &certs, err)) {
        return false;
    }
    X509 *leaf = best_certificate(&certs, key);
    if (leaf == NULL) {
        return err_set(err, E_KEYSTORE,
                       "%s has no certificate for the key '%s'; name a file with "
                       "'client_cert'",
                       hsm_token_name(&target->token->info), key->label);
    }
    if (X509_up_ref(leaf) != 1) {
        return err_nomem(err);
    }
    if (sk_X509_push(stack, leaf) <= 0) {
        X509_free(leaf);
        return err_nomem(err);
    }
    if (!add_chain(&session, leaf, stack, err)) {
        return false;
    }
    *out = TAKE(stack);
    return true;
}

static bool open_pkcs11(struct keystore *keystore, const struct keystore_source *source,
                        struct keystore_identity *out, struct err *err)
{
    const char *uri = source->key != NULL ? source->key : source->cert;
    bool file = source->key != NULL && source->cert != NULL && !hsm_uri_is(source->cert);
    AUTO(hsm_opened) struct hsm_opened target = {.token = NULL};
    AUTO(hsm_key) struct hsm_key key = {0};
    AUTO(keystore_key) struct keystore_key described = {.pkey = NULL};
    AUTO(x509_stack) STACK_OF(X509) *certs = NULL;

    if (!ks_connect_token(keystore, &source->token, uri, &target, err)) {
        return false;
    }
    target.uri.type = HSM_URI_ANY; /* the URI may name the certificate; its key is wanted as well */
    if (!ks_find_private(&target, true, &key, err) ||
        !ks_describe(keystore, &target, &key, &described, err)) {
        return false;
    }
    bool found = file ? x509_bundle_read(source->cert, &certs, err)
                      : certificates_beside(&target, &key, &certs, err);
    return found && ks_match(described.pkey, certs, NULL, file ? source->cert : uri, out, err);
}

const struct keystore_format ks_pkcs11 = {
    .name = "PKCS#11", .matches = matches, .open = open_pkcs11};
