#include "hsm/op.h"

#include "hsm/attr.h"
#include "hsm/ckr.h"
#include "hsm/hashing.h"
#include "hsm/op_impl.h"
#include "hsm/pin_memory.h"
#include "hsm/revive.h"
#include "hsm/sigpipe.h"

#include <stdlib.h>
#include <string.h>

/* Login, search, copy, use: each may be wanted twice when something ends meanwhile. */
enum { NEXT_STEPS_MAX = 6 };

static const char COPY_LABEL[] = "p11enroll working copy";

bool hsm_mechanism_listed(const CK_MECHANISM_TYPE *list, size_t count, CK_MECHANISM_TYPE mechanism)
{
    for (size_t i = 0; list != NULL && i < count; i++) {
        if (list[i] == mechanism) {
            return true;
        }
    }
    return false;
}

/* Reads the list once. False if the token could not be asked. */
static bool read_mechanisms(struct hsm_token *token)
{
    struct err err = ERR_INIT;
    CK_MECHANISM_TYPE *list = NULL;
    size_t count = 0;

    if (!hsm_token_revive(token, &err)) {
        return false;
    }
    bool ok = hsm_token_mechanisms(token, &list, &count, &err);
    if (!ok && ckr_is_stale((CK_RV)err.native)) {
        return false;
    }
    pthread_mutex_lock(&token->lock);
    if (token->mechanisms == NULL) {
        token->mechanisms = list;
        token->mechanism_count = count;
        token->mechanisms_read = true;
        list = NULL;
    }
    pthread_mutex_unlock(&token->lock);
    free(list); /* another thread was faster */
    return true;
}

bool hsm_token_can(struct hsm_token *token, CK_MECHANISM_TYPE mechanism)
{
    bool found = false;

    pthread_mutex_lock(&token->lock);
    bool is_read = token->mechanisms_read;
    pthread_mutex_unlock(&token->lock);
    if (!is_read && !read_mechanisms(token)) {
        return true; /* nobody knows; the operation will tell */
    }
    pthread_mutex_lock(&token->lock);
    found = hsm_mechanism_listed(token->mechanisms, token->mechanism_count, mechanism);
    pthread_mutex_unlock(&token->lock);
    return found;
}

bool hsm_op_failed(const struct hsm_key *key, CK_RV rv, const char *what, struct err *err)
{
    (void)ckr_set(err, rv, what);
    return err_wrap(err, "key '%s' on %s", key->label, hsm_token_name(&key->token->info));
}

/* Between init and operation, as PKCS#11 wants it for CKA_ALWAYS_AUTHENTICATE; no other call may
 * intervene. */
static bool authenticate(const struct hsm_key *key, struct hsm_session *session,
                         const struct hsm_pin *how, const struct secret *pin, struct err *err)
{
    const struct hsm_token_info *info = &key->token->info;
    struct hsm_pin_try attempt;

    /* It is the user's PIN, with the same count of tries and the same memory. */
    if (!hsm_pin_try_begin(info, CKU_USER, how, &attempt, err)) {
        return err_wrap(err, "key '%s', which wants its PIN for every operation", key->label);
    }
    CK_RV rv = ck_login(hsm_session_cryptoki(session), session->handle, CKU_CONTEXT_SPECIFIC,
                        info->pin_pad ? NULL : pin->data, info->pin_pad ? 0 : pin->len);
    /* NSS keeps the flag and answers "already logged in"; the signature will tell. */
    if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN) {
        hsm_pin_try_end(info, CKU_USER, how, &attempt, rv, true);
        return true;
    }
    (void)hsm_login_failed(key->token, rv, how, &attempt, err);
    return err_wrap(err, "key '%s', which wants its PIN for every operation", key->label);
}

static bool get_operation_pin(const struct hsm_key *key, const struct hsm_pin *pin,
                              struct secret *out, struct err *err)
{
    return !key->always_authenticate || hsm_pin_for(key->token, pin, out, err) ||
           err_wrap(err, "key '%s' wants its PIN for every operation", key->label);
}

void hsm_use_done(struct hsm_use *use)
{
    hsm_session_give(&use->session);
}

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

/* Codes that speak of the moment and not of the key. */
static bool is_passing(CK_RV rv)
{
    return ckr_is_stale(rv) || rv == CKR_OBJECT_HANDLE_INVALID || rv == CKR_KEY_HANDLE_INVALID ||
           rv == CKR_USER_NOT_LOGGED_IN || rv == CKR_TOKEN_NOT_PRESENT;
}

static CK_RV copy_under(const struct hsm_token *token, CK_SESSION_HANDLE anchor,
                        CK_OBJECT_HANDLE original, CK_OBJECT_HANDLE *copy)
{
    const struct cryptoki *ck = hsm_module_cryptoki(token->module);
    struct attrs template = ATTRS_INIT;

    attrs_add_bool(&template, CKA_TOKEN, false);
    attrs_add_string(&template, CKA_LABEL, COPY_LABEL); /* so that nobody finds it by the key's */
    CK_RV rv = ck_copy_object(ck, anchor, original, template.list, template.count, copy);
    if (rv == CKR_ATTRIBUTE_READ_ONLY || rv == CKR_TEMPLATE_INCONSISTENT) {
        rv = ck_copy_object(ck, anchor, original, template.list, 1, copy);
    }
    return rv;
}

