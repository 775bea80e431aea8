#include "provider/signature.h"

#include "base/cleanup.h"
#include "hsm/op.h"
#include "provider/prov_err.h"

#include <openssl/core_names.h>
#include <openssl/objects.h>
#include <openssl/params.h>
#include <string.h>

enum { RAW_MAX = 2 * 66, DER_INTEGER = 0x02, DER_SEQUENCE = 0x30, DER_LONG_1 = 0x81 };

/* A number without its leading zeros; one byte at least. */
static const uint8_t *significant(const uint8_t *number, size_t *len)
{
    while (*len > 1 && number[0] == 0) {
        number++;
        (*len)--;
    }
    return number;
}

/* DER INTEGER of an unsigned number of at most 66 bytes. */
static size_t put_integer(const uint8_t *number, size_t len, uint8_t *out)
{
    const uint8_t *from = significant(number, &len);
    size_t pad = from[0] >= 0x80 ? 1 : 0; /* or it would be negative */

    out[0] = DER_INTEGER;
    out[1] = (uint8_t)(len + pad);
    out[2] = 0;
    memcpy(out + 2 + pad, from, len);
    return 2 + pad + len;
}

/* r || s to ECDSA-Sig-Value (RFC 3279 section 2.2.3). By hand, because this is the hot path:
 * through ECDSA_SIG it costs as much as all the rest that is ours. */
static bool raw_to_der(const uint8_t *raw, size_t half, uint8_t *out, size_t *out_len)
{
    uint8_t content[RAW_MAX + 6];
    size_t len = put_integer(raw, half, content);

    len += put_integer(raw + half, half, content + len);
    size_t header = len > 127 ? 3 : 2;
    if (header + len > *out_len) {
        return false;
    }
    out[0] = DER_SEQUENCE;
    out[1] = header == 3 ? DER_LONG_1 : (uint8_t)len;
    if (header == 3) {
        out[2] = (uint8_t)len;
    }
    memcpy(out + header, content, len);
    *out_len = header + len;
    return true;
}

static bool encode(struct prov_sig *sig, const uint8_t *raw, size_t raw_len, uint8_t *out,
                   size_t *out_len, struct err *err)
{
    if (raw_len == 0 || raw_len % 2 != 0 || raw_len > 2 * sig->key->hsm.spec.curve->field_bytes) {
        return err_set(err, E_TOKEN,
                       "key '%s' on %s: an ECDSA signature of %zu bytes is impossible",
                       sig->key->hsm.label, hsm_token_name(&sig->key->hsm.token->info), raw_len);
    }
    return raw_to_der(raw, raw_len / 2, out, out_len) ||
           err_set(err, E_INTERNAL, "an ECDSA signature cannot be encoded");
}

static bool sign(struct prov_sig *sig, const uint8_t *in, size_t in_len, uint8_t *out,
                 size_t *out_len, struct err *err)
{
    const struct hsm_sign ecdsa = {.scheme = HSM_SIGN_ECDSA};
    const struct hsm_pin pin = prov_key_pin(sig->key);
    size_t field = sig->key->hsm.spec.curve->field_bytes;
    uint8_t raw[RAW_MAX];
    size_t raw_len = sizeof(raw);

    /* FIPS 186-4 section 6.4: only the leftmost bits of a longer digest count; many tokens refuse
     * the rest. */
    size_t used = in_len < field ? in_len : field;
    return hsm_sign(&sig->key->hsm, &ecdsa, &pin, in, used, raw, &raw_len, err) &&
           encode(sig, raw, raw_len, out, out_len, err);
}

static bool how(struct prov_sig *sig, struct hsm_sign *out, struct err *err UNUSED)
{
    *out = (struct hsm_sign){.scheme = HSM_SIGN_ECDSA, .hash = prov_sig_hash(sig), .message = true};
    return true;
}

const struct prov_sig_kind prov_sig_ecdsa = {.sign = sign, .how = how, .encode = encode};

static int set_ctx_params(void *vsig, const OSSL_PARAM params[])
{
    struct prov_sig *sig = vsig;
    struct err err = ERR_INIT;

    if (params == NULL || prov_sig_set_digest_param(sig, params, &err)) {
        return 1;
    }
    prov_raise(sig->ctx, &err);
    return 0;
}

static int start(void *vsig, void *key, const OSSL_PARAM params[])
{
    struct prov_sig *sig = vsig;
    struct err err = ERR_INIT;

    if (!prov_sig_start(sig, key, &err)) {
        prov_raise(sig->ctx, &err);
        return 0;
    }
    return set_ctx_params(sig, params);
}

static int digest_start(void *vsig, const char *md_name, void *key, const OSSL_PARAM params[])
{
    struct prov_sig *sig = vsig;
    struct err err = ERR_INIT;

    if (!prov_sig_start(sig, key, &err) || !prov_sig_digest_start(sig, md_name, &err)) {
        prov_raise(sig->ctx, &err);
        return 0;
    }
    return set_ctx_params(sig, params);
}

PROV_SIG_HASHING(prov_sig_ecdsa, NULL)

static int get_ctx_params(void *vsig, OSSL_PARAM params[])
{
    struct prov_sig *sig = vsig;
    OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_ALGORITHM_ID);

    if (p != NULL) {
        unsigned char *der = NULL;
        int len = sig->md != NULL ? prov_sig_algorithm_der(EVP_MD_get_type(sig->md),
                                                           NID_X9_62_id_ecPublicKey, false, &der)
                                  : 0;
        bool ok = len > 0 && OSSL_PARAM_set_octet_string(p, der, (size_t)len) == 1;
        OPENSSL_free(der);
        if (!ok) {
            return 0;
        }
    }
    return prov_sig_get_digest_param(sig, params);
}

static const OSSL_PARAM *gettable_ctx_params(void *vsig UNUSED, void *provctx UNUSED)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_END,
    };

    return params;
}

static const OSSL_PARAM *settable_ctx_params(void *vsig UNUSED, void *provctx UNUSED)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PROPERTIES, NULL, 0),
        OSSL_PARAM_END,
    };

    return params;
}

const OSSL_DISPATCH prov_signature_ecdsa[] = {PROV_SIG_HASHING_TABLE};
