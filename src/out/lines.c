/* Tables as comma-separated values; whatever else a command says is left out. */
#include "out/out.h"

#include "base/str.h"

#include <string.h>

static void put(struct out *out, const char *text)
{
    if (fputs(text, out->file) < 0) {
        out->failed = true;
    }
}

/* Texts of the CA were written by others: what is not to be shown, or no UTF-8, becomes '?'.
 * Returns how many bytes it was. */
static size_t put_char(struct out *out, const char *p)
{
    uint32_t code = 0;
    size_t step = str_char((const uint8_t *)p, strnlen(p, 4), &code);
    bool is_line_end = code == '\r' || code == '\n';

    if (step > 0 && (str_char_is_shown(code) || is_line_end)) {
        (void)fwrite(p, 1, step, out->file);
    } else {
        put(out, "?");
    }
    return step > 0 ? step : 1;
}

/* RFC 4180: quoted where it must be, quotes doubled. A spreadsheet takes a text that begins like a
 * formula for one; an apostrophe keeps it a text. */
static void put_cell(struct out *out, const char *cell)
{
    bool is_formula = cell[0] != '\0' && strchr("=+-@\t\r", cell[0]) != NULL;
    bool is_quoted = is_formula || cell[strcspn(cell, ",\"\r\n")] != '\0';

    put(out, is_quoted ? "\"" : "");
    put(out, is_formula ? "'" : "");
    for (const char *p = cell; *p != '\0';) {
        put(out, *p == '"' ? "\"" : "");
        p += put_char(out, p);
    }
    put(out, is_quoted ? "\"" : "");
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

void out_init_csv(struct out *out, FILE *file)
{
    static const struct out_ops ops = {.table = csv_table, .row = csv_row};

    *out = (struct out){.ops = &ops, .file = file};
}
