/* See raw.h. */
#include "raw.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SLOTS = 64, LABEL = 64 };

void die(const char *what, unsigned long code)
{
    (void)fprintf(stderr, "p11bench: %s: 0x%lx\n", what, code);
    _exit(1);
}

static void must(CK_RV rv, const char *what)
{
    if (rv != CKR_OK) {
        die(what, rv);
    }
}

static CK_SLOT_ID find_token(CK_FUNCTION_LIST *p11, const char *label)
{
    CK_SLOT_ID slots[MAX_SLOTS];
    CK_ULONG count = MAX_SLOTS;
    CK_TOKEN_INFO info;
    size_t len = strlen(label);

    must(p11->C_GetSlotList(CK_TRUE, slots, &count), "C_GetSlotList");
    for (CK_ULONG i = 0; i < count; i++) {
        must(p11->C_GetTokenInfo(slots[i], &info), "C_GetTokenInfo");
        if (len <= sizeof(info.label) && memcmp(info.label, label, len) == 0 &&
            (len == sizeof(info.label) || info.label[len] == ' ')) {
            return slots[i];
        }
    }
    die("no token has that label", count);
}

struct raw raw_open(const char *module, const char *token, const char *pin, int read_write)
{
    struct raw r = {0};
    CK_C_GetFunctionList get = NULL;
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
    CK_FLAGS flags = CKF_SERIAL_SESSION | (read_write ? CKF_RW_SESSION : 0);

    void *handle = dlopen(module, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        die(dlerror(), 0);
    }
    *(void **)(&get) = dlsym(handle, "C_GetFunctionList");
    must(get(&r.p11), "C_GetFunctionList");
    CK_RV rv = r.p11->C_Initialize(&args);
    must(rv == CKR_CRYPTOKI_ALREADY_INITIALIZED ? CKR_OK : rv, "C_Initialize");
    r.slot = find_token(r.p11, token);
    must(r.p11->C_OpenSession(r.slot, flags, NULL, NULL, &r.session), "C_OpenSession");
    rv = r.p11->C_Login(r.session, CKU_USER, (CK_UTF8CHAR *)pin, strlen(pin));
    must(rv == CKR_USER_ALREADY_LOGGED_IN ? CKR_OK : rv, "C_Login");
    return r;
}

static CK_OBJECT_HANDLE find(const struct raw *r, CK_OBJECT_CLASS class, CK_ATTRIBUTE by)
{
    CK_OBJECT_HANDLE found[2];
    CK_ULONG count = 0;
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof(class)}, by};

    must(r->p11->C_FindObjectsInit(r->session, template, 2), "C_FindObjectsInit");
    must(r->p11->C_FindObjects(r->session, found, 2, &count), "C_FindObjects");
    must(r->p11->C_FindObjectsFinal(r->session), "C_FindObjectsFinal");
    if (count != 1) {
        die("the key is not there once", count);
    }
    return found[0];
}

CK_OBJECT_HANDLE raw_find(const struct raw *r, const char *label)
{
    CK_ATTRIBUTE by_label = {CKA_LABEL, (void *)label, strlen(label)};

    return find(r, CKO_PRIVATE_KEY, by_label);
}

CK_OBJECT_HANDLE raw_find_pair(const struct raw *r, const char *label)
{
    CK_OBJECT_HANDLE key = raw_find(r, label);
    uint8_t id_value[LABEL];
    uint8_t point_value[256];
    CK_ATTRIBUTE id = {CKA_ID, id_value, sizeof(id_value)};
    CK_ATTRIBUTE point = {CKA_EC_POINT, point_value, sizeof(point_value)};

    must(r->p11->C_GetAttributeValue(r->session, key, &id, 1), "C_GetAttributeValue(CKA_ID)");
    must(r->p11->C_GetAttributeValue(r->session, find(r, CKO_PUBLIC_KEY, id), &point, 1),
         "C_GetAttributeValue(CKA_EC_POINT)");
    return key;
}

