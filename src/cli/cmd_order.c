#include "cli/cli.h"

#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIST_DEFAULT = 50 };

bool cli_write_public(const char *path, const char *text, struct err *err)
{
    return file_write_atomic(path, text, strlen(text), 0644, err);
}

/* Whether a file can be put there. */
static bool can_write(const char *path, struct err *err)
{
    struct stat found;

    if (path == NULL) {
        return true;
    }
    bool there = stat(path, &found) == 0;
    if (there && S_ISDIR(found.st_mode)) {
        return err_set(err, E_IO, "%s is a directory", path);
    }
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    AUTO(str) char *dir = len > 0 ? str_ndup(path, len) : str_dup(".");
    if (dir == NULL) {
        return err_nomem(err);
    }
    bool in_place = there && !S_ISREG(found.st_mode); /* a device, a pipe */
    return access(in_place ? path : dir, in_place ? W_OK : W_OK | X_OK) == 0 ||
           err_set_errno(err, E_IO, errno, "%s cannot be written", path);
}

bool cli_check_results(const char *cert_out, const char *chain_out, struct err *err)
{
    return can_write(cert_out, err) && can_write(chain_out, err);
}

bool cli_write_results(const struct order *order, const char *cert_out, const char *chain_out,
                       struct err *err)
{
    return (cert_out == NULL || cli_write_public(cert_out, order->cert_pem, err)) &&
           (chain_out == NULL || cli_write_public(chain_out, order->chain_pem, err));
}

void cli_print_order(struct cli *cli, const struct order *order)
{
    struct out *out = &cli->out;

    cli->order_id = order->id;
    out_number(out, "order", "Order", order->id);
    out_text(out, "state", "State", order_state_name(order->state));
    out_text(out, "state_text", "Meaning", order_state_sentence(order->state));
    bool plain = order->parent == NULL;
    out_text(out, "origin", plain ? NULL : "Came from",
             plain ? order_origin_name(ORIGIN_ENROLL) : order->origin);
    out_text(out, "parent", "Number it came from", order->parent);
    out_text(out, "reason", "Reason", order->reason);
    out_text(out, "kind", order->kind != NULL ? "Kind" : NULL,
             order->kind != NULL ? order->kind : ca_kind_name(CA_KIND_TLS));
    out_text(out, "names", "Names", order->names);
    out_text(out, "ca_order", "Number at the CA", order->ca_order_id);
    out_text(out, "ca_status", "The CA says", order->ca_text);
    out_text(out, "product", "Product", order->product);
    out_number(out, "term_days", "Term (days)", order->term_days);
    out_text(out, "key_type", "Key", order->key_type);
    out_text(out, "key_uri", "Key URI", order->key_uri);
    out_text(out, "cert_uri", "Certificate URI", order->cert_uri);
    out_text(out, "serial", "Serial", order->serial);
    out_time(out, "not_after", "Valid until", order->not_after_s);
    out_text(out, "last_error", "Last failure", order->last_error);
}

static const struct out_column order_columns[] = {
    {"order", "ORDER", 6, true},
    {"state", "STATE", 17, false},
    {"updated", "UPDATED", 20, false},
    {"ca_order", "CA ORDER", 10, false},
    {"not_after", "VALID UNTIL", 20, false},
    {"names", "NAMES", 0, false},
};

static bool list_one(void *ctx, const struct order *order)
{
    struct cli *cli = ctx;
    char id[24];
    char updated[CLOCK_TEXT_SIZE];
    char until[CLOCK_TEXT_SIZE];

    (void)snprintf(id, sizeof(id), "%lld", (long long)order->id);
    clock_format(order->updated_s, updated);
    clock_format(order->not_after_s, until);
    const char *cells[] = {id,
                           order_state_name(order->state),
                           updated,
                           order->ca_order_id,
                           order->not_after_s != 0 ? until : NULL,
                           order->names};
    out_row(&cli->out, cells);
    return true;
}

bool cmd_order_list(struct cli *cli, struct err *err)
{
    const struct opts_order_list *opts = cli->opts;
    AUTO(journal) struct journal *journal = NULL;
    int limit = LIST_DEFAULT;

    if (opts->limit != NULL && !str_to_int(opts->limit, 1, INT32_MAX, &limit)) {
        return err_set(err, E_USAGE, "--limit: '%.40s' is not a number", opts->limit);
    }
    if (!cli_journal_to_read(cli, &journal, err)) {
        return false;
    }
    out_table(&cli->out, "orders", order_columns, ARRAY_LEN(order_columns), "There is no order.");
    if (!journal_list(journal, opts->open, limit, list_one, cli, err)) {
        return false;
    }
    out_table_end(&cli->out);
    return true;
}

