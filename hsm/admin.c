#include "hsm/admin.h"

#include "base/log.h"
#include "base/str.h"
#include "hsm/admin_slot.h"
#include "hsm/ckr.h"
#include "hsm/identity.h"
#include "hsm/init_memory.h"
#include "hsm/module_impl.h"
#include "hsm/pin_memory.h"
#include "hsm/role.h"
#include "hsm/session.h"

#include <stdlib.h>
#include <string.h>

/* The one token to initialise: named by the URI, or the first that is blank. */
static bool choose_blank(struct hsm_module *module, const struct hsm_uri *uri, bool erase,
                         struct hsm_token **out, struct err *err)
{
    struct hsm_token *chosen = NULL;
    unsigned count = 0;

    for (struct hsm_token *t = module->tokens; t != NULL; t = t->next) {
        if (!t->present || !hsm_token_info_matches(&t->info, uri) ||
            (!hsm_uri_names_token(uri) && t->info.initialized)) {
            continue;
        }
        /* Of several blank slots any will do; of several named tokens, none. */
        if (chosen == NULL || t->info.slot_id < chosen->info.slot_id) {
            chosen = t;
        }
        count++;
    }
    if (chosen == NULL) {
        if (hsm_uri_names_token(uri)) {
            (void)hsm_none_matches(module, uri, err);
            return false;
        }
        return err_set(err, E_TOKEN_MISSING,
                       "%s has no token that is not initialised yet; to erase one, name it with "
                       "token= or serial=",
                       module->path);
    }
    if (hsm_uri_names_token(uri) && count > 1) {
        (void)hsm_several_match(module, uri, err);
        return false;
    }
    if (chosen->info.initialized && !erase) {
        return err_set(err, E_OBJECT_EXISTS,
                       "%s is initialised already; initialising destroys all its keys and needs "
                       "--erase",
                       hsm_token_name(&chosen->info));
    }
    *out = chosen;
    return true;
}

static bool label_is_free(const struct hsm_module *module, const char *label,
                          const struct hsm_token *except, struct err *err)
{
    for (const struct hsm_token *t = module->tokens; t != NULL; t = t->next) {
        if (t != except && t->present && t->info.initialized && str_equal(t->info.label, label)) {
            return err_set(err, E_OBJECT_EXISTS,
                           "%s exists already; two tokens with one label "
                           "could not be told apart",
                           hsm_token_name(&t->info));
        }
    }
    return true;
}

/* A label that the token would give back in another form could not be found again. */
static bool check_label(const char *label, struct err *err)
{
    size_t len = strlen(label);

    if (len == 0 || len > 32) {
        return err_set(err, E_USAGE, "a token label has 1 to 32 bytes");
    }
    if (label[len - 1] == ' ' || !str_is_utf8((const uint8_t *)label, len)) {
        return err_set(err, E_USAGE, "a token label is UTF-8 text that does not end with a blank");
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)label[i] < 0x20 || label[i] == 0x7f) {
            return err_set(err, E_USAGE, "a token label has no control characters");
        }
    }
    return true;
}

static bool check_pins(const struct hsm_token *token, const struct hsm_token_init *init,
                       struct err *err)
{
    return hsm_pin_check_length(token, init->so_pin, true, err) &&
           hsm_pin_check_length(token, init->user_pin, false, err);
}

/* A blank token gets its SO PIN now; on any other it may be wrong, which counts. */
static bool begin_so(const struct hsm_token *token, const struct hsm_pin *so,
                     struct hsm_pin_try *attempt, struct err *err)
{
    *attempt = (struct hsm_pin_try){.noted = false};
    return !token->info.initialized || (hsm_pin_memory_allows(&token->info, CKU_SO, so, err) &&
                                        hsm_pin_try_begin(&token->info, CKU_SO, so, attempt, err));
}

static void end_so(const struct hsm_token *token, const struct hsm_pin *so,
                   const struct hsm_pin_try *attempt, CK_RV rv)
{
    if (token->info.initialized) {
        hsm_pin_try_end(&token->info, CKU_SO, so, attempt, rv, hsm_pin_was_burnt(rv));
    }
}

