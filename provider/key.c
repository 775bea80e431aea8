#include "provider/key.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "provider/pin.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/param_build.h>
#include <stdio.h>
#include <string.h>

DEFINE_AUTO(param_bld, OSSL_PARAM_BLD *, OSSL_PARAM_BLD_free)
DEFINE_AUTO(params, OSSL_PARAM *, OSSL_PARAM_free)
DEFINE_AUTO(bn, BIGNUM *, BN_free)
DEFINE_AUTO(ec_group, EC_GROUP *, EC_GROUP_free)
DEFINE_AUTO(ec_point, EC_POINT *, EC_POINT_free)
DEFINE_AUTO(pkey_ctx, EVP_PKEY_CTX *, EVP_PKEY_CTX_free)

enum { NAME_MAX_CHARS = 512 };

struct prov_key *prov_key_new(struct prov_ctx *ctx, struct hsm_key *hsm)
{
    struct prov_key *key = calloc(1, sizeof(*key));

    if (key == NULL) {
        return NULL;
    }
    atomic_init(&key->refs, 1);
    atomic_init(&key->learned, NULL);
    atomic_init(&key->public_asked, hsm->public.known || hsm->token == NULL);
    atomic_init(&key->refused, 0);
    key->ctx = ctx;
    key->hsm = *hsm;
    memset(hsm, 0, sizeof(*hsm));
    return key;
}

struct prov_key *prov_key_new_empty(struct prov_ctx *ctx)
{
    struct hsm_key none = {.token = NULL};

    return prov_key_new(ctx, &none);
}

bool prov_key_set_public(struct prov_key *key, const struct hsm_key_spec *spec,
                         struct hsm_public *public)
{
    char *label = str_dup("imported");

    if (label == NULL) {
        return false;
    }
    key->hsm =
        (struct hsm_key){.class = CKO_PUBLIC_KEY, .spec = *spec, .label = label, .public = *public};
    memset(public, 0, sizeof(*public));
    atomic_store(&key->public_asked, true);
    return true;
}

/* Takes *public over. */
static bool learn(struct prov_key *key, struct hsm_public *public)
{
    struct hsm_public *copy = malloc(sizeof(*copy));
    struct hsm_public *none = NULL;

    if (copy == NULL) {
        return false;
    }
    *copy = *public;
    memset(public, 0, sizeof(*public));
    if (!atomic_compare_exchange_strong(&key->learned, &none, copy)) {
        hsm_public_done(copy); /* another thread was faster, with the same result */
        free(copy);
    }
    return true;
}

bool prov_key_adopt_public(struct prov_key *key, const struct hsm_public *public)
{
    struct hsm_public copy = *public; /* a point, which owns no memory */

    return learn(key, &copy);
}

bool prov_key_set_origin(struct prov_key *key, const struct hsm_uri *uri)
{
    key->uri_module_path = str_dup(uri->module_path);
    key->uri_pin_source = str_dup(uri->pin_source);
    return (key->uri_module_path != NULL || uri->module_path == NULL) &&
           (key->uri_pin_source != NULL || uri->pin_source == NULL);
}

const char *prov_key_type(const struct prov_key *key)
{
    return hsm_key_evp_type(&key->hsm);
}

void prov_key_introduce(struct prov_ctx *ctx, OSSL_CALLBACK *cb, void *cb_arg)
{
    static const char *const types[] = {"p11enroll-none", "RSA",   "RSA-PSS", "EC",
                                        "ED25519",        "ED448", "X25519",  "X448"};
    struct prov_key *none = NULL;

    (void)ERR_set_mark();
    atomic_store(&ctx->shows_keymgmt, true);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        (void)prov_key_hand_over(&none, types[i], cb, cb_arg);
    }
    (void)ERR_pop_to_mark();
}

bool prov_key_hand_over(struct prov_key **key, const char *data_type, OSSL_CALLBACK *cb,
                        void *cb_arg)
{
    int type = OSSL_OBJECT_PKEY;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, (char *)(uintptr_t)data_type,
                                         0),
        OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_REFERENCE, key, sizeof(*key)),
        OSSL_PARAM_END,
    };

    return cb(params, cb_arg) == 1;
}

