#include "cli/dcv.h"

#include "base/str.h"

#include <stdio.h>

static const struct out_column list_columns[] = {
    {"domain", "DOMAIN", 32, false},          {"status", "STATUS", 14, false},
    {"method", "METHOD", 20, false},          {"expires", "EXPIRES", 10, false},
    {"order_status", "UNDER WAY", 19, false}, {"order_method", "BY", 0, false},
};

struct listing {
    struct cli *cli;
    int64_t left; /* rows that are wanted still */
};

static bool print_row(void *ctx, const struct ca_dcv_row *row, struct err *err UNUSED)
{
    struct listing *listing = ctx;
    const char *cells[] = {row->domain,  row->status,       row->method,
                           row->expires, row->order_status, row->order_method};

    out_row(&listing->cli->out, cells);
    return --listing->left > 0;
}

bool cmd_dcv_list(struct cli *cli, struct err *err)
{
    const struct opts_dcv_list *opts = cli->opts;
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    struct listing listing = {.cli = cli, .left = INT64_MAX};
    struct ca_dcv_filter filter = {
        .domain = opts->domain, .status = opts->status, .order_status = opts->order_status};

    if (!cli_read_number(opts->org, "org", &filter.org_id, err) ||
        !cli_read_number(opts->department, "department", &filter.department_id, err) ||
        !cli_read_number(opts->expires_in, "expires-in", &filter.expires_in_days, err) ||
        !cli_read_number(opts->limit, "limit", &listing.left, err) ||
        !cli_choose_format(cli, opts->format, err) || !cli_app(cli, err) ||
        !app_ca_open(&cli->app, &connection, err)) {
        return false;
    }
    out_table(&cli->out, "validations", list_columns, ARRAY_LEN(list_columns),
              "The account sees no such domain.");
    if (!ca_dcv_list(connection.ca, &filter, print_row, &listing, err)) {
        return err_wrap(err, "CA '%s'", cli->selection.ca->name);
    }
    out_table_end(&cli->out);
    return true;
}

void cli_print_record(struct cli *cli, const struct ca_dcv_record *record)
{
    struct out *out = &cli->out;

    if (record->host != NULL || record->point != NULL) {
        out_text(out, "host", "Record", record->host);
        out_text(out, "point", "Content", record->point);
    }
    if (record->url != NULL) {
        out_text(out, "url", "File at", record->url);
        out_text(out, "first_line", "First line", record->first_line);
        out_text(out, "second_line", "Second line", record->second_line);
    }
}

static void print_status(struct cli *cli, const char *domain, const struct ca_dcv_status *status)
{
    struct out *out = &cli->out;

    out_text(out, "domain", "Domain", domain);
    out_text(out, "status", "Status", status->status);
    out_text(out, "validated", "Validated", status->validated);
    out_text(out, "expires", "Expires", status->expires);
    out_text(out, "order_status", "Under way", status->order_status);
    out_text(out, "method", "Method", status->method);
    out_text(out, "submitted", "Submitted", status->submitted);
    out_text(out, "last_check", "Last check", status->last_check);
    out_text(out, "next_check", "Next check", status->next_check);
    out_text(out, "email", "Address", status->email);
    out_text(out, "message", "The CA said", status->message);
    cli_print_record(cli, &status->record);
}

/* Opens the CA for a command about one domain. */
static bool open_for(struct cli *cli, struct app_ca *connection, struct err *err)
{
    if (!ca_domain_name_ok(cli->operands[0])) {
        return err_set(err, E_USAGE, "'%.80s' is not the name of a domain", cli->operands[0]);
    }
    return cli_app(cli, err) && app_ca_open(&cli->app, connection, err);
}

static bool failed(const struct cli *cli, struct err *err)
{
    return err_wrap(err, "CA '%s': domain %s", cli->selection.ca->name, cli->operands[0]);
}

bool cmd_dcv_status(struct cli *cli, struct err *err)
{
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    AUTO(ca_dcv_status) struct ca_dcv_status status = {.status = NULL};

    if (!open_for(cli, &connection, err)) {
        return false;
    }
    if (!ca_dcv_status(connection.ca, cli->operands[0], &status, err)) {
        return failed(cli, err);
    }
    print_status(cli, cli->operands[0], &status);
    return true;
}

