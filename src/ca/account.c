#include "ca/ops.h"

#include <stdlib.h>

void ca_organization_done(struct ca_organization *organization)
{
    free(organization->name);
    free(organization->parent);
    free(organization->cert_types);
    *organization = (struct ca_organization){.id = 0};
}

void ca_organizations_done(struct ca_organizations *organizations)
{
    for (size_t i = 0; i < organizations->count; i++) {
        ca_organization_done(&organizations->list[i]);
    }
    free(organizations->list);
    *organizations = (struct ca_organizations){.list = NULL};
}

void ca_acme_account_done(struct ca_acme_account *account)
{
    free(account->name);
    free(account->server);
    free(account->status);
    free(account->validation);
    free(account->mac_id);
    secret_done(&account->mac_key);
    *account = (struct ca_acme_account){.id = 0};
}

static const struct ca_account_ops *ops_of(struct ca *ca)
{
    return ca_ops_of(ca)->account;
}

/* What administrators see, not every API shows. */
static bool has_accounts(struct ca *ca, struct err *err)
{
    return ops_of(ca) != NULL ||
           err_set(err, E_USAGE,
                   "CAs of the type '%s' have neither organizations nor ACME accounts to look at; "
                   "that takes the login of an administrator",
                   ca_ops_of(ca)->type);
}

bool ca_organizations(struct ca *ca, struct ca_organizations *out, struct err *err)
{
    *out = (struct ca_organizations){.list = NULL};
    return has_accounts(ca, err) && ops_of(ca)->organizations(ca_impl_of(ca), out, err);
}

bool ca_organization(struct ca *ca, int64_t id, struct ca_organization *out, struct err *err)
{
    *out = (struct ca_organization){.id = id};
    return has_accounts(ca, err) && ops_of(ca)->organization(ca_impl_of(ca), id, out, err);
}

bool ca_acme_list(struct ca *ca, const struct ca_acme_filter *filter, ca_acme_visit_fn *visit,
                  void *ctx, struct err *err)
{
    return has_accounts(ca, err) && ops_of(ca)->acme_list(ca_impl_of(ca), filter, visit, ctx, err);
}

bool ca_acme_account(struct ca *ca, int64_t id, struct ca_acme_account *out, struct err *err)
{
    *out = (struct ca_acme_account){.id = id};
    return has_accounts(ca, err) && ops_of(ca)->acme_account(ca_impl_of(ca), id, out, err);
}

enum ca_made ca_acme_create(struct ca *ca, const struct ca_acme_wish *wish, int64_t *id,
                            struct err *err)
{
    return has_accounts(ca, err) ? ops_of(ca)->acme_create(ca_impl_of(ca), wish, id, err)
                                 : CA_NOT_MADE;
}

bool ca_acme_rename(struct ca *ca, int64_t id, const char *name, struct err *err)
{
    return has_accounts(ca, err) && ops_of(ca)->acme_rename(ca_impl_of(ca), id, name, err);
}

bool ca_acme_delete(struct ca *ca, int64_t id, struct err *err)
{
    return has_accounts(ca, err) && ops_of(ca)->acme_delete(ca_impl_of(ca), id, err);
}

bool ca_acme_domains(struct ca *ca, int64_t id, ca_acme_domain_fn *visit, void *ctx,
                     struct err *err)
{
    return has_accounts(ca, err) && ops_of(ca)->acme_domains(ca_impl_of(ca), id, visit, ctx, err);
}

bool ca_acme_change_domains(struct ca *ca, int64_t id, bool add, const char *const names[],
                            size_t count, struct buf *left, struct err *err)
{
    return has_accounts(ca, err) &&
           ops_of(ca)->acme_change_domains(ca_impl_of(ca), id, add, names, count, left, err);
}

bool ca_acme_clients(struct ca *ca, int64_t id, ca_acme_client_fn *visit, void *ctx,
                     struct err *err)
{
    return has_accounts(ca, err) && ops_of(ca)->acme_clients(ca_impl_of(ca), id, visit, ctx, err);
}

bool ca_acme_deactivate(struct ca *ca, int64_t id, const char *client, struct err *err)
{
    return has_accounts(ca, err) && ops_of(ca)->acme_deactivate(ca_impl_of(ca), id, client, err);
}