struct prov_key *prov_key_ref(struct prov_key *key)
{
    atomic_fetch_add(&key->refs, 1);
    return key;
}

void prov_key_free(struct prov_key *key)
{
    if (key == NULL || atomic_fetch_sub(&key->refs, 1) > 1) {
        return;
    }
    struct hsm_public *learned = atomic_load(&key->learned);
    if (learned != NULL) {
        hsm_public_done(learned);
        free(learned);
    }
    hsm_key_done(&key->hsm);
    free(key->uri_module_path);
    free(key->uri_pin_source);
    free(key);
}

const char *prov_key_name(const struct prov_key *key)
{
    static _Thread_local char name[NAME_MAX_CHARS];

    if (key->hsm.token == NULL) {
        return "a software key";
    }
    (void)snprintf(name, sizeof(name), "key '%s' on %s", key->hsm.label,
                   hsm_token_name(&key->hsm.token->info));
    return name;
}

bool prov_key_set_foreign_point(struct prov_key *key, const struct hsm_curve *curve,
                                const uint8_t *point, size_t len)
{
    struct hsm_public *public = &key->hsm.public;

    (void)ERR_set_mark();
    AUTO(ec_group)
    EC_GROUP *group =
        EC_GROUP_new_by_curve_name_ex(prov_ctx_libctx(key->ctx), NULL, OBJ_sn2nid(curve->group));
    AUTO(ec_point) EC_POINT *p = group != NULL ? EC_POINT_new(group) : NULL;
    size_t size = p != NULL && EC_POINT_oct2point(group, p, point, len, NULL) == 1
                      ? EC_POINT_point2oct(group, p, POINT_CONVERSION_UNCOMPRESSED, public->point,
                                           sizeof(public->point), NULL)
                      : 0;
    (void)ERR_pop_to_mark();
    if (size != 1 + 2 * curve->field_bytes) {
        return false; /* infinity is one byte */
    }
    public->point_len = size;
    public->known = true;
    key->hsm.class = CKO_PUBLIC_KEY;
    key->hsm.spec = (struct hsm_key_spec){.type = HSM_KEY_EC, .bits = curve->bits, .curve = curve};
    return true;
}

size_t prov_key_max_size(const struct prov_key *key)
{
    const struct hsm_key_spec *spec = &key->hsm.spec;

    if (spec->type == HSM_KEY_OTHER) {
        return 0;
    }
    if (spec->type == HSM_KEY_RSA) {
        return ((size_t)spec->bits + 7) / 8;
    }
    if (spec->type != HSM_KEY_EC) {
        /* R || S; of an X key, what EVP_PKEY_get_size(3) is then: the public key */
        return (spec->type == HSM_KEY_ED ? 2 : 1) * spec->curve->field_bytes;
    }
    /* ECDSA-Sig-Value: SEQUENCE of two INTEGERs, each with a possible leading zero. */
    size_t integer = 2 + spec->curve->field_bytes + 1;
    size_t content = 2 * integer;
    return content + (content > 127 ? 3 : 2);
}

static const struct hsm_public *known_public(const struct prov_key *key)
{
    return key->hsm.public.known ? &key->hsm.public : atomic_load(&key->learned);
}

/* Threads that come here at once all ask the token, and one answer stays. */
static bool ask_for_public(struct prov_key *key, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_public) struct hsm_public public = {.known = false};

    if (known_public(key) != NULL || atomic_load(&key->public_asked)) {
        return true;
    }
    if (!hsm_session_take(key->hsm.token, false, &session, err) ||
        !hsm_key_search_public(&session, &key->hsm, &public, err)) {
        return false;
    }
    if (public.known && !learn(key, &public)) {
        return err_nomem(err);
    }
    atomic_store(&key->public_asked, true);
    return true;
}

