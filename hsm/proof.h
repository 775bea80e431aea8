/*
 * Whether a public half is a private key's, found out by a signature: for keys whose object does
 * not show it. Then it is borrowed from another object with the key's id, and an id that was used
 * twice lends another key's.
 */
#ifndef HSM_PROOF_H
#define HSM_PROOF_H

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "hsm/key.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HSM_PROOF_TEXT_MAX = 256, HSM_PROOF_SIGNATURE_MAX = 256 };

/* A signature over a text that says what it is for, so that it can be taken for nothing else. */
struct hsm_proof {
    enum hsm_key_type type;
    char text[HSM_PROOF_TEXT_MAX];
    uint8_t signature[HSM_PROOF_SIGNATURE_MAX];
    size_t len;
};

/*
 * Signs a fresh text with an EC or Edwards key. Not with a key that wants a PIN for every use, not
 * with one of another kind (RSA keys show their modulus), and not while the security officer is
 * logged in. E_USAGE for those; E_TOKEN.
 */
bool hsm_proof_sign(struct hsm_key *key, struct hsm_proof *out, struct err *err) NODISCARD;

/* Whether that public key verifies it. */
bool hsm_proof_is_of(const struct hsm_proof *proof, EVP_PKEY *public);

/*
 * Before something is made of the public half that a key is said to have: where it is borrowed, a
 * signature tells whether it is the key's. Where none can be made, nothing is said. Blocks for that
 * signature; nobody is asked for a PIN. E_TOKEN: it is another key's.
 */
bool hsm_proof_check(struct hsm_key *key, struct err *err) NODISCARD;

#endif
