/* order resolve: what is known of an order whose answer was lost, and what a person says of it. */
#include "cli/cli.h"

#include "base/str.h"

static const struct out_column columns[] = {
    {"at", "AT", 20, false},
    {"state", "STATE", 17, false},
    {"text", "WHAT HAPPENED", 0, false},
};

static bool print_event(void *ctx, int64_t at_s, const char *state, const char *text)
{
    struct cli *cli = ctx;
    char at[CLOCK_TEXT_SIZE];

    clock_format(at_s, at);
    const char *cells[] = {at, state, text};
    out_row(&cli->out, cells);
    return true;
}

/* What there is to go by, for somebody who looks in the CA's portal. */
static bool show(struct cli *cli, struct journal *journal, const struct order *order,
                 struct err *err)
{
    struct out *out = &cli->out;
    int64_t sent_s = 0;

    if (!journal_last_sent(journal, order->id, &sent_s, err)) {
        return false;
    }
    cli_print_order(cli, order);
    out_text(out, "mark", "Our mark", order->mark);
    out_text(out, "comments", "Comments", order->comments);
    out_time(out, "sent", "Sent", sent_s);
    out_text(out, "if_it_is_there", "If the CA has it", "order resolve ORDER --is NUMBER");
    out_text(out, "if_it_is_not", "If it does not",
             "order resolve ORDER --not-ordered [--send-again] --reason TEXT --yes");
    out_table(out, "events", columns, ARRAY_LEN(columns), NULL);
    if (!journal_events(journal, order->id, print_event, cli, err)) {
        return false;
    }
    out_table_end(out);
    return true;
}

static bool show_known(struct cli *cli, struct journal *journal, int64_t id, struct err *err)
{
    AUTO(order) struct order order;

    order_init(&order);
    return journal_load(journal, id, &order, err) && order_is_unsettled(&order, err) &&
           show(cli, journal, &order, err);
}

static bool adopt(struct cli *cli, int64_t id, const char *number, struct err *err)
{
    AUTO(order) struct order order;

    order_init(&order);
    bool ok = app_adopt(&cli->app, id, number, &order, err);
    cli_progress_end(cli);
    if (order.id != 0) {
        cli_print_order(cli, &order);
    }
    return ok;
}

static bool not_ordered(struct cli *cli, int64_t id, struct err *err)
{
    const struct opts_order_resolve *opts = cli->opts;
    AUTO(order) struct order order;
    struct app_resolve request = {
        .order = id, .again = opts->send_again, .why = opts->reason, .confirmed = opts->yes};
    struct app_resolved resolved;

    order_init(&order);
    bool ok = app_resolve(&cli->app, &request, &order, &resolved, err);
    if (order.id != 0) {
        cli_print_order(cli, &order);
        out_time(&cli->out, "sent", "Was sent", resolved.sent_s);
        out_bool(&cli->out, "asked", "The CA could be asked", resolved.asked);
    }
    return ok;
}

static bool check_options(const struct opts_order_resolve *opts, struct err *err)
{
    if (opts->is != NULL && opts->not_ordered) {
        return err_set(err, E_USAGE, "--is and --not-ordered exclude each other");
    }
    if (!opts->not_ordered && (opts->send_again || opts->yes || opts->reason != NULL)) {
        return err_set(err, E_USAGE, "--send-again, --reason and --yes go with --not-ordered");
    }
    return !opts->not_ordered || (opts->reason != NULL && opts->reason[0] != '\0') ||
           err_set(err, E_USAGE,
                   "--reason is missing: how it is known that the CA does not have it; it is "
                   "written into the journal");
}

static bool find(struct cli *cli, bool look, int64_t *id, struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;

    return cli_journal_to_read(cli, &journal, err) &&
           journal_resolve(journal, cli->operands[0], id, err) &&
           (!look || show_known(cli, journal, *id, err));
}

bool cmd_order_resolve(struct cli *cli, struct err *err)
{
    const struct opts_order_resolve *opts = cli->opts;
    bool look = opts->is == NULL && !opts->not_ordered;
    int64_t id = 0;

    if (!check_options(opts, err) || !find(cli, look, &id, err)) {
        return false;
    }
    if (look) {
        return true;
    }
    return cli_app(cli, err) &&
           (opts->is != NULL ? adopt(cli, id, opts->is, err) : not_ordered(cli, id, err));
}
