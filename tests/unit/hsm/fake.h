/*
 * A token behind a replaced function list: objects in memory, what was called is counted, and each
 * answer can be scripted. One per process, because Cryptoki functions have no context.
 *
 * It is for faults that no real module shows on demand; how real modules behave is tested with
 * SoftHSM in tests/hsm.
 */
#ifndef UNIT_HSM_FAKE_H
#define UNIT_HSM_FAKE_H

#include "hsm/module_impl.h"
#include "hsm/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FAKE_OBJECTS = 600, FAKE_ATTRS = 28, FAKE_COPY = 9999 };

struct fake_attr {
    CK_ATTRIBUTE_TYPE type;
    uint8_t *data;
    CK_ULONG len;
    bool sensitive;
};

struct fake_object {
    CK_OBJECT_HANDLE handle; /* 0: free */
    struct fake_attr attrs[FAKE_ATTRS];
    size_t count;
};

struct fake {
    CK_FUNCTION_LIST fns;
    struct hsm_module module;
    struct hsm_token token;
    struct fake_object objects[FAKE_OBJECTS];
    CK_OBJECT_HANDLE next_handle;

    /* script; CKR_OK unless set */
    CK_FLAGS flags; /* of C_GetTokenInfo */
    CK_RV token_info_rv, open_rv, login_rv, context_login_rv;
    CK_RV find_init_rv, find_rv;
    CK_ULONG find_fails_at; /* the find_rv comes with this batch; 0 is the first */
    CK_ULONG batch;         /* objects per C_FindObjects; 0: as many as asked for */
    CK_RV create_rv, destroy_rv, generate_rv, sign_init_rv, sign_rv;
    CK_RV sign_update_rv, sign_final_rv;
    CK_RV copy_rv, initialize_rv;
    CK_RV decrypt_rv;
    const CK_MECHANISM_TYPE *offered; /* NULL: all of them, and C_GetMechanismList is missing */
    CK_ULONG offered_count;
    CK_RV derive_rv;            /* unless the peer's point is in DER */
    unsigned sign_init_fails;   /* the sign_init_rv comes that many times; 0: always */
    unsigned creates_fail_from; /* the create_rv comes from that call on; 0: from the first */
    bool create_forgets;        /* C_CreateObject says OK and keeps nothing */
    bool create_overwrites;     /* one certificate per id: the new one gets the old one's handle */
    bool generate_keeps;        /* C_GenerateKeyPair fails and leaves the key */
    const CK_ATTRIBUTE_TYPE *refused; /* in the template of a private key, with refused_rv */
    size_t refused_count;
    CK_RV refused_rv;
    CK_RV set_rv; /* of C_SetAttributeValue, from the set_fails-th call on; 0: of all */
    unsigned set_fails;
    CK_ATTRIBUTE_TYPE flip; /* generated private keys have this flag the other way round */
    bool no_public_half;    /* generated keys show none */
    CK_C_GetAttributeValue get_attributes; /* instead of the store's answer */

    /* what happened */
    unsigned opens, closes, logins, context_logins, token_infos;
    unsigned find_inits, finds, find_finals, attribute_calls, creates, destroys, signs;
    unsigned sign_inits, copies, initializes, derives;
    unsigned sign_updates, sign_finals, mechanism_lists;
    unsigned generates, sets;
    CK_MECHANISM_TYPE used_mechanism; /* by the last C_SignInit */
    CK_ULONG signed_bytes;            /* of the message of the last signature */
    CK_OBJECT_HANDLE used_handle;     /* by the last C_SignInit */
    bool pin_was_null;
    char pin[64];
    CK_USER_TYPE user;

    /* a running search */
    CK_OBJECT_HANDLE found[FAKE_OBJECTS];
    CK_ULONG found_count, found_at, batches;
};

extern struct fake fake;

/* Everything as new: a token that wants a login, without objects. */
void fake_begin(void);

/* Adds an object; attributes are added to the last one. Returns its handle. */
CK_OBJECT_HANDLE fake_object(CK_OBJECT_CLASS class, const char *id, const char *label);
void fake_bytes(CK_ATTRIBUTE_TYPE type, const void *data, size_t len);
void fake_number(CK_ATTRIBUTE_TYPE type, CK_ULONG value);
void fake_flag(CK_ATTRIBUTE_TYPE type, bool value);
void fake_sensitive(CK_ATTRIBUTE_TYPE type);

/* A private EC key (P-256) with its point, and the attributes of a good signing key. */
CK_OBJECT_HANDLE fake_ec_key(const char *id, const char *label, const uint8_t point[static 65]);

size_t fake_count(CK_OBJECT_CLASS class);
bool fake_has(CK_OBJECT_HANDLE handle);

/* The store's own C_GetAttributeValue, for scripted ones that mend only part of it. */
CK_RV fake_get_attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *list,
                          CK_ULONG count);

/* The token's own C_GenerateKeyPair. */
CK_RV fake_generate(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *public_list,
                    CK_ULONG public_count, CK_ATTRIBUTE *private_list, CK_ULONG private_count,
                    CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key);

/* A session that is open already. */
/* The token has those mechanisms, and lists them. The list has to stay. */
void fake_offer(const CK_MECHANISM_TYPE *list, size_t count);

struct hsm_session fake_session(void);

#endif
