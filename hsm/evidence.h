/*
 * Evidence about a key, of two kinds that are never merged.
 *
 * What the module claims: attributes, and its answer to the try to read the secret value. Whoever
 * controls the module controls these; some modules let anybody write them.
 *
 * What the device attests: a statement about the key that the device signed with a key of its
 * maker. evidence_forms.c is the table of the forms that vendors have for it: where each comes
 * from, how it is recognised, what it proves, and what a CA takes. The forms that consist of
 * certificates are read here and can be checked; the others are stored as they are.
 */
#ifndef HSM_EVIDENCE_H
#define HSM_EVIDENCE_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "hsm/key.h"
#include "hsm/session.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the module claims (evidence.c) */

enum { HSM_CLAIMS_MAX = 24 };

struct hsm_claim {
    const char *name; /* "CKA_SENSITIVE" */
    bool is_flag;
    bool flag;
    char *text;   /* of what is no flag: hex, or words with a space between; owned */
    char why[40]; /* "CKR_ATTRIBUTE_TYPE_INVALID": the module did not show it; "" if it did */
};

struct hsm_claims {
    struct hsm_claim list[HSM_CLAIMS_MAX];
    size_t count;
};

void hsm_claims_done(struct hsm_claims *claims);

/* Asks for each attribute that matters in a call of its own, so that each refusal is known by its
 * code. E_TOKEN if the session or the device is gone. */
bool hsm_claims_read(struct hsm_session *session, const struct hsm_key *key, struct hsm_claims *out,
                     struct err *err) NODISCARD;

/* The answer to the try to read the secret value. The value itself is wiped if it comes. */
struct hsm_secret_try {
    const char *attribute; /* "CKA_PRIVATE_EXPONENT" */
    char answer[40];       /* "CKR_ATTRIBUTE_SENSITIVE" */
    bool refused;          /* in one of the ways that the standard knows for it */
};

bool hsm_secret_try(struct hsm_session *session, const struct hsm_key *key,
                    struct hsm_secret_try *out, struct err *err) NODISCARD;

/* What the device attests (evidence_forms.c) */

enum {
    HSM_ATTESTATION_MAX = 256 * 1024, /* bytes */
    HSM_ATTESTED_CERTS = 12,
    HSM_ATTESTED_FACTS = 12,
};

struct hsm_fact {
    const char *name; /* "firmware" */
    char value[80];
};

/* An attestation of certificates, taken apart. */
struct hsm_attested {
    X509 *certs[HSM_ATTESTED_CERTS]; /* owned, as they come */
    size_t count;
    X509 *about; /* the one that speaks of the key; NULL while unknown; borrowed */
    struct hsm_fact facts[HSM_ATTESTED_FACTS];
    size_t fact_count;
    const char *why_not; /* a clause: why it does not prove what its form can; NULL: it does */
};

void hsm_attested_done(struct hsm_attested *attested);

/* One row: what a vendor's form is. */
struct hsm_form {
    const char *name;    /* "yubikey-piv", for files and options */
    const char *device;  /* for people */
    const char *proves;  /* a clause: what holds if its chain does */
    const char *source;  /* where it comes from, as a sentence */
    const char *ca_name; /* how Sectigo calls the device; NULL: it is not known to take it */

    /* Reads it from the token, into the form in which files have it; leaves *out empty if the token
     * has none. NULL: the user gives a file. */
    bool (*collect)(struct hsm_session *session, const struct hsm_key *key, struct buf *out,
                    struct err *err);
    bool (*recognise)(const uint8_t *data, size_t len);
    /* Takes it apart. NULL: it is stored, and nothing in it is checked. E_EVIDENCE. */
    bool (*parse)(const uint8_t *data, size_t len, struct hsm_attested *out, struct err *err);
    /* What Sectigo takes with a code signing order. NULL: not known. E_EVIDENCE: it would be
     * refused there. */
    bool (*payload)(const uint8_t *data, size_t len, const struct hsm_attested *attested,
                    struct buf *out, struct err *err);
};

/* The i-th row; NULL past the end. */
const struct hsm_form *hsm_form_at(size_t i);

