/*
 * One token under administration, for hsm/admin.c: libp11's slot of it, or, where libp11 cannot
 * list the module's slots because one of them cannot be read, the same calls on the module itself
 * (docs/design/002-libp11.md).
 *
 * libp11 keeps a PIN inside its slot until the slots are released, and releasing them closes every
 * session on them: so all this is done while nobody in the process has a session, under the
 * module's lock, and ended right after.
 */
#ifndef HSM_ADMIN_SLOT_H
#define HSM_ADMIN_SLOT_H

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"
#include "hsm/slot.h"

#include <stdbool.h>

struct PKCS11_slot_st;

struct hsm_admin_slot {
    struct hsm_module *module;
    CK_SLOT_ID id;
    bool pin_pad;
    struct PKCS11_slot_st *libp11; /* NULL: our own calls, in the session */
    CK_SESSION_HANDLE session;
    bool has_session;
    bool spoilt; /* libp11's list can be used no more, and not be released either */
};

/* E_TOKEN_MISSING: it is gone. */
bool hsm_admin_open(const struct hsm_token *token, struct hsm_admin_slot *out,
                    struct err *err) NODISCARD;

/* Logs out and ends everything. */
void hsm_admin_close(struct hsm_admin_slot *slot);

/* C_InitToken. err->native has the token's code, as in all of these. */
bool hsm_admin_init_token(struct hsm_admin_slot *slot, const struct secret *so_pin,
                          const char *label, struct err *err) NODISCARD;

/* A session to log in: before a PIN is sent. */
bool hsm_admin_begin(struct hsm_admin_slot *slot, struct err *err) NODISCARD;

/* PINs are ignored at a PIN pad, where they are typed. */
bool hsm_admin_login(struct hsm_admin_slot *slot, CK_USER_TYPE user, const struct secret *pin,
                     struct err *err) NODISCARD;
bool hsm_admin_init_pin(struct hsm_admin_slot *slot, const struct secret *pin,
                        struct err *err) NODISCARD;
bool hsm_admin_set_pin(struct hsm_admin_slot *slot, const struct secret *present,
                       const struct secret *fresh, struct err *err) NODISCARD;

DEFINE_AUTO_DONE(hsm_admin_slot, struct hsm_admin_slot, hsm_admin_close)

#endif