/* Copies the key once. Where the token does not do that, the original goes on being used. */
static void make_copy(struct hsm_key *key)
{
    struct hsm_token *token = key->token;
    struct hsm_copy copy = {.state = HSM_COPY_REFUSED};
    CK_SESSION_HANDLE anchor = 0;
    CK_RV rv = CKR_SESSION_COUNT;

    pthread_mutex_lock(&token->anchor_lock);
    bool has_anchor = take_anchor(token, &anchor, &copy.sessions_epoch);
    pthread_mutex_lock(&token->lock);
    CK_OBJECT_HANDLE original = key->handle;
    copy.objects_epoch = key->epoch;
    pthread_mutex_unlock(&token->lock);
    if (has_anchor) {
        rv = copy_under(token, anchor, original, &copy.handle);
    }
    pthread_mutex_lock(&token->lock);
    bool is_current =
        copy.sessions_epoch == token->sessions_epoch && copy.objects_epoch == token->objects_epoch;
    copy.state = !is_current || is_passing(rv) ? HSM_COPY_NONE
                 : rv == CKR_OK                ? HSM_COPY_READY
                                               : HSM_COPY_REFUSED;
    token->copies_refused = token->copies_refused || rv == CKR_FUNCTION_NOT_SUPPORTED;
    key->copy = copy;
    pthread_mutex_unlock(&token->lock);
    pthread_mutex_unlock(&token->anchor_lock);
}

/* What to do next with a key: its state, seen under the lock. */
enum next { NEXT_USE, NEXT_COPY, NEXT_LOGIN, NEXT_FIND };

static enum next look(struct hsm_key *key, struct hsm_use *use)
{
    struct hsm_token *token = key->token;
    struct hsm_copy *copy = &key->copy;
    enum next next = NEXT_USE;

