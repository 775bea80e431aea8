#include "app/dcv_task.h"

#include "base/str.h"

#include <stdlib.h>

enum { HOOK_OUTPUT_MAX = 64 * 1024 };

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

static struct dcv_task *next_task(const struct dcv_work *work)
{
    struct dcv_task *next = NULL;

    for (size_t i = 0; i < work->request->count; i++) {
        struct dcv_task *task = &work->tasks[i];
        if (task->stage != DCV_ENDED && (next == NULL || task->due_ms < next->due_ms)) {
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

static void end_all(const struct dcv_work *work, const struct err *err)
{
    for (size_t i = 0; i < work->request->count; i++) {
        struct dcv_task *task = &work->tasks[i];
        if (task->stage == DCV_ENDED) {
            continue;
        }
        task->report->err = *err;
        if (task->stage == DCV_POLL) {
            (void)err_wrap(&task->report->err,
                           "domain %s: submitted, and the record stays published",
                           task->report->domain);
            dcv_task_end(work, task, APP_DCV_PENDING);
            continue;
        }
        (void)err_wrap(&task->report->err, "domain %s", task->report->domain);
        dcv_task_end(work, task, task->record.domain == NULL ? APP_DCV_NOT_TRIED : APP_DCV_FAILED);
    }
}

static void run_all(const struct dcv_work *work)
{
    struct dcv_task *task;

    while ((task = next_task(work)) != NULL) {
        struct err err = ERR_INIT;
        int64_t pause = task->due_ms - clock_mono_ms(work->app->clock);
        if (pause > 0 && !clock_sleep_ms(work->app->clock, pause)) {
            (void)err_set(&err, E_INTERRUPTED, "interrupted");
            end_all(work, &err);
            return;
        }
        if (dcv_task_step(work, task, &err)) {
            continue;
        }
        if (is_for_all(err.code)) {
            end_all(work, &err);
            return;
        }
        dcv_task_fail(work, task, &err);
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

static void work_done(struct dcv_work *work)
{
    for (size_t i = 0; work->tasks != NULL && i < work->request->count; i++) {
        dcv_task_done(&work->tasks[i]);
    }
    free(work->tasks);
}

DEFINE_AUTO_DONE(work, struct dcv_work, work_done)

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
    struct dcv_work work = {
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
