#include "base/buf.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 64 };

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf)BUF_INIT(max);
}

void buf_init_wiped(struct buf *buf, size_t max)
{
    buf_init(buf, max);
    buf->wiped = true;
}

static void wipe(struct buf *buf)
{
    if (buf->wiped && buf->data != NULL) {
        OPENSSL_cleanse(buf->data, buf->cap);
    }
}

void buf_done(struct buf *buf)
{
    wipe(buf);
    free(buf->data);
    *buf = (struct buf){.max = buf->max, .wiped = buf->wiped};
}

void buf_reset(struct buf *buf)
{
    wipe(buf);
    buf->len = 0;
    buf->failed = false;
    if (buf->data != NULL) {
        buf->data[0] = '\0';
    }
}

/* realloc(), but for secrets: what that moves, it leaves behind as it was. */
static uint8_t *grow(struct buf *buf, size_t cap)
{
    if (!buf->wiped) {
        return realloc(buf->data, cap);
    }
    uint8_t *fresh = malloc(cap);
    if (fresh == NULL) {
        return NULL;
    }
    if (buf->data != NULL) {
        memcpy(fresh, buf->data, buf->len + 1);
        wipe(buf);
        free(buf->data);
    }
    return fresh;
}

/* Makes room for extra bytes and the NUL behind them. */
static bool reserve(struct buf *buf, size_t extra)
{
    if (buf->failed || extra > buf->max || buf->len > buf->max - extra) {
        buf->failed = true;
        return false;
    }
    size_t need = buf->len + extra + 1;
    if (need <= buf->cap) {
        return true;
    }
    size_t cap = buf->cap != 0 ? buf->cap : FIRST_CAP;
    while (cap < need) {
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    }
    uint8_t *grown = grow(buf, cap);
    if (grown == NULL) {
        buf->failed = true;
        return false;
    }
    buf->data = grown;
    buf->cap = cap;
    return true;
}

void buf_add(struct buf *buf, const void *data, size_t len)
{
    if (!reserve(buf, len)) {
        return;
    }
    if (len > 0) {
        memcpy(buf->data + buf->len, data, len);
    }
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void buf_add_str(struct buf *buf, const char *str)
{
    buf_add(buf, str, strlen(str));
}

void buf_add_byte(struct buf *buf, uint8_t byte)
{
    buf_add(buf, &byte, 1);
}

void buf_addf(struct buf *buf, const char *fmt, ...)
{
    va_list args;
    int need;

    va_start(args, fmt);
    need = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (need < 0 || !reserve(buf, (size_t)need)) {
        buf->failed = true;
        return;
    }
    va_start(args, fmt);
    (void)vsnprintf((char *)buf->data + buf->len, (size_t)need + 1, fmt, args);
    va_end(args);
    buf->len += (size_t)need;
}

const char *buf_str(const struct buf *buf)
{
    return buf->data != NULL ? (const char *)buf->data : "";
}

char *buf_take_str(struct buf *buf)
{
    if (buf->failed || !reserve(buf, 0)) {
        return NULL;
    }
    buf->data[buf->len] = '\0';
    char *str = (char *)buf->data;
    *buf = (struct buf){.max = buf->max, .wiped = buf->wiped};
    return str;
}
