#include "unit/hsm/fake.h"

#include "unit/unit.h"

#include <stdlib.h>

struct fake fake;

static const uint8_t p256_params[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};

/* The store */

static void free_object(struct fake_object *object)
{
    for (size_t i = 0; i < object->count; i++) {
        free(object->attrs[i].data);
    }
    *object = (struct fake_object){.handle = 0};
}

static struct fake_object *object_of(CK_OBJECT_HANDLE handle)
{
    for (size_t i = 0; i < FAKE_OBJECTS && handle != 0; i++) {
        if (fake.objects[i].handle == handle) {
            return &fake.objects[i];
        }
    }
    return NULL;
}

static struct fake_attr *attr_of(struct fake_object *object, CK_ATTRIBUTE_TYPE type)
{
    for (size_t i = 0; i < object->count; i++) {
        if (object->attrs[i].type == type) {
            return &object->attrs[i];
        }
    }
    return NULL;
}

static struct fake_object *new_object(void)
{
    for (size_t i = 0; i < FAKE_OBJECTS; i++) {
        if (fake.objects[i].handle == 0) {
            fake.objects[i].handle = ++fake.next_handle;
            return &fake.objects[i];
        }
    }
    fail_msg("the fake token is full");
    return NULL;
}

static void set_attr(struct fake_object *object, CK_ATTRIBUTE_TYPE type, const void *data,
                     size_t len)
{
    struct fake_attr *attr = attr_of(object, type);

    if (attr == NULL) {
        assert_true(object->count < FAKE_ATTRS);
        attr = &object->attrs[object->count++];
    }
    free(attr->data);
    *attr = (struct fake_attr){.type = type, .data = malloc(len + 1), .len = (CK_ULONG)len};
    assert_non_null(attr->data);
    if (len > 0) {
        memcpy(attr->data, data, len);
    }
}

static void set_flag(struct fake_object *object, CK_ATTRIBUTE_TYPE type, bool value)
{
    CK_BBOOL byte = value ? 1 : 0;

    set_attr(object, type, &byte, sizeof(byte));
}

static bool matches(struct fake_object *object, const CK_ATTRIBUTE *list, CK_ULONG count)
{
    for (CK_ULONG i = 0; i < count; i++) {
        const struct fake_attr *attr = attr_of(object, list[i].type);
        if (attr == NULL || attr->len != list[i].ulValueLen ||
            memcmp(attr->data, list[i].pValue, attr->len) != 0) {
            return false;
        }
    }
    return true;
}

static struct fake_object *last;

CK_OBJECT_HANDLE fake_object(CK_OBJECT_CLASS class, const char *id, const char *label)
{
    last = new_object();
    fake_number(CKA_CLASS, class);
    fake_flag(CKA_TOKEN, true);
    if (id != NULL) {
        fake_bytes(CKA_ID, id, strlen(id));
    }
    if (label != NULL) {
        fake_bytes(CKA_LABEL, label, strlen(label));
    }
    return last->handle;
}

void fake_bytes(CK_ATTRIBUTE_TYPE type, const void *data, size_t len)
{
    set_attr(last, type, data, len);
}

void fake_number(CK_ATTRIBUTE_TYPE type, CK_ULONG value)
{
    set_attr(last, type, &value, sizeof(value));
}

void fake_flag(CK_ATTRIBUTE_TYPE type, bool value)
{
    set_flag(last, type, value);
}

void fake_sensitive(CK_ATTRIBUTE_TYPE type)
{
    set_attr(last, type, "", 0);
    attr_of(last, type)->sensitive = true;
}

static void add_good_flags(struct fake_object *object)
{
    static const struct {
        CK_ATTRIBUTE_TYPE type;
        bool value;
    } flags[] = {{CKA_TOKEN, true},
                 {CKA_PRIVATE, true},
                 {CKA_SENSITIVE, true},
                 {CKA_SIGN, true},
                 {CKA_EXTRACTABLE, false},
                 {CKA_DECRYPT, false},
                 {CKA_LOCAL, true},
                 {CKA_ALWAYS_SENSITIVE, true},
                 {CKA_NEVER_EXTRACTABLE, true},
                 {CKA_ALWAYS_AUTHENTICATE, false}};

    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        set_flag(object, flags[i].type, flags[i].value != (flags[i].type == fake.flip));
    }
}

