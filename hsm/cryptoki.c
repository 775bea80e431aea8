#include "hsm/cryptoki.h"

#include "base/log.h"
#include "hsm/ckr.h"
#include "hsm/sigpipe.h"

#include <openssl/err.h>
#include <string.h>

static const int64_t default_limit_ms[CALL_KINDS] = {
    [CALL_QUICK] = 30000, [CALL_INIT] = 120000, [CALL_SEARCH] = 120000,   [CALL_LOGIN] = 60000,
    [CALL_PERSON] = 0,    [CALL_SIGN] = 60000,  [CALL_GENERATE] = 900000, [CALL_WRITE] = 60000,
};

/* Per thread, so that a provider asked for an algorithm by the module itself can tell. */
static _Thread_local int depth;

void cryptoki_default_limits(struct cryptoki *ck)
{
    memcpy(ck->limit_ms, default_limit_ms, sizeof(ck->limit_ms));
}

bool cryptoki_inside(void)
{
    return depth > 0;
}

void cryptoki_enter(const struct cryptoki *ck, enum call_kind kind, const char *what,
                    struct deadline_call *call)
{
    call->call = what;
    call->module = ck->name;
    call->allowed_ms = ck->limit_ms[kind];
    depth++;
    sigpipe_block();
    (void)ERR_set_mark();
    if (ck->in_flight != NULL) {
        atomic_fetch_add(ck->in_flight, 1);
    }
    deadline_begin(ck->deadline, call);
}

void cryptoki_leave(const struct cryptoki *ck, struct deadline_call *call, CK_RV rv)
{
    deadline_end(ck->deadline, call);
    (void)
        ERR_pop_to_mark(); /* modules that use libcrypto leave their errors in our caller's queue */
    sigpipe_restore(rv != CKR_OK);
    if (ck->in_flight != NULL) {
        atomic_fetch_sub(ck->in_flight, 1);
    }
    depth--;
    if (log_enabled(LOG_TRACE)) {
        log_line(LOG_TRACE, "pkcs11", "%s -> %s", call->call, ckr_name(rv));
    }
}

/* Asked after the call was counted as in flight: whoever closes the module counts after closing. */
static bool is_open(const struct cryptoki *ck, enum call_kind kind)
{
    return kind == CALL_INIT || ck->closed == NULL || !atomic_load(ck->closed);
}

