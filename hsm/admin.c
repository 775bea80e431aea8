#include "hsm/admin.h"

#include "base/str.h"
#include "hsm/ckr.h"
#include "hsm/identity.h"
#include "hsm/module_impl.h"
#include "hsm/pin_memory.h"
#include "hsm/role.h"
#include "hsm/session.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

/* The return value that libp11 left in OpenSSL's queue; CKR_OK if it left none. */
static CK_RV libp11_rv(void)
{
    return (CK_RV)ERR_GET_REASON(ERR_peek_last_error());
}

/* Runs one libp11 call; rc 0 is success. Turns its error into ours. */
#define LIBP11(module, kind, what, err, expression)                                                \
    __extension__({                                                                                \
        struct deadline_call call_;                                                                \
        ERR_set_mark();                                                                            \
        cryptoki_enter(&(module)->ck, (kind), (what), &call_);                                     \
        int rc_ = (expression);                                                                    \
        CK_RV rv_ = rc_ != 0 ? libp11_rv() : CKR_OK;                                               \
        if (rc_ != 0 && rv_ == CKR_OK) {                                                           \
            rv_ = CKR_GENERAL_ERROR;                                                               \
        }                                                                                          \
        cryptoki_leave(&(module)->ck, &call_, rv_);                                                \
        ERR_pop_to_mark();                                                                         \
        rc_ == 0 || ckr_set((err), rv_, (what));                                                   \
    })

/* Frees libp11's list, and with it the PINs that it keeps. That closes every session on those
 * slots, also other people's, so: only while nobody has one. */
static void release_slots(struct hsm_module *module)
{
    if (module->slots != NULL) {
        ERR_set_mark();
        PKCS11_release_all_slots(module->libp11, module->slots, module->slot_count);
        ERR_pop_to_mark();
    }
    module->slots = NULL;
    module->slot_count = 0;
}

/*
 * libp11's slot of a token, in a new list each time: PKCS11_update_slots(), which would reuse the
 * old one, crashes in every call of libp11 0.4.12 (Debian 12). It lists all slots or none, so here
 * one that cannot be read stands in the way of the others.
 */
static bool find_slot(struct hsm_module *module, CK_SLOT_ID id, PKCS11_SLOT **out, struct err *err)
{
    release_slots(module);
    if (!LIBP11(module, CALL_INIT, "libp11 slot list", err,
                PKCS11_enumerate_slots(module->libp11, &module->slots, &module->slot_count))) {
        module->slots = NULL;
        return err_wrap(err, "PKCS#11 module %s", module->path);
    }
    for (unsigned i = 0; i < module->slot_count; i++) {
        if (PKCS11_get_slotid_from_slot(&module->slots[i]) == id &&
            module->slots[i].token != NULL) {
            *out = &module->slots[i];
            return true;
        }
    }
    return err_set(err, E_TOKEN_MISSING, "the token in slot %lu of %s is gone", (unsigned long)id,
                   module->path);
}

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

static bool check_pin_length(const CK_TOKEN_INFO *info, const struct secret *pin, const char *whose,
                             struct err *err)
{
    bool has_max = info->ulMaxPinLen != 0 && info->ulMaxPinLen != CK_UNAVAILABLE_INFORMATION;
    bool has_min = info->ulMinPinLen != CK_UNAVAILABLE_INFORMATION;

    if ((has_min && pin->len < info->ulMinPinLen) || (has_max && pin->len > info->ulMaxPinLen)) {
        return err_set(err, E_USAGE,
                       "the PIN of the %s has %zu characters, and this token takes %lu to %lu; "
                       "nothing was changed",
                       whose, pin->len, (unsigned long)info->ulMinPinLen,
                       (unsigned long)info->ulMaxPinLen);
    }
    return true;
}

static bool check_pins(const struct hsm_token *token, const struct hsm_token_init *init,
                       struct err *err)
{
    CK_TOKEN_INFO info;

    return hsm_token_read_info(token, &info, err) &&
           check_pin_length(&info, init->so_pin, "security officer", err) &&
           check_pin_length(&info, init->user_pin, "user", err);
}

/* C_InitToken wants 32 bytes padded with blanks, and not every libp11 pads. */
static void pad_label(const char *label, char out[static 33])
{
    size_t len = strlen(label);

    memset(out, ' ', 32);
    memcpy(out, label, len < 32 ? len : 32);
    out[32] = '\0';
}

/*
 * Whether the slot gives a session. PKCS11_open_session() opens none, and PKCS11_login(), which
 * does, waits for ever if it gets none (libp11 0.4.12).
 */
static bool gives_session(struct hsm_module *module, PKCS11_SLOT *slot, struct err *err)
{
    CK_SESSION_HANDLE session = 0;
    CK_RV rv = ck_open_session(&module->ck, PKCS11_get_slotid_from_slot(slot), true, &session);

    if (rv != CKR_OK) {
        return ckr_set(err, rv, "C_OpenSession");
    }
    (void)ck_close_session(&module->ck, session);
    return LIBP11(module, CALL_QUICK, "C_OpenSession", err, PKCS11_open_session(slot, 1));
}

