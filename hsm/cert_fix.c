#include "hsm/survey.h"

#include "base/str.h"
#include "hsm/cert_impl.h"
#include "hsm/ckr.h"
#include "hsm/object.h"

#include <string.h>

/* Whether a new session sees the object as it should be. */
static bool is_mended(struct hsm_token *token, const struct hsm_item *item, const struct hsm_id *id,
                      const char *label, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;
    struct hsm_uri uri = {.id = *id};
    struct attrs template = ATTRS_INIT;

    if (item->class == CKO_CERTIFICATE) {
        return hsm_cert_read_back(token, id, label, item->x509, err);
    }
    hsm_uri_to_template(&uri, item->class, &template);
    if (!hsm_session_take_fresh(token, false, &session, err) ||
        !hsm_find(&session, &template, &found, err)) {
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
                       const struct hsm_id *id, const char *label, struct err *err)
{
    struct attrs template = ATTRS_INIT;
    CK_OBJECT_HANDLE copy = 0;

    if (item->class == CKO_CERTIFICATE) {
        return hsm_cert_write(session, item->x509, id, label, &copy, err);
    }
    attrs_add_bytes(&template, CKA_ID, id->data, id->len);
    attrs_add_string(&template, CKA_LABEL, label);
    attrs_add_bool(&template, CKA_TOKEN, true);
    CK_RV rv = ck_copy_object(hsm_session_cryptoki(session), session->handle, item->handle,
                              template.list, template.count, &copy);
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

bool hsm_item_fix(struct hsm_token *token, const struct hsm_item *item, const struct hsm_id *id,
                  const char *label, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    struct err why = ERR_INIT;

    if (item->class == CKO_PRIVATE_KEY || item->attestation) {
        return err_set(err, E_INTERNAL, "private keys and attestations are not changed");
    }
    if (!hsm_session_take(token, true, &session, err)) {
        return false;
    }
    if (change_in_place(&session, item, id, label, &why) &&
        is_mended(token, item, id, label, &why)) {
        return true;
    }
    return write_copy(&session, item, id, label, err) && is_mended(token, item, id, label, err) &&
           remove_original(&session, item, err);
}
