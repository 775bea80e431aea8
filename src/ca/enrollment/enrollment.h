/*
 * Inside ca/enrollment: the Enrollment REST API of Sectigo Certificate Manager.
 *
 * Its accounts have no rights of an administrator: product, term and organization are the account's
 * own, and a client may order, collect and revoke. Connection, OAuth login and the meaning of
 * errors are those of ca/scm. Where the API is not documented, both forms that were seen are taken,
 * or a setting says which.
 */
#ifndef CA_ENROLLMENT_ENROLLMENT_H
#define CA_ENROLLMENT_ENROLLMENT_H

#include "ca/scm/call.h"

/* The CA's id of a certificate: a number, or a word of letters, digits and "-._~:". */
enum { ENROLLMENT_ID_MAX = 60 };
struct enrollment_id {
    char text[ENROLLMENT_ID_MAX + 1];
};

/* What an order may carry beside the request. */
enum enrollment_field {
    ENROLLMENT_PRODUCT = 1 << 0,
    ENROLLMENT_TERM = 1 << 1,
    ENROLLMENT_NAMES = 1 << 2,
    ENROLLMENT_COMMENTS = 1 << 3,
    ENROLLMENT_REQUESTER = 1 << 4,
    ENROLLMENT_CUSTOM = 1 << 5,
};

struct enrollment {
    struct scm scm;
    unsigned fields;
    bool no_status; /* there is no call for it: what collecting says is the status */
};

/* What the API says of a certificate. */
struct enrollment_status {
    enum ca_phase phase;
    bool revoked;
    char word[64]; /* the CA's own, or what stands for it */
};

/* Asks for it. E_ORDER_MISSING: there is none of that id. */
bool enrollment_ask(struct enrollment *e, const struct enrollment_id *id,
                    struct enrollment_status *out, struct err *err) NODISCARD;

/* Fetches certificate and chain; *ready false: not yet. *revoked: it is not given for that reason,
 * which is a failure as well. */
bool enrollment_fetch(struct enrollment *e, const struct enrollment_id *id, bool *ready,
                      bool *revoked, struct buf *out, struct err *err) NODISCARD;

/* Whether a call is not offered: then something else has to do. */
bool enrollment_is_absent(const struct scm_answer *answer);

/* submit.c */
bool enrollment_check_request(void *impl, const struct ca_request *request,
                              struct err *err) NODISCARD;
enum ca_submit enrollment_submit(void *impl, const struct ca_request *request, char **state,
                                 struct err *err);
enum ca_outcome enrollment_decide(void *impl, const struct ca_decision *decision, struct err *err);
enum ca_outcome enrollment_update(void *impl, const struct ca_update *update, struct err *err);
bool enrollment_check_fields(void *impl, enum ca_kind kind, const char *custom_fields,
                             struct err *err) NODISCARD;

/* before.c: when it was sent, and what could be a renewal already. */
bool enrollment_before_submit(void *impl, const struct ca_request *request, char **before,
                              struct err *err) NODISCARD;

/* find.c */

/* One page of the list. */
enum { ENROLLMENT_PAGE = 200, ENROLLMENT_PAGES_MAX = 500 };
bool enrollment_get_page(struct enrollment *e, int64_t position, struct scm_answer *answer,
                         json **doc, struct err *err) NODISCARD;

/* Whether that failed because there is no list, or none for this account. */
bool enrollment_has_no_list(const struct scm_answer *answer);

/* The certificate of an id if it is there and for that key; *leaf NULL: it is not, or cannot be
 * had. It is borrowed from *certs. */
bool enrollment_fetch_for(struct enrollment *e, const struct enrollment_id *id,
                          const uint8_t spki_hash[static X509_SPKI_HASH_LEN],
                          STACK_OF(X509) * *certs, X509 **leaf, struct err *err) NODISCARD;

bool enrollment_find(void *impl, const struct ca_request *request, bool *found, char **state,
                     struct err *err) NODISCARD;
bool enrollment_list(void *impl, const struct ca_filter *filter, ca_row_fn *visit, void *ctx,
                     struct err *err) NODISCARD;

/* revoke.c */
bool enrollment_record(void *impl, enum ca_kind kind, int64_t id, struct ca_record *out,
                       struct err *err) NODISCARD;
enum ca_revoke enrollment_revoke(void *impl, const struct ca_revocation *revocation,
                                 struct err *err);

/* parse.c: everything below is pure. */

/* "names, term" to ENROLLMENT_ bits. E_CONFIG. */
bool enrollment_parse_fields(const char *list, unsigned *out, struct err *err) NODISCARD;

/* The id in an answer or in a row of a list. E_PROTOCOL: there is none, or none that can stand in a
 * path. */
bool enrollment_parse_id(const json *doc, struct enrollment_id *out, struct err *err) NODISCARD;

/* An id that somebody gave. False: it is none. */
bool enrollment_take_id(const char *text, struct enrollment_id *out);

/* The id in a state, and a state with an id; free() it, NULL without memory. E_JOURNAL.
 * replaces: the certificate of that id is one that replaces another one. */
bool enrollment_read_state(const char *state, struct enrollment_id *out, struct err *err) NODISCARD;
char *enrollment_make_state(const struct enrollment_id *id, bool replaces);
bool enrollment_state_replaces(const char *state);

/* A status in one of its forms. E_PROTOCOL: in none. */
bool enrollment_parse_status(const json *doc, struct enrollment_status *out,
                             struct err *err) NODISCARD;

/* A PEM request as the API wants it: base64 of its DER on one line. */
bool enrollment_csr(const char *csr_pem, struct buf *out, struct err *err) NODISCARD;

/* The body of an order. `fields` are those that it may carry. E_CONFIG, E_USAGE. */
bool enrollment_build(const struct ca_request *request, unsigned fields, struct buf *out,
                      struct err *err) NODISCARD;

/* {"message":"...","reasonCode":4}. E_USAGE: the text is empty or too long. */
bool enrollment_build_revoke(const struct ca_revocation *revocation, struct buf *out,
                             struct err *err) NODISCARD;

/* Of the certificates in an answer: the one for that key (NULL: the one that is no CA's). *leaf is
 * borrowed from it. */
bool enrollment_pick(const struct buf *answer, const uint8_t *spki_hash, STACK_OF(X509) * *certs,
                     X509 **leaf, struct err *err) NODISCARD;

#endif
