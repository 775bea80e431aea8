#include "base/secret.h"

#include <openssl/crypto.h>
#include <string.h>

void secret_done(struct secret *secret)
{
    /* OPENSSL_secure_clear_free falls back to OPENSSL_clear_free for memory outside the secure
     * heap. */
    OPENSSL_secure_clear_free(secret->data, secret->cap);
    *secret = (struct secret)SECRET_INIT;
}

static bool grow(struct secret *secret, size_t len, struct err *err)
{
    if (len > SECRET_MAX) {
        return err_set(err, E_USAGE, "a secret is longer than %d bytes", SECRET_MAX);
    }
    if (secret->data != NULL && len + 1 <= secret->cap) {
        return true;
    }
    size_t cap = 64;
    while (cap < len + 1) {
        cap *= 2;
    }
    uint8_t *fresh = OPENSSL_secure_zalloc(cap);
    if (fresh == NULL) {
        return err_nomem(err);
    }
    if (secret->len > 0) {
        memcpy(fresh, secret->data, secret->len);
    }
    OPENSSL_secure_clear_free(secret->data, secret->cap);
    secret->data = fresh;
    secret->cap = cap;
    return true;
}

bool secret_append(struct secret *secret, const void *data, size_t len, struct err *err)
{
    if (len > SECRET_MAX || !grow(secret, secret->len + len, err)) {
        return len <= SECRET_MAX
                   ? false
                   : err_set(err, E_USAGE, "a secret is longer than %d bytes", SECRET_MAX);
    }
    if (len > 0) {
        memcpy(secret->data + secret->len, data, len);
    }
    secret->len += len;
    secret->data[secret->len] = '\0';
    return true;
}

bool secret_set(struct secret *secret, const void *data, size_t len, struct err *err)
{
    secret_done(secret);
    return secret_append(secret, data, len, err);
}

bool secret_copy(struct secret *to, const struct secret *from, struct err *err)
{
    if (!secret_is_set(from)) {
        secret_done(to);
        return true;
    }
    return secret_set(to, from->data, from->len, err);
}

void secret_truncate(struct secret *secret, size_t len)
{
    if (secret->data == NULL || len >= secret->len) {
        return;
    }
    OPENSSL_cleanse(secret->data + len, secret->len - len);
    secret->len = len;
}

void secret_strip_newline(struct secret *secret)
{
    if (secret->len > 0 && secret->data[secret->len - 1] == '\n') {
        secret_truncate(secret, secret->len - 1);
        if (secret->len > 0 && secret->data[secret->len - 1] == '\r') {
            secret_truncate(secret, secret->len - 1);
        }
    }
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
    if (a->len != b->len) {
        return false;
    }
    return a->len == 0 || CRYPTO_memcmp(a->data, b->data, a->len) == 0;
}

const char *secret_expose(const struct secret *secret)
{
    return secret->data != NULL ? (const char *)secret->data : "";
}