CK_OBJECT_HANDLE fake_ec_key(const char *id, const char *label, const uint8_t point[static 65])
{
    (void)fake_object(CKO_PRIVATE_KEY, id, label);
    fake_number(CKA_KEY_TYPE, CKK_EC);
    fake_bytes(CKA_EC_PARAMS, p256_params, sizeof(p256_params));
    fake_bytes(CKA_EC_POINT, point, 65);
    add_good_flags(last);
    return last->handle;
}

size_t fake_count(CK_OBJECT_CLASS class)
{
    CK_ATTRIBUTE template = {CKA_CLASS, &class, sizeof(class)};
    size_t count = 0;

    for (size_t i = 0; i < FAKE_OBJECTS; i++) {
        count += fake.objects[i].handle != 0 && matches(&fake.objects[i], &template, 1) ? 1 : 0;
    }
    return count;
}

bool fake_has(CK_OBJECT_HANDLE handle)
{
    return object_of(handle) != NULL;
}

/* The function list */

static CK_RV get_token_info(CK_SLOT_ID slot UNUSED, CK_TOKEN_INFO *info)
{
    fake.token_infos++;
    memset(info, 0, sizeof(*info));
    info->flags = fake.flags;
    memcpy(info->label, "prod                            ", sizeof(info->label));
    memcpy(info->serialNumber, "12af            ", sizeof(info->serialNumber));
    return fake.token_info_rv;
}

static CK_RV open_session(CK_SLOT_ID slot UNUSED, CK_FLAGS flags UNUSED, void *app UNUSED,
                          CK_NOTIFY notify UNUSED, CK_SESSION_HANDLE *session)
{
    if (fake.open_rv == CKR_OK) {
        *session = 100 + ++fake.opens;
    }
    return fake.open_rv;
}

static CK_RV close_session(CK_SESSION_HANDLE session UNUSED)
{
    fake.closes++;
    return CKR_OK;
}

static CK_RV login(CK_SESSION_HANDLE session UNUSED, CK_USER_TYPE user, CK_UTF8CHAR *pin,
                   CK_ULONG len)
{
    fake.user = user;
    fake.pin_was_null = pin == NULL;
    (void)snprintf(fake.pin, sizeof(fake.pin), "%.*s", (int)len, pin != NULL ? (char *)pin : "");
    if (user == CKU_CONTEXT_SPECIFIC) {
        fake.context_logins++;
        return fake.context_login_rv;
    }
    fake.logins++;
    return fake.login_rv;
}

static CK_RV find_init(CK_SESSION_HANDLE session UNUSED, CK_ATTRIBUTE *list, CK_ULONG count)
{
    fake.find_inits++;
    fake.found_count = 0;
    fake.found_at = 0;
    fake.batches = 0;
    for (size_t i = 0; i < FAKE_OBJECTS; i++) {
        if (fake.objects[i].handle != 0 && matches(&fake.objects[i], list, count)) {
            fake.found[fake.found_count++] = fake.objects[i].handle;
        }
    }
    return fake.find_init_rv;
}

static CK_RV find(CK_SESSION_HANDLE session UNUSED, CK_OBJECT_HANDLE *out, CK_ULONG max,
                  CK_ULONG *count)
{
    CK_ULONG most = fake.batch > 0 && fake.batch < max ? fake.batch : max;

    fake.finds++;
    if (fake.find_rv != CKR_OK && fake.batches++ == fake.find_fails_at) {
        return fake.find_rv;
    }
    *count = 0;
    while (*count < most && fake.found_at < fake.found_count) {
        out[(*count)++] = fake.found[fake.found_at++];
    }
    return CKR_OK;
}

static CK_RV find_final(CK_SESSION_HANDLE session UNUSED)
{
    fake.find_finals++;
    return CKR_OK;
}

