#include "app/app.h"
#include "app/dcv_note.h"

#include "base/log.h"
#include "base/str.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DAY_S = 86400, WHY_MAX = 900, HOOK_OUTPUT_MAX = 64 * 1024 };

bool app_order_at_ca(struct app *app, struct journal *journal, int64_t id, int64_t *ca_order,
                     struct err *err)
{
    struct order order;
    char text[64];
    uint64_t number = 0;

    order_init(&order);
    bool ok = journal_load(journal, id, &order, err) && app_select_for(app, &order, err);
    if (ok) {
        ca_order_id(order.ca_state, text);
        ok = (str_to_u64(text, INT64_MAX, &number) && number > 0) ||
             err_set(err, E_USAGE,
                     "order %lld is in the state '%s': the CA has given it no number yet",
                     (long long)id, order_state_name(order.state));
    }
    *ca_order = (int64_t)number;
    order_done(&order);
    return ok;
}

/* Where one domain stands. */
enum stage { BEGIN, LOOK, POLL, ENDED };

struct task {
    struct app_dcv_report *report;
    enum stage stage;
    struct dcv_record record;
    struct dcv_record left; /* by an earlier run; domain NULL: nothing */
    struct buf hook_output;
    bool published; /* the hook has to remove it */
    bool submitted; /* before: the CA only has to look again */
    bool was_validated;
    char expired_at[40]; /* of the validation before */
    int attempt;
    int64_t since_ms, due_ms;
    char why[WHY_MAX]; /* why it is not done yet */
};

struct work {
    struct app *app;
    struct ca *ca;
    const struct app_dcv_publish *request;
    struct backoff backoff;
    struct task *tasks;
};

static int64_t now(const struct work *work)
{
    return clock_mono_ms(work->app->clock);
}

static void say(const struct work *work, const struct task *task, const char *what, int64_t wait_ms)
{
    if (work->request->say != NULL) {
        work->request->say(work->request->say_ctx, task->report->domain, what, wait_ms);
    }
}

static void enter(const struct work *work, struct task *task, enum stage stage)
{
    task->stage = stage;
    task->attempt = 0;
    task->since_ms = now(work);
    task->due_ms = task->since_ms;
}

/* The hook takes the record away; that it could not is told, but spoils nothing that was reached.
 */
