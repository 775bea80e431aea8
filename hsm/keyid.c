#include "hsm/keygen.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <string.h>

/* Ids that are computed from the public half of a key, as other programs expect them. */

DEFINE_AUTO(pkey, EVP_PKEY *, EVP_PKEY_free)
DEFINE_AUTO(x509_pubkey, X509_PUBKEY *, X509_PUBKEY_free)

static bool sha1(const void *data, size_t len, struct hsm_id *out, struct err *err)
{
    unsigned hash_len = 0;

    *out = (struct hsm_id){.set = true, .len = SHA_DIGEST_LENGTH};
    return EVP_Digest(data, len, out->data, &hash_len, EVP_sha1(), NULL) == 1 ||
           err_set_ssl(err, E_INTERNAL, "hashing a public key");
}

/* The bits of the subjectPublicKey, without tag, length and the number of unused bits. */
static bool key_identifier(const struct hsm_key *key, struct hsm_id *out, struct err *err)
{
    AUTO(pkey) EVP_PKEY *public = NULL;
    X509_PUBKEY *made = NULL;
    const unsigned char *bits = NULL;
    int len = 0;

    if (!hsm_key_public_evp(key, &public, err)) {
        return false;
    }
    if (X509_PUBKEY_set(&made, public) != 1) {
        return err_set_ssl(err, E_INTERNAL, "encoding a public key");
    }
    AUTO(x509_pubkey) X509_PUBKEY *encoded = made;
    if (X509_PUBKEY_get0_param(NULL, &bits, &len, NULL, encoded) != 1) {
        return err_set_ssl(err, E_INTERNAL, "encoding a public key");
    }
    return sha1(bits, (size_t)len, out, err);
}

/* A point with the header of an OCTET STRING, as CKA_EC_POINT has it. */
static bool point_identifier(const struct hsm_public *public, struct hsm_id *out, struct err *err)
{
    uint8_t der[3 + HSM_POINT_MAX] = {0x04};
    size_t at = 1;

    if (public->point_len >= 0x80) {
        der[at++] = 0x81;
    }
    der[at++] = (uint8_t) public->point_len;
    memcpy(der + at, public->point, public->point_len);
    return sha1(der, at + public->point_len, out, err);
}

bool hsm_key_id_by_rule(const struct hsm_key *key, enum hsm_id_rule rule, struct hsm_id *out,
                        struct err *err)
{
    if (!key->public.known) {
        return err_set(err, E_TOKEN, "%s shows no public half of the key '%s'",
                       hsm_token_name(&key->token->info), key->label);
    }
    if (rule == HSM_ID_SKI) {
        return key_identifier(key, out, err);
    }
    return key->spec.type == HSM_KEY_RSA
               ? sha1(key->public.modulus, key->public.modulus_len, out, err)
               : point_identifier(&key->public, out, err);
}
