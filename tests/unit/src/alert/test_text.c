/* What alerts look like: the plugin's line, mail, JSON, metrics (src/alert/text.c, mail.c,
 * webhook.c, metrics.c). */
#include "alert/alert.h"
#include "unit/unit.h"

#include <stdlib.h>

enum { DAY = 86400, HOUR = 3600 };

static const struct alert_rules rules = {
    .left = {.list = {30 * DAY, 14 * DAY, 7 * DAY}, .count = 3},
    .waited = {.list = {3 * DAY}, .count = 1},
    .now_s = 1800000000, /* 2027-01-15T08:00:00Z */
};

static char serial[] = "0A:0B";
static char name[] = "www.example.org";
static char hostile[] = "a|b\"\\\n\x1b[31m\xff.example\r\nBcc: x@example.org";
static char approve[] = "a person has to approve it at the CA";

static const struct alert_item soon = {.kind = ALERT_CERTIFICATE,
                                       .severity = ALERT_WARNING,
                                       .sources = ALERT_JOURNAL | ALERT_TOKEN,
                                       .level_s = 14 * DAY,
                                       .at_s = 1800000000 + 12 * DAY + HOUR,
                                       .order = 7,
                                       .ca_order = 4711,
                                       .name = name,
                                       .serial = serial};
static const struct alert_item expired = {.kind = ALERT_CERTIFICATE,
                                          .severity = ALERT_CRITICAL,
                                          .sources = ALERT_INVENTORY,
                                          .expired = true,
                                          .is_day = true,
                                          .at_s = 1800000000 - 3 * DAY,
                                          .name = name};
static const struct alert_item waiting = {.kind = ALERT_ORDER,
                                          .severity = ALERT_WARNING,
                                          .sources = ALERT_JOURNAL,
                                          .order = 8,
                                          .at_s = 1800000000 - 4 * DAY,
                                          .name = name,
                                          .text = approve};
static const struct alert_item odd = {.kind = ALERT_CERTIFICATE,
                                      .severity = ALERT_CRITICAL,
                                      .sources = ALERT_TOKEN,
                                      .at_s = 1800000000 + 90,
                                      .name = hostile};

static struct alert_report report_of(const struct alert_item *const *items, size_t count)
{
    return (struct alert_report){
        .items = items, .count = count, .rules = &rules, .host = "ca1", .now_s = rules.now_s};
}

static const char *line(const struct alert_report *report)
{
    AUTO(buf) struct buf out = BUF_INIT(8192);

    alert_line(report, &out);
    return tmp_printf("%s", buf_str(&out));
}

static void test_a_line_says_what_there_is(void **state UNUSED)
{
    const struct alert_item *items[] = {&expired, &soon, &waiting, &soon};
    struct alert_report report = report_of(items, 4);

    assert_string_equal(
        line(&report),
        "P11ENROLL CRITICAL - 1 certificate has expired, 2 certificates end soon, 1 order waits: "
        "www.example.org 3 days ago, www.example.org in 12 days, order 8 for 4 days and 1 more"
        " | expired=1;;0;0 ending=2;0;;0 waiting=1;0;;0 warning=3;0;;0 critical=1;;0;0"
        " left=-259200s;2592000:;604800:");
}

static void test_a_failure_makes_a_warning_unknown_and_not_a_critical(void **state UNUSED)
{
    const struct alert_item *items[] = {&soon, &expired};
    struct alert_failure failure = {"mail", "whatever"};
    struct alert_report report = report_of(items, 1);

    report.failures = &failure;
    report.failure_count = 1;
    assert_contains(line(&report), "P11ENROLL UNKNOWN - 1 certificate ends soon");
    assert_contains(line(&report), "; mail failed | ");
    report.count = 2;
    assert_contains(line(&report), "P11ENROLL CRITICAL - ");
    report.count = 0;
    assert_contains(line(&report), "P11ENROLL UNKNOWN - no certificate ends soon");
}

static void test_names_of_others_stay_in_their_line(void **state UNUSED)
{
    const struct alert_item *items[] = {&odd};
    struct alert_report report = report_of(items, 1);
    const char *text = line(&report);

    assert_null(strpbrk(text, "\n\r\x1b"));
    assert_ptr_equal(strchr(text, '|'), strrchr(text, '|')); /* one, before the performance data */
    assert_contains(text, "a/b");
}

static const char *sentence(const struct alert_item *item)
{
    AUTO(buf) struct buf out = BUF_INIT(8192);

    alert_sentence(item, rules.now_s, &out);
    return tmp_printf("%s", buf_str(&out));
}

