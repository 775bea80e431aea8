#include "keystore/ks_token.h"

#include "base/str.h"
#include "hsm/cert.h"
#include "hsm/object.h"
#include "x509/x509.h"

#include <stdlib.h>
#include <string.h>

static bool tell_key(struct hsm_session *session, CK_OBJECT_HANDLE handle, keystore_visit_fn *visit,
                     void *ctx, struct err *err)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    AUTO(pkey) EVP_PKEY *public = NULL;
    AUTO(str) char *uri = NULL;
    struct keystore_item item = {.cert = NULL};
    struct err unknown = ERR_INIT;

    if (!hsm_key_load(session, handle, CKO_PRIVATE_KEY, true, &key, err) ||
        !ks_public_uri(&key, HSM_URI_PRIVATE, &uri, err)) {
        return false;
    }
    item.label = key.label;
    item.uri = uri;
    /* A key whose public half is nowhere belongs to nothing that is known of it. */
    item.known = key.public.known && hsm_key_public_evp(&key, &public, &unknown) &&
                 x509_spki_hash(public, item.spki_hash, &unknown);
    return visit(ctx, &item, err);
}

static bool tell_cert(const struct hsm_token *token, const struct hsm_cert *cert,
                      keystore_visit_fn *visit, void *ctx, struct err *err)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    AUTO(buf) struct buf text = BUF_INIT(HSM_URI_MAX);
    struct keystore_item item = {.cert = cert->x509, .label = cert->label};
    struct err unknown = ERR_INIT;

    if (cert->x509 == NULL || hsm_cert_is_attestation(cert)) {
        return true;
    }
    if (!hsm_cert_uri(token, cert, &uri, err)) {
        return false;
    }
    hsm_uri_format(&uri, &text);
    item.uri = buf_str(&text);
    item.known = x509_cert_spki_hash(cert->x509, item.spki_hash, &unknown);
    return visit(ctx, &item, err);
}

static bool tell_certs(const struct hsm_token *token, struct hsm_session *session,
                       keystore_visit_fn *visit, void *ctx, struct err *err)
{
    AUTO(hsm_certs) struct hsm_certs certs = HSM_CERTS_INIT;
    struct hsm_uri all = {0};

    if (!hsm_certs_find(session, &all, &certs, err)) {
        return false;
    }
    for (size_t i = 0; i < certs.count; i++) {
        if (!tell_cert(token, &certs.list[i], visit, ctx, err)) {
            return false;
        }
    }
    return true;
}

bool keystore_survey(struct keystore *keystore, const struct keystore_token *token,
                     keystore_visit_fn *visit, void *ctx, struct err *err)
{
    AUTO(hsm_opened) struct hsm_opened target = {.token = NULL};
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_handles) struct hsm_handles keys = HSM_HANDLES_INIT;
    struct attrs template = ATTRS_INIT;
    struct hsm_uri all = {0};

    hsm_uri_to_template(&all, CKO_PRIVATE_KEY, &template);
    if (!ks_connect_token(keystore, token, NULL, &target, err) ||
        !hsm_session_take(target.token, false, &session, err) ||
        !hsm_find(&session, &template, &keys, err)) {
        return false;
    }
    for (size_t i = 0; i < keys.count; i++) {
        if (!tell_key(&session, keys.list[i], visit, ctx, err)) {
            return false;
        }
    }
    return tell_certs(target.token, &session, visit, ctx, err);
}
