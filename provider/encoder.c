#include "provider/encoder.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "hsm/pem_uri.h"
#include "provider/key.h"
#include "provider/prov_err.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/encoder.h>
#include <openssl/evp.h>
#include <openssl/params.h>

DEFINE_AUTO(bio, BIO *, BIO_free)
DEFINE_AUTO(pkey, EVP_PKEY *, EVP_PKEY_free)
DEFINE_AUTO(encoder_ctx, OSSL_ENCODER_CTX *, OSSL_ENCODER_CTX_free)

struct encoder {
    struct prov_ctx *prov;
    bool encrypts; /* a cipher was set */
};

static void *new_ctx(void *provctx)
{
    struct encoder *encoder = calloc(1, sizeof(*encoder));

    if (encoder != NULL) {
        encoder->prov = provctx;
    }
    return encoder;
}

static void free_ctx(void *encoder)
{
    free(encoder);
}

static const OSSL_PARAM *settable_ctx_params(void *provctx UNUSED)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_ENCODER_PARAM_CIPHER, NULL, 0),
        OSSL_PARAM_END,
    };

    return params;
}

static int set_ctx_params(void *vencoder, const OSSL_PARAM params[])
{
    struct encoder *encoder = vencoder;
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_ENCODER_PARAM_CIPHER);
    const char *name = NULL;

    if (p != NULL) {
        encoder->encrypts = OSSL_PARAM_get_utf8_string_ptr(p, &name) == 1 && name != NULL;
    }
    return 1;
}