static void print_addresses(struct cli *cli, const struct ca_dcv_record *record)
{
    static const struct out_column column[] = {{"address", "ADDRESS", 0, false}};

    out_table(&cli->out, "addresses", column, ARRAY_LEN(column), NULL);
    for (size_t i = 0; i < record->email_count; i++) {
        const char *cells[] = {record->emails[i]};
        out_row(&cli->out, cells);
    }
    out_table_end(&cli->out);
}

bool cmd_dcv_start(struct cli *cli, struct err *err)
{
    const struct opts_dcv_one *opts = cli->opts;
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    AUTO(ca_dcv_record) struct ca_dcv_record record = {.host = NULL};
    enum ca_dcv_method method = CA_DCV_CNAME;

    if (opts->method == NULL) {
        return err_set(err, E_USAGE, "--method is missing; one of: %s",
                       ca_dcv_method_name(CA_DCV_METHODS));
    }
    if (!ca_dcv_method_find(opts->method, &method, err) || !open_for(cli, &connection, err)) {
        return false;
    }
    if (!ca_dcv_start(connection.ca, cli->operands[0], method, &record, err)) {
        return failed(cli, err);
    }
    out_text(&cli->out, "domain", "Domain", cli->operands[0]);
    out_text(&cli->out, "method", "Method", ca_dcv_method_name(method));
    if (method == CA_DCV_EMAIL) {
        print_addresses(cli, &record);
    } else {
        cli_print_record(cli, &record);
    }
    return true;
}

/* The method of a validation that was started; the CA knows it. */
static bool started_method(struct cli *cli, struct ca *ca, enum ca_dcv_method *out, struct err *err)
{
    AUTO(ca_dcv_status) struct ca_dcv_status status = {.status = NULL};
    struct err unknown = ERR_INIT;

    if (!ca_dcv_status(ca, cli->operands[0], &status, err)) {
        return false;
    }
    return (status.method != NULL && ca_dcv_method_find(status.method, out, &unknown)) ||
           err_set(err, E_USAGE,
                   "the CA does not say by which method a validation was started; name it with "
                   "--method");
}

static bool choose_method(struct cli *cli, struct ca *ca, enum ca_dcv_method *out, struct err *err)
{
    const struct opts_dcv_one *opts = cli->opts;

    if (opts->method != NULL) {
        return ca_dcv_method_find(opts->method, out, err);
    }
    if (opts->email != NULL) {
        *out = CA_DCV_EMAIL;
        return true;
    }
    return started_method(cli, ca, out, err);
}

bool cmd_dcv_submit(struct cli *cli, struct err *err)
{
    const struct opts_dcv_one *opts = cli->opts;
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    AUTO(ca_dcv_status) struct ca_dcv_status status = {.status = NULL};
    enum ca_dcv_method method = CA_DCV_CNAME;

    if (!open_for(cli, &connection, err)) {
        return false;
    }
    if (!choose_method(cli, connection.ca, &method, err) ||
        !ca_dcv_submit(connection.ca, cli->operands[0], method, opts->email, &status, err)) {
        return failed(cli, err);
    }
    print_status(cli, cli->operands[0], &status);
    return true;
}

bool cmd_dcv_recheck(struct cli *cli, struct err *err)
{
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    AUTO(ca_dcv_status) struct ca_dcv_status status = {.status = NULL};

    if (!open_for(cli, &connection, err)) {
        return false;
    }
    if (!ca_dcv_recheck(connection.ca, cli->operands[0], &status, err)) {
        return failed(cli, err);
    }
    print_status(cli, cli->operands[0], &status);
    return true;
}

bool cmd_dcv_clear(struct cli *cli, struct err *err)
{
    const struct opts_dcv_one *opts = cli->opts;
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    AUTO(ca_dcv_status) struct ca_dcv_status status = {.status = NULL};

    if (!open_for(cli, &connection, err)) {
        return false;
    }
    bool ok = opts->yes ? ca_dcv_clear(connection.ca, cli->operands[0], &status, err)
                        : ca_dcv_status(connection.ca, cli->operands[0], &status, err);
    if (!ok) {
        return failed(cli, err);
    }
    print_status(cli, cli->operands[0], &status);
    if (!opts->yes && status.order == CA_DCV_NONE) {
        return err_set(err, E_USAGE, "no validation of %s is under way that could be given up",
                       cli->operands[0]);
    }
    return opts->yes || err_set(err, E_USAGE,
                                "nothing was given up; with --yes the validation of %s that is "
                                "under way is, and has to be started anew",
                                cli->operands[0]);
}
