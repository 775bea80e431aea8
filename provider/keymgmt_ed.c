/* Ed25519 and Ed448 (RFC 8032), X25519 and X448 (RFC 7748): keys whose public half is one string.
 */
#include "provider/keymgmt.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

static int get_params(void *keydata, OSSL_PARAM params[])
{
    const struct prov_key *key = keydata;
    const struct hsm_curve *curve = key->hsm.spec.curve;

    if (prov_key_is_empty(key)) {
        return 0;
    }
    return prov_keymgmt_set_int(params, OSSL_PKEY_PARAM_BITS, curve->bits) &&
           prov_keymgmt_set_int(params, OSSL_PKEY_PARAM_SECURITY_BITS, curve->security_bits) &&
           prov_keymgmt_set_int(params, OSSL_PKEY_PARAM_MAX_SIZE, (int)prov_key_max_size(key)) &&
           prov_keymgmt_set_point(params, OSSL_PKEY_PARAM_PUB_KEY, key);
}

/* The empty name says that there is no digest but the one inside the signature
 * (EVP_PKEY_get_default_digest_name(3)). */
static int get_ed_params(void *keydata, OSSL_PARAM params[])
{
    return get_params(keydata, params) &&
           prov_keymgmt_set_string(params, OSSL_PKEY_PARAM_MANDATORY_DIGEST, "");
}

static int get_x_params(void *keydata, OSSL_PARAM params[])
{
    return get_params(keydata, params) &&
           prov_keymgmt_set_point(params, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, keydata);
}

#define GETTABLE_BY_BOTH                                                                           \
    OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),                                                    \
        OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),                                       \
        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),                                            \
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0)

static const OSSL_PARAM *gettable_ed_params(void *provctx UNUSED)
{
    static const OSSL_PARAM params[] = {
        GETTABLE_BY_BOTH,
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
        OSSL_PARAM_END,
    };

    return params;
}

static const OSSL_PARAM *gettable_x_params(void *provctx UNUSED)
{
    static const OSSL_PARAM params[] = {
        GETTABLE_BY_BOTH,
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
        OSSL_PARAM_END,
    };

    return params;
}

static const OSSL_PARAM *export_types(int selection)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
        OSSL_PARAM_END,
    };

    return (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 ? params : NULL;
}

/* OpenSSL compares keys of one type only, so the length tells which of the two curves it is. */
static int import_ed(void *keydata, int selection, const OSSL_PARAM params[])
{
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_PUB_KEY);

    if (p == NULL || !prov_keymgmt_is_trial(selection, params)) {
        return 0;
    }
    const struct hsm_curve *curve = hsm_curve_by_name("ed25519");
    if (p->data_size != curve->field_bytes) {
        curve = hsm_curve_by_name("ed448");
    }
    return prov_keymgmt_import_point(keydata, curve, params);
}

/* Without a function that names operations, OpenSSL takes the key type's own name: "ED25519" signs,
 * "X25519" agrees on keys. */
/* The two differ in what they generate alone. */
#define KEYMGMT_ED(name)                                                                           \
    const OSSL_DISPATCH prov_keymgmt_##name[] = {                                                  \
        PROV_KEYMGMT_COMMON(import_ed),                                                            \
        PROV_KEYMGMT_GEN(prov_keymgmt_gen_init_##name),                                            \
        {OSSL_FUNC_KEYMGMT_GET_PARAMS, (void (*)(void))get_ed_params},                             \
        {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (void (*)(void))gettable_ed_params},                   \
        {OSSL_FUNC_KEYMGMT_EXPORT_TYPES, (void (*)(void))export_types},                            \
        {0, NULL},                                                                                 \
    }

KEYMGMT_ED(ed25519);
KEYMGMT_ED(ed448);

const OSSL_DISPATCH prov_keymgmt_x[] = {
    PROV_KEYMGMT_COMMON(prov_keymgmt_import),
    {OSSL_FUNC_KEYMGMT_GET_PARAMS, (void (*)(void))get_x_params},
    {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (void (*)(void))gettable_x_params},
    {OSSL_FUNC_KEYMGMT_EXPORT_TYPES, (void (*)(void))export_types},
    {0, NULL},
};
