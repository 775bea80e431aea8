#include "base/err.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { REASONS_KEPT = 3 };

/* Appends one queue entry: its data text when there is one (ours says more), its reason otherwise.
 */
static void append_reason(struct err *err, unsigned long packed, const char *data, bool first)
{
    char reason[256] = "";
    size_t used = strlen(err->msg);
    const char *text = ERR_reason_error_string(packed);

    if (text == NULL) {
        ERR_error_string_n(packed, reason, sizeof(reason));
        text = reason;
    }
    const char *lead = first ? ": " : "; ";
    if (data != NULL && data[0] != '\0') {
        (void)snprintf(err->msg + used, sizeof(err->msg) - used, "%s%s (%s)", lead, data, text);
    } else {
        (void)snprintf(err->msg + used, sizeof(err->msg) - used, "%s%s", lead, text);
    }
}

void err_set_ssl_to(struct err *err, enum err_code code, const char *fmt, ...)
{
    const char *data = NULL;
    int flags = 0;
    int kept = 0;
    unsigned long packed;
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(err->msg, sizeof(err->msg), fmt, args);
    va_end(args);
    err->code = code;
    err->native = 0;
    while ((packed = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        if (kept < REASONS_KEPT) {
            append_reason(err, packed, (flags & ERR_TXT_STRING) != 0 ? data : NULL, kept == 0);
            err->native = kept == 0 ? packed : err->native;
            kept++;
        }
    }
}
