#include "provider/asym_cipher.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "provider/decrypt.h"
#include "provider/prov_err.h"
#include "provider/unpad.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <string.h>

/* Newer than the oldest headers we build with; the library at run time may know it all the same. */
#ifndef OSSL_ASYM_CIPHER_PARAM_IMPLICIT_REJECTION
#define OSSL_ASYM_CIPHER_PARAM_IMPLICIT_REJECTION "implicit-rejection"
#endif

DEFINE_AUTO(pkey_ctx, EVP_PKEY_CTX *, EVP_PKEY_CTX_free)

/* clang-format off */
static const struct {
    int number;
    const char *name;
} paddings[] = {
    {RSA_PKCS1_PADDING,          OSSL_PKEY_RSA_PAD_MODE_PKCSV15},
    {RSA_PKCS1_OAEP_PADDING,     OSSL_PKEY_RSA_PAD_MODE_OAEP},
    {RSA_NO_PADDING,             OSSL_PKEY_RSA_PAD_MODE_NONE},
    {RSA_PKCS1_WITH_TLS_PADDING, ""},
};
/* clang-format on */

static void *cipher_new(void *provctx)
{
    struct prov_cipher *cipher = calloc(1, sizeof(*cipher));

    if (cipher != NULL) {
        cipher->ctx = provctx;
        cipher->padding = RSA_PKCS1_PADDING;
    }
    return cipher;
}

static void cipher_free(void *vcipher)
{
    struct prov_cipher *cipher = vcipher;

    if (cipher == NULL) {
        return;
    }
    EVP_MD_free(cipher->oaep_md);
    EVP_MD_free(cipher->mgf1_md);
    EVP_PKEY_free(cipher->software);
    OPENSSL_free(cipher->label);
    prov_key_free(cipher->key);
    free(cipher);
}

DEFINE_AUTO(cipher, struct prov_cipher *, cipher_free)

static EVP_MD *md_ref(EVP_MD *md)
{
    return md != NULL && EVP_MD_up_ref(md) == 1 ? md : NULL;
}

static void *cipher_dup(void *vcipher)
{
    const struct prov_cipher *from = vcipher;
    AUTO(cipher) struct prov_cipher *to = cipher_new(from->ctx);

    if (to == NULL) {
        return NULL;
    }
    to->padding = from->padding;
    to->explicit_rejection = from->explicit_rejection;
    memcpy(to->tls_versions, from->tls_versions, sizeof(to->tls_versions));
    to->key = from->key != NULL ? prov_key_ref(from->key) : NULL;
    to->oaep_md = md_ref(from->oaep_md);
    to->mgf1_md = md_ref(from->mgf1_md);
    if (from->software != NULL && EVP_PKEY_up_ref(from->software) == 1) {
        to->software = from->software;
    }
    if (from->label != NULL) {
        to->label = OPENSSL_memdup(from->label, from->label_len);
        to->label_len = from->label_len;
    }
    return from->label == NULL || to->label != NULL ? TAKE(to) : NULL;
}

static bool set_padding(struct prov_cipher *cipher, const OSSL_PARAM *p, struct err *err)
{
    int number = 0;

    for (size_t i = 0; i < ARRAY_LEN(paddings); i++) {
        bool by_name = p->data_type == OSSL_PARAM_UTF8_STRING && paddings[i].name[0] != '\0' &&
                       str_equal_nocase(p->data, paddings[i].name);
        bool by_number = p->data_type == OSSL_PARAM_INTEGER &&
                         OSSL_PARAM_get_int(p, &number) == 1 && number == paddings[i].number;
        if (by_name || by_number) {
            cipher->padding = paddings[i].number;
            return true;
        }
    }
    return err_set(err, E_USAGE, "this RSA padding is not for decryption with token keys");
}

static bool set_digest(struct prov_cipher *cipher, const OSSL_PARAM params[], const char *name_key,
                       const char *propq_key, EVP_MD **digest, struct err *err)
{
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, name_key);
    const OSSL_PARAM *q = OSSL_PARAM_locate_const(params, propq_key);
    const char *name = NULL;
    const char *propq = NULL;

    if (p == NULL) {
        return true;
    }
    if (OSSL_PARAM_get_utf8_string_ptr(p, &name) != 1 || name == NULL ||
        (q != NULL && OSSL_PARAM_get_utf8_string_ptr(q, &propq) != 1)) {
        return err_set(err, E_USAGE, "the digest parameter is not a string");
    }
    EVP_MD *md = prov_ctx_fetch_digest(cipher->ctx, name, propq, NULL, err);
    if (md == NULL) {
        return false;
    }
    EVP_MD_free(*digest);
    *digest = md;
    return true;
}

