#include "ca/ops.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

static const char *const method_names[] = {"cname", "txt", "http", "https", "email"};

const char *ca_dcv_method_name(enum ca_dcv_method method)
{
    return method < CA_DCV_METHODS ? method_names[method] : "cname, txt, http, https, email";
}

bool ca_dcv_method_find(const char *name, enum ca_dcv_method *out, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(method_names); i++) {
        if (str_equal_nocase(method_names[i], name)) {
            *out = (enum ca_dcv_method)i;
            return true;
        }
    }
    return err_set(err, E_USAGE, "'%.40s' is no way of validation; there are: %s", name,
                   ca_dcv_method_name(CA_DCV_METHODS));
}

static bool label_ok(const char *label, size_t len)
{
    if (len == 0 || len > 63) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        char c = label[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '-' && c != '_') {
            return false;
        }
    }
    return label[0] != '-' && label[len - 1] != '-';
}

bool ca_domain_name_ok(const char *name)
{
    size_t labels = 0;

    if (strlen(name) > 253) {
        return false;
    }
    name += str_starts_with(name, "*.") ? 2 : 0;
    for (;;) {
        size_t len = strcspn(name, ".");
        if (!label_ok(name, len)) {
            return false;
        }
        labels++;
        if (name[len] == '\0') {
            return labels > 1;
        }
        name += len + 1;
    }
}

void ca_dcv_record_done(struct ca_dcv_record *record)
{
    char *owned[] = {record->host, record->point, record->url, record->first_line,
                     record->second_line};

    for (size_t i = 0; i < ARRAY_LEN(owned); i++) {
        free(owned[i]);
    }
    for (size_t i = 0; i < record->email_count; i++) {
        free(record->emails[i]);
    }
    free(record->emails);
    *record = (struct ca_dcv_record){.host = NULL};
}

void ca_dcv_status_done(struct ca_dcv_status *status)
{
    char *owned[] = {status->status,  status->order_status, status->method,     status->validated,
                     status->expires, status->submitted,    status->last_check, status->next_check,
                     status->email,   status->message};

    for (size_t i = 0; i < ARRAY_LEN(owned); i++) {
        free(owned[i]);
    }
    ca_dcv_record_done(&status->record);
    *status = (struct ca_dcv_status){.status = NULL};
}

void ca_domain_done(struct ca_domain *domain)
{
    char *owned[] = {domain->name,   domain->delegation, domain->state,  domain->validation,
                     domain->method, domain->validated,  domain->expires};

    for (size_t i = 0; i < ARRAY_LEN(owned); i++) {
        free(owned[i]);
    }
    for (size_t i = 0; i < domain->delegation_count; i++) {
        free(domain->delegations[i].status);
        free(domain->delegations[i].cert_types);
        free(domain->delegations[i].privileges);
    }
    free(domain->delegations);
    *domain = (struct ca_domain){.id = 0};
}

void ca_order_dcv_done(struct ca_order_dcv *dcv)
{
    for (size_t i = 0; i < dcv->count; i++) {
        struct ca_order_dcv_row *row = &dcv->list[i];
        char *owned[] = {row->domain,     row->status,     row->method,
                         row->last_check, row->next_check, row->email};
        for (size_t k = 0; k < ARRAY_LEN(owned); k++) {
            free(owned[k]);
        }
        ca_dcv_record_done(&row->record);
    }
    free(dcv->list);
    free(dcv->problem);
    *dcv = (struct ca_order_dcv){.list = NULL};
}

/* Where an account's domains are somebody else's business. */
static const struct ca_domain_ops *ops_of(struct ca *ca, void **impl, struct err *err)
{
    const struct ca_ops *ops = ca_ops_of(ca);

    *impl = ca_impl_of(ca);
    if (ops->domains == NULL) {
        (void)err_set(err, E_CONFIG, "a CA of type '%s' has no domains to validate", ops->type);
    }
    return ops->domains;
}

bool ca_domain_list(struct ca *ca, const struct ca_domain_filter *filter, ca_domain_fn *visit,
                    void *ctx, struct err *err)
{
    void *impl = NULL;
    const struct ca_domain_ops *ops = ops_of(ca, &impl, err);

    return ops != NULL && ops->list(impl, filter, visit, ctx, err);
}

