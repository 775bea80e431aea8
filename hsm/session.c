#include "hsm/session.h"

#include "base/log.h"
#include "hsm/ckr.h"
#include "hsm/revive.h"

#include <stdio.h>
#include <time.h>

enum { SESSION_WAIT_S = 10 };

const struct cryptoki *hsm_session_cryptoki(const struct hsm_session *session)
{
    return hsm_module_cryptoki(session->token->module);
}

static bool take_idle(struct hsm_token *token, bool read_write, struct hsm_session *session)
{
    struct hsm_session_pool *pool = &token->pools[read_write ? 1 : 0];

    if (pool->count == 0) {
        return false;
    }
    *session = (struct hsm_session){.token = token,
                                    .handle = pool->idle[--pool->count],
                                    .epoch = token->sessions_epoch,
                                    .read_write = read_write,
                                    .held = true};
    return true;
}

/* One session fewer. The lock is held. */
static void one_less(struct hsm_token *token)
{
    token->open_sessions--;
    if (token->open_sessions == 0) {
        token->logged_in = false; /* PKCS#11 2.40 section 5.6: the last one takes the login along */
    }
    if (token->waiting > 0) {
        (void)pthread_cond_signal(&token->session_free);
    }
}

static bool open_failed(struct hsm_token *token, CK_RV rv, struct err *err)
{
    (void)ckr_set(err, rv, "C_OpenSession");
    if (rv == CKR_SESSION_COUNT) {
        (void)err_wrap(err, "all sessions of the token are in use");
    }
    return err_wrap(err, "%s", hsm_token_name(&token->info));
}

/* Opens a session. The lock is held, and released meanwhile. */
static CK_RV open_locked(struct hsm_token *token, bool read_write, struct hsm_session *session)
{
    CK_SESSION_HANDLE handle = 0;
    unsigned epoch = token->sessions_epoch;

    token->open_sessions++; /* before it is open: whoever sees no session may restart the module */
    pthread_mutex_unlock(&token->lock);
    CK_RV rv = ck_open_session(hsm_module_cryptoki(token->module), token->info.slot_id, read_write,
                               &handle);
    pthread_mutex_lock(&token->lock);
    if (rv == CKR_OK) {
        *session = (struct hsm_session){.token = token,
                                        .handle = handle,
                                        .epoch = epoch,
                                        .read_write = read_write,
                                        .held = true};
    } else if (epoch == token->sessions_epoch) {
        one_less(token);
    }
    return rv;
}

static unsigned limit_of(const struct hsm_token *token)
{
    return token->session_limit > 0 ? token->session_limit : HSM_SESSIONS_LIMIT;
}

/* Makes room by closing an idle session of the other kind. The lock is held, and released
 * meanwhile. */
static bool close_other_idle(struct hsm_token *token, bool read_write)
{
    struct hsm_session other = HSM_SESSION_INIT;
    bool is_login = token->logged_in && token->open_sessions <= 1; /* the last one carries it */

    if (is_login || !take_idle(token, !read_write, &other)) {
        return false;
    }
    pthread_mutex_unlock(&token->lock);
    hsm_session_drop(&other);
    pthread_mutex_lock(&token->lock);
    return true;
}

/* Waits for somebody to give a session back. The lock is held. False when the time is over. */
static bool wait_for_session(struct hsm_token *token, const struct timespec *until)
{
    token->waiting++;
    int rc = pthread_cond_timedwait(&token->session_free, &token->lock, until);
    token->waiting--;
    return rc == 0;
}

/* An idle session, or a new one, or the next one that is given back. */
static CK_RV take_or_open(struct hsm_token *token, bool read_write, struct hsm_session *session)
{
    struct timespec until;
    CK_RV rv = CKR_OK;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += SESSION_WAIT_S;
    pthread_mutex_lock(&token->lock);
    while (!take_idle(token, read_write, session)) {
        rv = token->open_sessions < limit_of(token) ? open_locked(token, read_write, session)
                                                    : CKR_SESSION_COUNT;
        if (rv != CKR_SESSION_COUNT) {
            break;
        }
        /* Where other processes have them all there is nothing to wait for. */
        if (!close_other_idle(token, read_write) &&
            (token->open_sessions == 0 || !wait_for_session(token, &until))) {
            break;
        }
        rv = CKR_OK;
    }
    pthread_mutex_unlock(&token->lock);
    return rv;
}

