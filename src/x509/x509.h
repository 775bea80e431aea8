/*
 * X.509 as this program needs it: build a request, read what a CA sent in whatever form, find the
 * certificate that belongs to a key, order and verify its chain, and compare its names with those
 * that were asked for.
 *
 * Works on EVP_PKEY and X509 of OpenSSL; does not know where a key lives.
 */
#ifndef X509_X509_H
#define X509_X509_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

DEFINE_AUTO(pkey, EVP_PKEY *, EVP_PKEY_free)
DEFINE_AUTO(x509, X509 *, X509_free)
DEFINE_AUTO(x509_req, X509_REQ *, X509_REQ_free)
DEFINE_AUTO(x509_name, X509_NAME *, X509_NAME_free)
DEFINE_AUTO(x509_store, X509_STORE *, X509_STORE_free)

static inline UNUSED void x509_stack_free(STACK_OF(X509) * stack)
{
    sk_X509_pop_free(stack, X509_free);
}

DEFINE_AUTO(x509_stack, STACK_OF(X509) *, x509_stack_free)

/* Names (names.c, pure) */

enum x509_name_kind { X509_NAME_DNS, X509_NAME_IP, X509_NAME_EMAIL };

enum { X509_NAMES_MAX = 500, X509_NAME_LEN_MAX = 253 };

/* Names that a certificate shall be for: lower case, without duplicates, in the order given. */
struct x509_names {
    char **list; /* owned */
    size_t count;
};

#define X509_NAMES_INIT                                                                            \
    {                                                                                              \
        .list = NULL, .count = 0                                                                   \
    }

void x509_names_done(struct x509_names *names);
DEFINE_AUTO_DONE(x509_names, struct x509_names, x509_names_done)

/* What kind of name a text is: an IP address, an e-mail address, or a DNS name. */
enum x509_name_kind x509_name_kind(const char *name);

/* Checks and adds one name (DNS, one leading wildcard label allowed; IPv4, IPv6; e-mail). E_USAGE.
 */
bool x509_names_add(struct x509_names *names, const char *name, struct err *err) NODISCARD;

/* Adds each name of a text separated by commas or white space. */
bool x509_names_add_list(struct x509_names *names, const char *text, struct err *err) NODISCARD;

/* The same of a text that is one word to whoever wrote it: commas alone separate, and white space
 * inside a name is an error. E_USAGE.
 */
bool x509_names_add_word(struct x509_names *names, const char *text, struct err *err) NODISCARD;

bool x509_names_has(const struct x509_names *names, const char *name);

/* "a.example,b.example"; free() it. */
char *x509_names_join(const struct x509_names *names, char separator) NODISCARD;

/* The names of a certificate's subjectAltName, as far as x509_names_add() would take them.
 * E_CERT_REJECTED if one contains a NUL byte. */
bool x509_names_of_cert(X509 *cert, struct x509_names *out, struct err *err) NODISCARD;

/* The CN, if it is such a name, and the names of the subjectAltName that a request asks for. */
bool x509_names_of_csr(X509_REQ *csr, struct x509_names *out, struct err *err) NODISCARD;

/* Those of `wanted` that are not among `have`: joined with ", " into missing. True if none is
 * missing. */
bool x509_names_cover(const struct x509_names *have, const struct x509_names *wanted,
                      struct buf *missing);

/*
 * Parses "CN=www.example.org,O=Example Ltd,C=DE": RFC 4514, but in the order written, with long
 * names and OIDs as types, without several values in one part ('+') and without encoded ones ('#').
 * Escapes are '\' and the character, or '\' and two hex digits of UTF-8. The caller frees *out with
 * X509_NAME_free(). E_USAGE.
 */
bool x509_subject_parse(const char *text, X509_NAME **out, struct err *err) NODISCARD;

/* Requests (csr.c) */

struct x509_csr {
    const char *subject; /* NULL: CN = the first DNS name, if it is short enough for a CN */
    const struct x509_names *names;
    const char *digest; /* NULL: by the key: SHA-256, for P-384 SHA-384, for P-521 SHA-512 */
};

/*
 * Builds and signs a PKCS#10 request (RFC 2986) and verifies its signature in software, so that a
 * token that signs wrongly is found out here. *out is PEM. Blocks for the token's signature.
 * E_TOKEN, E_USAGE.
 */
bool x509_csr_create(const struct x509_csr *request, EVP_PKEY *key, struct buf *out,
                     struct err *err) NODISCARD;

/* Reads a PEM request; X509_REQ_free() it. */
bool x509_csr_parse(const char *pem, X509_REQ **out, struct err *err) NODISCARD;

/* SHA-256 of the SubjectPublicKeyInfo. */
enum { X509_SPKI_HASH_LEN = 32 };
bool x509_spki_hash(EVP_PKEY *key, uint8_t out[static X509_SPKI_HASH_LEN],
                    struct err *err) NODISCARD;
bool x509_cert_spki_hash(X509 *cert, uint8_t out[static X509_SPKI_HASH_LEN],
                         struct err *err) NODISCARD;
