/* Organizations and ACME accounts as the API writes them; pure. */
#include "ca/scm/scm.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

enum { ORGANIZATIONS_MAX = 100000, TYPES_MAX = 1024 };

static bool take(const json *doc, const char *name, char **out, struct err *err)
{
    const char *text = NULL;

    if (!json_find_string(doc, name, &text) || text[0] == '\0') {
        return true;
    }
    free(*out);
    *out = str_dup(text);
    return *out != NULL || err_nomem(err);
}

static enum ca_flag flag(const json *doc, const char *name)
{
    bool on = false;

    if (!json_find_bool(doc, name, &on)) {
        return CA_UNSAID;
    }
    return on ? CA_ON : CA_OFF;
}

static bool read_organization(const json *doc, struct ca_organization *out, struct err *err)
{
    AUTO(buf) struct buf types = BUF_INIT(TYPES_MAX);

    if (!json_get_int(doc, "id", &out->id, err) || !take(doc, "name", &out->name, err) ||
        !take(doc, "parentName", &out->parent, err)) {
        return false;
    }
    (void)json_find_int(doc, "parentId", &out->parent_id);
    out->ssl_api = flag(doc, "sslCertsApiEnabled");
    out->client_api = flag(doc, "clientCertsApiEnabled");
    for (const json *item = json_first(json_member(doc, "certTypes")); item != NULL;
         item = json_next(item)) {
        const char *word = json_string(item);
        if (word != NULL) {
            buf_addf(&types, "%s%s", types.len > 0 ? ", " : "", word);
        }
    }
    if (types.len > 0 && buf_ok(&types)) {
        out->cert_types = str_dup(buf_str(&types));
        return out->cert_types != NULL || err_nomem(err);
    }
    return true;
}

bool scm_parse_organization(const json *doc, struct ca_organization *out, struct err *err)
{
    AUTO(ca_organization) struct ca_organization read = {.id = 0};

    if (!json_is_object(doc)) {
        return err_set(err, E_PROTOCOL, "the organization is not a JSON object");
    }
    if (!read_organization(doc, &read, err)) {
        return false;
    }
    *out = read;
    read = (struct ca_organization){.id = 0};
    return true;
}

static size_t count_all(const json *list)
{
    size_t count = 0;

    for (const json *item = json_first(list); item != NULL; item = json_next(item)) {
        count += 1 + json_count(json_member(item, "departments"));
    }
    return count;
}

/* An organization and, behind it, its departments. */
static bool add_organization(const json *item, struct ca_organizations *out, struct err *err)
{
    struct ca_organization *organization = &out->list[out->count++];

    if (!read_organization(item, organization, err)) {
        return err_wrap(err, "organization %zu of the list", out->count);
    }
    for (const json *d = json_first(json_member(item, "departments")); d != NULL;
         d = json_next(d)) {
        struct ca_organization *department = &out->list[out->count++];
        if (!read_organization(d, department, err)) {
            return err_wrap(err, "department %zu of the list", out->count);
        }
        department->parent_id = organization->id;
        if (department->parent == NULL && organization->name != NULL) {
            department->parent = str_dup(organization->name);
            if (department->parent == NULL) {
                return err_nomem(err);
            }
        }
    }
    return true;
}

bool scm_parse_organizations(const json *doc, struct ca_organizations *out, struct err *err)
{
    AUTO(ca_organizations) struct ca_organizations read = {.list = NULL};
    size_t count = count_all(doc);

    if (!json_is_array(doc)) {
        return err_set(err, E_PROTOCOL, "the list of organizations is not a JSON array");
    }
    if (count > ORGANIZATIONS_MAX) {
        return err_set(err, E_PROTOCOL, "%zu organizations are more than any account has", count);
    }
    read.list = calloc(count + 1, sizeof(*read.list));
    if (read.list == NULL) {
        return err_nomem(err);
    }
    for (const json *item = json_first(doc); item != NULL; item = json_next(item)) {
        if (!add_organization(item, &read, err)) {
            return false;
        }
    }
    *out = read;
    read = (struct ca_organizations){.list = NULL};
    return true;
}

