/* Inside app: one domain on its way through its validation. */
#ifndef APP_DCV_TASK_H
#define APP_DCV_TASK_H

#include "app/app.h"

enum { DCV_WHY_MAX = 900 };

/* Where one domain stands. */
enum dcv_stage { DCV_BEGIN, DCV_LOOK, DCV_POLL, DCV_ENDED };

struct dcv_task {
    struct app_dcv_report *report;
    enum dcv_stage stage;
    struct dcv_record record;
    struct dcv_record left; /* by an earlier run; domain NULL: nothing */
    struct buf hook_output;
    bool published; /* the hook has to remove it */
    bool submitted; /* before: the CA only has to look again */
    bool was_validated;
    char expired_at[40]; /* of the validation before */
    int attempt;
    int64_t since_ms, due_ms;
    char why[DCV_WHY_MAX]; /* why it is not done yet */
};

struct dcv_work {
    struct app *app;
    struct ca *ca;
    const struct app_dcv_publish *request;
    struct backoff backoff;
    struct dcv_task *tasks;
};

/* Does what is due. False with err set if that ends the domain. */
bool dcv_task_step(const struct dcv_work *work, struct dcv_task *task, struct err *err) NODISCARD;

/* Ends it: the hook removes the record, unless the CA still wants to see it. */
void dcv_task_end(const struct dcv_work *work, struct dcv_task *task, enum app_dcv_result result);

/* The same after a step that failed. */
void dcv_task_fail(const struct dcv_work *work, struct dcv_task *task, const struct err *err);

void dcv_task_done(struct dcv_task *task);

#endif
