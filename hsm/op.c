#include "hsm/op.h"

#include "hsm/ckr.h"

#include <stdlib.h>

static CK_MECHANISM_TYPE mechanism_of(enum hsm_sign_scheme scheme)
{
    switch (scheme) {
    case HSM_SIGN_RSA_PKCS1:
        return CKM_RSA_PKCS;
    case HSM_SIGN_RSA_PSS:
        return CKM_RSA_PKCS_PSS;
    case HSM_SIGN_RSA_RAW:
        return CKM_RSA_X_509;
    case HSM_SIGN_ECDSA:
        return CKM_ECDSA;
    }
    return CKM_VENDOR_DEFINED;
}

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

bool hsm_sign(const struct hsm_key *key, const struct hsm_sign *how, const struct hsm_pin *pin,
              const uint8_t *in, size_t in_len, uint8_t *out, size_t *out_len, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(secret) struct secret bytes = SECRET_INIT;
    CK_RSA_PKCS_PSS_PARAMS pss = {
        .hashAlg = how->pss_hash, .mgf = how->pss_mgf, .sLen = (CK_ULONG)how->pss_salt_len};
    CK_MECHANISM mechanism = {.mechanism = mechanism_of(how->scheme)};

    if (how->scheme == HSM_SIGN_RSA_PSS) {
        mechanism.pParameter = &pss;
        mechanism.ulParameterLen = sizeof(pss);
    }
    if (!get_operation_pin(key, pin, &bytes, err) ||
        !hsm_session_take(key->token, false, &session, err)) {
        return false;
    }
    const struct cryptoki *ck = hsm_session_cryptoki(&session);
    CK_RV rv = ck_sign_init(ck, session.handle, &mechanism, key->handle);
    if (rv != CKR_OK) {
        end_session(&session, rv);
        return failed(key, rv, "C_SignInit", err);
    }
    if (key->always_authenticate && !authenticate(key, &session, &bytes, err)) {
        hsm_session_replace(&session); /* the operation is still active in it */
        return false;
    }
    rv = ck_sign(ck, session.handle, in, in_len, out, out_len);
    if (rv != CKR_OK) {
        end_session(&session, rv);
        return failed(key, rv, "C_Sign", err);
    }
    return true;
}
