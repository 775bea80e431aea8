#include "cli/cli.h"

#include "base/str.h"

#include <stdio.h>

static const struct out_column columns[] = {
    {"id", "NUMBER", 10, true},
    {"name", "DOMAIN", 0, false},
};
static const struct out_column detailed_columns[] = {
    {"id", "NUMBER", 10, true},        {"delegation", "DELEGATION", 10, false},
    {"state", "STATE", 9, false},      {"validation", "VALIDATION", 14, false},
    {"expires", "EXPIRES", 10, false}, {"organizations", "ORGANIZATIONS", 16, false},
    {"method", NULL, 0, false},        {"name", "DOMAIN", 0, false},
};
static const struct out_column delegation_columns[] = {
    {"org_id", "ORGANIZATION", 12, true},
    {"status", "STATUS", 10, false},
    {"cert_types", "FOR", 24, false},
    {"privileges", "NAMES", 0, false},
};

enum { ORGANIZATIONS_MAX = 16 * 1024 };

struct listing {
    struct cli *cli;
    struct ca *ca;
    bool details;
    int64_t left; /* rows that are wanted still */
};

static void join_organizations(const struct ca_domain *domain, struct buf *out)
{
    for (size_t i = 0; i < domain->delegation_count; i++) {
        buf_addf(out, "%s%lld", i > 0 ? ", " : "", (long long)domain->delegations[i].org_id);
    }
}

static bool print_details(struct listing *listing, const char *id, int64_t number, struct err *err)
{
    AUTO(ca_domain) struct ca_domain domain = {.id = 0};
    AUTO(buf) struct buf organizations = BUF_INIT(ORGANIZATIONS_MAX);

    if (!ca_domain(listing->ca, number, &domain, err)) {
        return err_wrap(err, "domain %s", id);
    }
    join_organizations(&domain, &organizations);
    const char *cells[] = {id,
                           domain.delegation,
                           domain.state,
                           domain.validation,
                           domain.expires,
                           organizations.len > 0 ? buf_str(&organizations) : NULL,
                           domain.method,
                           domain.name};
    out_row(&listing->cli->out, cells);
    return true;
}

static bool print_row(void *ctx, const struct ca_domain_row *row, struct err *err)
{
    struct listing *listing = ctx;
    char id[24];

    (void)snprintf(id, sizeof(id), "%lld", (long long)row->id);
    if (listing->details) {
        if (!print_details(listing, id, row->id, err)) {
            return false;
        }
    } else {
        const char *cells[] = {id, row->name};
        out_row(&listing->cli->out, cells);
    }
    return --listing->left > 0;
}

bool cmd_domain_list(struct cli *cli, struct err *err)
{
    const struct opts_domain_list *opts = cli->opts;
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    struct listing listing = {.cli = cli, .details = opts->details, .left = INT64_MAX};
    struct ca_domain_filter filter = {
        .name = opts->name, .state = opts->state, .status = opts->status};

    if (!cli_read_number(opts->org, "org", &filter.org_id, err) ||
        !cli_read_number(opts->limit, "limit", &listing.left, err) ||
        !cli_choose_format(cli, opts->format, err) || !cli_app(cli, err) ||
        !app_ca_open(&cli->app, &connection, err)) {
        return false;
    }
    listing.ca = connection.ca;
    out_table(&cli->out, "domains", opts->details ? detailed_columns : columns,
              opts->details ? ARRAY_LEN(detailed_columns) : ARRAY_LEN(columns),
              "The account sees no such domain.");
    if (!ca_domain_list(connection.ca, &filter, print_row, &listing, err)) {
        return err_wrap(err, "CA '%s'", cli->selection.ca->name);
    }
    out_table_end(&cli->out);
    return true;
}

static void print_domain(struct cli *cli, const struct ca_domain *domain)
{
    struct out *out = &cli->out;

    out_text(out, "name", "Domain", domain->name);
    out_number(out, "id", "Number at the CA", domain->id);
    out_text(out, "state", "State", domain->state);
    out_text(out, "delegation", "Delegation", domain->delegation);
    out_text(out, "validation", "Validation", domain->validation);
    out_text(out, "method", "Method", domain->method);
    out_text(out, "validated", "Validated", domain->validated);
    out_text(out, "expires", "Expires", domain->expires);
    out_table(out, "delegations", delegation_columns, ARRAY_LEN(delegation_columns),
              "It is delegated to nobody.");
    for (size_t i = 0; i < domain->delegation_count; i++) {
        const struct ca_delegation *delegation = &domain->delegations[i];
        char org[24];
        (void)snprintf(org, sizeof(org), "%lld", (long long)delegation->org_id);
        const char *cells[] = {org, delegation->status, delegation->cert_types,
                               delegation->privileges};
        out_row(out, cells);
    }
    out_table_end(out);
}

bool cmd_domain_show(struct cli *cli, struct err *err)
{
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    AUTO(ca_domain) struct ca_domain domain = {.id = 0};
    const char *name = cli->operands[0];
    bool found = false;
    int64_t id = 0;

    if (!ca_domain_name_ok(name)) {
        return err_set(err, E_USAGE, "'%.80s' is not the name of a domain", name);
    }
    if (!cli_app(cli, err) || !app_ca_open(&cli->app, &connection, err)) {
        return false;
    }
    if (!ca_domain_find(connection.ca, name, &found, &id, err)) {
        return err_wrap(err, "CA '%s': domain %s", cli->selection.ca->name, name);
    }
    if (!found) {
        return err_set(err, E_DOMAIN_MISSING, "CA '%s': this account sees no domain %s",
                       cli->selection.ca->name, name);
    }
    if (!ca_domain(connection.ca, id, &domain, err)) {
        return err_wrap(err, "CA '%s': domain %s", cli->selection.ca->name, name);
    }
    print_domain(cli, &domain);
    return true;
}
