#include "out/out.h"

#include "base/buf.h"
#include "base/str.h"

#include <string.h>
#include <unistd.h>

enum { LABEL_WIDTH = 24, CELL_MAX = 4096 };

/* Texts come from tokens and CAs: nothing in them may move the cursor. */
static void print_safe(struct out *out, const char *text, int width)
{
    AUTO(buf) struct buf safe = BUF_INIT(4 * CELL_MAX);

    str_add_quotable(&safe, text, strlen(text), CELL_MAX);
    if (fprintf(out->file, "%-*s", width, buf_str(&safe)) < 0) {
        out->failed = true;
    }
}

static void print_label(struct out *out, const char *label)
{
    int indent = out->depth * 2;
    int len = (int)strlen(label) + 1;
    int pad = LABEL_WIDTH - indent - len;

    if (fprintf(out->file, "%*s%s:%*s", indent, "", label, pad > 1 ? pad : 1, "") < 0) {
        out->failed = true;
    }
}

static void begin(struct out *out, const char *command UNUSED)
{
    out->depth = 0;
    out->first = true;
}

static void text(struct out *out, const char *key UNUSED, const char *label, const char *value)
{
    if (label == NULL || value == NULL) {
        return;
    }
    print_label(out, label);
    print_safe(out, value, 0);
    (void)fputc('\n', out->file);
    out->first = false;
}

static void number(struct out *out, const char *key, const char *label, int64_t value)
{
    char digits[24];

    (void)snprintf(digits, sizeof(digits), "%lld", (long long)value);
    text(out, key, label, digits);
}

static void boolean(struct out *out, const char *key, const char *label, bool value)
{
    text(out, key, label, value ? "yes" : "no");
}

/* Files and programs get a block as it is (a signature may be made over it); people must see what
 * is there. */
static void block(struct out *out, const char *key UNUSED, const char *value)
{
    bool is_for_people = isatty(fileno(out->file)) == 1;

    if (value == NULL) {
        return;
    }
    if (!is_for_people) {
        out->failed = fputs(value, out->file) < 0 || out->failed;
        return;
    }
    for (const char *line = value; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        AUTO(buf) struct buf safe = BUF_INIT(4 * len + 1);
        str_add_quotable(&safe, line, len, len);
        buf_add_str(&safe, line[len] == '\n' ? "\n" : "");
        out->failed = fputs(buf_str(&safe), out->file) < 0 || out->failed;
        line += len + (line[len] == '\n' ? 1 : 0);
    }
}

static void group(struct out *out, const char *key UNUSED, const char *title)
{
    (void)fprintf(out->file, "%*s%s\n", out->depth * 2, "", title);
    out->depth++;
}

static void group_end(struct out *out)
{
    out->depth--;
}

static void print_cells(struct out *out, const char *const cells[])
{
    size_t last = 0;

    for (size_t i = 0; i < out->column_count; i++) {
        last = out->columns[i].title != NULL ? i : last;
    }
    for (size_t i = 0; i < out->column_count; i++) {
        const struct out_column *column = &out->columns[i];
        if (column->title == NULL) {
            continue;
        }
        const char *cell = cells[i] != NULL ? cells[i] : "-";
        print_safe(out, cell, i == last ? 0 : column->width);
        if (fputs(i == last ? "\n" : "  ", out->file) < 0) {
            out->failed = true;
        }
    }
}

static void table(struct out *out, const char *key UNUSED, const char *when_empty)
{
    out->when_empty = when_empty;
    if (!out->first) { /* fields stand above */
        (void)fputc('\n', out->file);
    }
    out->first = false;
}

static void row(struct out *out, const char *const cells[])
{
    if (out->rows == 0) {
        const char *titles[OUT_COLUMNS_MAX];
        for (size_t i = 0; i < out->column_count; i++) {
            titles[i] = out->columns[i].title;
        }
        print_cells(out, titles);
    }
    print_cells(out, cells);
}

static void table_end(struct out *out)
{
    if (out->rows == 0 && out->when_empty != NULL) {
        (void)fprintf(out->file, "%s\n", out->when_empty);
    }
}

void out_init_human(struct out *out, FILE *file)
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
    };

    *out = (struct out){.ops = &ops, .file = file};
}
