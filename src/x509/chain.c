#include "x509/x509.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <openssl/x509_vfy.h>
#include <string.h>

DEFINE_AUTO(bio, BIO *, BIO_free_all)
DEFINE_AUTO(pkcs7, PKCS7 *, PKCS7_free)
DEFINE_AUTO(store_ctx, X509_STORE_CTX *, X509_STORE_CTX_free)

enum { ANSWER_MAX = 1 << 20, ROOTS_MAX = 1000, CLOCK_SKEW_S = 300 };

/* Certificates on their way in: no more than max, and whether there were more. */
struct bundle {
    STACK_OF(X509) * certs;
    int max;
    bool cut;
};

static bool holds(STACK_OF(X509) * stack, X509 *cert)
{
    for (int i = 0; i < sk_X509_num(stack); i++) {
        if (X509_cmp(sk_X509_value(stack, i), cert) == 0) {
            return true;
        }
    }
    return false;
}

static bool push(STACK_OF(X509) * stack, X509 *cert)
{
    if (X509_up_ref(cert) != 1) {
        return false;
    }
    if (sk_X509_push(stack, cert) <= 0) {
        X509_free(cert);
        return false;
    }
    return true;
}

/* Takes a certificate, once: CAs repeat themselves. */
static void add_cert(struct bundle *bundle, X509 *cert)
{
    if (holds(bundle->certs, cert)) {
        return;
    }
    if (sk_X509_num(bundle->certs) >= bundle->max) {
        bundle->cut = true;
        return;
    }
    (void)push(bundle->certs, cert);
}

static void add_pkcs7(struct bundle *bundle, PKCS7 *p7)
{
    STACK_OF(X509) *certs = NULL;

    if (p7 != NULL && PKCS7_type_is_signed(p7) && p7->d.sign != NULL) {
        certs = p7->d.sign->cert;
    }
    for (int i = 0; certs != NULL && i < sk_X509_num(certs) && !bundle->cut; i++) {
        add_cert(bundle, sk_X509_value(certs, i));
    }
}

static void add_pem_block(struct bundle *bundle, const char *name, const unsigned char *der,
                          long len)
{
    const unsigned char *p = der;

    if (str_equal(name, "CERTIFICATE") || str_equal(name, "X509 CERTIFICATE")) {
        AUTO(x509) X509 *cert = d2i_X509(NULL, &p, len);
        if (cert != NULL) {
            add_cert(bundle, cert);
        }
    } else if (str_equal(name, "PKCS7")) {
        AUTO(pkcs7) PKCS7 *p7 = d2i_PKCS7(NULL, &p, len);
        add_pkcs7(bundle, p7);
    }
}

/* One block after the other; a damaged one is passed over, since it must not hide the others. */
static void add_pem(struct bundle *bundle, const uint8_t *data, size_t len)
{
    AUTO(bio) BIO *mem = BIO_new_mem_buf(data, (int)len);
    char *name = NULL;
    char *header = NULL;
    unsigned char *der = NULL;
    long der_len = 0;

    while (mem != NULL && BIO_pending(mem) > 0 && !bundle->cut) {
        if (PEM_read_bio(mem, &name, &header, &der, &der_len) != 1) {
            continue;
        }
        add_pem_block(bundle, name, der, der_len);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(der);
    }
}

static void add_der(struct bundle *bundle, const uint8_t *data, size_t len)
{
    const unsigned char *p = data;
    AUTO(x509) X509 *cert = d2i_X509(NULL, &p, (long)len);

    if (cert != NULL) {
        add_cert(bundle, cert);
        return;
    }
    p = data;
    AUTO(pkcs7) PKCS7 *p7 = d2i_PKCS7(NULL, &p, (long)len);
    add_pkcs7(bundle, p7);
}

