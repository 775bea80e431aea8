/* Inside the ca folder: what a back end implements; one row in ca.c each. */
#ifndef CA_OPS_H
#define CA_OPS_H

#include "ca/ca.h"

struct ca_ops {
    const char *type;
    bool fixed_product; /* the account has one, which no order names */
    bool (*check_type)(enum ca_login login, const char *url, struct err *err); /* NULL: any */
    bool (*open)(const struct ca_settings *settings, void **impl, struct err *err);
    void (*close)(void *impl);
    void (*set_deadline)(void *impl, int64_t mono_ms);
    bool (*products)(void *impl, enum ca_kind kind, struct ca_products *out, struct err *err);
    bool (*check_request)(void *impl, const struct ca_request *request, struct err *err);
    bool (*before_submit)(void *impl, const struct ca_request *request, char **before,
                          struct err *err);
    enum ca_submit (*submit)(void *impl, const struct ca_request *request, char **state,
                             struct err *err);
    bool (*poll)(void *impl, const char *state, struct ca_status *out, struct err *err);
    bool (*collect)(void *impl, const char *state, const char *format, bool *ready, struct buf *out,
                    struct err *err);
    const char *const *formats; /* ends with NULL */
    bool (*find_submitted)(void *impl, const struct ca_request *request, bool *found, char **state,
                           struct err *err);
    /* NULL: ids are numbers. */
    bool (*adopt)(const char *order_id, char **state, struct err *err);
    bool (*record)(void *impl, enum ca_kind kind, int64_t id, struct ca_record *out,
                   struct err *err);
    bool (*list)(void *impl, const struct ca_filter *filter, ca_row_fn *visit, void *ctx,
                 struct err *err);
    enum ca_revoke (*revoke)(void *impl, const struct ca_revocation *revocation, struct err *err);
    enum ca_outcome (*decide)(void *impl, const struct ca_decision *decision, struct err *err);
    enum ca_outcome (*update)(void *impl, const struct ca_update *update, struct err *err);
    bool (*check_fields)(void *impl, enum ca_kind kind, const char *custom_fields, struct err *err);
    void (*check)(void *impl, struct ca_checks *out);
};

extern const struct ca_ops ca_scm_ops;
extern const struct ca_ops ca_enrollment_ops;

#endif
