#include "provider/signature.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "hsm/op.h"
#include "provider/hashes.h"
#include "provider/prov_err.h"

#include <openssl/core_names.h>
#include <openssl/objects.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

DEFINE_AUTO(algor, X509_ALGOR *, X509_ALGOR_free)
DEFINE_AUTO(pss_params, RSA_PSS_PARAMS *, RSA_PSS_PARAMS_free)
DEFINE_AUTO(asn1_string, ASN1_STRING *, ASN1_STRING_free)
DEFINE_AUTO(md, EVP_MD *, EVP_MD_free)

enum { DIGEST_INFO_MAX = 128 };

/* clang-format off */
static const struct {
    int number;
    const char *name;
} paddings[] = {
    {RSA_PKCS1_PADDING,     OSSL_PKEY_RSA_PAD_MODE_PKCSV15},
    {RSA_PKCS1_PSS_PADDING, OSSL_PKEY_RSA_PAD_MODE_PSS},
    {RSA_NO_PADDING,        OSSL_PKEY_RSA_PAD_MODE_NONE},
};

static const struct {
    int number;
    const char *name;
} salts[] = {
    {PROV_SALT_DIGEST, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST},
    {PROV_SALT_AUTO,   OSSL_PKEY_RSA_PSS_SALT_LEN_AUTO},
    {PROV_SALT_MAX,    OSSL_PKEY_RSA_PSS_SALT_LEN_MAX},
};
/* clang-format on */

/* DigestInfo (RFC 8017 section 9.2, note 1) around a digest, by hand: done with X509_SIG it costs
 * more than all else that is done here for a signature. Every length is below 128, one byte. */
static bool digest_info(int md_nid, const uint8_t *digest, size_t len, uint8_t *out,
                        size_t *out_len)
{
    const ASN1_OBJECT *oid = OBJ_nid2obj(md_nid);
    size_t oid_len = oid != NULL ? OBJ_length(oid) : 0;
    size_t algorithm = 2 + oid_len + 2;
    size_t content = 2 + algorithm + 2 + len;
    uint8_t *p = out;

    if (oid_len == 0 || len > 127 || content > 127 || 2 + content > *out_len) {
        return false;
    }
    *p++ = V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED;
    *p++ = (uint8_t)content;
    *p++ = V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED;
    *p++ = (uint8_t)algorithm;
    *p++ = V_ASN1_OBJECT;
    *p++ = (uint8_t)oid_len;
    memcpy(p, OBJ_get0_data(oid), oid_len);
    p += oid_len;
    *p++ = V_ASN1_NULL;
    *p++ = 0;
    *p++ = V_ASN1_OCTET_STRING;
    *p++ = (uint8_t)len;
    memcpy(p, digest, len);
    *out_len = 2 + content;
    return true;
}

static bool check_digest_length(const struct prov_sig *sig, size_t len, struct err *err)
{
    if (sig->md != NULL && len != (size_t)EVP_MD_get_size(sig->md)) {
        return err_set(err, E_USAGE, "the input has %zu bytes, which is no %s digest", len,
                       EVP_MD_get0_name(sig->md));
    }
    return true;
}

static bool sign_pkcs1(struct prov_sig *sig, const uint8_t *in, size_t in_len, uint8_t *out,
                       size_t *out_len, struct err *err)
{
    const struct hsm_sign how = {.scheme = HSM_SIGN_RSA_PKCS1};
    const struct hsm_pin pin = prov_key_pin(sig->key);
    uint8_t info[DIGEST_INFO_MAX];
    size_t info_len = sizeof(info);

    if (!check_digest_length(sig, in_len, err)) {
        return false;
    }
    /* TLS 1.0 and 1.1 sign the bare MD5-SHA1 pair. */
    if (sig->md != NULL && EVP_MD_get_type(sig->md) != NID_md5_sha1) {
        if (!digest_info(EVP_MD_get_type(sig->md), in, in_len, info, &info_len)) {
            return err_set(err, E_INTERNAL, "a DigestInfo cannot be encoded");
        }
        in = info;
        in_len = info_len;
    }
    return hsm_sign(&sig->key->hsm, &how, &pin, in, in_len, out, out_len, err);
}

