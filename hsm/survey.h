/* Behind hsm/cert_check.h and hsm/family.h: everything on a token that has to do with keys and
 * certificates, as it was read, and who belongs to whom. */
#ifndef HSM_SURVEY_H
#define HSM_SURVEY_H

#include "hsm/cert.h"

#include <string.h>

struct hsm_item {
    CK_OBJECT_CLASS class;
    CK_OBJECT_HANDLE handle;
    struct hsm_id id;
    char *label;                    /* owned */
    bool known;                     /* the public half */
    uint8_t digest[HSM_DIGEST_LEN]; /* of the public half */
    const struct hsm_item *key;     /* the private key that it belongs to; NULL: none */
    /* certificates */
    X509 *x509; /* owned; NULL: the value is none */
    bool attestation;
    bool names_differ;
};

struct hsm_survey {
    struct hsm_item *list; /* owned; private keys, public keys, certificates */
    size_t count;
    size_t privates, publics; /* how many of them come first, and second */
};

/* Three searches, and a call or two for each object. */
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
