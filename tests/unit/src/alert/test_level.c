/* Levels of alerts, and what is the same certificate (src/alert/level.c, merge.c). */
#include "alert/alert.h"
#include "unit/unit.h"

#include <stdlib.h>

enum { DAY = 86400, HOUR = 3600 };

static struct alert_levels left(const char *text)
{
    struct alert_levels levels;
    struct err err = ERR_INIT;

    assert_ok(alert_levels_left(text, &levels, &err), &err);
    return levels;
}

static struct alert_levels waited(const char *text)
{
    struct alert_levels levels;
    struct err err = ERR_INIT;

    assert_ok(alert_levels_waited(text, &levels, &err), &err);
    return levels;
}

static void test_levels_are_days_or_spans(void **state UNUSED)
{
    struct alert_levels levels = left(" 30, 14 ,36h,0");

    assert_int_equal(levels.count, 4);
    assert_int_equal(levels.list[0], 30 * DAY);
    assert_int_equal(levels.list[2], 36 * HOUR);
    assert_int_equal(levels.list[3], 0);
    levels = waited("90, 1h,3d");
    assert_int_equal(levels.list[0], 90);
    assert_int_equal(levels.list[2], 3 * DAY);
}

static void test_levels_that_make_no_sense_are_refused(void **state UNUSED)
{
    static const struct {
        const char *text, *words;
        bool is_left;
    } rows[] = {
        {"", "no level of alerts is named", true},
        {" , ,", "is no level of alerts", true},
        {"x", "'x' is no level of alerts", true},
        {"-1", "'-1' is no level of alerts", true},
        {"99999999", "is no level of alerts", true},
        {"99999999999999999999", "is no level of alerts", true},
        {"999999d", "is no level of alerts", false},
        {"7, 14", "each is less than the one before", true},
        {"7, 7", "each is less than the one before", true},
        {"7d, 3d", "each is more than the one before", false},
        {"17,16,15,14,13,12,11,10,9,8,7,6,5,4,3,2,1", "more than 16 levels", true},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct alert_levels levels = {.count = 99};
        struct err err = ERR_INIT;
        assert_fails(rows[i].is_left ? alert_levels_left(rows[i].text, &levels, &err)
                                     : alert_levels_waited(rows[i].text, &levels, &err),
                     &err, E_CONFIG, rows[i].words);
        assert_int_equal(levels.count, 99);
    }
}

static void test_the_last_level_is_critical(void **state UNUSED)
{
    static const struct {
        const char *levels;
        int64_t lead_s, left_s;
        bool reached;
        enum alert_severity severity;
        int64_t urgency;
    } rows[] = {
        {"30,14,7", 0, 30 * DAY + 1, false, ALERT_OK, 0},
        {"30,14,7", 0, 30 * DAY, true, ALERT_WARNING, -30 * DAY},
        {"30,14,7", 0, 14 * DAY + 1, true, ALERT_WARNING, -30 * DAY},
        {"30,14,7", 0, 14 * DAY, true, ALERT_WARNING, -14 * DAY},
        {"30,14,7", 0, 7 * DAY, true, ALERT_CRITICAL, -7 * DAY},
        {"30,14,7", 0, 0, true, ALERT_CRITICAL, -7 * DAY},
        {"30,14,7", 0, -1, true, ALERT_CRITICAL, 1},
        {"7", 0, 7 * DAY, true, ALERT_CRITICAL, -7 * DAY},
        {"30,0", 0, 0, true, ALERT_CRITICAL, 0},
        /* a lead that is longer than the first level changes nothing */
        {"30,14,7", 66 * DAY, 31 * DAY, false, ALERT_OK, 0},
        {"30,14,7", 30 * DAY, 30 * DAY, true, ALERT_WARNING, -30 * DAY},
        /* a shorter one shrinks them all: 15, 7 and 3.5 days */
        {"30,14,7", 15 * DAY, 15 * DAY + 1, false, ALERT_OK, 0},
        {"30,14,7", 15 * DAY, 15 * DAY, true, ALERT_WARNING, -30 * DAY},
        {"30,14,7", 15 * DAY, 7 * DAY, true, ALERT_WARNING, -14 * DAY},
        {"30,14,7", 15 * DAY, 4 * DAY, true, ALERT_WARNING, -14 * DAY},
        {"30,14,7", 15 * DAY, 84 * HOUR, true, ALERT_CRITICAL, -7 * DAY},
        {"30,14,7", 15 * DAY, -1, true, ALERT_CRITICAL, 1},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct alert_levels levels = left(rows[i].levels);
        struct alert_item item = {.severity = ALERT_OK};
        assert_int_equal(alert_judge_left(&levels, rows[i].lead_s, rows[i].left_s, &item),
                         rows[i].reached);
        assert_int_equal(item.severity, rows[i].severity);
        assert_int_equal(item.urgency, rows[i].urgency);
        assert_int_equal(item.expired, rows[i].left_s < 0);
    }
}

