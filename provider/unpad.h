/*
 * Taking RSA padding off in software, in a time that does not depend on whether it was right.
 *
 * Wrong PKCS#1 v1.5 padding is no error: whoever can tell it from right padding, by whatever, can
 * decrypt (Bleichenbacher). It is answered with bytes that follow from the ciphertext and a secret
 * (draft-irtf-cfrg-rsa-guidance, "implicit rejection"). RSA decryption (asym_cipher.c) calls this.
 */
#ifndef PROVIDER_UNPAD_H
#define PROVIDER_UNPAD_H

#include "base/compiler.h"
#include "hsm/key.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UNPAD_PREMASTER_BYTES = 48, UNPAD_SECRET_BYTES = 32 };

/* What stands in for a message with wrong padding: the last `len` of `size` bytes. */
struct unpad_stand_in {
    uint8_t bytes[HSM_RSA_BYTES_MAX];
    size_t size;
    size_t len;
};

/* Derives it from a ciphertext as long as the modulus. False if libcrypto fails. */
bool unpad_stand_in(OSSL_LIB_CTX *libctx, const uint8_t secret[static UNPAD_SECRET_BYTES],
                    const uint8_t *ciphertext, size_t size, struct unpad_stand_in *out) NODISCARD;

/*
 * PKCS#1 v1.5 (RFC 8017 section 7.2.2). `em` is the decrypted block, as long as the modulus and the
 * stand-in; out has room for as much. Writes the message or the stand-in. *good tells which, for
 * callers that insist on an error; it must not be looked at otherwise.
 */
size_t unpad_pkcs1(const uint8_t *em, const struct unpad_stand_in *stand_in, uint8_t *out,
                   bool *good);

/*
 * The premaster secret of TLS (RFC 5246 section 7.4.7.1): `out` holds 48 random bytes, which are
 * replaced if the padding is that of PKCS#1 v1.5 and the message 48 bytes that begin with one of
 * the versions. Version 0 is none.
 */
void unpad_premaster(const uint8_t *em, size_t size, const unsigned versions[static 2],
                     uint8_t out[static UNPAD_PREMASTER_BYTES]);

/* The block of a message whose padding somebody else has removed; NULL: of none, which is wrong. */
void unpad_rebuild(const uint8_t *message, size_t len, uint8_t *em, size_t size);

/* OAEP (RFC 8017 section 7.1.2). False for anything that is wrong; the error queue stays. */
bool unpad_oaep(const uint8_t *em, size_t size, const EVP_MD *md, const EVP_MD *mgf1,
                const uint8_t *label, size_t label_len, uint8_t *out, size_t *out_len) NODISCARD;

#endif
