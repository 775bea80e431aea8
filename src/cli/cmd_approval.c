/* Approval here, before an order is sent: order request, approve, decline, approvals. */
#include "cli/cli.h"

#include "base/file.h"
#include "base/str.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

static bool resolve(struct cli *cli, int64_t *id, struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;

    return cli_journal(cli, &journal, err) && journal_resolve(journal, cli->operands[0], id, err) &&
           cli_app(cli, err);
}

static bool print_text(struct cli *cli, const struct buf *text, struct err *err)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    AUTO(buf) struct buf hex = BUF_INIT(2 * EVP_MAX_MD_SIZE);

    if (EVP_Digest(text->data, text->len, hash, &len, EVP_sha256(), NULL) != 1) {
        return err_set_ssl(err, E_INTERNAL, "hashing the text");
    }
    str_add_hex(&hex, hash, len, '\0');
    out_text(&cli->out, "sha256", "SHA-256 of the text", buf_str(&hex));
    return true;
}

bool cmd_order_request(struct cli *cli, struct err *err)
{
    const struct opts_order_request *opts = cli->opts;
    AUTO(buf) struct buf text = BUF_INIT(256 * 1024);
    int64_t id = 0;

    if (!cli_check_results(opts->out_path, NULL, err) || !resolve(cli, &id, err) ||
        !app_order_request(&cli->app, id, opts->decline, &text, err)) {
        return false;
    }
    out_number(&cli->out, "order", "Order", id);
    out_text(&cli->out, "decision", "Decision", opts->decline ? "decline" : "approve");
    if (opts->out_path == NULL) {
        out_block(&cli->out, "text", buf_str(&text));
        return true;
    }
    out_text(&cli->out, "file", "Text to sign", opts->out_path);
    return file_write_atomic(opts->out_path, text.data, text.len, 0644, err) &&
           print_text(cli, &text, err);
}

static bool decide(struct cli *cli, bool approve, struct err *err)
{
    const struct opts_order_decide *opts = cli->opts;
    struct app_decision decision = {.approve = approve,
                                    .key_uri = opts->key,
                                    .cert_path = opts->cert,
                                    .signature_path = opts->signature,
                                    .message = opts->message};
    struct app_decided decided;

    if (opts->key != NULL && opts->signature != NULL) {
        return err_set(err, E_USAGE, "--key and --signature exclude each other");
    }
    if (opts->cert != NULL && opts->key == NULL) {
        return err_set(err, E_USAGE, "--cert is the certificate of --key, which is missing");
    }
    if (!resolve(cli, &decision.order, err) || !app_decide(&cli->app, &decision, &decided, err)) {
        return false;
    }
    out_number(&cli->out, "order", "Order", decision.order);
    out_text(&cli->out, "decision", "Decision", approve ? "approved" : "declined");
    out_text(&cli->out, "who", "By", decided.who);
    out_text(&cli->out, "state", "State", order_state_name(decided.state));
    if (approve) {
        out_number(&cli->out, "approvals", "Approvals", (int64_t)decided.given);
        out_number(&cli->out, "approvals_wanted", "Approvals wanted", (int64_t)decided.wanted);
    }
    return true;
}

bool cmd_order_approve(struct cli *cli, struct err *err)
{
    return decide(cli, true, err);
}

bool cmd_order_decline(struct cli *cli, struct err *err)
{
    return decide(cli, false, err);
}

/* What the lists are written with. */
struct listing {
    struct cli *cli;
    const char *dir; /* for texts and signatures; NULL */
    long long order;
};

static const struct out_column approver_columns[] = {
    {"approver", "APPROVER", 24, false},
    {"may", "MAY", 5, false},
    {"what", "WHAT IT IS", 0, false},
    {"why_not", NULL, 0, false},
};

static bool print_approver(void *ctx, const char *identity, const char *label, bool may,
                           const char *why_not, struct err *err UNUSED)
{
    struct listing *listing = ctx;
    const char *cells[] = {identity, may ? "yes" : "no", label, may ? NULL : why_not};

    out_row(&listing->cli->out, cells);
    return true;
}

static const struct out_column approval_columns[] = {
    {"approval", "NUMBER", 6, true}, {"at", "AT", 20, false},  {"decision", "DECISION", 8, false},
    {"counts", "COUNTS", 6, false},  {"who", "BY", 32, false}, {"message", "MESSAGE", 0, false},
    {"why_not", NULL, 0, false},
};

static bool write_one(const struct listing *listing, const struct app_approval *a,
                      const char *suffix, const void *data, size_t len, struct err *err)
{
    AUTO(str) char *path = NULL;

    if (asprintf(&path, "%s/order-%lld-approval-%lld.%s", listing->dir, listing->order,
                 (long long)a->id, suffix) < 0) {
        path = NULL;
        return err_nomem(err);
    }
    return file_write_atomic(path, data, len, 0644, err);
}

/* What was signed, the signature, and the certificate: all that somebody needs to check it. */
static bool write_files(const struct listing *listing, const struct app_approval *a,
                        struct err *err)
{
    AUTO(buf) struct buf pem = BUF_INIT(64 * 1024);

    if (listing->dir == NULL) {
        return true;
    }
    if (!write_one(listing, a, "json", a->text, strlen(a->text), err)) {
        return false;
    }
    return a->signature == NULL ||
           (x509_to_pem(a->cert, &pem, err) &&
            write_one(listing, a, "p7s", a->signature, a->signature_len, err) &&
            write_one(listing, a, "pem", pem.data, pem.len, err));
}

static bool print_approval(void *ctx, const struct app_approval *a, struct err *err)
{
    struct listing *listing = ctx;
    char id[24];
    char at[CLOCK_TEXT_SIZE];

    (void)snprintf(id, sizeof(id), "%lld", (long long)a->id);
    clock_format(a->at_s, at);
    const char *cells[] = {id,
                           at,
                           a->approve ? "approve" : "decline",
                           !a->approve ? NULL
                           : a->counts ? "yes"
                                       : "no",
                           a->who,
                           a->message,
                           a->why_not[0] != '\0' ? a->why_not : NULL};
    out_row(&listing->cli->out, cells);
    return write_files(listing, a, err);
}

bool cmd_order_approvals(struct cli *cli, struct err *err)
{
    const struct opts_order_approvals *opts = cli->opts;
    struct listing listing = {.cli = cli, .dir = opts->dir};
    struct app_approvals all;
    int64_t id = 0;

    if (!resolve(cli, &id, err)) {
        return false;
    }
    listing.order = (long long)id;
    out_number(&cli->out, "order", "Order", id);
    out_table(&cli->out, "approvers", approver_columns, ARRAY_LEN(approver_columns),
              "Nobody is listed as approver.");
    if (!app_approvers(&cli->app, id, print_approver, &listing, err)) {
        return false;
    }
    out_table_end(&cli->out);
    out_table(&cli->out, "approvals", approval_columns, ARRAY_LEN(approval_columns),
              "Nobody has decided anything.");
    if (!app_approvals(&cli->app, id, &all, print_approval, &listing, err)) {
        return false;
    }
    out_table_end(&cli->out);
    out_bool(&cli->out, "needed", "Approval is needed", all.needed);
    out_number(&cli->out, "good", "Approvals that count", (int64_t)all.good);
    out_number(&cli->out, "wanted", "Approvals wanted", (int64_t)all.wanted);
    out_time(&cli->out, "until", "Until", all.until_s);
    out_bool(&cli->out, "late", all.late ? "Late" : NULL, all.late);
    return true;
}
