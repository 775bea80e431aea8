#include "cli/dcv.h"

#include "base/str.h"

static const struct out_column columns[] = {
    {"domain", "DOMAIN", 24, false}, {"status", "STATUS", 19, false},
    {"method", "METHOD", 6, false},  {"next_check", "NEXT CHECK", 19, false},
    {"place", "WHERE", 48, false},   {"content", "WHAT", 0, false},
    {"last_check", NULL, 0, false},
};

/* Which order: of the journal, or the CA's number; selects the sections that go with it. */
static bool find_order(struct cli *cli, const struct opts_dcv_order *opts, int64_t *ca_order,
                       struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;
    int64_t id = 0;

    if ((cli->operand_count == 1) == (opts->ca_order != NULL)) {
        return err_set(err, E_USAGE, "say which order: an ORDER of the journal, or --ca-order");
    }
    if (opts->ca_order != NULL) {
        struct config_choice choice = {
            .profile = cli->common.profile, .ca = cli->common.ca, .token = cli->common.token};
        return cli_read_number(opts->ca_order, "ca-order", ca_order, err) &&
               config_select(cli->config, &choice, CONFIG_NEED(CONFIG_CA), &cli->selection, err) &&
               cli_app(cli, err);
    }
    return cli_journal(cli, &journal, err) &&
           journal_resolve(journal, cli->operands[0], &id, err) && cli_app(cli, err) &&
           app_order_at_ca(&cli->app, journal, id, ca_order, err);
}

static void print_rows(struct cli *cli, const struct ca_order_dcv *dcv)
{
    struct out *out = &cli->out;

    out_text(out, "problem", "The CA said", dcv->problem);
    out_table(out, "domains", columns, ARRAY_LEN(columns), "The CA names no domain.");
    for (size_t i = 0; i < dcv->count; i++) {
        const struct ca_order_dcv_row *row = &dcv->list[i];
        const struct ca_dcv_record *record = &row->record;
        const char *cells[] = {row->domain,
                               row->status,
                               row->method,
                               row->next_check,
                               record->host != NULL  ? record->host
                               : record->url != NULL ? record->url
                                                     : row->email,
                               record->point != NULL ? record->point : record->first_line,
                               row->last_check};
        out_row(out, cells);
    }
    out_table_end(out);
}

bool cmd_dcv_order(struct cli *cli, struct err *err)
{
    const struct opts_dcv_order *opts = cli->opts;
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    AUTO(ca_order_dcv) struct ca_order_dcv dcv = {.list = NULL};
    int64_t ca_order = 0;

    if (!find_order(cli, opts, &ca_order, err) || !app_ca_open(&cli->app, &connection, err)) {
        return false;
    }
    if (!ca_order_dcv(connection.ca, ca_order, opts->recheck, &dcv, err)) {
        return err_wrap(err, "CA '%s': order %lld", cli->app.selection.ca->name,
                        (long long)ca_order);
    }
    out_number(&cli->out, "ca_order", "Number at the CA", ca_order);
    print_rows(cli, &dcv);
    return true;
}
