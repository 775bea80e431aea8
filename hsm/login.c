#include "hsm/session.h"

#include "base/log.h"
#include "hsm/ckr.h"
#include "hsm/pin_memory.h"
#include "hsm/revive.h"
#include "hsm/role.h"
#include "hsm/session_impl.h"

#include <string.h>

bool hsm_pin_is_meant(const struct hsm_pin *pin)
{
    return pin != NULL && (pin->interactive || pin->deliberate || pin->again);
}

const char *hsm_pin_unlock_advice(const struct hsm_token *token)
{
    return strstr(hsm_module_description(token->module), "TPM") != NULL
               ? "a TPM's lockout ends by itself after a while, or by its lockout password "
                 "(tpm2_dictionarylockout --clear-lockout)"
               : "its security officer can set a new one ('p11enroll token pin unblock'), or the "
                 "vendor's own tool";
}

/* Whether the token's own flags allow a PIN to be sent at all. `is_meant`: somebody is there, or
 * named the PIN for this one command. */
static bool may_try(const struct hsm_token *token, bool is_meant, struct err *err)
{
    const struct hsm_token_info *info = &token->info;

    if (atomic_load(token->pin_refused)) {
        return err_set(err, E_PIN_WRONG,
                       "the PIN of %s was wrong before in this process and is "
                       "not sent again",
                       hsm_token_name(info));
    }
    if (info->user_pin_locked) {
        return err_set(err, E_PIN_LOCKED, "the user PIN of %s is locked; %s", hsm_token_name(info),
                       hsm_pin_unlock_advice(token));
    }
    if (info->user_pin_final) {
        return err_set(err, E_PIN_LOCKED,
                       "%s has one try left for its user PIN, and that one is "
                       "not used up here; log in once with the token's own tool, which resets the "
                       "counter, or have its security officer set a new one ('p11enroll token pin "
                       "unblock')",
                       hsm_token_name(info));
    }
    if (info->user_pin_low && !is_meant && !info->pin_pad) {
        return err_set(err, E_PIN_LOCKED,
                       "a wrong PIN was sent to %s before, so none is sent unattended: check the "
                       "PIN, then log in once by hand, which resets the counter "
                       "('p11enroll key list --pin-source prompt')",
                       hsm_token_name(info));
    }
    if (!info->user_pin_set && !info->pin_pad) {
        return err_set(err, E_PIN_NEEDED,
                       "%s has no user PIN yet; its security officer has to set "
                       "one ('p11enroll token pin set')",
                       hsm_token_name(info));
    }
    return true;
}

bool hsm_pin_was_burnt(CK_RV rv)
{
    switch (rv) {
    case CKR_OK:
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_SESSION_CLOSED:
    case CKR_CRYPTOKI_NOT_INITIALIZED:
    case CKR_DEVICE_REMOVED:
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_TOKEN_NOT_RECOGNIZED:
    case CKR_HOST_MEMORY:
    case CKR_DEVICE_MEMORY:
    /* These speak of who is logged in, or what is open; the PIN is not looked at then (PKCS#11
     * 2.40, section 5.6). */
    case CKR_USER_ANOTHER_ALREADY_LOGGED_IN:
    case CKR_USER_TOO_MANY_TYPES:
    case CKR_USER_PIN_NOT_INITIALIZED:
    case CKR_USER_NOT_LOGGED_IN:
    case CKR_SESSION_READ_ONLY_EXISTS:
    case CKR_OPERATION_NOT_INITIALIZED:
        return false;
    default:
        return true;
    }
}

/* Whether C_Login never reached the token: by its code, or because nothing is there that answers.
 */
static bool was_not_sent(struct hsm_token *token, CK_RV rv)
{
    bool is_gone = hsm_token_note(token, hsm_token_sessions_epoch(token), rv);

    return !hsm_pin_was_burnt(rv) || (rv == CKR_DEVICE_ERROR && is_gone);
}

static void kept_secret_forget(struct hsm_token *token)
{
    pthread_mutex_lock(&token->lock);
    kept_secret_done(&token->kept_pin);
    pthread_mutex_unlock(&token->lock);
}

