#include "provider/exchange.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "hsm/op.h"
#include "provider/key.h"
#include "provider/prov_err.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

DEFINE_AUTO(kdf, EVP_KDF *, EVP_KDF_free)
DEFINE_AUTO(kdf_ctx, EVP_KDF_CTX *, EVP_KDF_CTX_free)

enum { SECRET_BYTES_MAX = 66 }; /* a coordinate on P-521 */

/* One key agreement. */
struct exchange {
    struct prov_ctx *ctx;
    struct prov_key *key;
    struct prov_key *peer;
    int cofactor_mode; /* remembered alone: the cofactor of our curves is 1 */
    bool x963;         /* the secret goes through X9.63's KDF, as CMS wants it */
    EVP_MD *kdf_md;
    size_t kdf_len;
    uint8_t *kdf_ukm; /* owned by OPENSSL_malloc() */
    size_t kdf_ukm_len;
};

static void *exchange_new(void *provctx)
{
    struct exchange *exchange = calloc(1, sizeof(*exchange));

    if (exchange != NULL) {
        exchange->ctx = provctx;
        exchange->cofactor_mode = -1;
        atomic_fetch_add(&exchange->ctx->agreements, 1);
    }
    return exchange;
}

static void exchange_free(void *vexchange)
{
    struct exchange *exchange = vexchange;

    if (exchange == NULL) {
        return;
    }
    atomic_fetch_sub(&exchange->ctx->agreements, 1);
    prov_key_free(exchange->key);
    prov_key_free(exchange->peer);
    EVP_MD_free(exchange->kdf_md);
    OPENSSL_clear_free(exchange->kdf_ukm, exchange->kdf_ukm_len);
    free(exchange);
}

DEFINE_AUTO(exchange, struct exchange *, exchange_free)

static void *exchange_dup(void *vexchange)
{
    const struct exchange *from = vexchange;
    AUTO(exchange) struct exchange *to = exchange_new(from->ctx);

    if (to == NULL) {
        return NULL;
    }
    to->key = from->key != NULL ? prov_key_ref(from->key) : NULL;
    to->peer = from->peer != NULL ? prov_key_ref(from->peer) : NULL;
    to->cofactor_mode = from->cofactor_mode;
    to->x963 = from->x963;
    to->kdf_len = from->kdf_len;
    if (from->kdf_md != NULL && EVP_MD_up_ref(from->kdf_md) == 1) {
        to->kdf_md = from->kdf_md;
    }
    if (from->kdf_ukm != NULL) {
        to->kdf_ukm = OPENSSL_memdup(from->kdf_ukm, from->kdf_ukm_len);
        to->kdf_ukm_len = from->kdf_ukm_len;
    }
    return from->kdf_ukm == NULL || to->kdf_ukm != NULL ? TAKE(to) : NULL;
}

static bool set_kdf_type(struct exchange *exchange, const OSSL_PARAM *p, struct err *err)
{
    const char *name = NULL;

    if (p == NULL) {
        return true;
    }
    if (OSSL_PARAM_get_utf8_string_ptr(p, &name) != 1 || name == NULL ||
        (name[0] != '\0' && !str_equal_nocase(name, OSSL_KDF_NAME_X963KDF))) {
        return err_set(err, E_USAGE, "after a key agreement there is the KDF X963KDF, or none");
    }
    exchange->x963 = name[0] != '\0';
    return true;
}

static bool set_kdf_digest(struct exchange *exchange, const OSSL_PARAM params[], struct err *err)
{
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_EXCHANGE_PARAM_KDF_DIGEST);
    const OSSL_PARAM *q = OSSL_PARAM_locate_const(params, OSSL_EXCHANGE_PARAM_KDF_DIGEST_PROPS);
    const char *name = NULL;
    const char *propq = NULL;

    if (p == NULL) {
        return true;
    }
    if (OSSL_PARAM_get_utf8_string_ptr(p, &name) != 1 || name == NULL ||
        (q != NULL && OSSL_PARAM_get_utf8_string_ptr(q, &propq) != 1)) {
        return err_set(err, E_USAGE, "the digest parameter is not a string");
    }
    EVP_MD *md = prov_ctx_fetch_digest(exchange->ctx, name, propq, NULL, err);
    if (md == NULL) {
        return false;
    }
    EVP_MD_free(exchange->kdf_md);
    exchange->kdf_md = md;
    return true;
}