bool scm_parse_acme_account(const json *doc, struct ca_acme_account *out, struct err *err)
{
    AUTO(ca_acme_account) struct ca_acme_account read = {.id = 0};
    const char *mac_key = NULL;

    if (!json_get_int(doc, "id", &read.id, err)) {
        return err_wrap(err, "ACME account");
    }
    if (read.id <= 0) {
        return err_set(err, E_PROTOCOL, "the CA gives an ACME account the number %lld",
                       (long long)read.id);
    }
    if (!take(doc, "name", &read.name, err) || !take(doc, "acmeServer", &read.server, err) ||
        !take(doc, "status", &read.status, err) ||
        !take(doc, "certValidationType", &read.validation, err) ||
        !take(doc, "macId", &read.mac_id, err)) {
        return false;
    }
    (void)json_find_int(doc, "organizationId", &read.org_id);
    if (json_find_string(doc, "macKey", &mac_key) && mac_key[0] != '\0' &&
        !secret_set(&read.mac_key, mac_key, strlen(mac_key), err)) {
        return false;
    }
    *out = read;
    read = (struct ca_acme_account){.id = 0};
    return true;
}

static void add_text(struct buf *out, const char *name, const char *value)
{
    if (value != NULL) {
        buf_addf(out, "&%s=", name);
        str_percent_encode(out, (const uint8_t *)value, strlen(value), "");
    }
}

void scm_build_acme_list(const struct ca_acme_filter *filter, int64_t size, int64_t position,
                         struct buf *out)
{
    buf_addf(out, "size=%lld&position=%lld", (long long)size, (long long)position);
    if (filter->org_id != 0) {
        buf_addf(out, "&organizationId=%lld", (long long)filter->org_id);
    }
    add_text(out, "name", filter->name);
    add_text(out, "acmeServer", filter->server);
    add_text(out, "certValidationType", filter->validation);
}

static bool check_length(const char *what, const char *text, size_t max, struct err *err)
{
    size_t len = text != NULL ? strlen(text) : 0;

    return (len >= 1 && len <= max) ||
           err_set(err, E_USAGE, "%s: the CA takes 1 to %zu characters", what, max);
}

static bool add_optional(json *body, const char *name, const char *value)
{
    return value == NULL || json_add_string(body, name, value);
}

bool scm_build_acme_create(const struct ca_acme_wish *wish, struct buf *out, struct err *err)
{
    AUTO(json) json *body = json_new_object();

    if (wish->org_id < 1) {
        return err_set(err, E_CONFIG, "the organization is not configured ('org_id')");
    }
    if (!check_length("the ACME account's name", wish->name, CA_ACME_NAME_MAX, err) ||
        !check_length("the ACME server", wish->server, CA_ACME_SERVER_MAX, err)) {
        return false;
    }
    if (!json_add_string(body, "name", wish->name) ||
        !json_add_string(body, "acmeServer", wish->server) ||
        !json_add_int(body, "organizationId", wish->org_id) ||
        !add_optional(body, "certValidationType", wish->validation) ||
        !add_optional(body, "validationId", wish->validation_id)) {
        return err_nomem(err);
    }
    return json_print(body, out, err);
}

bool scm_build_acme_name(const char *name, struct buf *out, struct err *err)
{
    AUTO(json) json *body = json_new_object();

    if (!check_length("the ACME account's name", name, CA_ACME_NAME_MAX, err)) {
        return false;
    }
    return json_add_string(body, "name", name) ? json_print(body, out, err) : err_nomem(err);
}

bool scm_build_acme_domains(const char *const names[], size_t count, struct buf *out,
                            struct err *err)
{
    AUTO(json) json *body = json_new_object();
    json *list = json_new_array();

    for (size_t i = 0; i < count; i++) {
        json *item = json_new_object();
        bool ok = json_add_string(item, "name", names[i]);
        if (!json_append(list, item) || !ok) {
            json_free(list);
            return err_nomem(err);
        }
    }
    return json_add(body, "domains", list) ? json_print(body, out, err) : err_nomem(err);
}

static void add_left(const json *list, struct buf *out)
{
    for (const json *item = json_first(list); item != NULL; item = json_next(item)) {
        const char *name = json_string(item);
        if (name == NULL) {
            (void)json_find_string(item, "name", &name);
        }
        if (name != NULL) {
            buf_add_str(out, out->len > 0 ? ", " : "");
            str_add_quotable(out, name, strlen(name), 253);
        }
    }
}

void scm_parse_acme_left(const json *doc, struct buf *out)
{
    add_left(json_member(doc, "notAddedDomains"), out);
    add_left(json_member(doc, "notRemovedDomains"), out);
}

int64_t scm_location_id(const char *location)
{
    const char *slash = strrchr(location, '/');
    uint64_t id = 0;

    return slash != NULL && str_to_u64(slash + 1, INT64_MAX, &id) ? (int64_t)id : 0;
}
