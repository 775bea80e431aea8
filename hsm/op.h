/* What a private key on the token does: sign. The provider calls this. */
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
};

struct hsm_sign {
    enum hsm_sign_scheme scheme;
    /* PSS alone */
    CK_MECHANISM_TYPE pss_hash;
    CK_RSA_PKCS_MGF_TYPE pss_mgf;
    size_t pss_salt_len;
};

/*
 * Signs. *out_len: room on entry, length on return. `pin` is asked for keys with
 * CKA_ALWAYS_AUTHENTICATE only (NULL: there is no PIN, and such keys fail with E_PIN_NEEDED). A
 * session is held for the duration of the call; no lock. E_TOKEN with the token's own code,
 * E_OBJECT_MISSING if the key is gone.
 */
bool hsm_sign(const struct hsm_key *key, const struct hsm_sign *how, const struct hsm_pin *pin,
              const uint8_t *in, size_t in_len, uint8_t *out, size_t *out_len,
              struct err *err) NODISCARD;

/* True if the token lists the mechanism that a scheme needs (asked once per token and process). */
bool hsm_token_can(struct hsm_token *token, CK_MECHANISM_TYPE mechanism);

#endif