static bool parse(const uint8_t *data, size_t len, struct bundle *bundle, struct err *err)
{
    if (bundle->certs == NULL) {
        return err_nomem(err);
    }
    if (len > ANSWER_MAX) {
        return err_set(err, E_PROTOCOL, "%zu bytes are too many for a certificate and its chain",
                       len);
    }
    (void)ERR_set_mark();
    add_pem(bundle, data, len);
    if (sk_X509_num(bundle->certs) == 0) {
        add_der(bundle, data, len);
    }
    (void)ERR_pop_to_mark();
    return sk_X509_num(bundle->certs) > 0 ||
           err_set(err, E_PROTOCOL, "there is no certificate in these %zu bytes", len);
}

static bool read_file(const char *path, struct bundle *bundle, struct err *err)
{
    AUTO(buf) struct buf data = BUF_INIT(ANSWER_MAX);

    if (!file_read(path, &data, err)) {
        return false;
    }
    return parse((const uint8_t *)buf_str(&data), data.len, bundle, err) ||
           err_wrap(err, "%s", path);
}

bool x509_bundle_parse(const uint8_t *data, size_t len, STACK_OF(X509) * *out, struct err *err)
{
    AUTO(x509_stack) STACK_OF(X509) *certs = sk_X509_new_null();
    struct bundle bundle = {.certs = certs, .max = X509_BUNDLE_MAX};

    if (!parse(data, len, &bundle, err)) {
        return false;
    }
    *out = TAKE(certs);
    return true;
}

bool x509_bundle_read(const char *path, STACK_OF(X509) * *out, struct err *err)
{
    AUTO(x509_stack) STACK_OF(X509) *certs = sk_X509_new_null();
    struct bundle bundle = {.certs = certs, .max = X509_BUNDLE_MAX};

    if (!read_file(path, &bundle, err)) {
        return false;
    }
    *out = TAKE(certs);
    return true;
}

static bool is_self_issued(X509 *cert)
{
    return X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) == 0;
}

/*
 * The issuer of cert among the candidates: names match and the signature verifies. A root ends the
 * chain, so a cross-certificate of the same name and key goes before it: behind it there may be the
 * root that this machine trusts.
 */
static X509 *find_issuer(STACK_OF(X509) * candidates, X509 *cert)
{
    X509 *root = NULL;

    for (int i = 0; i < sk_X509_num(candidates); i++) {
        X509 *candidate = sk_X509_value(candidates, i);
        EVP_PKEY *key = X509_get0_pubkey(candidate);
        if (candidate == cert || key == NULL ||
            X509_NAME_cmp(X509_get_subject_name(candidate), X509_get_issuer_name(cert)) != 0 ||
            X509_verify(cert, key) != 1) {
            continue;
        }
        if (!is_self_issued(candidate)) {
            return candidate;
        }
        root = candidate;
    }
    return root;
}

bool x509_ends_later(X509 *a, X509 *b)
{
    return ASN1_TIME_compare(X509_get0_notAfter(a), X509_get0_notAfter(b)) > 0;
}

/* An answer may hold the certificate that was renewed as well. */
static X509 *find_leaf(STACK_OF(X509) * answer, const uint8_t *spki_hash, struct err *err)
{
    uint8_t hash[X509_SPKI_HASH_LEN];
    X509 *found = NULL;

    for (int i = 0; i < sk_X509_num(answer); i++) {
        X509 *cert = sk_X509_value(answer, i);
        if (x509_cert_spki_hash(cert, hash, err) && memcmp(hash, spki_hash, sizeof(hash)) == 0 &&
            (found == NULL || x509_ends_later(cert, found))) {
            found = cert;
        }
    }
    if (found == NULL) {
        (void)err_set(err, E_CERT_REJECTED,
                      "the CA's answer has %d certificates, and none is for the "
                      "key of this order",
                      sk_X509_num(answer));
    }
    return found;
}

