#include "app/app.h"

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char all_sources[] = "journal, inventory, token"; /* unless some are named */

enum { TEXT_MAX = 16 << 20, METRICS_MODE = 0644, LOCK = 0 }; /* there is no order 0 */

/* One run. */
struct telling {
    struct app *app;
    const struct app_alert *request;
    struct journal *journal;
    struct app_alerted *out;
};

void app_alerted_init(struct app_alerted *alerted)
{
    *alerted = (struct app_alerted){.alerts = ALERTS_INIT};
    if (gethostname(alerted->host, sizeof(alerted->host) - 1) != 0 || alerted->host[0] == '\0') {
        (void)snprintf(alerted->host, sizeof(alerted->host), "localhost");
    }
    /* it goes into the header of a mail */
    for (char *p = alerted->host; *p != '\0'; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || *p == '-' || *p == '.' || *p == '_';
        *p = plain ? *p : '?';
    }
}

void app_alerted_done(struct app_alerted *alerted)
{
    alerts_done(&alerted->alerts);
}

static bool read_rules(struct telling *t, struct app_alert_look *look, struct err *err)
{
    const struct config_general *general = t->app->selection.general;
    const char *levels = t->request->levels;
    const char *named = t->request->sources != NULL ? t->request->sources : general->alert_sources;
    struct alert_rules *rules = &t->out->rules;

    rules->now_s = clock_wall_s(t->app->clock);
    rules->expired_s = general->alert_expired_s;
    look->named = named != NULL;
    look->one_token = t->request->one_token;
    return (alert_levels_left(levels != NULL ? levels : general->alert_levels, &rules->left, err) ||
            err_wrap(err, levels != NULL ? "--levels" : "alert_levels")) &&
           (alert_levels_waited(general->alert_waiting, &rules->waited, err) ||
            err_wrap(err, "alert_waiting")) &&
           (alert_sources_parse(named != NULL ? named : all_sources, &look->sources, err) ||
            err_wrap(err, t->request->sources != NULL ? "--sources" : "alert_sources"));
}

/* The report of some alerts; the arrays are the caller's. */
static struct alert_report report_of(const struct telling *t, const struct alert_item *const *items,
                                     size_t count)
{
    return (struct alert_report){.items = items,
                                 .count = count,
                                 .rules = &t->out->rules,
                                 .host = t->out->host,
                                 .now_s = t->out->rules.now_s};
}

/* Those that are to be delivered there now; free() the list. */
static bool choose(struct telling *t, const char *sink, const struct alert_item ***list,
                   size_t *count, struct err *err)
{
    const struct alerts *alerts = &t->out->alerts;
    int64_t repeat_s = t->app->selection.general->alert_repeat_s;
    AUTO(mem) void *room = calloc(alerts->count + 1, sizeof(struct alert_item *));
    const struct alert_item **chosen = room;
    size_t chosen_count = 0;

    if (chosen == NULL) {
        return err_nomem(err);
    }
    for (size_t i = 0; i < alerts->count; i++) {
        const struct alert_item *item = &alerts->list[i];
        struct alert_sent last = {.urgency = 0};
        bool found = false;
        if (!alert_sent_find(journal_db(t->journal), item->subject, sink, &found, &last, err)) {
            return false;
        }
        if (alert_is_due(found ? &last : NULL, item->urgency, t->out->rules.now_s, repeat_s)) {
            chosen[chosen_count++] = item;
        }
    }
    room = NULL;
    *list = chosen;
    *count = chosen_count;
    return true;
}

typedef bool deliver_fn(struct telling *t, const struct alert_report *report, struct err *err);

static bool deliver_mail(struct telling *t, const struct alert_report *report, struct err *err)
{
    const struct config_general *general = t->app->selection.general;
    AUTO(buf) struct buf text = BUF_INIT(TEXT_MAX);
    struct alert_mail mail = {.sendmail = general->alert_sendmail,
                              .to = general->alert_mail,
                              .from = general->alert_mail_from,
                              .timeout_ms = general->alert_timeout_s * 1000,
                              .stop = t->app->stop};

    if (!alert_mail_check(&mail, err)) {
        return false;
    }
    alert_mail_text(&mail, report, &text);
    if (!buf_ok(&text)) {
        return err_nomem(err);
    }
    return t->request->dry_run || alert_mail_send(&mail, &text, err);
}

static bool deliver_webhook(struct telling *t, const struct alert_report *report, struct err *err)
{
    const struct config_general *general = t->app->selection.general;
    AUTO(buf) struct buf body = BUF_INIT(TEXT_MAX);
    AUTO(secret) struct secret token = SECRET_INIT;
    struct alert_webhook webhook = {.url = general->alert_webhook,
                                    .trust_path = general->alert_webhook_trust,
                                    .proxy = general->alert_webhook_proxy,
                                    .token = &token,
                                    .timeout_ms = general->alert_timeout_s * 1000,
                                    .stop = t->app->stop};

    if (!alert_webhook_check(&webhook, err) || !alert_webhook_json(report, &body, err)) {
        return false;
    }
    if (t->request->dry_run) {
        return true;
    }
    if (general->alert_webhook_token_source != NULL &&
        !secret_source_read(general->alert_webhook_token_source, "token for the webhook",
                            &t->app->secrets, &token, err)) {
        return err_wrap(err, "alert_webhook_token_source");
    }
    return alert_webhook_send(&webhook, &body, err);
}

static void fail(struct telling *t, struct app_alert_sink *sink, struct err *err)
{
    struct app_alerted *out = t->out;

    sink->failed = true;
    sink->err = *err;
    if (out->failure_count < APP_ALERT_FAILURES) {
        (void)snprintf(out->failed[out->failure_count], sizeof(out->failed[0]), "%s", sink->name);
        out->errs[out->failure_count++] = *err;
    }
    log_line(LOG_ERROR, "alert", "%zu alert%s not delivered (%s), due again the next time: %s",
             sink->due, sink->due == 1 ? " was" : "s were", sink->name, err->msg);
    err_clear(err);
}

