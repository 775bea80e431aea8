/*
 * Time as a parameter. Code that waits or compares dates takes a `struct clock`; the program passes
 * the system's, a test passes its own.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct clock {
    int64_t (*wall_s)(void *ctx);            /* seconds since 1970-01-01 UTC */
    int64_t (*mono_ms)(void *ctx);           /* milliseconds, never going backwards */
    bool (*sleep_ms)(void *ctx, int64_t ms); /* false if a signal asked the program to stop */
    void *ctx;
};

static inline int64_t clock_wall_s(const struct clock *clock)
{
    return clock->wall_s(clock->ctx);
}

static inline int64_t clock_mono_ms(const struct clock *clock)
{
    return clock->mono_ms(clock->ctx);
}

static inline bool clock_sleep_ms(const struct clock *clock, int64_t ms)
{
    return clock->sleep_ms(clock->ctx, ms);
}

/* The system's clocks. Its sleep ends early, with false, once *stop becomes true (NULL: never). */
struct clock clock_system(const volatile bool *stop);

enum { CLOCK_TEXT_SIZE = 24 };

/* "2026-11-21T08:15:00Z" (RFC 3339, UTC). */
void clock_format(int64_t wall_s, char out[static CLOCK_TEXT_SIZE]);

#endif
