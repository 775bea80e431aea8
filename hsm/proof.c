#include "hsm/proof.h"

#include "base/log.h"
#include "hsm/op.h"
#include "hsm/role.h"

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

enum { NONCE_BYTES = 16, DER_MAX = HSM_PROOF_SIGNATURE_MAX + 8 };

DEFINE_AUTO(md_ctx, EVP_MD_CTX *, EVP_MD_CTX_free)
DEFINE_AUTO(asn1_integer, ASN1_INTEGER *, ASN1_INTEGER_free)
DEFINE_AUTO(bn, BIGNUM *, BN_free)
DEFINE_AUTO(pkey, EVP_PKEY *, EVP_PKEY_free)

static bool make_text(char out[static HSM_PROOF_TEXT_MAX], struct err *err)
{
    uint8_t nonce[NONCE_BYTES];

    if (RAND_bytes(nonce, sizeof(nonce)) != 1) {
        return err_set_ssl(err, E_INTERNAL, "no random bytes");
    }
    int len = snprintf(out, HSM_PROOF_TEXT_MAX,
                       "p11enroll, trial signature: this text was signed to find out whether a "
                       "private key belongs to a public key, and means nothing else. ");
    for (size_t i = 0; i < sizeof(nonce) && len > 0; i++) {
        len += snprintf(out + len, (size_t)(HSM_PROOF_TEXT_MAX - len), "%02x", nonce[i]);
    }
    return true;
}

bool hsm_proof_sign(struct hsm_key *key, struct hsm_proof *out, struct err *err)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    bool is_ec = key->spec.type == HSM_KEY_EC;
    struct hsm_sign how = {.scheme = is_ec ? HSM_SIGN_ECDSA : HSM_SIGN_EDDSA, .hash = CKM_SHA256};

    if ((!is_ec && key->spec.type != HSM_KEY_ED) || key->always_authenticate ||
        hsm_is_so(key->token)) {
        return err_set(err, E_USAGE, "key '%s' makes no trial signature", key->label);
    }
    out->type = key->spec.type;
    out->len = sizeof(out->signature);
    if (!make_text(out->text, err)) {
        return false;
    }
    size_t len = strlen(out->text);
    if (!is_ec) {
        return hsm_sign(key, &how, NULL, (const uint8_t *)out->text, len, out->signature, &out->len,
                        err);
    }
    if (EVP_Digest(out->text, len, digest, &digest_len, EVP_sha256(), NULL) != 1) {
        return err_set_ssl(err, E_INTERNAL, "a text cannot be hashed");
    }
    return hsm_sign(key, &how, NULL, digest, digest_len, out->signature, &out->len, err);
}

/* Appends one half as an INTEGER. */
static bool add_integer(const uint8_t *half, size_t len, uint8_t *out, size_t *used)
{
    AUTO(bn) BIGNUM *number = BN_bin2bn(half, (int)len, NULL);
    AUTO(asn1_integer) ASN1_INTEGER *integer = BN_to_ASN1_INTEGER(number, NULL);
    unsigned char *p = out + *used;
    int size = integer != NULL ? i2d_ASN1_INTEGER(integer, NULL) : 0;

    if (size <= 0 || *used + (size_t)size > HSM_PROOF_SIGNATURE_MAX ||
        i2d_ASN1_INTEGER(integer, &p) != size) {
        return false;
    }
    *used += (size_t)size;
    return true;
}

/* r || s as OpenSSL wants it: SEQUENCE { INTEGER r, INTEGER s }. */
static bool ecdsa_der(const struct hsm_proof *proof, uint8_t out[static DER_MAX], size_t *len)
{
    uint8_t content[HSM_PROOF_SIGNATURE_MAX];
    unsigned char *p = out;
    size_t half = proof->len / 2;
    size_t used = 0;

    if (half == 0 || !add_integer(proof->signature, half, content, &used) ||
        !add_integer(proof->signature + half, half, content, &used)) {
        return false;
    }
    ASN1_put_object(&p, 1, (int)used, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
    memcpy(p, content, used);
    *len = (size_t)(p - out) + used;
    return true;
}

static bool verify(const struct hsm_proof *proof, EVP_PKEY *public, const uint8_t *signature,
                   size_t len)
{
    AUTO(md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const EVP_MD *md = proof->type == HSM_KEY_EC ? EVP_sha256() : NULL;

    return ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, md, NULL, public) == 1 &&
           EVP_DigestVerify(ctx, signature, len, (const uint8_t *)proof->text,
                            strlen(proof->text)) == 1;
}

bool hsm_proof_is_of(const struct hsm_proof *proof, EVP_PKEY *public)
{
    uint8_t der[DER_MAX];
    size_t len = 0;
    bool is_ec = proof->type == HSM_KEY_EC;

    if ((EVP_PKEY_is_a(public, "EC") == 1) != is_ec) {
        return false;
    }
    (void)ERR_set_mark(); /* "no" is an answer here */
    bool is = is_ec ? ecdsa_der(proof, der, &len) && verify(proof, public, der, len)
                    : verify(proof, public, proof->signature, proof->len);
    (void)ERR_pop_to_mark();
    return is;
}

bool hsm_proof_check(struct hsm_key *key, struct err *err)
{
    AUTO(pkey) EVP_PKEY *public = NULL;
    struct hsm_proof proof;
    struct err why = ERR_INIT;

    if (!key->public.known || !key->public.borrowed) {
        return true;
    }
    if (!hsm_proof_sign(key, &proof, &why)) {
        log_line(LOG_DEBUG, "hsm", "whether its public half is the key's stays open: %s", why.msg);
        return true;
    }
    if (!hsm_key_public_evp(key, &public, err)) {
        return false;
    }
    return hsm_proof_is_of(&proof, public) ||
           err_set(err, E_TOKEN,
                   "%s: what stands under the id of key '%s' as its public half is another key's: "
                   "a trial signature does not verify with it ('p11enroll cert check' names the "
                   "object; remove it with the token's own tools)",
                   hsm_token_name(&key->token->info), key->label);
}