static void test_waiting_has_levels(void **state UNUSED)
{
    struct alert_levels levels = waited("3d,7d");
    struct alert_item item = {.severity = ALERT_OK};

    assert_false(alert_judge_waited(&levels, 3 * DAY - 1, &item));
    assert_false(alert_judge_waited(&levels, -DAY, &item)); /* the clock was set back */
    assert_true(alert_judge_waited(&levels, 3 * DAY, &item));
    assert_int_equal(item.severity, ALERT_WARNING);
    assert_true(alert_judge_waited(&levels, 7 * DAY, &item));
    assert_int_equal(item.severity, ALERT_CRITICAL);
}

static void test_an_alert_is_due_once_a_level_and_when_repeated(void **state UNUSED)
{
    static const struct alert_sent last = {.urgency = -14, .sent_s = 1000};

    assert_true(alert_is_due(NULL, -30, 1000, 0));
    assert_false(alert_is_due(&last, -14, 999999, 0));
    assert_false(alert_is_due(&last, -30, 999999, 0)); /* less bad than what was told */
    assert_true(alert_is_due(&last, -7, 1001, 0));
    assert_false(alert_is_due(&last, -14, 1099, 100));
    assert_true(alert_is_due(&last, -14, 1100, 100));
    assert_true(alert_is_due(&last, -14, 500, 100)); /* the clock was set back */
    assert_false(alert_is_due(&last, -14, 500, 0));
}

static void test_the_worse_of_two(void **state UNUSED)
{
    assert_int_equal(alert_worse(ALERT_OK, ALERT_WARNING), ALERT_WARNING);
    assert_int_equal(alert_worse(ALERT_UNKNOWN, ALERT_WARNING), ALERT_UNKNOWN);
    assert_int_equal(alert_worse(ALERT_CRITICAL, ALERT_UNKNOWN), ALERT_CRITICAL);
}

static void test_sources_are_words(void **state UNUSED)
{
    unsigned sources = 0;
    struct err err = ERR_INIT;

    assert_ok(alert_sources_parse("token,journal", &sources, &err), &err);
    assert_int_equal(sources, ALERT_TOKEN | ALERT_JOURNAL);
    assert_fails(alert_sources_parse("token, mail", &sources, &err), &err, E_CONFIG, "'mail'");
    assert_fails(alert_sources_parse("", &sources, &err), &err, E_CONFIG, "no source");
}

/* Merging */

#define SERIAL "0A:0B:0C:0D:0E:0F:10:11:12"

static const struct alert_rules rules = {
    .left = {.list = {30 * DAY, 7 * DAY}, .count = 2},
    .waited = {.list = {3 * DAY}, .count = 1},
    .now_s = 1800000000,
    .expired_s = 14 * DAY,
};

static struct alert_item certificate(unsigned source, const char *serial, int64_t left_s)
{
    return (struct alert_item){.kind = ALERT_CERTIFICATE,
                               .sources = source,
                               .serial = (char *)(uintptr_t)serial,
                               .at_s = rules.now_s + left_s};
}

static void add(struct alerts *alerts, struct alert_item item)
{
    struct err err = ERR_INIT;

    assert_ok(alerts_add(alerts, &item, &err), &err);
}

