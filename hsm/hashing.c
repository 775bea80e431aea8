#include "hsm/hashing.h"

#include <string.h>

/* PKCS#11 3.0, sections 2.1 and 2.3; p11-kit's header has none of SHA-3. */
enum {
    SHA3_256 = 0x2b0,
    SHA3_224 = 0x2b5,
    SHA3_384 = 0x2c0,
    SHA3_512 = 0x2d0,
    SHA3_256_RSA_PKCS = 0x60,
    SHA3_384_RSA_PKCS = 0x61,
    SHA3_512_RSA_PKCS = 0x62,
    SHA3_256_RSA_PKCS_PSS = 0x63,
    SHA3_384_RSA_PKCS_PSS = 0x64,
    SHA3_512_RSA_PKCS_PSS = 0x65,
    SHA3_224_RSA_PKCS = 0x66,
    SHA3_224_RSA_PKCS_PSS = 0x67,
    ECDSA_SHA3_224 = 0x1047,
    ECDSA_SHA3_256 = 0x1048,
    ECDSA_SHA3_384 = 0x1049,
    ECDSA_SHA3_512 = 0x104a,
};

static const CK_MECHANISM_TYPE for_digests[] = {
    [HSM_SIGN_RSA_PKCS1] = CKM_RSA_PKCS, [HSM_SIGN_RSA_PSS] = CKM_RSA_PKCS_PSS,
    [HSM_SIGN_ECDSA] = CKM_ECDSA,        [HSM_SIGN_RSA_RAW] = CKM_RSA_X_509,
    [HSM_SIGN_EDDSA] = CKM_EDDSA,
};

/* clang-format off */
static const struct {
    CK_MECHANISM_TYPE hash;
    CK_MECHANISM_TYPE mechanisms[HSM_SIGN_ECDSA + 1]; /* by scheme */
} for_messages[] = {
    {CKM_SHA_1,  {[HSM_SIGN_RSA_PKCS1] = CKM_SHA1_RSA_PKCS,   [HSM_SIGN_RSA_PSS] = CKM_SHA1_RSA_PKCS_PSS,   [HSM_SIGN_ECDSA] = CKM_ECDSA_SHA1}},
    {CKM_SHA224, {[HSM_SIGN_RSA_PKCS1] = CKM_SHA224_RSA_PKCS, [HSM_SIGN_RSA_PSS] = CKM_SHA224_RSA_PKCS_PSS, [HSM_SIGN_ECDSA] = CKM_ECDSA_SHA224}},
    {CKM_SHA256, {[HSM_SIGN_RSA_PKCS1] = CKM_SHA256_RSA_PKCS, [HSM_SIGN_RSA_PSS] = CKM_SHA256_RSA_PKCS_PSS, [HSM_SIGN_ECDSA] = CKM_ECDSA_SHA256}},
    {CKM_SHA384, {[HSM_SIGN_RSA_PKCS1] = CKM_SHA384_RSA_PKCS, [HSM_SIGN_RSA_PSS] = CKM_SHA384_RSA_PKCS_PSS, [HSM_SIGN_ECDSA] = CKM_ECDSA_SHA384}},
    {CKM_SHA512, {[HSM_SIGN_RSA_PKCS1] = CKM_SHA512_RSA_PKCS, [HSM_SIGN_RSA_PSS] = CKM_SHA512_RSA_PKCS_PSS, [HSM_SIGN_ECDSA] = CKM_ECDSA_SHA512}},
    {SHA3_224,   {[HSM_SIGN_RSA_PKCS1] = SHA3_224_RSA_PKCS,   [HSM_SIGN_RSA_PSS] = SHA3_224_RSA_PKCS_PSS,   [HSM_SIGN_ECDSA] = ECDSA_SHA3_224}},
    {SHA3_256,   {[HSM_SIGN_RSA_PKCS1] = SHA3_256_RSA_PKCS,   [HSM_SIGN_RSA_PSS] = SHA3_256_RSA_PKCS_PSS,   [HSM_SIGN_ECDSA] = ECDSA_SHA3_256}},
    {SHA3_384,   {[HSM_SIGN_RSA_PKCS1] = SHA3_384_RSA_PKCS,   [HSM_SIGN_RSA_PSS] = SHA3_384_RSA_PKCS_PSS,   [HSM_SIGN_ECDSA] = ECDSA_SHA3_384}},
    {SHA3_512,   {[HSM_SIGN_RSA_PKCS1] = SHA3_512_RSA_PKCS,   [HSM_SIGN_RSA_PSS] = SHA3_512_RSA_PKCS_PSS,   [HSM_SIGN_ECDSA] = ECDSA_SHA3_512}},
};

