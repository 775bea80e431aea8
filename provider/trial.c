#include "provider/trial.h"

#include "base/cleanup.h"
#include "provider/prov_err.h"
#include "provider/signature.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

DEFINE_AUTO(sig, struct prov_sig *, prov_sig_free)
DEFINE_AUTO(pkey, EVP_PKEY *, EVP_PKEY_free)
DEFINE_AUTO(md_ctx, EVP_MD_CTX *, EVP_MD_CTX_free)

enum { NONCE_BYTES = 16, CHALLENGE_MAX = 256, SIGNATURE_MAX = 256 };

/* A key kind's way of signing a short text. */
struct scheme {
    enum hsm_key_type type;
    const char *digest;               /* NULL: the text itself is signed */
    const struct prov_sig_kind *kind; /* with a digest */
};

static const struct scheme schemes[] = {
    {HSM_KEY_EC, "SHA256", &prov_sig_ecdsa},
    {HSM_KEY_ED, NULL, NULL},
};

static const struct scheme *scheme_of(enum hsm_key_type type)
{
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (schemes[i].type == type) {
            return &schemes[i];
        }
    }
    return NULL;
}

/*
 * It says what it is, so that it can be taken for nothing else that is ever signed. The random
 * part is there because a public key can be made up to fit a signature that is known beforehand.
 */
static bool make_challenge(struct prov_ctx *ctx, char out[static CHALLENGE_MAX], struct err *err)
{
    uint8_t nonce[NONCE_BYTES];

    if (RAND_bytes_ex(prov_ctx_libctx(ctx), nonce, sizeof(nonce), 0) != 1) {
        return err_set(err, E_INTERNAL, "no random bytes for a challenge");
    }
    int len = snprintf(out, CHALLENGE_MAX,
                       "p11enroll, trial signature: this text was signed to find out whether a "
                       "private key belongs to a public key, and means nothing else. ");
    for (size_t i = 0; i < sizeof(nonce); i++) {
        len += snprintf(out + len, (size_t)(CHALLENGE_MAX - len), "%02x", nonce[i]);
    }
    return true;
}

static bool sign_challenge(struct prov_key *key, const struct scheme *scheme, const char *challenge,
                           uint8_t out[static SIGNATURE_MAX], size_t *out_len, struct err *err)
{
    AUTO(sig) struct prov_sig *sig = prov_sig_new(key->ctx, NULL);
    const uint8_t *in = (const uint8_t *)challenge;
    size_t in_len = strlen(challenge);

    if (sig == NULL) {
        return err_nomem(err);
    }
    *out_len = SIGNATURE_MAX;
    if (!prov_sig_start(sig, key, err)) {
        return false;
    }
    if (scheme->kind == NULL) {
        return prov_eddsa_sign(sig, in, in_len, out, out_len, err);
    }
    if (!prov_sig_digest_start(sig, scheme->digest, err)) {
        return false;
    }
    prov_sig_sign_start(sig);
    return prov_sig_sign_update(sig, scheme->kind, in, in_len, err) &&
           prov_sig_sign_final(sig, scheme->kind, out, out_len, err);
}

static bool verifies(const struct prov_key *public, const struct scheme *scheme,
                     const char *challenge, const uint8_t *signature, size_t len)
{
    struct err ignored = ERR_INIT;
    AUTO(pkey) EVP_PKEY *software = NULL;
    AUTO(md_ctx) EVP_MD_CTX *verify = EVP_MD_CTX_new();

    (void)ERR_set_mark(); /* "no" is an answer here */
    bool ok = prov_key_software_public(public, &software, &ignored) && verify != NULL &&
              EVP_DigestVerifyInit_ex(verify, NULL, scheme->digest, prov_ctx_libctx(public->ctx),
                                      "provider!=p11enroll", software, NULL) == 1 &&
              EVP_DigestVerify(verify, signature, len, (const uint8_t *)challenge,
                               strlen(challenge)) == 1;
    (void)ERR_pop_to_mark();
    return ok;
}

bool prov_trial(struct prov_key *private, const struct prov_key *public)
{
    const struct hsm_public *half = prov_key_public(public);
    const struct scheme *scheme = scheme_of(private->hsm.spec.type);
    char challenge[CHALLENGE_MAX];
    uint8_t signature[SIGNATURE_MAX];
    size_t len = 0;
    struct err err = ERR_INIT;

    if (scheme == NULL || half == NULL || !prov_key_is_private(private) ||
        !hsm_key_spec_equal(&private->hsm.spec, &public->hsm.spec)) {
        return false;
    }
    if (!make_challenge(private->ctx, challenge, &err) ||
        !sign_challenge(private, scheme, challenge, signature, &len, &err)) {
        (void)err_wrap(&err, "whether key '%s' belongs to a public key was to be found out",
                       private->hsm.label);
        prov_raise(private->ctx, &err);
        return false;
    }
    return verifies(public, scheme, challenge, signature, len) &&
           prov_key_adopt_public(private, half);
}