static bool set_label(struct prov_cipher *cipher, const OSSL_PARAM *p, struct err *err)
{
    void *label = NULL;
    size_t len = 0;

    if (p == NULL) {
        return true;
    }
    if (OSSL_PARAM_get_octet_string(p, &label, 0, &len) != 1) {
        return err_set(err, E_USAGE, "the OAEP label is not a byte string");
    }
    OPENSSL_free(cipher->label);
    cipher->label = label;
    cipher->label_len = len;
    return true;
}

static bool set_numbers(struct prov_cipher *cipher, const OSSL_PARAM params[], struct err *err)
{
    const OSSL_PARAM *client =
        OSSL_PARAM_locate_const(params, OSSL_ASYM_CIPHER_PARAM_TLS_CLIENT_VERSION);
    const OSSL_PARAM *negotiated =
        OSSL_PARAM_locate_const(params, OSSL_ASYM_CIPHER_PARAM_TLS_NEGOTIATED_VERSION);
    const OSSL_PARAM *implicit =
        OSSL_PARAM_locate_const(params, OSSL_ASYM_CIPHER_PARAM_IMPLICIT_REJECTION);
    unsigned wanted = 1;

    if ((client != NULL && OSSL_PARAM_get_uint(client, &cipher->tls_versions[0]) != 1) ||
        (negotiated != NULL && OSSL_PARAM_get_uint(negotiated, &cipher->tls_versions[1]) != 1) ||
        (implicit != NULL && OSSL_PARAM_get_uint(implicit, &wanted) != 1)) {
        return err_set(err, E_USAGE, "a parameter of the decryption is not a number");
    }
    if (implicit != NULL) {
        cipher->explicit_rejection = wanted == 0;
    }
    return true;
}

static int set_ctx_params(void *vcipher, const OSSL_PARAM params[])
{
    struct prov_cipher *cipher = vcipher;
    struct err err = ERR_INIT;

    if (params == NULL) {
        return 1;
    }
    const OSSL_PARAM *pad = OSSL_PARAM_locate_const(params, OSSL_ASYM_CIPHER_PARAM_PAD_MODE);
    if ((pad == NULL || set_padding(cipher, pad, &err)) &&
        set_digest(cipher, params, OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST,
                   OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST_PROPS, &cipher->oaep_md, &err) &&
        set_digest(cipher, params, OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST,
                   OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST_PROPS, &cipher->mgf1_md, &err) &&
        set_label(cipher, OSSL_PARAM_locate_const(params, OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL),
                  &err) &&
        set_numbers(cipher, params, &err)) {
        return 1;
    }
    prov_raise(cipher->ctx, &err);
    return 0;
}

static bool get_padding(const struct prov_cipher *cipher, OSSL_PARAM *p)
{
    if (p == NULL || p->data_type == OSSL_PARAM_INTEGER) {
        return p == NULL || OSSL_PARAM_set_int(p, cipher->padding) == 1;
    }
    for (size_t i = 0; i < ARRAY_LEN(paddings); i++) {
        if (paddings[i].number == cipher->padding) {
            return OSSL_PARAM_set_utf8_string(p, paddings[i].name) == 1;
        }
    }
    return false;
}

static bool get_digest(const EVP_MD *md, OSSL_PARAM *p)
{
    return p == NULL ||
           OSSL_PARAM_set_utf8_string(p, md != NULL ? EVP_MD_get0_name(md) : "SHA1") == 1;
}

static bool get_uint(OSSL_PARAM *p, unsigned value)
{
    return p == NULL || OSSL_PARAM_set_uint(p, value) == 1;
}

