/*
 * Certificates on a token: finding, writing, and binding to a key.
 *
 * Binding means: certificate and private key share CKA_ID and CKA_LABEL. A certificate that was
 * there before is destroyed only after the new one was written and read back, so a key is never
 * without one, whatever happens between the steps; a bind that was interrupted is completed by
 * running it again.
 */
#ifndef HSM_CERT_H
#define HSM_CERT_H

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "hsm/key.h"
#include "hsm/object.h"
#include "hsm/session.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>

struct hsm_cert {
    CK_OBJECT_HANDLE handle;
    struct hsm_id id;
    char *label; /* owned */
    X509 *x509;  /* owned; NULL if the value is not a certificate */
};

struct hsm_certs {
    struct hsm_cert *list;
    size_t count;
};

#define HSM_CERTS_INIT                                                                             \
    {                                                                                              \
        .list = NULL, .count = 0                                                                   \
    }

void hsm_certs_done(struct hsm_certs *certs);

/* Reads the certificate behind a handle. */
bool hsm_cert_load(struct hsm_session *session, CK_OBJECT_HANDLE handle, struct hsm_cert *cert,
                   struct err *err) NODISCARD;
void hsm_cert_done(struct hsm_cert *cert);

/* All certificates that the URI means (id, label). */
bool hsm_certs_find(struct hsm_session *session, const struct hsm_uri *uri, struct hsm_certs *out,
                    struct err *err) NODISCARD;

/*
 * The one certificate that the URI means, with that serial number (lower-case hex) unless NULL. An
 * attestation certificate is passed over where something else matches. E_OBJECT_MISSING;
 * E_OBJECT_AMBIGUOUS with the candidates and their serial numbers.
 */
bool hsm_cert_find(struct hsm_session *session, const struct hsm_uri *uri, const char *serial,
                   struct hsm_cert *out, struct err *err) NODISCARD;

/* The issuer of cert on the token: found by its subject, and its key verifies. *out NULL: there is
 * none. X509_free() it. */
bool hsm_cert_find_issuer(struct hsm_session *session, X509 *cert, X509 **out,
                          struct err *err) NODISCARD;

/* The serial number in lower-case hex, without separators; appended. False for what is no
 * certificate. */
bool hsm_cert_serial(const struct hsm_cert *cert, struct buf *out);

/* A URI that names this object: token attributes, id, label, type. Strings owned by *uri. */
bool hsm_cert_uri(const struct hsm_token *token, const struct hsm_cert *cert, struct hsm_uri *uri,
                  struct err *err) NODISCARD;

/* True for a vendor's attestation certificate, which shares the key's id and must never be
 * replaced. */
bool hsm_cert_is_attestation(const struct hsm_cert *cert);

/* True if the certificate has the key's public half. */
bool hsm_cert_is_of(const struct hsm_cert *cert, const struct hsm_key *key);

/*
 * Is told what a bind will replace, before anything is written: certificates of this key under its
 * id. False (with err) ends the bind, and nothing was changed.
 */
typedef bool hsm_cert_note_fn(void *ctx, const struct hsm_cert *const *old, size_t count,
                              struct err *err);

struct hsm_bind {
    X509 *cert;         /* the key's new certificate */
    const char *label;  /* NULL: the key's */
    X509 *const *chain; /* issuers to put on the token as well; may be NULL */
    size_t chain_len;
    bool keep_old;            /* leave certificates of this key that were there before */
    size_t max_size;          /* bytes that a certificate may have on this token; 0: any number */
    bool attestation_missing; /* refuse to write: that may destroy what was not collected yet */
    hsm_cert_note_fn *note;   /* NULL: nobody wants to know */
    void *note_ctx;
};

struct hsm_bind_report {
    bool already_there;   /* the very certificate was on the token already */
    size_t chain_written; /* issuers that were written; the others were there */
    size_t old_removed;   /* earlier certificates of this key that were destroyed */
    size_t foreign_left;  /* certificates with this id that are not of this key: left alone */
    size_t newer_left;    /* certificates of this key that appeared meanwhile: left alone */
};

/*
 * Binds. The user is logged in, `key` is a private key that was found on the token. Checks that the
 * certificate carries the key's public half, and that token and sizes allow it, before anything is
 * written; issuers that were written are removed again if the certificate itself cannot be.
 * E_CERT_REJECTED, E_TOKEN, E_POLICY (attestation missing).
 */
bool hsm_cert_bind(struct hsm_token *token, const struct hsm_key *key, const struct hsm_bind *bind,
                   struct hsm_bind_report *report, struct err *err) NODISCARD;

/* Destroys one object, and looks in a new session whether it is gone. The user is logged in.
 * E_TOKEN. */
bool hsm_cert_remove(struct hsm_token *token, const struct hsm_cert *cert,
                     struct err *err) NODISCARD;

/* As hsm_cert_remove(), for that certificate under the key's id; *removed false: it was not there.
 */
bool hsm_cert_unbind(struct hsm_token *token, const struct hsm_key *key, X509 *cert, bool *removed,
                     struct err *err) NODISCARD;

/* Private keys of a token by id, for telling of many certificates whether their key is there. */
struct hsm_key_index {
    struct hsm_indexed_key *list; /* owned, in order */
    size_t count;
};

enum hsm_match {
    HSM_MATCH_NONE,  /* no private key has that id */
    HSM_MATCH_YES,   /* one has, and as far as its object shows, it is the certificate's */
    HSM_MATCH_OTHER, /* one has, and is another key */
};

/* Reads all private keys: one search, one call each. The user is logged in. */
bool hsm_key_index(struct hsm_session *session, struct hsm_key_index *out,
                   struct err *err) NODISCARD;

/* The same for the keys of one id, with their public half from wherever the token has it. */
bool hsm_key_index_for(struct hsm_session *session, const struct hsm_id *id,
                       struct hsm_key_index *out, struct err *err) NODISCARD;
void hsm_key_index_done(struct hsm_key_index *index);
enum hsm_match hsm_key_index_match(const struct hsm_key_index *index, const struct hsm_cert *cert);

/* SHA-256 over kind and numbers of a public half: the same for the same key, wherever it was read.
 * False (no error) if it is not known. */
enum { HSM_DIGEST_LEN = 32 };
bool hsm_public_digest(const struct hsm_key_spec *spec, const struct hsm_public *public,
                       uint8_t out[static HSM_DIGEST_LEN]);
bool hsm_cert_digest(const struct hsm_cert *cert, uint8_t out[static HSM_DIGEST_LEN]);

DEFINE_AUTO_DONE(hsm_key_index, struct hsm_key_index, hsm_key_index_done)
DEFINE_AUTO_DONE(hsm_cert, struct hsm_cert, hsm_cert_done)
DEFINE_AUTO_DONE(hsm_certs, struct hsm_certs, hsm_certs_done)

#endif