static const EVP_MD *mgf1_of(const struct prov_sig *sig)
{
    return sig->mgf1_md != NULL ? sig->mgf1_md : sig->md;
}

static const struct prov_hash *pss_hash(const EVP_MD *md, struct err *err)
{
    const struct prov_hash *found = prov_hash_of(md);

    if (found == NULL) {
        (void)err_set(err, E_USAGE, "RSA-PSS in a token needs SHA-1, SHA-2 or SHA-3, not %s",
                      md != NULL ? EVP_MD_get0_name(md) : "no digest at all");
    }
    return found;
}

/* The number behind "digest", "auto" and "max"; RFC 8017 section 9.1.1 gives the largest. */
static bool salt_length(const struct prov_sig *sig, size_t *out, struct err *err)
{
    size_t digest = (size_t)EVP_MD_get_size(sig->md);
    size_t em = ((size_t)sig->key->hsm.spec.bits - 1 + 7) / 8;
    size_t max = em > digest + 2 ? em - digest - 2 : 0;
    size_t want = sig->salt_len >= 0                  ? (size_t)sig->salt_len
                  : sig->salt_len == PROV_SALT_DIGEST ? digest
                                                      : max;

    if (em < digest + 2 || want > max) {
        return err_set(err, E_USAGE, "a salt of %zu bytes does not fit into this RSA key", want);
    }
    *out = want;
    return true;
}

static bool pss_how(struct prov_sig *sig, struct hsm_sign *how, struct err *err)
{
    const struct prov_hash *hash = pss_hash(sig->md, err);
    const struct prov_hash *mgf = hash != NULL ? pss_hash(mgf1_of(sig), err) : NULL;

    if (mgf == NULL || !salt_length(sig, &how->pss_salt_len, err)) {
        return false;
    }
    if (mgf->mgf == PROV_MGF1_NONE) {
        return err_set(err, E_USAGE, "PKCS#11 has no MGF1 with %s; choose another (rsa_mgf1_md)",
                       EVP_MD_get0_name(mgf1_of(sig)));
    }
    how->hash = hash->hash;
    how->pss_mgf = mgf->mgf;
    return true;
}

static bool sign_pss(struct prov_sig *sig, const uint8_t *in, size_t in_len, uint8_t *out,
                     size_t *out_len, struct err *err)
{
    const struct hsm_pin pin = prov_key_pin(sig->key);
    struct hsm_sign pss = {.scheme = HSM_SIGN_RSA_PSS};

    return pss_how(sig, &pss, err) && check_digest_length(sig, in_len, err) &&
           hsm_sign(&sig->key->hsm, &pss, &pin, in, in_len, out, out_len, err);
}

static bool sign(struct prov_sig *sig, const uint8_t *in, size_t in_len, uint8_t *out,
                 size_t *out_len, struct err *err)
{
    const struct hsm_sign raw = {.scheme = HSM_SIGN_RSA_RAW};
    const struct hsm_pin pin = prov_key_pin(sig->key);

    switch (sig->padding) {
    case RSA_PKCS1_PADDING:
        return sign_pkcs1(sig, in, in_len, out, out_len, err);
    case RSA_PKCS1_PSS_PADDING:
        return sign_pss(sig, in, in_len, out, out_len, err);
    case RSA_NO_PADDING:
        return hsm_sign(&sig->key->hsm, &raw, &pin, in, in_len, out, out_len, err);
    default:
        return err_set(err, E_USAGE, "this padding is not for token keys");
    }
}

static bool how(struct prov_sig *sig, struct hsm_sign *out, struct err *err)
{
    *out = (struct hsm_sign){
        .scheme = HSM_SIGN_RSA_PKCS1, .hash = prov_sig_hash(sig), .message = true};
    if (sig->padding == RSA_PKCS1_PSS_PADDING) {
        out->scheme = HSM_SIGN_RSA_PSS;
        return pss_how(sig, out, err);
    }
    return sig->padding == RSA_PKCS1_PADDING ||
           err_set(err, E_USAGE, "a signature without padding has no digest");
}

