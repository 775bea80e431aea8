/* Tables for other programs, a row a line; whatever else a command says is left out. */
#include "out/out.h"

#include <string.h>

static void put(struct out *out, const char *text)
{
    if (fputs(text, out->file) < 0) {
        out->failed = true;
    }
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
    static const struct out_ops ops = {.table = csv_table, .row = csv_row};

    *out = (struct out){.ops = &ops, .file = file};
}

void out_init_jsonl(struct out *out, FILE *file)
{
    static const struct out_ops ops = {.row = json_row};

    *out = (struct out){.ops = &ops, .file = file};
}
