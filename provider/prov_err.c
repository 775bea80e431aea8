#include "provider/prov_err.h"

#include <stdarg.h>

void prov_raise_text_at(const struct prov_ctx *ctx, enum err_code code, const char *file, int line,
                        const char *function, const char *fmt, ...)
{
    va_list args;

    if (ctx->core_new_error == NULL || ctx->core_vset_error == NULL) {
        return;
    }
    ctx->core_new_error(ctx->handle);
    if (ctx->core_set_error_debug != NULL) {
        ctx->core_set_error_debug(ctx->handle, file, line, function);
    }
    va_start(args, fmt);
    ctx->core_vset_error(ctx->handle, (uint32_t)code, fmt, args);
    va_end(args);
}

void prov_raise_at(const struct prov_ctx *ctx, const struct err *err, const char *file, int line,
                   const char *function)
{
    prov_raise_text_at(ctx, err->code, file, line, function, "%s", err->msg);
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