static int selects_public(void *provctx UNUSED, int selection)
{
    return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 &&
           (selection == 0 || (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0);
}

static int selects_private(void *provctx UNUSED, int selection)
{
    return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0;
}

static int selects_any(void *provctx UNUSED, int selection)
{
    return selection == 0 || (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0;
}

/* What an encoder writes: false with err. */
typedef bool write_fn(const struct prov_key *key, int selection, BIO *out, struct err *err);

static int encode(const struct encoder *encoder, OSSL_CORE_BIO *cout, const void *key,
                  int selection, write_fn *write)
{
    AUTO(bio) BIO *out = BIO_new_from_core_bio(prov_child_libctx(encoder->prov->child), cout);
    struct err err = ERR_INIT;

    if (out == NULL || key == NULL) {
        return 0;
    }
    if (!write(key, selection, out, &err)) {
        prov_raise(encoder->prov, &err);
        return 0;
    }
    return 1;
}

/* The public half is software's to write: the bytes are those that everybody else gets. */
static bool write_public(const struct prov_key *key, BIO *out, const char *type,
                         const char *structure, struct err *err)
{
    AUTO(pkey) EVP_PKEY *public = NULL;

    if (!prov_key_software_public(key, &public, err)) {
        return false;
    }
    AUTO(encoder_ctx)
    OSSL_ENCODER_CTX *ctx = OSSL_ENCODER_CTX_new_for_pkey(public, EVP_PKEY_PUBLIC_KEY, type,
                                                          structure, "provider!=p11enroll");
    return (ctx != NULL && OSSL_ENCODER_to_bio(ctx, out) == 1) ||
           err_set(err, E_INTERNAL, "the public half of key '%s' cannot be written as %s %s",
                   key->hsm.label, structure != NULL ? structure : "", type);
}

static bool put(BIO *out, const struct buf *text, struct err *err)
{
    return buf_ok(text) && BIO_write(out, buf_str(text), (int)text->len) == (int)text->len
               ? true
               : err_set(err, E_IO, "the key cannot be written");
}

/* The head of a DER element of at most 255 bytes. */
static void put_header(struct buf *der, int tag, size_t len)
{
    const uint8_t head[] = {(uint8_t)tag, 0x81, (uint8_t)len};

    buf_add(der, head, 1);
    buf_add(der, len > 127 ? head + 1 : head + 2, len > 127 ? 2 : 1);
}

/*
 * SubjectPublicKeyInfo of a key on a curve (RFC 5480 section 2, RFC 8410 section 4), which is put
 * together here: each request and each self-signed certificate asks for it, and OpenSSL collects
 * its two hundred encoders anew for the same bytes. The point has been checked by then.
 */
static bool curve_spki(const struct hsm_curve *curve, const struct hsm_public *public, BIO *out,
                       struct err *err)
{
    static const uint8_t ec_public_key[] = {0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
    const bool ec = curve->type == HSM_KEY_EC;
    const size_t algorithm = curve->oid_der_len + (ec ? sizeof(ec_public_key) : 0);
    const size_t bits = 1 + public->point_len; /* of which none is unused */
    const size_t content = 2 + algorithm + (bits > 127 ? 3 : 2) + bits;
    AUTO(buf) struct buf der = BUF_INIT(HSM_POINT_MAX + 64);

    put_header(&der, V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED, content);
    put_header(&der, V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED, algorithm);
    buf_add(&der, ec_public_key, ec ? sizeof(ec_public_key) : 0);
    buf_add(&der, curve->oid_der, curve->oid_der_len);
    put_header(&der, V_ASN1_BIT_STRING, bits);
    buf_add(&der, "", 1);
    buf_add(&der, public->point, public->point_len);
    return put(out, &der, err);
}

static bool spki_der(const struct prov_key *key, int selection UNUSED, BIO *out, struct err *err)
{
    AUTO(pkey) EVP_PKEY *valid = NULL;

    if (key->hsm.spec.curve == NULL) {
        return write_public(key, out, "DER", "SubjectPublicKeyInfo", err);
    }
    return prov_key_software_public(key, &valid, err) &&
           curve_spki(key->hsm.spec.curve, prov_key_public(key), out, err);
}

static bool spki_pem(const struct prov_key *key, int selection UNUSED, BIO *out, struct err *err)
{
    return write_public(key, out, "PEM", "SubjectPublicKeyInfo", err);
}

static bool pkcs1_der(const struct prov_key *key, int selection UNUSED, BIO *out, struct err *err)
{
    return write_public(key, out, "DER", "type-specific", err);
}

static bool pkcs1_pem(const struct prov_key *key, int selection UNUSED, BIO *out, struct err *err)
{
    return write_public(key, out, "PEM", "type-specific", err);
}

/* A URI that finds the key again, under this configuration, with no PIN in it. */
static bool key_uri(const struct prov_key *key, struct buf *out, struct err *err)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    bool other_module = key->uri_module_path != NULL &&
                        (key->ctx->module_path == NULL ||
                         !prov_ctx_is_configured_module(key->ctx, key->uri_module_path));

    if (!hsm_key_file_uri(&key->hsm, &uri, err) ||
        (other_module && !hsm_uri_set(&uri.module_path, key->uri_module_path, err)) ||
        (key->uri_pin_source != NULL && !hsm_uri_set(&uri.pin_source, key->uri_pin_source, err))) {
        return false;
    }
    hsm_uri_format_with_query(&uri, out);
    return buf_ok(out) || err_set(err, E_USAGE, "the URI of key '%s' is longer than %d characters",
                                  key->hsm.label, HSM_URI_MAX);
}

static bool uri_pem(const struct prov_key *key, int selection UNUSED, BIO *out, struct err *err)
{
    AUTO(buf) struct buf uri = BUF_INIT(HSM_URI_MAX);
    AUTO(buf) struct buf pem = BUF_INIT(HSM_PEM_URI_TEXT_MAX);

    if (!prov_key_is_private(key)) {
        return err_set(err, E_USAGE, "'%s' is a public key", key->hsm.label);
    }
    return key_uri(key, &uri, err) && hsm_pem_uri_write(buf_str(&uri), &pem, err) &&
           put(out, &pem, err);
}

static bool text(const struct prov_key *key, int selection, BIO *out, struct err *err)
{
    AUTO(buf) struct buf head = BUF_INIT(2 * HSM_URI_MAX);
    AUTO(buf) struct buf uri = BUF_INIT(HSM_URI_MAX);

    if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 || !prov_key_is_private(key)) {
        return write_public(key, out, "TEXT", NULL, err);
    }
    if (!key_uri(key, &uri, err)) {
        return false;
    }
    buf_addf(&head, "Private key in %s; it does not leave the token\nURI: %s\n",
             hsm_token_name(&key->hsm.token->info), buf_str(&uri));
    if (!prov_key_has_public(key)) {
        buf_add_str(&head, "The public half is not known\n");
        return put(out, &head, err);
    }
    return put(out, &head, err) && write_public(key, out, "TEXT", NULL, err);
}

static int encode_uri_pem(void *vencoder, OSSL_CORE_BIO *cout, const void *vkey,
                          const OSSL_PARAM abstract[] UNUSED, int selection,
                          OSSL_PASSPHRASE_CALLBACK *cb UNUSED, void *cb_arg UNUSED)
{
    struct encoder *encoder = vencoder;
    const struct prov_key *key = vkey;
    struct err err = ERR_INIT;

    if (encoder->encrypts && key != NULL && !prov_key_is_empty(key)) {
        (void)err_set(&err, E_USAGE,
                      "the private key '%s' does not leave %s, so nothing can be "
                      "encrypted",
                      key->hsm.label, hsm_token_name(&key->hsm.token->info));
        prov_raise(encoder->prov, &err);
        return 0;
    }
    return encode(encoder, cout, key, selection, uri_pem);
}

/* clang-format off */
#define ENCODER(name, selects, function)                                                           \
    const OSSL_DISPATCH prov_encoder_##name[] = {                                                  \
        {OSSL_FUNC_ENCODER_NEWCTX, (void (*)(void))new_ctx},                                       \
        {OSSL_FUNC_ENCODER_FREECTX, (void (*)(void))free_ctx},                                     \
        {OSSL_FUNC_ENCODER_SETTABLE_CTX_PARAMS, (void (*)(void))settable_ctx_params},              \
        {OSSL_FUNC_ENCODER_SET_CTX_PARAMS, (void (*)(void))set_ctx_params},                        \
        {OSSL_FUNC_ENCODER_DOES_SELECTION, (void (*)(void))(selects)},                             \
        {OSSL_FUNC_ENCODER_ENCODE, (void (*)(void))(function)},                                    \
        {0, NULL},                                                                                 \
    }

#define PLAIN_ENCODER(name, selects)                                                               \
    static int encode_##name(void *encoder, OSSL_CORE_BIO *cout, const void *key,                  \
                             const OSSL_PARAM abstract[] UNUSED, int selection,                    \
                             OSSL_PASSPHRASE_CALLBACK *cb UNUSED, void *cb_arg UNUSED)             \
    {                                                                                              \
        return encode(encoder, cout, key, selection, name);                                        \
    }                                                                                              \
    ENCODER(name, selects, encode_##name)

PLAIN_ENCODER(spki_der,  selects_public);
PLAIN_ENCODER(spki_pem,  selects_public);
PLAIN_ENCODER(pkcs1_der, selects_public);
PLAIN_ENCODER(pkcs1_pem, selects_public);
PLAIN_ENCODER(text,      selects_any);
ENCODER(uri_pem, selects_private, encode_uri_pem);
/* clang-format on */
