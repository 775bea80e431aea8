/*
 * Whether a private key belongs to a public key, where the token shows no public half of the one:
 * found out with a signature. It is the last resort of a comparison (EVP_PKEY_eq(3),
 * X509_check_private_key(3)), which would say no otherwise and keep the key from being used.
 */
#ifndef PROVIDER_TRIAL_H
#define PROVIDER_TRIAL_H

#include "provider/key.h"

/*
 * Signs a challenge with the private key and verifies it, in software, with the public half of the
 * other. If that succeeds the private key has this public half from then on. False if it does not,
 * for keys of different or other kinds than EC and Ed; and, with an error raised, if the token
 * would not sign. Blocks for one signature.
 */
bool prov_trial(struct prov_key *private, const struct prov_key *public);

#endif