bool x509_issuers(STACK_OF(X509) * candidates, X509 *cert, STACK_OF(X509) * *chain, struct err *err)
{
    AUTO(x509_stack) STACK_OF(X509) *sorted = sk_X509_new_null();

    if (sorted == NULL) {
        return err_nomem(err);
    }
    (void)ERR_set_mark();
    X509 *at = find_issuer(candidates, cert);
    /* A certificate that is there already closes a loop of cross-certificates. */
    while (at != NULL && !is_self_issued(at) && !holds(sorted, at) && push(sorted, at)) {
        at = find_issuer(candidates, at);
    }
    (void)ERR_pop_to_mark();
    *chain = TAKE(sorted);
    return true;
}

bool x509_sort_answer(STACK_OF(X509) * answer, const uint8_t spki_hash[static X509_SPKI_HASH_LEN],
                      X509 **leaf, STACK_OF(X509) * *chain, struct err *err)
{
    AUTO(x509_stack) STACK_OF(X509) *issuers = NULL;
    X509 *found = find_leaf(answer, spki_hash, err);

    if (found == NULL || !x509_issuers(answer, found, &issuers, err)) {
        return false;
    }
    if (X509_up_ref(found) != 1) {
        return err_nomem(err);
    }
    *leaf = found;
    *chain = TAKE(issuers);
    return true;
}

static bool check_key(X509 *leaf, const struct x509_expectation *expect, struct err *err)
{
    uint8_t hash[X509_SPKI_HASH_LEN];

    if (!x509_cert_spki_hash(leaf, hash, err)) {
        return false;
    }
    return memcmp(hash, expect->spki_hash, sizeof(hash)) == 0 ||
           err_set(err, E_CERT_REJECTED, "the certificate is for another key");
}

static bool check_names(X509 *leaf, const struct x509_expectation *expect, struct err *err)
{
    AUTO(x509_names) struct x509_names have = X509_NAMES_INIT;
    AUTO(buf) struct buf missing = BUF_INIT(600);

    if (!x509_names_of_cert(leaf, &have, err)) {
        return false;
    }
    return x509_names_cover(&have, expect->names, &missing) ||
           err_set(err, E_CERT_REJECTED, "the certificate lacks names that were ordered: %s",
                   buf_str(&missing));
}

static bool check_dates(X509 *leaf, const struct x509_expectation *expect, struct err *err)
{
    AUTO(x509_info) struct x509_info info = {.subject = NULL};
    char when[CLOCK_TEXT_SIZE];

    if (!x509_info(leaf, &info, err)) {
        return false;
    }
    if (info.not_after_s <= info.not_before_s) {
        return err_set(err, E_CERT_REJECTED, "the certificate ends before it begins");
    }
    if (info.not_after_s <= expect->now_s) {
        clock_format(info.not_after_s, when);
        return err_set(err, E_CERT_REJECTED,
                       "the certificate expired on %s (is this machine's "
                       "clock right?)",
                       when);
    }
    if (info.not_before_s > expect->now_s + CLOCK_SKEW_S) {
        clock_format(info.not_before_s, when);
        return err_set(err, E_CERT_REJECTED,
                       "the certificate is valid from %s only (is this "
                       "machine's clock right?)",
                       when);
    }
    return true;
}

static bool load_roots(const char *path, X509_STORE *store, struct err *err)
{
    AUTO(x509_stack) STACK_OF(X509) *roots = sk_X509_new_null();
    struct bundle bundle = {.certs = roots, .max = ROOTS_MAX};

    if (path == NULL) {
        return err_set(err, E_CONFIG,
                       "no roots are configured for issued certificates ('issuer_roots' in the "
                       "profile), so nothing can be trusted");
    }
    if (!read_file(path, &bundle, err)) {
        return err_wrap(err, "roots for issued certificates");
    }
    if (bundle.cut) {
        return err_set(err, E_CONFIG, "roots for issued certificates: %s has more than %d", path,
                       ROOTS_MAX);
    }
    for (int i = 0; i < sk_X509_num(roots); i++) {
        if (X509_STORE_add_cert(store, sk_X509_value(roots, i)) != 1) {
            return err_set_ssl(err, E_CONFIG, "%s: certificate %d is no usable root", path, i + 1);
        }
    }
    return true;
}

