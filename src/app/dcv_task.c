#include "app/dcv_task.h"

#include "app/dcv_note.h"
#include "base/log.h"
#include "base/str.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { DAY_S = 86400 };

static int64_t now(const struct dcv_work *work)
{
    return clock_mono_ms(work->app->clock);
}

static void say(const struct dcv_work *work, const struct dcv_task *task, const char *what,
                int64_t wait_ms)
{
    if (work->request->say != NULL) {
        work->request->say(work->request->say_ctx, task->report->domain, what, wait_ms);
    }
}

static void enter(const struct dcv_work *work, struct dcv_task *task, enum dcv_stage stage)
{
    task->stage = stage;
    task->attempt = 0;
    task->since_ms = now(work);
    task->due_ms = task->since_ms;
}

/* certbot's hooks are two programs: the one that publishes cannot take anything away. */
static bool has_no_cleanup(const struct dcv_hook *hook)
{
    return hook->style == DCV_STYLE_CERTBOT && hook->cleanup_path == NULL;
}

/* The hook takes the record away; that it could not is told, but spoils nothing that was reached.
 */
static void remove_record(const struct dcv_work *work, struct dcv_task *task, bool good)
{
    const struct dcv_hook *hook = &work->request->hook;
    struct err failure = ERR_INIT;

    if (!task->published || has_no_cleanup(hook)) {
        return;
    }
    task->published = false;
    say(work, task, "removing the record", 0);
    if (dcv_hook_run(hook, good ? DCV_REMOVE_DONE : DCV_REMOVE_FAILED, &task->record,
                     &task->hook_output, &failure)) {
        dcv_note_remove(work->app, task->report->domain);
    } else {
        log_line(LOG_WARN, "dcv",
                 "domain %s: the record was not removed (the next run for this domain tries that "
                 "again): %s",
                 task->report->domain, failure.msg);
    }
}

static bool same_record(const struct dcv_record *a, const struct dcv_record *b)
{
    return a->kind == b->kind && str_equal_nocase(a->name, b->name) &&
           str_equal(a->value, b->value);
}

/* What an earlier run left behind goes, unless it is the very record that is wanted now. */
static void remove_left(const struct dcv_work *work, struct dcv_task *task)
{
    struct err failure = ERR_INIT;

    if (task->left.domain == NULL ||
        (task->record.domain != NULL && same_record(&task->left, &task->record))) {
        return;
    }
    if (has_no_cleanup(&work->request->hook)) {
        log_line(LOG_WARN, "dcv",
                 "domain %s: what an earlier run published stays, because there is no "
                 "'dcv_cleanup_hook'",
                 task->report->domain);
        dcv_record_done(&task->left);
        return;
    }
    say(work, task, "removing the record of an earlier run", 0);
    if (dcv_style_takes(work->request->hook.style, task->left.kind, &failure) &&
        dcv_hook_run(&work->request->hook, DCV_REMOVE_DONE, &task->left, &task->hook_output,
                     &failure)) {
        dcv_note_remove(work->app, task->report->domain);
    } else {
        log_line(LOG_WARN, "dcv", "domain %s: the record of an earlier run was not removed: %s",
                 task->report->domain, failure.msg);
    }
    dcv_record_done(&task->left);
}

void dcv_task_end(const struct dcv_work *work, struct dcv_task *task, enum app_dcv_result result)
{
    task->stage = DCV_ENDED;
    task->report->result = result;
    if (result != APP_DCV_PENDING) {
        remove_record(work, task, result == APP_DCV_VALIDATED);
    }
}

void dcv_task_fail(const struct dcv_work *work, struct dcv_task *task, const struct err *err)
{
    task->report->err = *err;
    (void)err_wrap(&task->report->err, "domain %s", task->report->domain);
    dcv_task_end(work, task,
                 task->submitted && err->code == E_DCV_PENDING ? APP_DCV_PENDING : APP_DCV_FAILED);
}

/* "2026-11-21...": the day. */
static bool parse_day(const char *text, int64_t *out)
{
    struct tm day = {.tm_year = 0};

    if (text == NULL || strptime(text, "%Y-%m-%d", &day) == NULL) {
        return false;
    }
    *out = (int64_t)timegm(&day);
    return true;
}

static bool lasts(const struct dcv_work *work, const struct ca_dcv_status *status)
{
    int64_t end_s = 0;

    return status->state == CA_DCV_VALIDATED &&
           (status->expires == NULL ||
            (parse_day(status->expires, &end_s) &&
             end_s - clock_wall_s(work->app->clock) >= work->request->renew_before_days * DAY_S));
}

static void note_expiry(struct dcv_task *task, const struct ca_dcv_status *status)
{
    (void)snprintf(task->report->expires, sizeof(task->report->expires), "%s",
                   status->expires != NULL ? status->expires : "");
}

