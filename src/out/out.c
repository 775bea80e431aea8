#include "out/out.h"

#include "base/clock.h"

#include <errno.h>

void out_begin(struct out *out, const char *command)
{
    out->ops->begin(out, command);
}

void out_text(struct out *out, const char *key, const char *label, const char *value)
{
    out->ops->text(out, key, label, value);
}

void out_number(struct out *out, const char *key, const char *label, int64_t value)
{
    out->ops->number(out, key, label, value);
}

void out_bool(struct out *out, const char *key, const char *label, bool value)
{
    out->ops->boolean(out, key, label, value);
}

void out_time(struct out *out, const char *key, const char *label, int64_t wall_s)
{
    char text[CLOCK_TEXT_SIZE];

    if (wall_s == 0) {
        out->ops->text(out, key, label, NULL);
        return;
    }
    clock_format(wall_s, text);
    out->ops->text(out, key, label, text);
}

void out_block(struct out *out, const char *key, const char *value)
{
    out->ops->block(out, key, value);
}

void out_group(struct out *out, const char *key, const char *title)
{
    out->ops->group(out, key, title);
}

void out_group_end(struct out *out)
{
    out->ops->group_end(out);
}

void out_table(struct out *out, const char *key, const struct out_column *columns, size_t count,
               const char *when_empty)
{
    out->columns = columns;
    out->column_count = count;
    out->rows = 0;
    out->ops->table(out, key, when_empty);
}

void out_row(struct out *out, const char *const cells[])
{
    out->ops->row(out, cells);
    out->rows++;
}

void out_table_end(struct out *out)
{
    out->ops->table_end(out);
}

void out_error(struct out *out, const struct err *err)
{
    out->ops->error(out, err);
}

bool out_end(struct out *out, struct err *err)
{
    out->ops->end(out);
    if (fflush(out->file) != 0 || ferror(out->file) != 0 || out->failed) {
        return err_set_errno(err, E_IO, errno, "writing the result");
    }
    return true;
}
