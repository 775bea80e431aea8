/* Inside ca/scm: Sectigo Certificate Manager, Admin REST API, header and client-certificate login.
 */
#ifndef CA_SCM_SCM_H
#define CA_SCM_SCM_H

#include "ca/ops.h"
#include "json/json.h"

enum scm_endpoint_id {
    SCM_TYPES,
    ENROLLMENT_ORDER, /* of the Enrollment API (ca/enrollment) */
    ENROLLMENT_COLLECT,
    ENROLLMENT_STATUS,
    ENROLLMENT_LIST,
    ENROLLMENT_REVOKE,
    ENROLLMENT_RENEW,
    ENROLLMENT_REPLACE,
    SCM_ENROLL,
    SCM_DETAILS,
    SCM_COLLECT_QUERY,
    SCM_COLLECT_PATH,
    SCM_LIST,
    SCM_REVOKE,
    SCM_REVOKE_SERIAL,
    SCM_ORGANIZATIONS,
    SCM_PASSWORD,
    SCM_DOMAINS,
    SCM_DOMAIN,
    SCM_DCV_LIST,
    SCM_DCV_STATUS,
    SCM_DCV_SYNC,
    SCM_DCV_CLEAR,
    SCM_DCV_START,
    SCM_DCV_SUBMIT,
    SCM_ORDER_DCV,
    SCM_ORDER_RECHECK,
    SCM_REPORT,
    SCM_DEVICE_REPORT,
    SCM_ORGANIZATION,
    SCM_ACME_LIST,
    SCM_ACME_CREATE,
    SCM_ACME_ACCOUNT,
    SCM_ACME_RENAME,
    SCM_ACME_DELETE,
    SCM_ACME_DOMAINS,
    SCM_ACME_ADD,
    SCM_ACME_REMOVE,
    SCM_ACME_CLIENTS,
    SCM_ACME_DEACTIVATE,
    SCM_RENEW,
    SCM_REPLACE,
    SCM_APPROVE,
    SCM_DECLINE,
    SCM_UPDATE,
    SCM_FIELDS,
    SCM_FIELDS_TLS,
    SCM_DEVICE_TYPES,
    SCM_DEVICE_ENROLL,
    SCM_DEVICE_DETAILS,
    SCM_DEVICE_COLLECT,
    SCM_DEVICE_LIST,
    SCM_DEVICE_RENEW,
    SCM_DEVICE_REPLACE,
    SCM_DEVICE_REVOKE,
    SCM_DEVICE_REVOKE_SERIAL,
    SCM_DEVICE_APPROVE,
    SCM_DEVICE_DECLINE,
    SCM_DEVICE_UPDATE,
    SCM_SMIME_TYPES,
    SCM_SMIME_ENROLL,
    SCM_SMIME_COLLECT,
    SCM_SMIME_LIST,
    SCM_SMIME_DETAILS,
    SCM_SMIME_UPDATE,
    SCM_SMIME_RENEW,
    SCM_SMIME_REVOKE,
    SCM_SMIME_REVOKE_SERIAL,
    SCM_ENDPOINTS
};

/* What a list can be narrowed to: the query's words; NULL: the CA does not narrow by it. */
struct scm_words {
    const char *common_name, *name, *status, *serial, *requester, *external_requester, *org,
        *product;
};

/* kinds.c: which resources a kind of certificate has. */
struct scm_kind {
    const char *cert_type; /* as the resource of custom fields calls it */
    const char *id_member; /* of answers to an order */
    struct scm_words by;
    enum scm_endpoint_id types, enroll, details, collect, list, report, renew, replace, revoke,
        revoke_serial, approve, decline, update; /* SCM_ENDPOINTS: there is none */
};

const struct scm_kind *scm_kind(enum ca_kind kind);

/* The resource; E_USAGE if the kind has none: "S/MIME certificates cannot be ...". */
bool scm_kind_has(enum ca_kind kind, enum scm_endpoint_id endpoint, const char *what,
                  struct err *err) NODISCARD;

