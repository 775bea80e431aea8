#include "cli/cli.h"

#include "x509/x509.h"

enum { PEM_MAX = 64 * 1024 };

static bool add_names(const struct cli_list *list, struct x509_names *out, struct err *err)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!x509_names_add_word(out, list->items[i], err)) {
            return false;
        }
    }
    return true;
}

bool cmd_csr_create(struct cli *cli, struct err *err)
{
    const struct opts_csr_create *opts = cli->opts;
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    AUTO(buf) struct buf pem = BUF_INIT(PEM_MAX);

    if (!add_names(&opts->names, &names, err)) {
        return false;
    }
    if (names.count == 0 && opts->subject == NULL) {
        return err_set(err, E_USAGE, "--name or --subject is missing");
    }
    if (!cli_app(cli, err) ||
        !app_csr(&cli->app, cli->operands[0], opts->subject, &names, &pem, err)) {
        return false;
    }
    if (opts->out_path == NULL) {
        out_block(&cli->out, "csr", buf_str(&pem));
        return true;
    }
    out_text(&cli->out, "csr_file", "Request", opts->out_path);
    return cli_write_public(opts->out_path, buf_str(&pem), err);
}
