#include "hsm/op.h"

#include "hsm/attr.h"
#include "hsm/ckr.h"
#include "hsm/revive.h"
#include "hsm/sigpipe.h"

#include <stdlib.h>
#include <string.h>

/* Login, search, copy, use: each may be wanted twice when something ends meanwhile. */
enum { NEXT_STEPS_MAX = 6 };

static const char COPY_LABEL[] = "p11enroll working copy";

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

/* A key in use: a session, and the handle to use in it. */
struct use {
    struct hsm_session session;
    CK_OBJECT_HANDLE handle;
    bool is_copy;
};

static void use_done(struct use *use)
{
    hsm_session_give(&use->session);
}

DEFINE_AUTO_DONE(use, struct use, use_done)

/* The session that keeps the copies alive: session objects end with the session that made them. */
static bool take_anchor(struct hsm_token *token, CK_SESSION_HANDLE *anchor, unsigned *epoch)
{
    struct hsm_session session = HSM_SESSION_INIT;
    struct err ignored = ERR_INIT;

    pthread_mutex_lock(&token->lock);
    *anchor = token->anchor;
    *epoch = token->sessions_epoch;
    bool room = token->session_limit == 0 || token->open_sessions + 1 < token->session_limit;
    pthread_mutex_unlock(&token->lock);
    if (*anchor != 0) {
        return true;
    }
    if (!room || !hsm_session_take_fresh(token, false, &session, &ignored)) {
        return false;
    }
    pthread_mutex_lock(&token->lock);
    if (token->anchor == 0 && session.epoch == token->sessions_epoch) {
        token->anchor = session.handle;
        session.held = false; /* it is not given back */
    }
    *anchor = token->anchor;
    *epoch = token->sessions_epoch;
    pthread_mutex_unlock(&token->lock);
    hsm_session_give(&session);
    return *anchor != 0;
}

/* Copies the key once. Where the token does not do that, the original goes on being used. */
static void make_copy(struct hsm_key *key)
{
    struct hsm_token *token = key->token;
    struct attrs template = ATTRS_INIT;
    struct hsm_copy copy = {.state = HSM_COPY_REFUSED};
    CK_SESSION_HANDLE anchor = 0;
    CK_RV rv = CKR_SESSION_COUNT;

    attrs_add_bool(&template, CKA_TOKEN, false);
    attrs_add_string(&template, CKA_LABEL, COPY_LABEL); /* so that nobody finds it by the key's */
    if (take_anchor(token, &anchor, &copy.epoch)) {
        const struct cryptoki *ck = hsm_module_cryptoki(token->module);
        rv = ck_copy_object(ck, anchor, key->handle, template.list, template.count, &copy.handle);
        if (rv == CKR_ATTRIBUTE_READ_ONLY || rv == CKR_TEMPLATE_INCONSISTENT) {
            rv = ck_copy_object(ck, anchor, key->handle, template.list, 1, &copy.handle);
        }
    }
    copy.state = rv == CKR_OK ? HSM_COPY_READY : HSM_COPY_REFUSED;
    pthread_mutex_lock(&token->lock);
    token->copies_refused = token->copies_refused || rv == CKR_FUNCTION_NOT_SUPPORTED;
    key->copy = copy;
    pthread_mutex_unlock(&token->lock);
}

/* What to do next with a key: its state, seen under the lock. */
enum next { NEXT_USE, NEXT_COPY, NEXT_LOGIN, NEXT_FIND };

static enum next look(struct hsm_key *key, struct use *use)
{
    struct hsm_token *token = key->token;
    struct hsm_copy *copy = &key->copy;
    enum next next = NEXT_USE;

    pthread_mutex_lock(&token->lock);
    if (copy->state == HSM_COPY_READY && copy->epoch != token->sessions_epoch) {
        *copy = (struct hsm_copy){.state = HSM_COPY_NONE};
    }
    if (token->info.login_required && !token->logged_in) {
        next = NEXT_LOGIN;
    } else if (key->epoch != token->objects_epoch) {
        next = NEXT_FIND;
    } else if (copy->state == HSM_COPY_NONE && !key->always_authenticate &&
               !token->copies_refused && !token->copies_unwanted && copy->uses++ > 0) {
        /* not at the first use: most programs sign once and end */
        copy->state = HSM_COPY_IN_MAKING;
        next = NEXT_COPY;
    }
    use->is_copy = copy->state == HSM_COPY_READY;
    use->handle = use->is_copy ? copy->handle : key->handle;
    pthread_mutex_unlock(&token->lock);
    return next;
}

