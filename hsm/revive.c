#include "hsm/revive.h"

#include "base/clock.h"
#include "base/log.h"
#include "hsm/ckr.h"
#include "hsm/module_impl.h"
#include "hsm/session.h"

/* How long calls of other threads may take to end before a module is started again. */
enum { QUIET_WAIT_MS = 5000 };

static void forget_all(struct hsm_module *module)
{
    for (struct hsm_token *t = module->tokens; t != NULL; t = t->next) {
        hsm_token_forget(t, true);
        atomic_store(&t->suspect, true);
    }
}

/* Whether the token answers as itself. */
static CK_RV ask(const struct hsm_token *token)
{
    CK_TOKEN_INFO info;
    CK_RV rv = ck_get_token_info(&token->module->ck, token->info.slot_id, &info);

    return rv == CKR_OK && !hsm_token_is(token, &info) ? CKR_TOKEN_NOT_PRESENT : rv;
}

/*
 * The module of a forked child. One that says "already initialised" carried its state over the
 * fork, and our parent's login with it; objects keep their handles then. Sessions do not: parent
 * and child must not share them.
 */
static bool revive_child(struct hsm_module *module, bool locked, struct err *err)
{
    unsigned forks = hsm_forks();
    bool was_ours = module->ours;

    if (!hsm_module_start_again(module, false, err)) {
        return false;
    }
    module->inherited = !module->ours;
    log_line(LOG_DEBUG, "hsm", "module %s in a forked child: %s%s", module->path,
             module->ours ? "initialised anew"
             : was_ours   ? "inherited"
                          : "not ours",
             locked ? "" : ", without the lock");
    for (struct hsm_token *t = module->tokens; t != NULL; t = t->next) {
        bool logged_in = t->logged_in && module->inherited;
        hsm_token_forget(t, !module->inherited);
        t->logged_in = logged_in;
        atomic_store(&t->suspect, !module->inherited);
    }
    atomic_store(&module->forks, forks); /* only now may others take it for usable */
    return true;
}

static bool wait_until_quiet(struct hsm_module *module)
{
    struct clock clock = clock_system(NULL);

    for (int waited = 0; waited < QUIET_WAIT_MS; waited++) {
        if (atomic_load(&module->in_flight) == 0) {
            return true;
        }
        (void)clock_sleep_ms(&clock, 1);
    }
    return false;
}

static bool start_again(struct hsm_module *module, bool finalise, struct err *err)
{
    atomic_store(&module->closed, true); /* from here on nobody enters */
    bool ok = wait_until_quiet(module)
                  ? hsm_module_start_again(module, finalise, err)
                  : err_set(err, E_TOKEN,
                            "PKCS#11 module %s lost its token, and calls of other threads do not "
                            "return from it",
                            module->path);
    atomic_store(&module->closed, false);
    return ok;
}

static bool revive_lost(struct hsm_token *token, struct err *err)
{
    struct hsm_module *module = token->module;
    CK_RV rv = ask(token);

    if (rv == CKR_OK) {
        return true; /* it was somebody else who brought it back */
    }
    if (rv != CKR_CRYPTOKI_NOT_INITIALIZED && !module->ours) {
        (void)ckr_set(err, rv, "C_GetTokenInfo");
        return err_wrap(err,
                        "%s is gone, and its module %s was initialised by another part of this "
                        "program (or by its parent), which alone may end it and start it again",
                        hsm_token_name(&token->info), module->path);
    }
    return start_again(module, module->ours && rv != CKR_CRYPTOKI_NOT_INITIALIZED, err);
}

static bool is_usable(const struct hsm_token *token)
{
    const struct hsm_module *module = token->module;

    return atomic_load(&module->forks) == hsm_forks() && !atomic_load(&module->lost) &&
           !atomic_load(&token->suspect);
}

/* The token may be in its old slot, or in another one; or another token is there now. */
static bool find_slot(struct hsm_token *token, struct err *err)
{
    if (ask(token) != CKR_OK) {
        if (!hsm_module_read_slots(token->module, err)) {
            return false;
        }
        if (!token->present || ask(token) != CKR_OK) {
            return err_set(err, E_TOKEN_MISSING, "%s is not there any more",
                           hsm_token_name(&token->info));
        }
    }
    atomic_store(&token->suspect, false);
    return true;
}

