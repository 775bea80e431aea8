/*
 * Who hashes what a key signs. Where it works, we do, and the token signs the digest. Some tokens
 * have only the mechanisms that hash the message themselves (CKM_SHA256_RSA_PKCS), and some keys
 * allow nothing else (CKA_ALLOWED_MECHANISMS): those get the message.
 *
 * Nothing is asked beforehand, because a token's answers cost time. The first signature of a key
 * tells, or the list of mechanisms, if somebody has read it already; hsm_hashing_is_tokens() reads
 * it, for a message that is too long to be kept until then.
 */
#ifndef HSM_HASHING_H
#define HSM_HASHING_H

#include "base/compiler.h"
#include "hsm/op.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hsm_hashing {
    HSM_HASHING_UNKNOWN,
    HSM_HASHING_OURS,   /* the key has signed a digest, or its scheme knows no other way */
    HSM_HASHING_TOKENS, /* it signs no digests */
};

/* What is known, without a call. */
enum hsm_hashing hsm_hashing_of(struct hsm_key *key, const struct hsm_sign *how);

/* True if the token has to hash. Where that is not known, its list of mechanisms decides, which is
 * read once per token and process. */
bool hsm_hashing_is_tokens(struct hsm_key *key, const struct hsm_sign *how);

/* After the token refused a digest (CKR_MECHANISM_INVALID): true if it lists the mechanism that
 * takes the message. That is remembered. */
bool hsm_hashing_refused(struct hsm_key *key, const struct hsm_sign *how);

/* After the key has signed a digest. */
void hsm_hashing_worked(struct hsm_key *key, const struct hsm_sign *how);

/* Reads a CKA_ALLOWED_MECHANISMS. */
void hsm_hashing_allow(struct hsm_key *key, const uint8_t *list, size_t len);

/* The mechanism for a signature, with how->message the one that hashes. False if there is none. */
bool hsm_sign_mechanism(const struct hsm_sign *how, CK_MECHANISM_TYPE *out);

#endif