void raw_sign(const struct raw *r, CK_OBJECT_HANDLE key, int rsa, const uint8_t digest[32])
{
    /* RFC 8017, section 9.2, note 1: the DigestInfo of SHA-256 */
    static const uint8_t prefix[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                     0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
    CK_MECHANISM mechanism = {rsa ? CKM_RSA_PKCS : CKM_ECDSA, NULL, 0};
    uint8_t data[sizeof(prefix) + 32];
    uint8_t sig[512];
    CK_ULONG sig_len = sizeof(sig);
    size_t at = 0;

    if (rsa) {
        memcpy(data, prefix, sizeof(prefix));
        at = sizeof(prefix);
    }
    memcpy(data + at, digest, 32);
    must(r->p11->C_SignInit(r->session, &mechanism, key), "C_SignInit");
    must(r->p11->C_Sign(r->session, data, at + 32, sig, &sig_len), "C_Sign");
}

CK_OBJECT_HANDLE raw_copy(const struct raw *r, CK_OBJECT_HANDLE key)
{
    CK_BBOOL no = CK_FALSE;
    CK_ATTRIBUTE template = {CKA_TOKEN, &no, sizeof(no)};
    CK_OBJECT_HANDLE copy = 0;

    must(r->p11->C_CopyObject(r->session, key, &template, 1, &copy), "C_CopyObject");
    return copy;
}

static long list_class(const struct raw *r, CK_OBJECT_CLASS class)
{
    CK_OBJECT_HANDLE found[256];
    CK_ULONG count = 0;
    CK_ULONG kind = 0;
    uint8_t id[256];
    uint8_t label[256];
    long total = 0;
    CK_ATTRIBUTE template = {CKA_CLASS, &class, sizeof(class)};

    must(r->p11->C_FindObjectsInit(r->session, &template, 1), "C_FindObjectsInit");
    do {
        must(r->p11->C_FindObjects(r->session, found, 256, &count), "C_FindObjects");
        for (CK_ULONG i = 0; i < count; i++) {
            CK_ATTRIBUTE list[] = {{CKA_KEY_TYPE, &kind, sizeof(kind)},
                                   {CKA_ID, id, sizeof(id)},
                                   {CKA_LABEL, label, sizeof(label)}};
            must(r->p11->C_GetAttributeValue(r->session, found[i], list, 3), "C_GetAttributeValue");
        }
        total += (long)count;
    } while (count > 0);
    must(r->p11->C_FindObjectsFinal(r->session), "C_FindObjectsFinal");
    return total;
}

long raw_list(const struct raw *r)
{
    return list_class(r, CKO_PRIVATE_KEY) + list_class(r, CKO_PUBLIC_KEY);
}

struct raw raw_another_session(const struct raw *r)
{
    struct raw other = *r;

    must(r->p11->C_OpenSession(r->slot, CKF_SERIAL_SESSION, NULL, NULL, &other.session),
         "C_OpenSession");
    return other;
}

/* What both kinds of pair have in common: kept on the token, found by label, made for signing. */
static void generate(const struct raw *r, CK_MECHANISM_TYPE type, CK_ATTRIBUTE *kind,
                     CK_ULONG kind_count, const char *label)
{
    CK_BBOOL yes = CK_TRUE;
    CK_BBOOL no = CK_FALSE;
    CK_MECHANISM mechanism = {type, NULL, 0};
    CK_OBJECT_HANDLE pub = 0;
    CK_OBJECT_HANDLE priv = 0;
    CK_ATTRIBUTE name[] = {{CKA_LABEL, (void *)label, strlen(label)},
                           {CKA_ID, (void *)label, strlen(label)},
                           {CKA_TOKEN, &yes, sizeof(yes)}};
    CK_ATTRIBUTE pub_template[6] = {name[0], name[1], name[2], {CKA_VERIFY, &yes, sizeof(yes)}};
    CK_ATTRIBUTE priv_template[] = {
        name[0],
        name[1],
        name[2],
        {CKA_SIGN, &yes, sizeof(yes)},
        {CKA_PRIVATE, &yes, sizeof(yes)},
        {CKA_SENSITIVE, &yes, sizeof(yes)},
        {CKA_EXTRACTABLE, &no, sizeof(no)},
    };

    memcpy(&pub_template[4], kind, kind_count * sizeof(*kind));
    must(r->p11->C_GenerateKeyPair(r->session, &mechanism, pub_template, 4 + kind_count,
                                   priv_template, 7, &pub, &priv),
         "C_GenerateKeyPair");
}

void raw_generate_ec(const struct raw *r, long first, long last)
{
    static uint8_t p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    char label[LABEL];

    for (long i = first; i < last; i++) {
        CK_ATTRIBUTE kind = {CKA_EC_PARAMS, p256, sizeof(p256)};
        (void)snprintf(label, sizeof(label), "k-%ld", i);
        generate(r, CKM_EC_KEY_PAIR_GEN, &kind, 1, label);
    }
}

void raw_generate_rsa(const struct raw *r, const char *label)
{
    static uint8_t exponent[] = {0x01, 0x00, 0x01};
    CK_ULONG bits = 2048;
    CK_ATTRIBUTE kind[] = {{CKA_MODULUS_BITS, &bits, sizeof(bits)},
                           {CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent)}};

    generate(r, CKM_RSA_PKCS_KEY_PAIR_GEN, kind, 2, label);
}