bool ca_domain(struct ca *ca, int64_t id, struct ca_domain *out, struct err *err)
{
    void *impl = NULL;
    const struct ca_domain_ops *ops = ops_of(ca, &impl, err);

    *out = (struct ca_domain){.id = id};
    return ops != NULL && ops->show(impl, id, out, err);
}

struct looking {
    const char *name;
    int64_t id;
    bool found;
};

/* Whatever the CA makes of the filter: a row of another name is not the one. */
static bool is_it(void *ctx, const struct ca_domain_row *row, struct err *err UNUSED)
{
    struct looking *looking = ctx;

    if (!str_equal_nocase(row->name, looking->name)) {
        return true;
    }
    looking->id = row->id;
    looking->found = true;
    return false;
}

bool ca_domain_find(struct ca *ca, const char *name, bool *found, int64_t *id, struct err *err)
{
    struct looking looking = {.name = name};
    struct ca_domain_filter filter = {.name = name};

    if (!ca_domain_list(ca, &filter, is_it, &looking, err)) {
        return false;
    }
    *found = looking.found;
    *id = looking.id;
    return true;
}

bool ca_dcv_list(struct ca *ca, const struct ca_dcv_filter *filter, ca_dcv_fn *visit, void *ctx,
                 struct err *err)
{
    void *impl = NULL;
    const struct ca_domain_ops *ops = ops_of(ca, &impl, err);

    return ops != NULL && ops->dcv_list(impl, filter, visit, ctx, err);
}

static bool name_ok(const char *domain, struct err *err)
{
    return ca_domain_name_ok(domain) ||
           err_set(err, E_USAGE, "'%.80s' is not the name of a domain", domain);
}

bool ca_dcv_status(struct ca *ca, const char *domain, struct ca_dcv_status *out, struct err *err)
{
    void *impl = NULL;
    const struct ca_domain_ops *ops = ops_of(ca, &impl, err);

    *out = (struct ca_dcv_status){.status = NULL};
    return ops != NULL && name_ok(domain, err) && ops->status(impl, domain, out, err);
}

bool ca_dcv_start(struct ca *ca, const char *domain, enum ca_dcv_method method,
                  struct ca_dcv_record *out, struct err *err)
{
    void *impl = NULL;
    const struct ca_domain_ops *ops = ops_of(ca, &impl, err);

    *out = (struct ca_dcv_record){.host = NULL};
    return ops != NULL && name_ok(domain, err) && ops->start(impl, domain, method, out, err);
}

bool ca_dcv_submit(struct ca *ca, const char *domain, enum ca_dcv_method method, const char *email,
                   struct ca_dcv_status *out, struct err *err)
{
    void *impl = NULL;
    const struct ca_domain_ops *ops = ops_of(ca, &impl, err);

    *out = (struct ca_dcv_status){.status = NULL};
    if (ops != NULL && (method == CA_DCV_EMAIL) != (email != NULL)) {
        return err_set(err, E_USAGE,
                       email != NULL ? "an address is for validation by e-mail alone"
                                     : "validation by e-mail needs an address: one of those that "
                                       "starting it lists");
    }
    return ops != NULL && name_ok(domain, err) &&
           ops->submit(impl, domain, method, email, out, err);
}

bool ca_dcv_recheck(struct ca *ca, const char *domain, struct ca_dcv_status *out, struct err *err)
{
    void *impl = NULL;
    const struct ca_domain_ops *ops = ops_of(ca, &impl, err);

    *out = (struct ca_dcv_status){.status = NULL};
    return ops != NULL && name_ok(domain, err) && ops->recheck(impl, domain, out, err);
}

bool ca_dcv_clear(struct ca *ca, const char *domain, struct ca_dcv_status *out, struct err *err)
{
    void *impl = NULL;
    const struct ca_domain_ops *ops = ops_of(ca, &impl, err);

    *out = (struct ca_dcv_status){.status = NULL};
    return ops != NULL && name_ok(domain, err) && ops->clear(impl, domain, out, err);
}

bool ca_order_dcv(struct ca *ca, int64_t id, bool recheck, struct ca_order_dcv *out,
                  struct err *err)
{
    void *impl = NULL;
    const struct ca_domain_ops *ops = ops_of(ca, &impl, err);

    *out = (struct ca_order_dcv){.list = NULL};
    return ops != NULL && ops->order_dcv(impl, id, recheck, out, err);
}
