#include "app/app.h"

#include "base/log.h"
#include "base/str.h"

#include <string.h>

static bool is_named(const struct ca_product *product, const char *entry)
{
    uint64_t number = 0;

    if (str_to_u64(entry, INT64_MAX, &number)) {
        return product->id == (int64_t)number;
    }
    return str_equal_nocase(product->name, entry);
}

/* A catalog that names nothing the CA has is more likely misspelt than empty. */
static void warn_unknown(const struct config_ca *ca, const struct ca_products *products,
                         const char *entry)
{
    for (size_t i = 0; i < products->count; i++) {
        if (is_named(&products->list[i], entry)) {
            return;
        }
    }
    log_line(LOG_WARN, "ca", "the catalog of [ca:%s] names '%s', which this account has not",
             ca->name, entry);
}

bool app_check_catalog(const struct config_selection *selection, const struct ca_products *products,
                       const struct ca_product *product, struct err *err)
{
    const struct config_ca *ca = selection->ca;
    AUTO(str) char *copy = str_dup(ca->catalog);
    char *save = NULL;

    if (ca->catalog == NULL) {
        return true;
    }
    if (copy == NULL) {
        return err_nomem(err);
    }
    for (char *word = strtok_r(copy, ",", &save); word != NULL; word = strtok_r(NULL, ",", &save)) {
        const char *entry = str_trim(word);
        if (is_named(product, entry)) {
            return true;
        }
        warn_unknown(ca, products, entry);
    }
    return err_set(err, E_POLICY,
                   "product %lld '%s' is not in the catalog of [ca:%s], which has: %s; nothing was "
                   "made and nothing was ordered",
                   (long long)product->id, product->name, ca->name, ca->catalog);
}

bool app_check_organization(const struct config_selection *selection, struct ca *ca,
                            struct err *err)
{
    AUTO(ca_organization) struct ca_organization organization = {.id = 0};
    int64_t id = config_org_id(selection);

    if (id < 1) {
        return err_set(err, E_CONFIG,
                       "the organization is not configured ('org_id' in the profile or the CA "
                       "section; 'p11enroll org list' shows them)");
    }
    if (!ca_organization(ca, id, &organization, err)) {
        if (err->code == E_ORDER_MISSING) {
            err->code = E_CONFIG;
            return err_wrap(err, "organization %lld is none that this account sees", (long long)id);
        }
        if (err->code == E_FORBIDDEN || err->code == E_AUTH || err->code == E_CA_REFUSED) {
            /* Not every account may read organizations; the order itself will tell. */
            log_line(LOG_WARN, "ca", "organization %lld could not be looked at: %s", (long long)id,
                     err->msg);
            err_clear(err);
            return true;
        }
        return false;
    }
    return organization.ssl_api != CA_OFF ||
           err_set(err, E_FORBIDDEN,
                   "organization %lld '%s' has orders over the API switched off (Web API of TLS "
                   "certificates, sslCertsApiEnabled): an administrator of the CA account enables "
                   "them; nothing was made and nothing was ordered",
                   (long long)id, organization.name != NULL ? organization.name : "");
}