bool hsm_session_take_fresh(struct hsm_token *token, bool read_write, struct hsm_session *session,
                            struct err *err)
{
    if (!hsm_token_revive(token, err)) {
        return false;
    }
    pthread_mutex_lock(&token->lock);
    CK_RV rv = open_locked(token, read_write, session);
    while (rv == CKR_SESSION_COUNT &&
           (close_other_idle(token, read_write) || close_other_idle(token, !read_write))) {
        rv = open_locked(token, read_write, session);
    }
    pthread_mutex_unlock(&token->lock);
    return rv == CKR_OK || open_failed(token, rv, err);
}

bool hsm_session_take(struct hsm_token *token, bool read_write, struct hsm_session *session,
                      struct err *err)
{
    for (int attempt = 0;; attempt++) {
        if (!hsm_token_revive(token, err)) {
            return false;
        }
        unsigned epoch = hsm_token_sessions_epoch(token);
        CK_RV rv = take_or_open(token, read_write, session);
        if (rv == CKR_OK) {
            return true;
        }
        if (attempt > 0 || !hsm_token_note(token, epoch, rv)) {
            return open_failed(token, rv, err);
        }
    }
}

void hsm_session_give(struct hsm_session *session)
{
    bool done = false;

    if (!session->held) {
        return;
    }
    struct hsm_token *token = session->token;
    struct hsm_session_pool *pool = &token->pools[session->read_write ? 1 : 0];
    pthread_mutex_lock(&token->lock);
    if (session->epoch != token->sessions_epoch) {
        done = true; /* it is gone already, and its handle may be another one's */
    } else if (pool->count < HSM_SESSIONS_KEPT && token->open_sessions <= limit_of(token)) {
        pool->idle[pool->count++] = session->handle;
        done = true;
        if (token->waiting > 0) {
            (void)pthread_cond_signal(&token->session_free);
        }
    }
    pthread_mutex_unlock(&token->lock);
    if (done) {
        session->held = false;
    } else {
        hsm_session_drop(session);
    }
}

void hsm_session_drop(struct hsm_session *session)
{
    if (!session->held) {
        return;
    }
    struct hsm_token *token = session->token;
    session->held = false;
    pthread_mutex_lock(&token->lock);
    bool is_current = session->epoch == token->sessions_epoch;
    pthread_mutex_unlock(&token->lock);
    if (!is_current) {
        return;
    }
    (void)ck_close_session(hsm_session_cryptoki(session), session->handle);
    pthread_mutex_lock(&token->lock);
    if (session->epoch == token->sessions_epoch) {
        one_less(token);
    }
    pthread_mutex_unlock(&token->lock);
}

void hsm_session_replace(struct hsm_session *session)
{
    struct hsm_token *token = session->token;
    struct hsm_session other = HSM_SESSION_INIT;
    struct err ignored = ERR_INIT;

    if (!session->held) {
        return;
    }
    pthread_mutex_lock(&token->lock);
    bool is_last = token->logged_in && token->open_sessions == 1;
    pthread_mutex_unlock(&token->lock);
    if (is_last && hsm_session_take_fresh(token, false, &other, &ignored)) {
        hsm_session_give(&other);
    }
    hsm_session_drop(session);
}

void hsm_token_forget(struct hsm_token *token, bool objects)
{
    pthread_mutex_lock(&token->lock);
    token->pools[0].count = 0;
    token->pools[1].count = 0;
    token->open_sessions = 0;
    token->anchor = 0;
    token->logged_in = false;
    token->sessions_epoch++;
    token->objects_epoch += objects ? 1 : 0;
    (void)pthread_cond_broadcast(&token->session_free);
    pthread_mutex_unlock(&token->lock);
}

void hsm_token_refuse_copies(struct hsm_token *token, bool refuse)
{
    pthread_mutex_lock(&token->lock);
    token->copies_unwanted = refuse;
    pthread_mutex_unlock(&token->lock);
}

void hsm_token_limit_sessions(struct hsm_token *token, unsigned most)
{
    pthread_mutex_lock(&token->lock);
    token->session_limit = most;
    pthread_mutex_unlock(&token->lock);
}

/* Whether the token's own flags allow a PIN to be sent at all. `deliberate`: somebody is there, or
 * named the PIN for this one command. */
