#include "cli/cli.h"

#include <stdlib.h>

static void print_bound(struct cli *cli, const struct app_bound *bound)
{
    struct out *out = &cli->out;

    out_text(out, "cert_uri", "Certificate URI", bound->report.cert_uri);
    out_text(out, "serial", "Serial", bound->serial);
    out_time(out, "not_after", "Valid until", bound->not_after_s);
    if (bound->detached_dir != NULL) {
        out_text(out, "detached_dir", "Files in", bound->detached_dir);
        out_text(out, "key_uri", "Key URI", bound->key_uri);
        return;
    }
    out_bool(out, "already_there", "Was there already", bound->report.already_there);
    out_number(out, "issuers_written", "Issuers written", (int64_t)bound->report.chain_written);
    out_number(out, "old_removed", "Old ones removed", (int64_t)bound->report.old_removed);
    if (bound->report.foreign_left > 0) {
        out_number(out, "foreign_left", "Not of this key", (int64_t)bound->report.foreign_left);
    }
    if (bound->report.newer_left > 0) {
        out_number(out, "newer_left", "Bound meanwhile", (int64_t)bound->report.newer_left);
    }
}

bool cmd_cert_bind(struct cli *cli, struct err *err)
{
    const struct opts_cert_bind *opts = cli->opts;
    AUTO(app_bound) struct app_bound bound = {.detached_dir = NULL};

    if (opts->key == NULL || opts->cert == NULL) {
        return err_set(err, E_USAGE, "%s is missing", opts->key == NULL ? "--key" : "--cert");
    }
    if (opts->no_chain_check && cli->selection.profile->issuer_roots_is_option) {
        return err_set(err, E_USAGE,
                       "--no-chain-check and --issuer-roots cannot both be: is the chain to be "
                       "checked?");
    }
    bool detached =
        opts->detached != NULL || cli->selection.token->certificates == CONFIG_CERTS_DETACHED;
    if (opts->emit != NULL && !cli_emit_check(opts->emit, opts->dir, detached, err)) {
        return false;
    }
    struct app_bind request = {.key_uri = opts->key,
                               .cert_path = opts->cert,
                               .chain_path = opts->cert_chain,
                               .keep_old = opts->keep_old,
                               .trust_any = opts->no_chain_check,
                               .detached_dir = opts->detached,
                               .name_module = opts->name_module,
                               .name_pin_source = opts->name_pin_source,
                               .attested = opts->attested};
    if (!cli_app(cli, err) || !app_bind(&cli->app, &request, &bound, err)) {
        return false;
    }
    print_bound(cli, &bound);
    const char *dir = opts->dir != NULL ? opts->dir : bound.detached_dir;
    return opts->emit == NULL || cli_emit(cli, opts->key, opts->emit, dir, err);
}

bool cmd_cert_undo(struct cli *cli, struct err *err)
{
    AUTO(app_undone) struct app_undone undone = {.who = NULL};

    if (!cli_app(cli, err) || !app_undo(&cli->app, cli->operands[0], &undone, err)) {
        return false;
    }
    out_text(&cli->out, "cert_uri", "Certificate URI", undone.cert_uri);
    out_number(&cli->out, "put_back", "Put back", (int64_t)undone.put_back);
    out_bool(&cli->out, "removed", "Newer one removed", undone.removed);
    out_time(&cli->out, "replaced_at", "Had been replaced", undone.at_s);
    out_text(&cli->out, "replaced_by", "By", undone.who);
    return true;
}
