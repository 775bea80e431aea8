#include "order/order.h"

static const int64_t steps_s[] = {5, 15, 45, 120, 300};

/* Longer than any machine runs, and far from what overflows when something is added. */
static const int64_t longest_ms = INT64_MAX / 4;

static int64_t times(int64_t a, int64_t b)
{
    int64_t product = 0;

    return __builtin_mul_overflow(a, b, &product) || product > longest_ms ? longest_ms : product;
}

static int64_t power_s(const struct backoff *b, int attempt)
{
    int64_t wait = 1;

    for (int i = 0; i < attempt && wait < b->max_s; i++) {
        wait = times(wait, b->base_s);
    }
    return wait < b->max_s ? wait : b->max_s;
}

int64_t backoff_delay_ms(const struct backoff *b, int attempt, uint32_t random)
{
    if (b->kind == BACKOFF_POWER) {
        return times(times(power_s(b, attempt), 1000), b->scale_percent) / 100;
    }
    size_t last = ARRAY_LEN(steps_s) - 1;
    size_t at = attempt < 1 ? 0 : (size_t)(attempt - 1);
    int64_t base = steps_s[at < last ? at : last] * 1000;
    /* 80 % to 120 %: clients that began together must not stay together */
    int64_t jittered = base * 4 / 5 + base * (int64_t)(random % 401) / 1000;
    return times(jittered, b->scale_percent) / 100;
}

bool backoff_is_over(const struct backoff *b, int attempt, int64_t elapsed_ms)
{
    if (b->kind == BACKOFF_POWER) {
        return attempt >= b->attempts;
    }
    return elapsed_ms >= b->deadline_ms;
}

int64_t backoff_wait_ms(const struct backoff *b, int attempt, int64_t elapsed_ms, uint32_t random)
{
    int64_t delay = backoff_delay_ms(b, attempt, random);
    int64_t left = b->deadline_ms - elapsed_ms;

    return b->kind == BACKOFF_STEPS && delay > left ? left : delay;
}