static bool set_ukm(struct exchange *exchange, const OSSL_PARAM *p, struct err *err)
{
    void *ukm = NULL;
    size_t len = 0;

    if (p == NULL) {
        return true;
    }
    if (p->data != NULL && p->data_size > 0 && OSSL_PARAM_get_octet_string(p, &ukm, 0, &len) != 1) {
        return err_set(err, E_USAGE, "the keying material of the user is not a byte string");
    }
    OPENSSL_clear_free(exchange->kdf_ukm, exchange->kdf_ukm_len);
    exchange->kdf_ukm = ukm;
    exchange->kdf_ukm_len = len;
    return true;
}

static bool set_numbers(struct exchange *exchange, const OSSL_PARAM params[], struct err *err)
{
    const OSSL_PARAM *mode =
        OSSL_PARAM_locate_const(params, OSSL_EXCHANGE_PARAM_EC_ECDH_COFACTOR_MODE);
    const OSSL_PARAM *len = OSSL_PARAM_locate_const(params, OSSL_EXCHANGE_PARAM_KDF_OUTLEN);

    return ((mode == NULL || (OSSL_PARAM_get_int(mode, &exchange->cofactor_mode) == 1 &&
                              exchange->cofactor_mode >= -1 && exchange->cofactor_mode <= 1)) &&
            (len == NULL || OSSL_PARAM_get_size_t(len, &exchange->kdf_len) == 1)) ||
           err_set(err, E_USAGE, "a parameter of the key agreement is not a possible number");
}

static int set_ctx_params(void *vexchange, const OSSL_PARAM params[])
{
    struct exchange *exchange = vexchange;
    struct err err = ERR_INIT;

    if (params == NULL ||
        (set_kdf_type(exchange, OSSL_PARAM_locate_const(params, OSSL_EXCHANGE_PARAM_KDF_TYPE),
                      &err) &&
         set_kdf_digest(exchange, params, &err) &&
         set_ukm(exchange, OSSL_PARAM_locate_const(params, OSSL_EXCHANGE_PARAM_KDF_UKM), &err) &&
         set_numbers(exchange, params, &err))) {
        return 1;
    }
    prov_raise(exchange->ctx, &err);
    return 0;
}

static int get_ctx_params(void *vexchange, OSSL_PARAM params[])
{
    const struct exchange *exchange = vexchange;
    OSSL_PARAM *mode = OSSL_PARAM_locate(params, OSSL_EXCHANGE_PARAM_EC_ECDH_COFACTOR_MODE);
    OSSL_PARAM *type = OSSL_PARAM_locate(params, OSSL_EXCHANGE_PARAM_KDF_TYPE);
    OSSL_PARAM *md = OSSL_PARAM_locate(params, OSSL_EXCHANGE_PARAM_KDF_DIGEST);
    OSSL_PARAM *len = OSSL_PARAM_locate(params, OSSL_EXCHANGE_PARAM_KDF_OUTLEN);
    OSSL_PARAM *ukm = OSSL_PARAM_locate(params, OSSL_EXCHANGE_PARAM_KDF_UKM);
    const char *md_name = exchange->kdf_md != NULL ? EVP_MD_get0_name(exchange->kdf_md) : "";

    return (mode == NULL ||
            OSSL_PARAM_set_int(mode, exchange->cofactor_mode < 0 ? 0 : exchange->cofactor_mode)) &&
           (type == NULL ||
            OSSL_PARAM_set_utf8_string(type, exchange->x963 ? OSSL_KDF_NAME_X963KDF : "")) &&
           (md == NULL || OSSL_PARAM_set_utf8_string(md, md_name)) &&
           (len == NULL || OSSL_PARAM_set_size_t(len, exchange->kdf_len)) &&
           (ukm == NULL || OSSL_PARAM_set_octet_ptr(ukm, exchange->kdf_ukm, exchange->kdf_ukm_len));
}

