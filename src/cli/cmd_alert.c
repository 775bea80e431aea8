/* What ends soon and what waits too long; its output and exit status are those of a plugin for
 * Nagios and its kin. */
#include "cli/cli.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool cli_is_plugin(const struct cmd *cmd)
{
    return cmd->run == cmd_alert;
}

/* A bar begins performance data, in each line. */
static void without_bars(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        text[i] = text[i] == '|' ? '/' : text[i];
    }
}

void cli_plugin_failed(struct out *out, const struct err *err)
{
    AUTO(buf) struct buf line = BUF_INIT(8192);

    buf_addf(&line, "P11ENROLL %s - ", alert_severity_name(ALERT_UNKNOWN));
    str_add_quotable(&line, err->msg, strlen(err->msg), sizeof(err->msg));
    without_bars((char *)line.data, line.len);
    buf_add_str(&line, "\n");
    out_block(out, "line", buf_str(&line));
}

/* For people a line each; the rest is for programs. */
static const struct out_column item_columns[] = {
    {"severity", "SEVERITY", 8, false}, {"text", "ALERT", 0, false},  {"kind", NULL, 0, false},
    {"name", NULL, 0, false},           {"serial", NULL, 0, false},   {"order", NULL, 0, true},
    {"ca_order", NULL, 0, true},        {"ca", NULL, 0, false},       {"at", NULL, 0, false},
    {"renew_from", NULL, 0, false},     {"found_in", NULL, 0, false}, {"uri", NULL, 0, false},
};

static void print_item(struct cli *cli, const struct alert_item *item, int64_t now_s)
{
    AUTO(buf) struct buf text = BUF_INIT(4096);
    AUTO(buf) struct buf sources = BUF_INIT(64);
    char order[24];
    char ca_order[24];
    char at[CLOCK_TEXT_SIZE];
    char renew[CLOCK_TEXT_SIZE];

    alert_sentence(item, now_s, &text);
    if (!cli->common.json) {
        without_bars((char *)text.data, text.len);
    }
    alert_sources_text(item->sources, &sources);
    (void)snprintf(order, sizeof(order), "%lld", (long long)item->order);
    (void)snprintf(ca_order, sizeof(ca_order), "%lld", (long long)item->ca_order);
    clock_format(item->at_s, at);
    clock_format(item->at_s - item->lead_s, renew);
    const char *cells[] = {alert_severity_name(item->severity),
                           buf_str(&text),
                           item->kind == ALERT_ORDER ? "order" : "certificate",
                           item->name,
                           item->serial,
                           item->order != 0 ? order : NULL,
                           item->ca_order != 0 ? ca_order : NULL,
                           item->ca,
                           at,
                           item->lead_s > 0 ? renew : NULL,
                           buf_str(&sources),
                           item->uri};
    out_row(&cli->out, cells);
}

static const struct out_column sink_columns[] = {
    {"sink", "SINK", 8, false},
    {"alerts", "ALERTS", 6, true},
    {"result", "RESULT", 0, false},
    {"failure", NULL, 0, false},
};

static void print_sinks(struct cli *cli, const struct app_alerted *alerted, bool dry_run)
{
    char number[24];

    out_table(&cli->out, "sinks", sink_columns, ARRAY_LEN(sink_columns), NULL);
    for (size_t i = 0; i < alerted->sink_count; i++) {
        const struct app_alert_sink *sink = &alerted->sinks[i];
        (void)snprintf(number, sizeof(number), "%zu", sink->due);
        const char *cells[] = {sink->name, number,
                               sink->failed      ? "failed"
                               : sink->delivered ? "delivered"
                               : dry_run         ? "would be delivered"
                                                 : "nothing new",
                               sink->failed ? sink->err.msg : NULL};
        out_row(&cli->out, cells);
    }
    out_table_end(&cli->out);
}

static const struct out_column failure_columns[] = {
    {"what", "FAILED", 20, false},
    {"why", "WHY", 0, false},
};