/* PKCS#11 2.40 section 5.7, C_GetAttributeValue: every entry is processed, whatever went wrong. */
CK_RV fake_get_attributes(CK_SESSION_HANDLE session UNUSED, CK_OBJECT_HANDLE handle,
                          CK_ATTRIBUTE *list, CK_ULONG count)
{
    struct fake_object *object = object_of(handle);
    CK_RV rv = CKR_OK;

    if (object == NULL) {
        return CKR_OBJECT_HANDLE_INVALID;
    }
    for (CK_ULONG i = 0; i < count; i++) {
        const struct fake_attr *attr = attr_of(object, list[i].type);
        if (attr == NULL || attr->sensitive) {
            rv = attr == NULL ? CKR_ATTRIBUTE_TYPE_INVALID : CKR_ATTRIBUTE_SENSITIVE;
            list[i].ulValueLen = CK_UNAVAILABLE_INFORMATION;
        } else if (list[i].pValue != NULL && list[i].ulValueLen < attr->len) {
            rv = CKR_BUFFER_TOO_SMALL;
            list[i].ulValueLen = CK_UNAVAILABLE_INFORMATION;
        } else {
            if (list[i].pValue != NULL) {
                memcpy(list[i].pValue, attr->data, attr->len);
            }
            list[i].ulValueLen = attr->len;
        }
    }
    return rv;
}

static CK_RV get_attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *list,
                            CK_ULONG count)
{
    fake.attribute_calls++;
    return fake.get_attributes != NULL ? fake.get_attributes(session, object, list, count)
                                       : fake_get_attributes(session, object, list, count);
}

static CK_OBJECT_HANDLE store(const CK_ATTRIBUTE *list, CK_ULONG count)
{
    struct fake_object *object = new_object();

    for (CK_ULONG i = 0; i < count; i++) {
        set_attr(object, list[i].type, list[i].pValue, list[i].ulValueLen);
    }
    return object->handle;
}

/* As ykcs11 and SmartCard-HSM do it: the object in whose place the new one goes. */
static struct fake_object *place_of(CK_ATTRIBUTE *list, CK_ULONG count)
{
    for (size_t i = 0; i < FAKE_OBJECTS; i++) {
        struct fake_object *object = &fake.objects[i];
        for (CK_ULONG k = 0; object->handle != 0 && k < count; k++) {
            struct fake_attr *id = list[k].type == CKA_ID ? attr_of(object, CKA_ID) : NULL;
            struct fake_attr *value = attr_of(object, CKA_VALUE);
            if (id != NULL && value != NULL && id->len == list[k].ulValueLen &&
                memcmp(id->data, list[k].pValue, id->len) == 0) {
                return object;
            }
        }
    }
    return NULL;
}

static CK_OBJECT_HANDLE overwrite(CK_ATTRIBUTE *list, CK_ULONG count)
{
    struct fake_object *old = place_of(list, count);

    if (old == NULL) {
        return store(list, count);
    }
    for (CK_ULONG i = 0; i < count; i++) {
        set_attr(old, list[i].type, list[i].pValue, list[i].ulValueLen);
    }
    return old->handle;
}

static CK_RV create(CK_SESSION_HANDLE session UNUSED, CK_ATTRIBUTE *list, CK_ULONG count,
                    CK_OBJECT_HANDLE *out)
{
    fake.creates++;
    if (fake.create_rv == CKR_OK || fake.creates < fake.creates_fail_from) {
        *out = fake.create_forgets      ? 9999
               : fake.create_overwrites ? overwrite(list, count)
                                        : store(list, count);
        return CKR_OK;
    }
    return fake.create_rv;
}

static CK_RV destroy(CK_SESSION_HANDLE session UNUSED, CK_OBJECT_HANDLE handle)
{
    struct fake_object *object = object_of(handle);

    fake.destroys++;
    if (fake.destroy_rv != CKR_OK || object == NULL) {
        return fake.destroy_rv != CKR_OK ? fake.destroy_rv : CKR_OBJECT_HANDLE_INVALID;
    }
    free_object(object);
    return CKR_OK;
}

static void add_key_attributes(struct fake_object *object, CK_OBJECT_CLASS class)
{
    static const uint8_t point[65] = {0x04, 1, 2, 3};
    CK_KEY_TYPE type = CKK_EC;

    set_attr(object, CKA_CLASS, &class, sizeof(class));
    set_attr(object, CKA_KEY_TYPE, &type, sizeof(type));
    set_attr(object, CKA_EC_PARAMS, p256_params, sizeof(p256_params));
    if (!fake.no_public_half) {
        set_attr(object, CKA_EC_POINT, point, sizeof(point));
    }
}

static bool is_refused(const CK_ATTRIBUTE *list, CK_ULONG count)
{
    for (CK_ULONG i = 0; i < count; i++) {
        for (size_t k = 0; k < fake.refused_count; k++) {
            if (list[i].type == fake.refused[k]) {
                return true;
            }
        }
    }
    return false;
}

