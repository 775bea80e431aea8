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

struct inventory {
    struct cli *cli;
    struct ca *ca;
    bool details;
    int64_t left; /* rows that are wanted still */
};

static bool print_details(struct inventory *inventory, const char *id, const struct ca_row *row,
                          struct err *err)
{
    AUTO(ca_record) struct ca_record record = {.id = 0};

    if (!ca_record(inventory->ca, row->id, &record, err)) {
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
    } else {
        const char *cells[] = {id, or_none(row->serial), or_none(row->common_name),
                               or_none(row->names)};
        out_row(&inventory->cli->out, cells);
    }
    return --inventory->left > 0;
}

static bool read_number(const char *text, const char *option, int64_t *out, struct err *err)
{
    uint64_t value = 0;

    if (text == NULL) {
        return true;
    }
    if (!str_to_u64(text, INT64_MAX, &value) || value == 0) {
        return err_set(err, E_USAGE, "--%s: '%.40s' is not a number", option, text);
    }
    *out = (int64_t)value;
    return true;
}

/* The format is the command's own: tables alone can be had in these. */
static bool choose_format(struct cli *cli, const char *format, struct err *err)
{
    if (format == NULL || str_equal(format, "table")) {
        return true;
    }
    if (cli->common.json) {
        return err_set(err, E_USAGE, "--format and --json exclude each other");
    }
    if (str_equal(format, "csv")) {
        out_init_csv(&cli->out, stdout);
        return true;
    }
    if (str_equal(format, "jsonl")) {
        out_init_jsonl(&cli->out, stdout);
        return true;
    }
    return err_set(err, E_USAGE, "--format: '%.40s' is none of: table, csv, jsonl", format);
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

    if (!read_number(opts->org, "org", &filter.org_id, err) ||
        !read_number(opts->limit, "limit", &inventory.left, err) ||
        !cli_read_source(opts->source, CA_SOURCE_LIST, &filter.source, err) ||
        !choose_format(cli, opts->format, err) || !cli_app(cli, err) ||
        !app_ca_open(&cli->app, &connection, err)) {
        return false;
    }
    inventory.ca = connection.ca;
    out_table(&cli->out, "certificates", opts->details ? detailed_columns : columns,
              opts->details ? ARRAY_LEN(detailed_columns) : ARRAY_LEN(columns),
              "The account sees no such certificate.");
    if (!ca_list(connection.ca, &filter, print_row, &inventory, err)) {
        return err_wrap(err, "CA '%s'", cli->selection.ca->name);
    }
    out_table_end(&cli->out);
    return true;
}
