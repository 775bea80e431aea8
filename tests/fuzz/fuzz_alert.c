/* What alerts make of texts that others wrote (names, serial numbers, words of a CA), and of their
 * own settings: levels, sources, addresses, URLs. */
#include "fuzz/fuzz.h"

#include "alert/alert.h"
#include "base/str.h"
#include "json/json.h"

enum { NOW_S = 1800000000, TEXT_MAX = 1 << 20 };

static struct alert_rules rules = {
    .left = {.list = {2592000, 604800}, .count = 2},
    .waited = {.list = {0}, .count = 1},
    .now_s = NOW_S,
    .expired_s = 86400,
};

/* The line has one bar and no end; every line of a mail and of the metrics is one of ours. */
static void check_texts(const struct alert_report *report)
{
    static const struct alert_mail mail = {.to = "a@b", .from = NULL};
    AUTO(buf) struct buf line = BUF_INIT(TEXT_MAX);
    AUTO(buf) struct buf text = BUF_INIT(TEXT_MAX);
    AUTO(buf) struct buf metrics = BUF_INIT(TEXT_MAX);

    alert_line(report, &line);
    CHECK(buf_ok(&line) && strpbrk(buf_str(&line), "\r\n\x1b") == NULL);
    CHECK(strchr(buf_str(&line), '|') == strrchr(buf_str(&line), '|'));
    CHECK(str_is_utf8(line.data, line.len));
    alert_mail_text(&mail, report, &text);
    CHECK(buf_ok(&text) && strpbrk(buf_str(&text), "\r\x1b") == NULL);
    const char *body = strstr(buf_str(&text), "\n\n");
    CHECK(body != NULL && str_is_utf8(text.data, text.len));
    for (const char *p = body + 2; *p != '\0' && *p != '\n'; p = strchr(p, '\n') + 1) {
        CHECK(str_starts_with(p, "WARNING: ") || str_starts_with(p, "CRITICAL: "));
        CHECK(strcspn(p, "\n") <= 998);
    }
    alert_metrics_text(report, &metrics);
    CHECK(buf_ok(&metrics) && str_is_utf8(metrics.data, metrics.len));
    for (const char *p = buf_str(&metrics); *p != '\0'; p = strchr(p, '\n') + 1) {
        CHECK(*p == '#' || str_starts_with(p, "p11enroll_"));
    }
}

static void check_json(const struct alert_report *report)
{
    AUTO(buf) struct buf out = BUF_INIT(TEXT_MAX);
    AUTO(json) json *doc = NULL;
    struct err err = ERR_INIT;

    CHECK(alert_webhook_json(report, &out, &err));
    CHECK(json_parse(out.data, out.len, &doc, &err));
    CHECK(json_count(json_member(doc, "alerts")) == report->count);
}

/* Two certificates and an order with that text wherever a text is. */
static void check_items(char *text)
{
    AUTO(alerts) struct alerts alerts = ALERTS_INIT;
    struct err err = ERR_INIT;
    struct alert_item item = {.kind = ALERT_CERTIFICATE,
                              .sources = ALERT_INVENTORY,
                              .at_s = NOW_S + 86400,
                              .name = text,
                              .names = text,
                              .serial = text,
                              .ca = text,
                              .uri = text,
                              .text = text};

    CHECK(alerts_add(&alerts, &item, &err));
    item.sources = ALERT_TOKEN;
    CHECK(alerts_add(&alerts, &item, &err));
    item.kind = ALERT_ORDER;
    item.order = 1;
    item.at_s = NOW_S - 86400;
    CHECK(alerts_add(&alerts, &item, &err));
    CHECK(alerts_merge(&alerts, &err));
    alerts_judge(&alerts, &rules);
    CHECK(alerts.count == 2); /* the certificate is one */
    const struct alert_item *items[] = {&alerts.list[0], &alerts.list[1]};
    struct alert_report report = {
        .items = items, .count = 2, .rules = &rules, .host = "h", .now_s = NOW_S};
    check_texts(&report);
    check_json(&report);
}

static void check_settings(const char *text)
{
    struct alert_levels levels = {.count = 0};
    struct alert_mail mail = {.sendmail = "/bin/sh", .to = text};
    unsigned sources = 0;
    struct err err = ERR_INIT;

    if (alert_levels_left(text, &levels, &err)) {
        CHECK(levels.count > 0 && levels.count <= ALERT_LEVELS_MAX);
        for (size_t i = 1; i < levels.count; i++) {
            CHECK(levels.list[i] < levels.list[i - 1] && levels.list[i] >= 0);
        }
    } else {
        CHECK_ERR(err);
    }
    err_clear(&err);
    CHECK(!alert_sources_parse(text, &sources, &err) || (sources & ~(unsigned)ALERT_SOURCES) == 0);
    err_clear(&err);
    if (alert_mail_check(&mail, &err)) {
        CHECK(strpbrk(text, "<>()[]\\;:\"\x7f") == NULL && strstr(text, ",-") == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(str) char *text = fuzz_text(data, size);

    check_items(text);
    check_settings(text);
    return 0;
}
