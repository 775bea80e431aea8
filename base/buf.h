/*
 * Bytes that grow up to a stated maximum.
 *
 * The maximum is given at init, so no input can make a buffer grow without bound. Failure (too
 * long, out of memory) is sticky: append freely, then ask buf_ok() once. The content is always
 * NUL-terminated beyond len, so buf_str() is free. A buffer for what may be secret wipes all that
 * it gives back.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/cleanup.h"
#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data; /* owned; NULL while empty */
    size_t len;
    size_t cap;
    size_t max;
    bool failed;
    bool wiped; /* its memory is, before it is given back */
};

#define BUF_INIT(max_len)                                                                          \
    {                                                                                              \
        .data = NULL, .len = 0, .cap = 0, .max = (max_len), .failed = false, .wiped = false        \
    }

void buf_init(struct buf *buf, size_t max);
void buf_init_wiped(struct buf *buf, size_t max);
void buf_done(struct buf *buf);
void buf_reset(struct buf *buf);

void buf_add(struct buf *buf, const void *data, size_t len);
void buf_add_str(struct buf *buf, const char *str);
void buf_add_byte(struct buf *buf, uint8_t byte);
void buf_addf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* False once an append did not fit or memory ran out. */
static inline bool buf_ok(const struct buf *buf)
{
    return !buf->failed;
}

/* The content as a string; "" for an empty buffer. Borrowed, until the next change. */
const char *buf_str(const struct buf *buf);

/* Hands the NUL-terminated content over (free() it); NULL if the buffer failed. The buffer is empty
 * afterwards. */
char *buf_take_str(struct buf *buf) NODISCARD;

DEFINE_AUTO_DONE(buf, struct buf, buf_done)

#endif
