/*
 * What a private key on the token does: sign, decrypt, agree on a secret. The provider calls this.
 *
 * All of them work alike. A session is held for the duration of the call, and no lock. `pin` is
 * asked for keys with CKA_ALWAYS_AUTHENTICATE, and to log in again after a fork or after the module
 * was restarted (NULL: there is no PIN; where one is needed the call fails with E_PIN_NEEDED). They
 * fail with E_TOKEN and the token's own code, or E_OBJECT_MISSING if the key is gone; err names the
 * key and the token.
 */
#ifndef HSM_OP_H
#define HSM_OP_H

#include "base/compiler.h"
#include "base/err.h"
#include "hsm/key.h"
#include "hsm/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hsm_sign_scheme {
    HSM_SIGN_RSA_PKCS1, /* input: a DigestInfo, or any short message */
    HSM_SIGN_RSA_PSS,   /* input: the digest */
    HSM_SIGN_RSA_RAW,   /* input: a padded block as long as the modulus */
    HSM_SIGN_ECDSA,     /* input: the digest; output: r || s */
    HSM_SIGN_EDDSA,     /* input: the message (RFC 8032, pure); output: R || S */
};

struct hsm_sign {
    enum hsm_sign_scheme scheme;
    CK_MECHANISM_TYPE hash; /* CKM_SHA256, ...: for PSS, and where the token hashes */
    bool message;           /* the input is the message, and the token hashes it (hsm/hashing.h) */
    /* PSS alone */
    CK_RSA_PKCS_MGF_TYPE pss_mgf;
    size_t pss_salt_len;
};

/* Signs. *out_len: room on entry, length on return. */
bool hsm_sign(struct hsm_key *key, const struct hsm_sign *how, const struct hsm_pin *pin,
              const uint8_t *in, size_t in_len, uint8_t *out, size_t *out_len,
              struct err *err) NODISCARD;

enum hsm_decrypt_scheme {
    HSM_DECRYPT_RSA_PKCS1, /* output: the message; a token tells wrong padding by its return code */
    HSM_DECRYPT_RSA_OAEP,  /* output: the message, which may be empty */
    HSM_DECRYPT_RSA_RAW,   /* output: the padded block, as long as the modulus */
};

struct hsm_decrypt {
    enum hsm_decrypt_scheme scheme;
    /* OAEP alone */
    CK_MECHANISM_TYPE oaep_hash;
    CK_RSA_PKCS_MGF_TYPE oaep_mgf;
    const uint8_t *oaep_label; /* NULL: the empty label */
    size_t oaep_label_len;
    bool *refused_at_init; /* may be NULL; set if C_DecryptInit refused what was asked for */
};

/* Decrypts. *out_len: room on entry (at least the modulus), length on return. */
bool hsm_decrypt(struct hsm_key *key, const struct hsm_decrypt *how, const struct hsm_pin *pin,
                 const uint8_t *in, size_t in_len, uint8_t *out, size_t *out_len,
                 struct err *err) NODISCARD;

/*
 * Agrees on a secret with the peer's public key (ECDH with cofactor 1, X25519, X448): `peer` is the
 * uncompressed point or, for a Montgomery curve, the u coordinate. Writes exactly out_len bytes, as
 * many as the curve's field has. The secret exists as a session object for a moment and is
 * destroyed.
 */
bool hsm_derive(struct hsm_key *key, const struct hsm_pin *pin, const uint8_t *peer,
                size_t peer_len, uint8_t *out, size_t out_len, struct err *err) NODISCARD;

/* True if the token lists the mechanism (asked once per token and process), or cannot be asked now:
 * then the operation will tell. */
bool hsm_token_can(struct hsm_token *token, CK_MECHANISM_TYPE mechanism);

/* True if a list, which may be NULL, has it. */
bool hsm_mechanism_listed(const CK_MECHANISM_TYPE *list, size_t count, CK_MECHANISM_TYPE mechanism);

#endif