static void merge(struct alerts *alerts)
{
    struct err err = ERR_INIT;

    assert_ok(alerts_merge(alerts, &err), &err);
    alerts_judge(alerts, &rules);
}

static void test_one_certificate_of_three_sources_is_one(void **state UNUSED)
{
    AUTO(alerts) struct alerts alerts = ALERTS_INIT;
    struct alert_item listed = certificate(ALERT_INVENTORY, SERIAL, 9 * DAY);
    struct alert_item ordered = certificate(ALERT_JOURNAL, SERIAL, 10 * DAY);
    struct alert_item bound = certificate(ALERT_TOKEN, SERIAL, 10 * DAY);

    listed.is_day = true;
    listed.ca_order = 7;
    listed.ca = (char *)(uintptr_t) "one";
    ordered.order = 3;
    bound.uri = (char *)(uintptr_t) "pkcs11:x";
    bound.lead_s = 30 * DAY;
    add(&alerts, listed);
    add(&alerts, ordered);
    add(&alerts, bound);
    merge(&alerts);
    assert_int_equal(alerts.count, 1);
    const struct alert_item *one = &alerts.list[0];
    assert_int_equal(one->sources, ALERT_SOURCES);
    assert_int_equal(one->at_s, rules.now_s + 10 * DAY); /* the exact end */
    assert_int_equal(one->order, 3);
    assert_int_equal(one->ca_order, 7);
    assert_string_equal(one->ca, "one");
    assert_string_equal(one->uri, "pkcs11:x");
    assert_string_equal(one->subject, "certificate:" SERIAL);
}

static void test_others_are_others(void **state UNUSED)
{
    struct alert_item a = certificate(ALERT_JOURNAL, "01", 10 * DAY);
    struct alert_item rows[] = {certificate(ALERT_TOKEN, "02", 10 * DAY),      /* serial number */
                                certificate(ALERT_TOKEN, "01", 12 * DAY),      /* end */
                                certificate(ALERT_TOKEN, "01", 10 * DAY),      /* key */
                                certificate(ALERT_INVENTORY, "01", 13 * DAY)}; /* day */

    a.has_spki = true;
    rows[2].has_spki = true;
    rows[2].spki[5] = 1;
    rows[3].is_day = true;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(alerts) struct alerts alerts = ALERTS_INIT;
        add(&alerts, a);
        add(&alerts, rows[i]);
        merge(&alerts);
        assert_int_equal(alerts.count, 2);
    }
}

static void test_without_serial_numbers_nothing_is_the_same(void **state UNUSED)
{
    AUTO(alerts) struct alerts alerts = ALERTS_INIT;

    add(&alerts, certificate(ALERT_JOURNAL, NULL, 10 * DAY));
    add(&alerts, certificate(ALERT_TOKEN, NULL, 10 * DAY));
    merge(&alerts);
    assert_int_equal(alerts.count, 2);
}

static void test_what_one_source_knows_to_be_over_is_over(void **state UNUSED)
{
    AUTO(alerts) struct alerts alerts = ALERTS_INIT;
    struct alert_item revoked = certificate(ALERT_INVENTORY, SERIAL, 9 * DAY);

    revoked.is_day = true;
    revoked.over = true;
    add(&alerts, certificate(ALERT_JOURNAL, SERIAL, 10 * DAY));
    add(&alerts, certificate(ALERT_TOKEN, SERIAL, 10 * DAY));
    add(&alerts, revoked);
    merge(&alerts);
    assert_int_equal(alerts.count, 0);
}

/* A token shows another one of the same key: a guess, which the journal knows better. */
static void test_the_journal_knows_what_is_in_use(void **state UNUSED)
{
    for (int ordered = 0; ordered < 2; ordered++) {
        AUTO(alerts) struct alerts alerts = ALERTS_INIT;
        struct alert_item bound = certificate(ALERT_TOKEN, SERIAL, 10 * DAY);
        bound.outlived = true;
        add(&alerts, bound);
        if (ordered) {
            add(&alerts, certificate(ALERT_JOURNAL, SERIAL, 10 * DAY));
        }
        merge(&alerts);
        assert_int_equal(alerts.count, ordered);
    }
}

