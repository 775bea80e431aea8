#include "ca/scm/scm.h"

#include "base/str.h"

#include <string.h>

/* What is being done, as far as the meaning of a code depends on it. */
enum {
    COLLECT = 1 << 0,
    REVOKE = 1 << 1,
    DOMAIN = 1 << 2,
    CHANGE = 1 << 3, /* must not be sent twice */
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
static int context_of(const char *path, bool idempotent)
{
    static const struct {
        const char *part;
        int context;
    } parts[] = {
        {"/collect/", COLLECT}, {"/revoke/", REVOKE}, {"/dcv/", DOMAIN}, {"/domain/", DOMAIN}};
    int context = idempotent ? 0 : CHANGE;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        context |= strstr(path, parts[i].part) != NULL ? parts[i].context : 0;
    }
    return context;
}

/* The Enrollment API tells its resources apart by the method. */
static int context_of_enrollment(enum scm_endpoint_id operation)
{
    switch ((int)operation) {
    case ENROLLMENT_COLLECT:
    case ENROLLMENT_STATUS:
        return COLLECT;
    case ENROLLMENT_REVOKE:
        return REVOKE;
    default:
        return 0;
    }
}

static const struct scm_code *find(int context, int64_t code)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool fits = rows[i].contexts == ANY || (rows[i].contexts & context) != 0;
        if (rows[i].code.code == code && fits) {
            return &rows[i].code;
        }
    }
    return NULL;
}

const struct scm_code *scm_code_in(const char *path, bool idempotent, int64_t code)
{
    return find(context_of(path, idempotent), code);
}

const struct scm_code *scm_code_find(enum scm_endpoint_id operation, int64_t code)
{
    const struct scm_endpoint *endpoint = scm_endpoint(operation);

    return find(context_of(endpoint->path, endpoint->idempotent) | context_of_enrollment(operation),
                code);
}

bool scm_code_is_uncertain(int64_t code)
{
    const struct scm_code *found = find(CHANGE, code);

    return found != NULL && found->class == SCM_UNCERTAIN;
}

const struct scm_code *scm_code_at(size_t i)
{
    return i < ARRAY_LEN(rows) ? &rows[i].code : NULL;
}
