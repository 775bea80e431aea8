/*
 * Secret bytes: wiped on reset, growth and free; never printable.
 *
 * PINs, passwords and passphrases travel as `struct secret`, which cannot be handed to a "%s" by
 * accident. The memory comes from libcrypto's secure heap when the program has made one (locked
 * against swapping), and from the ordinary heap otherwise; both are cleansed before they are
 * returned.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An RSA-8192 key as PKCS#8 and long access tokens fit. */
enum { SECRET_MAX = 6144 };

struct secret {
    uint8_t *data; /* owned, NUL-terminated beyond len; NULL while unset */
    size_t len;
    size_t cap;
};

#define SECRET_INIT                                                                                \
    {                                                                                              \
        .data = NULL, .len = 0, .cap = 0                                                           \
    }

void secret_done(struct secret *secret);

/* Replaces the content by a copy. E_MEMORY, or E_USAGE for more than SECRET_MAX bytes. */
bool secret_set(struct secret *secret, const void *data, size_t len, struct err *err) NODISCARD;

bool secret_append(struct secret *secret, const void *data, size_t len, struct err *err) NODISCARD;

bool secret_copy(struct secret *to, const struct secret *from, struct err *err) NODISCARD;

/* Cuts the content; the bytes behind are wiped. */
void secret_truncate(struct secret *secret, size_t len);

/* Drops one line end (LF or CRLF) at the end, as editors and echo leave it; nothing else. */
void secret_strip_newline(struct secret *secret);

/* True once something was set, even if it has no bytes. */
static inline bool secret_is_set(const struct secret *secret)
{
    return secret->data != NULL;
}

/* Same bytes, compared in constant time. Two unset secrets are equal. */
bool secret_equal(const struct secret *a, const struct secret *b);

/* For the few C interfaces that want a char pointer (PKCS#12 parser, libp11). Borrowed; "" while
 * unset. */
const char *secret_expose(const struct secret *secret);

DEFINE_AUTO_DONE(secret, struct secret, secret_done)

#endif