static const OSSL_PARAM *gettable_ctx_params(void *vexchange UNUSED, void *provctx UNUSED)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_int(OSSL_EXCHANGE_PARAM_EC_ECDH_COFACTOR_MODE, NULL),
        OSSL_PARAM_utf8_string(OSSL_EXCHANGE_PARAM_KDF_TYPE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_EXCHANGE_PARAM_KDF_DIGEST, NULL, 0),
        OSSL_PARAM_size_t(OSSL_EXCHANGE_PARAM_KDF_OUTLEN, NULL),
        OSSL_PARAM_octet_ptr(OSSL_EXCHANGE_PARAM_KDF_UKM, NULL, 0),
        OSSL_PARAM_END,
    };

    return params;
}

static const OSSL_PARAM *settable_ctx_params(void *vexchange UNUSED, void *provctx UNUSED)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_int(OSSL_EXCHANGE_PARAM_EC_ECDH_COFACTOR_MODE, NULL),
        OSSL_PARAM_utf8_string(OSSL_EXCHANGE_PARAM_KDF_TYPE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_EXCHANGE_PARAM_KDF_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_EXCHANGE_PARAM_KDF_DIGEST_PROPS, NULL, 0),
        OSSL_PARAM_size_t(OSSL_EXCHANGE_PARAM_KDF_OUTLEN, NULL),
        OSSL_PARAM_octet_string(OSSL_EXCHANGE_PARAM_KDF_UKM, NULL, 0),
        OSSL_PARAM_END,
    };

    return params;
}

static int exchange_start(void *vexchange, void *vkey, const OSSL_PARAM params[])
{
    struct exchange *exchange = vexchange;
    struct prov_key *key = vkey;
    struct err err = ERR_INIT;

    if (key == NULL || prov_key_is_empty(key) || !prov_key_is_private(key)) {
        (void)err_set(&err, E_USAGE, "a key agreement needs a private key");
        prov_raise(exchange->ctx, &err);
        return 0;
    }
    struct prov_key *old = exchange->key;
    exchange->key = prov_key_ref(key);
    prov_key_free(old);
    return set_ctx_params(exchange, params);
}

static int set_peer(void *vexchange, void *vpeer)
{
    struct exchange *exchange = vexchange;
    struct prov_key *peer = vpeer;
    struct err err = ERR_INIT;

    if (exchange->key == NULL || peer == NULL) {
        (void)err_set(&err, E_USAGE, "a key agreement needs the peer's public key");
    } else if (!prov_key_check_public(peer, &err)) {
        (void)err_wrap(&err, "a key agreement needs the peer's public key");
    } else if (peer->hsm.spec.curve != exchange->key->hsm.spec.curve) {
        (void)err_set(&err, E_USAGE, "the peer's key is not on the curve of key '%s'",
                      exchange->key->hsm.label);
    } else {
        struct prov_key *old = exchange->peer;
        exchange->peer = prov_key_ref(peer);
        prov_key_free(old);
        return 1;
    }
    prov_raise(exchange->ctx, &err);
    return 0;
}

static bool agree(struct exchange *exchange, uint8_t *secret, size_t len, struct err *err)
{
    const struct hsm_pin pin = prov_key_pin(exchange->key);
    const struct hsm_public *public = prov_key_public(exchange->peer);

    if (public == NULL) {
        return err_set(err, E_USAGE, "a key agreement needs the peer's public key");
    }
    (void)ERR_set_mark(); /* a module that uses libcrypto itself leaves its errors there */
    bool ok =
        hsm_derive(&exchange->key->hsm, &pin, public->point, public->point_len, secret, len, err);
    (void)ERR_pop_to_mark();
    if (ok) {
        return true;
    }
    return err->native == CKR_KEY_FUNCTION_NOT_PERMITTED
               ? err_wrap(err, "the key was not made for key agreement (CKA_DERIVE)")
               : false;
}