static const enum hsm_sign_scheme hashed_schemes[] = {HSM_SIGN_RSA_PKCS1, HSM_SIGN_RSA_PSS, HSM_SIGN_ECDSA};
/* clang-format on */

static bool has_hash(enum hsm_sign_scheme scheme)
{
    return scheme != HSM_SIGN_RSA_RAW && scheme != HSM_SIGN_EDDSA;
}

bool hsm_sign_mechanism(const struct hsm_sign *how, CK_MECHANISM_TYPE *out)
{
    if (!how->message) {
        *out = for_digests[how->scheme];
        return true;
    }
    for (size_t i = 0; has_hash(how->scheme) && i < ARRAY_LEN(for_messages); i++) {
        if (for_messages[i].hash == how->hash) {
            *out = for_messages[i].mechanisms[how->scheme];
            return true;
        }
    }
    return false;
}

static unsigned bit_of(enum hsm_sign_scheme scheme)
{
    return 1U << scheme;
}

/* Whether a list has the mechanism that takes the message. */
static bool lists_message(const CK_MECHANISM_TYPE *list, size_t count, const struct hsm_sign *how)
{
    struct hsm_sign whole = *how;
    CK_MECHANISM_TYPE mechanism = 0;

    whole.message = true;
    return hsm_sign_mechanism(&whole, &mechanism) && hsm_mechanism_listed(list, count, mechanism);
}

static bool lists_digest(const CK_MECHANISM_TYPE *list, size_t count, enum hsm_sign_scheme scheme)
{
    return hsm_mechanism_listed(list, count, for_digests[scheme]);
}

/* The lock is held. */
static enum hsm_hashing known(const struct hsm_key *key, const struct hsm_sign *how)
{
    const struct hsm_token *token = key->token;

    if (!has_hash(how->scheme) || (key->signs_digests & bit_of(how->scheme)) != 0) {
        return HSM_HASHING_OURS;
    }
    if ((key->refuses_digests & bit_of(how->scheme)) != 0) {
        return HSM_HASHING_TOKENS;
    }
    return !lists_digest(token->mechanisms, token->mechanism_count, how->scheme) &&
                   lists_message(token->mechanisms, token->mechanism_count, how)
               ? HSM_HASHING_TOKENS
               : HSM_HASHING_UNKNOWN;
}

enum hsm_hashing hsm_hashing_of(struct hsm_key *key, const struct hsm_sign *how)
{
    pthread_mutex_lock(&key->token->lock);
    enum hsm_hashing hashing = known(key, how);
    pthread_mutex_unlock(&key->token->lock);
    return hashing;
}

bool hsm_hashing_is_tokens(struct hsm_key *key, const struct hsm_sign *how)
{
    if (hsm_hashing_of(key, how) == HSM_HASHING_UNKNOWN) {
        (void)hsm_token_can(key->token, for_digests[how->scheme]); /* reads the list */
    }
    return hsm_hashing_of(key, how) == HSM_HASHING_TOKENS;
}

bool hsm_hashing_refused(struct hsm_key *key, const struct hsm_sign *how)
{
    struct hsm_sign whole = *how;
    CK_MECHANISM_TYPE mechanism = 0;

    whole.message = true;
    if (!hsm_sign_mechanism(&whole, &mechanism) || !hsm_token_can(key->token, mechanism)) {
        return false;
    }
    pthread_mutex_lock(&key->token->lock);
    key->signs_digests &= ~bit_of(how->scheme);
    key->refuses_digests |= bit_of(how->scheme);
    pthread_mutex_unlock(&key->token->lock);
    return true;
}

void hsm_hashing_worked(struct hsm_key *key, const struct hsm_sign *how)
{
    pthread_mutex_lock(&key->token->lock);
    key->signs_digests |= bit_of(how->scheme);
    pthread_mutex_unlock(&key->token->lock);
}

void hsm_hashing_allow(struct hsm_key *key, const uint8_t *list, size_t len)
{
    CK_MECHANISM_TYPE allowed[64];
    size_t count = len / sizeof(allowed[0]);

    if (len % sizeof(allowed[0]) != 0 || count == 0 || count > ARRAY_LEN(allowed)) {
        return;
    }
    memcpy(allowed, list, len);
    for (size_t s = 0; s < ARRAY_LEN(hashed_schemes); s++) {
        enum hsm_sign_scheme scheme = hashed_schemes[s];
        bool message = false;
        for (size_t i = 0; i < ARRAY_LEN(for_messages); i++) {
            message =
                message || hsm_mechanism_listed(allowed, count, for_messages[i].mechanisms[scheme]);
        }
        if (message && !lists_digest(allowed, count, scheme)) {
            key->refuses_digests |= bit_of(scheme);
        }
    }
}