bool prov_key_check_public(const struct prov_key *key, struct err *err)
{
    if (prov_key_is_empty(key)) {
        return err_set(err, E_OBJECT_MISSING, "the key has no content");
    }
    if (!ask_for_public((struct prov_key *)(uintptr_t)key, err)) {
        return err_wrap(err, "the public half of key '%s'", key->hsm.label);
    }
    return known_public(key) != NULL ||
           err_set(err, E_TOKEN,
                   "the public half of %s is not known: the token has neither a public key nor a "
                   "certificate for it",
                   prov_key_name(key));
}

const struct hsm_public *prov_key_public(const struct prov_key *key)
{
    struct err ignored = ERR_INIT;

    return prov_key_check_public(key, &ignored) ? known_public(key) : NULL;
}

static bool push_rsa(OSSL_PARAM_BLD *bld, const BIGNUM *n, const BIGNUM *e)
{
    return n != NULL && e != NULL && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
           OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e) == 1;
}

/* Ed and X keys have no group: their type is the curve. */
static bool push_point(OSSL_PARAM_BLD *bld, const struct hsm_key_spec *spec,
                       const struct hsm_public *public)
{
    return (spec->type != HSM_KEY_EC ||
            OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, spec->curve->group,
                                            0) == 1) &&
           OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, public->point,
                                            public->point_len) == 1;
}

bool prov_key_export_public(const struct prov_key *key, OSSL_CALLBACK *cb, void *cb_arg)
{
    const struct hsm_public *public = prov_key_public(key);
    AUTO(param_bld) OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();

    if (bld == NULL || public == NULL) {
        return false;
    }
    /* The numbers must outlive the conversion, so they are declared beside the builder. */
    bool rsa = key->hsm.spec.type == HSM_KEY_RSA;
    AUTO(bn) BIGNUM *n = rsa ? BN_bin2bn(public->modulus, (int)public->modulus_len, NULL) : NULL;
    AUTO(bn) BIGNUM *e = rsa ? BN_bin2bn(public->exponent, (int)public->exponent_len, NULL) : NULL;
    if (rsa ? !push_rsa(bld, n, e) : !push_point(bld, &key->hsm.spec, public)) {
        return false;
    }
    AUTO(params) OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    return params != NULL && cb(params, cb_arg) == 1;
}

struct import {
    const struct prov_key *key;
    EVP_PKEY *pkey;
};

static int import_public(const OSSL_PARAM params[], void *arg)
{
    struct import *import = arg;
    AUTO(pkey_ctx)
    EVP_PKEY_CTX *ctx =
        EVP_PKEY_CTX_new_from_name(prov_ctx_libctx(import->key->ctx),
                                   hsm_key_evp_type(&import->key->hsm), "provider!=p11enroll");

    return ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
           EVP_PKEY_fromdata(ctx, &import->pkey, EVP_PKEY_PUBLIC_KEY,
                             (OSSL_PARAM *)(uintptr_t)params) == 1;
}

bool prov_key_software_public(const struct prov_key *key, EVP_PKEY **out, struct err *err)
{
    struct import import = {.key = key, .pkey = NULL};

    if (!prov_key_check_public(key, err)) {
        return false;
    }
    if (!prov_key_export_public(key, import_public, &import)) {
        return err_set(err, E_TOKEN, "the public half of %s cannot be used", prov_key_name(key));
    }
    *out = import.pkey;
    return true;
}

/* hsm_pin_fn */
static bool operation_pin(void *ctx, const struct hsm_token_info *token, struct secret *pin,
                          struct err *err)
{
    const struct prov_key *key = ctx;
    struct hsm_uri uri = {.module_path = key->uri_module_path, .pin_source = key->uri_pin_source};
    struct prov_pin asking = {.prov = key->ctx, .uri = &uri};

    return prov_pin_get(&asking, token, pin, err) ||
           err_wrap(err, "key '%s' on %s", key->hsm.label, hsm_token_name(token));
}

struct hsm_pin prov_key_pin(struct prov_key *key)
{
    return (struct hsm_pin){.get = operation_pin,
                            .ctx = key,
                            .source = key->uri_pin_source != NULL ? key->uri_pin_source
                                                                  : key->ctx->pin_source};
}
