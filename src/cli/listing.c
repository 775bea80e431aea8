/* What the commands that list things share. */
#include "cli/cli.h"

#include "base/str.h"

bool cli_read_number(const char *text, const char *option, int64_t *out, struct err *err)
{
    uint64_t value = 0;

    if (text == NULL) {
        return true;
    }
    if (!str_to_u64(text, INT64_MAX, &value) || value == 0) {
        return err_set(err, E_USAGE, "--%s: '%.40s' is not a number", option, text);
    }
    *out = (int64_t)value;
    return true;
}

bool cli_read_kind(const char *text, enum ca_kind preset, enum ca_kind *out, struct err *err)
{
    *out = preset;
    return text == NULL || ca_kind_parse(text, out) ||
           err_set(err, E_USAGE, "--kind: '%.40s' is none of: ssl, device, smime", text);
}

/* The format is the command's own: tables alone can be had in these. */
bool cli_choose_format(struct cli *cli, const char *format, struct err *err)
{
    if (format == NULL || str_equal(format, "table")) {
        return true;
    }
    if (cli->common.json) {
        return err_set(err, E_USAGE, "--format and --json exclude each other");
    }
    if (str_equal(format, "csv")) {
        out_init_csv(&cli->out, stdout);
        return true;
    }
    if (str_equal(format, "jsonl")) {
        out_init_jsonl(&cli->out, stdout);
        return true;
    }
    return err_set(err, E_USAGE, "--format: '%.40s' is none of: table, csv, jsonl", format);
}
