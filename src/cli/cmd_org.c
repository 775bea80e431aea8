#include "cli/cli.h"

#include "base/str.h"

#include <stdio.h>

static const struct out_column columns[] = {
    {"organization", "NUMBER", 8, true},
    {"name", "NAME", 32, false},
    {"parent", "DEPARTMENT OF", 0, false},
    {"parent_number", NULL, 0, true},
};

bool cmd_org_list(struct cli *cli, struct err *err)
{
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    AUTO(ca_organizations) struct ca_organizations all = {.list = NULL};

    if (!cli_app(cli, err) || !app_ca_open(&cli->app, &connection, err)) {
        return false;
    }
    if (!ca_organizations(connection.ca, &all, err)) {
        return err_wrap(err, "CA '%s'", cli->selection.ca->name);
    }
    out_table(&cli->out, "organizations", columns, ARRAY_LEN(columns),
              "The account sees no organization.");
    for (size_t i = 0; i < all.count; i++) {
        const struct ca_organization *o = &all.list[i];
        char id[24];
        char parent[24];
        (void)snprintf(id, sizeof(id), "%lld", (long long)o->id);
        (void)snprintf(parent, sizeof(parent), "%lld", (long long)o->parent_id);
        const char *cells[] = {id, o->name, o->parent, o->parent_id != 0 ? parent : NULL};
        out_row(&cli->out, cells);
    }
    out_table_end(&cli->out);
    return true;
}

static const char *flag_word(enum ca_flag flag)
{
    switch (flag) {
    case CA_ON:
        return "enabled";
    case CA_OFF:
        return "switched off";
    case CA_UNSAID:
        break;
    }
    return "not said by the CA";
}

bool cmd_org_show(struct cli *cli, struct err *err)
{
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    AUTO(ca_organization) struct ca_organization o = {.id = 0};
    uint64_t number = (uint64_t)config_org_id(&cli->selection);

    if (cli->operand_count > 0 && !str_to_u64(cli->operands[0], INT64_MAX, &number)) {
        return err_set(err, E_USAGE, "'%.40s' is not the number of an organization",
                       cli->operands[0]);
    }
    if (number == 0) {
        return err_set(err, E_USAGE, "which organization? None is configured ('org_id')");
    }
    if (!cli_app(cli, err) || !app_ca_open(&cli->app, &connection, err)) {
        return false;
    }
    if (!ca_organization(connection.ca, (int64_t)number, &o, err)) {
        return err_wrap(err, "CA '%s'", cli->selection.ca->name);
    }
    out_number(&cli->out, "organization", "Number", o.id);
    out_text(&cli->out, "name", "Name", o.name);
    out_text(&cli->out, "parent", "Department of", o.parent);
    out_text(&cli->out, "cert_types", "Kinds of certificates", o.cert_types);
    out_text(&cli->out, "ssl_api", "TLS over the API", flag_word(o.ssl_api));
    out_text(&cli->out, "client_api", "S/MIME over the API", flag_word(o.client_api));
    return true;
}