static void test_others_of_the_same_name_hide_only_what_is_not_ours(void **state UNUSED)
{
    for (int ours = 0; ours < 2; ours++) {
        AUTO(alerts) struct alerts alerts = ALERTS_INIT;
        struct alert_item listed = certificate(ALERT_INVENTORY, SERIAL, 9 * DAY);
        listed.is_day = true;
        listed.superseded = true;
        add(&alerts, listed);
        if (ours) {
            add(&alerts, certificate(ALERT_TOKEN, SERIAL, 10 * DAY));
        }
        merge(&alerts);
        assert_int_equal(alerts.count, ours);
    }
}

static void test_a_day_is_not_over_before_its_end(void **state UNUSED)
{
    AUTO(alerts) struct alerts alerts = ALERTS_INIT;
    struct alert_item today = certificate(ALERT_INVENTORY, SERIAL, -HOUR);
    struct alert_item yesterday =
        certificate(ALERT_INVENTORY, "0B:0B:0C:0D:0E:0F:10:11", -25 * HOUR);

    today.is_day = true;
    yesterday.is_day = true;
    add(&alerts, today);
    add(&alerts, yesterday);
    merge(&alerts);
    assert_int_equal(alerts.count, 2);
    assert_true(alerts.list[0].expired); /* the worst first: it ended before */
    assert_false(alerts.list[1].expired);
}

static void test_the_worst_come_first_and_the_old_is_silent(void **state UNUSED)
{
    AUTO(alerts) struct alerts alerts = ALERTS_INIT;
    struct alert_item order = {.kind = ALERT_ORDER, .order = 4, .at_s = rules.now_s - 4 * DAY};

    add(&alerts, order);
    add(&alerts, certificate(ALERT_TOKEN, "01", 20 * DAY));
    add(&alerts, certificate(ALERT_TOKEN, "02", -2 * DAY));
    add(&alerts, certificate(ALERT_TOKEN, "03", -15 * DAY)); /* for too long */
    add(&alerts, certificate(ALERT_TOKEN, "04", 31 * DAY));  /* not yet */
    merge(&alerts);
    assert_int_equal(alerts.count, 3);
    assert_string_equal(alerts.list[0].serial, "02");
    assert_string_equal(alerts.list[1].subject, "order:4@1799654400");
    assert_string_equal(alerts.list[2].serial, "01");
}

static void test_a_second_wait_of_an_order_is_another_subject(void **state UNUSED)
{
    AUTO(alerts) struct alerts alerts = ALERTS_INIT;
    struct alert_item order = {.kind = ALERT_ORDER, .order = 4, .at_s = rules.now_s - 4 * DAY};

    add(&alerts, order);
    order.at_s -= DAY;
    add(&alerts, order);
    merge(&alerts);
    assert_int_equal(alerts.count, 2);
    assert_string_not_equal(alerts.list[0].subject, alerts.list[1].subject);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels_are_days_or_spans),
        cmocka_unit_test(test_levels_that_make_no_sense_are_refused),
        cmocka_unit_test(test_the_last_level_is_critical),
        cmocka_unit_test(test_waiting_has_levels),
        cmocka_unit_test(test_an_alert_is_due_once_a_level_and_when_repeated),
        cmocka_unit_test(test_the_worse_of_two),
        cmocka_unit_test(test_sources_are_words),
        cmocka_unit_test(test_one_certificate_of_three_sources_is_one),
        cmocka_unit_test(test_others_are_others),
        cmocka_unit_test(test_without_serial_numbers_nothing_is_the_same),
        cmocka_unit_test(test_what_one_source_knows_to_be_over_is_over),
        cmocka_unit_test(test_the_journal_knows_what_is_in_use),
        cmocka_unit_test(test_others_of_the_same_name_hide_only_what_is_not_ours),
        cmocka_unit_test(test_a_day_is_not_over_before_its_end),
        cmocka_unit_test(test_the_worst_come_first_and_the_old_is_silent),
        cmocka_unit_test(test_a_second_wait_of_an_order_is_another_subject),
    };

    return UNIT_RUN(tests);
}
