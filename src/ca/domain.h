/*
 * Domains and their validation (domain control validation, DCV) at a CA; a part of the door
 * ca/ca.h.
 *
 * A domain is delegated to organizations, and validated by publishing a record that the CA names:
 * started (the CA says what to publish), submitted (the CA is told that it is there), looked at
 * until it is validated. None of these calls orders anything.
 */
#ifndef CA_DOMAIN_H
#define CA_DOMAIN_H

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ca;

enum ca_dcv_method {
    CA_DCV_CNAME,
    CA_DCV_TXT,
    CA_DCV_HTTP,
    CA_DCV_HTTPS,
    CA_DCV_EMAIL,
    CA_DCV_METHODS,
};

/* "cname"; the names of all of them with commas between for CA_DCV_METHODS. Static. */
const char *ca_dcv_method_name(enum ca_dcv_method method);
/* The method of that name, in any case. E_USAGE with those that there are. */
bool ca_dcv_method_find(const char *name, enum ca_dcv_method *out, struct err *err) NODISCARD;

/* Whether that can be the name of a domain: letters, digits, '-', '_' and dots, "*." before it.
 * Pure. */
bool ca_domain_name_ok(const char *name);

/* What a listing is narrowed to, by the CA; NULL and 0: not at all. */
struct ca_domain_filter {
    const char *name, *state, *status;
    int64_t org_id;
};

/* Borrowed for the time of the call. */
struct ca_domain_row {
    int64_t id;
    const char *name;
};

typedef bool ca_domain_fn(void *ctx, const struct ca_domain_row *row, struct err *err);

/* As ca_list(): each domain once, a page in memory. Ends early, and well, when visit returns false
 * with err empty. */
bool ca_domain_list(struct ca *ca, const struct ca_domain_filter *filter, ca_domain_fn *visit,
                    void *ctx, struct err *err) NODISCARD;

/* To whom a domain is delegated. Owned, NULL where the CA says nothing. */
struct ca_delegation {
    int64_t org_id;
    char *status, *cert_types, *privileges; /* words with commas between */
};

struct ca_domain {
    int64_t id;
    char *name, *delegation, *state, *validation, *method;
    char *validated, *expires; /* days, as the CA writes them */
    struct ca_delegation *delegations;
    size_t delegation_count;
};

void ca_domain_done(struct ca_domain *domain);

/* By the CA's number. E_DOMAIN_MISSING if it has none of that number. */
bool ca_domain(struct ca *ca, int64_t id, struct ca_domain *out, struct err *err) NODISCARD;

/* By its name, exactly but for case. *found false: this account sees none of that name. */
bool ca_domain_find(struct ca *ca, const char *name, bool *found, int64_t *id,
                    struct err *err) NODISCARD;

struct ca_dcv_filter {
    const char *domain, *status, *order_status;
    int64_t org_id, department_id, expires_in_days;
};

/* One row of the listing. Borrowed for the time of the call, NULL where there is nothing. */
struct ca_dcv_row {
    const char *domain, *status, *method, *expires, *order_status, *order_method;
};

typedef bool ca_dcv_fn(void *ctx, const struct ca_dcv_row *row, struct err *err);

bool ca_dcv_list(struct ca *ca, const struct ca_dcv_filter *filter, ca_dcv_fn *visit, void *ctx,
                 struct err *err) NODISCARD;

/* What has to be published. Owned, NULL where the method has none. */
struct ca_dcv_record {
    char *host, *point;                   /* cname, txt; as the CA writes them */
    char *url, *first_line, *second_line; /* http, https */
    char **emails;                        /* email: addresses that may be chosen */
    size_t email_count;
};

void ca_dcv_record_done(struct ca_dcv_record *record);

enum ca_dcv_state { CA_DCV_NOT_VALIDATED, CA_DCV_VALIDATED, CA_DCV_EXPIRED };
enum ca_dcv_order { CA_DCV_NONE, CA_DCV_TO_SUBMIT, CA_DCV_SUBMITTED, CA_DCV_REJECTED };

struct ca_dcv_status {
    enum ca_dcv_state state;
    enum ca_dcv_order order; /* the validation that is under way */
    /* the CA's own words; owned, NULL where it says nothing */
    char *status, *order_status, *method, *validated, *expires, *submitted, *last_check,
        *next_check, *email, *message;
    struct ca_dcv_record record;
};

void ca_dcv_status_done(struct ca_dcv_status *status);

/* How a domain stands. E_FORBIDDEN, E_CA_REFUSED with the CA's code and what to do. */
bool ca_dcv_status(struct ca *ca, const char *domain, struct ca_dcv_status *out,
                   struct err *err) NODISCARD;

/*
 * Begins a validation and says what has to be published. TXT has no such step: there
 * ca_dcv_submit() says it. A start whose answer was lost does no harm, and may be asked again.
 */
bool ca_dcv_start(struct ca *ca, const char *domain, enum ca_dcv_method method,
                  struct ca_dcv_record *out, struct err *err) NODISCARD;

/*
 * Tells the CA that the record is there; once: where the answer was lost, the status is looked at.
 * email: the address to be asked, for CA_DCV_EMAIL alone.
 */
bool ca_dcv_submit(struct ca *ca, const char *domain, enum ca_dcv_method method, const char *email,
                   struct ca_dcv_status *out, struct err *err) NODISCARD;

/* Has the CA look again. */
bool ca_dcv_recheck(struct ca *ca, const char *domain, struct ca_dcv_status *out,
                    struct err *err) NODISCARD;

/* Gives up the validation that is under way; what is validated stays so. */
bool ca_dcv_clear(struct ca *ca, const char *domain, struct ca_dcv_status *out,
                  struct err *err) NODISCARD;

/* What one order waits for: a domain of it. Owned, NULL where the CA says nothing. */
struct ca_order_dcv_row {
    char *domain, *status, *method, *last_check, *next_check;
    char *email;
    struct ca_dcv_record record;
};

struct ca_order_dcv {
    struct ca_order_dcv_row *list;
    size_t count;
    char *problem; /* what the CA says is wrong; NULL: nothing */
};

void ca_order_dcv_done(struct ca_order_dcv *dcv);

/* By the order's number at the CA; `recheck`: has it look again before. E_ORDER_MISSING. */
bool ca_order_dcv(struct ca *ca, int64_t id, bool recheck, struct ca_order_dcv *out,
                  struct err *err) NODISCARD;

DEFINE_AUTO_DONE(ca_domain, struct ca_domain, ca_domain_done)
DEFINE_AUTO_DONE(ca_dcv_record, struct ca_dcv_record, ca_dcv_record_done)
DEFINE_AUTO_DONE(ca_dcv_status, struct ca_dcv_status, ca_dcv_status_done)
DEFINE_AUTO_DONE(ca_order_dcv, struct ca_order_dcv, ca_order_dcv_done)

#endif
