#include "hsm/survey.h"

#include "base/str.h"
#include "hsm/cert_impl.h"
#include "hsm/ckr.h"
#include "hsm/object.h"

#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

/* What an object has to become: this id and label, with the names of its certificate. */
struct aim {
    const struct hsm_item *item;
    const struct hsm_id *id;
    const char *label;
};

/* An object as it is now. */
struct seen {
    struct hsm_id id;
    char *label;       /* owned */
    bool same_content; /* as the item had when it was looked at first */
    bool names_fit;
};

static void seen_done(struct seen *seen)
{
    free(seen->label);
}

DEFINE_AUTO_DONE(seen, struct seen, seen_done)

static bool see_cert(struct hsm_session *session, CK_OBJECT_HANDLE handle,
                     const struct hsm_item *item, struct seen *out, struct err *err)
{
    AUTO(hsm_cert) struct hsm_cert cert = {0};

    if (!hsm_cert_load(session, handle, &cert, err)) {
        return false;
    }
    out->same_content = cert.x509 != NULL && X509_cmp(cert.x509, item->x509) == 0;
    if (out->same_content &&
        !hsm_cert_has_names(session, &cert, item->names_differ, &out->names_fit, err)) {
        return false;
    }
    out->id = cert.id;
    out->label = TAKE(cert.label);
    return true;
}

static bool see_key(struct hsm_session *session, CK_OBJECT_HANDLE handle,
                    const struct hsm_item *item, struct seen *out, struct err *err)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    uint8_t digest[HSM_DIGEST_LEN];

    if (!hsm_key_load(session, handle, item->class, false, &key, err)) {
        return false;
    }
    out->same_content = hsm_public_digest(&key.spec, &key.public, digest) &&
                        memcmp(digest, item->digest, sizeof(digest)) == 0;
    out->names_fit = true;
    out->id = key.id;
    out->label = TAKE(key.label);
    return true;
}

static bool see(struct hsm_session *session, CK_OBJECT_HANDLE handle, const struct hsm_item *item,
                struct seen *out, struct err *err)
{
    return item->class == CKO_CERTIFICATE ? see_cert(session, handle, item, out, err)
                                          : see_key(session, handle, item, out, err);
}

static bool is_as_aimed(const struct seen *seen, const struct aim *aim)
{
    return seen->same_content && seen->names_fit && hsm_id_equal(&seen->id, aim->id) &&
           str_equal(seen->label, aim->label);
}

/* What the item is now: another process may be at work, too. */
enum state {
    STATE_OLD,    /* as it was, or half changed */
    STATE_MENDED, /* as it should be: never to be destroyed */
};

/* E_TOKEN: it is gone, or something else. */
static bool look_again(struct hsm_session *session, const struct aim *aim, enum state *out,
                       struct err *err)
{
    AUTO(seen) struct seen now = {.label = NULL};
    const struct hsm_item *item = aim->item;

    if (!see(session, item->handle, item, &now, err)) {
        return err_wrap(err, "looking at the old object again");
    }
    bool known_id = hsm_id_equal(&now.id, aim->id) || hsm_id_equal(&now.id, &item->id) ||
                    (!now.id.set && !item->id.set);
    bool known_label = str_equal(now.label, aim->label) || str_equal(now.label, item->label);
    if (!now.same_content || !known_id || !known_label) {
        return err_set(err, E_TOKEN,
                       "the object on %s was changed by another program meanwhile, and is left as "
                       "it is; run the check again",
                       hsm_token_name(&session->token->info));
    }
    *out = is_as_aimed(&now, aim) ? STATE_MENDED : STATE_OLD;
    return true;
}

static bool find_under(struct hsm_session *session, const struct aim *aim, const struct hsm_id *id,
                       struct hsm_handles *out, struct err *err)
{
    struct hsm_uri uri = {.type = HSM_URI_ANY};
    struct attrs template = ATTRS_INIT;

    if (id != NULL) {
        uri.id = *id;
    }
    hsm_uri_to_template(&uri, aim->item->class, &template);
    return hsm_find(session, &template, out, err);
}

/* Whether a new session sees an object as it should be, under another handle than that one (0: any
 * will do). */
static bool is_mended(struct hsm_token *token, const struct aim *aim, CK_OBJECT_HANDLE except,
                      struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;

    if (!hsm_session_take_fresh(token, false, &session, err) ||
        !find_under(&session, aim, aim->id, &found, err)) {
        return false;
    }
    for (size_t i = 0; i < found.count; i++) {
        AUTO(seen) struct seen it = {.label = NULL};
        if (!see(&session, found.list[i], aim->item, &it, err)) {
            return false;
        }
        if (found.list[i] != except && is_as_aimed(&it, aim)) {
            return true;
        }
    }
    return err_set(err, E_TOKEN,
                   aim->item->class == CKO_CERTIFICATE
                       ? "%s accepted the certificate and does not have it as written"
                       : "%s says that it changed the object, and did not",
                   hsm_token_name(&token->info));
}

/* Looks in a new session whether the copy is there, and another object with the original's content.
 */