    pthread_mutex_lock(&token->lock);
    if (copy->state == HSM_COPY_READY && (copy->sessions_epoch != token->sessions_epoch ||
                                          copy->objects_epoch != token->objects_epoch)) {
        *copy = (struct hsm_copy){.state = HSM_COPY_NONE};
    }
    if (token->info.login_required && !token->logged_in) {
        next = NEXT_LOGIN;
    } else if (key->epoch != token->objects_epoch) {
        next = NEXT_FIND;
    } else if (copy->state == HSM_COPY_NONE && !key->always_authenticate &&
               !token->copies_refused && !token->copies_unwanted &&
               !hsm_module_has_quirk(token->module, HSM_QUIRK_NO_COPY) && copy->uses++ > 0) {
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
static bool begin(struct hsm_key *key, const struct hsm_pin *pin, struct hsm_use *use,
                  struct err *err)
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
static void forget_handle(struct hsm_key *key, const struct hsm_use *use)
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

/* Takes a note of what a failed call says. True if it may be tried again. */
static bool take_note(struct hsm_key *key, struct hsm_use *use, CK_RV rv)
{
    bool is_handle = rv == CKR_OBJECT_HANDLE_INVALID || rv == CKR_KEY_HANDLE_INVALID;

    /* Modules differ in what they say after somebody logged out: SoftHSM calls the handle invalid.
     */
    if (is_handle && hsm_session_has_lost_login(&use->session)) {
        rv = CKR_USER_NOT_LOGGED_IN;
        is_handle = false;
    }
    bool again = hsm_token_note(key->token, use->session.epoch, rv);
    if (is_handle) {
        forget_handle(key, use);
    }
    return again || rv == CKR_OPERATION_ACTIVE;
}

bool hsm_op_settle(struct hsm_key *key, struct hsm_use *use, CK_RV rv)
{
    bool again = take_note(key, use, rv);

    hsm_session_replace(&use->session);
    return again;
}

/* The operation itself had begun when the device failed: whether it was done, nobody knows, and
 * that is for the caller to decide. The next one finds everything new. */
static bool was_under_way(CK_RV rv)
{
    return rv == CKR_DEVICE_ERROR || rv == CKR_DEVICE_REMOVED || rv == CKR_TOKEN_NOT_PRESENT;
}

/*
 * The session of a decryption that failed is given back like one that did not: what is done with it
 * must not tell wrong padding from right. By PKCS#11 the operation is over; where it is not, the
 * next beginning says so (CKR_OPERATION_ACTIVE). Other sessions are replaced, which costs one.
 */
static bool settle_finish(struct hsm_key *key, const struct hsm_operation *op, struct hsm_use *use,
                          CK_RV rv)
{
    bool again = take_note(key, use, rv) && !was_under_way(rv);

    if (op->finish == ck_decrypt) {
        hsm_session_give(&use->session);
    } else {
        hsm_session_replace(&use->session);
    }
    return again;
}

static bool start_once(struct hsm_key *key, struct hsm_operation *op, const struct hsm_pin *pin,
                       struct hsm_use *use, bool *again, struct err *err)
{
    AUTO(secret) struct secret bytes = SECRET_INIT;

    *again = false;
    if (!begin(key, pin, use, err) || !get_operation_pin(key, pin, &bytes, err)) {
        *again = use->session.held && hsm_token_has_changed(key->token, use->session.epoch);
        return false;
    }
    const struct cryptoki *ck = hsm_session_cryptoki(&use->session);
    CK_RV rv = op->init(ck, use->session.handle, &op->mechanism, use->handle);
    op->refused_at_init = rv != CKR_OK;
    if (rv != CKR_OK) {
        *again = hsm_op_settle(key, use, rv);
        return hsm_op_failed(key, rv, op->init_name, err);
    }
    if (key->always_authenticate && !authenticate(key, &use->session, pin, &bytes, err)) {
        hsm_session_replace(&use->session); /* the operation is still active in it */
        return false;
    }
    return true;
}

bool hsm_op_start(struct hsm_key *key, struct hsm_operation *op, const struct hsm_pin *pin,
                  struct hsm_use *use, struct err *err)
{
    bool again = false;

    if (start_once(key, op, pin, use, &again, err)) {
        return true;
    }
    hsm_use_done(use);
    if (!again) {
        return false;
    }
    err_clear(err);
    return start_once(key, op, pin, use, &again, err);
}

static bool run_once(struct hsm_key *key, struct hsm_operation *op, const struct hsm_pin *pin,
                     const uint8_t *in, size_t in_len, uint8_t *out, size_t *out_len, bool *again,
                     struct err *err)
{
    AUTO(hsm_use) struct hsm_use use = {.session = HSM_SESSION_INIT};

    if (!start_once(key, op, pin, &use, again, err)) {
        return false;
    }
    CK_RV rv = op->finish(hsm_session_cryptoki(&use.session), use.session.handle, in, in_len, out,
                          out_len);
    if (rv != CKR_OK) {
        *again = settle_finish(key, op, &use, rv);
        return hsm_op_failed(key, rv, op->name, err);
    }
    if (use.session.epoch != hsm_token_sessions_epoch(key->token)) {
        /* The module was started again meanwhile, and the session's number may be another one's. */
        *again = true;
        return err_set(err, E_TOKEN, "key '%s': %s was started again during %s", key->label,
                       hsm_token_name(&key->token->info), op->name);
    }
    return true;
}

static bool run(struct hsm_key *key, struct hsm_operation *op, const struct hsm_pin *pin,
                const uint8_t *in, size_t in_len, uint8_t *out, size_t *out_len, struct err *err)
{
    bool again = false;
    size_t room = *out_len;

    sigpipe_block(); /* once for all calls of the operation */
    bool ok = run_once(key, op, pin, in, in_len, out, out_len, &again, err);
    if (!ok && again) {
        struct err first = *err;
        err_clear(err);
        *out_len = room;
        ok = run_once(key, op, pin, in, in_len, out, out_len, &again, err) ||
             err_wrap(err, "%s; and once more", first.msg);
    }
    sigpipe_restore(!ok);
    return ok;
}

bool hsm_sign_prepare(const struct hsm_key *key, const struct hsm_sign *how,
                      struct hsm_sign_operation *out, struct err *err)
{
    CK_MECHANISM *mechanism = &out->operation.mechanism;

    *out = (struct hsm_sign_operation){
        .operation = {
            .init_name = "C_SignInit", .name = "C_Sign", .init = ck_sign_init, .finish = ck_sign}};
    if (!hsm_sign_mechanism(how, &mechanism->mechanism)) {
        return err_set(err, E_USAGE, "key '%s' on %s: PKCS#11 has no such signature of a message",
                       key->label, hsm_token_name(&key->token->info));
    }
    if (how->scheme == HSM_SIGN_RSA_PSS) {
        out->pss = (CK_RSA_PKCS_PSS_PARAMS){
            .hashAlg = how->hash, .mgf = how->pss_mgf, .sLen = (CK_ULONG)how->pss_salt_len};
        mechanism->pParameter = &out->pss;
        mechanism->ulParameterLen = sizeof(out->pss);
    }
    return true;
}

bool hsm_sign(struct hsm_key *key, const struct hsm_sign *how, const struct hsm_pin *pin,
              const uint8_t *in, size_t in_len, uint8_t *out, size_t *out_len, struct err *err)
{
    struct hsm_sign_operation sign;

    if (!hsm_sign_prepare(key, how, &sign, err) ||
        !run(key, &sign.operation, pin, in, in_len, out, out_len, err)) {
        return false;
    }
    if (!how->message) {
        hsm_hashing_worked(key, how);
    }
    return true;
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
    struct hsm_operation op = {.mechanism = {.mechanism = mechanisms[how->scheme]},
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
    AUTO(hsm_use) struct hsm_use use = {.session = HSM_SESSION_INIT};
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
        *again = hsm_op_settle(key, &use, rv) && !was_under_way(rv);
        return hsm_op_failed(key, rv, "C_DeriveKey", err);
    }
    rv = take_value(ck, use.session.handle, derived, out, out_len);
    return rv == CKR_OK || hsm_op_failed(key, rv, "reading the derived secret", err);
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
