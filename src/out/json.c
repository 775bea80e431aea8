#include "out/out.h"

#include "base/str.h"

#include <string.h>

static void put(struct out *out, const char *text)
{
    if (fputs(text, out->file) < 0) {
        out->failed = true;
    }
}

/* What is not to be shown as it is; RFC 8259 section 7, with two escapes beyond U+FFFF. */
static void put_escape(struct out *out, uint32_t code)
{
    int wrote = code == '\n'     ? fputs("\\n", out->file)
                : code < 0x10000 ? fprintf(out->file, "\\u%04x", (unsigned)code)
                                 : fprintf(out->file, "\\u%04x\\u%04x",
                                           (unsigned)(0xd800 + ((code - 0x10000) >> 10)),
                                           (unsigned)(0xdc00 + ((code - 0x10000) & 0x3ff)));

    out->failed = out->failed || wrote < 0;
}

/* How many characters can be written as they are, without a closer look. */
static size_t plain_run(const char *text)
{
    size_t n = 0;

    while (text[n] >= 0x20 && text[n] < 0x7f && text[n] != '"' && text[n] != '\\') {
        n++;
    }
    return n;
}

/* What is no UTF-8 (a label set by who knows whom) becomes U+FFFD. */
static void put_string(struct out *out, const char *text)
{
    size_t len = strlen(text);
    bool utf8 = str_is_utf8((const uint8_t *)text, len);

    put(out, "\"");
    for (size_t i = 0; i < len;) {
        size_t run = plain_run(text + i);
        (void)fwrite(text + i, 1, run, out->file);
        i += run;
        if (i == len) {
            break;
        }
        unsigned char c = (unsigned char)text[i];
        uint32_t code = c;
        size_t step = utf8 ? str_char((const uint8_t *)text + i, len - i, &code) : 1;
        if (c == '"' || c == '\\') {
            (void)fprintf(out->file, "\\%c", c);
        } else if (c >= 0x80 && !utf8) {
            put(out, "\\ufffd");
        } else if (!str_char_is_shown(code)) {
            put_escape(out, code);
        } else {
            (void)fwrite(text + i, 1, step, out->file);
        }
        i += step;
    }
    put(out, "\"");
}

static void next(struct out *out)
{
    put(out, out->first ? "" : ",");
    out->first = false;
}

static void key_of(struct out *out, const char *key)
{
    next(out);
    put_string(out, key);
    put(out, ":");
}

static void text(struct out *out, const char *key, const char *label UNUSED, const char *value)
{
    key_of(out, key);
    if (value == NULL) {
        put(out, "null");
    } else {
        put_string(out, value);
    }
}

static void number(struct out *out, const char *key, const char *label UNUSED, int64_t value)
{
    key_of(out, key);
    (void)fprintf(out->file, "%lld", (long long)value);
}

static void boolean(struct out *out, const char *key, const char *label UNUSED, bool value)
{
    key_of(out, key);
    put(out, value ? "true" : "false");
}

static void block(struct out *out, const char *key, const char *value)
{
    text(out, key, NULL, value);
}

static void begin(struct out *out, const char *command)
{
    out->first = true;
    put(out, "{");
    number(out, "schema", NULL, OUT_SCHEMA);
    text(out, "command", NULL, command);
}

static void group(struct out *out, const char *key, const char *title UNUSED)
{
    key_of(out, key);
    put(out, "{");
    out->first = true;
    out->depth++;
}

static void group_end(struct out *out)
{
    put(out, "}");
    out->first = false;
    out->depth--;
}

static void table(struct out *out, const char *key, const char *when_empty UNUSED)
{
    key_of(out, key);
    put(out, "[");
    out->first = true;
    out->in_table = true;
}

void out_json_row(struct out *out, const char *const cells[])
{
    put(out, "{");
    out->first = true;
    for (size_t i = 0; i < out->column_count; i++) {
        const struct out_column *column = &out->columns[i];
        key_of(out, column->key);
        if (cells[i] == NULL) {
            put(out, "null");
        } else if (column->number) {
            put(out, cells[i]);
        } else {
            put_string(out, cells[i]);
        }
    }
    put(out, "}");
    out->first = false;
}

