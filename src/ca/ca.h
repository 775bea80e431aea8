/*
 * Certificate authorities, each behind one table of functions.
 *
 * A back end keeps nothing on disk. What it must remember of an order it returns as an opaque text
 * (the state), which the journal stores and hands back at the next call. A submission whose answer
 * was lost is reported as ambiguous and never repeated by a back end; find_submitted() looks for it
 * by the mark that every order carries.
 */
#ifndef CA_CA_H
#define CA_CA_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"
#include "ca/account.h"
#include "ca/domain.h"
#include "http/http.h"
#include "x509/x509.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ca;

enum ca_login { CA_LOGIN_CERT, CA_LOGIN_PASSWORD, CA_LOGIN_OAUTH };
enum ca_send_names { CA_NAMES_AUTO, CA_NAMES_ALWAYS, CA_NAMES_NEVER };

/* Enrollment API: how an order's status is learnt; auto: by asking, else by collecting. */
enum ca_status_form { CA_STATUS_AUTO, CA_STATUS_ASK, CA_STATUS_COLLECT };
/* Kinds of certificates; not every CA has all of them. */
enum ca_kind { CA_KIND_TLS, CA_KIND_DEVICE, CA_KIND_SMIME, CA_KINDS };

/* "ssl", "device", "smime" */
const char *ca_kind_name(enum ca_kind kind);
/* False: there is none of that name. NULL is TLS. */
bool ca_kind_parse(const char *name, enum ca_kind *out);

/* How to reach and to be let in. Borrowed for the life of the struct ca. */
struct ca_settings {
    const char *type; /* "scm", "scm-enrollment" */
    struct http_client *http;
    const struct clock *clock;
    const char *api_path;
    const char *private_prefix;
    const char *api_version;
    enum ca_login login_kind;
    const char *customer_uri;
    const char *login;
    const struct secret *password;
    /* OAuth 2 client credentials (RFC 6749 section 4.4) */
    const char *client_id;
    const struct secret *client_secret;
    const char *token_url;                 /* NULL: the usual one, or what the CA names */
    const char *token_hosts;               /* hosts that it may name; commas between */
    const struct http_settings *token_net; /* for that server: trust, proxy, time limits */
    int64_t org_id;
    bool collect_by_path;
    enum ca_status_form status_form;
    const char *order_fields; /* Enrollment API: what an order carries beside the request */
};

/* Whether the accounts of CAs of that type have one product each, which no order names. */
bool ca_type_has_fixed_product(const char *type);

/* Whether a CA of that type can be logged in to like that, and is reached at such a URL. E_CONFIG.
 */
bool ca_type_check(const char *type, enum ca_login login, const char *url,
                   struct err *err) NODISCARD;

bool ca_open(const struct ca_settings *settings, struct ca **out, struct err *err) NODISCARD;
void ca_close(struct ca *ca);

/* From now on no failed request is repeated after a pause that would end later than that
 * (monotonic). 0: no limit. */
void ca_set_deadline(struct ca *ca, int64_t mono_ms);

/* A certificate profile that the CA offers. */
enum { CA_TERMS_MAX = 32, CA_KEY_TYPES_MAX = 32 };

struct ca_product {
    int64_t id;
    char *name; /* owned */
    char *description;
    int64_t terms[CA_TERMS_MAX]; /* days */
    size_t term_count;
    int64_t default_term;                 /* 0: none is said */
    char key_types[CA_KEY_TYPES_MAX][24]; /* "RSA-3072", "EC P-256" */
    size_t key_type_count;
};

/* Whether its name or its description has the word EV, or "extended validation": the CA's list does
 * not say it otherwise. Pure. */
bool ca_product_is_ev(const struct ca_product *product);

struct ca_products {
    struct ca_product *list;
    size_t count;
};

void ca_products_done(struct ca_products *products);

/* All products that this account may order. E_AUTH, E_FORBIDDEN, E_NETWORK, ... */
bool ca_products(struct ca *ca, struct ca_products *out, struct err *err) NODISCARD;
bool ca_products_of(struct ca *ca, enum ca_kind kind, struct ca_products *out,
                    struct err *err) NODISCARD;

/* The product of that id or (exact, then case-insensitive) name. E_CA_REFUSED with those there are.
 */
bool ca_product_find(const struct ca_products *products, const char *wanted,
                     const struct ca_product **out, struct err *err) NODISCARD;

/*
 * Checks before a key is made that the product exists and allows the term and the kind of key.
 * *term_days 0 is replaced by the product's shortest term. Pure.
 */
bool ca_product_check(const struct ca_product *product, const char *key_kind, int64_t *term_days,
                      struct err *err) NODISCARD;

