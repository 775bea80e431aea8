#include "hsm/session.h"

#include "hsm/ckr.h"
#include "hsm/revive.h"
#include "hsm/session_impl.h"

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

bool hsm_session_take_idle(struct hsm_token *token, struct hsm_session *session)
{
    pthread_mutex_lock(&token->lock);
    bool taken = take_idle(token, false, session) || take_idle(token, true, session);
    pthread_mutex_unlock(&token->lock);
    return taken;
}

/* While the security officer is logged in there are read/write sessions alone (PKCS#11 2.40,
 * section 5.6: CKR_SESSION_READ_WRITE_SO_EXISTS). The lock is held. */
static bool is_writing(const struct hsm_token *token, bool read_write)
{
    return read_write || (token->logged_in && token->user == CKU_SO);
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

bool hsm_session_open_failed(struct hsm_token *token, CK_RV rv, struct err *err)
{
    (void)ckr_set(err, rv, "C_OpenSession");
    if (rv == CKR_SESSION_COUNT) {
        (void)err_wrap(err, "all sessions of the token are in use");
    }
    return err_wrap(err, "%s", hsm_token_name(&token->info));
}

static bool drop_number(CK_SESSION_HANDLE *list, size_t *count, CK_SESSION_HANDLE handle)
{
    for (size_t i = 0; i < *count; i++) {
        if (list[i] == handle) {
            list[i] = list[--*count];
            return true;
        }
    }
    return false;
}

/*
 * The module gave out a number: if an idle session of ours has it, too, the module has ended that
 * one without a word (some do after a while), and the number is no longer its own. Who kept it
 * would work in, or close, the new one. The lock is held.
 */
static void forget_number(struct hsm_token *token, CK_SESSION_HANDLE handle)
{
    for (size_t i = 0; i < ARRAY_LEN(token->pools); i++) {
        token->open_sessions -=
            drop_number(token->pools[i].idle, &token->pools[i].count, handle) ? 1 : 0;
    }
    if (token->anchor != 0 && token->anchor == handle) {
        token->anchor = 0;
        token->open_sessions--;
    }
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
        if (epoch == token->sessions_epoch) {
            forget_number(token, handle);
        }
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

CK_RV hsm_session_take_now(struct hsm_token *token, bool read_write, struct hsm_session *session)
{
    struct timespec until;
    CK_RV rv = CKR_OK;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += SESSION_WAIT_S;
    pthread_mutex_lock(&token->lock);
    read_write = is_writing(token, read_write);
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
    read_write = is_writing(token, read_write);
    CK_RV rv = open_locked(token, read_write, session);
    while (rv == CKR_SESSION_COUNT &&
           (close_other_idle(token, read_write) || close_other_idle(token, !read_write))) {
        rv = open_locked(token, read_write, session);
    }
    pthread_mutex_unlock(&token->lock);
    return rv == CKR_OK || hsm_session_open_failed(token, rv, err);
}

bool hsm_session_take(struct hsm_token *token, bool read_write, struct hsm_session *session,
                      struct err *err)
{
    for (int attempt = 0;; attempt++) {
        if (!hsm_token_revive(token, err)) {
            return false;
        }
        unsigned epoch = hsm_token_sessions_epoch(token);
        CK_RV rv = hsm_session_take_now(token, read_write, session);
        if (rv == CKR_OK) {
            return true;
        }
        if (attempt > 0 || !hsm_token_note(token, epoch, rv)) {
            return hsm_session_open_failed(token, rv, err);
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

static bool is_state_of_other(CK_STATE state, CK_USER_TYPE user)
{
    bool is_users = state == CKS_RO_USER_FUNCTIONS || state == CKS_RW_USER_FUNCTIONS;

    return state == CKS_RO_PUBLIC_SESSION || state == CKS_RW_PUBLIC_SESSION ||
           (user == CKU_SO ? is_users : state == CKS_RW_SO_FUNCTIONS);
}

bool hsm_session_has_lost_login(const struct hsm_session *session)
{
    struct hsm_token *token = session->token;
    CK_SESSION_INFO info;

    pthread_mutex_lock(&token->lock);
    bool logged_in = token->logged_in;
    CK_USER_TYPE user = token->user;
    pthread_mutex_unlock(&token->lock);
    return logged_in &&
           ck_get_session_info(hsm_session_cryptoki(session), session->handle, &info) == CKR_OK &&
           is_state_of_other(info.state, user);
}

/* The lock is held. */
static void forget(struct hsm_token *token, bool objects)
{
    token->pools[0].count = 0;
    token->pools[1].count = 0;
    token->open_sessions = 0;
    token->anchor = 0;
    token->logged_in = false;
    token->sessions_epoch++;
    token->objects_epoch += objects ? 1 : 0;
    (void)pthread_cond_broadcast(&token->session_free);
}

void hsm_token_forget(struct hsm_token *token, bool objects)
{
    pthread_mutex_lock(&token->lock);
    forget(token, objects);
    pthread_mutex_unlock(&token->lock);
}

void hsm_token_abandon_sessions(struct hsm_token *token)
{
    const struct cryptoki *ck = hsm_module_cryptoki(token->module);

    pthread_mutex_lock(&token->lock);
    /* Nobody opens one meanwhile, and so none of these numbers becomes another's. */
    for (size_t p = 0; p < ARRAY_LEN(token->pools); p++) {
        for (size_t i = 0; i < token->pools[p].count; i++) {
            (void)ck_close_session(ck, token->pools[p].idle[i]);
        }
    }
    if (token->anchor != 0) {
        (void)ck_close_session(ck, token->anchor);
    }
    forget(token, true);
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
