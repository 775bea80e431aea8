#include "app/evidence.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>

DEFINE_AUTO(x509_store_ctx, X509_STORE_CTX *, X509_STORE_CTX_free)

/* Self-signed certificates of the user are trusted, the others only lead to them. */
static bool add_roots(const char *path, X509_STORE *store, STACK_OF(X509) * others, struct err *err)
{
    AUTO(x509_stack) STACK_OF(X509) *given = NULL;
    int roots = 0;

    if (!x509_bundle_read(path, &given, err)) {
        return false;
    }
    for (int i = 0; i < sk_X509_num(given); i++) {
        X509 *cert = sk_X509_value(given, i);
        bool is_root = X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) == 0;
        roots += is_root ? 1 : 0;
        if (is_root && X509_STORE_add_cert(store, cert) != 1) {
            return err_set_ssl(err, E_MEMORY, "keeping the roots of %s", path);
        }
        if (!is_root && (X509_up_ref(cert) != 1 || sk_X509_push(others, cert) <= 0)) {
            return err_nomem(err);
        }
    }
    return roots > 0 || err_set(err, E_CONFIG, "%s has no self-signed root", path);
}

bool evidence_roots_check(const char *path, struct err *err)
{
    AUTO(x509_store) X509_STORE *store = X509_STORE_new();
    AUTO(x509_stack) STACK_OF(X509) *others = sk_X509_new_null();

    if (store == NULL || others == NULL) {
        return err_nomem(err);
    }
    return add_roots(path, store, others, err) || err_wrap(err, "--roots");
}

bool evidence_chain(const struct hsm_attested *attested, const char *roots_path, int64_t now_s,
                    char why[static EVIDENCE_WHY_SIZE], struct err *err)
{
    AUTO(x509_store) X509_STORE *store = X509_STORE_new();
    AUTO(x509_stack) STACK_OF(X509) *others = sk_X509_new_null();
    AUTO(x509_store_ctx) X509_STORE_CTX *ctx = X509_STORE_CTX_new();

    if (store == NULL || others == NULL || ctx == NULL) {
        return err_nomem(err);
    }
    if (!add_roots(roots_path, store, others, err)) {
        return false;
    }
    for (size_t i = 0; i < attested->count; i++) {
        if (X509_up_ref(attested->certs[i]) != 1 || sk_X509_push(others, attested->certs[i]) <= 0) {
            return err_nomem(err);
        }
    }
    if (X509_STORE_CTX_init(ctx, store, attested->about, others) != 1) {
        return err_set_ssl(err, E_INTERNAL, "checking a chain");
    }
    X509_STORE_CTX_set_time(ctx, 0, (time_t)now_s);
    int verified = X509_verify_cert(ctx);
    ERR_clear_error();
    (void)snprintf(why, EVIDENCE_WHY_SIZE, "%s",
                   verified == 1 ? ""
                                 : X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
    return true;
}
