#include "cli/cli.h"

#include "base/str.h"

#include <stdio.h>

/* What the list itself says, and what only the details say. */
static const struct out_column columns[] = {
    {"ca_order", "CA ORDER", 10, true},
    {"serial", "SERIAL", 47, false},
    {"common_name", "COMMON NAME", 32, false},
    {"names", "NAMES", 0, false},
};
static const struct out_column detailed_columns[] = {
    {"ca_order", "CA ORDER", 10, true}, {"status", "STATUS", 10, false},
    {"expires", "EXPIRES", 24, false},  {"product", "PRODUCT", 24, false},
    {"serial", NULL, 0, false},         {"common_name", "COMMON NAME", 32, false},
    {"names", "NAMES", 0, false},       {"issued", NULL, 0, false},
    {"requester", NULL, 0, false},      {"external_requester", NULL, 0, false},
    {"comments", NULL, 0, false},
};

/* Other lists than that of servers say the status themselves. */
static const struct out_column kind_columns[] = {
    {"ca_order", "CA ORDER", 10, true}, {"status", "STATUS", 10, false},
    {"serial", "SERIAL", 47, false},    {"common_name", "COMMON NAME", 32, false},
    {"names", "NAMES", 0, false},       {"subject", NULL, 0, false},
};

struct inventory {
    struct cli *cli;
    struct ca *ca;
    enum ca_kind kind;
    bool details;
    int64_t left; /* rows that are wanted still */
};

static bool print_details(struct inventory *inventory, const char *id, const struct ca_row *row,
                          struct err *err)
{
    AUTO(ca_record) struct ca_record record = {.id = 0};

    if (!ca_record_of(inventory->ca, inventory->kind, row->id, &record, err)) {
        return err_wrap(err, "certificate %s", id);
    }
    const char *cells[] = {id,
                           record.status,
                           record.expires,
                           record.product,
                           record.serial,
                           record.common_name,
                           record.names != NULL ? record.names : row->names,
                           record.issued,
                           record.requester,
                           record.external_requester,
                           record.comments};
    out_row(&inventory->cli->out, cells);
    return true;
}

static const char *or_none(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static bool print_row(void *ctx, const struct ca_row *row, struct err *err)
{
    struct inventory *inventory = ctx;
    char id[24];

    (void)snprintf(id, sizeof(id), "%lld", (long long)row->id);
    if (row->full && inventory->details) {
        const char *cells[] = {id,
                               or_none(row->status),
                               or_none(row->expires),
                               or_none(row->product),
                               or_none(row->serial),
                               or_none(row->common_name),
                               or_none(row->names),
                               or_none(row->issued),
                               or_none(row->requester),
                               or_none(row->external_requester),
                               or_none(row->comments)};
        out_row(&inventory->cli->out, cells);
    } else if (inventory->details) {
        if (!print_details(inventory, id, row, err)) {
            return false;
        }
    } else if (inventory->kind != CA_KIND_TLS) {
        const char *cells[] = {id,
                               or_none(row->status),
                               or_none(row->serial),
                               or_none(row->common_name),
                               or_none(row->names),
                               or_none(row->subject)};
        out_row(&inventory->cli->out, cells);
    } else {
        const char *cells[] = {id, or_none(row->serial), or_none(row->common_name),
                               or_none(row->names)};
        out_row(&inventory->cli->out, cells);
    }
    return --inventory->left > 0;
}

static void begin_table(struct inventory *inventory)
{
    bool servers = inventory->kind == CA_KIND_TLS;
    const struct out_column *plain = servers ? columns : kind_columns;
    size_t count = servers ? ARRAY_LEN(columns) : ARRAY_LEN(kind_columns);

    out_table(&inventory->cli->out, "certificates", inventory->details ? detailed_columns : plain,
              inventory->details ? ARRAY_LEN(detailed_columns) : count,
              "The account sees no such certificate.");
}

bool cmd_inventory_list(struct cli *cli, struct err *err)
{
    const struct opts_inventory_list *opts = cli->opts;
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    struct inventory inventory = {.cli = cli, .details = opts->details, .left = INT64_MAX};
    struct ca_filter filter = {.common_name = opts->common_name,
                               .name = opts->name,
                               .status = opts->status,
                               .serial = opts->serial,
                               .requester = opts->requester};

    if (!cli_read_kind(opts->kind, (enum ca_kind)cli->selection.profile->kind, &filter.kind, err) ||
        !cli_read_number(opts->org, "org", &filter.org_id, err) ||
        !cli_read_number(opts->limit, "limit", &inventory.left, err) ||
        !cli_read_source(opts->source, CA_SOURCE_LIST, &filter.source, err) ||
        !cli_choose_format(cli, opts->format, err) || !cli_app(cli, err) ||
        !app_ca_open(&cli->app, &connection, err)) {
        return false;
    }
    inventory.ca = connection.ca;
    inventory.kind = filter.kind;
    begin_table(&inventory);
    if (!ca_list(connection.ca, &filter, print_row, &inventory, err)) {
        return err_wrap(err, "CA '%s'", cli->selection.ca->name);
    }
    out_table_end(&cli->out);
    return true;
}