static bool set_user_pin(struct hsm_module *module, PKCS11_SLOT *slot,
                         const struct hsm_token_init *init, struct err *err)
{
    bool ok = gives_session(module, slot, err) &&
              LIBP11(module, CALL_LOGIN, "C_Login (security officer)", err,
                     PKCS11_login(slot, 1, secret_expose(init->so_pin))) &&
              LIBP11(module, CALL_WRITE, "C_InitPIN", err,
                     PKCS11_init_pin(slot->token, secret_expose(init->user_pin)));
    struct err ignored = ERR_INIT;

    (void)LIBP11(module, CALL_QUICK, "C_Logout", &ignored, PKCS11_logout(slot));
    return ok;
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

static bool initialise_locked(struct hsm_module *module, const struct hsm_uri *uri,
                              const struct hsm_token_init *init, struct err *err)
{
    struct hsm_token *token = NULL;
    struct hsm_pin so = {.deliberate = true, .again = init->try_again, .source = init->so_source};
    struct hsm_pin_try attempt;
    PKCS11_SLOT *slot = NULL;
    char label[33];

    if (!hsm_module_read_slots(module, err) ||
        !choose_blank(module, uri, init->erase, &token, err) ||
        !is_the_sections(token, init, err) || !label_is_free(module, init->label, token, err) ||
        !hsm_so_may_try(&token->info, err) || !check_pins(token, init, err)) {
        return false;
    }
    if (!find_slot(module, token->info.slot_id, &slot, err) ||
        !begin_so(token, &so, &attempt, err)) {
        return false;
    }
    pad_label(init->label, label);
    if (!LIBP11(module, CALL_WRITE, "C_InitToken", err,
                PKCS11_init_token(slot->token, secret_expose(init->so_pin), label))) {
        end_so(token, &so, &attempt, (CK_RV)err->native);
        return err_wrap(err, "initialising the token in slot %lu of %s",
                        (unsigned long)token->info.slot_id, module->path);
    }
    hsm_pin_memory_forget(&token->info, CKU_SO); /* all PINs are new now */
    hsm_pin_memory_forget(&token->info, CKU_USER);
    if (!set_user_pin(module, slot, init, err)) {
        err->code = E_TOKEN;
        return err_wrap(err,
                        "token '%s' is initialised now and has no user PIN (repeat with --erase)",
                        init->label);
    }
    return true;
}

/* libp11 keeps the SO PIN inside its slot until the slots are released; here nobody has a session
 * yet. */
static void forget_slots(struct hsm_module *module)
{
    release_slots(module);
    for (struct hsm_token *t = module->tokens; t != NULL; t = t->next) {
        t->present = false;
    }
}

bool hsm_token_initialise(const struct hsm_target *target, const struct hsm_token_init *init,
                          struct hsm_token **out, struct err *err)
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
    bool ok = initialise_locked(module, target->uri, init, err);
    forget_slots(module);
    pthread_mutex_unlock(&module->lock);
    hsm_lock_release(&lock);
    if (!ok || !hsm_module_restart(module, err)) {
        return false;
    }
    made.token = str_dup(init->label);
    return made.token != NULL ? hsm_token_find(module, &made, out, err) : err_nomem(err);
}

/* PINs */

static bool is_for_so(enum hsm_pin_work_kind kind)
{
    return kind != HSM_PIN_CHANGE;
}

static CK_USER_TYPE role_of(enum hsm_pin_work_kind kind)
{
    return is_for_so(kind) ? CKU_SO : CKU_USER;
}

bool hsm_pin_work_ready(struct hsm_token *token, enum hsm_pin_work_kind kind,
                        const struct hsm_pin *how, struct err *err)
{
    if (!hsm_token_refresh(token, err)) {
        return false;
    }
    const struct hsm_token_info *info = &token->info;
    if (info->write_protected) {
        return err_set(err, E_TOKEN, "%s is write-protected, so no PIN can be set",
                       hsm_token_name(info));
    }
    if (!is_for_so(kind)) {
        return hsm_pin_may_send(token, how, err);
    }
    if (!hsm_pin_is_meant(how)) {
        return err_set(err, E_PIN_NEEDED,
                       "the security officer's PIN is sent only if it is typed, or named for this "
                       "command with --so-pin-source");
    }
    return hsm_so_may_try(info, err) && hsm_pin_memory_allows(info, CKU_SO, how, err);
}

bool hsm_pin_check_length(const struct hsm_token *token, const struct secret *pin, bool of_so,
                          struct err *err)
{
    CK_TOKEN_INFO info;

    return hsm_token_read_info(token, &info, err) &&
           check_pin_length(&info, pin, of_so ? "security officer" : "user", err);
}

