#include "cli/cli.h"

#include "base/file.h"
#include "x509/x509.h"

enum { CSR_FILE_MAX = 64 * 1024 };

/* The names in a request that somebody else made; its key has no part in this. */
static bool read_request(const char *path, struct x509_names *out, struct err *err)
{
    AUTO(buf) struct buf text = BUF_INIT(CSR_FILE_MAX);
    AUTO(x509_req) X509_REQ *csr = NULL;

    if (!file_read(path, &text, err)) {
        return false;
    }
    return (x509_csr_parse(buf_str(&text), &csr, err) && x509_names_of_csr(csr, out, err)) ||
           err_wrap(err, "--names-from: %s", path);
}

static bool read_names(const struct cli *cli, const struct opts_enroll *opts,
                       struct x509_names *out, struct err *err)
{
    const char *profile = cli->selection.profile->names;

    if (opts->cn != NULL && !x509_names_add_word(out, opts->cn, err)) {
        return err_wrap(err, "--cn");
    }
    for (size_t i = 0; i < opts->names.count; i++) {
        if (!x509_names_add_word(out, opts->names.items[i], err)) {
            return err_wrap(err, "--name");
        }
    }
    if (opts->names_from != NULL && !read_request(opts->names_from, out, err)) {
        return false;
    }
    if (out->count == 0 && profile != NULL && !x509_names_add_list(out, profile, err)) {
        return err_wrap(err, "names of the profile");
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
    if (!read_names(cli, opts, &names, err) ||
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