/* One wrapper's body: enter, call if the module has the function, leave. */
#define CALL(ck, kind, function, ...)                                                              \
    do {                                                                                           \
        struct deadline_call call_;                                                                \
        if ((ck)->fns == NULL) {                                                                   \
            return CKR_CRYPTOKI_NOT_INITIALIZED; /* the process is ending */                       \
        }                                                                                          \
        if ((ck)->fns->function == NULL) {                                                         \
            return CKR_FUNCTION_NOT_SUPPORTED;                                                     \
        }                                                                                          \
        cryptoki_enter((ck), (kind), #function, &call_);                                           \
        CK_RV rv_ = is_open((ck), (kind)) ? (ck)->fns->function(__VA_ARGS__)                       \
                                          : CKR_CRYPTOKI_NOT_INITIALIZED;                          \
        cryptoki_leave((ck), &call_, rv_);                                                         \
        return rv_;                                                                                \
    } while (0)

CK_RV ck_initialize(const struct cryptoki *ck, const char *init_args)
{
    CK_C_INITIALIZE_ARGS args;

    memset(&args, 0, sizeof(args));
    args.flags = CKF_OS_LOCKING_OK;
    args.pReserved = (void *)(uintptr_t)init_args; /* NSS softokn takes its directory this way */
    CALL(ck, CALL_INIT, C_Initialize, &args);
}

CK_RV ck_finalize(const struct cryptoki *ck)
{
    CALL(ck, CALL_INIT, C_Finalize, NULL);
}

CK_RV ck_get_info(const struct cryptoki *ck, CK_INFO *info)
{
    CALL(ck, CALL_QUICK, C_GetInfo, info);
}

CK_RV ck_get_slot_list(const struct cryptoki *ck, CK_SLOT_ID *list, CK_ULONG *count)
{
    CALL(ck, CALL_INIT, C_GetSlotList, CK_FALSE, list, count);
}

CK_RV ck_get_slot_info(const struct cryptoki *ck, CK_SLOT_ID slot, CK_SLOT_INFO *info)
{
    CALL(ck, CALL_QUICK, C_GetSlotInfo, slot, info);
}

CK_RV ck_get_token_info(const struct cryptoki *ck, CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    CALL(ck, CALL_QUICK, C_GetTokenInfo, slot, info);
}

CK_RV ck_get_mechanism_list(const struct cryptoki *ck, CK_SLOT_ID slot, CK_MECHANISM_TYPE *list,
                            CK_ULONG *count)
{
    CALL(ck, CALL_QUICK, C_GetMechanismList, slot, list, count);
}

CK_RV ck_get_mechanism_info(const struct cryptoki *ck, CK_SLOT_ID slot, CK_MECHANISM_TYPE type,
                            CK_MECHANISM_INFO *info)
{
    CALL(ck, CALL_QUICK, C_GetMechanismInfo, slot, type, info);
}

CK_RV ck_open_session(const struct cryptoki *ck, CK_SLOT_ID slot, bool read_write,
                      CK_SESSION_HANDLE *session)
{
    CK_FLAGS flags = CKF_SERIAL_SESSION | (read_write ? CKF_RW_SESSION : 0UL);

    CALL(ck, CALL_QUICK, C_OpenSession, slot, flags, NULL, NULL, session);
}

CK_RV ck_close_session(const struct cryptoki *ck, CK_SESSION_HANDLE session)
{
    CALL(ck, CALL_QUICK, C_CloseSession, session);
}

CK_RV ck_get_session_info(const struct cryptoki *ck, CK_SESSION_HANDLE session,
                          CK_SESSION_INFO *info)
{
    CALL(ck, CALL_QUICK, C_GetSessionInfo, session, info);
}

CK_RV ck_login(const struct cryptoki *ck, CK_SESSION_HANDLE session, CK_USER_TYPE user,
               const uint8_t *pin, size_t pin_len)
{
    enum call_kind kind = pin == NULL ? CALL_PERSON : CALL_LOGIN;

    CALL(ck, kind, C_Login, session, user, (CK_UTF8CHAR_PTR)(uintptr_t)pin, (CK_ULONG)pin_len);
}

CK_RV ck_init_token(const struct cryptoki *ck, CK_SLOT_ID slot, const uint8_t *so_pin,
                    size_t so_pin_len, const char *label)
{
    enum call_kind kind = so_pin == NULL ? CALL_PERSON : CALL_WRITE;

    CALL(ck, kind, C_InitToken, slot, (CK_UTF8CHAR_PTR)(uintptr_t)so_pin, (CK_ULONG)so_pin_len,
         (CK_UTF8CHAR_PTR)(uintptr_t)label);
}

CK_RV ck_init_pin(const struct cryptoki *ck, CK_SESSION_HANDLE session, const uint8_t *pin,
                  size_t pin_len)
{
    enum call_kind kind = pin == NULL ? CALL_PERSON : CALL_WRITE;

    CALL(ck, kind, C_InitPIN, session, (CK_UTF8CHAR_PTR)(uintptr_t)pin, (CK_ULONG)pin_len);
}

CK_RV ck_set_pin(const struct cryptoki *ck, CK_SESSION_HANDLE session, const uint8_t *present,
                 size_t present_len, const uint8_t *fresh, size_t fresh_len)
{
    enum call_kind kind = present == NULL ? CALL_PERSON : CALL_WRITE;

    CALL(ck, kind, C_SetPIN, session, (CK_UTF8CHAR_PTR)(uintptr_t)present, (CK_ULONG)present_len,
         (CK_UTF8CHAR_PTR)(uintptr_t)fresh, (CK_ULONG)fresh_len);
}

CK_RV ck_logout(const struct cryptoki *ck, CK_SESSION_HANDLE session)
{
    CALL(ck, CALL_QUICK, C_Logout, session);
}

CK_RV ck_find_objects_init(const struct cryptoki *ck, CK_SESSION_HANDLE session,
                           CK_ATTRIBUTE *template, CK_ULONG count)
{
    CALL(ck, CALL_SEARCH, C_FindObjectsInit, session, template, count);
}

CK_RV ck_find_objects(const struct cryptoki *ck, CK_SESSION_HANDLE session,
                      CK_OBJECT_HANDLE *objects, CK_ULONG max, CK_ULONG *count)
{
    CALL(ck, CALL_SEARCH, C_FindObjects, session, objects, max, count);
}

CK_RV ck_find_objects_final(const struct cryptoki *ck, CK_SESSION_HANDLE session)
{
    CALL(ck, CALL_QUICK, C_FindObjectsFinal, session);
}

CK_RV ck_get_attribute_value(const struct cryptoki *ck, CK_SESSION_HANDLE session,
                             CK_OBJECT_HANDLE object, CK_ATTRIBUTE *template, CK_ULONG count)
{
    CALL(ck, CALL_QUICK, C_GetAttributeValue, session, object, template, count);
}

CK_RV ck_set_attribute_value(const struct cryptoki *ck, CK_SESSION_HANDLE session,
                             CK_OBJECT_HANDLE object, CK_ATTRIBUTE *template, CK_ULONG count)
{
    CALL(ck, CALL_WRITE, C_SetAttributeValue, session, object, template, count);
}

CK_RV ck_create_object(const struct cryptoki *ck, CK_SESSION_HANDLE session, CK_ATTRIBUTE *template,
                       CK_ULONG count, CK_OBJECT_HANDLE *object)
{
    CALL(ck, CALL_WRITE, C_CreateObject, session, template, count, object);
}

CK_RV ck_destroy_object(const struct cryptoki *ck, CK_SESSION_HANDLE session,
                        CK_OBJECT_HANDLE object)
{
    CALL(ck, CALL_WRITE, C_DestroyObject, session, object);
}

CK_RV ck_generate_key_pair(const struct cryptoki *ck, CK_SESSION_HANDLE session,
                           CK_MECHANISM *mechanism, CK_ATTRIBUTE *public_template,
                           CK_ULONG public_count, CK_ATTRIBUTE *private_template,
                           CK_ULONG private_count, CK_OBJECT_HANDLE *public_key,
                           CK_OBJECT_HANDLE *private_key)
{
    CALL(ck, CALL_GENERATE, C_GenerateKeyPair, session, mechanism, public_template, public_count,
         private_template, private_count, public_key, private_key);
}

CK_RV ck_sign_init(const struct cryptoki *ck, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                   CK_OBJECT_HANDLE key)
{
    CALL(ck, CALL_SIGN, C_SignInit, session, mechanism, key);
}

static CK_RV sign(const struct cryptoki *ck, CK_SESSION_HANDLE session, const uint8_t *in,
                  size_t in_len, uint8_t *out, CK_ULONG *out_len)
{
    CALL(ck, CALL_SIGN, C_Sign, session, (CK_BYTE_PTR)(uintptr_t)in, (CK_ULONG)in_len, out,
         out_len);
}

CK_RV ck_sign(const struct cryptoki *ck, CK_SESSION_HANDLE session, const uint8_t *in,
              size_t in_len, uint8_t *out, size_t *out_len)
{
    CK_ULONG len = (CK_ULONG)*out_len;
    CK_RV rv = sign(ck, session, in, in_len, out, &len);

    if (rv == CKR_OK) {
        *out_len = (size_t)len;
    }
    return rv;
}

CK_RV ck_sign_update(const struct cryptoki *ck, CK_SESSION_HANDLE session, const uint8_t *in,
                     size_t in_len)
{
    CALL(ck, CALL_SIGN, C_SignUpdate, session, (CK_BYTE_PTR)(uintptr_t)in, (CK_ULONG)in_len);
}

static CK_RV sign_final(const struct cryptoki *ck, CK_SESSION_HANDLE session, uint8_t *out,
                        CK_ULONG *out_len)
{
    CALL(ck, CALL_SIGN, C_SignFinal, session, out, out_len);
}

CK_RV ck_sign_final(const struct cryptoki *ck, CK_SESSION_HANDLE session, uint8_t *out,
                    size_t *out_len)
{
    CK_ULONG len = (CK_ULONG)*out_len;
    CK_RV rv = sign_final(ck, session, out, &len);

    if (rv == CKR_OK) {
        *out_len = (size_t)len;
    }
    return rv;
}

CK_RV ck_decrypt_init(const struct cryptoki *ck, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                      CK_OBJECT_HANDLE key)
{
    CALL(ck, CALL_SIGN, C_DecryptInit, session, mechanism, key);
}

static CK_RV decrypt(const struct cryptoki *ck, CK_SESSION_HANDLE session, const uint8_t *in,
                     size_t in_len, uint8_t *out, CK_ULONG *out_len)
{
    CALL(ck, CALL_SIGN, C_Decrypt, session, (CK_BYTE_PTR)(uintptr_t)in, (CK_ULONG)in_len, out,
         out_len);
}

CK_RV ck_decrypt(const struct cryptoki *ck, CK_SESSION_HANDLE session, const uint8_t *in,
                 size_t in_len, uint8_t *out, size_t *out_len)
{
    CK_ULONG len = (CK_ULONG)*out_len;
    CK_RV rv = decrypt(ck, session, in, in_len, out, &len);

    if (rv == CKR_OK) {
        *out_len = (size_t)len;
    }
    return rv;
}

CK_RV ck_derive_key(const struct cryptoki *ck, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                    CK_OBJECT_HANDLE base, CK_ATTRIBUTE *template, CK_ULONG count,
                    CK_OBJECT_HANDLE *derived)
{
    CALL(ck, CALL_SIGN, C_DeriveKey, session, mechanism, base, template, count, derived);
}

CK_RV ck_copy_object(const struct cryptoki *ck, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                     CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *copy)
{
    CALL(ck, CALL_WRITE, C_CopyObject, session, object, template, count, copy);
}