bool x509_csr_spki_hash(X509_REQ *csr, uint8_t out[static X509_SPKI_HASH_LEN],
                        struct err *err) NODISCARD;

/* Chains (chain.c) */

/*
 * Reads every certificate in bytes from outside: PEM certificates among any text, PKCS#7 in PEM or
 * DER, or one DER certificate. At most X509_BUNDLE_MAX. E_PROTOCOL if there is none.
 */
enum { X509_BUNDLE_MAX = 32 };
bool x509_bundle_parse(const uint8_t *data, size_t len, STACK_OF(X509) * *out,
                       struct err *err) NODISCARD;

/* As x509_bundle_parse(), from a file. E_IO, E_PROTOCOL. */
bool x509_bundle_read(const char *path, STACK_OF(X509) * *out, struct err *err) NODISCARD;

/* Whether a lasts longer than b. */
bool x509_ends_later(X509 *a, X509 *b);

/* The issuers of a certificate among the candidates, in order (its own first), the self-signed root
 * left out. *chain is owned by the caller. */
bool x509_issuers(STACK_OF(X509) * candidates, X509 *cert, STACK_OF(X509) * *chain,
                  struct err *err) NODISCARD;

/*
 * Takes a CA's answer apart: the certificate whose key has that hash, and its issuers as of
 * x509_issuers(). Position in the answer means nothing: of several certificates for the key it is
 * the one that lasts longest. *leaf and *chain are owned by the caller. E_CERT_REJECTED if no
 * certificate is for the key.
 */
bool x509_sort_answer(STACK_OF(X509) * answer, const uint8_t spki_hash[static X509_SPKI_HASH_LEN],
                      X509 **leaf, STACK_OF(X509) * *chain, struct err *err) NODISCARD;

struct x509_expectation {
    const uint8_t *spki_hash;       /* of the key it must be for */
    const struct x509_names *names; /* all must be present */
    const char *roots_path;         /* PEM file of the roots that may have issued it */
    int64_t now_s;
};

/*
 * Everything that must hold before a certificate is bound: its key, its names, its dates, and a
 * chain to a trusted root. E_CERT_REJECTED with the reason.
 */
bool x509_verify_issued(X509 *leaf, STACK_OF(X509) * chain, const struct x509_expectation *expect,
                        struct err *err) NODISCARD;

/* Whether a file of roots can be read and used, before anything depends on it. E_CONFIG, E_IO. */
bool x509_roots_check(const char *path, struct err *err) NODISCARD;

/* PEM of one certificate, or of a list; appended to out. */
bool x509_to_pem(X509 *cert, struct buf *out, struct err *err) NODISCARD;
bool x509_chain_to_pem(STACK_OF(X509) * chain, struct buf *out, struct err *err) NODISCARD;

/* Signatures over a text, beside it (cms.c; RFC 5652) */

enum { X509_CMS_MAX = 256 * 1024 };

/* Signs with a key and its certificate; *out is DER and has the certificate in it. Blocks for the
 * token. E_TOKEN. */
bool x509_cms_sign(X509 *cert, EVP_PKEY *key, const uint8_t *data, size_t len, struct buf *out,
                   struct err *err) NODISCARD;

/*
 * Checks a signature (PEM or DER) of one signer over a text that is not in it. The signer's
 * certificate is one of `known`, or the one in the signature; whether it may be trusted is the
 * caller's matter. *signer is owned by the caller. E_EVIDENCE.
 */
bool x509_cms_verify(const uint8_t *signature, size_t signature_len, const uint8_t *data,
                     size_t len, STACK_OF(X509) * known, X509 **signer, struct err *err) NODISCARD;

/* Whether a certificate may sign texts at that time: its dates and its key usage. E_FORBIDDEN. */
bool x509_may_sign(X509 *cert, int64_t now_s, struct err *err) NODISCARD;

/* SHA-256 of the certificate. */
enum { X509_FINGERPRINT_LEN = 32 };
bool x509_fingerprint(X509 *cert, uint8_t out[static X509_FINGERPRINT_LEN],
                      struct err *err) NODISCARD;

/* What people ask of a certificate (info.c, pure) */

struct x509_info {
    char *subject; /* RFC 4514 text; owned */
    char *issuer;
    char *serial; /* lower-case hex, no separators */
    int64_t not_before_s, not_after_s;
    bool can_client_auth; /* EKU has clientAuth, or there is no EKU */
    bool has_eku;
};

bool x509_info(X509 *cert, struct x509_info *out, struct err *err) NODISCARD;
/* Seconds since 1970 of a time in a certificate. False if it cannot be read. */
bool x509_seconds(const ASN1_TIME *time, int64_t *out) NODISCARD;

/* How its owner was validated, as its policies say (CA/Browser Forum, Baseline Requirements section
 * 7.1.6.1; validation.c). */
enum x509_validation {
    X509_VALIDATION_UNKNOWN,
    X509_VALIDATION_DV,
    X509_VALIDATION_OV,
    X509_VALIDATION_EV
};
enum x509_validation x509_validation(X509 *cert);

void x509_info_done(struct x509_info *info);
DEFINE_AUTO_DONE(x509_info, struct x509_info, x509_info_done)

#endif
