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

struct ca_account_ops {
    bool (*organizations)(void *impl, struct ca_organizations *out, struct err *err);
    bool (*organization)(void *impl, int64_t id, struct ca_organization *out, struct err *err);
    bool (*acme_list)(void *impl, const struct ca_acme_filter *filter, ca_acme_visit_fn *visit,
                      void *ctx, struct err *err);
    bool (*acme_account)(void *impl, int64_t id, struct ca_acme_account *out, struct err *err);
    enum ca_made (*acme_create)(void *impl, const struct ca_acme_wish *wish, int64_t *id,
                                struct err *err);
    bool (*acme_rename)(void *impl, int64_t id, const char *name, struct err *err);
    bool (*acme_delete)(void *impl, int64_t id, struct err *err);
    bool (*acme_domains)(void *impl, int64_t id, ca_acme_domain_fn *visit, void *ctx,
                         struct err *err);
    bool (*acme_change_domains)(void *impl, int64_t id, bool add, const char *const names[],
                                size_t count, struct buf *left, struct err *err);
    bool (*acme_clients)(void *impl, int64_t id, ca_acme_client_fn *visit, void *ctx,
                         struct err *err);
    bool (*acme_deactivate)(void *impl, int64_t id, const char *client, struct err *err);
};

struct ca_ops {
    const char *type;
    bool fixed_product; /* the account has one, which no order names */
    bool lists_orders;  /* find_submitted() looks through all that there is */
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
    bool (*adopt)(const struct ca_request *request, const char *order_id, char **state,
                  struct err *err);
    bool (*record)(void *impl, enum ca_kind kind, int64_t id, struct ca_record *out,
                   struct err *err);
    bool (*list)(void *impl, const struct ca_filter *filter, ca_row_fn *visit, void *ctx,
                 struct err *err);
    enum ca_revoke (*revoke)(void *impl, const struct ca_revocation *revocation, struct err *err);
    const struct ca_domain_ops *domains; /* NULL: there are none to validate */
    enum ca_outcome (*decide)(void *impl, const struct ca_decision *decision, struct err *err);
    enum ca_outcome (*update)(void *impl, const struct ca_update *update, struct err *err);
    bool (*check_fields)(void *impl, enum ca_kind kind, const char *custom_fields, struct err *err);
    void (*check)(void *impl, struct ca_checks *out);
    void (*turn)(void *impl, void *user);
    bool (*is_under_way)(const void *impl);
    void (*forget)(void *impl, const void *user);
    bool (*hear)(void *impl, int64_t wait_ms, struct ca_heard *out);
    const struct ca_account_ops *account;
};

/* For the files of this folder that dispatch. */
const struct ca_ops *ca_ops_of(const struct ca *ca);
void *ca_impl_of(struct ca *ca);

extern const struct ca_ops ca_scm_ops;
extern const struct ca_ops ca_enrollment_ops;

#endif