static int get_ctx_params(void *vcipher, OSSL_PARAM params[])
{
    const struct prov_cipher *cipher = vcipher;
    const EVP_MD *mgf1 = cipher->mgf1_md != NULL ? cipher->mgf1_md : cipher->oaep_md;
    OSSL_PARAM *label = OSSL_PARAM_locate(params, OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL);

    return get_padding(cipher, OSSL_PARAM_locate(params, OSSL_ASYM_CIPHER_PARAM_PAD_MODE)) &&
           get_digest(cipher->oaep_md,
                      OSSL_PARAM_locate(params, OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST)) &&
           get_digest(mgf1, OSSL_PARAM_locate(params, OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST)) &&
           (label == NULL ||
            OSSL_PARAM_set_octet_ptr(label, cipher->label, cipher->label_len) == 1) &&
           get_uint(OSSL_PARAM_locate(params, OSSL_ASYM_CIPHER_PARAM_TLS_CLIENT_VERSION),
                    cipher->tls_versions[0]) &&
           get_uint(OSSL_PARAM_locate(params, OSSL_ASYM_CIPHER_PARAM_TLS_NEGOTIATED_VERSION),
                    cipher->tls_versions[1]) &&
           get_uint(OSSL_PARAM_locate(params, OSSL_ASYM_CIPHER_PARAM_IMPLICIT_REJECTION),
                    cipher->explicit_rejection ? 0 : 1);
}

static const OSSL_PARAM *gettable_ctx_params(void *vcipher UNUSED, void *provctx UNUSED)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST, NULL, 0),
        OSSL_PARAM_octet_ptr(OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL, NULL, 0),
        OSSL_PARAM_uint(OSSL_ASYM_CIPHER_PARAM_TLS_CLIENT_VERSION, NULL),
        OSSL_PARAM_uint(OSSL_ASYM_CIPHER_PARAM_TLS_NEGOTIATED_VERSION, NULL),
        OSSL_PARAM_uint(OSSL_ASYM_CIPHER_PARAM_IMPLICIT_REJECTION, NULL),
        OSSL_PARAM_END,
    };

    return params;
}

static const OSSL_PARAM *settable_ctx_params(void *vcipher UNUSED, void *provctx UNUSED)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST_PROPS, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST_PROPS, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL, NULL, 0),
        OSSL_PARAM_uint(OSSL_ASYM_CIPHER_PARAM_TLS_CLIENT_VERSION, NULL),
        OSSL_PARAM_uint(OSSL_ASYM_CIPHER_PARAM_TLS_NEGOTIATED_VERSION, NULL),
        OSSL_PARAM_uint(OSSL_ASYM_CIPHER_PARAM_IMPLICIT_REJECTION, NULL),
        OSSL_PARAM_END,
    };

    return params;
}

static bool start(struct prov_cipher *cipher, struct prov_key *key, struct err *err)
{
    if (key != NULL && key != cipher->key) {
        prov_key_free(cipher->key);
        cipher->key = prov_key_ref(key);
        EVP_PKEY_free(cipher->software);
        cipher->software = NULL;
    }
    if (cipher->key == NULL || prov_key_is_empty(cipher->key)) {
        return err_set(err, E_OBJECT_MISSING, "no key was given for the decryption");
    }
    return true;
}

static int decrypt_start(void *vcipher, void *key, const OSSL_PARAM params[])
{
    struct prov_cipher *cipher = vcipher;
    struct err err = ERR_INIT;

    if (!start(cipher, key, &err)) {
        prov_raise(cipher->ctx, &err);
        return 0;
    }
    if (!prov_key_is_private(cipher->key)) {
        (void)err_set(&err, E_USAGE, "%s is a public key and cannot decrypt",
                      prov_key_name(cipher->key));
        prov_raise(cipher->ctx, &err);
        return 0;
    }
    return set_ctx_params(cipher, params);
}

static int encrypt_start(void *vcipher, void *key, const OSSL_PARAM params[])
{
    struct prov_cipher *cipher = vcipher;
    struct err err = ERR_INIT;

    if (!start(cipher, key, &err) ||
        (cipher->software == NULL &&
         !prov_key_software_public(cipher->key, &cipher->software, &err))) {
        prov_raise(cipher->ctx, &err);
        return 0;
    }
    return set_ctx_params(cipher, params);
}

/*
 * As much room as the block has, however short the message will turn out: a complaint that depends
 * on the message would tell about it.
 */
static bool has_room(const struct prov_cipher *cipher, size_t room)
{
    struct err err = ERR_INIT;
    bool tls = cipher->padding == RSA_PKCS1_WITH_TLS_PADDING;
    size_t need = tls ? (size_t)UNPAD_PREMASTER_BYTES : prov_key_max_size(cipher->key);

    if (room >= need) {
        return true;
    }
    (void)err_set(&err, E_USAGE, "decryption needs room for %zu bytes and there is %zu", need,
                  room);
    prov_raise(cipher->ctx, &err);
    return false;
}