static bool is_wrong_pin(CK_RV rv)
{
    return rv == CKR_PIN_INCORRECT || rv == CKR_PIN_INVALID || rv == CKR_PIN_LEN_RANGE;
}

void hsm_login_explain(CK_RV rv, CK_USER_TYPE user, struct err *err)
{
    const char *who = user == CKU_SO ? "the user" : "the security officer";
    struct err first = *err;

    if (rv == CKR_USER_ANOTHER_ALREADY_LOGGED_IN || rv == CKR_USER_TOO_MANY_TYPES) {
        (void)err_set_native(err, first.code, first.native,
                             "%.500s: %s is logged in already, through another part of this "
                             "program or, on some tokens, another program, which has to log out "
                             "first; the PIN was not looked at, and no try was used up",
                             first.msg, who);
    } else if (rv == CKR_SESSION_READ_ONLY_EXISTS) {
        (void)err_set_native(
            err, first.code, first.native,
            "%.500s: the token lets the security officer in only where no "
            "read-only session is open on it, and another part of this program or, "
            "on some tokens, another program has one: end that first; the PIN was "
            "not looked at, and no try was used up",
            first.msg);
    }
}

/* What the token answered, in words. */
static bool explain(const struct hsm_token *token, CK_RV rv, const struct hsm_pin *pin,
                    struct err *err)
{
    const char *name = hsm_token_name(&token->info);
    const char *source = pin != NULL ? pin->source : NULL;

    if (is_wrong_pin(rv)) {
        (void)err_set_native(err, E_PIN_WRONG, (unsigned long)rv,
                             "%s: C_Login: the PIN is wrong (%s)", name, ckr_name(rv));
        return source == NULL ||
               err_wrap(err,
                        "the PIN from %s is refused, and none is sent unattended until one was "
                        "right",
                        source);
    }
    if (rv == CKR_PIN_LOCKED) {
        return err_set_native(err, E_PIN_LOCKED, (unsigned long)rv,
                              "%s: C_Login: the user PIN is locked (%s); %s", name, ckr_name(rv),
                              hsm_pin_unlock_advice(token));
    }
    (void)ckr_set(err, rv, "C_Login");
    hsm_login_explain(rv, CKU_USER, err);
    return err_wrap(err, "%s", name);
}

bool hsm_login_failed(struct hsm_token *token, CK_RV rv, const struct hsm_pin *pin,
                      const struct hsm_pin_try *attempt, struct err *err)
{
    /* Some modules hide a wrong PIN behind another code, so all that reached the token count. */
    bool was_sent = is_wrong_pin(rv) || rv == CKR_PIN_LOCKED || !was_not_sent(token, rv);

    hsm_pin_try_end(&token->info, CKU_USER, pin, attempt, rv, was_sent);
    if (was_sent && rv != CKR_PIN_LOCKED) {
        atomic_store(token->pin_refused, true);
        kept_secret_forget(token);
    }
    (void)explain(token, rv, pin, err);
    return false;
}

/* The lock is held. The session stays open in the pool, and with it the login. */
static bool send_pin(struct hsm_token *token, const struct hsm_pin *how, const struct secret *pin,
                     struct err *err)
{
    struct hsm_pin_try attempt;
    bool keep = how != NULL && how->keep;
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;

    /* Not hsm_session_take(): that may want the module's lock, which is held. */
    CK_RV rv = hsm_session_take_now(token, false, &session);
    if (rv != CKR_OK) {
        return hsm_session_open_failed(token, rv, err);
    }
    if (!hsm_pin_try_begin(&token->info, CKU_USER, how, &attempt, err)) {
        return false;
    }
    const uint8_t *bytes = token->info.pin_pad ? NULL : pin->data;
    size_t len = token->info.pin_pad ? 0 : pin->len;
    rv = ck_login(hsm_session_cryptoki(&session), session.handle, CKU_USER, bytes, len);
    if (rv != CKR_OK && rv != CKR_USER_ALREADY_LOGGED_IN) {
        return hsm_login_failed(token, rv, how, &attempt, err);
    }
    hsm_pin_try_end(&token->info, CKU_USER, how, &attempt, rv, true);
    pthread_mutex_lock(&token->lock);
    token->logged_in = true;
    token->user = CKU_USER;
    /* "Already logged in" proves nothing about this PIN. */
    bool kept =
        !keep || rv != CKR_OK || token->info.pin_pad || kept_secret_set(&token->kept_pin, pin, err);
    pthread_mutex_unlock(&token->lock);
    if (!kept) {
        return false;
    }
    log_line(LOG_DEBUG, "hsm", "logged in to %s", hsm_token_name(&token->info));
    return true;
}