/* Gets hold of a session and of a handle that is current. */
static bool begin(struct hsm_key *key, const struct hsm_pin *pin, struct use *use, struct err *err)
{
    for (int step = 0; step < NEXT_STEPS_MAX; step++) {
        if (!use->session.held && !hsm_session_take(key->token, false, &use->session, err)) {
            return err_wrap(err, "key '%s'", key->label);
        }
        switch (look(key, use)) {
        case NEXT_USE:
            return true;
        case NEXT_COPY:
            make_copy(key);
            break;
        case NEXT_LOGIN:
            hsm_session_give(&use->session);
            if (!hsm_login(key->token, pin, err)) {
                return err_wrap(err, "key '%s'", key->label);
            }
            break;
        case NEXT_FIND:
            if (!hsm_key_find_again(&use->session, key, err)) {
                return false;
            }
            break;
        }
    }
    return err_set(err, E_TOKEN, "key '%s': %s loses its login or its objects again and again",
                   key->label, hsm_token_name(&key->token->info));
}

/* The handle is not valid: what it stood for is looked for, or copied, anew. */
static void forget_handle(struct hsm_key *key, const struct use *use)
{
    struct hsm_token *token = key->token;

    pthread_mutex_lock(&token->lock);
    if (use->is_copy) {
        key->copy = (struct hsm_copy){.state = HSM_COPY_NONE};
    } else if (key->handle == use->handle) {
        key->epoch = token->objects_epoch - 1;
    }
    pthread_mutex_unlock(&token->lock);
}

/* After a failed call. Modules differ in whether the operation is over, and the price is one
 * session. True if it may be tried again. */
static bool settle(struct hsm_key *key, struct use *use, CK_RV rv)
{
    bool again = hsm_token_note(key->token, use->session.epoch, rv);

    if (rv == CKR_OBJECT_HANDLE_INVALID || rv == CKR_KEY_HANDLE_INVALID) {
        forget_handle(key, use);
    }
    hsm_session_replace(&use->session);
    return again;
}

/* What one operation consists of, between taking a session and giving it back. */
struct operation {
    CK_MECHANISM mechanism;
    const char *init_name;
    const char *name;
    CK_RV(*init)
    (const struct cryptoki *ck, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
     CK_OBJECT_HANDLE key);
    CK_RV(*finish)
    (const struct cryptoki *ck, CK_SESSION_HANDLE session, const uint8_t *in, size_t in_len,
     uint8_t *out, size_t *out_len);
    bool refused_at_init; /* result */
};

/* The operation itself had begun when the device failed: whether it was done, nobody knows, and
 * that is for the caller to decide. The next one finds everything new. */
static bool was_under_way(CK_RV rv)
{
    return rv == CKR_DEVICE_ERROR || rv == CKR_DEVICE_REMOVED || rv == CKR_TOKEN_NOT_PRESENT;
}

static bool run_once(struct hsm_key *key, struct operation *op, const struct hsm_pin *pin,
                     const uint8_t *in, size_t in_len, uint8_t *out, size_t *out_len, bool *again,
                     struct err *err)
{
    AUTO(use) struct use use = {.session = HSM_SESSION_INIT};
    AUTO(secret) struct secret bytes = SECRET_INIT;

    *again = false;
    if (!get_operation_pin(key, pin, &bytes, err) || !begin(key, pin, &use, err)) {
        return false;
    }
    const struct cryptoki *ck = hsm_session_cryptoki(&use.session);
    CK_RV rv = op->init(ck, use.session.handle, &op->mechanism, use.handle);
    op->refused_at_init = rv != CKR_OK;
    if (rv != CKR_OK) {
        *again = settle(key, &use, rv);
        return failed(key, rv, op->init_name, err);
    }
    if (key->always_authenticate && !authenticate(key, &use.session, &bytes, err)) {
        hsm_session_replace(&use.session); /* the operation is still active in it */
        return false;
    }
    rv = op->finish(ck, use.session.handle, in, in_len, out, out_len);
    if (rv != CKR_OK) {
        *again = settle(key, &use, rv) && !was_under_way(rv);
        return failed(key, rv, op->name, err);
    }
    return true;
}