static bool may_try(const struct hsm_token *token, bool deliberate, struct err *err)
{
    const struct hsm_token_info *info = &token->info;

    if (atomic_load(token->pin_refused)) {
        return err_set(err, E_PIN_WRONG,
                       "the PIN of %s was wrong before in this process and is "
                       "not sent again",
                       hsm_token_name(info));
    }
    if (info->user_pin_locked) {
        return err_set(err, E_PIN_LOCKED,
                       "the user PIN of %s is locked; its security officer can "
                       "set a new one",
                       hsm_token_name(info));
    }
    if (info->user_pin_final) {
        return err_set(err, E_PIN_LOCKED,
                       "%s has one try left for its user PIN, and that one is "
                       "not used up here; log in once with the token's own tool, which resets the "
                       "counter",
                       hsm_token_name(info));
    }
    if (info->user_pin_low && !deliberate && !info->pin_pad) {
        return err_set(err, E_PIN_LOCKED,
                       "a wrong PIN was sent to %s before, so none is sent unattended: check the "
                       "PIN, then log in once by hand, which resets the counter "
                       "('p11enroll key list --pin-source prompt')",
                       hsm_token_name(info));
    }
    if (!info->user_pin_set && !info->pin_pad) {
        return err_set(err, E_PIN_NEEDED,
                       "%s has no user PIN yet; its security officer has to set "
                       "one",
                       hsm_token_name(info));
    }
    return true;
}

/* Whether C_Login never reached the token: by its code, or because nothing is there that answers.
 */
static bool was_not_sent(struct hsm_token *token, CK_RV rv)
{
    bool is_gone = hsm_token_note(token, hsm_token_sessions_epoch(token), rv);

    return rv == CKR_SESSION_HANDLE_INVALID || rv == CKR_SESSION_CLOSED ||
           rv == CKR_CRYPTOKI_NOT_INITIALIZED || (rv == CKR_DEVICE_ERROR && is_gone);
}

static void kept_secret_forget(struct hsm_token *token)
{
    pthread_mutex_lock(&token->lock);
    kept_secret_done(&token->kept_pin);
    pthread_mutex_unlock(&token->lock);
}

bool hsm_login_failed(struct hsm_token *token, CK_RV rv, struct err *err)
{
    const char *name = hsm_token_name(&token->info);

    if (rv == CKR_PIN_INCORRECT || rv == CKR_PIN_INVALID || rv == CKR_PIN_LEN_RANGE) {
        atomic_store(token->pin_refused, true);
        kept_secret_forget(token);
        return err_set_native(err, E_PIN_WRONG, (unsigned long)rv,
                              "%s: C_Login: the PIN is wrong (%s)", name, ckr_name(rv));
    }
    if (rv == CKR_PIN_LOCKED) {
        return err_set_native(err, E_PIN_LOCKED, (unsigned long)rv,
                              "%s: C_Login: the user PIN is locked (%s); its security officer can "
                              "set a new one",
                              name, ckr_name(rv));
    }
    /* Some modules hide a wrong PIN behind another code, so this counts as a used try as well. */
    if (!was_not_sent(token, rv)) {
        atomic_store(token->pin_refused, true);
        kept_secret_forget(token);
    }
    (void)ckr_set(err, rv, "C_Login");
    return err_wrap(err, "%s", name);
}

/* The lock is held. The session stays open in the pool, and with it the login. */
static bool send_pin(struct hsm_token *token, const struct secret *pin, bool keep, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;

    /* Not hsm_session_take(): that may want the module's lock, which is held. */
    CK_RV rv = take_or_open(token, false, &session);
    if (rv != CKR_OK) {
        return open_failed(token, rv, err);
    }
    const uint8_t *bytes = token->info.pin_pad ? NULL : pin->data;
    size_t len = token->info.pin_pad ? 0 : pin->len;
    rv = ck_login(hsm_session_cryptoki(&session), session.handle, CKU_USER, bytes, len);
    if (rv != CKR_OK && rv != CKR_USER_ALREADY_LOGGED_IN) {
        return hsm_login_failed(token, rv, err);
    }
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

/* Whether the token may be sent a PIN; with its lock held, or before that is taken. */
static bool check_flags(struct hsm_token *token, const struct hsm_pin *pin, struct err *err)
{
    bool deliberate = pin != NULL && (pin->interactive || pin->deliberate);

    return hsm_token_refresh(token, err) && may_try(token, deliberate, err);
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
    if (!check_flags(token, pin, err)) {
        return false;
    }
    if (!token->info.login_required) {
        return true;
    }
    if (!token->info.pin_pad && !secret_is_set(&bytes) && !get_pin(token, pin, &bytes, err)) {
        return false;
    }
    return send_pin(token, &bytes, pin != NULL && pin->keep, err);
}

bool hsm_login(struct hsm_token *token, const struct hsm_pin *pin, struct err *err)
{
    if (!hsm_token_revive(token, err)) { /* which may find that the login is over */
        return false;
    }
    return is_logged_in(token) || login_now(token, pin, err);
}