static CK_RV set_attributes(CK_SESSION_HANDLE session UNUSED, CK_OBJECT_HANDLE handle,
                            CK_ATTRIBUTE *list, CK_ULONG count)
{
    struct fake_object *object = object_of(handle);

    fake.sets++;
    if (object == NULL) {
        return CKR_OBJECT_HANDLE_INVALID;
    }
    if (fake.set_rv != CKR_OK && fake.sets >= fake.set_fails) {
        return fake.set_rv;
    }
    for (CK_ULONG i = 0; i < count; i++) {
        set_attr(object, list[i].type, list[i].pValue, list[i].ulValueLen);
    }
    return CKR_OK;
}

CK_RV fake_generate(CK_SESSION_HANDLE session UNUSED, CK_MECHANISM *mechanism UNUSED,
                    CK_ATTRIBUTE *public_list, CK_ULONG public_count, CK_ATTRIBUTE *private_list,
                    CK_ULONG private_count, CK_OBJECT_HANDLE *public_key,
                    CK_OBJECT_HANDLE *private_key)
{
    fake.generates++;
    if (is_refused(private_list, private_count)) {
        return fake.refused_rv;
    }
    if (fake.generate_rv != CKR_OK && !fake.generate_keeps) {
        return fake.generate_rv;
    }
    *public_key = store(public_list, public_count);
    add_key_attributes(object_of(*public_key), CKO_PUBLIC_KEY);
    *private_key = store(private_list, private_count);
    add_key_attributes(object_of(*private_key), CKO_PRIVATE_KEY);
    add_good_flags(object_of(*private_key));
    return fake.generate_rv;
}

static CK_RV mechanism_list(CK_SLOT_ID slot UNUSED, CK_MECHANISM_TYPE *list, CK_ULONG *count)
{
    fake.mechanism_lists++;
    if (list != NULL) {
        memcpy(list, fake.offered, fake.offered_count * sizeof(*list));
    }
    *count = fake.offered_count;
    return CKR_OK;
}

void fake_offer(const CK_MECHANISM_TYPE *list, size_t count)
{
    fake.offered = list;
    fake.offered_count = count;
    fake.fns.C_GetMechanismList = mechanism_list;
}

static bool is_offered(CK_MECHANISM_TYPE mechanism)
{
    for (CK_ULONG i = 0; i < fake.offered_count; i++) {
        if (fake.offered[i] == mechanism) {
            return true;
        }
    }
    return fake.offered == NULL;
}

static CK_RV sign_init(CK_SESSION_HANDLE session UNUSED, CK_MECHANISM *mechanism,
                       CK_OBJECT_HANDLE key)
{
    fake.sign_inits++;
    fake.used_handle = key;
    fake.used_mechanism = mechanism->mechanism;
    fake.signed_bytes = 0;
    if (!is_offered(mechanism->mechanism)) {
        return CKR_MECHANISM_INVALID;
    }
    if (fake.sign_init_fails > 0 && fake.sign_inits > fake.sign_init_fails) {
        return CKR_OK;
    }
    return fake.sign_init_rv;
}

static CK_RV copy_object(CK_SESSION_HANDLE session UNUSED, CK_OBJECT_HANDLE object UNUSED,
                         CK_ATTRIBUTE *list UNUSED, CK_ULONG count UNUSED, CK_OBJECT_HANDLE *copy)
{
    fake.copies++;
    *copy = FAKE_COPY;
    return fake.copy_rv;
}

static CK_RV decrypt_init(CK_SESSION_HANDLE session UNUSED, CK_MECHANISM *mechanism UNUSED,
                          CK_OBJECT_HANDLE key UNUSED)
{
    return CKR_OK;
}

static CK_RV decrypt(CK_SESSION_HANDLE session UNUSED, CK_BYTE *in UNUSED, CK_ULONG in_len UNUSED,
                     CK_BYTE *out, CK_ULONG *out_len)
{
    if (fake.decrypt_rv == CKR_OK) {
        out[0] = 'D';
        *out_len = 1;
    }
    return fake.decrypt_rv;
}

