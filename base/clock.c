#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

static int64_t system_wall_s(void *ctx UNUSED)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec;
}

static int64_t system_mono_ms(void *ctx UNUSED)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Sleeps in slices: a signal that arrives just before nanosleep() must not cost the whole wait. */
static bool system_sleep_ms(void *ctx, int64_t ms)
{
    const volatile bool *stop = ctx;
    int64_t end = system_mono_ms(NULL) + ms;

    for (;;) {
        if (stop != NULL && *stop) {
            return false;
        }
        int64_t left = end - system_mono_ms(NULL);
        if (left <= 0) {
            return true;
        }
        int64_t slice = left < 100 ? left : 100;
        struct timespec pause = {.tv_sec = 0, .tv_nsec = (long)(slice * 1000000)};
        (void)nanosleep(&pause, NULL);
    }
}

struct clock clock_system(const volatile bool *stop)
{
    return (struct clock){
        .wall_s = system_wall_s,
        .mono_ms = system_mono_ms,
        .sleep_ms = system_sleep_ms,
        .ctx = (void *)(uintptr_t)stop,
    };
}

void clock_format(int64_t wall_s, char out[static CLOCK_TEXT_SIZE])
{
    time_t t = (time_t)wall_s;
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL ||
        strftime(out, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        (void)snprintf(out, CLOCK_TEXT_SIZE, "unknown");
    }
}