static void test_sentences(void **state UNUSED)
{
    struct alert_item today = expired;

    today.expired = false;
    today.at_s = rules.now_s - 2 * HOUR;
    assert_string_equal(
        sentence(&soon),
        "certificate www.example.org ends in 12 days, on 2027-01-27T09:00:00Z; serial number "
        "0A:0B; order 7; found in: journal, token");
    assert_string_equal(sentence(&expired), "certificate www.example.org expired 3 days ago, on "
                                            "2027-01-12; found in: inventory");
    assert_contains(sentence(&today), "ends today, on 2027-01-15;");
    assert_string_equal(sentence(&waiting),
                        "order 8 for www.example.org waits for 4 days, since 2027-01-11T08:00:00Z: "
                        "a person has to approve it at the CA");
    assert_contains(sentence(&odd), " ends in 90 seconds, on ");
}

/* Mail */

static const struct alert_mail mail = {
    .sendmail = "/bin/true", .to = "ops@example.org, ca@example.org", .from = "p@example.org"};

static void test_a_mail_has_header_and_lines(void **state UNUSED)
{
    const struct alert_item *items[] = {&expired, &waiting};
    struct alert_report report = report_of(items, 2);
    AUTO(buf) struct buf out = BUF_INIT(8192);

    alert_mail_text(&mail, &report, &out);
    assert_golden(buf_str(&out),
                  "From: p@example.org\n"
                  "To: ops@example.org,\n"
                  " ca@example.org\n"
                  "Subject: p11enroll CRITICAL on ca1: 1 certificate, 1 order\n"
                  "Date: Fri, 15 Jan 2027 08:00:00 +0000\n"
                  "Auto-Submitted: auto-generated\n"
                  "MIME-Version: 1.0\n"
                  "Content-Type: text/plain; charset=utf-8\n"
                  "Content-Transfer-Encoding: 8bit\n"
                  "\n"
                  "CRITICAL: certificate www.example.org expired 3 days ago, on 2027-01-12; found "
                  "in: inventory\n"
                  "WARNING: order 8 for www.example.org waits for 4 days, since "
                  "2027-01-11T08:00:00Z: a person has to approve it at the CA\n"
                  "\n"
                  "Sent by 'p11enroll alert' on ca1, once for each level.\n");
}

static void test_names_of_others_begin_no_line_of_a_mail(void **state UNUSED)
{
    const struct alert_item *items[] = {&odd};
    struct alert_report report = report_of(items, 1);
    AUTO(buf) struct buf out = BUF_INIT(8192);

    alert_mail_text(&mail, &report, &out);
    assert_lacks(buf_str(&out), "\nBcc");
    assert_lacks(buf_str(&out), "\r");
    assert_lacks(buf_str(&out), "\x1b");
}

static void test_no_line_of_a_mail_is_too_long(void **state UNUSED)
{
    char long_name[1000];
    struct alert_item item = odd;
    const struct alert_item *items[] = {&item};
    struct alert_report report = report_of(items, 1);
    AUTO(buf) struct buf out = BUF_INIT(8192);

    memset(long_name, 1, sizeof(long_name) - 1); /* each is written as four characters */
    long_name[sizeof(long_name) - 1] = '\0';
    item.name = long_name;
    item.serial = long_name;
    alert_mail_text(&mail, &report, &out);
    for (const char *p = buf_str(&out); *p != '\0'; p = strchr(p, '\n') + 1) {
        assert_in_range(strcspn(p, "\n"), 0, 998);
    }
    assert_contains(buf_str(&out), "...\n\nSent by");
}

