#include "hsm/op.h"

#include "hsm/attr.h"
#include "hsm/ckr.h"

#include <stdlib.h>

bool hsm_token_can(struct hsm_token *token, CK_MECHANISM_TYPE mechanism)
{
    struct err ignored = ERR_INIT;
    bool found = false;

    pthread_mutex_lock(&token->lock);
    if (token->mechanisms == NULL) {
        if (!hsm_token_mechanisms(token, &token->mechanisms, &token->mechanism_count, &ignored)) {
            token->mechanism_count = 0;
        }
    }
    for (size_t i = 0; token->mechanisms != NULL && i < token->mechanism_count && !found; i++) {
        found = token->mechanisms[i] == mechanism;
    }
    pthread_mutex_unlock(&token->lock);
    return found;
}

static bool failed(const struct hsm_key *key, CK_RV rv, const char *what, struct err *err)
{
    (void)ckr_set(err, rv, what);
    return err_wrap(err, "key '%s' on %s", key->label, hsm_token_name(&key->token->info));
}

/* Between init and operation, as PKCS#11 wants it for CKA_ALWAYS_AUTHENTICATE; no other call may
 * intervene. */
static bool authenticate(const struct hsm_key *key, struct hsm_session *session,
                         const struct secret *pin, struct err *err)
{
    bool pad = key->token->info.pin_pad;
    CK_RV rv = ck_login(hsm_session_cryptoki(session), session->handle, CKU_CONTEXT_SPECIFIC,
                        pad ? NULL : pin->data, pad ? 0 : pin->len);

    /* NSS keeps the flag and answers "already logged in"; the signature will tell. */
    if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN) {
        return true;
    }
    (void)hsm_login_failed(key->token, rv, err);
    return err_wrap(err, "key '%s', which wants its PIN for every operation", key->label);
}

static bool get_operation_pin(const struct hsm_key *key, const struct hsm_pin *pin,
                              struct secret *out, struct err *err)
{
    return !key->always_authenticate || hsm_pin_for(key->token, pin, out, err) ||
           err_wrap(err, "key '%s' wants its PIN for every operation", key->label);
}

/* After a failure: modules differ in whether the operation is over, and the price is one session.
 */
static void end_session(struct hsm_session *session, CK_RV rv)
{
    if (ckr_is_stale(rv)) {
        hsm_session_drop(session);
    } else {
        hsm_session_replace(session);
    }
}

/* What one operation consists of, between taking a session and giving it back. */
struct operation {
    CK_MECHANISM mechanism;
    const char *init_name;
    const char *name;
    CK_RV (*init)
    (const struct cryptoki *ck, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
     CK_OBJECT_HANDLE key);
    CK_RV (*finish)
    (const struct cryptoki *ck, CK_SESSION_HANDLE session, const uint8_t *in, size_t in_len,
     uint8_t *out, size_t *out_len);
};

static bool run(struct hsm_key *key, struct operation *op, const struct hsm_pin *pin,
                const uint8_t *in, size_t in_len, uint8_t *out, size_t *out_len, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(secret) struct secret bytes = SECRET_INIT;

    if (!get_operation_pin(key, pin, &bytes, err) ||
        !hsm_session_take(key->token, false, &session, err)) {
        return false;
    }
    const struct cryptoki *ck = hsm_session_cryptoki(&session);
    CK_RV rv = op->init(ck, session.handle, &op->mechanism, key->handle);
    if (rv != CKR_OK) {
        end_session(&session, rv);
        return failed(key, rv, op->init_name, err);
    }
    if (key->always_authenticate && !authenticate(key, &session, &bytes, err)) {
        hsm_session_replace(&session); /* the operation is still active in it */
        return false;
    }
    rv = op->finish(ck, session.handle, in, in_len, out, out_len);
    if (rv != CKR_OK) {
        end_session(&session, rv);
        return failed(key, rv, op->name, err);
    }
    return true;
}

bool hsm_sign(struct hsm_key *key, const struct hsm_sign *how, const struct hsm_pin *pin,
              const uint8_t *in, size_t in_len, uint8_t *out, size_t *out_len, struct err *err)
{
    static const CK_MECHANISM_TYPE mechanisms[] = {
        [HSM_SIGN_RSA_PKCS1] = CKM_RSA_PKCS, [HSM_SIGN_RSA_PSS] = CKM_RSA_PKCS_PSS,
        [HSM_SIGN_RSA_RAW] = CKM_RSA_X_509,  [HSM_SIGN_ECDSA] = CKM_ECDSA,
        [HSM_SIGN_EDDSA] = CKM_EDDSA,
    };
    CK_RSA_PKCS_PSS_PARAMS pss = {
        .hashAlg = how->pss_hash, .mgf = how->pss_mgf, .sLen = (CK_ULONG)how->pss_salt_len};
    struct operation op = {.mechanism = {.mechanism = mechanisms[how->scheme]},
                           .init_name = "C_SignInit",
                           .name = "C_Sign",
                           .init = ck_sign_init,
                           .finish = ck_sign};

    if (how->scheme == HSM_SIGN_RSA_PSS) {
        op.mechanism.pParameter = &pss;
        op.mechanism.ulParameterLen = sizeof(pss);
    }
    return run(key, &op, pin, in, in_len, out, out_len, err);
}