static const struct out_column event_columns[] = {
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

bool cmd_order_show(struct cli *cli, struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;
    AUTO(order) struct order order;
    int64_t id = 0;

    order_init(&order);
    if (!cli_journal_to_read(cli, &journal, err) ||
        !journal_resolve(journal, cli->operands[0], &id, err) ||
        !journal_load(journal, id, &order, err)) {
        return false;
    }
    cli_print_order(cli, &order);
    out_text(&cli->out, "requester", "Ordered by", order.requester);
    out_text(&cli->out, "mark", "Our mark", order.mark);
    out_time(&cli->out, "created", "Created", order.created_s);
    out_time(&cli->out, "updated", "Updated", order.updated_s);
    out_table(&cli->out, "events", event_columns, ARRAY_LEN(event_columns), NULL);
    if (!journal_events(journal, id, print_event, cli, err)) {
        return false;
    }
    out_table_end(&cli->out);
    return true;
}

static bool resolve(struct cli *cli, int64_t *id, struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;

    return cli_journal(cli, &journal, err) && journal_resolve(journal, cli->operands[0], id, err);
}

bool cli_resume(struct cli *cli, bool once, struct order *order, struct err *err)
{
    int64_t id = 0;

    if (!resolve(cli, &id, err) || !cli_app(cli, err)) {
        return false;
    }
    bool ok = app_resume(&cli->app, id, once, order, err);
    cli_progress_end(cli);
    if (order->id != 0) {
        cli_print_order(cli, order);
    }
    return ok;
}

bool cmd_order_adopt(struct cli *cli, struct err *err)
{
    const struct opts_order_result *opts = cli->opts;
    AUTO(order) struct order order;
    int64_t id = 0;

    order_init(&order);
    if (!cli_check_results(opts->cert_out, opts->chain_out, err) || !resolve(cli, &id, err) ||
        !cli_app(cli, err)) {
        return false;
    }
    bool ok = app_adopt(&cli->app, id, cli->operands[1], &order, err);
    cli_progress_end(cli);
    if (order.id != 0) {
        cli_print_order(cli, &order);
    }
    return ok && cli_write_results(&order, opts->cert_out, opts->chain_out, err);
}

bool cmd_order_abandon(struct cli *cli, struct err *err)
{
    AUTO(order) struct order order;
    int64_t id = 0;

    order_init(&order);
    if (!resolve(cli, &id, err) || !cli_app(cli, err) || !app_abandon(&cli->app, id, &order, err)) {
        return false;
    }
    cli_print_order(cli, &order);
    return true;
}

/* The CA's bytes as they are; the journal stays as it is. */
static bool collect_as(struct cli *cli, const struct opts_order_result *opts, struct err *err)
{
    AUTO(buf) struct buf bytes = BUF_INIT(1 << 20);
    int64_t id = 0;

    if (opts->out_path == NULL) {
        return err_set(err, E_USAGE, "--format needs --out: where the certificate goes");
    }
    if (opts->cert_out != NULL || opts->chain_out != NULL) {
        return err_set(err, E_USAGE,
                       "--format fetches what the CA gives and checks nothing, so "
                       "--cert-out and --chain-out do not go with it");
    }
    if (!can_write(opts->out_path, err) || !resolve(cli, &id, err) || !cli_app(cli, err) ||
        !app_collect_as(&cli->app, id, opts->format, &bytes, err) ||
        !file_write_atomic(opts->out_path, bytes.data, bytes.len, 0644, err)) {
        return false;
    }
    out_number(&cli->out, "order", "Order", id);
    out_text(&cli->out, "format", "Format", opts->format);
    out_text(&cli->out, "file", "File", opts->out_path);
    out_number(&cli->out, "bytes", "Bytes", (int64_t)bytes.len);
    return true;
}

bool cmd_order_collect(struct cli *cli, struct err *err)
{
    const struct opts_order_result *opts = cli->opts;
    AUTO(order) struct order order;

    order_init(&order);
    if (opts->format != NULL) {
        return collect_as(cli, opts, err);
    }
    if (opts->out_path != NULL) {
        return err_set(err, E_USAGE, "--out goes with --format");
    }

    if (!cli_check_results(opts->cert_out, opts->chain_out, err) ||
        !cli_resume(cli, true, &order, err) ||
        !cli_write_results(&order, opts->cert_out, opts->chain_out, err)) {
        return false;
    }
    out_block(&cli->out, "certificate", order.cert_pem);
    out_block(&cli->out, "chain", order.chain_pem);
    return true;
}
