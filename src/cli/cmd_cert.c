#include "cli/cli.h"

#include <stdlib.h>

bool cmd_cert_bind(struct cli *cli, struct err *err)
{
    const struct opts_cert_bind *opts = cli->opts;
    struct app_bound bound = {.report = {.cert_uri = NULL}};

    if (opts->key == NULL || opts->cert == NULL) {
        return err_set(err, E_USAGE, "%s is missing", opts->key == NULL ? "--key" : "--cert");
    }
    struct app_bind request = {.key_uri = opts->key,
                               .cert_path = opts->cert,
                               .chain_path = opts->cert_chain,
                               .keep_old = opts->keep_old,
                               .trust_any = opts->no_chain_check};
    if (!cli_app(cli, err) || !app_bind(&cli->app, &request, &bound, err)) {
        return false;
    }
    struct out *out = &cli->out;
    out_text(out, "cert_uri", "Certificate URI", bound.report.cert_uri);
    out_text(out, "serial", "Serial", bound.serial);
    out_time(out, "not_after", "Valid until", bound.not_after_s);
    out_bool(out, "already_there", "Was there already", bound.report.already_there);
    out_number(out, "issuers_written", "Issuers written", (int64_t)bound.report.chain_written);
    out_number(out, "old_removed", "Old ones removed", (int64_t)bound.report.old_removed);
    if (bound.report.foreign_left > 0) {
        out_number(out, "foreign_left", "Not of this key", (int64_t)bound.report.foreign_left);
    }
    free(bound.report.cert_uri);
    return true;
}
