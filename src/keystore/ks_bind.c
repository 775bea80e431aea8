#include "keystore/ks_token.h"

#include "base/str.h"
#include "hsm/cert.h"
#include "hsm/pem_uri.h"
#include "hsm/proof.h"
#include "x509/x509.h"

#include <stdlib.h>
#include <string.h>

/* hsm's note, as the keystore's callers know it. */
struct noting {
    const struct keystore_put *put;
};

static bool note(void *ctx, const struct hsm_cert *const *old, size_t count, struct err *err)
{
    const struct noting *noting = ctx;
    AUTO(mem) void *room = calloc(count, sizeof(struct keystore_old));
    struct keystore_old *list = room;

    if (list == NULL) {
        return err_nomem(err);
    }
    for (size_t i = 0; i < count; i++) {
        list[i] = (struct keystore_old){.cert = old[i]->x509, .label = old[i]->label};
    }
    return noting->put->note(noting->put->note_ctx, list, count, err);
}

/* hsm_cert_bind() takes an array. */
static bool bind(struct hsm_opened *target, const struct hsm_key *key,
                 const struct keystore_put *put, struct hsm_bind_report *report, struct err *err)
{
    X509 *chain[X509_BUNDLE_MAX];
    struct noting noting = {.put = put};
    size_t count = 0;

    for (int i = 0; put->chain != NULL && i < sk_X509_num(put->chain) && count < X509_BUNDLE_MAX;
         i++) {
        chain[count++] = sk_X509_value(put->chain, i);
    }
    struct hsm_bind how = {.cert = put->cert,
                           .label = put->label,
                           .chain = chain,
                           .chain_len = count,
                           .keep_old = put->keep_old,
                           .max_size = put->max_size,
                           .attestation_missing = put->attestation_missing,
                           .note = put->note != NULL ? note : NULL,
                           .note_ctx = &noting};
    return hsm_cert_bind(target->token, key, &how, report, err);
}

/* The key, as its user sees it, and then the token for whoever writes certificates: the security
 * officer need not see private keys, and cannot sign. */
static bool find_and_open(struct keystore *keystore, const struct keystore_token *token,
                          const char *key_uri, bool want_public, struct hsm_key *key,
                          struct hsm_opened *target, struct err *err)
{
    AUTO(hsm_opened) struct hsm_opened user = {.token = NULL};

    return ks_connect_token(keystore, token, key_uri, &user, err) &&
           ks_find_private(&user, want_public, key, err) &&
           (!want_public || hsm_proof_check(key, err)) &&
           ks_connect_token_to(keystore, token, key_uri, HSM_TO_WRITE_CERTIFICATES, target, err);
}

bool keystore_put(struct keystore *keystore, const struct keystore_token *token,
                  const char *key_uri, const struct keystore_put *put,
                  struct keystore_put_report *report, struct err *err)
{
    AUTO(hsm_opened) struct hsm_opened target = {.token = NULL};
    AUTO(hsm_key) struct hsm_key key = {0};
    struct hsm_bind_report bound;

    if (!find_and_open(keystore, token, key_uri, true, &key, &target, err) ||
        !bind(&target, &key, put, &bound, err)) {
        return ks_explain_role(keystore, token, HSM_TO_WRITE_CERTIFICATES, err);
    }
    *report = (struct keystore_put_report){.already_there = bound.already_there,
                                           .chain_written = bound.chain_written,
                                           .old_removed = bound.old_removed,
                                           .foreign_left = bound.foreign_left,
                                           .newer_left = bound.newer_left};
    return ks_public_uri(&key, HSM_URI_CERT, &report->cert_uri, err);
}

bool keystore_check_half(struct keystore *keystore, const struct keystore_token *token,
                         const char *key_uri, struct err *err)
{
    AUTO(hsm_opened) struct hsm_opened target = {.token = NULL};
    AUTO(hsm_key) struct hsm_key key = {0};

    return ks_connect_token(keystore, token, key_uri, &target, err) &&
           ks_find_private(&target, true, &key, err) && hsm_proof_check(&key, err);
}

bool keystore_unbind(struct keystore *keystore, const struct keystore_token *token,
                     const char *key_uri, X509 *cert, bool *removed, struct err *err)
{
    AUTO(hsm_opened) struct hsm_opened target = {.token = NULL};
    AUTO(hsm_key) struct hsm_key key = {0};

    return find_and_open(keystore, token, key_uri, false, &key, &target, err) &&
           hsm_cert_unbind(target.token, &key, cert, removed, err);
}

void keystore_wrapped_done(struct keystore_wrapped *wrapped)
{
    free(wrapped->uri);
    free(wrapped->pem);
    *wrapped = (struct keystore_wrapped){.uri = NULL};
}

/* The URI that goes into the file. */
static bool file_uri(const struct hsm_key *key, const struct hsm_opened *target,
                     const struct keystore_token *token, const struct keystore_wrap *how,
                     struct buf *out, struct err *err)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    const char *module = target->uri.module_path != NULL ? target->uri.module_path : token->module;

    if (how->name_pin_source && secret_source_is_prompt(target->pin_source)) {
        return err_set(err, E_USAGE,
                       "--name-pin-source: no PIN source is configured; give --pin-source");
    }
    if (!hsm_key_file_uri(key, &uri, err) ||
        (how->name_module && !hsm_uri_set(&uri.module_path, module, err)) ||
        (how->name_pin_source && !hsm_uri_set(&uri.pin_source, target->pin_source, err))) {
        return false;
    }
    hsm_uri_format_with_query(&uri, out);
    return buf_ok(out) || err_nomem(err);
}

bool keystore_wrap(struct keystore *keystore, const struct keystore_token *token,
                   const char *key_uri, const struct keystore_wrap *how,
                   struct keystore_wrapped *out, struct err *err)
{
    AUTO(hsm_opened) struct hsm_opened target = {.token = NULL};
    AUTO(hsm_key) struct hsm_key key = {0};
    AUTO(buf) struct buf uri = BUF_INIT(HSM_URI_MAX);
    AUTO(buf) struct buf pem = BUF_INIT(HSM_PEM_URI_TEXT_MAX);

    if (!ks_connect_token(keystore, token, key_uri, &target, err) ||
        !ks_find_private(&target, false, &key, err) ||
        !file_uri(&key, &target, token, how, &uri, err) ||
        !hsm_pem_uri_write(buf_str(&uri), &pem, err)) {
        return false;
    }
    out->uri = buf_take_str(&uri);
    out->pem = buf_take_str(&pem);
    return (out->uri != NULL && out->pem != NULL) || err_nomem(err);
}

bool keystore_is_wrapped(const char *pem, size_t len)
{
    AUTO(buf) struct buf der = BUF_INIT(HSM_PEM_URI_DER_MAX);
    struct err why = ERR_INIT;

    return hsm_pem_uri_read(pem, len, &der, &why);
}