/* A module behind which nothing answers any more. */
static bool is_dead(const struct hsm_token *token)
{
    CK_RV rv = ask(token);

    return rv == CKR_DEVICE_ERROR || rv == CKR_CRYPTOKI_NOT_INITIALIZED;
}

static bool revive_locked(struct hsm_token *token, bool locked, struct err *err)
{
    struct hsm_module *module = token->module;

    if (hsm_process_is_ending()) {
        return err_set(err, E_MODULE, "this process is already ending");
    }
    if (atomic_load(&module->forks) != hsm_forks() && !revive_child(module, locked, err)) {
        return false;
    }
    if (atomic_load(&token->suspect) && is_dead(token)) {
        atomic_store(&module->lost, true);
    }
    if (!atomic_load(&module->lost)) {
        return !atomic_load(&token->suspect) || find_slot(token, err);
    }
    if (!revive_lost(token, err)) {
        return false;
    }
    forget_all(module);
    /* Without its server some modules start, too, and show nothing: that is no success. */
    if (!find_slot(token, err)) {
        return false;
    }
    atomic_store(&module->lost, false);
    log_line(LOG_DEBUG, "hsm", "module %s was started again", module->path);
    return true;
}

/* The module's lock comes before its mutex, here as everywhere. */
bool hsm_token_revive(struct hsm_token *token, struct err *err)
{
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    struct hsm_module *module = token->module;
    struct err ignored = ERR_INIT;

    if (is_usable(token)) {
        return true;
    }
    /* A worker that gave up its rights may not reach the lock: then it goes without. */
    bool is_child = atomic_load(&module->forks) != hsm_forks();
    bool locked = hsm_module_lock(module, &lock, is_child ? &ignored : err);
    if (!locked && !is_child) {
        return false;
    }
    pthread_mutex_lock(&module->lock);
    bool ok = is_usable(token) || revive_locked(token, locked, err);
    pthread_mutex_unlock(&module->lock);
    return ok;
}

bool hsm_token_is_live(const struct hsm_token *token)
{
    return is_usable(token);
}

bool hsm_token_has_changed(struct hsm_token *token, unsigned epoch)
{
    return !is_usable(token) || epoch != hsm_token_sessions_epoch(token);
}

unsigned hsm_token_objects_epoch(const struct hsm_token *token)
{
    return atomic_load(&token->objects_epoch);
}

unsigned hsm_token_sessions_epoch(const struct hsm_token *token)
{
    return atomic_load(&token->sessions_epoch);
}

/* Private objects lose their handles with the login. */
static void note_logout(struct hsm_token *token)
{
    pthread_mutex_lock(&token->lock);
    token->logged_in = false;
    token->objects_epoch++;
    pthread_mutex_unlock(&token->lock);
}

bool hsm_token_note(struct hsm_token *token, unsigned epoch, CK_RV rv)
{
    if (epoch != hsm_token_sessions_epoch(token)) {
        return true;
    }
    switch (rv) {
    case CKR_OBJECT_HANDLE_INVALID:
    case CKR_KEY_HANDLE_INVALID:
        return true; /* that one handle; whoever has it looks for the object again */
    case CKR_USER_NOT_LOGGED_IN:
        atomic_store(&token->ended_by, rv);
        note_logout(token);
        return true;
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_SESSION_CLOSED:
        atomic_store(&token->ended_by, rv);
        if (token->module->ours) {
            hsm_token_abandon_sessions(token);
        } else {
            hsm_token_forget(token, true);
        }
        atomic_store(&token->suspect, true);
        return true;
    case CKR_DEVICE_REMOVED:
    case CKR_TOKEN_NOT_PRESENT:
        /* Objects as well: whoever ended the sessions may have numbered everything anew. */
        atomic_store(&token->ended_by, rv);
        hsm_token_forget(token, true);
        atomic_store(&token->suspect, true);
        return true;
    case CKR_CRYPTOKI_NOT_INITIALIZED:
        atomic_store(&token->module->lost, true);
        return true;
    case CKR_DEVICE_ERROR:
        /* A server that is dead answers nothing at all; a token with one failure goes on. */
        if (ask(token) == CKR_OK) {
            return false;
        }
        atomic_store(&token->module->lost, true);
        return true;
    default:
        return false;
    }
}
