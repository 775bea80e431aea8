/*
 * The provider's index: read this first.
 *
 *   names.def       which algorithms there are
 *   store.c         "pkcs11:" URIs -> keys and certificates
 *   decoder.c       PEM files with such a URI -> keys
 *   encoder.c       keys -> public halves, text, and such PEM files
 *   keymgmt*.c      what OpenSSL asks about a key
 *   signature*.c    signing with it
 *   trial.c         finding out with a signature which public key is its other half
 *   asym_cipher.c   decrypting with it
 *   exchange.c      agreeing on a secret with it
 *   locate.c        the token and the objects that a URI means; pin.c: where PINs come from
 *
 * Nothing touches the token before a URI is loaded.
 */
#include "provider/provider.h"

#include "base/compiler.h"
#include "hsm/cryptoki.h"
#include "provider/asym_cipher.h"
#include "provider/ctx.h"
#include "provider/decoder.h"
#include "provider/encoder.h"
#include "provider/exchange.h"
#include "provider/keymgmt.h"
#include "provider/prov_err.h"
#include "provider/signature.h"
#include "provider/store.h"
#include "version.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/params.h>

#define PROPERTIES "provider=" PROV_NAME

#define X(symbol, names, description)                                                              \
    static const char symbol[] = names;                                                            \
    static const char symbol##_TEXT[] = description;
#include "provider/names.def"
#undef X

static const OSSL_ALGORITHM keymgmt_algorithms[] = {
    {PROV_RSA, PROPERTIES, prov_keymgmt_rsa, PROV_RSA_TEXT},
    {PROV_RSA_PSS, PROPERTIES, prov_keymgmt_rsa_pss, PROV_RSA_PSS_TEXT},
    {PROV_EC, PROPERTIES, prov_keymgmt_ec, PROV_EC_TEXT},
    {PROV_ED25519, PROPERTIES, prov_keymgmt_ed25519, PROV_ED25519_TEXT},
    {PROV_ED448, PROPERTIES, prov_keymgmt_ed448, PROV_ED448_TEXT},
    {PROV_X25519, PROPERTIES, prov_keymgmt_x, PROV_X25519_TEXT},
    {PROV_X448, PROPERTIES, prov_keymgmt_x, PROV_X448_TEXT},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM signature_algorithms[] = {
    {PROV_RSA, PROPERTIES, prov_signature_rsa, PROV_RSA_TEXT},
    {PROV_ECDSA, PROPERTIES, prov_signature_ecdsa, PROV_ECDSA_TEXT},
    {PROV_ED25519, PROPERTIES, prov_signature_ed, PROV_ED25519_TEXT},
    {PROV_ED448, PROPERTIES, prov_signature_ed, PROV_ED448_TEXT},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM asym_cipher_algorithms[] = {
    {PROV_RSA, PROPERTIES, prov_asym_cipher_rsa, PROV_RSA_TEXT},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM exchange_algorithms[] = {
    {PROV_ECDH, PROPERTIES, prov_exchange_ecdh, PROV_ECDH_TEXT},
    {NULL, NULL, NULL, NULL},
};

/* What OpenSSL asks of a decoder beside its functions: what it reads. Its name says what it makes.
 */
#define FROM_PEM PROPERTIES ",input=pem"
#define FROM_DER PROPERTIES ",input=der,structure=" PROV_DECODER_STRUCTURE

/*
 * One decoder makes keys of every kind: which one it is nobody knows before the token has been
 * asked. OpenSSL takes a decoder into account if its name is one of a key management, so it has the
 * name of one. Each further row would cost everybody who reads a software key some microseconds.
 */
static const OSSL_ALGORITHM decoder_algorithms[] = {
    {"DER", FROM_PEM, prov_decoder_pem, "PEM files with a PKCS#11 URI"},
    {PROV_RSA, FROM_DER, prov_decoder_key, "keys in a PKCS#11 token by URI"},
    {NULL, NULL, NULL, NULL},
};

/* The same for encoders: what they write. */
#define TO(output, structure) PROPERTIES ",output=" output ",structure=" structure
#define TO_TEXT PROPERTIES ",output=text"

/* clang-format off */
#define ENCODERS_OF(names, text)                                                                   \
    {names, TO("der", "SubjectPublicKeyInfo"), prov_encoder_spki_der, text},                       \
    {names, TO("pem", "SubjectPublicKeyInfo"), prov_encoder_spki_pem, text},                       \
    {names, TO("pem", "PrivateKeyInfo"),       prov_encoder_uri_pem,  text},                       \
    {names, TO_TEXT,                           prov_encoder_text,     text}

static const OSSL_ALGORITHM encoder_algorithms[] = {
    ENCODERS_OF(PROV_RSA, PROV_RSA_TEXT),
    ENCODERS_OF(PROV_RSA_PSS, PROV_RSA_PSS_TEXT),
    ENCODERS_OF(PROV_EC, PROV_EC_TEXT),
    ENCODERS_OF(PROV_ED25519, PROV_ED25519_TEXT),
    ENCODERS_OF(PROV_ED448, PROV_ED448_TEXT),
    ENCODERS_OF(PROV_X25519, PROV_X25519_TEXT),
    ENCODERS_OF(PROV_X448, PROV_X448_TEXT),
    {PROV_RSA, TO("der", "type-specific"), prov_encoder_pkcs1_der, PROV_RSA_TEXT},
    {PROV_RSA, TO("pem", "type-specific"), prov_encoder_pkcs1_pem, PROV_RSA_TEXT},
    {PROV_RSA, TO("der", "pkcs1"),         prov_encoder_pkcs1_der, PROV_RSA_TEXT},
    {PROV_RSA, TO("pem", "pkcs1"),         prov_encoder_pkcs1_pem, PROV_RSA_TEXT},
    {NULL, NULL, NULL, NULL},
};
/* clang-format on */

static const OSSL_ALGORITHM store_algorithms[] = {
    {"pkcs11", PROPERTIES, prov_store, "PKCS#11 URIs (RFC 7512)"},
    {NULL, NULL, NULL, NULL},
};

/*
 * OpenSSL takes, for a name without further wishes, the implementation it has met first. Were ours
 * met before the default provider's, nobody in the process could make or import a software key: no
 * TLS handshake would succeed. So where "default" was active before us, key management is offered
 * from the beginning; where it comes after us in openssl.cnf, only from the moment on when a key is
 * handed out, and by then the default provider's has been met (store.c).
 */
static const OSSL_ALGORITHM *query_keymgmt(const struct prov_ctx *ctx, int *no_cache)
{
    if (!atomic_load(&ctx->shows_keymgmt)) {
        *no_cache = 1;
        return NULL;
    }
    return keymgmt_algorithms;
}

static const OSSL_ALGORITHM *query_operation(void *provctx, int operation_id, int *no_cache)
{
    *no_cache = 0;
    if (cryptoki_inside()) {
        /* The module itself asks libcrypto for something: it must not end up inside itself. */
        *no_cache = 1;
        return NULL;
    }
    switch (operation_id) {
    case OSSL_OP_KEYMGMT:
        return query_keymgmt(provctx, no_cache);
    case OSSL_OP_SIGNATURE:
        return signature_algorithms;
    case OSSL_OP_ASYM_CIPHER:
        return asym_cipher_algorithms;
    case OSSL_OP_KEYEXCH:
        return exchange_algorithms;
    case OSSL_OP_DECODER:
        return decoder_algorithms;
    case OSSL_OP_ENCODER:
        return encoder_algorithms;
    case OSSL_OP_STORE:
        return store_algorithms;
    default:
        return NULL;
    }
}

static const OSSL_PARAM *gettable_params(void *provctx UNUSED)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_NAME, NULL, 0),
        OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_VERSION, NULL, 0),
        OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_BUILDINFO, NULL, 0),
        OSSL_PARAM_int(OSSL_PROV_PARAM_STATUS, NULL),
        OSSL_PARAM_END,
    };

    return params;
}

