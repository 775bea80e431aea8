#include "hsm/survey.h"

#include "base/log.h"
#include "base/str.h"
#include "hsm/cert_impl.h"
#include "hsm/ckr.h"
#include "hsm/object.h"

#include <openssl/x509.h>
#include <string.h>

/* Whether a new session sees the certificate under that id and label, with its own names. */
static bool is_cert_mended(struct hsm_session *session, const struct hsm_item *item,
                           const struct hsm_id *id, const char *label, struct err *err)
{
    AUTO(hsm_certs) struct hsm_certs found = HSM_CERTS_INIT;
    struct hsm_uri uri = {.id = *id};

    if (!hsm_certs_find(session, &uri, &found, err)) {
        return false;
    }
    for (size_t i = 0; i < found.count; i++) {
        const struct hsm_cert *cert = &found.list[i];
        bool same = cert->x509 != NULL && X509_cmp(cert->x509, item->x509) == 0 &&
                    str_equal(cert->label, label);
        if (same && !hsm_cert_has_names(session, cert, item->names_differ, &same, err)) {
            return false;
        }
        if (same) {
            return true;
        }
    }
    return err_set(err, E_TOKEN, "%s accepted the certificate and does not have it as written",
                   hsm_token_name(&session->token->info));
}

/* Whether a new session sees the object as it should be. */
static bool is_mended(struct hsm_token *token, const struct hsm_item *item, const struct hsm_id *id,
                      const char *label, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;
    struct hsm_uri uri = {.id = *id};
    struct attrs template = ATTRS_INIT;

    if (!hsm_session_take_fresh(token, false, &session, err)) {
        return false;
    }
    if (item->class == CKO_CERTIFICATE) {
        return is_cert_mended(&session, item, id, label, err);
    }
    hsm_uri_to_template(&uri, item->class, &template);
    if (!hsm_find(&session, &template, &found, err)) {
        return false;
    }
    for (size_t i = 0; i < found.count; i++) {
        AUTO(hsm_key) struct hsm_key key = {0};
        uint8_t digest[HSM_DIGEST_LEN];
        if (!hsm_key_load(&session, found.list[i], item->class, false, &key, err)) {
            return false;
        }
        if (hsm_public_digest(&key.spec, &key.public, digest) &&
            memcmp(digest, item->digest, sizeof(digest)) == 0 && str_equal(key.label, label)) {
            return true;
        }
    }
    return err_set(err, E_TOKEN, "%s says that it changed the object, and did not",
                   hsm_token_name(&token->info));
}

static bool change_in_place(struct hsm_session *session, const struct hsm_item *item,
                            const struct hsm_id *id, const char *label, struct err *err)
{
    struct attrs template = ATTRS_INIT;

    if (!hsm_id_equal(&item->id, id)) {
        attrs_add_bytes(&template, CKA_ID, id->data, id->len);
    }
    if (!str_equal(item->label, label)) {
        attrs_add_string(&template, CKA_LABEL, label);
    }
    if (template.count == 0 || item->names_differ) {
        return err_set(err, E_TOKEN, "it has to be written anew");
    }
    CK_RV rv = ck_set_attribute_value(hsm_session_cryptoki(session), session->handle, item->handle,
                                      template.list, template.count);
    return rv == CKR_OK || ckr_set(err, rv, "C_SetAttributeValue");
}

static bool write_copy(struct hsm_session *session, const struct hsm_item *item,
                       const struct hsm_id *id, const char *label, CK_OBJECT_HANDLE *copy,
                       struct err *err)
{
    struct attrs template = ATTRS_INIT;

    if (item->class == CKO_CERTIFICATE) {
        return hsm_cert_write(session, item->x509, id, label, copy, err);
    }
    attrs_add_bytes(&template, CKA_ID, id->data, id->len);
    attrs_add_string(&template, CKA_LABEL, label);
    attrs_add_bool(&template, CKA_TOKEN, true);
    CK_RV rv = ck_copy_object(hsm_session_cryptoki(session), session->handle, item->handle,
                              template.list, template.count, copy);
    return rv == CKR_OK || ckr_set(err, rv, "C_CopyObject");
}

/* Only ever a certificate or a public key: the caller passes no others, and this makes sure. */
static bool remove_original(struct hsm_session *session, const struct hsm_item *item,
                            struct err *err)
{
    return item->class != CKO_PRIVATE_KEY && !item->attestation &&
           (hsm_destroy(session, item->handle, err) ||
            err_wrap(err, "a copy was written, but the old object could not be removed"));
}

/* Writes it anew. The original goes only when the new one was seen, and the new one goes if it was
 * not: a token with one place per key has but one of them. */
static bool replace(struct hsm_token *token, struct hsm_session *session,
                    const struct hsm_item *item, const struct hsm_id *id, const char *label,
                    struct err *err)
{
    CK_OBJECT_HANDLE copy = 0;
    struct err ignored = ERR_INIT;

    if (!write_copy(session, item, id, label, &copy, err)) {
        return false;
    }
    bool mended = is_mended(token, item, id, label, err);
    if (copy == item->handle) {
        return mended;
    }
    if (mended) {
        return remove_original(session, item, err);
    }
    if (!hsm_destroy(session, copy, &ignored)) {
        log_line(LOG_DEBUG, "cert", "a copy may be left: %s", ignored.msg);
    }
    return false;
}

bool hsm_item_fix(struct hsm_token *token, const struct hsm_item *item, const struct hsm_id *id,
                  const char *label, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    struct err why = ERR_INIT;
    bool moves = !hsm_id_equal(&item->id, id) || !str_equal(item->label, label);

    if (item->class == CKO_PRIVATE_KEY || item->attestation) {
        return err_set(err, E_INTERNAL, "private keys and attestations are not changed");
    }
    if (!hsm_session_take(token, true, &session, err)) {
        return false;
    }
    /* A run that was interrupted may have written the new one already. */
    if (moves && is_mended(token, item, id, label, &why)) {
        return remove_original(&session, item, err);
    }
    err_clear(&why);
    if (change_in_place(&session, item, id, label, &why) &&
        is_mended(token, item, id, label, &why)) {
        return true;
    }
    return replace(token, &session, item, id, label, err);
}