/* The memory speaks first: it knows when and whence. Where a PIN is locked, or the last try is at
 * stake, the flags say more. */
bool hsm_pin_may_send(struct hsm_token *token, const struct hsm_pin *pin, struct err *err)
{
    const struct hsm_token_info *info = &token->info;
    bool is_grave = info->user_pin_locked || info->user_pin_final || !info->user_pin_set ||
                    atomic_load(token->pin_refused);

    return (is_grave || hsm_pin_memory_allows(info, CKU_USER, pin, err)) &&
           may_try(token, hsm_pin_is_meant(pin), err);
}

/* Whether the token may be sent a PIN; with its lock held, or before that is taken. */
static bool check_flags(struct hsm_token *token, const struct hsm_pin *pin, struct err *err)
{
    return hsm_token_refresh(token, err) && hsm_pin_may_send(token, pin, err);
}

static bool get_pin(struct hsm_token *token, const struct hsm_pin *pin, struct secret *out,
                    struct err *err)
{
    pthread_mutex_lock(&token->lock);
    bool kept = kept_secret_is_set(&token->kept_pin);
    bool copied = kept && kept_secret_get(&token->kept_pin, out, err);
    pthread_mutex_unlock(&token->lock);
    if (kept) {
        return copied;
    }
    if (pin == NULL || pin->get == NULL) {
        return err_set(err, E_PIN_NEEDED, "%s wants a login and no PIN source is given",
                       hsm_token_name(&token->info));
    }
    if (!pin->get(pin->ctx, &token->info, out, err)) {
        CK_RV ended_by = atomic_load(&token->ended_by);
        return ended_by != CKR_OK &&
               err_wrap(err, "the token ended the login (%s), and a new one is needed",
                        ckr_name(ended_by));
    }
    return out->len > 0 || err_set(err, E_PIN_NEEDED,
                                   "the PIN for %s is empty, so nothing is sent: its source gave "
                                   "nothing (a descriptor can be read only once)",
                                   hsm_token_name(&token->info));
}

bool hsm_pin_for(struct hsm_token *token, const struct hsm_pin *pin, struct secret *out,
                 struct err *err)
{
    return check_flags(token, pin, err) && (token->info.pin_pad || get_pin(token, pin, out, err));
}

static bool is_logged_in(struct hsm_token *token)
{
    pthread_mutex_lock(&token->lock);
    bool done = token->logged_in || !token->info.login_required;
    pthread_mutex_unlock(&token->lock);
    return done;
}

static bool login_now(struct hsm_token *token, const struct hsm_pin *pin, struct err *err)
{
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    AUTO(secret) struct secret bytes = SECRET_INIT;

    if (pin != NULL && pin->interactive && !token->info.pin_pad) {
        /* A person is not asked for a PIN that would not be sent, and types without the lock held.
         */
        if (!hsm_pin_for(token, pin, &bytes, err)) {
            return false;
        }
    }
    if (!token->info.pin_pad && !hsm_module_lock(token->module, &lock, err)) {
        return false;
    }
    if (is_logged_in(token)) {
        return true; /* another thread had the lock before us */
    }
    if (!hsm_token_refresh(token, err)) {
        return false;
    }
    if (!token->info.login_required) {
        return true;
    }
    if (!hsm_pin_may_send(token, pin, err)) {
        return false;
    }
    if (!token->info.pin_pad && !secret_is_set(&bytes) && !get_pin(token, pin, &bytes, err)) {
        return false;
    }
    return send_pin(token, pin, &bytes, err);
}

bool hsm_login(struct hsm_token *token, const struct hsm_pin *pin, struct err *err)
{
    if (!hsm_token_revive(token, err)) { /* which may find that the login is over */
        return false;
    }
    if (!hsm_leave_so(token, err)) {
        return false;
    }
    return is_logged_in(token) || login_now(token, pin, err);
}