static bool make_record(const struct dcv_work *work, struct dcv_task *task,
                        const struct ca_dcv_record *said, struct err *err)
{
    const char *domain = task->report->domain;
    bool dns = work->request->method == CA_DCV_CNAME || work->request->method == CA_DCV_TXT;

    if (dns ? said->host == NULL || said->point == NULL
            : said->url == NULL || said->first_line == NULL) {
        return err_set(err, E_PROTOCOL, "the CA does not say what to publish");
    }
    return dns ? dcv_record_dns(&task->record, domain,
                                work->request->method == CA_DCV_CNAME ? DCV_CNAME : DCV_TXT,
                                said->host, said->point, err)
               : dcv_record_file(&task->record, domain, said->url, said->first_line,
                                 said->second_line, err);
}

/* What an earlier run submitted is taken up: its record is still the one that the CA looks for. */
static bool is_under_way(const struct dcv_work *work, const struct ca_dcv_status *status)
{
    enum ca_dcv_method method = CA_DCV_METHODS;
    struct err ignored = ERR_INIT;

    return status->order == CA_DCV_SUBMITTED && status->method != NULL &&
           ca_dcv_method_find(status->method, &method, &ignored) &&
           method == work->request->method &&
           (status->record.host != NULL || status->record.url != NULL);
}

/* Has the CA say what to publish. With TXT it does when the validation is submitted. */
static bool get_record(const struct dcv_work *work, struct dcv_task *task,
                       const struct ca_dcv_status *status, struct err *err)
{
    const char *domain = task->report->domain;
    AUTO(ca_dcv_record) struct ca_dcv_record record = {.host = NULL};
    AUTO(ca_dcv_status) struct ca_dcv_status submitted = {.status = NULL};

    if (is_under_way(work, status)) {
        task->submitted = true;
        return make_record(work, task, &status->record, err);
    }
    if (work->request->method == CA_DCV_TXT) {
        if (!ca_dcv_submit(work->ca, domain, CA_DCV_TXT, NULL, &submitted, err)) {
            return false;
        }
        task->submitted = true;
        return make_record(work, task, &submitted.record, err);
    }
    return ca_dcv_start(work->ca, domain, work->request->method, &record, err) &&
           make_record(work, task, &record, err);
}

static bool publish(const struct dcv_work *work, struct dcv_task *task, struct err *err)
{
    const struct dcv_hook *hook = &work->request->hook;

    remove_left(work, task);
    say(work, task, "publishing the record", 0);
    buf_reset(&task->hook_output);
    if (!dcv_note_write(work->app, task->report->domain, &task->record, &task->hook_output, err)) {
        return false;
    }
    task->published = true;
    if (!dcv_hook_run(hook, DCV_PUBLISH, &task->record, &task->hook_output, err)) {
        task->published = dcv_style_cleans_failures(hook->style);
        return false;
    }
    enter(work, task, DCV_LOOK);
    return task->hook_output.len == 0 ||
           dcv_note_write(work->app, task->report->domain, &task->record, &task->hook_output, err);
}

static bool begin(const struct dcv_work *work, struct dcv_task *task, struct err *err)
{
    AUTO(ca_dcv_status) struct ca_dcv_status status = {.status = NULL};
    bool left = false;

    if (!dcv_note_read(work->app, task->report->domain, &task->left, &task->hook_output, &left,
                       err)) {
        return false;
    }
    say(work, task, "asking the CA", 0);
    if (!ca_dcv_status(work->ca, task->report->domain, &status, err)) {
        return false;
    }
    if (lasts(work, &status) && !work->request->again) {
        note_expiry(task, &status);
        remove_left(work, task);
        dcv_task_end(work, task, APP_DCV_WAS_VALIDATED);
        return true;
    }
    task->was_validated = status.state == CA_DCV_VALIDATED;
    (void)snprintf(task->expired_at, sizeof(task->expired_at), "%s",
                   status.expires != NULL ? status.expires : "");
    return get_record(work, task, &status, err) && publish(work, task, err);
}

static uint32_t random_number(void)
{
    uint32_t random = 0;

    (void)RAND_bytes((unsigned char *)&random, sizeof(random));
    return random;
}

/* Comes back later, by the configured schedule. False: it is over. */
static bool wait_more(const struct dcv_work *work, struct dcv_task *task, const char *what)
{
    int64_t elapsed = now(work) - task->since_ms;

    task->attempt++;
    if (backoff_is_over(&work->backoff, task->attempt, elapsed)) {
        return false;
    }
    int64_t wait = backoff_wait_ms(&work->backoff, task->attempt, elapsed, random_number());
    task->due_ms = now(work) + wait;
    say(work, task, what, wait);
    return true;
}