/* What is to be erased must be the token that the section was used with. A blank one loses nothing.
 */
static bool is_the_sections(const struct hsm_token *token, const struct hsm_token_init *init,
                            struct err *err)
{
    bool known = false;

    return init->section == NULL || !token->info.initialized ||
           hsm_identity_check(init->section, &token->info, &known, err);
}

/*
 * What an earlier run initialised and did not end with: it has the label, and is what the URI means
 * or meant. NULL: there is none. *done: it has its user PIN, so that run did everything but say so;
 * a token that the URI means as it is now is to be erased again, then.
 */
static struct hsm_token *half_made(struct hsm_module *module, const struct hsm_uri *uri,
                                   const struct hsm_token_init *init,
                                   const struct hsm_unfinished_init *earlier, bool *done)
{
    const struct hsm_token_info *before = &earlier->before;
    bool named = hsm_uri_names_token(uri);

    for (struct hsm_token *t = module->tokens; earlier->known && t != NULL; t = t->next) {
        if (!t->present || !t->info.initialized || !str_equal(t->info.label, init->label) ||
            !str_equal(t->info.model, before->model) ||
            !str_equal(t->info.manufacturer, before->manufacturer)) {
            continue;
        }
        bool was_meant = named && hsm_token_info_matches(before, uri);
        bool is_meant = named && hsm_token_info_matches(&t->info, uri);
        *done = t->info.user_pin_set;
        if (*done ? (named ? was_meant && !is_meant : !init->erase)
                  : (!named || was_meant || is_meant)) {
            return t;
        }
    }
    return NULL;
}

static struct hsm_pin so_pin_of(const struct hsm_token_init *init)
{
    return (struct hsm_pin){
        .deliberate = true, .again = init->try_again, .source = init->so_source};
}

/* The security officer sets the first user PIN. *so is what came of his own: CKR_OK as well where
 * it was not sent. */
static bool set_user_pin(struct hsm_admin_slot *slot, const struct hsm_token_init *init, CK_RV *so,
                         struct err *err)
{
    *so = CKR_OK;
    if (!hsm_admin_begin(slot, err)) {
        return false;
    }
    if (!hsm_admin_login(slot, CKU_SO, init->so_pin, err)) {
        *so = (CK_RV)err->native;
        return false;
    }
    return hsm_admin_init_pin(slot, init->user_pin, err);
}

/* What is left to do of an initialisation that was interrupted. */
static bool finish(struct hsm_token *token, const struct hsm_token_init *init, struct err *err)
{
    AUTO(hsm_admin_slot) struct hsm_admin_slot slot = {.module = NULL};
    struct hsm_pin so = so_pin_of(init);
    struct hsm_pin_try attempt;

    if (!hsm_so_may_try(&token->info, err) || !check_pins(token, init, err) ||
        !hsm_admin_open(token, &slot, err) || !begin_so(token, &so, &attempt, err)) {
        return false;
    }
    CK_RV login = CKR_OK;
    bool ok = set_user_pin(&slot, init, &login, err);
    end_so(token, &so, &attempt, login);
    return ok || err_wrap(err,
                          "token '%s' was initialised by an earlier run that ended before its user "
                          "PIN was set, and still has none (run the same command again)",
                          init->label);
}

/* The token is another one now, for whoever remembers it. */
static void remember_new(struct hsm_module *module, const struct hsm_token_init *init)
{
    struct err err = ERR_INIT;

    if (!hsm_module_read_slots(module, &err)) {
        log_line(LOG_DEBUG, "hsm", "%s", err.msg);
        return;
    }
    for (const struct hsm_token *t = module->tokens; t != NULL; t = t->next) {
        if (t->present && t->info.initialized && str_equal(t->info.label, init->label) &&
            init->section != NULL && !hsm_identity_remember(init->section, &t->info, &err)) {
            log_line(LOG_WARN, "hsm", "%s is not remembered: %s", hsm_token_name(&t->info),
                     err.msg);
        }
    }
}

