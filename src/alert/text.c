#include "alert/alert.h"

#include "base/clock.h"
#include "base/str.h"

#include <string.h>

enum { DAY_S = 86400, HOUR_S = 3600, MINUTE_S = 60, NAME_SHOWN = 120, NAMED_IN_LINE = 3 };

static int64_t positive(int64_t value)
{
    return value < 0 ? -value : value;
}

/* "12 days" */
static void add_span(struct buf *out, int64_t span_s)
{
    static const struct {
        int64_t unit_s;
        const char *name;
    } units[] = {{DAY_S, "day"}, {HOUR_S, "hour"}, {MINUTE_S, "minute"}, {1, "second"}};
    size_t i = 0;

    while (i + 1 < ARRAY_LEN(units) && span_s < 2 * units[i].unit_s) {
        i++;
    }
    int64_t number = span_s / units[i].unit_s;
    buf_addf(out, "%lld %s%s", (long long)number, units[i].name, number == 1 ? "" : "s");
}

/* Names come from CAs and tokens. */
static void add_name(struct buf *out, const char *name)
{
    str_add_quotable(out, name, strlen(name), NAME_SHOWN);
}

static const char *name_of(const struct alert_item *item)
{
    return item->name != NULL ? item->name : item->serial != NULL ? item->serial : "(no name)";
}

static void add_certificate(const struct alert_item *item, int64_t now_s, struct buf *out)
{
    char at[CLOCK_TEXT_SIZE];
    int64_t left = item->at_s - now_s;

    clock_format(item->at_s, at);
    buf_add_str(out, "certificate ");
    add_name(out, name_of(item));
    if (item->expired) {
        buf_add_str(out, " expired ");
        add_span(out, -left);
        buf_add_str(out, " ago, on ");
    } else if (left < 0) { /* it is known to the day */
        buf_add_str(out, " ends today, on ");
    } else {
        buf_add_str(out, " ends in ");
        add_span(out, left);
        buf_add_str(out, ", on ");
    }
    buf_addf(out, "%.*s", item->is_day ? 10 : CLOCK_TEXT_SIZE, at);
    if (item->serial != NULL) {
        buf_add_str(out, "; serial number ");
        add_name(out, item->serial);
    }
    if (item->order != 0) {
        buf_addf(out, "; order %lld", (long long)item->order);
    }
    buf_add_str(out, "; found in: ");
    alert_sources_text(item->sources, out);
}

static void add_order(const struct alert_item *item, int64_t now_s, struct buf *out)
{
    char at[CLOCK_TEXT_SIZE];

    clock_format(item->at_s, at);
    buf_addf(out, "order %lld for ", (long long)item->order);
    add_name(out, name_of(item));
    buf_add_str(out, " waits for ");
    add_span(out, positive(now_s - item->at_s));
    buf_addf(out, ", since %s", at);
    if (item->text != NULL) {
        buf_add_str(out, ": ");
        str_add_quotable(out, item->text, strlen(item->text), 2 * NAME_SHOWN);
    }
}

void alert_sentence(const struct alert_item *item, int64_t now_s, struct buf *out)
{
    if (item->kind == ALERT_ORDER) {
        add_order(item, now_s, out);
    } else {
        add_certificate(item, now_s, out);
    }
}

static void count_one(const struct alert_item *item, int64_t now_s, struct alert_summary *out)
{
    out->warning += item->severity == ALERT_WARNING ? 1 : 0;
    out->critical += item->severity == ALERT_CRITICAL ? 1 : 0;
    out->severity = alert_worse(out->severity, item->severity);
    if (item->kind == ALERT_ORDER) {
        out->waiting++;
        return;
    }
    out->expired += item->expired ? 1 : 0;
    out->ending += item->expired ? 0 : 1;
    int64_t left = item->at_s - now_s;
    if (!out->has_left || left < out->left_s) {
        out->has_left = true;
        out->left_s = left;
    }
}

void alert_summarize(const struct alert_report *report, struct alert_summary *out)
{
    *out = (struct alert_summary){.severity = ALERT_OK};
    for (size_t i = 0; i < report->count; i++) {
        count_one(report->items[i], report->now_s, out);
    }
    if (report->failure_count > 0) {
        out->severity = alert_worse(out->severity, ALERT_UNKNOWN);
    }
}

/* What stands in the line of one alert: "www.example.org in 3 days". */
static void add_brief(const struct alert_item *item, int64_t now_s, struct buf *out)
{
    if (item->kind == ALERT_ORDER) {
        buf_addf(out, "order %lld for ", (long long)item->order);
        add_span(out, positive(now_s - item->at_s));
        return;
    }
    add_name(out, name_of(item));
    if (!item->expired && item->at_s < now_s) {
        buf_add_str(out, " today");
        return;
    }
    buf_add_str(out, item->expired ? " " : " in ");
    add_span(out, positive(item->at_s - now_s));
    buf_add_str(out, item->expired ? " ago" : "");
}

/* The worst few by name. */
static void add_briefs(const struct alert_report *report, struct buf *out)
{
    size_t shown = report->count < NAMED_IN_LINE ? report->count : NAMED_IN_LINE;

    for (size_t i = 0; i < shown; i++) {
        buf_add_str(out, i > 0 ? ", " : ": ");
        add_brief(report->items[i], report->now_s, out);
    }
    if (report->count > shown) {
        buf_addf(out, " and %zu more", report->count - shown);
    }
}

static void add_counts(const struct alert_summary *sum, struct buf *out)
{
    const struct {
        size_t count;
        const char *one, *many;
    } rows[] = {
        {sum->expired, "certificate has expired", "certificates have expired"},
        {sum->ending, "certificate ends soon", "certificates end soon"},
        {sum->waiting, "order waits", "orders wait"},
    };
    const char *between = "";

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].count > 0) {
            buf_addf(out, "%s%zu %s", between, rows[i].count,
                     rows[i].count == 1 ? rows[i].one : rows[i].many);
            between = ", ";
        }
    }
    if (between[0] == '\0') {
        buf_add_str(out, "no certificate ends soon, no order waits");
    }
}

/* 'label'=value[unit];warn;crit;min: "30:" means that less than 30 is too little. */
static void add_performance(const struct alert_report *report, const struct alert_summary *sum,
                            struct buf *out)
{
    const struct alert_levels *left = &report->rules->left;

    buf_addf(out,
             " | expired=%zu;;0;0 ending=%zu;0;;0 waiting=%zu;0;;0 warning=%zu;0;;0 "
             "critical=%zu;;0;0",
             sum->expired, sum->ending, sum->waiting, sum->warning, sum->critical);
    if (sum->has_left) {
        buf_addf(out, " left=%llds;%lld:;%lld:", (long long)sum->left_s, (long long)left->list[0],
                 (long long)left->list[left->count - 1]);
    }
}

void alert_line(const struct alert_report *report, struct buf *out)
{
    struct alert_summary sum;
    size_t begin = out->len;

    alert_summarize(report, &sum);
    buf_addf(out, "P11ENROLL %s - ", alert_severity_name(sum.severity));
    add_counts(&sum, out);
    add_briefs(report, out);
    for (size_t i = 0; i < report->failure_count; i++) {
        buf_addf(out, "; %s failed", report->failures[i].what);
    }
    for (size_t i = begin; i < out->len; i++) { /* the bar begins the performance data */
        out->data[i] = out->data[i] == '|' ? (uint8_t)'/' : out->data[i];
    }
    add_performance(report, &sum, out);
}