bool x509_roots_check(const char *path, struct err *err)
{
    AUTO(x509_store) X509_STORE *store = X509_STORE_new();

    if (store == NULL) {
        return err_nomem(err);
    }
    if (load_roots(path, store, err)) {
        return true;
    }
    if (err->code == E_PROTOCOL) { /* the file is the user's own, not somebody's answer */
        err->code = E_CONFIG;
    }
    return false;
}

static bool chain_failed(X509_STORE_CTX *ctx, struct err *err)
{
    int code = X509_STORE_CTX_get_error(ctx);
    X509 *at = X509_STORE_CTX_get_current_cert(ctx);
    AUTO(x509_info) struct x509_info info = {.subject = NULL};
    struct err ignored = ERR_INIT;

    ERR_clear_error();
    if (at != NULL && x509_info(at, &info, &ignored)) {
        return err_set(err, E_CERT_REJECTED,
                       "the chain does not lead to a trusted root: %s (at '%s', issued by '%s')",
                       X509_verify_cert_error_string(code), info.subject, info.issuer);
    }
    return err_set(err, E_CERT_REJECTED, "the chain does not lead to a trusted root: %s",
                   X509_verify_cert_error_string(code));
}

/* A certificate that begins in a moment, as check_dates() allows, is judged as of then. */
static int64_t time_of_trust(X509 *leaf, int64_t now_s)
{
    int64_t begin_s = 0;

    return x509_seconds(X509_get0_notBefore(leaf), &begin_s) && begin_s > now_s ? begin_s : now_s;
}

static bool check_chain(X509 *leaf, STACK_OF(X509) * chain, const struct x509_expectation *expect,
                        struct err *err)
{
    AUTO(x509_store) X509_STORE *store = X509_STORE_new();
    AUTO(store_ctx) X509_STORE_CTX *ctx = X509_STORE_CTX_new();

    if (store == NULL || ctx == NULL) {
        return err_nomem(err);
    }
    if (!load_roots(expect->roots_path, store, err)) {
        return false;
    }
    if (X509_STORE_CTX_init(ctx, store, leaf, chain) != 1) {
        return err_set_ssl(err, E_INTERNAL, "starting the chain verification");
    }
    X509_STORE_CTX_set_time(ctx, 0, (time_t)time_of_trust(leaf, expect->now_s));
    return X509_verify_cert(ctx) == 1 || chain_failed(ctx, err);
}

bool x509_verify_issued(X509 *leaf, STACK_OF(X509) * chain, const struct x509_expectation *expect,
                        struct err *err)
{
    return check_key(leaf, expect, err) && check_names(leaf, expect, err) &&
           check_dates(leaf, expect, err) && check_chain(leaf, chain, expect, err);
}

bool x509_to_pem(X509 *cert, struct buf *out, struct err *err)
{
    AUTO(bio) BIO *mem = BIO_new(BIO_s_mem());
    char *data = NULL;

    if (mem == NULL || PEM_write_bio_X509(mem, cert) != 1) {
        return err_set_ssl(err, E_MEMORY, "encoding a certificate");
    }
    long len = BIO_get_mem_data(mem, &data);
    buf_add(out, data, (size_t)len);
    return buf_ok(out) || err_nomem(err);
}

bool x509_chain_to_pem(STACK_OF(X509) * chain, struct buf *out, struct err *err)
{
    for (int i = 0; chain != NULL && i < sk_X509_num(chain); i++) {
        if (!x509_to_pem(sk_X509_value(chain, i), out, err)) {
            return false;
        }
    }
    return true;
}