static void remove_record(const struct work *work, struct task *task, bool good)
{
    const struct dcv_hook *hook = &work->request->hook;
    struct err failure = ERR_INIT;
    bool has_no_hook = hook->style == DCV_STYLE_CERTBOT && hook->cleanup_path == NULL;

    if (!task->published || has_no_hook) {
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
static void remove_left(const struct work *work, struct task *task)
{
    struct err failure = ERR_INIT;

    if (task->left.domain == NULL ||
        (task->record.domain != NULL && same_record(&task->left, &task->record))) {
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

static void end(const struct work *work, struct task *task, enum app_dcv_result result)
{
    task->stage = ENDED;
    task->report->result = result;
    if (result != APP_DCV_PENDING) {
        remove_record(work, task, result == APP_DCV_VALIDATED);
    }
}

/* A stage returns false with err set if that ends the domain. */
static void fail(const struct work *work, struct task *task, const struct err *err)
{
    task->report->err = *err;
    (void)err_wrap(&task->report->err, "domain %s", task->report->domain);
    end(work, task,
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

static bool lasts(const struct work *work, const struct ca_dcv_status *status)
{
    int64_t end_s = 0;

    return status->state == CA_DCV_VALIDATED &&
           (status->expires == NULL ||
            (parse_day(status->expires, &end_s) &&
             end_s - clock_wall_s(work->app->clock) >= work->request->renew_before_days * DAY_S));
}

static void note_expiry(struct task *task, const struct ca_dcv_status *status)
{
    (void)snprintf(task->report->expires, sizeof(task->report->expires), "%s",
                   status->expires != NULL ? status->expires : "");
}

static bool make_record(const struct work *work, struct task *task,
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
static bool is_under_way(const struct work *work, const struct ca_dcv_status *status)
{
    enum ca_dcv_method method = CA_DCV_METHODS;
    struct err ignored = ERR_INIT;

    return status->order == CA_DCV_SUBMITTED && status->method != NULL &&
           ca_dcv_method_find(status->method, &method, &ignored) &&
           method == work->request->method &&
           (status->record.host != NULL || status->record.url != NULL);
}

/* Has the CA say what to publish. With TXT it does when the validation is submitted. */
static bool get_record(const struct work *work, struct task *task,
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

static bool publish(const struct work *work, struct task *task, struct err *err)
{
    const struct dcv_hook *hook = &work->request->hook;

    remove_left(work, task);
    say(work, task, "publishing the record", 0);
    if (!dcv_note_write(work->app, task->report->domain, &task->record, err)) {
        return false;
    }
    task->published = true;
    if (!dcv_hook_run(hook, DCV_PUBLISH, &task->record, &task->hook_output, err)) {
        /* hooks of ACME clients are not called again after they failed */
        task->published = hook->style == DCV_STYLE_OWN;
        return false;
    }
    enter(work, task, LOOK);
    return true;
}

static bool begin(const struct work *work, struct task *task, struct err *err)
{
    AUTO(ca_dcv_status) struct ca_dcv_status status = {.status = NULL};
    bool left = false;

    if (!dcv_note_read(work->app, task->report->domain, &task->left, &left, err)) {
        return false;
    }
    say(work, task, "asking the CA", 0);
    if (!ca_dcv_status(work->ca, task->report->domain, &status, err)) {
        return false;
    }
    if (lasts(work, &status) && !work->request->again) {
        note_expiry(task, &status);
        remove_left(work, task);
        end(work, task, APP_DCV_WAS_VALIDATED);
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
static bool wait_more(const struct work *work, struct task *task, const char *what)
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

static bool is_done(const struct task *task, const struct ca_dcv_status *status)
{
    if (status->state != CA_DCV_VALIDATED) {
        return false;
    }
    if (!task->was_validated) {
        return true;
    }
    /* it was validated before: only a new end shows that it is anew */
    return status->order == CA_DCV_NONE &&
           (status->expires == NULL || !str_equal(status->expires, task->expired_at));
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
static bool judge(const struct work *work, struct task *task, const struct ca_dcv_status *status,
                  struct err *err)
{
    if (is_done(task, status)) {
        note_expiry(task, status);
        end(work, task, APP_DCV_VALIDATED);
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

static bool submit(const struct work *work, struct task *task, struct err *err)
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
    enter(work, task, POLL);
    return judge(work, task, &status, err);
}

static bool look(const struct work *work, struct task *task, struct err *err)
{
    AUTO(buf) struct buf why = BUF_INIT(16 * 1024);
    bool seen = false;

    if (!dcv_visible(&work->request->look, &task->record, &seen, &why, err)) {
        return false;
    }
    if (seen) {
        return submit(work, task, err);
    }
    (void)snprintf(task->why, sizeof(task->why), "%.*s", WHY_MAX - 1, buf_str(&why));
    log_line(LOG_DEBUG, "dcv", "domain %s: not visible yet: %s", task->report->domain, task->why);
    return wait_more(work, task, "waiting until all servers show the record") ||
           err_set(err, E_DCV_FAILED, "what the hook published is not visible: %s", task->why);
}

static bool poll_result(const struct work *work, struct task *task, struct err *err)
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

static bool step(const struct work *work, struct task *task, struct err *err)
{
    switch (task->stage) {
    case BEGIN:
        return begin(work, task, err);
    case LOOK:
        return look(work, task, err);
    case POLL:
        return poll_result(work, task, err);
    case ENDED:
        break;
    }
    return true;
}

static struct task *next_task(const struct work *work)
{
    struct task *next = NULL;

    for (size_t i = 0; i < work->request->count; i++) {
        struct task *task = &work->tasks[i];
        if (task->stage != ENDED && (next == NULL || task->due_ms < next->due_ms)) {
            next = task;
        }
    }
    return next;
}

/* What ends it for all: nobody asks a hundred times with a login that is refused. */
static bool is_for_all(enum err_code code)
{
    return code == E_AUTH || code == E_TLS || code == E_INTERRUPTED || code == E_MEMORY;
}

static void end_all(const struct work *work, const struct err *err)
{
    for (size_t i = 0; i < work->request->count; i++) {
        struct task *task = &work->tasks[i];
        if (task->stage == ENDED) {
            continue;
        }
        task->report->err = *err;
        if (task->stage == POLL) {
            (void)err_wrap(&task->report->err,
                           "domain %s: submitted, and the record stays published",
                           task->report->domain);
            end(work, task, APP_DCV_PENDING);
            continue;
        }
        (void)err_wrap(&task->report->err, "domain %s", task->report->domain);
        end(work, task, task->stage == BEGIN ? APP_DCV_NOT_TRIED : APP_DCV_FAILED);
    }
}

static void run_all(const struct work *work)
{
    struct task *task;

    while ((task = next_task(work)) != NULL) {
        struct err err = ERR_INIT;
        int64_t pause = task->due_ms - now(work);
        if (pause > 0 && !clock_sleep_ms(work->app->clock, pause)) {
            (void)err_set(&err, E_INTERRUPTED, "interrupted");
            end_all(work, &err);
            return;
        }
        if (step(work, task, &err)) {
            continue;
        }
        if (is_for_all(err.code)) {
            end_all(work, &err);
            return;
        }
        fail(work, task, &err);
    }
}

static bool sum_up(const struct app_dcv_report *reports, size_t count, struct err *err)
{
    const struct app_dcv_report *first = NULL;
    size_t open = 0;

    for (size_t i = 0; i < count; i++) {
        if (reports[i].result != APP_DCV_VALIDATED && reports[i].result != APP_DCV_WAS_VALIDATED) {
            first = first == NULL ? &reports[i] : first;
            open++;
        }
    }
    if (first == NULL) {
        return true;
    }
    *err = first->err;
    return open == 1 && count == 1
               ? false
               : err_wrap(err, "%zu of %zu domains are not validated; the first", open, count);
}

static void work_done(struct work *work)
{
    for (size_t i = 0; work->tasks != NULL && i < work->request->count; i++) {
        dcv_record_done(&work->tasks[i].record);
        dcv_record_done(&work->tasks[i].left);
        buf_done(&work->tasks[i].hook_output);
    }
    free(work->tasks);
}

DEFINE_AUTO_DONE(work, struct work, work_done)

/* What can be told before the CA is asked. */
static bool check(const struct app_dcv_publish *request, struct err *err)
{
    enum dcv_kind kind = request->method == CA_DCV_CNAME ? DCV_CNAME
                         : request->method == CA_DCV_TXT ? DCV_TXT
                                                         : DCV_FILE;

    if (request->method == CA_DCV_EMAIL) {
        return err_set(err, E_USAGE,
                       "a person has to answer the CA's letter: use 'p11enroll dcv start' and "
                       "'dcv submit --email'");
    }
    return dcv_hook_check(&request->hook, err) && dcv_style_takes(request->hook.style, kind, err) &&
           dcv_look_check(&request->look, err);
}

bool app_dcv_publish(struct app *app, const struct app_dcv_publish *request,
                     struct app_dcv_report *reports, struct err *err)
{
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    AUTO(work)
    struct work work = {
        .app = app, .request = request, .backoff = app_backoff(app->selection.ca, false)};

    for (size_t i = 0; i < request->count; i++) {
        reports[i] =
            (struct app_dcv_report){.domain = request->domains[i], .result = APP_DCV_NOT_TRIED};
    }
    if (!check(request, err) || !app_ca_open(app, &connection, err)) {
        return false;
    }
    work.ca = connection.ca;
    work.tasks = calloc(request->count + 1, sizeof(*work.tasks));
    if (work.tasks == NULL) {
        return err_nomem(err);
    }
    for (size_t i = 0; i < request->count; i++) {
        work.tasks[i].report = &reports[i];
        buf_init(&work.tasks[i].hook_output, HOOK_OUTPUT_MAX);
    }
    run_all(&work);
    return sum_up(reports, request->count, err) ||
           err_wrap(err, "CA '%s'", app->selection.ca->name);
}
