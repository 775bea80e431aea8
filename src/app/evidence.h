/* Inside the app folder: the parts of evidence about a key. */
#ifndef APP_EVIDENCE_H
#define APP_EVIDENCE_H

#include "app/app.h"
#include "hsm/evidence.h"
#include "hsm/policy.h"
#include "json/json.h"

#include <openssl/evp.h>

enum {
    EVIDENCE_VERSION = 1,
    EVIDENCE_FILE_MAX = 1 << 20,
    EVIDENCE_NONCE_BYTES = 16,
    EVIDENCE_CHALLENGE_MAX = 2048,
    EVIDENCE_SIGNATURE_MAX = 2048,
    EVIDENCE_SPKI_MAX = 4096,
};

/* Everything that was found out about a key, before it is written down. */
struct evidence_facts {
    const struct hsm_key *key;
    int64_t now_s;
    struct hsm_claims claims;
    struct hsm_secret_try secret;
    struct hsm_verdict verdict;
    const char *dropped;
    uint8_t *spki; /* DER, owned by OpenSSL's allocator */
    size_t spki_len;
    const struct hsm_form *form; /* NULL: nothing attests the key */
    struct buf attestation;
    struct hsm_attested attested;
};

/* evidence_statement.c: the statement, which is hashed. json_free() it. */
bool evidence_statement(const struct evidence_facts *facts, json **out, struct err *err) NODISCARD;

/* SHA-256 of bytes, and of the one text that a value has, in hex. */
bool evidence_hash_bytes(const void *data, size_t len, char out[static APP_HASH_TEXT],
                         struct err *err) NODISCARD;
bool evidence_hash(const json *value, char out[static APP_HASH_TEXT], struct err *err) NODISCARD;

/* evidence_proof.c: the text that is signed. Everything in it but the nonce is in the statement. */
bool evidence_challenge(const json *statement, const char *statement_sha256, const char *nonce,
                        struct buf *out, struct err *err) NODISCARD;

/* Signs a fresh challenge and returns the member "possession". */
bool evidence_prove(EVP_PKEY *key, const json *statement, const char *statement_sha256, json **out,
                    struct err *err) NODISCARD;

/* Whether the signature is by that key over that challenge. E_EVIDENCE says what is not. */
bool evidence_check_proof(EVP_PKEY *key, const json *possession, struct err *err) NODISCARD;

/* Base64 in one line, without anything else; at most out->max bytes. E_EVIDENCE names the field. */
bool evidence_decode(const json *object, const char *name, struct buf *out,
                     struct err *err) NODISCARD;

DEFINE_AUTO(md_ctx, EVP_MD_CTX *, EVP_MD_CTX_free)

#endif
