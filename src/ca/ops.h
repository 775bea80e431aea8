/* Inside the ca folder: what a back end implements; one row in ca.c each. */
#ifndef CA_OPS_H
#define CA_OPS_H

#include "ca/ca.h"

struct ca_domain_ops {
    bool (*list)(void *impl, const struct ca_domain_filter *filter, ca_domain_fn *visit, void *ctx,
                 struct err *err);
    bool (*show)(void *impl, int64_t id, struct ca_domain *out, struct err *err);
    bool (*dcv_list)(void *impl, const struct ca_dcv_filter *filter, ca_dcv_fn *visit, void *ctx,
                     struct err *err);
    bool (*status)(void *impl, const char *domain, struct ca_dcv_status *out, struct err *err);
    bool (*start)(void *impl, const char *domain, enum ca_dcv_method method,
                  struct ca_dcv_record *out, struct err *err);
    bool (*submit)(void *impl, const char *domain, enum ca_dcv_method method, const char *email,
                   struct ca_dcv_status *out, struct err *err);
    bool (*recheck)(void *impl, const char *domain, struct ca_dcv_status *out, struct err *err);
    bool (*clear)(void *impl, const char *domain, struct ca_dcv_status *out, struct err *err);
    bool (*order_dcv)(void *impl, int64_t id, bool recheck, struct ca_order_dcv *out,
                      struct err *err);
};

struct ca_ops {
    const char *type;
    bool (*open)(const struct ca_settings *settings, void **impl, struct err *err);
    void (*close)(void *impl);
    void (*set_deadline)(void *impl, int64_t mono_ms);
    bool (*products)(void *impl, struct ca_products *out, struct err *err);
    bool (*check_request)(void *impl, const struct ca_request *request, struct err *err);
    enum ca_submit (*submit)(void *impl, const struct ca_request *request, char **state,
                             struct err *err);
    bool (*poll)(void *impl, const char *state, struct ca_status *out, struct err *err);
    bool (*collect)(void *impl, const char *state, bool *ready, struct buf *out, struct err *err);
    bool (*find_submitted)(void *impl, const struct ca_request *request, bool *found, char **state,
                           struct err *err);
    bool (*record)(void *impl, int64_t id, struct ca_record *out, struct err *err);
    bool (*list)(void *impl, const struct ca_filter *filter, ca_row_fn *visit, void *ctx,
                 struct err *err);
    enum ca_revoke (*revoke)(void *impl, const struct ca_revocation *revocation, struct err *err);
    const struct ca_domain_ops *domains; /* NULL: there are none to validate */
    void (*check)(void *impl, struct ca_checks *out);
};

extern const struct ca_ops ca_scm_ops;

/* What stands behind an open CA. */
const struct ca_ops *ca_ops_of(struct ca *ca, void **impl);

#endif