bool hsm_decrypt(struct hsm_key *key, const struct hsm_decrypt *how, const struct hsm_pin *pin,
                 const uint8_t *in, size_t in_len, uint8_t *out, size_t *out_len, struct err *err)
{
    static const CK_MECHANISM_TYPE mechanisms[] = {
        [HSM_DECRYPT_RSA_PKCS1] = CKM_RSA_PKCS,
        [HSM_DECRYPT_RSA_OAEP] = CKM_RSA_PKCS_OAEP,
        [HSM_DECRYPT_RSA_RAW] = CKM_RSA_X_509,
    };
    CK_RSA_PKCS_OAEP_PARAMS oaep = {.hashAlg = how->oaep_hash,
                                    .mgf = how->oaep_mgf,
                                    .source = CKZ_DATA_SPECIFIED,
                                    .pSourceData = (void *)(uintptr_t)how->oaep_label,
                                    .ulSourceDataLen = (CK_ULONG)how->oaep_label_len};
    struct operation op = {.mechanism = {.mechanism = mechanisms[how->scheme]},
                           .init_name = "C_DecryptInit",
                           .name = "C_Decrypt",
                           .init = ck_decrypt_init,
                           .finish = ck_decrypt};

    if (how->scheme == HSM_DECRYPT_RSA_OAEP) {
        op.mechanism.pParameter = &oaep;
        op.mechanism.ulParameterLen = sizeof(oaep);
    }
    return run(key, &op, pin, in, in_len, out, out_len, err);
}

/* Reads the value of a session object that was just derived, and destroys it. */
static CK_RV take_value(const struct cryptoki *ck, CK_SESSION_HANDLE session,
                        CK_OBJECT_HANDLE object, uint8_t *out, size_t out_len)
{
    CK_ATTRIBUTE value = {.type = CKA_VALUE, .pValue = out, .ulValueLen = (CK_ULONG)out_len};
    CK_RV rv = ck_get_attribute_value(ck, session, object, &value, 1);

    (void)ck_destroy_object(ck, session, object);
    return rv == CKR_OK && value.ulValueLen != out_len ? CKR_DATA_LEN_RANGE : rv;
}

bool hsm_derive(struct hsm_key *key, const struct hsm_pin *pin, const uint8_t *peer,
                size_t peer_len, uint8_t *out, size_t out_len, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    CK_ECDH1_DERIVE_PARAMS params = {.kdf = CKD_NULL,
                                     .ulPublicDataLen = (CK_ULONG)peer_len,
                                     .pPublicData = (CK_BYTE_PTR)(uintptr_t)peer};
    CK_MECHANISM mechanism = {
        .mechanism = CKM_ECDH1_DERIVE, .pParameter = &params, .ulParameterLen = sizeof(params)};
    struct attrs template = ATTRS_INIT;
    CK_OBJECT_HANDLE derived = 0;

    (void)pin;
    attrs_add_ulong(&template, CKA_CLASS, CKO_SECRET_KEY);
    attrs_add_ulong(&template, CKA_KEY_TYPE, CKK_GENERIC_SECRET);
    attrs_add_bool(&template, CKA_TOKEN, false);
    attrs_add_bool(&template, CKA_SENSITIVE, false);
    attrs_add_bool(&template, CKA_EXTRACTABLE, true);
    attrs_add_ulong(&template, CKA_VALUE_LEN, (CK_ULONG)out_len);
    if (!hsm_session_take(key->token, false, &session, err)) {
        return false;
    }
    const struct cryptoki *ck = hsm_session_cryptoki(&session);
    CK_RV rv = ck_derive_key(ck, session.handle, &mechanism, key->handle, template.list,
                             template.count, &derived);
    if (rv != CKR_OK) {
        end_session(&session, rv);
        return failed(key, rv, "C_DeriveKey", err);
    }
    rv = take_value(ck, session.handle, derived, out, out_len);
    return rv == CKR_OK || failed(key, rv, "reading the derived secret", err);
}
