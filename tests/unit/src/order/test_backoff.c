#include "order/order.h"

#include "unit/unit.h"

static const struct backoff steps = {
    .kind = BACKOFF_STEPS, .deadline_ms = 600000, .scale_percent = 100};
static const struct backoff power = {
    .kind = BACKOFF_POWER, .base_s = 2, .max_s = 32, .attempts = 5, .scale_percent = 100};

/* Without jitter: the middle of the range. */
enum { MIDDLE = 200 };

static void test_steps(void **state UNUSED)
{
    static const int64_t want_s[] = {5, 15, 45, 120, 300, 300, 300};

    for (int i = 0; i < (int)ARRAY_LEN(want_s); i++) {
        assert_int_equal(backoff_delay_ms(&steps, i + 1, MIDDLE), want_s[i] * 1000);
    }
    assert_int_equal(backoff_delay_ms(&steps, INT32_MAX, MIDDLE), 300000);
    assert_int_equal(backoff_delay_ms(&steps, 0, MIDDLE), 5000);
    assert_int_equal(backoff_delay_ms(&steps, -1, MIDDLE), 5000);
}

static void test_jitter_stays_within_a_fifth(void **state UNUSED)
{
    for (uint32_t random = 0; random < 1000; random++) {
        assert_in_range(backoff_delay_ms(&steps, 1, random), 4000, 6000);
        assert_in_range(backoff_delay_ms(&steps, 5, random), 240000, 360000);
    }
    assert_int_equal(backoff_delay_ms(&steps, 1, 0), 4000);
    assert_int_equal(backoff_delay_ms(&steps, 1, 400), 6000);
    assert_in_range(backoff_delay_ms(&steps, 1, UINT32_MAX), 4000, 6000);
}

static void test_steps_are_scaled(void **state UNUSED)
{
    struct backoff b = steps;

    b.scale_percent = 1;
    assert_int_equal(backoff_delay_ms(&b, 1, MIDDLE), 50);
    b.scale_percent = 0;
    assert_int_equal(backoff_delay_ms(&b, 1, MIDDLE), 0);
    b.scale_percent = 250;
    assert_int_equal(backoff_delay_ms(&b, 1, MIDDLE), 12500);
}

static void test_steps_end_at_the_deadline(void **state UNUSED)
{
    assert_false(backoff_is_over(&steps, 1, 0));
    assert_false(backoff_is_over(&steps, 100, 599999));
    assert_true(backoff_is_over(&steps, 1, 600000));
    assert_true(backoff_is_over(&steps, 1, 600001));
}

/* "--deadline 14s" is 14 seconds: 5, and then the 9 that are left instead of 15. */
static void test_last_wait_ends_at_the_deadline(void **state UNUSED)
{
    struct backoff b = steps;

    b.deadline_ms = 14000;
    assert_int_equal(backoff_wait_ms(&b, 1, 0, MIDDLE), 5000);
    assert_int_equal(backoff_wait_ms(&b, 2, 5000, MIDDLE), 9000);
    assert_int_equal(backoff_wait_ms(&power, 3, 600000, 0), 8000);
}

static void test_deadline_of_zero_asks_once(void **state UNUSED)
{
    struct backoff b = steps;

    b.deadline_ms = 0;
    assert_true(backoff_is_over(&b, 1, 0));
}

static void test_powers(void **state UNUSED)
{
    static const int64_t want_s[] = {2, 4, 8, 16, 32, 32, 32};

    for (int i = 0; i < (int)ARRAY_LEN(want_s); i++) {
        assert_int_equal(backoff_delay_ms(&power, i + 1, 123), want_s[i] * 1000);
    }
    assert_int_equal(backoff_delay_ms(&power, INT32_MAX, 0), 32000);
    assert_int_equal(backoff_delay_ms(&power, 0, 0), 1000);
}

static void test_powers_have_no_jitter(void **state UNUSED)
{
    assert_int_equal(backoff_delay_ms(&power, 3, 0), backoff_delay_ms(&power, 3, 400));
}

static void test_powers_are_cut_at_their_maximum(void **state UNUSED)
{
    struct backoff b = power;

    b.base_s = 10;
    assert_int_equal(backoff_delay_ms(&b, 1, 0), 10000);
    assert_int_equal(backoff_delay_ms(&b, 2, 0), 32000);
    b.max_s = 0;
    assert_int_equal(backoff_delay_ms(&b, 2, 0), 0);
}

static void test_base_of_one_and_zero(void **state UNUSED)
{
    struct backoff b = power;

    b.base_s = 1;
    assert_int_equal(backoff_delay_ms(&b, 1000, 0), 1000);
    b.base_s = 0;
    assert_int_equal(backoff_delay_ms(&b, 3, 0), 0);
}

static void test_powers_end_after_their_attempts(void **state UNUSED)
{
    assert_false(backoff_is_over(&power, 4, INT64_MAX / 2));
    assert_true(backoff_is_over(&power, 5, 0));
    struct backoff once = power;
    once.attempts = 0;
    assert_true(backoff_is_over(&once, 1, 0));
}

static void test_powers_are_scaled(void **state UNUSED)
{
    struct backoff b = power;

    b.scale_percent = 10;
    assert_int_equal(backoff_delay_ms(&b, 2, 0), 400);
}

/* The configuration takes spans of up to 2147483647 days; none may end in undefined behaviour. */
static void test_absurd_settings_do_not_overflow(void **state UNUSED)
{
    struct backoff b = {.kind = BACKOFF_POWER,
                        .base_s = INT64_C(100000) * 86400,
                        .max_s = INT64_C(2147483647) * 86400,
                        .attempts = 5,
                        .scale_percent = INT32_MAX};

    for (int i = 1; i < 6; i++) {
        assert_true(backoff_delay_ms(&b, i, 0) >= 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_jitter_stays_within_a_fifth),
        cmocka_unit_test(test_steps_are_scaled),
        cmocka_unit_test(test_steps_end_at_the_deadline),
        cmocka_unit_test(test_last_wait_ends_at_the_deadline),
        cmocka_unit_test(test_deadline_of_zero_asks_once),
        cmocka_unit_test(test_powers),
        cmocka_unit_test(test_powers_have_no_jitter),
        cmocka_unit_test(test_powers_are_cut_at_their_maximum),
        cmocka_unit_test(test_base_of_one_and_zero),
        cmocka_unit_test(test_powers_end_after_their_attempts),
        cmocka_unit_test(test_powers_are_scaled),
        cmocka_unit_test(test_absurd_settings_do_not_overflow),
    };

    return UNIT_RUN(tests);
}