/* How far setting a PIN came. */
struct pin_progress {
    bool sent; /* the present PIN */
    bool logged_in;
};

/* Logs in as the one who may do it, and does it. */
static bool set_pin(struct hsm_token *token, PKCS11_SLOT *slot, const struct hsm_pin_work *work,
                    struct pin_progress *progress, struct err *err)
{
    struct hsm_module *module = token->module;
    const char *present = token->info.pin_pad ? NULL : secret_expose(work->present);
    const char *fresh = token->info.pin_pad ? NULL : secret_expose(work->fresh);
    int so = is_for_so(work->kind) ? 1 : 0;
    enum call_kind by = token->info.pin_pad ? CALL_PERSON : CALL_LOGIN;

    progress->sent = gives_session(module, slot, err);
    if (!progress->sent) {
        return false;
    }
    progress->logged_in = LIBP11(module, by, so != 0 ? "C_Login (security officer)" : "C_Login",
                                 err, PKCS11_login(slot, so, present));
    if (!progress->logged_in) {
        /* Who has to change the PIN before anything else cannot log in, and may change it. */
        if (so != 0 || err->native != CKR_PIN_EXPIRED) {
            return false;
        }
        err_clear(err);
    }
    return work->kind == HSM_PIN_SET
               ? LIBP11(module, by == CALL_PERSON ? by : CALL_WRITE, "C_InitPIN", err,
                        PKCS11_init_pin(slot->token, fresh))
               : LIBP11(module, by == CALL_PERSON ? by : CALL_WRITE, "C_SetPIN", err,
                        PKCS11_change_pin(slot, present, fresh));
}

static bool work_locked(struct hsm_token *token, const struct hsm_pin_work *work, struct err *err)
{
    struct hsm_module *module = token->module;
    CK_USER_TYPE role = role_of(work->kind);
    struct hsm_pin_try attempt;
    struct err ignored = ERR_INIT;
    PKCS11_SLOT *slot = NULL;
    struct pin_progress progress = {.sent = false};

    if (hsm_module_has_sessions(module)) {
        return err_set(err, E_INTERNAL, "PINs are set while nobody in the process has a session");
    }
    if (!hsm_pin_work_ready(token, work->kind, work->how, err) ||
        !find_slot(module, token->info.slot_id, &slot, err) ||
        !hsm_pin_try_begin(&token->info, role, work->how, &attempt, err)) {
        return false;
    }
    bool ok = set_pin(token, slot, work, &progress, err);
    CK_RV rv = progress.logged_in ? CKR_OK : (CK_RV)err->native;
    hsm_pin_try_end(&token->info, role, work->how, &attempt, ok ? CKR_OK : rv,
                    progress.sent && hsm_pin_was_burnt(rv));
    (void)LIBP11(module, CALL_QUICK, "C_Logout", &ignored, PKCS11_logout(slot));
    if (!ok && progress.logged_in) {
        return err_wrap(err, "the PIN is as it was");
    }
    return ok;
}

/* The new PIN must open a session that has seen nothing of the old one. */
static bool verify_locked(struct hsm_token *token, const struct hsm_pin_work *work, struct err *err)
{
    const struct cryptoki *ck = &token->module->ck;
    CK_USER_TYPE role = work->kind == HSM_PIN_CHANGE_SO ? CKU_SO : CKU_USER;
    CK_SESSION_HANDLE session = 0;
    CK_RV rv = ck_open_session(ck, token->info.slot_id, true, &session);

    if (rv != CKR_OK) {
        return ckr_set(err, rv, "C_OpenSession");
    }
    rv = token->info.pin_pad ? ck_login(ck, session, role, NULL, 0)
                             : ck_login(ck, session, role, work->fresh->data, work->fresh->len);
    if (rv == CKR_OK) {
        (void)ck_logout(ck, session);
    }
    (void)ck_close_session(ck, session);
    return rv == CKR_OK || ckr_set(err, rv, "C_Login");
}

bool hsm_pin_do(struct hsm_token *token, const struct hsm_pin_work *work, struct err *err)
{
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    struct hsm_module *module = token->module;

    if (!hsm_module_lock(module, &lock, err)) {
        return false;
    }
    pthread_mutex_lock(&module->lock);
    bool ok = work_locked(token, work, err);
    release_slots(module);
    if (!ok) {
        pthread_mutex_unlock(&module->lock);
        return err_wrap(err, "%s", hsm_token_name(&token->info));
    }
    hsm_pin_memory_forget(&token->info, work->kind == HSM_PIN_CHANGE_SO ? CKU_SO : CKU_USER);
    ok = verify_locked(token, work, err);
    pthread_mutex_unlock(&module->lock);
    return ok || err_wrap(err,
                          "%s: the PIN was set, and a login with the new one fails: do not try it "
                          "again before you know why",
                          hsm_token_name(&token->info));
}
