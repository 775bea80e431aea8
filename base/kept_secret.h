/*
 * A secret that is kept for long, in a page of its own: not swapped out (where the limits allow),
 * not in core dumps, and there for a forked child. For the provider, which lives in programs whose
 * heap is not ours.
 */
#ifndef BASE_KEPT_SECRET_H
#define BASE_KEPT_SECRET_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kept_secret {
    uint8_t *page; /* owned; NULL while nothing is kept */
    size_t len;
};

/* Keeps a copy, instead of what was kept before. E_MEMORY; E_USAGE for more than a page holds. */
bool kept_secret_set(struct kept_secret *kept, const struct secret *from,
                     struct err *err) NODISCARD;

/* Copies it out. False without err if nothing is kept. */
bool kept_secret_get(const struct kept_secret *kept, struct secret *to, struct err *err) NODISCARD;

/* Wipes it. */
void kept_secret_done(struct kept_secret *kept);

static inline bool kept_secret_is_set(const struct kept_secret *kept)
{
    return kept->page != NULL;
}

#endif
