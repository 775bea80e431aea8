/*
 * This program's heap is wiped where it is given back.
 *
 * Secrets are wiped by who owns them, but libraries copy them: libcurl and nghttp2 the headers of a
 * request, cJSON the fields of an answer, libcrypto and PKCS#11 modules what they work with, and
 * most free their buffers as they are. A program's own free() and realloc() take precedence over
 * those of the C library, for every library in the process; so these two wipe, and leave the rest
 * to whoever is behind them. Sanitizers bring a heap of their own: there, nothing is wiped.
 */
#include "base/compiler.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HEAP_IS_FOREIGN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define HEAP_IS_FOREIGN 1
#endif
#endif

#ifndef HEAP_IS_FOREIGN

#define EXPORTED __attribute__((visibility("default")))

typedef void free_fn(void *p);

/* One heap in a process, so one of these; it never changes once it is set. */
static _Atomic(free_fn *) next_free;

/* The free() behind ours: the C library's, or that of a heap that was preloaded. */
static free_fn *find_free(void)
{
    static _Thread_local bool looking; /* what looks up a symbol may free something */
    free_fn *found = atomic_load_explicit(&next_free, memory_order_relaxed);

    if (found == NULL && !looking) {
        looking = true;
        *(void **)(&found) = dlsym(RTLD_NEXT, "free");
        looking = false;
        atomic_store_explicit(&next_free, found, memory_order_relaxed);
    }
    return found;
}

/* The second word is libc's: by it, it knows a block that was given back already, and ends the
 * process. In most of those that it takes it writes there itself. */
static void wipe(void *p)
{
    enum { WORD = sizeof(void *) };
    uint8_t *bytes = p;
    size_t size = malloc_usable_size(p);

    explicit_bzero(bytes, size < WORD ? size : WORD);
    if (size > 2 * (size_t)WORD) {
        explicit_bzero(bytes + (size_t)2 * WORD, size - (size_t)2 * WORD);
    }
}

/* (libc's declarations have reserved names for their parameters) */
/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
EXPORTED void free(void *p)
{
    free_fn *give_back = p != NULL ? find_free() : NULL;

    if (p == NULL) {
        return;
    }
    wipe(p);
    if (give_back != NULL) { /* else it is lost, but clean */
        give_back(p);
    }
}

/* Never in place: what libc moves, it leaves behind as it was. */
/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
EXPORTED void *realloc(void *old, size_t size)
{
    if (old != NULL && size == 0) {
        free(old);
        return NULL;
    }
    void *fresh = malloc(size);
    if (fresh != NULL && old != NULL) {
        size_t kept = malloc_usable_size(old);
        memcpy(fresh, old, kept < size ? kept : size);
        free(old);
    }
    return fresh;
}

#endif
