#include "hsm/role.h"

#include "base/log.h"
#include "hsm/ckr.h"
#include "hsm/pin_memory.h"
#include "hsm/revive.h"
#include "hsm/session_impl.h"

bool hsm_so_may_try(const struct hsm_token_info *info, struct err *err)
{
    if (!info->initialized) {
        return true; /* the PIN becomes the SO PIN; SoftHSM calls that state "locked" */
    }
    if (info->so_pin_locked) {
        return err_set(err, E_PIN_LOCKED, "the security officer's PIN of %s is locked",
                       hsm_token_name(info));
    }
    if (info->so_pin_final) {
        return err_set(err, E_PIN_LOCKED,
                       "%s has one try left for the security officer's PIN; it is not used up here",
                       hsm_token_name(info));
    }
    return true;
}

bool hsm_is_so(struct hsm_token *token)
{
    pthread_mutex_lock(&token->lock);
    bool is = token->logged_in && token->user == CKU_SO;
    pthread_mutex_unlock(&token->lock);
    return is;
}

/* Closes every session of ours, which ends the login. */
static bool close_all(struct hsm_token *token, struct err *err)
{
    struct hsm_session idle = HSM_SESSION_INIT;

    pthread_mutex_lock(&token->anchor_lock);
    pthread_mutex_lock(&token->lock);
    struct hsm_session anchor = {.token = token,
                                 .handle = token->anchor,
                                 .epoch = token->sessions_epoch,
                                 .held = token->anchor != 0};
    token->anchor = 0;
    pthread_mutex_unlock(&token->lock);
    hsm_session_drop(&anchor);
    while (hsm_session_take_idle(token, &idle)) {
        hsm_session_drop(&idle);
    }
    pthread_mutex_lock(&token->lock);
    unsigned open = token->open_sessions;
    pthread_mutex_unlock(&token->lock);
    pthread_mutex_unlock(&token->anchor_lock);
    if (open > 0) {
        return err_set(err, E_TOKEN,
                       "%s: %u sessions are in use, so nobody else can be logged in now",
                       hsm_token_name(&token->info), open);
    }
    hsm_token_forget(token, true);
    return true;
}

bool hsm_leave_so(struct hsm_token *token, struct err *err)
{
    return !hsm_is_so(token) || close_all(token, err);
}

/* Because of what a PIN would be sent in vain: our own sessions are closed, but where other parts
 * of the program use the module they may have theirs. CKR_OK if nothing is in the way, or the token
 * does not say. Of a module that is ours, the numbers may be those of other processes. */
static CK_RV in_the_way(const struct hsm_session *session)
{
    const struct hsm_token *token = session->token;
    CK_SESSION_INFO state;
    CK_TOKEN_INFO info;

    if (hsm_module_is_ours(token->module)) {
        return CKR_OK;
    }

    if (ck_get_session_info(hsm_session_cryptoki(session), session->handle, &state) == CKR_OK &&
        state.state == CKS_RW_USER_FUNCTIONS) {
        return CKR_USER_ANOTHER_ALREADY_LOGGED_IN;
    }
    bool counts =
        ck_get_token_info(hsm_session_cryptoki(session), token->info.slot_id, &info) == CKR_OK &&
        info.ulSessionCount != CK_UNAVAILABLE_INFORMATION &&
        info.ulRwSessionCount != CK_UNAVAILABLE_INFORMATION;
    return counts && info.ulSessionCount > info.ulRwSessionCount ? CKR_SESSION_READ_ONLY_EXISTS
                                                                 : CKR_OK;
}

static bool so_login_failed(const struct hsm_token *token, CK_RV rv, struct err *err)
{
    (void)ckr_set(err, rv, "C_Login (security officer)");
    hsm_login_explain(rv, CKU_SO, err);
    return err_wrap(err, "%s", hsm_token_name(&token->info));
}

static bool send_so_pin(struct hsm_token *token, const struct hsm_pin *how,
                        const struct secret *pin, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    const struct hsm_token_info *info = &token->info;
    struct hsm_pin_try attempt;

    CK_RV rv = hsm_session_take_now(token, true, &session);
    if (rv != CKR_OK) {
        return hsm_session_open_failed(token, rv, err);
    }
    rv = in_the_way(&session);
    if (rv != CKR_OK) {
        return so_login_failed(token, rv, err);
    }
    if (!hsm_pin_try_begin(info, CKU_SO, how, &attempt, err)) {
        return false;
    }
    rv = ck_login(hsm_session_cryptoki(&session), session.handle, CKU_SO,
                  info->pin_pad ? NULL : pin->data, info->pin_pad ? 0 : pin->len);
    hsm_pin_try_end(info, CKU_SO, how, &attempt, rv, hsm_pin_was_burnt(rv));
    if (rv != CKR_OK && rv != CKR_USER_ALREADY_LOGGED_IN) {
        token->so_pin_refused = hsm_pin_was_burnt(rv);
        return so_login_failed(token, rv, err);
    }
    pthread_mutex_lock(&token->lock);
    token->logged_in = true;
    token->user = CKU_SO;
    pthread_mutex_unlock(&token->lock);
    log_line(LOG_DEBUG, "hsm", "logged in to %s as security officer", hsm_token_name(info));
    return true;
}

static bool may_send(struct hsm_token *token, const struct hsm_pin *pin, struct err *err)
{
    if (!hsm_token_refresh(token, err)) {
        return false;
    }
    if (token->so_pin_refused) {
        return err_set(err, E_PIN_WRONG,
                       "the security officer's PIN of %s was wrong before in this process and is "
                       "not sent again",
                       hsm_token_name(&token->info));
    }
    if (token->info.so_pin_low && !hsm_pin_is_meant(pin)) {
        return err_set(err, E_PIN_LOCKED,
                       "a wrong PIN of the security officer was sent to %s before, so none is "
                       "sent unattended",
                       hsm_token_name(&token->info));
    }
    return hsm_so_may_try(&token->info, err) &&
           hsm_pin_memory_allows(&token->info, CKU_SO, pin, err);
}

bool hsm_login_as_so(struct hsm_token *token, const struct hsm_pin *pin, struct err *err)
{
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    AUTO(secret) struct secret bytes = SECRET_INIT;

    if (!hsm_token_revive(token, err)) {
        return false;
    }
    if (hsm_is_so(token)) {
        return true;
    }
    /* A person types without the lock held. */
    if (!may_send(token, pin, err) ||
        (!token->info.pin_pad && !pin->get(pin->ctx, &token->info, &bytes, err))) {
        return false;
    }
    if (!token->info.pin_pad && bytes.len == 0) {
        return err_set(err, E_PIN_NEEDED, "the security officer's PIN for %s is empty",
                       hsm_token_name(&token->info));
    }
    return (token->info.pin_pad || hsm_module_lock(token->module, &lock, err)) &&
           close_all(token, err) && may_send(token, pin, err) &&
           send_so_pin(token, pin, &bytes, err);
}
