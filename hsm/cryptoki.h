/*
 * The door to Cryptoki: every C_ call that this project makes itself goes through one function here
 * (libp11 makes the others, see hsm/module.c and hsm/admin.c).
 *
 * Each wrapper traces the call (names and return codes; never values), keeps it under a deadline,
 * and asks the function list that the struct holds, so a test can put its own functions there. They
 * return CK_RV, because what a return code means depends on the caller; hsm/ckr.h turns it into a
 * struct err.
 */
#ifndef HSM_CRYPTOKI_H
#define HSM_CRYPTOKI_H

#include "base/compiler.h"
#include "hsm/deadline.h"

#include <p11-kit/pkcs11.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How long a call may take depends on its kind; see cryptoki_default_limits(). */
enum call_kind {
    CALL_QUICK,    /* slot and session bookkeeping, attributes */
    CALL_INIT,     /* C_Initialize, C_Finalize: some modules read everything or connect somewhere */
    CALL_SEARCH,   /* grows with the number of objects on the token */
    CALL_LOGIN,    /* with a PIN that we send */
    CALL_PERSON,   /* a person types at a PIN pad, or a quorum gathers: no limit */
    CALL_SIGN,     /* private-key operations */
    CALL_GENERATE, /* RSA on a smartcard takes minutes */
    CALL_WRITE,    /* creating and destroying objects */
    CALL_KINDS
};

struct cryptoki {
    CK_FUNCTION_LIST *fns;
    const char *name;          /* path of the module, for traces and the watchdog; borrowed */
    struct deadline *deadline; /* NULL: no watchdog in this process */
    atomic_int *in_flight;     /* counts the threads inside the module; may be NULL */
    const atomic_bool *closed; /* while true, only calls of CALL_INIT are made; may be NULL */
    int64_t limit_ms[CALL_KINDS];
};

/* Fills limit_ms. */
void cryptoki_default_limits(struct cryptoki *ck);

/* Marks a stretch in which libp11 calls the module for us. */
void cryptoki_enter(const struct cryptoki *ck, enum call_kind kind, const char *what,
                    struct deadline_call *call);
void cryptoki_leave(const struct cryptoki *ck, struct deadline_call *call, CK_RV rv);

/* True while this thread is inside the module: a provider that is asked for something then must
 * decline. */
bool cryptoki_inside(void);

CK_RV ck_initialize(const struct cryptoki *ck, const char *init_args);
CK_RV ck_finalize(const struct cryptoki *ck);
CK_RV ck_get_info(const struct cryptoki *ck, CK_INFO *info);
/* All slots, with a token or without; list NULL: how many. */
CK_RV ck_get_slot_list(const struct cryptoki *ck, CK_SLOT_ID *list, CK_ULONG *count);
CK_RV ck_get_slot_info(const struct cryptoki *ck, CK_SLOT_ID slot, CK_SLOT_INFO *info);
CK_RV ck_get_token_info(const struct cryptoki *ck, CK_SLOT_ID slot, CK_TOKEN_INFO *info);
CK_RV ck_get_mechanism_list(const struct cryptoki *ck, CK_SLOT_ID slot, CK_MECHANISM_TYPE *list,
                            CK_ULONG *count);
CK_RV ck_get_mechanism_info(const struct cryptoki *ck, CK_SLOT_ID slot, CK_MECHANISM_TYPE type,
                            CK_MECHANISM_INFO *info);
CK_RV ck_open_session(const struct cryptoki *ck, CK_SLOT_ID slot, bool read_write,
                      CK_SESSION_HANDLE *session);
CK_RV ck_close_session(const struct cryptoki *ck, CK_SESSION_HANDLE session);
CK_RV ck_get_session_info(const struct cryptoki *ck, CK_SESSION_HANDLE session,
                          CK_SESSION_INFO *info);
CK_RV ck_login(const struct cryptoki *ck, CK_SESSION_HANDLE session, CK_USER_TYPE user,
               const uint8_t *pin, size_t pin_len);
/* PIN NULL: it is typed at the token. The label has 32 bytes. */
CK_RV ck_init_token(const struct cryptoki *ck, CK_SLOT_ID slot, const uint8_t *so_pin,
                    size_t so_pin_len, const char *label);
CK_RV ck_init_pin(const struct cryptoki *ck, CK_SESSION_HANDLE session, const uint8_t *pin,
                  size_t pin_len);
CK_RV ck_set_pin(const struct cryptoki *ck, CK_SESSION_HANDLE session, const uint8_t *present,
                 size_t present_len, const uint8_t *fresh, size_t fresh_len);
CK_RV ck_logout(const struct cryptoki *ck, CK_SESSION_HANDLE session);
CK_RV ck_find_objects_init(const struct cryptoki *ck, CK_SESSION_HANDLE session,
                           CK_ATTRIBUTE *template, CK_ULONG count);
CK_RV ck_find_objects(const struct cryptoki *ck, CK_SESSION_HANDLE session,
                      CK_OBJECT_HANDLE *objects, CK_ULONG max, CK_ULONG *count);
CK_RV ck_find_objects_final(const struct cryptoki *ck, CK_SESSION_HANDLE session);
CK_RV ck_get_attribute_value(const struct cryptoki *ck, CK_SESSION_HANDLE session,
                             CK_OBJECT_HANDLE object, CK_ATTRIBUTE *template, CK_ULONG count);
CK_RV ck_set_attribute_value(const struct cryptoki *ck, CK_SESSION_HANDLE session,
                             CK_OBJECT_HANDLE object, CK_ATTRIBUTE *template, CK_ULONG count);
CK_RV ck_create_object(const struct cryptoki *ck, CK_SESSION_HANDLE session, CK_ATTRIBUTE *template,
                       CK_ULONG count, CK_OBJECT_HANDLE *object);
CK_RV ck_destroy_object(const struct cryptoki *ck, CK_SESSION_HANDLE session,
                        CK_OBJECT_HANDLE object);
CK_RV ck_generate_key_pair(const struct cryptoki *ck, CK_SESSION_HANDLE session,
                           CK_MECHANISM *mechanism, CK_ATTRIBUTE *public_template,
                           CK_ULONG public_count, CK_ATTRIBUTE *private_template,
                           CK_ULONG private_count, CK_OBJECT_HANDLE *public_key,
                           CK_OBJECT_HANDLE *private_key);
CK_RV ck_sign_init(const struct cryptoki *ck, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                   CK_OBJECT_HANDLE key);
CK_RV ck_sign(const struct cryptoki *ck, CK_SESSION_HANDLE session, const uint8_t *in,
              size_t in_len, uint8_t *out, size_t *out_len);
CK_RV ck_sign_update(const struct cryptoki *ck, CK_SESSION_HANDLE session, const uint8_t *in,
                     size_t in_len);
CK_RV ck_sign_final(const struct cryptoki *ck, CK_SESSION_HANDLE session, uint8_t *out,
                    size_t *out_len);
CK_RV ck_decrypt_init(const struct cryptoki *ck, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                      CK_OBJECT_HANDLE key);
CK_RV ck_decrypt(const struct cryptoki *ck, CK_SESSION_HANDLE session, const uint8_t *in,
                 size_t in_len, uint8_t *out, size_t *out_len);
CK_RV ck_derive_key(const struct cryptoki *ck, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                    CK_OBJECT_HANDLE base, CK_ATTRIBUTE *template, CK_ULONG count,
                    CK_OBJECT_HANDLE *derived);
CK_RV ck_copy_object(const struct cryptoki *ck, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                     CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *copy);

#endif
