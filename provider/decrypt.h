/* What asym_cipher.c does with a token key once its parameters are set. */
#ifndef PROVIDER_DECRYPT_H
#define PROVIDER_DECRYPT_H

#include "provider/key.h"

#include <openssl/evp.h>

/* One decryption or encryption. */
struct prov_cipher {
    struct prov_ctx *ctx;
    struct prov_key *key;
    EVP_PKEY *software; /* public half, for encryption */
    int padding;        /* RSA_PKCS1_PADDING, ... */
    EVP_MD *oaep_md;    /* NULL: SHA-1, as RFC 8017 has it */
    EVP_MD *mgf1_md;    /* NULL: as oaep_md */
    uint8_t *label;     /* of OAEP; owned by OPENSSL_malloc() */
    size_t label_len;
    unsigned tls_versions[2]; /* that the premaster secret may name; 0: none */
    bool explicit_rejection;  /* wrong PKCS#1 v1.5 padding is to be an error */
};

/*
 * Decrypts on the token. in_len is at most the modulus, `out` has room for as much. Fails as
 * hsm_decrypt() does, and with E_TOKEN for wrong OAEP; wrong PKCS#1 v1.5 padding is no failure (see
 * unpad.h).
 */
bool prov_decrypt(struct prov_cipher *cipher, const uint8_t *in, size_t in_len, uint8_t *out,
                  size_t *out_len, struct err *err) NODISCARD;

#endif