/* NULL if there is none of that name. */
const struct hsm_form *hsm_form_named(const char *name);

/* The form of a vendor's file; the last row takes everything. */
const struct hsm_form *hsm_form_of(const uint8_t *data, size_t len);

/*
 * Asks the token itself: *form stays NULL and *out empty if it has no attestation of that key.
 * E_EVIDENCE if what it has is of another key or incomplete.
 */
bool hsm_attestation_collect(struct hsm_session *session, const struct hsm_key *key,
                             const struct hsm_form **form, struct buf *out,
                             struct err *err) NODISCARD;

/* Takes it apart as its form does; without certificates if the form is only stored. E_EVIDENCE. */
bool hsm_attestation_parse(const struct hsm_form *form, const uint8_t *data, size_t len,
                           struct hsm_attested *out, struct err *err) NODISCARD;

/* Whether one of the certificates carries that public key (SubjectPublicKeyInfo, DER), and for the
 * forms that say which one speaks of the key, that one. Sets attested->about. */
bool hsm_attested_is_of(struct hsm_attested *attested, const uint8_t *spki, size_t len);

/* Whether an attestation is one: of a form that is known, and, if it can be read, nothing in it
 * speaks against what its form proves. *why becomes the reason if not. */
bool hsm_attests(const struct hsm_form *form, const struct hsm_attested *attested,
                 const char **why);

void hsm_attested_fact(struct hsm_attested *attested, const char *name, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* evidence_x509.c: certificates in PEM among any text, or one in DER. E_EVIDENCE: none, too many.
 */
bool hsm_attested_certs(const uint8_t *data, size_t len, struct hsm_attested *out,
                        struct err *err) NODISCARD;

/* All extensions that one vendor's attestations have. */
#define HSM_YUBICO_ARC "1.3.6.1.4.1.41482."

/* Whether a certificate has an extension below that arc ("1.3.6.1.4.1.41482.3."). */
bool hsm_has_extension_below(X509 *cert, const char *arc);

/* PEM of a certificate, appended; the Base64 text of bytes in one line, appended. */
bool hsm_add_pem(X509 *cert, struct buf *out, struct err *err) NODISCARD;
bool hsm_add_base64(const uint8_t *data, size_t len, struct buf *out, struct err *err) NODISCARD;

/* The rows' functions. evidence_yubico.c: */
bool hsm_yubikey_collect(struct hsm_session *session, const struct hsm_key *key, struct buf *out,
                         struct err *err);
bool hsm_yubikey_recognise(const uint8_t *data, size_t len);
bool hsm_yubikey_parse(const uint8_t *data, size_t len, struct hsm_attested *out, struct err *err);
bool hsm_yubikey_payload(const uint8_t *data, size_t len, const struct hsm_attested *attested,
                         struct buf *out, struct err *err);
/* One extension of an attestation certificate: the last arc of its OID and its value. Unknown ones
 * are nothing. E_EVIDENCE: the value is not what that extension has. */
bool hsm_yubikey_extension(unsigned arc, const uint8_t *value, size_t len, struct hsm_attested *out,
                           struct err *err) NODISCARD;

/* evidence_yubihsm.c: */
bool hsm_yubihsm_recognise(const uint8_t *data, size_t len);
bool hsm_yubihsm_parse(const uint8_t *data, size_t len, struct hsm_attested *out, struct err *err);
/* The value of the extension that says where a key comes from. Sets out->why_not unless the device
 * made it. E_EVIDENCE: it is no such value. */
bool hsm_yubihsm_origin(const uint8_t *value, size_t len, struct hsm_attested *out,
                        struct err *err) NODISCARD;

/* evidence_luna.c: */
bool hsm_luna_recognise(const uint8_t *data, size_t len);
bool hsm_luna_parse(const uint8_t *data, size_t len, struct hsm_attested *out, struct err *err);
bool hsm_luna_payload(const uint8_t *data, size_t len, const struct hsm_attested *attested,
                      struct buf *out, struct err *err);

DEFINE_AUTO_DONE(hsm_claims, struct hsm_claims, hsm_claims_done)
DEFINE_AUTO_DONE(hsm_attested, struct hsm_attested, hsm_attested_done)

#endif
