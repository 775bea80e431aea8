#include "ca/scm/scm.h"

#include "base/str.h"

#include <string.h>

/* What is being done, as far as the meaning of a code depends on it. */
enum {
    COLLECT = 1 << 0,
    REVOKE = 1 << 1,
    CHANGE = 1 << 2, /* must not be sent twice */
    ANY = ~0,
};

static const struct row {
    struct scm_code code;
    int contexts;
} rows[] = {
#define X(number, context, kind, what, todo)                                                       \
    {.code = {.code = (number), .class = (kind), .meaning = (what), .remedy = (todo)},             \
     .contexts = (context)},
#include "ca/scm/codes.def"
#undef X
};

/* By the path, so that a new endpoint has its context without being told. */
static int context_of(enum scm_endpoint_id operation)
{
    static const struct {
        const char *part;
        int context;
    } parts[] = {{"/collect/", COLLECT}, {"/revoke/", REVOKE}};
    const struct scm_endpoint *endpoint = scm_endpoint(operation);
    bool waits = operation == ENROLLMENT_COLLECT || operation == ENROLLMENT_STATUS;
    int context = endpoint->idempotent ? (waits ? COLLECT : 0) : CHANGE;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        context |= strstr(endpoint->path, parts[i].part) != NULL ? parts[i].context : 0;
    }
    return operation == ENROLLMENT_REVOKE ? context | REVOKE : context;
}

const struct scm_code *scm_code_find(enum scm_endpoint_id operation, int64_t code)
{
    int context = context_of(operation);

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool fits = rows[i].contexts == ANY || (rows[i].contexts & context) != 0;
        if (rows[i].code.code == code && fits) {
            return &rows[i].code;
        }
    }
    return NULL;
}

const struct scm_code *scm_code_at(size_t i)
{
    return i < ARRAY_LEN(rows) ? &rows[i].code : NULL;
}
