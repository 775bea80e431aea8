/*
 * Sessions and login.
 *
 * A session belongs to one caller between take and give; the pool keeps idle ones, and whoever
 * finds the token's sessions all in use waits a while for one. Login state is the token's, for all
 * sessions of the process: one login per command. A PIN is sent at most once if it is wrong, and
 * never when the token says that one try is left.
 */
#ifndef HSM_SESSION_H
#define HSM_SESSION_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"
#include "hsm/slot.h"

#include <stdbool.h>

struct hsm_session {
    struct hsm_token *token;
    CK_SESSION_HANDLE handle;
    unsigned epoch; /* the token's, when it was opened */
    bool read_write;
    bool held;
};

#define HSM_SESSION_INIT                                                                           \
    {                                                                                              \
        .held = false                                                                              \
    }

/* Takes an idle session or opens one; a module that has to be started again is (hsm/revive.h).
 * Where all sessions that the token gives are in use, waits up to ten seconds. E_TOKEN, with
 * C_OpenSession's code (CKR_SESSION_COUNT: all in use). */
bool hsm_session_take(struct hsm_token *token, bool read_write, struct hsm_session *session,
                      struct err *err) NODISCARD;

/* Opens a session that was not used before: a read-back must not be answered from what a session
 * remembers. */
bool hsm_session_take_fresh(struct hsm_token *token, bool read_write, struct hsm_session *session,
                            struct err *err) NODISCARD;

/* Gives it back to the pool. */
void hsm_session_give(struct hsm_session *session);

/* Closes it: after an error that says that it is gone. The last one takes the login along. */
void hsm_session_drop(struct hsm_session *session);

/* Closes it after an error that may have left an operation active in it. If it is the last one,
 * another is opened first, so that the login, and with it every handle of a private key, stays. */
void hsm_session_replace(struct hsm_session *session);

/* Whether the token says that the login of this process is over, or has become another's: some end
 * it over a call that fails, or call a handle invalid that it took along. One call; false if the
 * token does not say. */
bool hsm_session_has_lost_login(const struct hsm_session *session);

static inline CK_SESSION_HANDLE hsm_session_handle(const struct hsm_session *session)
{
    return session->handle;
}

const struct cryptoki *hsm_session_cryptoki(const struct hsm_session *session);

/*
 * Gets the PIN for a token: fills `pin`, or returns false with err set (E_PIN_NEEDED: there is
 * none). It is called at most once per login, only when the token may be tried, and not at all for
 * a token with a PIN pad.
 */
typedef bool hsm_pin_fn(void *ctx, const struct hsm_token_info *token, struct secret *pin,
                        struct err *err);

struct hsm_pin {
    hsm_pin_fn *get; /* NULL: there is no PIN */
    void *ctx;
    bool interactive; /* a person will be asked: the lock is not held meanwhile */
    bool deliberate;  /* named for this very command: it may be tried after a wrong one */
    bool again;       /* somebody said that it is to be tried again, whatever became of the last */
    const char *source; /* where it comes from, for messages and the memory; NULL: not known */
    bool keep; /* keep it in memory after it was right: for a login after a restart or fork */
};

/*
 * Logs the user in, once per process and token; a second call finds that done. Holds the module's
 * lock during C_Login. The PIN is wiped before this returns. E_PIN_WRONG (sent once, and refused
 * from then on in this process), E_PIN_LOCKED (locked, or one try left, or the last PIN was wrong,
 * in whichever process (hsm/pin_memory.h), and nobody is there), E_PIN_NEEDED, E_TOKEN_BUSY, E_IO,
 * E_TOKEN.
 */
bool hsm_login(struct hsm_token *token, const struct hsm_pin *pin, struct err *err) NODISCARD;

/* The PIN for one more login, under the same rules: the token's flags first, an empty PIN never. */
bool hsm_pin_for(struct hsm_token *token, const struct hsm_pin *pin, struct secret *out,
                 struct err *err) NODISCARD;

struct hsm_pin_try;

/* Says what a refused login means, and remembers that the PIN was wrong. `attempt` (may be NULL) is
 * what hsm_pin_try_begin() noted before. Returns false. */
bool hsm_login_failed(struct hsm_token *token, CK_RV rv, const struct hsm_pin *pin,
                      const struct hsm_pin_try *attempt, struct err *err);

/* Whether the user PIN may be sent, by the token's flags (as last read) and by the memory of the
 * last one. */
bool hsm_pin_may_send(struct hsm_token *token, const struct hsm_pin *pin,
                      struct err *err) NODISCARD;

/* Whether a login that was answered so may have cost a try: everything but the codes that speak of
 * the way to the token. */
bool hsm_pin_was_burnt(CK_RV rv);

/* Whether somebody types the PIN or named it for this very command. */
bool hsm_pin_is_meant(const struct hsm_pin *pin);

/* Adds what a refused login of that role means, where it is not about the PIN: who or what stands
 * in the way, and that no try was used up. */
void hsm_login_explain(CK_RV rv, CK_USER_TYPE user, struct err *err);

/* Who can help with a locked user PIN, as the end of a sentence. */
const char *hsm_pin_unlock_advice(const struct hsm_token *token);

/* Forgets sessions and login, which are gone, and with `objects` the handles of objects as well;
 * the next use starts anew. Nothing is closed. */
void hsm_token_forget(struct hsm_token *token, bool objects);

/* As hsm_token_forget() with objects, after one of the sessions was found to be gone: those that
 * are idle are closed, because the token may still have them, and gives only so many. For a module
 * that is ours: of others, a number may have become somebody else's session. */
void hsm_token_abandon_sessions(struct hsm_token *token);

/* Whether keys of this token are never copied into session objects (hsm/op.h). */
void hsm_token_refuse_copies(struct hsm_token *token, bool refuse);

/* At most that many sessions at a time from now on; 0: as many as the token gives, within
 * HSM_SESSIONS_LIMIT. */
void hsm_token_limit_sessions(struct hsm_token *token, unsigned most);

DEFINE_AUTO_DONE(hsm_session, struct hsm_session, hsm_session_give)

#endif
