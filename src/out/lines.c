/* Tables for other programs, a row a line; whatever else a command says is left out. */
#include "out/out.h"

#include <string.h>

static void put(struct out *out, const char *text)
{
    if (fputs(text, out->file) < 0) {
        out->failed = true;
    }
}

static void begin(struct out *out UNUSED, const char *command UNUSED)
{
}

static void text(struct out *out UNUSED, const char *key UNUSED, const char *label UNUSED,
                 const char *value UNUSED)
{
}

static void number(struct out *out UNUSED, const char *key UNUSED, const char *label UNUSED,
                   int64_t value UNUSED)
{
}

static void boolean(struct out *out UNUSED, const char *key UNUSED, const char *label UNUSED,
                    bool value UNUSED)
{
}

static void group(struct out *out UNUSED, const char *key UNUSED, const char *title UNUSED)
{
}

static void block(struct out *out UNUSED, const char *key UNUSED, const char *value UNUSED)
{
}

static void nothing(struct out *out UNUSED)
{
}

static void error(struct out *out UNUSED, const struct err *err UNUSED)
{
}

static void plain_table(struct out *out UNUSED, const char *key UNUSED, const char *empty UNUSED)
{
}

/* RFC 4180: quoted where it must be, quotes doubled. */
static void put_cell(struct out *out, const char *cell)
{
    if (cell[strcspn(cell, ",\"\r\n")] == '\0') {
        put(out, cell);
        return;
    }
    put(out, "\"");
    for (const char *p = cell; *p != '\0'; p++) {
        if (*p == '"') {
            put(out, "\"");
        }
        (void)fputc(*p, out->file);
    }
    put(out, "\"");
}

static void csv_row(struct out *out, const char *const cells[])
{
    for (size_t i = 0; i < out->column_count; i++) {
        put(out, i > 0 ? "," : "");
        put_cell(out, cells[i] != NULL ? cells[i] : "");
    }
    put(out, "\r\n");
}

static void csv_table(struct out *out, const char *key UNUSED, const char *empty UNUSED)
{
    const char *keys[OUT_COLUMNS_MAX] = {NULL};

    for (size_t i = 0; i < out->column_count && i < OUT_COLUMNS_MAX; i++) {
        keys[i] = out->columns[i].key;
    }
    csv_row(out, keys);
}

static void json_row(struct out *out, const char *const cells[])
{
    out_json_row(out, cells);
    put(out, "\n");
}

void out_init_csv(struct out *out, FILE *file)
{
    static const struct out_ops ops = {
        .begin = begin,
        .text = text,
        .number = number,
        .boolean = boolean,
        .block = block,
        .group = group,
        .group_end = nothing,
        .table = csv_table,
        .row = csv_row,
        .table_end = nothing,
        .error = error,
        .end = nothing,
    };

    *out = (struct out){.ops = &ops, .file = file};
}

void out_init_jsonl(struct out *out, FILE *file)
{
    static const struct out_ops ops = {
        .begin = begin,
        .text = text,
        .number = number,
        .boolean = boolean,
        .block = block,
        .group = group,
        .group_end = nothing,
        .table = plain_table,
        .row = json_row,
        .table_end = nothing,
        .error = error,
        .end = nothing,
    };

    *out = (struct out){.ops = &ops, .file = file};
}
