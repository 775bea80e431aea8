#include "out/out.h"

#include "base/clock.h"

#include <errno.h>

/* A format leaves out what it has no form for. */
#define CALL(out, op, args)                                                                        \
    do {                                                                                           \
        if ((out)->ops->op != NULL) {                                                              \
            (out)->ops->op args;                                                                   \
        }                                                                                          \
    } while (0)

void out_begin(struct out *out, const char *command)
{
    CALL(out, begin, (out, command));
}

void out_text(struct out *out, const char *key, const char *label, const char *value)
{
    CALL(out, text, (out, key, label, value));
}

void out_number(struct out *out, const char *key, const char *label, int64_t value)
{
    CALL(out, number, (out, key, label, value));
}

void out_bool(struct out *out, const char *key, const char *label, bool value)
{
    CALL(out, boolean, (out, key, label, value));
}

void out_time(struct out *out, const char *key, const char *label, int64_t wall_s)
{
    char text[CLOCK_TEXT_SIZE];

    if (wall_s == 0) {
        CALL(out, text, (out, key, label, NULL));
        return;
    }
    clock_format(wall_s, text);
    CALL(out, text, (out, key, label, text));
}

void out_block(struct out *out, const char *key, const char *value)
{
    CALL(out, block, (out, key, value));
}

void out_group(struct out *out, const char *key, const char *title)
{
    CALL(out, group, (out, key, title));
}

void out_group_end(struct out *out)
{
    CALL(out, group_end, (out));
}

void out_table(struct out *out, const char *key, const struct out_column *columns, size_t count,
               const char *when_empty)
{
    out->columns = columns;
    out->column_count = count;
    out->rows = 0;
    CALL(out, table, (out, key, when_empty));
}

void out_row(struct out *out, const char *const cells[])
{
    CALL(out, row, (out, cells));
    out->rows++;
}

void out_table_end(struct out *out)
{
    CALL(out, table_end, (out));
}

void out_list(struct out *out, const char *key)
{
    CALL(out, list, (out, key));
}

void out_list_end(struct out *out)
{
    CALL(out, list_end, (out));
}

void out_item(struct out *out)
{
    CALL(out, item, (out));
}

void out_item_end(struct out *out)
{
    CALL(out, item_end, (out));
}

void out_error(struct out *out, const struct err *err, const char *hint)
{
    CALL(out, error, (out, err, hint));
}

bool out_end(struct out *out, struct err *err)
{
    CALL(out, end, (out));
    if (fflush(out->file) != 0 || ferror(out->file) != 0 || out->failed) {
        return err_set_errno(err, E_IO, errno, "writing the result");
    }
    return true;
}
