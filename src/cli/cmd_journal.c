/* journal check, journal backup. */
#include "cli/cli.h"

#include "base/str.h"

#include <stdio.h>

static const struct out_column columns[] = {
    {"check", "CHECK", 10, false},
    {"result", "RESULT", 7, false},
    {"order", "ORDER", 6, true},
    {"text", "WHAT", 0, false},
};

static void print_finding(void *ctx, const struct journal_finding *finding)
{
    struct cli *cli = ctx;
    char id[24];

    (void)snprintf(id, sizeof(id), "%lld", (long long)finding->order);
    const char *cells[] = {finding->check, journal_result_name(finding->result),
                           finding->order != 0 ? id : NULL, finding->text};
    out_row(&cli->out, cells);
}

static bool judge(const struct cli *cli, const struct journal_inspected *found, struct err *err)
{
    if (found->bad > 0) {
        return err_set(err, E_JOURNAL, "%zu thing%s not as %s should be in the journal in %s",
                       found->bad, found->bad == 1 ? " is" : "s are",
                       found->bad == 1 ? "it" : "they", cli->state_dir);
    }
    return found->recover == 0 ||
           err_set(
               err, E_ORDER_AMBIGUOUS,
               "the journal in %s is whole; of %zu thing%s that %s begun at a CA it is not known "
               "what came of %s",
               cli->state_dir, found->recover, found->recover == 1 ? "" : "s",
               found->recover == 1 ? "was" : "were", found->recover == 1 ? "it" : "them");
}

bool cli_journal_to_read(struct cli *cli, struct journal **out, struct err *err)
{
    struct err ignored = ERR_INIT;

    return cli_journal(cli, NULL, err) &&
           (journal_open_as_is(cli->state_dir, &cli->clock, true, out, &ignored) ||
            cli_journal(cli, out, err));
}

static bool accept_clock(struct cli *cli, struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;
    bool done = false;

    return cli_journal(cli, &journal, err) && journal_accept_clock(journal, &done, err);
}

bool cmd_journal_check(struct cli *cli, struct err *err)
{
    const struct opts_journal *opts = cli->opts;
    struct journal_inspected found;
    struct out *out = &cli->out;

    if (!cli_journal(cli, NULL, err) || (opts->accept_clock && !accept_clock(cli, err))) {
        return false;
    }
    out_text(out, "journal", NULL, cli->state_dir);
    out_table(out, "findings", columns, ARRAY_LEN(columns), NULL);
    if (!journal_inspect(cli->state_dir, &cli->clock, print_finding, cli, &found, err)) {
        return false;
    }
    out_table_end(out);
    out_number(out, "orders", NULL, found.orders);
    out_number(out, "open", NULL, found.open);
    out_number(out, "bad", NULL, (int64_t)found.bad);
    out_number(out, "recover", NULL, (int64_t)found.recover);
    out_number(out, "version", NULL, found.version);
    out_number(out, "log_bytes", NULL, found.log_bytes);
    out_time(out, "last", NULL, found.last_s);
    return judge(cli, &found, err);
}

bool cmd_journal_backup(struct cli *cli, struct err *err)
{
    const struct opts_journal *opts = cli->opts;
    AUTO(journal) struct journal *journal = NULL;
    struct journal_copy made;
    struct out *out = &cli->out;

    if (!cli_journal(cli, NULL, err) ||
        !journal_open_as_is(cli->state_dir, &cli->clock, false, &journal, err) ||
        !journal_backup(journal, cli->operands[0], opts->overwrite, &made, err)) {
        return false;
    }
    out_text(out, "journal", "Journal", cli->state_dir);
    out_text(out, "file", "File", cli->operands[0]);
    out_number(out, "bytes", "Bytes", made.bytes);
    out_text(out, "sha256", "SHA-256", made.sha256);
    out_number(out, "orders", "Orders", made.orders);
    out_number(out, "events", "Entries of history", made.events);
    return true;
}
