/*
 * RSA moduli that can be told to be weak by looking at them: those of a faulty smartcard library
 * (ROCA, CVE-2017-15361) and those whose primes are close together (CVE-2022-26320). A public CA
 * has to refuse both, so it is found out before a request is made.
 */
#ifndef HSM_WEAK_H
#define HSM_WEAK_H

#include "base/compiler.h"
#include "base/err.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hsm_weakness { HSM_NOT_WEAK, HSM_WEAK_ROCA, HSM_WEAK_CLOSE_PRIMES };

/* Rounds of Fermat's factoring; the number that the CA/Browser Forum demands. */
enum { HSM_FERMAT_ROUNDS = 100 };

/* Judges a modulus (big-endian). E_MEMORY. */
bool hsm_weakness_of(const uint8_t *modulus, size_t len, enum hsm_weakness *out,
                     struct err *err) NODISCARD;

/* "has the fingerprint of ...": what a key of that weakness is said to have; NULL for none. */
const char *hsm_weakness_text(enum hsm_weakness weakness);

/* The same for the public half of any key; those that are not RSA are not weak. E_POLICY says what
 * is wrong with it. */
bool hsm_weak_check(const EVP_PKEY *key, struct err *err) NODISCARD;

#endif
