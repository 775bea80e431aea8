#include "cli/cli.h"

#include "base/str.h"

#include <string.h>

static void print_record(struct cli *cli, const struct app_revoked *revoked)
{
    const struct ca_record *r = &revoked->record;
    struct out *out = &cli->out;

    out_number(out, "ca_order", "Number at the CA", r->id);
    if (revoked->order != 0) {
        out_number(out, "order", "Order", revoked->order);
    }
    out_text(out, "common_name", "Common name", r->common_name);
    out_text(out, "names", "Names", r->names);
    out_text(out, "serial", "Serial", r->serial);
    out_text(out, "product", "Product", r->product);
    out_text(out, "issued", "Issued", r->issued);
    out_text(out, "expires", "Expires", r->expires);
    out_text(out, "ca_status", "The CA said", r->status);
}

static bool read_reason(const struct opts_revoke *opts, struct app_revoke *request, struct err *err)
{
    const struct ca_reason *reason = NULL;
    AUTO(buf) struct buf there = BUF_INIT(512);

    for (size_t i = 0; (reason = ca_reason_at(i)) != NULL; i++) {
        buf_addf(&there, "%s%s", i > 0 ? ", " : "", reason->name);
    }
    if (opts->reason == NULL) {
        return err_set(err, E_USAGE, "--reason is missing; one of: %s", buf_str(&there));
    }
    reason = ca_reason_find(opts->reason);
    if (reason == NULL) {
        return err_set(err, E_USAGE, "--reason: '%.40s' is none of: %s", opts->reason,
                       buf_str(&there));
    }
    request->reason = reason->code;
    request->text = opts->comment != NULL ? opts->comment : reason->name;
    size_t len = strlen(request->text);
    return (len > 0 && len <= CA_REASON_TEXT_MAX) ||
           err_set(err, E_USAGE, "--comment: the CA takes 1 to %d characters", CA_REASON_TEXT_MAX);
}

/* Which certificate: exactly one of three ways. */
static bool read_which(struct cli *cli, const struct opts_revoke *opts, struct app_revoke *request,
                       struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;
    size_t given = cli->operand_count + (opts->serial != NULL) + (opts->ca_order != NULL);
    uint64_t number = 0;

    if (given != 1) {
        return err_set(err, E_USAGE,
                       "say which certificate, one way: an ORDER of the journal, --ca-order or "
                       "--serial");
    }
    if (cli->operand_count == 1) {
        return cli_journal(cli, &journal, err) &&
               journal_resolve(journal, cli->operands[0], &request->order, err);
    }
    if (opts->ca_order != NULL) {
        if (!str_to_u64(opts->ca_order, INT64_MAX, &number) || number == 0) {
            return err_set(err, E_USAGE, "--ca-order: '%.40s' is not a number", opts->ca_order);
        }
        request->ca_order = (int64_t)number;
    }
    AUTO(buf) struct buf serial = BUF_INIT(CA_SERIAL_TEXT_MAX);
    if (opts->serial != NULL && !ca_serial_text(opts->serial, &serial)) {
        return err_set(err, E_USAGE, "--serial: '%.80s' is no serial number", opts->serial);
    }
    request->serial = opts->serial;
    struct config_choice choice = {
        .profile = cli->common.profile, .ca = cli->common.ca, .token = cli->common.token};
    return config_select(cli->config, &choice, CONFIG_NEED(CONFIG_CA), &cli->selection, err);
}

bool cmd_revoke(struct cli *cli, struct err *err)
{
    const struct opts_revoke *opts = cli->opts;
    struct app_revoke request = {.confirmed = opts->yes};
    struct app_revoked revoked;

    if (!read_reason(opts, &request, err) || !read_which(cli, opts, &request, err) ||
        !cli_journal(cli, NULL, err) || !cli_app(cli, err)) {
        return false;
    }
    bool ok = app_revoke(&cli->app, &request, &revoked, err);
    if (revoked.record.status != NULL) {
        print_record(cli, &revoked);
    }
    if (ok) {
        out_bool(&cli->out, "was_revoked", "Was revoked before", revoked.was_revoked);
        out_bool(&cli->out, "revoked", "Revoked", true);
    }
    ca_record_done(&revoked.record);
    return ok;
}