static void test_addresses_are_checked(void **state UNUSED)
{
    static const struct {
        const char *to;
        bool good;
    } rows[] = {
        {"root", true},        {"a@b", true},
        {" a@b , c@d ", true}, {"a+b_c=d@[1.2.3.4]", false},
        {"", false},           {" , ", false},
        {"-oQ/tmp@x", false},  {"a b@c", false},
        {"a@b;c@d", false},    {"<a@b>", false},
        {"a@", false},         {"@b", false},
        {"\"x\"@b", false},    {"a@b\nc", false},
        {"|cat", false},       {"/etc/passwd", false},
        {"\xc3\xa4@b", false}, {"a@b,,c@d", true},
        {"a@b, -v", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct alert_mail to = mail;
        struct err err = ERR_INIT;
        to.to = rows[i].to;
        if (alert_mail_check(&to, &err) != rows[i].good) {
            fail_msg("'%s': %s", rows[i].to, err.msg);
        }
    }
}

static void test_programs_are_checked(void **state UNUSED)
{
    struct alert_mail to = mail;
    struct err err = ERR_INIT;

    to.sendmail = "sendmail";
    assert_fails(alert_mail_check(&to, &err), &err, E_CONFIG, "not named from the root");
    to.sendmail = "/etc/passwd";
    assert_fails(alert_mail_check(&to, &err), &err, E_CONFIG, "not a program that can be run");
    to.sendmail = tmp_file(tmp_dir(), "m", "#!/bin/sh\n", 10, 0777);
    assert_fails(alert_mail_check(&to, &err), &err, E_CONFIG, "everybody can change");
    to = mail;
    to.from = "-oops";
    assert_fails(alert_mail_check(&to, &err), &err, E_CONFIG, "alert_mail_from");
}

/* Programs */

static bool run_sh(const char *script, const char *input, int64_t timeout_ms, struct err *err)
{
    const char *const args[] = {"/bin/sh", "-c", script, NULL};
    AUTO(buf) struct buf text = BUF_INIT(1 << 22);
    struct alert_program program = {.args = args, .input = &text, .timeout_ms = timeout_ms};

    buf_add_str(&text, input);
    return alert_run(&program, err);
}

static void test_a_program_gets_its_input_and_nothing_else(void **state UNUSED)
{
    const char *dir = tmp_dir();
    struct err err = ERR_INIT;

    assert_int_equal(setenv("P11ENROLL_SECRET", "x", 1), 0);
    assert_ok(run_sh(tmp_printf("cat >%s/in; env >%s/env; ls /proc/self/fd >%s/fds", dir, dir, dir),
                     "one\ntwo\n", 20000, &err),
              &err);
    assert_string_equal(tmp_read(tmp_join(dir, "in")), "one\ntwo\n");
    assert_lacks(tmp_read(tmp_join(dir, "env")), "P11ENROLL_SECRET");
    assert_string_equal(tmp_read(tmp_join(dir, "fds")), "0\n1\n2\n3\n"); /* 3 is that of ls */
}

static void test_a_program_that_fails_is_quoted(void **state UNUSED)
{
    struct err err = ERR_INIT;

    assert_fails(
        run_sh("echo first >&2; printf 'no \\033[31mspool\\n\\n' >&2; exit 75", "", 20000, &err),
        &err, E_HOOK, "'/bin/sh' ended with status 75: no \\x1b[31mspool");
    assert_fails(run_sh("exit 1", "", 20000, &err), &err, E_HOOK, "it said nothing");
    assert_fails(run_sh("kill -9 $$", "", 20000, &err), &err, E_HOOK, "was killed by signal 9");
}

static void test_a_program_may_leave_its_input_and_talk_much(void **state UNUSED)
{
    AUTO(buf) struct buf much = BUF_INIT(1 << 20);
    struct err err = ERR_INIT;

    for (int i = 0; i < 100000; i++) {
        buf_add_str(&much, "0123456789");
    }
    assert_ok(run_sh("exit 0", buf_str(&much), 20000, &err), &err);
    assert_fails(run_sh("cat >&2; echo; echo the end >&2; exit 3", buf_str(&much), 20000, &err),
                 &err, E_HOOK, "ended with status 3");
}

static void test_a_program_that_hangs_is_ended_with_all_it_started(void **state UNUSED)
{
    struct err err = ERR_INIT;

    assert_fails(run_sh("trap '' TERM; sleep 600 & wait; sleep 600", "", 300, &err), &err, E_HOOK,
                 "did not end within 0 seconds and was ended");
}

static void test_a_program_that_is_not_there(void **state UNUSED)
{
    const char *const args[] = {"/nowhere/sendmail", NULL};
    struct buf none = BUF_INIT(1);
    struct alert_program program = {.args = args, .input = &none, .timeout_ms = 1000};
    struct err err = ERR_INIT;

    assert_fails(alert_run(&program, &err), &err, E_HOOK, "could not be started");
}

/* JSON and metrics */

static void test_json_has_what_is_known(void **state UNUSED)
{
    const struct alert_item *items[] = {&soon, &waiting};
    struct alert_report report = report_of(items, 2);
    AUTO(buf) struct buf out = BUF_INIT(8192);
    struct err err = ERR_INIT;

    assert_ok(alert_webhook_json(&report, &out, &err), &err);
    assert_string_equal(
        buf_str(&out),
        "{\"schema\":1,\"program\":\"p11enroll\",\"host\":\"ca1\",\"at\":\"2027-01-15T08:00:00Z\","
        "\"status\":\"WARNING\",\"alerts\":[{\"kind\":\"certificate\",\"severity\":\"WARNING\","
        "\"text\":\"certificate www.example.org ends in 12 days, on 2027-01-27T09:00:00Z; serial "
        "number 0A:0B; "
        "order 7; found in: journal, "
        "token\",\"level_seconds\":1209600,\"name\":\"www.example.org\","
        "\"serial\":\"0A:0B\",\"not_after\":\"2027-01-27T09:00:00Z\",\"found_in\":\"journal, "
        "token\",\"order\":7,"
        "\"ca_order\":4711},{\"kind\":\"order\",\"severity\":\"WARNING\",\"text\":\"order 8 for "
        "www.example.org "
        "waits for 4 days, since 2027-01-11T08:00:00Z: a person has to approve it at the "
        "CA\",\"level_seconds\":0,"
        "\"name\":\"www.example.org\",\"since\":\"2027-01-11T08:00:00Z\",\"found_in\":\"journal\","
        "\"order\":8}]}");
}

static void test_urls_are_checked(void **state UNUSED)
{
    static const struct {
        const char *url;
        bool good;
    } rows[] = {
        {"https://a.example", true},
        {"https://a.example:8443/x?y=z", true},
        {"HTTPS://a.example/x", true},
        {"https://a.example?x=1", true},
        {"http://a.example/", false},
        {"https://", false},
        {"https:///x", false},
        {"https://u@a.example/", false},
        {"https://a.example/x y", false},
        {"https://a.example/#x", false},
        {"https://a.example/\x01", false},
        {"file:///etc/passwd", false},
        {"https://a.example/\xc3\xa4", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct alert_webhook webhook = {.url = rows[i].url, .timeout_ms = 1000};
        struct err err = ERR_INIT;
        if (alert_webhook_check(&webhook, &err) != rows[i].good) {
            fail_msg("'%s': %s", rows[i].url, err.msg);
        }
    }
}

static void test_metrics_escape_labels(void **state UNUSED)
{
    const struct alert_item *items[] = {&odd, &waiting};
    struct alert_report report = report_of(items, 2);
    AUTO(buf) struct buf out = BUF_INIT(8192);

    alert_metrics_text(&report, &out);
    const char *text = buf_str(&out);
    assert_contains(text, "p11enroll_alerts{severity=\"critical\"} 1\n");
    assert_contains(text, "{name=\"a|b\\\"\\\\");
    assert_contains(text, ",serial=\"\",found_in=\"token\",severity=\"critical\"} 1800000090\n");
    assert_contains(text,
                    "p11enroll_order_waiting_since_seconds{order=\"8\",name=\"www.example.org\","
                    "severity=\"warning\"} 1799654400\n");
    assert_null(strchr(text, 0x1b));
    assert_null(strchr(text, '\xff'));
    for (const char *p = strchr(text, '\n'); p != NULL; p = strchr(p + 1, '\n')) {
        assert_true(p[1] == '\0' || p[1] == '#' || strncmp(p + 1, "p11enroll_", 10) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_says_what_there_is),
        cmocka_unit_test(test_a_failure_makes_a_warning_unknown_and_not_a_critical),
        cmocka_unit_test(test_names_of_others_stay_in_their_line),
        cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_a_mail_has_header_and_lines),
        cmocka_unit_test(test_names_of_others_begin_no_line_of_a_mail),
        cmocka_unit_test(test_no_line_of_a_mail_is_too_long),
        cmocka_unit_test(test_addresses_are_checked),
        cmocka_unit_test(test_programs_are_checked),
        cmocka_unit_test(test_a_program_gets_its_input_and_nothing_else),
        cmocka_unit_test(test_a_program_that_fails_is_quoted),
        cmocka_unit_test(test_a_program_may_leave_its_input_and_talk_much),
        cmocka_unit_test(test_a_program_that_hangs_is_ended_with_all_it_started),
        cmocka_unit_test(test_a_program_that_is_not_there),
        cmocka_unit_test(test_json_has_what_is_known),
        cmocka_unit_test(test_urls_are_checked),
        cmocka_unit_test(test_metrics_escape_labels),
    };

    return UNIT_RUN(tests);
}