static CK_RV derive(CK_SESSION_HANDLE session UNUSED, CK_MECHANISM *mechanism,
                    CK_OBJECT_HANDLE base UNUSED, CK_ATTRIBUTE *list UNUSED, CK_ULONG count UNUSED,
                    CK_OBJECT_HANDLE *derived)
{
    const CK_ECDH1_DERIVE_PARAMS *params = mechanism->pParameter;
    bool is_der = params->ulPublicDataLen == 67 && params->pPublicData[0] == 0x04 &&
                  params->pPublicData[1] == 65 && params->pPublicData[2] == 0x04;

    fake.derives++;
    if (fake.derive_rv != CKR_OK && !is_der) {
        return fake.derive_rv;
    }
    *derived = fake_object(CKO_SECRET_KEY, NULL, NULL);
    fake_bytes(CKA_VALUE, "0123456789abcdef0123456789abcdef", 32);
    return CKR_OK;
}

static CK_RV initialize(void *args UNUSED)
{
    fake.initializes++;
    fake.token_info_rv = CKR_OK;
    return fake.initialize_rv;
}

static CK_RV sign(CK_SESSION_HANDLE session UNUSED, CK_BYTE *in UNUSED, CK_ULONG in_len,
                  CK_BYTE *out, CK_ULONG *out_len)
{
    fake.signs++;
    fake.signed_bytes = in_len;
    if (fake.sign_rv == CKR_OK) {
        memset(out, 'S', 64);
        *out_len = 64;
    }
    return fake.sign_rv;
}

static CK_RV sign_update(CK_SESSION_HANDLE session UNUSED, CK_BYTE *in UNUSED, CK_ULONG in_len)
{
    fake.sign_updates++;
    fake.signed_bytes += in_len;
    return fake.sign_update_rv;
}

static CK_RV sign_final(CK_SESSION_HANDLE session UNUSED, CK_BYTE *out, CK_ULONG *out_len)
{
    fake.sign_finals++;
    if (fake.sign_final_rv == CKR_OK) {
        memset(out, 'F', 64);
        *out_len = 64;
    }
    return fake.sign_final_rv;
}

void fake_begin(void)
{
    struct err err = ERR_INIT;
    struct hsm_process process = {.lock_dir = tmp_dir(), .lock_wait_ms = 1000};

    for (size_t i = 0; i < FAKE_OBJECTS; i++) {
        free_object(&fake.objects[i]);
    }
    free(fake.token.mechanisms);
    memset(&fake, 0, sizeof(fake));
    fake.fns = (CK_FUNCTION_LIST){.C_GetTokenInfo = get_token_info,
                                  .C_OpenSession = open_session,
                                  .C_CloseSession = close_session,
                                  .C_Login = login,
                                  .C_FindObjectsInit = find_init,
                                  .C_FindObjects = find,
                                  .C_FindObjectsFinal = find_final,
                                  .C_GetAttributeValue = get_attributes,
                                  .C_CreateObject = create,
                                  .C_DestroyObject = destroy,
                                  .C_GenerateKeyPair = fake_generate,
                                  .C_SetAttributeValue = set_attributes,
                                  .C_SignInit = sign_init,
                                  .C_CopyObject = copy_object,
                                  .C_Initialize = initialize,
                                  .C_DecryptInit = decrypt_init,
                                  .C_Decrypt = decrypt,
                                  .C_DeriveKey = derive,
                                  .C_SignUpdate = sign_update,
                                  .C_SignFinal = sign_final,
                                  .C_Sign = sign};
    fake.flip = CK_UNAVAILABLE_INFORMATION;
    fake.flags = CKF_TOKEN_INITIALIZED | CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED;
    fake.module.path = (char *)(uintptr_t) "/fake/module.so";
    fake.module.ck.fns = &fake.fns;
    fake.module.ck.name = fake.module.path;
    fake.module.ck.in_flight = &fake.module.in_flight;
    cryptoki_default_limits(&fake.module.ck);
    fake.module.tokens = &fake.token;
    fake.token.module = &fake.module;
    fake.token.present = true;
    fake.token.user = CKU_USER;
    fake.token.info = (struct hsm_token_info){.label = "prod",
                                              .serial = "12af",
                                              .manufacturer = "maker",
                                              .model = "model",
                                              .initialized = true,
                                              .login_required = true,
                                              .user_pin_set = true};
    (void)pthread_mutex_init(&fake.module.lock, NULL);
    hsm_token_init_locks(&fake.token);
    assert_true(hsm_token_init_shared(&fake.token));
    assert_ok(hsm_process_configure(&process, &err), &err);
}

struct hsm_session fake_session(void)
{
    return (struct hsm_session){.token = &fake.token, .handle = 1, .read_write = true};
}