/* The highest numbers that were listed: what was lost just now is among the newest. */
enum { SCM_IDS_MAX = 500 };
struct scm_ids {
    int64_t list[SCM_IDS_MAX];
    size_t count;
    bool cut; /* there are more */
};

/* Each number once; beyond the maximum the lowest is dropped. */
void scm_ids_add(struct scm_ids *ids, int64_t id);
/* The highest first. */
void scm_ids_sort(struct scm_ids *ids);
/* Whether it may be new since the list was taken: it is not in it, and not below all of one that
 * was full. */
bool scm_ids_is_new(const struct scm_ids *before, int64_t id);

/* What the journal keeps for us of an order. */
struct scm_state {
    int64_t id; /* 0: the CA has given none */
    enum ca_kind kind;
    bool replaces; /* the number is that of the certificate that was replaced */
    /* a renewal, before it is sent: of which number, the numbers that were listed then, and the
     * comments that the CA may copy (borrowed from the document) */
    int64_t renews;
    struct scm_ids known;
    const char *comments;
    bool renewed; /* the CA's record said then that there is a renewal */
};

/* *doc keeps what is borrowed; json_free() it. E_JOURNAL. */
bool scm_state_read(const char *text, json **doc, struct scm_state *out, struct err *err) NODISCARD;
/* free() it; NULL: no memory. */
char *scm_state_text(const struct scm_state *state) NODISCARD;

/* submit.c */
bool scm_check_request(void *impl, const struct ca_request *request, struct err *err);
enum ca_submit scm_submit(void *impl, const struct ca_request *request, char **state,
                          struct err *err);
bool scm_find_submitted(void *impl, const struct ca_request *request, bool *found, char **state,
                        struct err *err);
bool scm_adopt(const struct ca_request *request, const char *order_id, char **state,
               struct err *err);
/* E_USAGE: what was asked for cannot have that number. */
bool scm_may_have_number(const struct ca_request *request, int64_t id, struct err *err) NODISCARD;

/* renew.c */
bool scm_before_submit(void *impl, const struct ca_request *request, char **before,
                       struct err *err);
/* decide.c */
enum ca_outcome scm_decide(void *impl, const struct ca_decision *decision, struct err *err);
enum ca_outcome scm_update(void *impl, const struct ca_update *update, struct err *err);

/* fields.c */
bool scm_check_fields(void *impl, enum ca_kind kind, const char *custom_fields, struct err *err);

/* scm.c */
bool scm_products(void *impl, enum ca_kind kind, struct ca_products *out, struct err *err);

/* aside.c */
void scm_turn(void *impl, void *user);
bool scm_is_under_way(const void *impl);
void scm_forget(void *impl, const void *user);
bool scm_hear(void *impl, int64_t wait_ms, struct ca_heard *out);

/* check.c */
void scm_check(void *impl, struct ca_checks *out);

/* records.c */
bool scm_record(void *impl, enum ca_kind kind, int64_t id, struct ca_record *out, struct err *err);
bool scm_list(void *impl, const struct ca_filter *filter, ca_row_fn *visit, void *ctx,
              struct err *err);
/* report.c: the same rows, out of the account's report; *visited tells whether there was one. */
struct scm;
bool scm_report(struct scm *scm, const struct ca_filter *filter, ca_row_fn *visit, void *ctx,
                bool *visited, struct err *err) NODISCARD;
/* An order by the mark in its comments, which lists do not show, among what was requested since it
 * was planned. *id stays: it is not there, or the account is given no report. */
bool scm_find_in_report(struct scm *scm, const struct ca_request *request, int64_t *id,
                        struct err *err) NODISCARD;
enum ca_revoke scm_revoke(void *impl, const struct ca_revocation *revocation, struct err *err);

/* domains.c */
extern const struct ca_domain_ops scm_domain_ops;
/* organizations.c, acme.c */
extern const struct ca_account_ops scm_account_ops;
bool scm_organizations(void *impl, struct ca_organizations *out, struct err *err);
bool scm_organization(void *impl, int64_t id, struct ca_organization *out, struct err *err);

