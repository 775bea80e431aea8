#include "keystore/ks.h"

#include "base/file.h"
#include "hsm/uri.h"
#include "x509/x509.h"

#include <openssl/err.h>
#include <openssl/provider.h>
#include <string.h>

enum { FILE_MAX = 4 << 20 };

static const char provider_name[] = "p11enroll";

void keystore_free(struct keystore *keystore)
{
    if (keystore == NULL) {
        return;
    }
    if (keystore->token_provider != NULL) {
        (void)OSSL_PROVIDER_unload(keystore->token_provider);
    }
    if (keystore->default_provider != NULL) {
        (void)OSSL_PROVIDER_unload(keystore->default_provider);
    }
    OSSL_LIB_CTX_free(keystore->libctx);
    free(keystore);
}

bool keystore_new(const struct keystore_settings *settings, struct keystore **out, struct err *err)
{
    AUTO(keystore) struct keystore *ks = calloc(1, sizeof(*ks));

    if (ks == NULL) {
        return err_nomem(err);
    }
    ks->secrets = settings->secrets;
    ks->libctx = OSSL_LIB_CTX_new();
    if (ks->libctx == NULL ||
        OSSL_PROVIDER_add_builtin(ks->libctx, provider_name, settings->provider_init) != 1) {
        return err_set_ssl(err, E_INTERNAL, "registering the PKCS#11 provider");
    }
    ks->default_provider = OSSL_PROVIDER_load(ks->libctx, "default");
    ks->token_provider =
        ks->default_provider != NULL ? OSSL_PROVIDER_load(ks->libctx, provider_name) : NULL;
    if (ks->token_provider == NULL) {
        return err_set_ssl(err, E_INTERNAL, "loading the PKCS#11 provider");
    }
    *out = TAKE(ks);
    return true;
}

void keystore_identity_done(struct keystore_identity *identity)
{
    EVP_PKEY_free(identity->key);
    X509_free(identity->cert);
    x509_stack_free(identity->chain);
    *identity = (struct keystore_identity){.key = NULL};
}

void keystore_key_done(struct keystore_key *key)
{
    EVP_PKEY_free(key->pkey);
    free(key->uri);
    free(key->label);
    *key = (struct keystore_key){.pkey = NULL};
}

bool ks_password(struct keystore *keystore, const struct keystore_source *source, const char *path,
                 struct secret *out, struct err *err)
{
    AUTO(buf) struct buf what = BUF_INIT(512);

    if (source->password_source == NULL) {
        return true;
    }
    buf_addf(&what, "password of %s", path);
    return secret_source_read(source->password_source, buf_str(&what), &keystore->secrets, out,
                              err);
}

bool ks_key_password(struct keystore *keystore, const struct keystore_source *source,
                     const char *path, struct secret *out, struct err *err)
{
    AUTO(buf) struct buf what = BUF_INIT(512);

    if (source->key_password_source == NULL) {
        return true;
    }
    buf_addf(&what, "password of the key in %s", path);
    return secret_source_read(source->key_password_source, buf_str(&what), &keystore->secrets, out,
                              err);
}

static bool has_bytes(const unsigned char *data, int len, const void *wanted, size_t wanted_len)
{
    return data != NULL && (size_t)len == wanted_len && memcmp(data, wanted, wanted_len) == 0;
}

static bool is_tied(X509 *cert, const ASN1_STRING *key_id)
{
    int len = 0;
    const unsigned char *id = X509_keyid_get0(cert, &len);

    return key_id != NULL &&
           has_bytes(id, len, ASN1_STRING_get0_data(key_id), (size_t)ASN1_STRING_length(key_id));
}

static bool is_called(X509 *cert, const char *alias)
{
    int len = 0;
    const unsigned char *name = X509_alias_get0(cert, &len);

    return alias != NULL && has_bytes(name, len, alias, strlen(alias));
}

static bool is_valid_now(X509 *cert)
{
    return X509_cmp_current_time(X509_get0_notBefore(cert)) < 0 &&
           X509_cmp_current_time(X509_get0_notAfter(cert)) > 0;
}

/* openssl pkcs12 -export ties the key to the first certificate in its input, the expired one as
 * well: without a name from the user that decides only among certificates that are as good. */