static bool init_token(struct hsm_token *token, struct hsm_admin_slot *slot,
                       const struct hsm_token_init *init, struct err *err)
{
    struct hsm_pin so = so_pin_of(init);
    struct hsm_pin_try attempt;

    if (!begin_so(token, &so, &attempt, err)) {
        return false;
    }
    hsm_init_memory_begin(init->label, &token->info);
    if (!hsm_admin_init_token(slot, init->so_pin, init->label, err)) {
        end_so(token, &so, &attempt, (CK_RV)err->native);
        if (err->code == E_PIN_WRONG || err->code == E_PIN_LOCKED) {
            hsm_init_memory_end(init->label);
        }
        return err_wrap(err, "initialising the token in slot %lu of %s",
                        (unsigned long)token->info.slot_id, token->module->path);
    }
    hsm_pin_memory_forget(&token->info, CKU_SO); /* all PINs are new now */
    hsm_pin_memory_forget(&token->info, CKU_USER);
    return true;
}

static bool begin_anew(struct hsm_module *module, const struct hsm_uri *uri,
                       const struct hsm_token_init *init, struct err *err)
{
    AUTO(hsm_admin_slot) struct hsm_admin_slot slot = {.module = NULL};
    struct hsm_token *token = NULL;

    if (!choose_blank(module, uri, init->erase, &token, err) ||
        !is_the_sections(token, init, err) || !label_is_free(module, init->label, token, err) ||
        !hsm_so_may_try(&token->info, err) || !check_pins(token, init, err) ||
        !hsm_admin_open(token, &slot, err) || !init_token(token, &slot, init, err)) {
        return false;
    }
    CK_RV login = CKR_OK;
    remember_new(module, init);
    if (!set_user_pin(&slot, init, &login, err)) {
        err->code = E_TOKEN;
        return err_wrap(err,
                        "token '%s' is initialised now and has no user PIN (run the same command "
                        "again: it sets the PIN, and erases nothing)",
                        init->label);
    }
    return true;
}

static bool initialise_locked(struct hsm_module *module, const struct hsm_uri *uri,
                              const struct hsm_token_init *init, int64_t *earlier_s,
                              struct err *err)
{
    struct hsm_unfinished_init earlier;
    bool done = false;

    *earlier_s = 0;
    if (!hsm_module_read_slots(module, err) || !hsm_init_memory_read(init->label, &earlier, err)) {
        return false;
    }
    struct hsm_token *half = half_made(module, uri, init, &earlier, &done);
    if (half == NULL) {
        return begin_anew(module, uri, init, err);
    }
    *earlier_s = earlier.when_s;
    return done || finish(half, init, err);
}

/* Here nobody has a session yet. */
static void forget_tokens(struct hsm_module *module)
{
    for (struct hsm_token *t = module->tokens; t != NULL; t = t->next) {
        t->present = false;
    }
}

bool hsm_token_initialise(const struct hsm_target *target, const struct hsm_token_init *init,
                          struct hsm_token **out, int64_t *earlier_s, struct err *err)
{
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    AUTO(hsm_uri) struct hsm_uri made = {0};
    struct hsm_module *module = NULL;

    if (!check_label(init->label, err)) {
        return false;
    }
    if (!hsm_target_module(target, &module, err) || !hsm_module_lock(module, &lock, err)) {
        return false;
    }
    pthread_mutex_lock(&module->lock);
    bool ok = initialise_locked(module, target->uri, init, earlier_s, err);
    forget_tokens(module);
    pthread_mutex_unlock(&module->lock);
    hsm_lock_release(&lock);
    if (!ok || !hsm_module_restart(module, err)) {
        return false;
    }
    made.token = str_dup(init->label);
    if (made.token == NULL) {
        return err_nomem(err);
    }
    if (!hsm_token_find(module, &made, out, err)) {
        return false;
    }
    hsm_init_memory_end(init->label);
    return true;
}