/* ANSI X9.63 section 5.6.3, in software. */
static bool apply_kdf(struct exchange *exchange, uint8_t *secret, size_t len, uint8_t *out,
                      struct err *err)
{
    const char *md = exchange->kdf_md != NULL ? EVP_MD_get0_name(exchange->kdf_md) : "SHA256";
    AUTO(kdf)
    EVP_KDF *kdf = EVP_KDF_fetch(prov_ctx_libctx(exchange->ctx), OSSL_KDF_NAME_X963KDF, NULL);
    AUTO(kdf_ctx) EVP_KDF_CTX *ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)md, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret, len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, exchange->kdf_ukm,
                                          exchange->kdf_ukm_len),
        OSSL_PARAM_END,
    };

    if (exchange->kdf_ukm == NULL) {
        params[2] = OSSL_PARAM_construct_end();
    }
    return (ctx != NULL && EVP_KDF_derive(ctx, out, exchange->kdf_len, params) == 1) ||
           err_set(err, E_INTERNAL, "the KDF X963KDF does not work with %s", md);
}

static bool derive(struct exchange *exchange, uint8_t *out, size_t room, size_t *out_len,
                   struct err *err)
{
    uint8_t secret[SECRET_BYTES_MAX];
    size_t len = exchange->key->hsm.spec.curve->field_bytes;
    size_t need = exchange->x963 ? exchange->kdf_len : len;

    if (out == NULL) {
        *out_len = need;
        return true;
    }
    if (exchange->peer == NULL) {
        return err_set(err, E_USAGE, "a key agreement needs the peer's public key");
    }
    if (room < need || len > sizeof(secret)) {
        return err_set(err, E_USAGE, "the secret has %zu bytes and there is room for %zu", need,
                       room);
    }
    bool ok = agree(exchange, secret, len, err);
    if (ok && exchange->x963) {
        ok = apply_kdf(exchange, secret, len, out, err);
    } else if (ok) {
        memcpy(out, secret, len);
    }
    OPENSSL_cleanse(secret, sizeof(secret));
    *out_len = ok ? need : *out_len;
    return ok;
}

static int op_derive(void *vexchange, unsigned char *out, size_t *out_len, size_t room)
{
    struct exchange *exchange = vexchange;
    struct err err = ERR_INIT;

    if (exchange->key != NULL && derive(exchange, out, room, out_len, &err)) {
        return 1;
    }
    prov_raise(exchange->ctx, &err);
    return 0;
}

const OSSL_DISPATCH prov_exchange_ecdh[] = {
    {OSSL_FUNC_KEYEXCH_NEWCTX, (void (*)(void))exchange_new},
    {OSSL_FUNC_KEYEXCH_FREECTX, (void (*)(void))exchange_free},
    {OSSL_FUNC_KEYEXCH_DUPCTX, (void (*)(void))exchange_dup},
    {OSSL_FUNC_KEYEXCH_INIT, (void (*)(void))exchange_start},
    {OSSL_FUNC_KEYEXCH_SET_PEER, (void (*)(void))set_peer},
    {OSSL_FUNC_KEYEXCH_DERIVE, (void (*)(void))op_derive},
    {OSSL_FUNC_KEYEXCH_SET_CTX_PARAMS, (void (*)(void))set_ctx_params},
    {OSSL_FUNC_KEYEXCH_SETTABLE_CTX_PARAMS, (void (*)(void))settable_ctx_params},
    {OSSL_FUNC_KEYEXCH_GET_CTX_PARAMS, (void (*)(void))get_ctx_params},
    {OSSL_FUNC_KEYEXCH_GETTABLE_CTX_PARAMS, (void (*)(void))gettable_ctx_params},
    {0, NULL},
};