static bool encode(struct prov_sig *sig, const uint8_t *raw, size_t raw_len, uint8_t *out,
                   size_t *out_len, struct err *err)
{
    if (raw_len > *out_len) {
        return err_set(err, E_TOKEN, "key '%s' on %s: an RSA signature of %zu bytes is impossible",
                       sig->key->hsm.label, hsm_token_name(&sig->key->hsm.token->info), raw_len);
    }
    memcpy(out, raw, raw_len);
    *out_len = raw_len;
    return true;
}

static const struct prov_sig_kind rsa = {.sign = sign, .how = how, .encode = encode};

static bool verify_setup(struct prov_sig *sig, EVP_PKEY_CTX *verify)
{
    if (EVP_PKEY_CTX_set_rsa_padding(verify, sig->padding) <= 0) {
        return false;
    }
    if (sig->padding != RSA_PKCS1_PSS_PADDING) {
        return true;
    }
    return EVP_PKEY_CTX_set_rsa_pss_saltlen(verify, sig->salt_len) > 0 &&
           (sig->mgf1_md == NULL || EVP_PKEY_CTX_set_rsa_mgf1_md(verify, sig->mgf1_md) > 0);
}

static bool allow_padding(const struct prov_sig *sig, int padding, struct err *err)
{
    if (sig->key == NULL || !sig->key->hsm.pss_only || padding == RSA_PKCS1_PSS_PADDING) {
        return true;
    }
    return err_set(err, E_USAGE,
                   "key '%s' on %s is for RSA-PSS alone: its CKA_ALLOWED_MECHANISMS lists no other "
                   "signature",
                   sig->key->hsm.label, hsm_token_name(&sig->key->hsm.token->info));
}

static bool set_padding(struct prov_sig *sig, const OSSL_PARAM *p, struct err *err)
{
    int number = 0;

    for (size_t i = 0; i < ARRAY_LEN(paddings); i++) {
        bool by_name =
            p->data_type == OSSL_PARAM_UTF8_STRING && str_equal_nocase(p->data, paddings[i].name);
        bool by_number = p->data_type == OSSL_PARAM_INTEGER &&
                         OSSL_PARAM_get_int(p, &number) == 1 && number == paddings[i].number;
        if (by_name || by_number) {
            if (!allow_padding(sig, paddings[i].number, err)) {
                return false;
            }
            sig->padding = paddings[i].number;
            return true;
        }
    }
    return err_set(err, E_USAGE, "this RSA padding is not for signatures with token keys");
}

static bool set_salt(struct prov_sig *sig, const OSSL_PARAM *p, struct err *err)
{
    int number = 0;

    if (p->data_type == OSSL_PARAM_INTEGER && OSSL_PARAM_get_int(p, &number) == 1 &&
        number >= PROV_SALT_MAX) {
        sig->salt_len = number;
        return true;
    }
    for (size_t i = 0; p->data_type == OSSL_PARAM_UTF8_STRING && i < ARRAY_LEN(salts); i++) {
        if (str_equal(p->data, salts[i].name)) {
            sig->salt_len = salts[i].number;
            return true;
        }
    }
    if (p->data_type == OSSL_PARAM_UTF8_STRING &&
        str_to_int(p->data, PROV_SALT_MAX, 2048, &number)) {
        sig->salt_len = number;
        return true;
    }
    return err_set(err, E_USAGE, "this is no PSS salt length");
}

static bool set_mgf1(struct prov_sig *sig, const OSSL_PARAM *p, struct err *err)
{
    const char *name = NULL;

    if (OSSL_PARAM_get_utf8_string_ptr(p, &name) != 1 || name == NULL) {
        return err_set(err, E_USAGE, "the MGF1 digest is not a string");
    }
    AUTO(md) EVP_MD *md = prov_sig_fetch_digest(sig, name, NULL, err);
    if (md == NULL) {
        return false;
    }
    EVP_MD_free(sig->mgf1_md);
    sig->mgf1_md = TAKE(md);
    return true;
}

