/* When certificates are due for renewal (src/order/due.c). */
#include "order/due.h"

#include "unit/unit.h"

#include <time.h>

enum { DAY = 86400, HOUR = 3600 };

/* Seconds since 1970 of a day. */
static int64_t day(int year, int month, int of_month)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = of_month};

    return (int64_t)timegm(&tm);
}

static const int64_t begin_s = 1780000000;

/* A certificate that begins at begin_s and lasts so long, as CAs write it: less a second. */
static struct due_certificate lasting(int64_t seconds, enum due_validation validation)
{
    return (struct due_certificate){
        .not_before_s = begin_s, .not_after_s = begin_s + seconds - 1, .validation = validation};
}

static const struct due_rule rule = {.early_ov_s = 3 * DAY, .early_ev_s = 7 * DAY};

static void test_the_lead_is_a_share_of_the_lifetime(void **state UNUSED)
{
    static const struct {
        int64_t lifetime_s;
        enum due_validation validation;
        int64_t lead_s;
    } rows[] = {
        {398 * DAY, DUE_DV, 398 * DAY / 3},
        {200 * DAY, DUE_DV, 200 * DAY / 3},
        {100 * DAY, DUE_DV, 100 * DAY / 3},
        {90 * DAY, DUE_DV, 30 * DAY},
        {47 * DAY, DUE_DV, 47 * DAY / 3},
        {11 * DAY, DUE_DV, 11 * DAY / 3},
        {10 * DAY, DUE_DV, 10 * DAY / 3}, /* not under ten days */
        {10 * DAY - 1, DUE_DV, (10 * DAY - 1) / 2},
        {6 * DAY, DUE_DV, 3 * DAY},
        {160 * HOUR, DUE_DV, 80 * HOUR},
        {1 * HOUR, DUE_DV, HOUR / 2},
        {200 * DAY, DUE_OV, 200 * DAY / 3 + 3 * DAY},
        {200 * DAY, DUE_EV, 200 * DAY / 3 + 7 * DAY},
        {47 * DAY, DUE_OV, 47 * DAY / 3 + 3 * DAY},
        {15 * DAY, DUE_EV, 10 * DAY}, /* a third and seven days were more than two thirds */
        {6 * DAY, DUE_EV, 4 * DAY},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct due_certificate cert = lasting(rows[i].lifetime_s, rows[i].validation);
        struct due due = due_judge(&cert, &rule, begin_s);
        assert_int_equal(due.lead_s, rows[i].lead_s);
        assert_int_equal(due.from_s, cert.not_after_s - rows[i].lead_s);
        assert_int_equal(due.state, DUE_LATER);
    }
}

static void test_the_state_changes_at_its_second(void **state UNUSED)
{
    struct due_certificate cert = lasting(90 * DAY, DUE_DV);
    static const struct {
        int64_t after_begin_s;
        enum due_state state;
    } rows[] = {
        {-1000 * (int64_t)DAY,
         DUE_LATER}, /* the clock is wrong, or the certificate is of tomorrow */
        {-1, DUE_LATER},
        {0, DUE_LATER},
        {60 * DAY - 2, DUE_LATER},
        {60 * DAY - 1, DUE_NOW},
        {90 * DAY - 1, DUE_NOW}, /* its last second */
        {90 * DAY, DUE_OVER},
        {9000 * (int64_t)DAY, DUE_OVER},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(due_judge(&cert, &rule, begin_s + rows[i].after_begin_s).state,
                         rows[i].state);
    }
}

static void test_what_has_no_lifetime_is_not_judged(void **state UNUSED)
{
    static const struct due_certificate rows[] = {
        {.not_before_s = 0, .not_after_s = 0},
        {.not_before_s = 1000, .not_after_s = 1000},
        {.not_before_s = 1000, .not_after_s = 999},
        {.not_before_s = INT64_MIN, .not_after_s = INT64_MAX},
        {.not_before_s = 0, .not_after_s = INT64_MAX},
        {.not_before_s = INT64_MIN, .not_after_s = 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(due_judge(&rows[i], &rule, 2000).state, DUE_UNKNOWN);
    }
}

static void test_a_fresh_certificate_is_never_due(void **state UNUSED)
{
    static const struct due_rule rules[] = {
        {.early_ov_s = 0, .early_ev_s = 0},
        {.early_ov_s = 365 * DAY, .early_ev_s = 365 * DAY},
        {.early_ov_s = INT64_MAX, .early_ev_s = INT64_MIN},
    };

    for (size_t r = 0; r < ARRAY_LEN(rules); r++) {
        for (int64_t lifetime_s = 4; lifetime_s < 400 * (int64_t)DAY; lifetime_s *= 3) {
            for (int v = DUE_DV; v <= DUE_EV; v++) {
                struct due_certificate cert = lasting(lifetime_s, (enum due_validation)v);
                struct due due = due_judge(&cert, &rules[r], begin_s);
                assert_int_equal(due.state, DUE_LATER);
                assert_true(due.from_s > cert.not_before_s && due.from_s < cert.not_after_s);
            }
        }
    }
}

static void test_thirty_days_are_no_rule(void **state UNUSED)
{
    struct due_certificate half_a_year = lasting(200 * DAY, DUE_DV);
    struct due_certificate week = lasting(7 * DAY, DUE_DV);

    assert_int_equal(due_judge(&half_a_year, &rule, half_a_year.not_after_s - 60 * DAY).state,
                     DUE_NOW);
    assert_int_equal(due_judge(&week, &rule, week.not_after_s - 5 * DAY).state, DUE_LATER);
}

static void test_limits_begin_on_their_days(void **state UNUSED)
{
    const struct {
        int64_t at_s;
        int days;
    } rows[] = {
        {day(2020, 8, 31), 0},       {day(2020, 9, 1), 398},      {day(2026, 3, 15) - 1, 398},
        {day(2026, 3, 15), 200},     {day(2027, 3, 15) - 1, 200}, {day(2027, 3, 15), 100},
        {day(2029, 3, 15) - 1, 100}, {day(2029, 3, 15), 47},      {day(2099, 1, 1), 47},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(due_limit_days(rows[i].at_s), rows[i].days);
    }
}

static void test_limits_are_in_order(void **state UNUSED)
{
    size_t count = 0;

    for (; due_limit_at(count + 1) != NULL; count++) {
        assert_true(due_limit_at(count)->from_s < due_limit_at(count + 1)->from_s);
        assert_true(due_limit_at(count)->days > due_limit_at(count + 1)->days);
    }
    assert_int_equal(count, 3);
}

static void test_a_second_too_long_is_too_long(void **state UNUSED)
{
    int64_t from = day(2027, 3, 15);

    assert_true(due_limit_fits(from, from + 100 * DAY - 1));
    assert_false(due_limit_fits(from, from + 100 * DAY));
    assert_true(due_limit_fits(from - 1, from + 100 * DAY)); /* issued a second before */
    assert_true(due_limit_fits(day(2019, 1, 1), day(2029, 1, 1)));
    assert_false(due_limit_fits(from, INT64_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_lead_is_a_share_of_the_lifetime),
        cmocka_unit_test(test_the_state_changes_at_its_second),
        cmocka_unit_test(test_what_has_no_lifetime_is_not_judged),
        cmocka_unit_test(test_a_fresh_certificate_is_never_due),
        cmocka_unit_test(test_thirty_days_are_no_rule),
        cmocka_unit_test(test_limits_begin_on_their_days),
        cmocka_unit_test(test_limits_are_in_order),
        cmocka_unit_test(test_a_second_too_long_is_too_long),
    };

    return UNIT_RUN(tests);
}
