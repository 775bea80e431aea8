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

/* True for a vendor's attestation certificate, which shares the key's id and must never be
 * replaced. */
bool hsm_cert_is_attestation(const struct hsm_cert *cert);

struct hsm_bind {
    X509 *cert;         /* the key's new certificate */
    X509 *const *chain; /* issuers to put on the token as well; may be NULL */
    size_t chain_len;
    bool keep_old; /* leave certificates of this key that were there before */
};

struct hsm_bind_report {
    bool already_there;   /* the very certificate was on the token already */
    size_t chain_written; /* issuers that were written; the others were there */
    size_t old_removed;   /* earlier certificates of this key that were destroyed */
    size_t foreign_left;  /* certificates with this id that are not of this key: left alone */
};

/*
 * Binds. The user is logged in, `key` is a private key that was found on the token. Checks that the
 * certificate carries the key's public half before anything is written. E_CERT_REJECTED, E_TOKEN.
 */
bool hsm_cert_bind(struct hsm_token *token, const struct hsm_key *key, const struct hsm_bind *bind,
                   struct hsm_bind_report *report, struct err *err) NODISCARD;

DEFINE_AUTO_DONE(hsm_cert, struct hsm_cert, hsm_cert_done)
DEFINE_AUTO_DONE(hsm_certs, struct hsm_certs, hsm_certs_done)

#endif
