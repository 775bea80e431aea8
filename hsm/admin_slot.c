#include "hsm/admin_slot.h"

#include "base/log.h"
#include "hsm/ckr.h"
#include "hsm/module_impl.h"

#include <openssl/err.h>
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

static bool answered(CK_RV rv, const char *what, struct err *err)
{
    return rv == CKR_OK || ckr_set(err, rv, what);
}

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

/* A new list each time: PKCS11_update_slots(), which would reuse the old one, crashes in every call
 * of libp11 0.4.12 (Debian 12). */
static bool list_slots(struct hsm_module *module, struct err *err)
{
    release_slots(module);
    if (!LIBP11(module, CALL_INIT, "libp11 slot list", err,
                PKCS11_enumerate_slots(module->libp11, &module->slots, &module->slot_count))) {
        module->slots = NULL;
        return err_wrap(err, "PKCS#11 module %s", module->path);
    }
    return true;
}

bool hsm_admin_open(const struct hsm_token *token, struct hsm_admin_slot *out, struct err *err)
{
    struct hsm_module *module = token->module;

    *out = (struct hsm_admin_slot){
        .module = module, .id = token->info.slot_id, .pin_pad = token->info.pin_pad};
    if (module->failed_count > 0) {
        /* It lists all slots or none, and loses memory where it cannot (0.4.12). */
        release_slots(module);
        log_line(LOG_DEBUG, "hsm",
                 "%s is administered without libp11: %zu other slots cannot be read",
                 hsm_token_name(&token->info), module->failed_count);
        return true;
    }
    if (!list_slots(module, err)) {
        return false;
    }
    for (unsigned i = 0; i < module->slot_count; i++) {
        if (PKCS11_get_slotid_from_slot(&module->slots[i]) == out->id &&
            module->slots[i].token != NULL) {
            out->libp11 = &module->slots[i];
            return true;
        }
    }
    return err_set(err, E_TOKEN_MISSING, "the token in slot %lu of %s is gone",
                   (unsigned long)out->id, module->path);
}

void hsm_admin_close(struct hsm_admin_slot *slot)
{
    struct err ignored = ERR_INIT;

    if (slot->module == NULL) {
        return;
    }
    if (slot->libp11 != NULL && slot->has_session) {
        (void)LIBP11(slot->module, CALL_QUICK, "C_Logout", &ignored, PKCS11_logout(slot->libp11));
    } else if (slot->has_session) {
        (void)ck_logout(&slot->module->ck, slot->session);
        (void)ck_close_session(&slot->module->ck, slot->session);
    }
    if (slot->spoilt) {
        /* To release them would crash (libp11 0.4.12), and the process ends soon. What is pointed
         * to is not lost, for whoever looks for leaks. */
        static PKCS11_SLOT *volatile kept;
        kept = slot->module->slots;
        (void)kept;
        slot->module->slots = NULL;
        slot->module->slot_count = 0;
    }
    release_slots(slot->module);
    *slot = (struct hsm_admin_slot){.module = NULL};
}

/* C_InitToken wants 32 bytes padded with blanks, and not every libp11 pads. */
static void pad_label(const char *label, char out[static 33])
{
    size_t len = strlen(label);

    memset(out, ' ', 32);
    memcpy(out, label, len < 32 ? len : 32);
    out[32] = '\0';
}

bool hsm_admin_init_token(struct hsm_admin_slot *slot, const struct secret *so_pin,
                          const char *label, struct err *err)
{
    struct hsm_module *module = slot->module;
    char padded[33];

    pad_label(label, padded);
    if (slot->libp11 == NULL) {
        return answered(ck_init_token(&module->ck, slot->id, so_pin->data, so_pin->len, padded),
                        "C_InitToken", err);
    }
    return LIBP11(module, CALL_WRITE, "C_InitToken", err,
                  PKCS11_init_token(slot->libp11->token, secret_expose(so_pin), padded));
}

/*
 * PKCS11_open_session() opens none, and PKCS11_login(), which does, waits for ever if it gets none
 * (libp11 0.4.12): so it is tried first.
 */
bool hsm_admin_begin(struct hsm_admin_slot *slot, struct err *err)
{
    struct hsm_module *module = slot->module;
    CK_SESSION_HANDLE session = 0;

    if (!answered(ck_open_session(&module->ck, slot->id, true, &session), "C_OpenSession", err)) {
        return false;
    }
    if (slot->libp11 == NULL) {
        slot->session = session;
        slot->has_session = true;
        return true;
    }
    (void)ck_close_session(&module->ck, session);
    slot->has_session =
        LIBP11(module, CALL_QUICK, "C_OpenSession", err, PKCS11_open_session(slot->libp11, 1));
    return slot->has_session;
}

bool hsm_admin_login(struct hsm_admin_slot *slot, CK_USER_TYPE user, const struct secret *pin,
                     struct err *err)
{
    struct hsm_module *module = slot->module;
    const char *what = user == CKU_SO ? "C_Login (security officer)" : "C_Login";

    if (slot->libp11 == NULL) {
        return answered(ck_login(&module->ck, slot->session, user, slot->pin_pad ? NULL : pin->data,
                                 slot->pin_pad ? 0 : pin->len),
                        what, err);
    }
    return LIBP11(module, slot->pin_pad ? CALL_PERSON : CALL_LOGIN, what, err,
                  PKCS11_login(slot->libp11, user == CKU_SO ? 1 : 0,
                               slot->pin_pad ? NULL : secret_expose(pin)));
}

bool hsm_admin_init_pin(struct hsm_admin_slot *slot, const struct secret *pin, struct err *err)
{
    struct hsm_module *module = slot->module;

    if (slot->libp11 == NULL) {
        return answered(ck_init_pin(&module->ck, slot->session, slot->pin_pad ? NULL : pin->data,
                                    slot->pin_pad ? 0 : pin->len),
                        "C_InitPIN", err);
    }
    /* Afterwards it reads the token again; if that fails, its slot points to what it has freed. */
    slot->spoilt =
        !LIBP11(module, slot->pin_pad ? CALL_PERSON : CALL_WRITE, "C_InitPIN", err,
                PKCS11_init_pin(slot->libp11->token, slot->pin_pad ? NULL : secret_expose(pin)));
    return !slot->spoilt;
}

bool hsm_admin_set_pin(struct hsm_admin_slot *slot, const struct secret *present,
                       const struct secret *fresh, struct err *err)
{
    struct hsm_module *module = slot->module;

    if (slot->libp11 == NULL) {
        return answered(slot->pin_pad ? ck_set_pin(&module->ck, slot->session, NULL, 0, NULL, 0)
                                      : ck_set_pin(&module->ck, slot->session, present->data,
                                                   present->len, fresh->data, fresh->len),
                        "C_SetPIN", err);
    }
    return LIBP11(module, slot->pin_pad ? CALL_PERSON : CALL_WRITE, "C_SetPIN", err,
                  PKCS11_change_pin(slot->libp11, slot->pin_pad ? NULL : secret_expose(present),
                                    slot->pin_pad ? NULL : secret_expose(fresh)));
}