static bool look_for_both(struct hsm_token *token, const struct aim *aim, CK_OBJECT_HANDLE copy,
                          bool *has_copy, bool *has_original, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;

    *has_copy = false;
    *has_original = false;
    if (!hsm_session_take_fresh(token, false, &session, err) ||
        !find_under(&session, aim, NULL, &found, err)) {
        return false;
    }
    for (size_t i = 0; i < found.count; i++) {
        AUTO(seen) struct seen it = {.label = NULL};
        if (!see(&session, found.list[i], aim->item, &it, err)) {
            return false;
        }
        *has_copy = *has_copy || found.list[i] == copy;
        *has_original = *has_original || (found.list[i] != copy && it.same_content);
    }
    return true;
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

/* Only ever a certificate or a public key: the caller passes no others, and this makes sure. The
 * object stays if somebody else has mended it meanwhile. */
static bool remove_original(struct hsm_session *session, const struct aim *aim, struct err *err)
{
    enum state state = STATE_OLD;

    if (aim->item->class == CKO_PRIVATE_KEY || aim->item->attestation) {
        return err_set(err, E_INTERNAL, "private keys and attestations are not removed");
    }
    if (!look_again(session, aim, &state, err)) {
        return err_wrap(err, "a copy is there, and the old object was not removed");
    }
    return state == STATE_MENDED || hsm_destroy(session, aim->item->handle, err) ||
           err_wrap(err, "a copy was written, but the old object could not be removed");
}

/* On a token with one place per key a certificate would take that of another one. */
static bool check_place(struct hsm_session *session, const struct aim *aim, struct err *err)
{
    AUTO(hsm_certs) struct hsm_certs found = HSM_CERTS_INIT;
    struct hsm_uri uri = {.type = HSM_URI_CERT, .id = *aim->id};

    if (aim->item->class != CKO_CERTIFICATE) {
        return true;
    }
    if (!hsm_certs_find(session, &uri, &found, err)) {
        return err_wrap(err, "looking for other certificates of that id");
    }
    for (size_t i = 0; i < found.count; i++) {
        if (found.list[i].handle != aim->item->handle) {
            return err_set(err, E_TOKEN,
                           "it would have to be written anew, and certificate '%s' stands under "
                           "the same id already: %s might put the one in the other's place; "
                           "nothing was written; remove the one that is not needed with 'cert "
                           "remove'",
                           found.list[i].label, hsm_token_name(&session->token->info));
        }
    }
    return true;
}

/* A copy that is not as it should be goes again, if that leaves the original. What is said of one
 * that stays is added to the error. */
static bool drop_copy(struct hsm_token *token, struct hsm_session *session, const struct aim *aim,
                      CK_OBJECT_HANDLE copy, struct err *err)
{
    struct err why = ERR_INIT;
    bool has_copy = false;
    bool has_original = false;

    if (copy == aim->item->handle) {
        return false;
    }
    if (!look_for_both(token, aim, copy, &has_copy, &has_original, &why)) {
        return err_wrap(err, "a copy may be left, it could not be looked for (%.200s)", why.msg);
    }
    if (has_copy && !has_original) {
        return err_wrap(err, "the original is not seen any more, so the copy was left");
    }
    if (has_copy && !hsm_destroy(session, copy, &why)) {
        return err_wrap(err, "a copy is left, it could not be removed (%.200s)", why.msg);
    }
    return false;
}

/* Writes it anew. The original goes only when the new one was seen, and the new one goes if it was
 * not: a token with one place per key has but one of them. */
static bool replace(struct hsm_token *token, struct hsm_session *session, const struct aim *aim,
                    struct err *err)
{
    CK_OBJECT_HANDLE copy = 0;
    struct err why = ERR_INIT;

    if (!check_place(session, aim, err) ||
        !write_copy(session, aim->item, aim->id, aim->label, &copy, err)) {
        return false;
    }
    if (is_mended(token, aim, aim->item->handle, err)) {
        return remove_original(session, aim, err);
    }
    if (is_mended(token, aim, 0, &why)) {
        err_clear(err); /* it has taken the original's place */
        return true;
    }
    return drop_copy(token, session, aim, copy, err);
}

bool hsm_item_fix(struct hsm_token *token, const struct hsm_item *item, const struct hsm_id *id,
                  const char *label, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    struct aim aim = {.item = item, .id = id, .label = label};
    enum state state = STATE_OLD;
    struct err why = ERR_INIT;
    bool moves = !hsm_id_equal(&item->id, id) || !str_equal(item->label, label);

    if (item->class == CKO_PRIVATE_KEY || item->attestation) {
        return err_set(err, E_INTERNAL, "private keys and attestations are not changed");
    }
    if (!hsm_session_take(token, true, &session, err) || !look_again(&session, &aim, &state, err)) {
        return false;
    }
    if (state == STATE_MENDED) {
        return true;
    }
    /* A run that was interrupted may have written the new one already. */
    if (moves && is_mended(token, &aim, item->handle, &why)) {
        return remove_original(&session, &aim, err);
    }
    err_clear(&why);
    if (change_in_place(&session, item, id, label, &why) && is_mended(token, &aim, 0, &why)) {
        return true;
    }
    return replace(token, &session, &aim, err);
}