/* One row per resource of the API. */
struct scm_endpoint {
    enum scm_endpoint_id id;
    const char *name; /* for messages */
    const char *method;
    const char *path; /* behind the API prefix; {version} and {id} are filled in */
    bool idempotent;  /* may be repeated without asking */
    int timeout_ms;
    const char *source; /* page of the API documentation */
};

const struct scm_endpoint *scm_endpoint(enum scm_endpoint_id id);

/* parse.c: everything below is pure. */

/* What an error body says (scm-rest-api: {"code":-16,"description":"Unknown user"}). */
struct scm_error {
    bool understood; /* it was such an object */
    bool has_code;
    bool has_text; /* with a description */
    bool own;      /* it is the API's, and no other server's: see scm_is_refusal() */
    int64_t code;
    char text[1024]; /* description and details, or a word about what came instead */
};

void scm_parse_error(const struct http_response *response, struct scm_error *out);

/* What a failed answer means for the operation. */
enum scm_class {
    SCM_OK,
    SCM_NOT_READY, /* collect: ask again later */
    SCM_TRANSIENT, /* nothing happened; may be repeated */
    SCM_UNCERTAIN, /* something may have happened */
    SCM_BAD_LOGIN,
    SCM_NOT_ALLOWED,
    SCM_PERMANENT,
    SCM_NONSENSE, /* not the API: HTML, a redirect */
};

enum scm_class scm_classify(enum scm_endpoint_id operation, int status,
                            const struct scm_error *error);

/*
 * Whether an answer proves that what was asked for was not done (docs/design/004): a 4xx with the
 * API's own error object, unless its code leaves that open, or a 401 with a challenge for a bearer
 * token, which a server of resources sends before it looks at the request (RFC 6750 section 3).
 * What somebody on the way says proves nothing.
 */
bool scm_is_refusal(const struct http_response *response, enum scm_class class,
                    const struct scm_error *error);

/* codes.c, pure: what a code of the API means. */
struct scm_code {
    int64_t code;
    enum scm_class class;
    const char *meaning; /* for answers that say nothing themselves */
    const char *remedy;  /* what to do; never empty */
};

/* NULL: the code is not published. */
const struct scm_code *scm_code_find(enum scm_endpoint_id operation, int64_t code);
/* Whether it says, of a change and with whatever status, that something may have happened. */
bool scm_code_is_uncertain(int64_t code);
/* The same for a path of the API and a request that may, or may not, be repeated. */
const struct scm_code *scm_code_in(const char *path, bool idempotent, int64_t code);
/* The i-th row of the table; NULL past the end. */
const struct scm_code *scm_code_at(size_t i);

/* "HTTP 400: Unknown user (code -16); check 'login' ...", for an answer that is no success. */
void scm_error_sentence(enum scm_endpoint_id operation, int status, const struct scm_error *error,
                        struct buf *out);

bool scm_parse_types(const json *doc, struct ca_products *out, struct err *err) NODISCARD;

/* The number of a new order; E_PROTOCOL if it is missing or not positive. */
bool scm_parse_enroll(const json *doc, int64_t *id, struct err *err) NODISCARD;
bool scm_parse_number(const json *doc, const char *member, int64_t *id, struct err *err) NODISCARD;

struct scm_details {
    enum ca_phase phase;
    const char *status;   /* borrowed from the document; "" */
    const char *comments; /* "" */
    const char *serial;   /* "" */
};

bool scm_parse_details(const json *doc, struct scm_details *out, struct err *err) NODISCARD;

/* Everything that a record takes from the details. */
bool scm_parse_record(const json *doc, struct ca_record *out, struct err *err) NODISCARD;
/* The same less the status; what the record knows already stays. */
bool scm_parse_facts(const json *doc, struct ca_record *out, struct err *err) NODISCARD;

/* parse_row.c */

/* One row of the list; false if it has no number. names and row borrow from it and from the
 * document. */
bool scm_parse_row(const json *item, struct buf *names, struct ca_row *row);

