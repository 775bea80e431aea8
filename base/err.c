#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct code_row {
    enum err_code code;
    const char *name;
    int exit_status;
    bool retryable;
    const char *hint;
};

static const struct code_row rows[] = {
#define X(symbol, name, exit_status, retryable, hint) {symbol, name, exit_status, retryable, hint},
#include "base/codes.def"
#undef X
};

static const struct code_row *row_of(enum err_code code)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].code == code) {
            return &rows[i];
        }
    }
    return NULL;
}

/* Marks a message that did not fit, so that nobody takes a cut sentence for the whole one. */
static void mark_cut(char *msg, size_t size, int wanted)
{
    static const char dots[] = "...";

    if (wanted >= 0 && (size_t)wanted >= size) {
        memcpy(msg + size - sizeof(dots), dots, sizeof(dots));
    }
}

static void set_v(struct err *err, enum err_code code, unsigned long native, const char *fmt,
                  va_list args)
{
    int wanted = vsnprintf(err->msg, sizeof(err->msg), fmt, args);

    mark_cut(err->msg, sizeof(err->msg), wanted);
    err->code = code;
    err->native = native;
}

void err_set_to(struct err *err, enum err_code code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    set_v(err, code, 0, fmt, args);
    va_end(args);
}

void err_set_native_to(struct err *err, enum err_code code, unsigned long native, const char *fmt,
                       ...)
{
    va_list args;

    va_start(args, fmt);
    set_v(err, code, native, fmt, args);
    va_end(args);
}

void err_set_errno_to(struct err *err, enum err_code code, int saved_errno, const char *fmt, ...)
{
    char reason[128] = "";
    size_t used;
    va_list args;

    va_start(args, fmt);
    set_v(err, code, (unsigned long)saved_errno, fmt, args);
    va_end(args);
    used = strlen(err->msg);
    const char *text = strerror_r(saved_errno, reason, sizeof(reason));
    int wanted = snprintf(err->msg + used, sizeof(err->msg) - used, ": %s", text);
    mark_cut(err->msg + used, sizeof(err->msg) - used, wanted);
}

void err_wrap_with(struct err *err, const char *fmt, ...)
{
    char old[sizeof(err->msg)];
    va_list args;
    int used;

    memcpy(old, err->msg, sizeof(old));
    va_start(args, fmt);
    used = vsnprintf(err->msg, sizeof(err->msg), fmt, args);
    va_end(args);
    if (used < 0 || (size_t)used >= sizeof(err->msg) - 2) {
        memcpy(err->msg, old, sizeof(old)); /* the cause is worth more than the clause */
        return;
    }
    size_t room = sizeof(err->msg) - (size_t)used;
    int wanted = snprintf(err->msg + used, room, ": %s", old);
    mark_cut(err->msg + used, room, wanted);
}

void err_clear(struct err *err)
{
    err->code = E_NONE;
    err->native = 0;
    err->msg[0] = '\0';
}

const char *err_code_name(enum err_code code)
{
    const struct code_row *row = row_of(code);

    return row != NULL ? row->name : "none";
}

const char *err_code_hint(enum err_code code)
{
    const struct code_row *row = row_of(code);

    return row != NULL ? row->hint : "";
}

int err_code_exit_status(enum err_code code)
{
    const struct code_row *row = row_of(code);

    return row != NULL ? row->exit_status : 0;
}

bool err_code_retryable(enum err_code code)
{
    const struct code_row *row = row_of(code);

    return row != NULL && row->retryable;
}

enum err_code err_code_at(unsigned i)
{
    return i < ARRAY_LEN(rows) ? rows[i].code : E_NONE;
}