static void print_failures(struct cli *cli, const struct app_alerted *alerted)
{
    char why[sizeof(alerted->errs[0].msg)];

    out_table(&cli->out, "failures", failure_columns, ARRAY_LEN(failure_columns), NULL);
    for (size_t i = 0; i < alerted->failure_count; i++) {
        (void)snprintf(why, sizeof(why), "%s", alerted->errs[i].msg);
        if (!cli->common.json) {
            without_bars(why, strlen(why));
        }
        const char *cells[] = {alerted->failed[i], why};
        out_row(&cli->out, cells);
    }
    out_table_end(&cli->out);
}

/* A critical alert that nobody was told of is not done with: the exit status is that of a failure,
 * whatever the line says. */
static bool was_delivered(const struct app_alerted *alerted)
{
    for (size_t i = 0; i < alerted->sink_count; i++) {
        if (alerted->sinks[i].failed) {
            return false;
        }
    }
    return true;
}

static bool print(struct cli *cli, const struct app_alerted *alerted, bool dry_run, struct err *err)
{
    AUTO(mem) void *room = calloc(alerted->alerts.count + 1, sizeof(struct alert_item *));
    const struct alert_item **items = room;
    struct alert_failure failures[APP_ALERT_FAILURES];
    AUTO(buf) struct buf line = BUF_INIT(64 * 1024);
    struct alert_summary sum;

    if (items == NULL) {
        return err_nomem(err);
    }
    for (size_t i = 0; i < alerted->alerts.count; i++) {
        items[i] = &alerted->alerts.list[i];
    }
    for (size_t i = 0; i < alerted->failure_count; i++) {
        failures[i] = (struct alert_failure){alerted->failed[i], alerted->errs[i].msg};
    }
    struct alert_report report = {.items = items,
                                  .count = alerted->alerts.count,
                                  .failures = failures,
                                  .failure_count = alerted->failure_count,
                                  .rules = &alerted->rules,
                                  .host = alerted->host,
                                  .now_s = alerted->rules.now_s};
    alert_summarize(&report, &sum);
    alert_line(&report, &line);
    buf_add_str(&line, cli->common.json ? "" : "\n");
    out_block(&cli->out, "line", buf_str(&line));
    out_text(&cli->out, "status", NULL, alert_severity_name(sum.severity));
    if (cli->common.json) {
        out_bool(&cli->out, "undated", NULL, alerted->undated);
    } else if (alerted->undated) {
        out_block(&cli->out, "undated",
                  "The inventory does not know when some of the certificates in it end; "
                  "'p11enroll inventory sync --details' asks the CA.\n");
    }
    if (cli->common.json || report.count > 0) {
        out_table(&cli->out, "alerts", item_columns, ARRAY_LEN(item_columns), NULL);
        for (size_t i = 0; i < report.count; i++) {
            print_item(cli, items[i], report.now_s);
        }
        out_table_end(&cli->out);
    }
    if (cli->common.json || alerted->sink_count > 0) {
        print_sinks(cli, alerted, dry_run);
    }
    if (cli->common.json || alerted->failure_count > 0) {
        print_failures(cli, alerted);
    }
    cli->plugin_status = (int)(dry_run || was_delivered(alerted) ? sum.severity : ALERT_UNKNOWN);
    return true;
}

bool cmd_alert(struct cli *cli, struct err *err)
{
    const struct opts_alert *opts = cli->opts;
    struct app_alert request = {.levels = opts->levels,
                                .sources = opts->sources,
                                .one_token = cli->common.token != NULL,
                                .dry_run = opts->dry_run};
    AUTO(app_alerted) struct app_alerted alerted;

    app_alerted_init(&alerted);
    return cli_journal(cli, NULL, err) && cli_app(cli, err) &&
           app_alert(&cli->app, &request, &alerted, err) &&
           print(cli, &alerted, opts->dry_run, err);
}