/* How a certificate is asked for. */
enum ca_how {
    CA_ENROLL,
    CA_RENEW,   /* another one like it, under a number of its own */
    CA_REPLACE, /* another one under the same number; the old one is served for a while */
};

/* What is ordered. Borrowed. */
struct ca_request {
    enum ca_kind kind;
    enum ca_how how;
    int64_t parent;            /* renew, replace: the CA's number of what there is */
    const char *parent_serial; /* replace: of the certificate that is replaced */
    bool same_key;             /* renew: with the request that the CA has */
    const char *reason;        /* replace: 1 to CA_REASON_TEXT_MAX characters */
    const char *person;        /* S/MIME: first and last name */
    const char *before;        /* what ca_before_submit() returned last; NULL: nothing */
    bool again;                /* renew: once more, though it was renewed before */
    /* renew: whether a number that is new at the CA is known to be of another certificate; NULL:
     * nobody knows */
    bool (*is_other)(void *ctx, const char *number);
    void *other_ctx;
    const char *csr_pem;
    const struct x509_names *names;
    int64_t product_id;
    int64_t term_days;
    int64_t created_s; /* when it was planned; 0: not known */
    const char *mark;  /* our own mark, by which the order can be found again */
    const char *comments;
    const char *external_requester;
    const char *custom_fields;   /* NAME=VALUE;NAME=VALUE */
    const char *optional_fields; /* of devices; likewise */
    enum ca_send_names send_names;
};

/* Whether a request could be sent: everything the CA's form demands, less the CSR. E_CONFIG,
 * E_USAGE. */
bool ca_check_request(struct ca *ca, const struct ca_request *request, struct err *err) NODISCARD;

/*
 * What has to be known before a request is sent so that it can be found again if its answer is
 * lost; the caller writes *before down first. NULL: nothing. Free() it. It is asked for when an
 * order is planned as well, and compared with that right before the request is sent (then in
 * request->before). E_CA_REFUSED: what is to be renewed or replaced is not there, or not as it was.
 * E_ORDER_EXISTS: somebody has renewed it since.
 */
bool ca_before_submit(struct ca *ca, const struct ca_request *request, char **before,
                      struct err *err) NODISCARD;

enum ca_submit {
    CA_SUBMITTED, /* the CA has it; state is set */
    CA_REFUSED,   /* the CA said no, or was never asked; err says why, nothing was ordered */
    CA_AMBIGUOUS, /* nobody knows; err says why */
};

/* Sends the order, once. *state is owned by the caller (free()). */
enum ca_submit ca_submit(struct ca *ca, const struct ca_request *request, char **state,
                         struct err *err);

/* Where an order stands. */
enum ca_phase {
    CA_PENDING, /* machines are working on it */
    CA_WAITING, /* a person has to act */
    CA_ISSUED,
    CA_FAILED, /* it has ended without a certificate */
};

struct ca_status {
    enum ca_phase phase;
    char text[64];    /* the CA's own word */
    char detail[256]; /* a sentence about it; may be empty */
    char order_id[64];
};

bool ca_poll(struct ca *ca, const char *state, struct ca_status *out, struct err *err) NODISCARD;

/*
 * Fetches the certificate and its chain as the CA gives them. *ready false: not yet, although the
 * order is issued; ask again on the same schedule.
 */
bool ca_collect(struct ca *ca, const char *state, bool *ready, struct buf *out,
                struct err *err) NODISCARD;

/* The same by the CA's number. */
bool ca_collect_id(struct ca *ca, enum ca_kind kind, int64_t id, bool *ready, struct buf *out,
                   struct err *err) NODISCARD;

/* Looks for an order by its mark. *found false: the CA does not list it (yet). */
/* In a format of the CA's own ("pemia"); *ready as of ca_collect(). E_USAGE: it has no such format.
 */
bool ca_collect_as(struct ca *ca, const char *state, const char *format, bool *ready,
                   struct buf *out, struct err *err) NODISCARD;

/* The i-th format that ca_collect_as() knows; NULL past the end. */
const char *ca_format_at(struct ca *ca, size_t i);

/* Looks for an order by its mark, or for a renewal or replacement by what it does to the CA's
 * record. *found false: the CA does not list it (yet). */
bool ca_find_submitted(struct ca *ca, const struct ca_request *request, bool *found, char **state,
                       struct err *err) NODISCARD;

/* Whether it looks through a list of all that there is. Then E_ORDER_AMBIGUOUS of the function
 * above may pass: what could not be looked at, and what it may be. */
bool ca_lists_orders(const struct ca *ca);