/* What a row borrows from, beside the document. */
enum { SCM_NAMES_MAX = 256 * 1024, SCM_CN_MAX = 1024 };
struct scm_row_texts {
    struct buf names, common_name;
};
#define SCM_ROW_TEXTS_INIT                                                                         \
    {                                                                                              \
        .names = BUF_INIT(SCM_NAMES_MAX), .common_name = BUF_INIT(SCM_CN_MAX)                      \
    }
void scm_row_texts_done(struct scm_row_texts *texts);
DEFINE_AUTO_DONE(scm_row_texts, struct scm_row_texts, scm_row_texts_done)

/* The same for the list of any kind of certificate. */
bool scm_parse_row_of(enum ca_kind kind, const json *item, struct scm_row_texts *texts,
                      struct ca_row *row);

/* The CN out of "O=Org, CN=a.example", without its escapes. False: it has none. */
bool scm_subject_cn(const char *subject, struct buf *out);

/* "dNSName=a, rfc822Name=b" as "a,b". */
void scm_join_san_text(const char *text, struct buf *out);

/* In the spelling of details, where it is a status of device certificates. */
const char *scm_device_status(const char *status);

/* E_USAGE: the CA's list of that kind is not narrowed by something that is wanted. */
bool scm_check_filter(const struct ca_filter *filter, struct err *err) NODISCARD;

/* One row of the report; false if it has no number. names and row borrow from it and from the
 * document. */
bool scm_parse_report_row(const json *item, struct buf *names, struct ca_row *row);
/* The same of the report of device certificates, which names no alternative names. */
bool scm_parse_device_report_row(const json *item, struct ca_row *row);

/* Days since 1970; the report is narrowed to those that were requested from one to the other, both
 * included. */
struct scm_days {
    int64_t first, last;
};

/* The body of a request for the report; days NULL: all. E_USAGE. */
bool scm_build_report(const struct ca_filter *filter, const struct scm_days *days, struct buf *out,
                      struct err *err) NODISCARD;

/* What the CA does not narrow a report by, or not exactly. */
bool scm_row_fits(const struct ca_row *row, const struct ca_filter *filter);

/* seen.c: numbers that were met, without limit to how many are asked for: the last half million at
 * least are remembered. */
struct scm_seen {
    int64_t *now, *before; /* owned; open addressing, 0 is free */
    size_t slots, used;
};

/* Whether it was not met yet, and remembers it. Numbers are positive. E_MEMORY. */
bool scm_seen_is_new(struct scm_seen *seen, int64_t id, bool *is_new, struct err *err) NODISCARD;
void scm_seen_done(struct scm_seen *seen);
DEFINE_AUTO_DONE(scm_seen, struct scm_seen, scm_seen_done)

/* The query of one page of the list. */
void scm_build_list(const struct ca_filter *filter, int64_t size, int64_t position,
                    struct buf *out);

/* {"reasonCode":4,"reason":"..."} E_USAGE: the text is empty or too long. */
bool scm_build_revoke(const struct ca_revocation *revocation, struct buf *out,
                      struct err *err) NODISCARD;

/* True for the code that says that a certificate is revoked already. */
bool scm_was_revoked(const struct scm_error *error);

/* The phase behind a status word, in whatever spelling; unknown words are pending. */
enum ca_phase scm_phase(const char *status);

/* The CN in a PEM request as UTF-8, which is what the CA lists the order under. False: it has none.
 */
bool scm_csr_cn(const char *csr_pem, struct buf *out);

bool scm_build_enroll(const struct ca_request *request, int64_t org_id, struct buf *out,
                      struct err *err) NODISCARD;

/* Whether names are sent beside the request: as it says, and with `auto` if there are others than
 * the CN. */
bool scm_wants_names(const struct ca_request *request);

/* build.c */

/* {} or {"csr":...}; {"csr":...,"reason":...} with names if they are to be sent. E_USAGE. */
bool scm_build_renew(const struct ca_request *request, struct buf *out, struct err *err) NODISCARD;
bool scm_build_replace(const struct ca_request *request, struct buf *out,
                       struct err *err) NODISCARD;
/* Of a device and of a person; texts as of scm_build_enroll(). */
bool scm_build_device(const struct ca_request *request, int64_t org_id, struct buf *out,
                      struct err *err) NODISCARD;
