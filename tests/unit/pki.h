/* Keys and certificates for tests, made with libcrypto alone. Every function fails the test
 * instead of returning NULL. */
#ifndef UNIT_PKI_H
#define UNIT_PKI_H

#include "base/cleanup.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

/* A day in August 2026: the "now" of tests that compare dates. */
enum { PKI_NOW = 1785542400, PKI_DAY = 86400 };

/* A fresh EC key: "prime256v1", "secp384r1", ... EVP_PKEY_free() it. */
EVP_PKEY *pki_ec(const char *group);

/* Always the same RSA-2048 key: generating one takes seconds under valgrind. */
EVP_PKEY *pki_rsa(void);

struct pki_spec {
    const char *cn;  /* NULL: an empty subject */
    const char *san; /* "DNS:a.example,IP:10.0.0.1"; NULL: none */
    const char *eku; /* "clientAuth"; NULL: none */
    bool ca;
    long serial; /* 0: 1 */
    EVP_PKEY *key;
    X509 *issuer;       /* NULL: self-signed */
    EVP_PKEY *signer;   /* NULL: key */
    int64_t not_before; /* 0: PKI_NOW less a day */
    int64_t not_after;  /* 0: PKI_NOW and a year */
};

X509 *pki_cert(const struct pki_spec *spec);

/* PEM and DER as text (or bytes) that live until the program ends. */
const char *pki_pem(X509 *cert);
const char *pki_key_pem(EVP_PKEY *key, const char *password);
const uint8_t *pki_der(X509 *cert, size_t *len);

/* A root, an intermediate, and a leaf for "www.example.org" with a key of its own. */
struct pki_chain {
    EVP_PKEY *root_key, *middle_key, *leaf_key;
    X509 *root, *middle, *leaf;
};

void pki_chain(struct pki_chain *chain);
void pki_chain_done(struct pki_chain *chain);

/* A list with references of its own; ends at the first NULL. */
STACK_OF(X509) * pki_stack(X509 *first, ...);

/* Names of their own, so that x509/x509.h may define its own beside them. */
DEFINE_AUTO(pki_key, EVP_PKEY *, EVP_PKEY_free)
DEFINE_AUTO(pki_cert, X509 *, X509_free)
DEFINE_AUTO_DONE(pki_chain, struct pki_chain, pki_chain_done)

static inline __attribute__((unused)) void pki_stack_free(STACK_OF(X509) * stack)
{
    sk_X509_pop_free(stack, X509_free);
}

DEFINE_AUTO(pki_stack, STACK_OF(X509) *, pki_stack_free)

#endif
