/* order wait: one order as it always was, or many beside each other. */
#include "cli/cli.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>

static bool wait_for_one(struct cli *cli, struct err *err)
{
    const struct opts_order_wait *opts = cli->opts;
    AUTO(order) struct order order;

    order_init(&order);
    return cli_check_results(opts->cert_out, opts->chain_out, err) &&
           cli_resume(cli, false, &order, err) &&
           cli_write_results(&order, opts->cert_out, opts->chain_out, err);
}

static const struct out_column columns[] = {
    {"order", "ORDER", 6, true},   {"result", "RESULT", 13, false},
    {"state", "STATE", 13, false}, {"ca_order", "CA ORDER", 10, false},
    {"names", "NAMES", 24, false}, {"serial", NULL, 0, false},
    {"cert_uri", NULL, 0, false},  {"detail", "DETAIL", 0, false},
};

/* A row when it is known what became of an order, so that many can be followed. */
static void print_ended(void *ctx, const struct order *order, const struct err *why)
{
    struct cli *cli = ctx;
    char id[24];

    cli_progress_end(cli);
    (void)snprintf(id, sizeof(id), "%lld", (long long)order->id);
    const char *cells[] = {id,
                           why->code == E_NONE ? "done" : err_code_name(why->code),
                           order->names != NULL ? order_state_name(order->state) : NULL,
                           order->ca_order_id,
                           order->names,
                           order->serial,
                           order->cert_uri,
                           why->code == E_NONE ? NULL : why->msg};
    out_row(&cli->out, cells);
}

static bool has(const int64_t *ids, size_t count, int64_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

/* Each order once, whatever was typed. */
static bool take_operands(struct cli *cli, int64_t **ids, size_t *count, struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;
    AUTO(mem) void *list = calloc(cli->operand_count, sizeof(int64_t));
    int64_t *at = list;

    if (list == NULL) {
        return err_nomem(err);
    }
    if (!cli_journal(cli, &journal, err)) {
        return false;
    }
    *count = 0;
    for (size_t i = 0; i < cli->operand_count; i++) {
        int64_t id = 0;
        if (!journal_resolve(journal, cli->operands[i], &id, err)) {
            return false;
        }
        if (!has(at, *count, id)) {
            at[(*count)++] = id;
        }
    }
    list = NULL;
    *ids = at;
    return true;
}

/* What the command ends with: what failed goes before what is waited for still. */
static bool judge(const struct app_waited *waited, size_t count, struct err *err)
{
    enum err_code code = waited->failed > 0    ? waited->code
                         : waited->pending > 0 ? E_ORDER_PENDING
                         : waited->waiting > 0 ? E_ORDER_WAITING
                                               : E_NONE;

    return code == E_NONE ||
           err_set(
               err, code,
               "of %zu orders %zu are done; the CA works on %zu, people have to act on %zu, and "
               "%zu failed",
               count, waited->done, waited->pending, waited->waiting, waited->failed);
}

static bool wait_for_many(struct cli *cli, struct err *err)
{
    const struct opts_order_wait *opts = cli->opts;
    AUTO(mem) void *list = NULL;
    int64_t *ids = NULL;
    size_t count = 0;
    struct app_waited waited = {.code = E_NONE};

    if (opts->cert_out != NULL || opts->chain_out != NULL) {
        return err_set(err, E_USAGE, "--cert-out and --chain-out are for one order alone");
    }
    bool found = opts->all ? cli_app(cli, err) && app_open_orders(&cli->app, &ids, &count, err)
                           : take_operands(cli, &ids, &count, err) && cli_app(cli, err);
    list = ids;
    if (!found) {
        return false;
    }
    out_table(&cli->out, "orders", columns, ARRAY_LEN(columns), "There is no open order.");
    if (count > 0) {
        struct app_wait request = {.ids = ids,
                                   .count = count,
                                   .ended = print_ended,
                                   .progress = cli_shows_waiting(cli) ? cli_show_waiting : NULL,
                                   .ctx = cli};
        bool begun = app_wait(&cli->app, &request, &waited, err);
        cli_progress_end(cli);
        if (!begun) {
            return false;
        }
    }
    out_table_end(&cli->out);
    out_number(&cli->out, "done", NULL, (int64_t)waited.done);
    out_number(&cli->out, "pending", NULL, (int64_t)waited.pending);
    out_number(&cli->out, "waiting", NULL, (int64_t)waited.waiting);
    out_number(&cli->out, "failed", NULL, (int64_t)waited.failed);
    return judge(&waited, count, err);
}

bool cmd_order_wait(struct cli *cli, struct err *err)
{
    const struct opts_order_wait *opts = cli->opts;

    if (opts->all && cli->operand_count > 0) {
        return err_set(err, E_USAGE, "either --all or orders by their numbers");
    }
    if (!opts->all && cli->operand_count == 0) {
        return err_set(err, E_USAGE, "ORDER is missing (or --all)");
    }
    return !opts->all && cli->operand_count == 1 ? wait_for_one(cli, err) : wait_for_many(cli, err);
}
