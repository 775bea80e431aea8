#include "provider/prov_err.h"

#include <stdarg.h>

static void vset(const struct prov_ctx *ctx, uint32_t reason, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static void vset(const struct prov_ctx *ctx, uint32_t reason, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    ctx->core_vset_error(ctx->handle, reason, fmt, args);
    va_end(args);
}

void prov_raise_at(const struct prov_ctx *ctx, const struct err *err, const char *file, int line,
                   const char *function)
{
    if (ctx->core_new_error == NULL || ctx->core_vset_error == NULL) {
        return;
    }
    ctx->core_new_error(ctx->handle);
    if (ctx->core_set_error_debug != NULL) {
        ctx->core_set_error_debug(ctx->handle, file, line, function);
    }
    vset(ctx, (uint32_t)err->code, "%s", err->msg);
}

const OSSL_ITEM *prov_reason_strings(void *provctx UNUSED)
{
    static const OSSL_ITEM items[] = {
#define X(symbol, name, exit_status, retryable, hint) {symbol, (void *)(name)},
#include "base/codes.def"
#undef X
        {0, NULL},
    };

    return items;
}
