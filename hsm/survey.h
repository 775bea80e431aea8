/* Behind hsm/cert_check.h and hsm/family.h: everything on a token that has to do with keys and
 * certificates, as it was read, and who belongs to whom. */
#ifndef HSM_SURVEY_H
#define HSM_SURVEY_H

#include "hsm/cert.h"
#include "hsm/index.h"

#include <string.h>

struct hsm_item {
    CK_OBJECT_CLASS class;
    CK_OBJECT_HANDLE handle;
    struct hsm_id id;
    char *label;                    /* owned */
    bool known;                     /* the public half */
    uint8_t digest[HSM_DIGEST_LEN]; /* of the public half */
    struct hsm_key_spec spec;       /* of keys */
    const struct hsm_item *key;     /* the private key that it belongs to; NULL: none */
    bool has_cert;                  /* a private key that a certificate belongs to */
    /* certificates */
    X509 *x509; /* owned; NULL: the value is none */
    bool attestation;
    bool names_differ;
};

struct hsm_survey {
    struct hsm_item *list; /* owned; private keys, public keys, certificates */
    size_t count;
    size_t privates, publics;                   /* how many of them come first, and second */
    struct hsm_index ids;                       /* all of them */
    struct hsm_index digests;                   /* those with a public half that is known */
    struct hsm_index labels, subjects, issuers; /* certificates */
};

/* The next item with that id, with that public half, or the next certificate with that label; *at
 * is 0 at first. NULL at the end. */
struct hsm_item *hsm_survey_by_id(const struct hsm_survey *survey, const struct hsm_id *id,
                                  size_t *at);
struct hsm_item *hsm_survey_by_digest(const struct hsm_survey *survey,
                                      const uint8_t digest[static HSM_DIGEST_LEN], size_t *at);
struct hsm_item *hsm_survey_by_label(const struct hsm_survey *survey, const char *label,
                                     size_t *at);

/* The next certificate whose subject, or whose issuer, may be that name. */
struct hsm_item *hsm_survey_by_subject(const struct hsm_survey *survey, const X509_NAME *name,
                                       size_t *at);
struct hsm_item *hsm_survey_by_issuer(const struct hsm_survey *survey, const X509_NAME *name,
                                      size_t *at);

/* After its id or label changed. Without memory it will not be found by them. */
void hsm_survey_note_change(struct hsm_survey *survey, const struct hsm_item *item);

/* A certificate, and no attestation. */
static inline bool hsm_item_is_cert(const struct hsm_item *item)
{
    return item->x509 != NULL && !item->attestation;
}

/*
 * Three searches, and a call or two for each object; the time grows with their number. A private
 * key that shows no public half has that of the public object with its id. Where what stands under
 * the id is not of one key, or there is no public object, a signature tells; up to 200 are made.
 */
bool hsm_survey(struct hsm_session *session, struct hsm_survey *out, struct err *err) NODISCARD;
void hsm_survey_done(struct hsm_survey *survey);

static inline bool hsm_id_equal(const struct hsm_id *a, const struct hsm_id *b)
{
    return a->set && b->set && a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* cert_fix.c: mends one object's id and label, or its names. E_TOKEN. */
bool hsm_item_fix(struct hsm_token *token, const struct hsm_item *item, const struct hsm_id *id,
                  const char *label, struct err *err) NODISCARD;

DEFINE_AUTO_DONE(hsm_survey, struct hsm_survey, hsm_survey_done)

#endif
