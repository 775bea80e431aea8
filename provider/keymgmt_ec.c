#include "provider/keymgmt.h"

#include "base/cleanup.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/obj_mac.h>
#include <openssl/params.h>

DEFINE_AUTO(bn, BIGNUM *, BN_free)

/* A coordinate of the point: 04 || X || Y. */
static bool set_coordinate(OSSL_PARAM params[], const char *name, const struct prov_key *key,
                           int index)
{
    OSSL_PARAM *p = OSSL_PARAM_locate(params, name);

    if (p == NULL || !prov_keymgmt_public_wanted(key, p)) {
        return p == NULL;
    }
    const struct hsm_public *public = prov_key_public(key);
    size_t size = (public->point_len - 1) / 2;
    AUTO(bn) BIGNUM *bn = BN_bin2bn(public->point + 1 + (size_t)index * size, (int)size, NULL);
    return bn != NULL && OSSL_PARAM_set_BN(p, bn) == 1;
}

static int get_params(void *keydata, OSSL_PARAM params[])
{
    const struct prov_key *key = keydata;
    const struct hsm_curve *curve = key->hsm.spec.curve;

    if (curve == NULL) {
        return 0;
    }
    return prov_keymgmt_set_int(params, OSSL_PKEY_PARAM_BITS, curve->bits) &&
           prov_keymgmt_set_int(params, OSSL_PKEY_PARAM_SECURITY_BITS, curve->security_bits) &&
           prov_keymgmt_set_int(params, OSSL_PKEY_PARAM_MAX_SIZE, (int)prov_key_max_size(key)) &&
           prov_keymgmt_set_int(params, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, 0) &&
           prov_keymgmt_set_string(params, OSSL_PKEY_PARAM_GROUP_NAME, curve->group) &&
           prov_keymgmt_set_string(params, OSSL_PKEY_PARAM_EC_FIELD_TYPE, SN_X9_62_prime_field) &&
           prov_keymgmt_set_string(params, OSSL_PKEY_PARAM_EC_ENCODING,
                                   OSSL_PKEY_EC_ENCODING_GROUP) &&
           prov_keymgmt_set_string(params, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                   "uncompressed") &&
           prov_keymgmt_set_string(params, OSSL_PKEY_PARAM_DEFAULT_DIGEST, "SHA256") &&
           prov_keymgmt_set_point(params, OSSL_PKEY_PARAM_PUB_KEY, key) &&
           prov_keymgmt_set_point(params, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, key) &&
           set_coordinate(params, OSSL_PKEY_PARAM_EC_PUB_X, key, 0) &&
           set_coordinate(params, OSSL_PKEY_PARAM_EC_PUB_Y, key, 1);
}

static const OSSL_PARAM *gettable_params(void *provctx UNUSED)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, NULL),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_FIELD_TYPE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_EC_PUB_X, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_EC_PUB_Y, NULL, 0),
        OSSL_PARAM_END,
    };

    return params;
}

/* The public half can be put into a key that has parameters alone, and into no other. */
static int set_params(void *keydata, const OSSL_PARAM params[])
{
    struct prov_key *key = keydata;
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY);
    const void *point = NULL;
    size_t len = 0;

    if (p == NULL) {
        return 1;
    }
    return prov_key_is_empty(key) && key->hsm.spec.curve != NULL &&
           OSSL_PARAM_get_octet_string_ptr(p, &point, &len) == 1 &&
           prov_key_set_foreign_point(key, key->hsm.spec.curve, point, len);
}

static const OSSL_PARAM *settable_params(void *provctx UNUSED)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
        OSSL_PARAM_END,
    };

    return params;
}

static const OSSL_PARAM *export_types(int selection)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
        OSSL_PARAM_END,
    };

    return (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 ? params : NULL;
}

/*
 * The default provider's names, although a name of our own would save OpenSSL a vain attempt to
 * move the key there at each signature: that attempt also makes it remember the default provider's
 * key management for software keys. Without it, ours is remembered, and nobody can make one any
 * more.
 */
static const char *operation_name(int operation_id)
{
    return operation_id == OSSL_OP_SIGNATURE ? "ECDSA"
           : operation_id == OSSL_OP_KEYEXCH ? "ECDH"
                                             : NULL;
}

const OSSL_DISPATCH prov_keymgmt_ec[] = {
    PROV_KEYMGMT_COMMON(prov_keymgmt_import),
    PROV_KEYMGMT_GEN(prov_keymgmt_gen_init_ec),
    {OSSL_FUNC_KEYMGMT_GET_PARAMS, (void (*)(void))get_params},
    {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (void (*)(void))gettable_params},
    {OSSL_FUNC_KEYMGMT_SET_PARAMS, (void (*)(void))set_params},
    {OSSL_FUNC_KEYMGMT_SETTABLE_PARAMS, (void (*)(void))settable_params},
    {OSSL_FUNC_KEYMGMT_EXPORT_TYPES, (void (*)(void))export_types},
    {OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, (void (*)(void))operation_name},
    {0, NULL},
};
