#include "cli/cli.h"

#include "x509/x509.h"

static bool read_names(const struct opts_enroll *opts, struct x509_names *out, struct err *err)
{
    if (opts->cn != NULL && !x509_names_add_list(out, opts->cn, err)) {
        return err_wrap(err, "--cn");
    }
    for (size_t i = 0; i < opts->names.count; i++) {
        if (!x509_names_add_list(out, opts->names.items[i], err)) {
            return err_wrap(err, "--name");
        }
    }
    return out->count > 0 ||
           err_set(err, E_USAGE, "--cn or --name is missing: what is the certificate for?");
}

bool cmd_enroll(struct cli *cli, struct err *err)
{
    const struct opts_enroll *opts = cli->opts;
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    AUTO(order) struct order order;
    struct app_result result;

    order_init(&order);
    if (!read_names(opts, &names, err) ||
        !cli_check_results(opts->cert_out, opts->chain_out, err) || !cli_journal(cli, NULL, err) ||
        !cli_app(cli, err)) {
        return false;
    }
    struct app_enroll request = {.names = &names, .key_uri = opts->key, .again = opts->again};
    bool ok = app_enroll(&cli->app, &request, &order, &result, err);
    cli_progress_end(cli);
    if (order.id != 0) {
        out_bool(&cli->out, "continued", result.continued ? "Continued" : NULL, result.continued);
        cli_print_order(cli, &order);
    }
    return ok && cli_write_results(&order, opts->cert_out, opts->chain_out, err);
}