static bool run(struct hsm_key *key, struct operation *op, const struct hsm_pin *pin,
                const uint8_t *in, size_t in_len, uint8_t *out, size_t *out_len, struct err *err)
{
    bool again = false;
    size_t room = *out_len;

    sigpipe_block(); /* once for all calls of the operation */
    bool ok = run_once(key, op, pin, in, in_len, out, out_len, &again, err);
    if (!ok && again) {
        err_clear(err);
        *out_len = room;
        ok = run_once(key, op, pin, in, in_len, out, out_len, &again, err);
    }
    sigpipe_restore(!ok);
    return ok;
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
    bool ok = run(key, &op, pin, in, in_len, out, out_len, err);
    if (how->refused_at_init != NULL) {
        *how->refused_at_init = op.refused_at_init;
    }
    return ok;
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

static bool derive_once(struct hsm_key *key, const struct hsm_pin *pin, CK_MECHANISM *mechanism,
                        uint8_t *out, size_t out_len, bool *again, struct err *err)
{
    AUTO(use) struct use use = {.session = HSM_SESSION_INIT};
    struct attrs template = ATTRS_INIT;
    CK_OBJECT_HANDLE derived = 0;

    *again = false;
    attrs_add_ulong(&template, CKA_CLASS, CKO_SECRET_KEY);
    attrs_add_ulong(&template, CKA_KEY_TYPE, CKK_GENERIC_SECRET);
    attrs_add_bool(&template, CKA_TOKEN, false);
    attrs_add_bool(&template, CKA_SENSITIVE, false);
    attrs_add_bool(&template, CKA_EXTRACTABLE, true);
    attrs_add_ulong(&template, CKA_VALUE_LEN, (CK_ULONG)out_len);
    if (!begin(key, pin, &use, err)) {
        return false;
    }
    const struct cryptoki *ck = hsm_session_cryptoki(&use.session);
    CK_RV rv = ck_derive_key(ck, use.session.handle, mechanism, use.handle, template.list,
                             template.count, &derived);
    if (rv != CKR_OK) {
        *again = settle(key, &use, rv) && !was_under_way(rv);
        return failed(key, rv, "C_DeriveKey", err);
    }
    rv = take_value(ck, use.session.handle, derived, out, out_len);
    return rv == CKR_OK || failed(key, rv, "reading the derived secret", err);
}

static bool derive_with(struct hsm_key *key, const struct hsm_pin *pin, const uint8_t *peer,
                        size_t peer_len, uint8_t *out, size_t out_len, struct err *err)
{
    CK_ECDH1_DERIVE_PARAMS params = {.kdf = CKD_NULL,
                                     .ulPublicDataLen = (CK_ULONG)peer_len,
                                     .pPublicData = (CK_BYTE_PTR)(uintptr_t)peer};
    CK_MECHANISM mechanism = {
        .mechanism = CKM_ECDH1_DERIVE, .pParameter = &params, .ulParameterLen = sizeof(params)};
    bool again = false;

    if (derive_once(key, pin, &mechanism, out, out_len, &again, err)) {
        return true;
    }
    if (!again) {
        return false;
    }
    err_clear(err);
    return derive_once(key, pin, &mechanism, out, out_len, &again, err);
}

/* Whether the token did not like the form of the peer's point. */
static bool dislikes_point(const struct err *err)
{
    return err->native == CKR_MECHANISM_PARAM_INVALID || err->native == CKR_ARGUMENTS_BAD ||
           err->native == CKR_DATA_INVALID;
}

/* DER OCTET STRING, the form that some modules want the peer's point in (PKCS#11 allows both). */
static size_t wrap_point(const uint8_t *point, size_t len, uint8_t out[static 3 + HSM_POINT_MAX])
{
    size_t header = len > 127 ? 3 : 2;

    out[0] = 0x04;
    out[1] = header == 3 ? 0x81 : (uint8_t)len;
    if (header == 3) {
        out[2] = (uint8_t)len;
    }
    memcpy(out + header, point, len);
    return header + len;
}

bool hsm_derive(struct hsm_key *key, const struct hsm_pin *pin, const uint8_t *peer,
                size_t peer_len, uint8_t *out, size_t out_len, struct err *err)
{
    uint8_t wrapped[3 + HSM_POINT_MAX];
    struct err second = ERR_INIT;

    if (derive_with(key, pin, peer, peer_len, out, out_len, err)) {
        return true;
    }
    if (peer_len > HSM_POINT_MAX || !dislikes_point(err) ||
        !derive_with(key, pin, wrapped, wrap_point(peer, peer_len, wrapped), out, out_len,
                     &second)) {
        return false;
    }
    err_clear(err);
    return true;
}