/* Whether looking shows in the end that something was not ordered. What it does to a record that is
 * there, as renewals and replacements do, a CA may do late; and those of persons have no number
 * until they are processed. */
bool ca_can_show_absence(const struct ca *ca, const struct ca_request *request);

/* What the CA says of one certificate or order. Strings are owned, NULL where it says nothing. */
struct ca_record {
    int64_t id;
    enum ca_phase phase;
    bool revoked;
    char *status, *common_name, *names, *serial, *product, *subject;
    char *requested, *issued, *expires, *revoked_at; /* as the CA writes times */
    char *requester, *external_requester, *comments;
    int64_t org_id, term_days; /* 0: not said */
    int64_t product_id;        /* 0: not said */
    bool renewed;              /* the CA says that there is a renewal of it */
};

void ca_record_done(struct ca_record *record);

/* By the CA's number. E_ORDER_MISSING if it has none of that number. */
bool ca_record_of(struct ca *ca, enum ca_kind kind, int64_t id, struct ca_record *out,
                  struct err *err) NODISCARD;

/* One row of a listing. Strings are borrowed for the time of the call, "" where there is nothing.
 */
struct ca_row {
    int64_t id;
    int64_t position; /* in the list, from 0 */
    const char *common_name;
    const char *names; /* comma-separated */
    const char *serial;
    const char *subject;
    bool full; /* a report: it says all of the following; a list as many as it has, else "" */
    const char *status, *product, *issued, *expires, *revoked_at;
    const char *requester, *external_requester, *comments;
};

#define CA_ROW_INIT                                                                                \
    {                                                                                              \
        .common_name = "", .names = "", .serial = "", .subject = "", .status = "", .product = "",  \
        .issued = "", .expires = "", .revoked_at = "", .requester = "", .external_requester = "",  \
        .comments = ""                                                                             \
    }

/* Where rows come from. */
enum ca_source {
    CA_SOURCE_LIST,   /* pages; numbers, names and serial numbers alone */
    CA_SOURCE_REPORT, /* the CA's report: everything in few requests; not every account may */
    CA_SOURCE_AUTO,   /* the report if it is given, else the list */
};

/* What a listing is narrowed to, by the CA; NULL and 0: not at all. Not every kind of certificate
 * is narrowed by everything (E_USAGE says what there is). */
struct ca_filter {
    enum ca_kind kind;
    enum ca_source source;
    const char *common_name, *name, *status, *serial, *requester, *external_requester;
    int64_t org_id, product_id;
    int64_t position; /* of the first row, if it is the list */
};

typedef bool ca_row_fn(void *ctx, const struct ca_row *row, struct err *err);

/*
 * Goes through what the account can see, each row once although rows move while others page, with
 * memory for one answer and for the numbers of the last half million rows at least. Ends early, and
 * well, when visit returns false with err empty. Rows of a report are also looked at here, because
 * the CA narrows it by fewer things.
 */
bool ca_list(struct ca *ca, const struct ca_filter *filter, ca_row_fn *visit, void *ctx,
             struct err *err) NODISCARD;

enum { CA_SERIAL_TEXT_MAX = 512 };

/* "A9:3E:..." of hexadecimal digits with or without colons. False if it is something else. */
bool ca_serial_text(const char *text, struct buf *out);

/* Whether two texts are the same serial number, in whatever spelling; false if one is none. */
bool ca_same_serial(const char *a, const char *b);

/* Why a certificate is revoked: RFC 5280 section 5.3.1, as far as CAs take it from subscribers. */
struct ca_reason {
    const char *name; /* "keyCompromise" */
    int code;
};
const struct ca_reason *ca_reason_find(const char *name);
/* The i-th one; NULL past the end. */
const struct ca_reason *ca_reason_at(size_t i);

enum { CA_REASON_TEXT_MAX = 512 };

struct ca_revocation {
    enum ca_kind kind;
    int64_t id;         /* the CA's number */
    const char *serial; /* this certificate of that number; NULL: the one that it has now */
    int reason;
    const char *text; /* 1 to CA_REASON_TEXT_MAX characters */
};

enum ca_revoke {
    CA_REVOKED,
    CA_WAS_REVOKED,      /* before */
    CA_REVOKE_REFUSED,   /* err says why; it is valid still */
    CA_REVOKE_AMBIGUOUS, /* nobody knows; err says why. Asking again does no harm. */
};

/* Asks the CA to revoke, once; where the answer was lost, its record is looked at. */
enum ca_revoke ca_revoke(struct ca *ca, const struct ca_revocation *revocation, struct err *err);