static void row(struct out *out, const char *const cells[])
{
    next(out);
    put(out, "\n");
    out_json_row(out, cells);
}

static void table_end(struct out *out)
{
    put(out, "]");
    out->first = false;
    out->in_table = false;
}

static void nest(struct out *out, char end)
{
    out->first = true;
    if (out->nested < OUT_NEST_MAX) {
        out->open[out->nested++] = end;
    }
}

static void unnest(struct out *out)
{
    if (out->nested > 0) {
        (void)fputc(out->open[--out->nested], out->file);
    }
    out->first = false;
}

static void list(struct out *out, const char *key)
{
    key_of(out, key);
    put(out, "[");
    nest(out, ']');
}

static void item(struct out *out)
{
    next(out);
    put(out, "\n{");
    nest(out, '}');
}

static void error(struct out *out, const struct err *err, const char *hint)
{
    if (out->in_table) { /* the failure came in the middle of a listing */
        table_end(out);
    }
    while (out->nested > 0) {
        unnest(out);
    }
    while (out->depth > 0) {
        group_end(out);
    }
    group(out, "error", NULL);
    text(out, "code", NULL, err_code_name(err->code));
    text(out, "message", NULL, err->msg);
    text(out, "hint", NULL, hint);
    number(out, "exit_status", NULL, err_code_exit_status(err->code));
    boolean(out, "retryable", NULL, err_code_retryable(err->code));
    group_end(out);
}

static void end(struct out *out)
{
    put(out, "}\n");
}

void out_init_json(struct out *out, FILE *file)
{
    static const struct out_ops ops = {
        .begin = begin,
        .text = text,
        .number = number,
        .boolean = boolean,
        .block = block,
        .group = group,
        .group_end = group_end,
        .table = table,
        .row = row,
        .table_end = table_end,
        .list = list,
        .list_end = unnest,
        .item = item,
        .item_end = unnest,
        .error = error,
        .end = end,
    };

    *out = (struct out){.ops = &ops, .file = file};
}

/* Lines: a row of a table, or an item with all that is in it. What stands outside of them is left
 * out. */

static void line_text(struct out *out, const char *key, const char *label, const char *value)
{
    if (out->nested > 0) {
        text(out, key, label, value);
    }
}

static void line_number(struct out *out, const char *key, const char *label, int64_t value)
{
    if (out->nested > 0) {
        number(out, key, label, value);
    }
}

static void line_bool(struct out *out, const char *key, const char *label, bool value)
{
    if (out->nested > 0) {
        boolean(out, key, label, value);
    }
}

static void line_block(struct out *out, const char *key, const char *value)
{
    line_text(out, key, NULL, value);
}

static void line_table(struct out *out, const char *key, const char *when_empty)
{
    if (out->nested > 0) {
        table(out, key, when_empty);
    }
}

static void line_row(struct out *out, const char *const cells[])
{
    if (out->nested > 0) {
        next(out);
        out_json_row(out, cells);
        return;
    }
    out_json_row(out, cells);
    put(out, "\n");
}

static void line_table_end(struct out *out)
{
    if (out->nested > 0) {
        table_end(out);
    }
}

static void line_item(struct out *out)
{
    put(out, "{");
    nest(out, '}');
}

static void line_item_end(struct out *out)
{
    unnest(out);
    put(out, "\n");
}

/* What was begun is ended, so that every line can be read; why is on stderr. */
static void line_error(struct out *out, const struct err *err UNUSED, const char *hint UNUSED)
{
    if (out->in_table) {
        table_end(out);
    }
    if (out->nested > 0) {
        line_item_end(out);
    }
}

void out_init_jsonl(struct out *out, FILE *file)
{
    static const struct out_ops ops = {
        .text = line_text,
        .number = line_number,
        .boolean = line_bool,
        .block = line_block,
        .table = line_table,
        .row = line_row,
        .table_end = line_table_end,
        .item = line_item,
        .item_end = line_item_end,
        .error = line_error,
    };

    *out = (struct out){.ops = &ops, .file = file};
}
