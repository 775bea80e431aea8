/* Inside the app folder: the parts of evidence about a key. */
#ifndef APP_EVIDENCE_H
#define APP_EVIDENCE_H

#include "app/app.h"
#include "hsm/evidence.h"
#include "hsm/policy.h"
#include "hsm/rules.h"
#include "json/json.h"

#include <openssl/evp.h>

enum {
    EVIDENCE_VERSION = 1,
    EVIDENCE_FILE_MAX = 1 << 20,
    EVIDENCE_NONCE_BYTES = 16,
    EVIDENCE_CHALLENGE_MAX = 2048,
    EVIDENCE_SIGNATURE_MAX = 2048,
    EVIDENCE_SPKI_MAX = 4096,
    EVIDENCE_WHY_SIZE = 200,
};

/* Everything that was found out about a key, before it is written down. */
struct evidence_facts {
    const struct hsm_key *key;
    int64_t now_s;
    struct hsm_claims claims;
    struct hsm_secret_try secret;
    struct hsm_rules rules;
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

/* Its member "device_attests": of a form and its attestation, taken apart; of none if form is NULL.
 * It is all that evidence says in the device's name. json_free() it. */
bool evidence_attestation(const struct hsm_form *form, const struct buf *attestation,
                          const struct hsm_attested *attested, json **out,
                          struct err *err) NODISCARD;

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

/* evidence_document.c: an evidence file with exactly the fields that one has, each of them once: so
 * every program that reads it sees the same. json_free() it. E_EVIDENCE. */
bool evidence_document(const uint8_t *data, size_t len, json **out, struct err *err) NODISCARD;

/*
 * evidence_device.c: the member "device_attests" of a file, read again from the attestation in it:
 * the form is the one that its bytes have, and everything else there is what would be written of it
 * today. *form is NULL if it says that nothing attests the key. E_EVIDENCE says what is not so.
 */
bool evidence_read_device(const json *device, const struct hsm_form **form, struct buf *raw,
                          struct hsm_attested *attested, struct err *err) NODISCARD;

/* The form whose maker the roots are, as the user says it; NULL if not. E_USAGE. */
bool evidence_maker(const struct app_evidence_files *files, const struct hsm_form **out,
                    struct err *err) NODISCARD;

/*
 * evidence_chain.c: whether the attestation leads to one of the self-signed certificates of a file;
 * `why` is empty then and says what is wrong otherwise. E_IO, E_CONFIG: the file is not usable.
 */
bool evidence_chain(const struct hsm_attested *attested, const char *roots_path, int64_t now_s,
                    char why[static EVIDENCE_WHY_SIZE], struct err *err) NODISCARD;

/* Whether such a file can be used, for a key without an attestation too. E_IO, E_CONFIG. */
bool evidence_roots_check(const char *path, struct err *err) NODISCARD;

DEFINE_AUTO(md_ctx, EVP_MD_CTX *, EVP_MD_CTX_free)

#endif