/* What a person decides about a request that waits at the CA. */
struct ca_decision {
    enum ca_kind kind;
    int64_t id;
    bool approve;        /* false: decline */
    const char *message; /* 1 to CA_REASON_TEXT_MAX characters */
};

enum ca_outcome {
    CA_DONE,
    CA_NOT_DONE, /* err says why */
    CA_UNCLEAR,  /* nobody knows; err says why. Asking again does no harm. */
};

/* Sends it, once; where the answer was lost, the CA's record is looked at. */
enum ca_outcome ca_decide(struct ca *ca, const struct ca_decision *decision, struct err *err);

/* What is changed in the CA's record of a request or a certificate. NULL and 0: stays. */
struct ca_update {
    enum ca_kind kind;
    int64_t id;
    int64_t term_days, product_id, org_id;
    const struct x509_names *names; /* the first is the common name */
    const char *csr_pem;
    const char *comments, *external_requester;
    const char *custom_fields; /* NAME=VALUE;NAME=VALUE */
};

/* Sends it, once. */
enum ca_outcome ca_update(struct ca *ca, const struct ca_update *update, struct err *err);

/*
 * Whether the values for custom fields (NAME=VALUE;NAME=VALUE or NULL) are those that the CA wants
 * with an order: all mandatory ones, none that it does not have, of the right form. True as well if
 * the account may not ask. E_CONFIG lists what is missing.
 */
bool ca_check_fields(struct ca *ca, enum ca_kind kind, const char *custom_fields,
                     struct err *err) NODISCARD;

/*
 * Reads beside each other. While it is somebody's turn, a read whose answer is not there yet is
 * started and not waited for: the call fails, and ca_is_under_way() tells that from a failure. When
 * ca_hear() has named that user, his turn comes again, and the same call goes on from there, at
 * last to its end. Nothing is repeated by itself meanwhile.
 */
struct ca_heard {
    void *user;
    int64_t pause_s; /* for which the CA asks to be left alone; -1: it does not */
};

/* From now on calls are for that user; NULL: for nobody, they are waited for again. */
void ca_turn(struct ca *ca, void *user);
/* Whether the last call of this turn failed because its answer is under way. */
bool ca_is_under_way(const struct ca *ca);
/* Drops the answers that were kept for a user: his call came to its end. */
void ca_forget(struct ca *ca, const void *user);
/* Waits at most that long for an answer. False: none came. */
bool ca_hear(struct ca *ca, int64_t wait_ms, struct ca_heard *out) NODISCARD;

/* The state that a request has which a person found at the CA under that id; free() it. E_USAGE: it
 * is no id, or none that what was asked for can have. */
bool ca_adopt(struct ca *ca, const struct ca_request *request, const char *order_id, char **state,
              struct err *err) NODISCARD;

/* The CA's own number (or id) for an order, out of its state; "" if there is none. */
void ca_order_id(const char *state, char out[static 64]);

/* One line of the connection test. */
struct ca_check {
    const char *step; /* "credentials" */
    bool ok;
    bool warning; /* ok, but something should be known */
    char detail[512];
    char remedy[256]; /* what to do about it; may be empty */
};

enum { CA_CHECKS_MAX = 32 };

struct ca_checks {
    struct ca_check list[CA_CHECKS_MAX];
    size_t count;
    enum err_code worst; /* of the first step that failed; E_NONE if all went well */
    bool cert_asked;     /* the server asked for a client certificate when we connected */
};

/* The connection, credentials, organization, products, and what else the login may do: stops at the
 * first that fails. */
void ca_check(struct ca *ca, struct ca_checks *out);

/* Adds a line; for callers that check things of their own before. */
void ca_checks_add(struct ca_checks *checks, const char *step, bool ok, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* A line for a failure; the first one decides about the exit status. */
void ca_checks_fail(struct ca_checks *checks, const char *step, const struct err *err);

/* Makes the line that was added last a warning. */
void ca_checks_warn(struct ca_checks *checks);

/* What to do about the line that was added last. */
void ca_checks_remedy(struct ca_checks *checks, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * The lines of a connection: name lookup, connection, proxy, TLS, HTTP; steps[] are their names, in
 * that order. False if one failed.
 */
enum { CA_CONNECTION_STEPS = 5 };
bool ca_check_connection(struct http_client *http, const char *const steps[CA_CONNECTION_STEPS],
                         int64_t now_s, struct ca_checks *out);

DEFINE_AUTO(ca, struct ca *, ca_close)
DEFINE_AUTO_DONE(ca_record, struct ca_record, ca_record_done)
DEFINE_AUTO_DONE(ca_products, struct ca_products, ca_products_done)

#endif