static int op_decrypt(void *vcipher, unsigned char *out, size_t *out_len, size_t room,
                      const unsigned char *in, size_t in_len)
{
    struct prov_cipher *cipher = vcipher;
    struct err err = ERR_INIT;
    uint8_t message[HSM_RSA_BYTES_MAX];
    size_t len = sizeof(message);

    if (out == NULL) {
        *out_len = cipher->padding == RSA_PKCS1_WITH_TLS_PADDING ? (size_t)UNPAD_PREMASTER_BYTES
                                                                 : prov_key_max_size(cipher->key);
        return 1;
    }
    if (!has_room(cipher, room)) {
        return 0;
    }
    bool ok = prov_decrypt(cipher, in, in_len, message, &len, &err);
    if (ok) {
        memcpy(out, message, len);
        *out_len = len;
    } else {
        prov_raise(cipher->ctx, &err);
    }
    OPENSSL_cleanse(message, sizeof(message));
    return ok;
}

static bool set_up_oaep(const struct prov_cipher *cipher, EVP_PKEY_CTX *encrypt)
{
    if ((cipher->oaep_md != NULL && EVP_PKEY_CTX_set_rsa_oaep_md(encrypt, cipher->oaep_md) <= 0) ||
        (cipher->mgf1_md != NULL && EVP_PKEY_CTX_set_rsa_mgf1_md(encrypt, cipher->mgf1_md) <= 0)) {
        return false;
    }
    if (cipher->label == NULL) {
        return true;
    }
    void *label = OPENSSL_memdup(cipher->label, cipher->label_len);
    if (label != NULL &&
        EVP_PKEY_CTX_set0_rsa_oaep_label(encrypt, label, (int)cipher->label_len) > 0) {
        return true;
    }
    OPENSSL_free(label);
    return false;
}

static int op_encrypt(void *vcipher, unsigned char *out, size_t *out_len, size_t room,
                      const unsigned char *in, size_t in_len)
{
    struct prov_cipher *cipher = vcipher;
    AUTO(pkey_ctx)
    EVP_PKEY_CTX *encrypt = EVP_PKEY_CTX_new_from_pkey(prov_ctx_libctx(cipher->ctx),
                                                       cipher->software, "provider!=p11enroll");

    if (encrypt == NULL || EVP_PKEY_encrypt_init(encrypt) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(encrypt, cipher->padding) <= 0 ||
        (cipher->padding == RSA_PKCS1_OAEP_PADDING && !set_up_oaep(cipher, encrypt))) {
        return 0;
    }
    *out_len = room;
    return EVP_PKEY_encrypt(encrypt, out, out_len, in, in_len) == 1;
}

const OSSL_DISPATCH prov_asym_cipher_rsa[] = {
    {OSSL_FUNC_ASYM_CIPHER_NEWCTX, (void (*)(void))cipher_new},
    {OSSL_FUNC_ASYM_CIPHER_FREECTX, (void (*)(void))cipher_free},
    {OSSL_FUNC_ASYM_CIPHER_DUPCTX, (void (*)(void))cipher_dup},
    {OSSL_FUNC_ASYM_CIPHER_DECRYPT_INIT, (void (*)(void))decrypt_start},
    {OSSL_FUNC_ASYM_CIPHER_DECRYPT, (void (*)(void))op_decrypt},
    {OSSL_FUNC_ASYM_CIPHER_ENCRYPT_INIT, (void (*)(void))encrypt_start},
    {OSSL_FUNC_ASYM_CIPHER_ENCRYPT, (void (*)(void))op_encrypt},
    {OSSL_FUNC_ASYM_CIPHER_SET_CTX_PARAMS, (void (*)(void))set_ctx_params},
    {OSSL_FUNC_ASYM_CIPHER_SETTABLE_CTX_PARAMS, (void (*)(void))settable_ctx_params},
    {OSSL_FUNC_ASYM_CIPHER_GET_CTX_PARAMS, (void (*)(void))get_ctx_params},
    {OSSL_FUNC_ASYM_CIPHER_GETTABLE_CTX_PARAMS, (void (*)(void))gettable_ctx_params},
    {0, NULL},
};
