/* From our error model to OpenSSL's: through the core's callbacks, into the application's error
 * queue. */
#ifndef PROVIDER_PROV_ERR_H
#define PROVIDER_PROV_ERR_H

#include "base/err.h"
#include "provider/ctx.h"

#include <openssl/core.h>

/* Raises err as one record: its code as reason, its whole message as data. Use the macro. */
void prov_raise_at(const struct prov_ctx *ctx, const struct err *err, const char *file, int line,
                   const char *function);

/* The same for a failure that may well be dropped, on a path where speed counts: put into words
 * once, by OpenSSL. Use the macro. */
void prov_raise_text_at(const struct prov_ctx *ctx, enum err_code code, const char *file, int line,
                        const char *function, const char *fmt, ...) PRINTF_LIKE(6, 7);

#define prov_raise_text(ctx, code, ...)                                                            \
    prov_raise_text_at((ctx), (code), __FILE__, __LINE__, __func__, __VA_ARGS__)
#define prov_raise(ctx, err) prov_raise_at((ctx), (err), __FILE__, __LINE__, __func__)

/* For get_reason_strings: the codes of codes.def. */
const OSSL_ITEM *prov_reason_strings(void *provctx);

#endif