/* The token knows padding and salt from the beginning. */
static bool may_change(const struct prov_sig *sig, struct err *err)
{
    return !prov_message_is_streamed(&sig->message) ||
           err_set(err, E_USAGE, "the padding cannot change while the token hashes the message");
}

static int set_ctx_params(void *vsig, const OSSL_PARAM params[])
{
    struct prov_sig *sig = vsig;
    struct err err = ERR_INIT;

    if (params == NULL) {
        return 1;
    }
    const OSSL_PARAM *pad = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
    const OSSL_PARAM *salt = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);
    const OSSL_PARAM *mgf1 = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_MGF1_DIGEST);
    if (prov_sig_set_digest_param(sig, params, &err) &&
        ((pad == NULL && salt == NULL && mgf1 == NULL) || may_change(sig, &err)) &&
        (pad == NULL || set_padding(sig, pad, &err)) &&
        (salt == NULL || set_salt(sig, salt, &err)) &&
        (mgf1 == NULL || set_mgf1(sig, mgf1, &err))) {
        return 1;
    }
    prov_raise(sig->ctx, &err);
    return 0;
}

/* Hash and MGF as RFC 4055 section 3.1 wants them: SHA-1 is the default and then left out. */
static bool pss_set_hashes(RSA_PSS_PARAMS *pss, const EVP_MD *md, const EVP_MD *mgf1)
{
    if (EVP_MD_get_type(md) != NID_sha1) {
        pss->hashAlgorithm = X509_ALGOR_new();
        if (pss->hashAlgorithm == NULL) {
            return false;
        }
        X509_ALGOR_set_md(pss->hashAlgorithm, md);
    }
    if (EVP_MD_get_type(mgf1) == NID_sha1) {
        return true;
    }
    AUTO(algor) X509_ALGOR *inner = X509_ALGOR_new();
    if (inner == NULL) {
        return false;
    }
    X509_ALGOR_set_md(inner, mgf1);
    AUTO(asn1_string) ASN1_STRING *packed = ASN1_item_pack(inner, ASN1_ITEM_rptr(X509_ALGOR), NULL);
    pss->maskGenAlgorithm = X509_ALGOR_new();
    if (packed == NULL || pss->maskGenAlgorithm == NULL ||
        X509_ALGOR_set0(pss->maskGenAlgorithm, OBJ_nid2obj(NID_mgf1), V_ASN1_SEQUENCE, packed) !=
            1) {
        return false;
    }
    packed = NULL; /* owned by the algorithm now */
    return true;
}

static int pss_algorithm_der(struct prov_sig *sig, unsigned char **der)
{
    struct err ignored = ERR_INIT;
    size_t salt = 0;
    AUTO(pss_params) RSA_PSS_PARAMS *pss = RSA_PSS_PARAMS_new();
    AUTO(algor) X509_ALGOR *algor = X509_ALGOR_new();

    if (pss == NULL || algor == NULL || sig->md == NULL || !salt_length(sig, &salt, &ignored) ||
        !pss_set_hashes(pss, sig->md, mgf1_of(sig))) {
        return 0;
    }
    if (salt != 20) { /* the default of RFC 4055, left out */
        pss->saltLength = ASN1_INTEGER_new();
        if (pss->saltLength == NULL || ASN1_INTEGER_set_uint64(pss->saltLength, salt) != 1) {
            return 0;
        }
    }
    AUTO(asn1_string)
    ASN1_STRING *packed = ASN1_item_pack(pss, ASN1_ITEM_rptr(RSA_PSS_PARAMS), NULL);
    if (packed == NULL ||
        X509_ALGOR_set0(algor, OBJ_nid2obj(NID_rsassaPss), V_ASN1_SEQUENCE, packed) != 1) {
        return 0;
    }
    packed = NULL;
    return i2d_X509_ALGOR(algor, der);
}

