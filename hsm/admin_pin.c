#include "hsm/admin.h"

#include "hsm/admin_slot.h"
#include "hsm/ckr.h"
#include "hsm/module_impl.h"
#include "hsm/pin_memory.h"
#include "hsm/role.h"

/* Setting PINs. */

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
static bool set_pin(struct hsm_admin_slot *slot, const struct hsm_pin_work *work,
                    struct pin_progress *progress, struct err *err)
{
    CK_USER_TYPE role = role_of(work->kind);

    progress->sent = hsm_admin_begin(slot, err);
    if (!progress->sent) {
        return false;
    }
    progress->logged_in = hsm_admin_login(slot, role, work->present, err);
    if (!progress->logged_in) {
        /* Who has to change the PIN before anything else cannot log in, and may change it. */
        if (role == CKU_SO || err->native != CKR_PIN_EXPIRED) {
            hsm_login_explain((CK_RV)err->native, role, err);
            return false;
        }
        err_clear(err);
    }
    return work->kind == HSM_PIN_SET ? hsm_admin_init_pin(slot, work->fresh, err)
                                     : hsm_admin_set_pin(slot, work->present, work->fresh, err);
}

static bool work_locked(struct hsm_token *token, const struct hsm_pin_work *work, struct err *err)
{
    AUTO(hsm_admin_slot) struct hsm_admin_slot slot = {.module = NULL};
    CK_USER_TYPE role = role_of(work->kind);
    struct hsm_pin_try attempt;
    struct pin_progress progress = {.sent = false};

    if (hsm_module_has_sessions(token->module)) {
        return err_set(err, E_INTERNAL, "PINs are set while nobody in the process has a session");
    }
    if (!hsm_pin_work_ready(token, work->kind, work->how, err) ||
        !hsm_admin_open(token, &slot, err) ||
        !hsm_pin_try_begin(&token->info, role, work->how, &attempt, err)) {
        return false;
    }
    bool ok = set_pin(&slot, work, &progress, err);
    CK_RV rv = progress.logged_in ? CKR_OK : (CK_RV)err->native;
    hsm_pin_try_end(&token->info, role, work->how, &attempt, ok ? CKR_OK : rv,
                    progress.sent && hsm_pin_was_burnt(rv));
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