/* Yesterday at the earliest: the CA's day may be another one than ours. */
static bool is_of_today(const struct dcv_work *work, const char *validated)
{
    int64_t day_s = 0;

    return parse_day(validated, &day_s) && day_s + 2 * DAY_S > clock_wall_s(work->app->clock);
}

static bool is_done(const struct dcv_work *work, const struct dcv_task *task,
                    const struct ca_dcv_status *status)
{
    if (status->state != CA_DCV_VALIDATED) {
        return false;
    }
    if (!task->was_validated) {
        return true;
    }
    /* it was validated before: only new dates show that it is anew */
    return status->order == CA_DCV_NONE &&
           (status->expires == NULL || !str_equal(status->expires, task->expired_at) ||
            is_of_today(work, status->validated));
}

static bool ended_otherwise(const struct ca_dcv_status *status, struct err *err)
{
    AUTO(buf) struct buf said = BUF_INIT(1024);
    const char *message = status->message != NULL ? status->message : status->order_status;

    str_add_quotable(&said, message != NULL ? message : "", message != NULL ? strlen(message) : 0,
                     200);
    return err_set(err, E_DCV_FAILED,
                   status->order == CA_DCV_REJECTED
                       ? "the CA rejected the validation: '%s'"
                       : "the CA has no validation under way any more: '%s'",
                   buf_str(&said));
}

/* What a status means after the submission. */
static bool judge(const struct dcv_work *work, struct dcv_task *task,
                  const struct ca_dcv_status *status, struct err *err)
{
    if (is_done(work, task, status)) {
        note_expiry(task, status);
        dcv_task_end(work, task, APP_DCV_VALIDATED);
        return true;
    }
    if (status->order == CA_DCV_REJECTED || status->order == CA_DCV_NONE) {
        return ended_otherwise(status, err);
    }
    (void)snprintf(task->why, sizeof(task->why), "the CA has not validated it yet");
    if (!wait_more(work, task, "waiting for the CA")) {
        return err_set(err, E_DCV_PENDING,
                       "%s; the record stays published, and the same command goes on from there",
                       task->why);
    }
    return true;
}

static bool submit(const struct dcv_work *work, struct dcv_task *task, struct err *err)
{
    AUTO(ca_dcv_status) struct ca_dcv_status status = {.status = NULL};
    const char *domain = task->report->domain;

    say(work, task, "the record is visible; telling the CA", 0);
    bool ok = task->submitted
                  ? ca_dcv_recheck(work->ca, domain, &status, err)
                  : ca_dcv_submit(work->ca, domain, work->request->method, NULL, &status, err);
    if (!ok) {
        return false;
    }
    task->submitted = true;
    enter(work, task, DCV_POLL);
    return judge(work, task, &status, err);
}

static bool look(const struct dcv_work *work, struct dcv_task *task, struct err *err)
{
    AUTO(buf) struct buf why = BUF_INIT(16 * 1024);
    bool seen = false;

    if (!dcv_visible(&work->request->look, &task->record, &seen, &why, err)) {
        return false;
    }
    if (seen) {
        return submit(work, task, err);
    }
    (void)snprintf(task->why, sizeof(task->why), "%.*s", DCV_WHY_MAX - 1, buf_str(&why));
    log_line(LOG_DEBUG, "dcv", "domain %s: not visible yet: %s", task->report->domain, task->why);
    return wait_more(work, task, "waiting until all servers show the record") ||
           err_set(err, E_DCV_FAILED, "what the hook published is not visible: %s", task->why);
}

static bool poll_result(const struct dcv_work *work, struct dcv_task *task, struct err *err)
{
    AUTO(ca_dcv_status) struct ca_dcv_status status = {.status = NULL};

    if (ca_dcv_status(work->ca, task->report->domain, &status, err)) {
        return judge(work, task, &status, err);
    }
    bool passes = err->code == E_NETWORK || err->code == E_CA_UNAVAILABLE;
    if (!passes || !wait_more(work, task, "waiting for the CA")) {
        return false;
    }
    log_line(LOG_INFO, "dcv", "domain %s: %s", task->report->domain, err->msg);
    err_clear(err);
    return true;
}

bool dcv_task_step(const struct dcv_work *work, struct dcv_task *task, struct err *err)
{
    switch (task->stage) {
    case DCV_BEGIN:
        return begin(work, task, err);
    case DCV_LOOK:
        return look(work, task, err);
    case DCV_POLL:
        return poll_result(work, task, err);
    case DCV_ENDED:
        break;
    }
    return true;
}

void dcv_task_done(struct dcv_task *task)
{
    dcv_record_done(&task->record);
    dcv_record_done(&task->left);
    buf_done(&task->hook_output);
}
