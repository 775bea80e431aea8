#include "alert/alert.h"

#include "base/str.h"

#include <string.h>

enum { LABEL_MAX = 200 };

/* A label's value: backslash, quote and line end are escaped; what is no UTF-8 is made printable.
 */
static void add_label(struct buf *out, const char *name, const char *value)
{
    AUTO(buf) struct buf safe = BUF_INIT(5 * LABEL_MAX);

    if (value == NULL) {
        value = "";
    }
    str_add_quotable(&safe, value, strlen(value), LABEL_MAX);
    buf_addf(out, "%s=\"", name);
    for (const char *p = buf_str(&safe); *p != '\0'; p++) {
        if (*p == '\\' || *p == '"') {
            buf_add_byte(out, '\\');
        }
        buf_add_byte(out, (uint8_t)*p);
    }
    buf_add_byte(out, '"');
}

static void add_help(struct buf *out, const char *name, const char *help)
{
    buf_addf(out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

static void add_certificates(const struct alert_report *report, struct buf *out)
{
    static const char name[] = "p11enroll_certificate_not_after_seconds";

    add_help(out, name, "When a certificate ends that has reached a level of alerts.");
    for (size_t i = 0; i < report->count; i++) {
        const struct alert_item *item = report->items[i];
        AUTO(buf) struct buf sources = BUF_INIT(64);
        if (item->kind != ALERT_CERTIFICATE) {
            continue;
        }
        alert_sources_text(item->sources, &sources);
        buf_addf(out, "%s{", name);
        add_label(out, "name", item->name);
        buf_add_byte(out, ',');
        add_label(out, "serial", item->serial);
        buf_add_byte(out, ',');
        add_label(out, "found_in", buf_str(&sources));
        buf_add_byte(out, ',');
        add_label(out, "severity", item->severity == ALERT_CRITICAL ? "critical" : "warning");
        buf_addf(out, "} %lld\n", (long long)item->at_s);
    }
}

static void add_orders(const struct alert_report *report, struct buf *out)
{
    static const char name[] = "p11enroll_order_waiting_since_seconds";

    add_help(out, name, "Since when an order waits that has reached a level of alerts.");
    for (size_t i = 0; i < report->count; i++) {
        const struct alert_item *item = report->items[i];
        if (item->kind != ALERT_ORDER) {
            continue;
        }
        buf_addf(out, "%s{order=\"%lld\",", name, (long long)item->order);
        add_label(out, "name", item->name);
        buf_add_byte(out, ',');
        add_label(out, "severity", item->severity == ALERT_CRITICAL ? "critical" : "warning");
        buf_addf(out, "} %lld\n", (long long)item->at_s);
    }
}

void alert_metrics_text(const struct alert_report *report, struct buf *out)
{
    struct alert_summary sum;

    alert_summarize(report, &sum);
    add_help(out, "p11enroll_alerts", "Certificates and orders that have reached a level.");
    buf_addf(out, "p11enroll_alerts{severity=\"warning\"} %zu\n", sum.warning);
    buf_addf(out, "p11enroll_alerts{severity=\"critical\"} %zu\n", sum.critical);
    add_help(out, "p11enroll_alert_failures",
             "Sources that could not be read and places that alerts could not be delivered to.");
    buf_addf(out, "p11enroll_alert_failures %zu\n", report->failure_count);
    add_help(out, "p11enroll_alert_last_run_seconds", "When p11enroll alert ran.");
    buf_addf(out, "p11enroll_alert_last_run_seconds %lld\n", (long long)report->now_s);
    add_certificates(report, out);
    add_orders(report, out);
}