static int rank(X509 *cert, const struct ks_tie *tie)
{
    bool tied = tie != NULL && is_tied(cert, tie->key_id);
    bool called = tie != NULL && is_called(cert, tie->alias);
    bool key_named = tie != NULL && tie->alias != NULL && tie->key_named;

    return (key_named && tied ? 8 : 0) + (called ? 4 : 0) + (is_valid_now(cert) ? 2 : 0) +
           (tied ? 1 : 0);
}

static bool find_leaf(STACK_OF(X509) * certs, EVP_PKEY *key, const struct ks_tie *tie, X509 **leaf,
                      struct err *err)
{
    uint8_t wanted[X509_SPKI_HASH_LEN];
    uint8_t hash[X509_SPKI_HASH_LEN];
    int best = -1;

    *leaf = NULL;
    if (!x509_spki_hash(key, wanted, err)) {
        return false;
    }
    for (int i = 0; i < sk_X509_num(certs); i++) {
        X509 *cert = sk_X509_value(certs, i);
        struct err why = ERR_INIT;
        if (!x509_cert_spki_hash(cert, hash, &why) || memcmp(hash, wanted, sizeof(hash)) != 0) {
            continue;
        }
        int its = rank(cert, tie);
        if (its > best || (its == best && x509_ends_later(cert, *leaf))) {
            best = its;
            *leaf = cert;
        }
    }
    return *leaf != NULL ||
           err_set(err, E_KEYSTORE, "none of the %d certificates belongs to the key",
                   sk_X509_num(certs));
}

bool ks_match(EVP_PKEY *key, STACK_OF(X509) * certs, const struct ks_tie *tie, const char *where,
              struct keystore_identity *out, struct err *err)
{
    AUTO(x509_stack) STACK_OF(X509) *chain = NULL;
    X509 *leaf = NULL;

    if (!find_leaf(certs, key, tie, &leaf, err)) {
        return err_wrap(err, "%s", where);
    }
    if (!x509_issuers(certs, leaf, &chain, err)) {
        return false;
    }
    if (X509_up_ref(leaf) != 1) {
        return err_nomem(err);
    }
    if (EVP_PKEY_up_ref(key) != 1) {
        X509_free(leaf);
        return err_nomem(err);
    }
    out->key = key;
    out->cert = leaf;
    out->chain = TAKE(chain);
    return true;
}

/* The rows, in the order in which they are asked. PKCS#12 takes whatever binary there is, so it is
 * last. */
static const struct keystore_format *const formats[] = {&ks_pkcs11, &ks_jks, &ks_pem, &ks_pkcs12};

/* Elsewhere a key's password is the file's, or the token's PIN. */
static bool check_key_password(const struct keystore_format *format,
                               const struct keystore_source *source, const char *where,
                               struct err *err)
{
    return source->key_password_source == NULL || format == &ks_jks ||
           err_set(err, E_CONFIG,
                   "'client_key_password_source' is for keys in JKS files alone, and %s is %s%s",
                   where, hsm_uri_is(where) ? "in a token" : format->name,
                   hsm_uri_is(where) ? "" : ", whose key 'client_password_source' opens");
}

bool keystore_open(struct keystore *keystore, const struct keystore_source *source,
                   struct keystore_identity *out, struct err *err)
{
    const char *first = source->key != NULL ? source->key : source->cert;
    AUTO(buf) struct buf data = BUF_INIT(FILE_MAX);
    bool is_uri = first != NULL && hsm_uri_is(first);

    if (first == NULL) {
        return err_set(err, E_CONFIG, "no client certificate is configured ('client_cert')");
    }
    if (!is_uri && !file_read(first, &data, err)) {
        return err_wrap(err, "client keystore");
    }
    const uint8_t *bytes = is_uri ? NULL : (const uint8_t *)buf_str(&data);
    if (!is_uri && !ks_check_type(source->type, bytes, data.len, first, "client_type", err)) {
        return err_wrap(err, "client keystore");
    }
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (formats[i]->matches(source, bytes, data.len)) {
            return (check_key_password(formats[i], source, first, err) &&
                    formats[i]->open(keystore, source, out, err)) ||
                   err_wrap(err, "client keystore");
        }
    }
    return err_set(err, E_KEYSTORE, "client keystore: %s is none of PEM, PKCS#12 and JKS", first);
}
