#include "provider/keymgmt.h"

#include "base/cleanup.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/params.h>

DEFINE_AUTO(bn, BIGNUM *, BN_free)

/* NIST SP 800-57 part 1, table 2, and OpenSSL's own answer for the sizes between. */
static int security_bits(int bits)
{
    static const struct {
        int bits, security;
    } table[] = {{15360, 256}, {8192, 200}, {7680, 192}, {6144, 176},
                 {4096, 152},  {3072, 128}, {2048, 112}, {1024, 80}};

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (bits >= table[i].bits) {
            return table[i].security;
        }
    }
    return 0;
}

static bool set_number(OSSL_PARAM params[], const char *name, const struct prov_key *key,
                       bool is_modulus)
{
    OSSL_PARAM *p = OSSL_PARAM_locate(params, name);

    if (p == NULL || !prov_keymgmt_public_wanted(key, p)) {
        return p == NULL;
    }
    const struct hsm_public *public = prov_key_public(key);
    AUTO(bn)
    BIGNUM *bn = is_modulus ? BN_bin2bn(public->modulus, (int)public->modulus_len, NULL)
                            : BN_bin2bn(public->exponent, (int)public->exponent_len, NULL);
    return bn != NULL && OSSL_PARAM_set_BN(p, bn) == 1;
}

static int get_params(void *keydata, OSSL_PARAM params[])
{
    const struct prov_key *key = keydata;
    OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_DEFAULT_DIGEST);

    if (prov_key_is_empty(key)) {
        return 0;
    }
    if (p != NULL && OSSL_PARAM_set_utf8_string(p, "SHA256") != 1) {
        return 0;
    }
    return prov_keymgmt_set_int(params, OSSL_PKEY_PARAM_BITS, key->hsm.spec.bits) &&
           prov_keymgmt_set_int(params, OSSL_PKEY_PARAM_SECURITY_BITS,
                                security_bits(key->hsm.spec.bits)) &&
           prov_keymgmt_set_int(params, OSSL_PKEY_PARAM_MAX_SIZE, (int)prov_key_max_size(key)) &&
           set_number(params, OSSL_PKEY_PARAM_RSA_N, key, true) &&
           set_number(params, OSSL_PKEY_PARAM_RSA_E, key, false);
}

static const OSSL_PARAM *gettable_params(void *provctx UNUSED)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
        OSSL_PARAM_END,
    };

    return params;
}

static const OSSL_PARAM *export_types(int selection)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
        OSSL_PARAM_END,
    };

    return (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 ? params : NULL;
}

static const char *operation_name(int operation_id)
{
    return operation_id == OSSL_OP_SIGNATURE     ? "RSA"
           : operation_id == OSSL_OP_ASYM_CIPHER ? "RSA"
                                                 : NULL;
}

const OSSL_DISPATCH prov_keymgmt_rsa[] = {
    PROV_KEYMGMT_COMMON(prov_keymgmt_import),
    PROV_KEYMGMT_GEN(prov_keymgmt_gen_init_rsa),
    {OSSL_FUNC_KEYMGMT_GET_PARAMS, (void (*)(void))get_params},
    {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (void (*)(void))gettable_params},
    {OSSL_FUNC_KEYMGMT_EXPORT_TYPES, (void (*)(void))export_types},
    {OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, (void (*)(void))operation_name},
    {0, NULL},
};

static const char *pss_operation_name(int operation_id)
{
    return operation_id == OSSL_OP_SIGNATURE ? "RSA" : NULL;
}

/* Keys for PSS alone: they neither decrypt, nor are they generated. */
const OSSL_DISPATCH prov_keymgmt_rsa_pss[] = {
    PROV_KEYMGMT_COMMON(prov_keymgmt_import),
    {OSSL_FUNC_KEYMGMT_GET_PARAMS, (void (*)(void))get_params},
    {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (void (*)(void))gettable_params},
    {OSSL_FUNC_KEYMGMT_EXPORT_TYPES, (void (*)(void))export_types},
    {OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, (void (*)(void))pss_operation_name},
    {0, NULL},
};
