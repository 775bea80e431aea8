/* journal export: every order with its history, in one of three forms. */
#include "cli/export.h"

#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool choose_format(struct cli *cli, const struct opts_journal *opts, struct out *out,
                          FILE *file, struct err *err)
{
    const char *format = opts->format != NULL ? opts->format : "json";
    bool csv = str_equal(format, "csv");

    if (opts->format != NULL && cli->common.json && opts->out_path == NULL) {
        return err_set(err, E_USAGE,
                       "--format and --json exclude each other, unless --out is given");
    }
    if (opts->history && !csv) {
        return err_set(err, E_USAGE, "--history goes with --format csv; the others have it anyway");
    }
    if (csv) {
        out_init_csv(out, file);
    } else if (str_equal(format, "jsonl")) {
        out_init_jsonl(out, file);
    } else if (str_equal(format, "json")) {
        out_init_json(out, file);
        out_begin(out, "journal export");
    } else {
        return err_set(err, E_USAGE, "--format: '%.40s' is none of: json, jsonl, csv", format);
    }
    return true;
}

/* A file in the making. */
struct target {
    FILE *file;
    char *temp;
};

static void target_done(struct target *target)
{
    if (target->file != NULL) {
        (void)fclose(target->file);
    }
    if (target->temp != NULL) {
        (void)unlink(target->temp);
    }
    free(target->temp);
}

DEFINE_AUTO_DONE(target, struct target, target_done)

static bool open_target(const char *path, struct target *target, struct err *err)
{
    if (asprintf(&target->temp, "%s.XXXXXX", path) < 0) {
        target->temp = NULL;
        return err_nomem(err);
    }
    int fd = mkostemp(target->temp, O_CLOEXEC); /* mode 0600 */
    if (fd < 0) {
        int cause = errno;
        free(TAKE(target->temp));
        return err_set_errno(err, E_IO, cause, "creating a file beside %s", path);
    }
    target->file = fdopen(fd, "w");
    if (target->file == NULL) {
        (void)close(fd);
        return err_nomem(err);
    }
    return true;
}

/* Into a file, which is there as a whole or not at all. */
static bool export_to_file(struct cli *cli, struct exporting *e, struct err *err)
{
    const struct opts_journal *opts = cli->opts;
    AUTO(target) struct target target = {.file = NULL};

    if (!open_target(opts->out_path, &target, err) ||
        !choose_format(cli, opts, &e->document, target.file, err)) {
        return false;
    }
    e->out = &e->document;
    if (!export_all(e, err) || !out_end(e->out, err) ||
        !file_put_in_place(target.temp, opts->out_path, true, err)) {
        return false;
    }
    free(TAKE(target.temp));
    out_text(&cli->out, "file", "File", opts->out_path);
    out_text(&cli->out, "format", "Format", opts->format != NULL ? opts->format : "json");
    out_number(&cli->out, "orders", "Orders", e->orders);
    return true;
}

bool cmd_journal_export(struct cli *cli, struct err *err)
{
    const struct opts_journal *opts = cli->opts;
    AUTO(journal) struct journal *journal = NULL;
    struct exporting e = {.out = &cli->out, .err = ERR_INIT, .history = opts->history};

    e.csv = str_equal(opts->format, "csv");
    if (!cli_journal(cli, NULL, err) ||
        !journal_open_as_is(cli->state_dir, &cli->clock, true, &journal, err)) {
        return false;
    }
    e.journal = journal;
    if (opts->out_path != NULL) {
        return export_to_file(cli, &e, err);
    }
    /* With --json the document has begun already. */
    if ((opts->format == NULL && cli->common.json) ||
        choose_format(cli, opts, &cli->out, stdout, err)) {
        return export_all(&e, err);
    }
    return false;
}