bool scm_build_smime(const struct ca_request *request, int64_t org_id, struct buf *out,
                     struct err *err) NODISCARD;
bool scm_build_decision(const struct ca_decision *decision, struct buf *out,
                        struct err *err) NODISCARD;
bool scm_build_update(const struct ca_update *update, struct buf *out, struct err *err) NODISCARD;

/* Parts of these. */
bool scm_add_custom_fields(json *body, const char *text, struct err *err) NODISCARD;
bool scm_add_comments(json *body, const struct ca_request *request, struct err *err) NODISCARD;
bool scm_check_csr(const char *csr_pem, struct err *err) NODISCARD;

/* fields.c: whether names out of NAME=VALUE;NAME=VALUE are all among those that the API has for
 * devices (code -64 else). E_CONFIG lists them. */
bool scm_check_optional(const char *text, struct err *err) NODISCARD;

/* One custom field that the CA knows. */
struct scm_field {
    const char *name; /* borrowed from the document */
    bool mandatory;   /* for orders that come this way */
    const char *type; /* "DATE"; "": not said */
    const json *options;
};

/* One of either resource; false if it is none, or not in use. */
bool scm_parse_field(const json *item, struct scm_field *out);
/* Compares what is given with what there is; out: what is wrong, a sentence. */
bool scm_judge_fields(const json *list, const char *given, struct buf *out);

/* Whether a candidate is the renewal that was asked for, as far as its record tells. */
bool scm_is_renewal(const struct ca_record *old, const struct ca_record *candidate,
                    const char *old_comments, const char *mark);

/* oauth_parse.c */

/* The value of authorization_uri= in a WWW-Authenticate header. False if there is none. */
bool scm_authorization_uri(const char *header, struct buf *out);

/* Whether a WWW-Authenticate header asks for a bearer token. */
bool scm_wants_bearer(const char *header);

/* Splits "https://host:port/path"; false if it is something else. host is without the port. */
bool scm_split_url(const char *url, struct buf *origin, struct buf *host, struct buf *path);

/* Whether a host is in a list with commas between. */
bool scm_host_in(const char *host, const char *list);

/* What is said of the password of a login ("GET /admin/v1/password"). */
enum scm_password { SCM_PASSWORD_LASTS, SCM_PASSWORD_SOON, SCM_PASSWORD_EXPIRED };

/* Pure: what the answer means now; *end is its day ("2027-01-31"), "" if there is none. False: it
 * is not understood. */
bool scm_password_state(const json *doc, int64_t now_s, enum scm_password *out, const char **end);

/* parse_account.c */

bool scm_parse_organizations(const json *doc, struct ca_organizations *out,
                             struct err *err) NODISCARD;
bool scm_parse_organization(const json *doc, struct ca_organization *out,
                            struct err *err) NODISCARD;

/* An ACME account of a list or by itself; E_PROTOCOL if it has no number. */
bool scm_parse_acme_account(const json *doc, struct ca_acme_account *out,
                            struct err *err) NODISCARD;

/* The query of one page of ACME accounts. */
void scm_build_acme_list(const struct ca_acme_filter *filter, int64_t size, int64_t position,
                         struct buf *out);

/* E_USAGE: no name, or a longer one than the CA takes. */
bool scm_build_acme_create(const struct ca_acme_wish *wish, struct buf *out,
                           struct err *err) NODISCARD;
bool scm_build_acme_name(const char *name, struct buf *out, struct err *err) NODISCARD;

/* {"domains":[{"name":"a.example"}]} */
bool scm_build_acme_domains(const char *const names[], size_t count, struct buf *out,
                            struct err *err) NODISCARD;

/* The names in notAddedDomains or notRemovedDomains, joined with ", "; empty if there are none. */
void scm_parse_acme_left(const json *doc, struct buf *out);

/* The number at the end of a Location header; 0 if there is none. */
int64_t scm_location_id(const char *location);

/* Whether an organization (or department) of that id is in the list. */
bool scm_has_organization(const json *list, int64_t id, const char **name);

#endif
