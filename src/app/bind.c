#include "app/app.h"

#include <stdio.h>

/* A file that the user names: what is wrong with it is not somebody's answer. */
static bool read_own(const char *path, STACK_OF(X509) * *out, struct err *err)
{
    if (x509_bundle_read(path, out, err)) {
        return true;
    }
    if (err->code == E_PROTOCOL) {
        err->code = E_IO;
    }
    return false;
}

static bool read_certificates(const struct app_bind *request, STACK_OF(X509) * *out,
                              struct err *err)
{
    AUTO(x509_stack) STACK_OF(X509) *certs = NULL;
    AUTO(x509_stack) STACK_OF(X509) *issuers = NULL;

    if (!read_own(request->cert_path, &certs, err)) {
        return false;
    }
    if (request->chain_path != NULL && !read_own(request->chain_path, &issuers, err)) {
        return false;
    }
    while (issuers != NULL && sk_X509_num(issuers) > 0) {
        X509 *issuer = sk_X509_shift(issuers);
        if (sk_X509_push(certs, issuer) <= 0) {
            X509_free(issuer);
            return err_nomem(err);
        }
    }
    *out = TAKE(certs);
    return true;
}

/* The same checks as for a certificate that we ordered, less the names: nobody said which there
 * should be. */
static bool check(struct app *app, const struct app_bind *request, X509 *leaf,
                  STACK_OF(X509) * chain, const uint8_t *spki_hash, struct err *err)
{
    struct x509_names none = X509_NAMES_INIT;
    const char *roots = app->selection.profile->issuer_roots;

    if (request->trust_any) {
        return true;
    }
    if (roots == NULL) {
        return err_set(err, E_CONFIG,
                       "no roots are configured to check the certificate against "
                       "('issuer_roots' in the profile, or --issuer-roots; --no-chain-check binds "
                       "without)");
    }
    struct x509_expectation expect = {.spki_hash = spki_hash,
                                      .names = &none,
                                      .roots_path = roots,
                                      .now_s = clock_wall_s(app->clock)};
    return x509_roots_check(roots, err) && x509_verify_issued(leaf, chain, &expect, err);
}

bool app_bind(struct app *app, const struct app_bind *request, struct app_bound *out,
              struct err *err)
{
    struct keystore_token token = app_token(app->selection.token);
    AUTO(keystore_key) struct keystore_key key = {.pkey = NULL};
    AUTO(x509_stack) STACK_OF(X509) *certs = NULL;
    AUTO(x509_stack) STACK_OF(X509) *chain = NULL;
    AUTO(x509) X509 *leaf = NULL;
    AUTO(x509_info) struct x509_info info = {.subject = NULL};
    uint8_t hash[X509_SPKI_HASH_LEN];

    if (!read_certificates(request, &certs, err) ||
        !keystore_find(app->keystore, &token, request->key_uri, &key, err) ||
        !x509_spki_hash(key.pkey, hash, err)) {
        return false;
    }
    bool found = x509_sort_answer(certs, hash, &leaf, &chain, err);
    if (!found || request->detached_dir != NULL) { /* else it is looked at before it is written */
        struct err why = ERR_INIT;
        if (!keystore_check_half(app->keystore, &token, request->key_uri, &why)) {
            *err = why;
            return false;
        }
    }
    if (!found) {
        return err_set(err, E_CERT_REJECTED, "%s has no certificate for the key %s",
                       request->cert_path, key.uri);
    }
    if (!check(app, request, leaf, chain, hash, err) || !x509_info(leaf, &info, err)) {
        return false;
    }
    struct app_put put = {.key_uri = key.uri,
                          .spki_hash = hash,
                          .leaf = leaf,
                          .chain = chain,
                          .keep_old = request->keep_old,
                          .attested = request->attested,
                          .detached_dir = request->detached_dir,
                          .name_module = request->name_module,
                          .name_pin_source = request->name_pin_source};
    if (!app_put(app, &put, out, err)) {
        return false;
    }
    (void)snprintf(out->serial, sizeof(out->serial), "%s", info.serial);
    out->not_after_s = info.not_after_s;
    return true;
}
