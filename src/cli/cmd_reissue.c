/* order renew, order replace */
#include "cli/cli.h"

#include "base/str.h"

#include <string.h>

/* Which certificate: an order of the journal, or a number at the CA. */
static bool read_which(struct cli *cli, const struct opts_reissue *opts,
                       struct app_reissue *request, struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;
    uint64_t number = 0;

    if (cli->operand_count + (opts->ca_order != NULL) != 1) {
        return err_set(err, E_USAGE,
                       "say which certificate, one way: an ORDER of the journal, or --ca-order");
    }
    if (cli->operand_count == 1) {
        return cli_journal(cli, &journal, err) &&
               journal_resolve(journal, cli->operands[0], &request->order, err);
    }
    if (!str_to_u64(opts->ca_order, INT64_MAX, &number) || number == 0) {
        return err_set(err, E_USAGE, "--ca-order: '%.40s' is not a number", opts->ca_order);
    }
    request->ca_order = (int64_t)number;
    struct config_choice choice = {
        .profile = cli->common.profile, .ca = cli->common.ca, .token = cli->common.token};
    unsigned need =
        CONFIG_NEED(CONFIG_CA) | CONFIG_NEED(CONFIG_PROFILE) | CONFIG_NEED(CONFIG_TOKEN);
    return config_select(cli->config, &choice, need, &cli->selection, err);
}

static bool reissue(struct cli *cli, const struct opts_reissue *opts, struct app_reissue *request,
                    struct err *err)
{
    AUTO(order) struct order order;
    struct app_result result;

    order_init(&order);
    request->key_uri = opts->key;
    request->new_key = opts->new_key;
    request->again = opts->again;
    if (opts->new_key && opts->key != NULL) {
        return err_set(err, E_USAGE, "--key and --new-key are two different keys");
    }
    if (!cli_check_results(opts->cert_out, opts->chain_out, err) ||
        !read_which(cli, opts, request, err) || !cli_journal(cli, NULL, err) ||
        !cli_app(cli, err)) {
        return false;
    }
    bool ok = app_reissue(&cli->app, request, &order, &result, err);
    cli_progress_end(cli);
    if (order.id != 0) {
        out_bool(&cli->out, "continued", result.continued ? "Continued" : NULL, result.continued);
        cli_print_order(cli, &order);
    }
    return ok && cli_write_results(&order, opts->cert_out, opts->chain_out, err);
}

bool cmd_order_renew(struct cli *cli, struct err *err)
{
    struct app_reissue request = {.replace = false};

    return reissue(cli, cli->opts, &request, err);
}

bool cmd_order_replace(struct cli *cli, struct err *err)
{
    const struct opts_reissue *opts = cli->opts;
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct app_reissue request = {.replace = true, .reason = opts->reason};
    size_t len = opts->reason != NULL ? strlen(opts->reason) : 0;

    if (len == 0 || len > CA_REASON_TEXT_MAX) {
        return err_set(err, E_USAGE,
                       "--reason is needed: a sentence for the CA of 1 to %d characters",
                       CA_REASON_TEXT_MAX);
    }
    for (size_t i = 0; i < opts->names.count; i++) {
        if (!x509_names_add_word(&names, opts->names.items[i], err)) {
            return err_wrap(err, "--name");
        }
    }
    request.names = names.count > 0 ? &names : NULL;
    return reissue(cli, opts, &request, err);
}
