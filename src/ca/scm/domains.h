/* Inside ca/scm: what is read and written about domains and their validation. All of it is pure. */
#ifndef CA_SCM_DOMAINS_H
#define CA_SCM_DOMAINS_H

#include "ca/scm/scm.h"

enum { SCM_DOMAIN_ROWS_MAX = 4096 }; /* of one answer that is no page */

/* A row of the domains; false if it has no number or no name. Borrows from the document. */
bool scm_parse_domain_row(const json *item, struct ca_domain_row *row);
bool scm_parse_domain(const json *doc, struct ca_domain *out, struct err *err) NODISCARD;

/* A row of the validations; false if it names no domain. Borrows from the document. */
bool scm_parse_dcv_row(const json *item, struct ca_dcv_row *row);

/* The answer to status, sync, submit and clear. */
bool scm_parse_dcv_status(const json *doc, struct ca_dcv_status *out, struct err *err) NODISCARD;

/* The answer to a start. E_PROTOCOL if what the method publishes is not in it. */
bool scm_parse_dcv_start(const json *doc, enum ca_dcv_method method, struct ca_dcv_record *out,
                         struct err *err) NODISCARD;

/* The DCV information of an order: an object, or an array of one. */
bool scm_parse_order_dcv(const json *doc, struct ca_order_dcv *out, struct err *err) NODISCARD;

/* What their words mean, in whatever spelling. */
enum ca_dcv_state scm_dcv_state(const char *word);
enum ca_dcv_order scm_dcv_order(const char *word);

/* The filters as a query, each with '&' before it. */
void scm_build_domain_filter(const struct ca_domain_filter *filter, struct buf *out);
void scm_build_dcv_filter(const struct ca_dcv_filter *filter, struct buf *out);

/* {"domain":"...","email":"..."}; email NULL: without. */
bool scm_build_domain_body(const char *domain, const char *email, struct buf *out,
                           struct err *err) NODISCARD;

#endif