static bool get_algorithm(struct prov_sig *sig, OSSL_PARAM params[])
{
    OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_ALGORITHM_ID);
    unsigned char *der = NULL;
    int len = 0;

    if (p == NULL) {
        return true;
    }
    if (sig->padding == RSA_PKCS1_PSS_PADDING) {
        len = pss_algorithm_der(sig, &der);
    } else if (sig->md != NULL) {
        len = prov_sig_algorithm_der(EVP_MD_get_type(sig->md), NID_rsaEncryption, true, &der);
    }
    bool ok = len > 0 && OSSL_PARAM_set_octet_string(p, der, (size_t)len) == 1;
    OPENSSL_free(der);
    return ok;
}

static bool get_padding(const struct prov_sig *sig, OSSL_PARAM params[])
{
    OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_PAD_MODE);

    if (p == NULL) {
        return true;
    }
    if (p->data_type == OSSL_PARAM_INTEGER) {
        return OSSL_PARAM_set_int(p, sig->padding) == 1;
    }
    for (size_t i = 0; i < ARRAY_LEN(paddings); i++) {
        if (paddings[i].number == sig->padding) {
            return OSSL_PARAM_set_utf8_string(p, paddings[i].name) == 1;
        }
    }
    return false;
}

static bool get_salt(const struct prov_sig *sig, OSSL_PARAM params[])
{
    OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);

    if (p == NULL) {
        return true;
    }
    if (p->data_type == OSSL_PARAM_INTEGER) {
        return OSSL_PARAM_set_int(p, sig->salt_len) == 1;
    }
    for (size_t i = 0; i < ARRAY_LEN(salts); i++) {
        if (salts[i].number == sig->salt_len) {
            return OSSL_PARAM_set_utf8_string(p, salts[i].name) == 1;
        }
    }
    char number[16];
    (void)snprintf(number, sizeof(number), "%d", sig->salt_len);
    return OSSL_PARAM_set_utf8_string(p, number) == 1;
}

static int get_ctx_params(void *vsig, OSSL_PARAM params[])
{
    struct prov_sig *sig = vsig;
    OSSL_PARAM *mgf1 = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_MGF1_DIGEST);
    const EVP_MD *md = mgf1_of(sig);

    if (mgf1 != NULL &&
        OSSL_PARAM_set_utf8_string(mgf1, md != NULL ? EVP_MD_get0_name(md) : "") != 1) {
        return 0;
    }
    return get_algorithm(sig, params) && get_padding(sig, params) && get_salt(sig, params) &&
           prov_sig_get_digest_param(sig, params);
}

/* What the kind of the key settles, before the application's parameters. */
static bool begin(struct prov_sig *sig, void *key, struct err *err)
{
    if (!prov_sig_start(sig, key, err)) {
        return false;
    }
    if (sig->key->hsm.pss_only) {
        sig->padding = RSA_PKCS1_PSS_PADDING;
    }
    return true;
}

static int start(void *vsig, void *key, const OSSL_PARAM params[])
{
    struct prov_sig *sig = vsig;
    struct err err = ERR_INIT;

    if (!begin(sig, key, &err)) {
        prov_raise(sig->ctx, &err);
        return 0;
    }
    return set_ctx_params(sig, params);
}

static int digest_start(void *vsig, const char *md_name, void *key, const OSSL_PARAM params[])
{
    struct prov_sig *sig = vsig;
    struct err err = ERR_INIT;

    if (!begin(sig, key, &err) || !prov_sig_digest_start(sig, md_name, &err)) {
        prov_raise(sig->ctx, &err);
        return 0;
    }
    return set_ctx_params(sig, params);
}

PROV_SIG_HASHING(rsa, verify_setup)

static const OSSL_PARAM *gettable_ctx_params(void *vsig UNUSED, void *provctx UNUSED)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
        OSSL_PARAM_END,
    };

    return params;
}

static const OSSL_PARAM *settable_ctx_params(void *vsig UNUSED, void *provctx UNUSED)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PROPERTIES, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_PROPERTIES, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
        OSSL_PARAM_END,
    };

    return params;
}

const OSSL_DISPATCH prov_signature_rsa[] = {PROV_SIG_HASHING_TABLE};
