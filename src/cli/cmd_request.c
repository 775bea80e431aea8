/* request list, approve, decline, update: what waits at the CA, by its number there. */
#include "cli/cli.h"

#include "base/file.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

enum { CSR_FILE_MAX = 64 * 1024 };

static void print_record(struct cli *cli, const struct ca_record *r)
{
    struct out *out = &cli->out;

    out_number(out, "ca_order", "Number at the CA", r->id);
    out_text(out, "status", "The CA says", r->status);
    out_text(out, "common_name", "Common name", r->common_name);
    out_text(out, "names", "Names", r->names);
    out_text(out, "product", "Product", r->product);
    out_number(out, "term_days", "Term (days)", r->term_days);
    out_text(out, "requester", "Requester", r->requester);
    out_text(out, "external_requester", "External requester", r->external_requester);
    out_text(out, "requested", "Requested", r->requested);
    out_text(out, "comments", "Comments", r->comments);
}

static bool read_number(struct cli *cli, int64_t *out, struct err *err)
{
    uint64_t number = 0;

    if (!str_to_u64(cli->operands[0], INT64_MAX, &number) || number == 0) {
        return err_set(err, E_USAGE, "'%.40s' is no number of a request at the CA",
                       cli->operands[0]);
    }
    *out = (int64_t)number;
    return true;
}

static const struct out_column columns[] = {
    {"ca_order", "CA ORDER", 10, true},    {"status", "STATUS", 12, false},
    {"requested", "REQUESTED", 24, false}, {"requester", "REQUESTER", 18, false},
    {"product", "PRODUCT", 24, false},     {"names", "NAMES", 0, false},
};

struct listing {
    struct cli *cli;
    struct ca *ca;
    enum ca_kind kind;
};

/* The list knows numbers and names alone: the record says what there is to decide. */
static bool print_row(void *ctx, const struct ca_row *row, struct err *err)
{
    struct listing *listing = ctx;
    AUTO(ca_record) struct ca_record record = {.id = 0};
    char number[24];

    if (!ca_record_of(listing->ca, listing->kind, row->id, &record, err)) {
        bool gone = err->code == E_ORDER_MISSING;
        if (gone) {
            err_clear(err);
        }
        return gone;
    }
    (void)snprintf(number, sizeof(number), "%lld", (long long)row->id);
    const char *cells[] = {
        number,           record.status,  record.requested,
        record.requester, record.product, record.names != NULL ? record.names : record.common_name};
    out_row(&listing->cli->out, cells);
    return true;
}

bool cmd_request_list(struct cli *cli, struct err *err)
{
    const struct opts_request *opts = cli->opts;
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    enum ca_kind kind = (enum ca_kind)cli->selection.profile->kind;
    struct ca_filter filter = {.kind = kind,
                               .status = opts->status != NULL ? opts->status : "Requested"};

    if (!cli_app(cli, err) || !app_ca_open(&cli->app, &connection, err)) {
        return false;
    }
    struct listing listing = {.cli = cli, .ca = connection.ca, .kind = kind};
    out_table(&cli->out, "requests", columns, ARRAY_LEN(columns), "No request is waiting.");
    if (!ca_list(connection.ca, &filter, print_row, &listing, err)) {
        return false;
    }
    out_table_end(&cli->out);
    return true;
}

static bool decide(struct cli *cli, bool approve, struct err *err)
{
    const struct opts_request *opts = cli->opts;
    AUTO(ca_record) struct ca_record record = {.id = 0};
    struct app_request_decision decision = {.approve = approve, .message = opts->message};
    size_t len = opts->message != NULL ? strlen(opts->message) : 0;

    if (!read_number(cli, &decision.id, err)) {
        return false;
    }
    if (len == 0 || len > CA_REASON_TEXT_MAX) {
        return err_set(err, E_USAGE, "--message is needed: 1 to %d characters for the requester",
                       CA_REASON_TEXT_MAX);
    }
    if (!cli_journal(cli, NULL, err) || !cli_app(cli, err)) {
        return false;
    }
    bool ok = app_request_decide(&cli->app, &decision, &record, err);
    if (ok) {
        out_text(&cli->out, "decision", "Decision", approve ? "approved" : "declined");
        out_bool(&cli->out, "approved", NULL, approve);
    }
    if (record.id != 0) {
        print_record(cli, &record);
    }
    return ok;
}

bool cmd_request_approve(struct cli *cli, struct err *err)
{
    return decide(cli, true, err);
}

bool cmd_request_decline(struct cli *cli, struct err *err)
{
    return decide(cli, false, err);
}

static bool read_positive(const char *option, const char *text, int64_t *out, struct err *err)
{
    uint64_t number = 0;

    if (text == NULL) {
        return true;
    }
    if (!str_to_u64(text, INT32_MAX, &number) || number == 0) {
        return err_set(err, E_USAGE, "%s: '%.40s' is not a number", option, text);
    }
    *out = (int64_t)number;
    return true;
}

static bool read_names(const struct opts_request *opts, struct x509_names *names,
                       struct ca_update *update, struct err *err)
{
    for (size_t i = 0; i < opts->names.count; i++) {
        if (!x509_names_add_word(names, opts->names.items[i], err)) {
            return err_wrap(err, "--name");
        }
    }
    update->names = names->count > 0 ? names : NULL;
    return true;
}

static bool read_csr(const char *path, struct buf *text, struct ca_update *update, struct err *err)
{
    if (path == NULL) {
        return true;
    }
    if (!file_read(path, text, err)) {
        return false;
    }
    update->csr_pem = buf_str(text);
    return true;
}

static bool changes_something(const struct ca_update *u)
{
    return u->term_days != 0 || u->product_id != 0 || u->names != NULL || u->csr_pem != NULL ||
           u->comments != NULL || u->external_requester != NULL || u->custom_fields != NULL;
}

bool cmd_request_update(struct cli *cli, struct err *err)
{
    const struct opts_request *opts = cli->opts;
    AUTO(ca_record) struct ca_record record = {.id = 0};
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    AUTO(buf) struct buf csr = BUF_INIT(CSR_FILE_MAX);
    struct ca_update update = {.comments = opts->set_comments,
                               .external_requester = opts->set_requester,
                               .custom_fields = opts->set_fields};

    if (!read_number(cli, &update.id, err) ||
        !read_positive("--set-term", opts->set_term, &update.term_days, err) ||
        !read_positive("--set-product", opts->set_product, &update.product_id, err) ||
        !read_names(opts, &names, &update, err) || !read_csr(opts->csr, &csr, &update, err)) {
        return false;
    }
    if (!changes_something(&update)) {
        return err_set(err, E_USAGE,
                       "nothing is to be changed: name a --set option, --name or "
                       "--csr");
    }
    if (!cli_journal(cli, NULL, err) || !cli_app(cli, err) ||
        !app_update(&cli->app, &update, &record, err)) {
        return false;
    }
    print_record(cli, &record);
    return true;
}