static int get_params(void *provctx UNUSED, OSSL_PARAM params[])
{
    static const struct {
        const char *key;
        const char *value;
    } texts[] = {
        {OSSL_PROV_PARAM_NAME, "p11enroll PKCS#11 provider"},
        {OSSL_PROV_PARAM_VERSION, P11ENROLL_VERSION},
        {OSSL_PROV_PARAM_BUILDINFO, "p11enroll " P11ENROLL_VERSION},
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        OSSL_PARAM *p = OSSL_PARAM_locate(params, texts[i].key);
        if (p != NULL && OSSL_PARAM_set_utf8_ptr(p, texts[i].value) != 1) {
            return 0;
        }
    }
    OSSL_PARAM *status = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_STATUS);
    return status == NULL || OSSL_PARAM_set_int(status, 1) == 1;
}

/* Keys and sessions belong to hsm and end with the process (hsm/module.c); here is only memory. */
static void teardown(void *provctx)
{
    prov_ctx_free(provctx);
}

static const OSSL_DISPATCH provider_functions[] = {
    {OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))teardown},
    {OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, (void (*)(void))gettable_params},
    {OSSL_FUNC_PROVIDER_GET_PARAMS, (void (*)(void))get_params},
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query_operation},
    {OSSL_FUNC_PROVIDER_GET_REASON_STRINGS, (void (*)(void))prov_reason_strings},
    {0, NULL},
};

int prov_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
              void **provctx)
{
    struct prov_ctx *ctx = NULL;

    if (!prov_ctx_new(handle, in, &ctx)) {
        return 0;
    }
    *provctx = ctx;
    *out = provider_functions;
    return 1;
}