/* What is delivered is written down after it was: if that fails, it is delivered again. */
static bool tell(struct telling *t, struct app_alert_sink *sink, deliver_fn *deliver,
                 struct err *err)
{
    const struct alert_item **list = NULL;
    size_t count = 0;

    if (!choose(t, sink->name, &list, &count, err)) {
        return false;
    }
    AUTO(mem) void *owned UNUSED = (void *)list;
    struct alert_report report = report_of(t, list, count);
    sink->due = count;
    if (count == 0) {
        return true;
    }
    if (!deliver(t, &report, err)) {
        return false;
    }
    sink->delivered = !t->request->dry_run;
    return t->request->dry_run || alert_sent_put(journal_db(t->journal), sink->name, list, count,
                                                 t->out->rules.now_s, err);
}

/* All alerts, each time: whoever reads the file forgets what is not in it. */
static bool write_metrics(struct telling *t, struct app_alert_sink *sink, struct err *err)
{
    const struct app_alerted *out = t->out;
    AUTO(mem) void *room = calloc(out->alerts.count + 1, sizeof(struct alert_item *));
    const struct alert_item **all = room;
    AUTO(buf) struct buf text = BUF_INIT(TEXT_MAX);

    if (all == NULL) {
        return err_nomem(err);
    }
    for (size_t i = 0; i < out->alerts.count; i++) {
        all[i] = &out->alerts.list[i];
    }
    struct alert_report report = report_of(t, all, out->alerts.count);
    report.failure_count = out->failure_count;
    sink->due = out->alerts.count;
    alert_metrics_text(&report, &text);
    if (!buf_ok(&text)) {
        return err_nomem(err);
    }
    if (t->request->dry_run) {
        return true;
    }
    sink->delivered = file_write_atomic(t->app->selection.general->alert_metrics, text.data,
                                        text.len, METRICS_MODE, err);
    return sink->delivered;
}

static struct app_alert_sink *add_sink(struct telling *t, const char *name)
{
    struct app_alert_sink *sink = &t->out->sinks[t->out->sink_count++];

    *sink = (struct app_alert_sink){.name = name};
    return sink;
}

/* The file comes last: it tells of the others' failures. */
static void tell_all(struct telling *t)
{
    const struct config_general *general = t->app->selection.general;
    struct err err = ERR_INIT;

    if (general->alert_mail != NULL) {
        struct app_alert_sink *sink = add_sink(t, "mail");
        if (!tell(t, sink, deliver_mail, &err)) {
            fail(t, sink, &err);
        }
    }
    if (general->alert_webhook != NULL) {
        struct app_alert_sink *sink = add_sink(t, "webhook");
        if (!tell(t, sink, deliver_webhook, &err)) {
            fail(t, sink, &err);
        }
    }
    if (general->alert_metrics != NULL) {
        struct app_alert_sink *sink = add_sink(t, "metrics");
        if (!write_metrics(t, sink, &err)) {
            fail(t, sink, &err);
        }
    }
}

static bool take_lock(struct telling *t, struct order_lock *lock, struct err *err)
{
    if (t->request->dry_run || order_lock_take(t->journal, LOCK, lock, err)) {
        return true;
    }
    return err->code == E_ORDER_BUSY
               ? err_set(err, E_ORDER_BUSY,
                         "another 'p11enroll alert' is under way with the journal in %s",
                         journal_dir(t->journal))
               : false;
}

/* What a source that was not read would have had must not be forgotten: that of certificates is
 * known to all of them, that of orders to the journal alone. */
static bool forget_the_rest(struct telling *t, unsigned sources, bool saw_all, struct err *err)
{
    struct db *db = journal_db(t->journal);

    if (t->request->dry_run) {
        return true;
    }
    return ((sources & ALERT_JOURNAL) == 0 ||
            alert_sent_keep(db, ALERT_ORDER, &t->out->alerts, err)) &&
           (!saw_all || alert_sent_keep(db, ALERT_CERTIFICATE, &t->out->alerts, err));
}

/* A dry run creates, migrates and writes nothing; without a journal nothing is known, which is not
 * the same as nothing to tell. */
static bool open_journal(struct telling *t, struct journal **out, struct err *err)
{
    const struct app *app = t->app;
    char user[ORDER_USER_MAX];

    if (!t->request->dry_run) {
        return journal_open(app->state_dir, app->clock, out, err);
    }
    if (journal_open_as_is(app->state_dir, app->clock, true, out, err)) {
        return true;
    }
    order_user(user);
    return err_wrap(err, "--dry-run as user %s, with the state_dir %s", user, app->state_dir);
}

bool app_alert(struct app *app, const struct app_alert *request, struct app_alerted *out,
               struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;
    AUTO(order_lock) struct order_lock lock = ORDER_LOCK_INIT;
    struct telling t = {.app = app, .request = request, .out = out};
    struct app_alert_look look = {.sources = 0};

    if (!read_rules(&t, &look, err) || !open_journal(&t, &journal, err)) {
        return false;
    }
    t.journal = journal;
    if (!take_lock(&t, &lock, err) || !app_alert_gather(app, journal, &look, out, err) ||
        !alerts_merge(&out->alerts, err)) {
        return false;
    }
    bool saw_all = out->failure_count == 0 && request->sources == NULL && !request->one_token &&
                   request->levels == NULL;
    alerts_judge(&out->alerts, &out->rules);
    tell_all(&t);
    return forget_the_rest(&t, look.sources, saw_all, err);
}
