#include "hsm/revive.h"

#include "base/clock.h"
#include "base/log.h"
#include "hsm/ckr.h"
#include "hsm/module_impl.h"
#include "hsm/session.h"

#include <string.h>
#include <unistd.h>

/* How long calls of other threads may take to end before a module is started again. */
enum { QUIET_WAIT_MS = 5000 };

static void forget_all(struct hsm_module *module)
{
    for (struct hsm_token *t = module->tokens; t != NULL; t = t->next) {
        hsm_token_forget(t, true);
    }
}

/* Whether the token answers as itself. */
static CK_RV ask(const struct hsm_token *token)
{
    CK_TOKEN_INFO info;
    CK_RV rv = ck_get_token_info(&token->module->ck, token->info.slot_id, &info);
    size_t len = strlen(token->info.serial);

    if (rv == CKR_OK && memcmp(info.serialNumber, token->info.serial, len) != 0) {
        return CKR_TOKEN_NOT_PRESENT; /* another one in its slot */
    }
    return rv;
}

/*
 * The module of a forked child. One that says "already initialised" carried its state over the
 * fork, and our parent's login with it; objects keep their handles then. Sessions do not: parent
 * and child must not share them.
 */
static bool revive_child(struct hsm_module *module, struct err *err)
{
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    struct err ignored = ERR_INIT;
    bool was_ours = module->ours;

    /* A worker that gave up its rights may not reach the lock: then it goes without. */
    bool locked = hsm_module_lock(module, &lock, &ignored);
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
    }
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

/* The token may be in its old place; else the slots are read again. */
static bool find_slot(const struct hsm_token *token, struct err *err)
{
    return ask(token) == CKR_OK || hsm_module_read_slots(token->module, err);
}

static bool start_again(struct hsm_token *token, bool finalise, struct err *err)
{
    struct hsm_module *module = token->module;
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;

    if (!hsm_module_lock(module, &lock, err)) {
        return false;
    }
    atomic_store(&module->closed, true); /* from here on nobody enters */
    bool ok = wait_until_quiet(module)
                  ? hsm_module_start_again(module, finalise, err)
                  : err_set(err, E_TOKEN,
                            "PKCS#11 module %s lost its token, and calls of other threads do not "
                            "return from it",
                            module->path);
    atomic_store(&module->closed, false);
    return ok && find_slot(token, err);
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
    return start_again(token, module->ours && rv != CKR_CRYPTOKI_NOT_INITIALIZED, err);
}

static bool is_usable(const struct hsm_module *module)
{
    return module->forks == hsm_forks() && !atomic_load(&module->lost);
}

static bool revive_locked(struct hsm_token *token, struct err *err)
{
    struct hsm_module *module = token->module;

    if (module->forks != hsm_forks() && (!revive_child(module, err) || !find_slot(token, err))) {
        return false;
    }
    if (!atomic_load(&module->lost)) {
        return true;
    }
    if (!revive_lost(token, err)) {
        return false;
    }
    forget_all(module);
    atomic_store(&module->lost, false);
    log_line(LOG_DEBUG, "hsm", "module %s was started again", module->path);
    return token->present || err_set(err, E_TOKEN_MISSING,
                                     "%s is not there any more after its module %s was started "
                                     "again",
                                     hsm_token_name(&token->info), module->path);
}

bool hsm_token_revive(struct hsm_token *token, struct err *err)
{
    struct hsm_module *module = token->module;

    if (is_usable(module)) {
        return true;
    }
    pthread_mutex_lock(&module->lock);
    bool ok = revive_locked(token, err);
    pthread_mutex_unlock(&module->lock);
    return ok;
}

bool hsm_token_is_live(const struct hsm_token *token)
{
    return is_usable(token->module);
}

bool hsm_token_has_changed(struct hsm_token *token, unsigned epoch)
{
    return !is_usable(token->module) || epoch != hsm_token_sessions_epoch(token);
}

unsigned hsm_token_objects_epoch(struct hsm_token *token)
{
    pthread_mutex_lock(&token->lock);
    unsigned epoch = token->objects_epoch;
    pthread_mutex_unlock(&token->lock);
    return epoch;
}

unsigned hsm_token_sessions_epoch(struct hsm_token *token)
{
    pthread_mutex_lock(&token->lock);
    unsigned epoch = token->sessions_epoch;
    pthread_mutex_unlock(&token->lock);
    return epoch;
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
        note_logout(token);
        return true;
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_SESSION_CLOSED:
        hsm_token_forget(token, false);
        return true;
    case CKR_DEVICE_REMOVED:
    case CKR_TOKEN_NOT_PRESENT:
        hsm_token_forget(token, true);
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
