#include "base/clock.h"

#include "unit/unit.h"

static const char *format(int64_t wall_s)
{
    static char text[CLOCK_TEXT_SIZE];

    clock_format(wall_s, text);
    return text;
}

static void test_format_is_rfc_3339(void **state UNUSED)
{
    assert_string_equal(format(0), "1970-01-01T00:00:00Z");
    assert_string_equal(format(1795248900), "2026-11-21T08:15:00Z");
}

static void test_format_of_a_leap_day(void **state UNUSED)
{
    assert_string_equal(format(951782400), "2000-02-29T00:00:00Z");
}

static void test_format_behind_2038(void **state UNUSED)
{
    assert_string_equal(format(INT64_C(4102444800)), "2100-01-01T00:00:00Z");
}

static void test_format_before_1970(void **state UNUSED)
{
    assert_string_equal(format(-1), "1969-12-31T23:59:59Z");
}

static void test_format_of_the_last_date_of_x509(void **state UNUSED)
{
    assert_string_equal(format(INT64_C(253402300799)), "9999-12-31T23:59:59Z");
}

static void test_format_of_what_is_no_date(void **state UNUSED)
{
    assert_string_equal(format(INT64_MAX), "unknown");
}

static void test_monotonic_clock_does_not_go_back(void **state UNUSED)
{
    struct clock clock = clock_system(NULL);
    int64_t before = clock_mono_ms(&clock);

    assert_true(clock_sleep_ms(&clock, 5));
    assert_true(clock_mono_ms(&clock) >= before + 5);
}

static void test_wall_clock_is_in_this_century(void **state UNUSED)
{
    struct clock clock = clock_system(NULL);

    assert_true(clock_wall_s(&clock) > 1700000000);
    assert_true(clock_wall_s(&clock) < INT64_C(4102444800));
}

static void test_sleep_of_nothing_returns_at_once(void **state UNUSED)
{
    struct clock clock = clock_system(NULL);

    assert_true(clock_sleep_ms(&clock, 0));
    assert_true(clock_sleep_ms(&clock, -5));
}

static void test_sleep_ends_when_asked_to_stop(void **state UNUSED)
{
    volatile bool stop = true;
    struct clock clock = clock_system(&stop);

    assert_false(clock_sleep_ms(&clock, 60000));
}

static void test_sleep_that_is_not_stopped_is_true(void **state UNUSED)
{
    volatile bool stop = false;
    struct clock clock = clock_system(&stop);

    assert_true(clock_sleep_ms(&clock, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format_is_rfc_3339),
        cmocka_unit_test(test_format_of_a_leap_day),
        cmocka_unit_test(test_format_behind_2038),
        cmocka_unit_test(test_format_before_1970),
        cmocka_unit_test(test_format_of_the_last_date_of_x509),
        cmocka_unit_test(test_format_of_what_is_no_date),
        cmocka_unit_test(test_monotonic_clock_does_not_go_back),
        cmocka_unit_test(test_wall_clock_is_in_this_century),
        cmocka_unit_test(test_sleep_of_nothing_returns_at_once),
        cmocka_unit_test(test_sleep_ends_when_asked_to_stop),
        cmocka_unit_test(test_sleep_that_is_not_stopped_is_true),
    };

    return UNIT_RUN(tests);
}
