#include "order/drive_impl.h"

#include "base/log.h"
#include "base/str.h"

#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A deadline of zero does not forbid the short repetitions after a failure that passes by itself.
 */
enum { SLICE_MS = 1000, REPEAT_GRACE_MS = 5000 };

bool order_run_move(struct run *run, enum order_state to, const char *event)
{
    struct order *order = run->order;
    enum order_state from = order->state;

    if (!order_state_may_follow(from, to)) {
        return err_set(run->err, E_INTERNAL, "order %lld cannot go from '%s' to '%s'",
                       (long long)order->id, order_state_name(from), order_state_name(to));
    }
    order->state = to;
    if (!journal_save(run->drive->journal, order, event, run->err)) {
        order->state = from;
        return false;
    }
    log_line(LOG_DEBUG, "order", "%s: %s", order_state_name(to), event);
    return true;
}

enum step order_run_go(struct run *run, enum order_state to, const char *fmt, ...)
{
    char event[256];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(event, sizeof(event), fmt, args);
    va_end(args);
    if (!order_set(&run->order->last_error, NULL, run->err)) {
        return STEP_STOP;
    }
    return order_run_move(run, to, event) ? STEP_ON : STEP_STOP;
}

enum step order_run_failed(struct run *run)
{
    struct err saving = ERR_INIT;
    struct order *order = run->order;

    if (!order_set(&order->last_error, run->err->msg, &saving) ||
        !journal_save(run->drive->journal, order, run->err->msg, &saving)) {
        log_line(LOG_WARN, "order", "the failure could not be written down: %s", saving.msg);
    }
    return STEP_STOP;
}

void order_run_tell(struct run *run, int64_t wait_ms)
{
    const struct drive_hooks *hooks = run->drive->hooks;
    int64_t elapsed = clock_mono_ms(run->drive->clock) - run->started_ms;

    if (hooks->progress != NULL) {
        hooks->progress(hooks->ctx, run->order, elapsed, wait_ms);
    }
}

bool order_run_has_ca(struct run *run)
{
    return run->drive->ca != NULL ||
           err_set(run->err, E_CONFIG, "order %lld: the next step needs a CA, and there is none",
                   (long long)run->order->id);
}

static enum step make_key(struct run *run)
{
    const struct drive_hooks *hooks = run->drive->hooks;

    if (!hooks->make_key(hooks->ctx, run->order, run->err)) {
        return order_run_failed(run);
    }
    return order_run_go(run, ORDER_KEY_READY, "%s key ready: %s", run->order->key_type,
                        run->order->key_uri);
}

static enum step sign(struct run *run)
{
    const struct drive_hooks *hooks = run->drive->hooks;

    if (!hooks->sign(hooks->ctx, run->order, run->err)) {
        return order_run_failed(run);
    }
    return order_run_go(run, ORDER_SIGNED, "certificate request signed");
}

enum step order_run_asking_failed(struct run *run)
{
    if (ca_is_under_way(run->drive->ca)) {
        return STEP_UNDER_WAY;
    }
    return err_code_retryable(run->err->code) && run->err->code != E_INTERRUPTED
               ? STEP_WAIT
               : order_run_failed(run);
}

static enum step poll(struct run *run)
{
    struct order *order = run->order;
    struct ca_status status;

    if (!ca_poll(run->drive->ca, order->ca_state, &status, run->err)) {
        return order_run_asking_failed(run);
    }
    run->answered = true;
    enum order_state to = order_state_of_phase(status.phase);
    bool changed = to != order->state || !str_equal(order->ca_text, status.text);
    if (!order_set(&order->ca_text, status.text, run->err)) {
        return STEP_STOP;
    }
    if (changed && order_run_go(run, to, "the CA says '%s'", status.text) == STEP_STOP) {
        return STEP_STOP;
    }
    if (to == ORDER_FAILED) {
        (void)err_set(run->err, E_ORDER_FAILED, "order %lld (%s at the CA): the CA says '%s'",
                      (long long)order->id, order->ca_order_id, status.text);
        return order_run_failed(run);
    }
    err_clear(run->err);
    return to == ORDER_ISSUED ? STEP_ON : STEP_WAIT;
}

/* The CA may have taken its word back since: the status tells, and is asked beside each
 * collect. */
static enum step look_at_status(struct run *run)
{
    enum step step = poll(run);

    return step == STEP_ON && run->order->state == ORDER_ISSUED ? STEP_WAIT : step;
}

static enum step collect_failed(struct run *run)
{
    struct err why = *run->err;

    if (err_code_retryable(why.code) || ca_is_under_way(run->drive->ca)) {
        return order_run_asking_failed(run);
    }
    enum step step = look_at_status(run);
    if (run->order->state != ORDER_ISSUED || step == STEP_UNDER_WAY) {
        return step;
    }
    *run->err = why;
    return order_run_failed(run);
}

static enum step collect(struct run *run)
{
    AUTO(buf) struct buf answer = BUF_INIT(1 << 20);
    AUTO(buf) struct buf pem = BUF_INIT(1 << 20);
    AUTO(x509_stack) STACK_OF(X509) *certs = NULL;
    bool ready = false;
    bool stale = false;

    if (!ca_collect(run->drive->ca, run->order->ca_state, &ready, &answer, run->err)) {
        return collect_failed(run);
    }
    run->answered = true;
    if (!ready) {
        err_clear(run->err);
        return look_at_status(run);
    }
    if (!x509_bundle_parse(answer.data, answer.len, &certs, run->err) ||
        !order_is_stale(run->order, certs, &stale, run->err)) {
        (void)err_wrap(run->err, "collect");
        return order_run_failed(run);
    }
    if (stale) {
        return STEP_WAIT;
    }
    if (!x509_chain_to_pem(certs, &pem, run->err) ||
        !order_set(&run->order->answer_pem, buf_str(&pem), run->err)) {
        (void)err_wrap(run->err, "collect");
        return order_run_failed(run);
    }
    return order_run_go(run, ORDER_COLLECTED, "%d certificates collected", sk_X509_num(certs));
}

static enum step verify(struct run *run)
{
    const struct drive_hooks *hooks = run->drive->hooks;

    if (hooks->verify(hooks->ctx, run->order, run->err)) {
        return order_run_go(run, ORDER_VERIFIED, "verified: serial %s", run->order->serial);
    }
    if (run->err->code == E_CERT_REJECTED) {
        struct err why = *run->err;
        if (!order_run_move(run, ORDER_REJECTED, why.msg)) {
            return STEP_STOP;
        }
        *run->err = why;
    }
    return order_run_failed(run);
}

static enum step bind(struct run *run)
{
    const struct drive_hooks *hooks = run->drive->hooks;

    if (!hooks->bind(hooks->ctx, run->order, run->err)) {
        return order_run_failed(run);
    }
    return order_run_go(run, ORDER_DONE, "done");
}

static enum step ended(struct run *run)
{
    struct order *order = run->order;
    long long id = (long long)order->id;

    if (order->state == ORDER_FAILED) {
        (void)err_set(run->err, E_ORDER_FAILED,
                      "order %lld (%s at the CA) has ended: the CA says "
                      "'%s'",
                      id, order->ca_order_id, order->ca_text);
    } else if (order->state == ORDER_REJECTED) {
        (void)err_set(run->err, E_CERT_REJECTED, "order %lld: its certificate was rejected: %s", id,
                      order->last_error != NULL ? order->last_error : "unknown");
    } else if (order->state == ORDER_REVOKED) {
        (void)err_set(run->err, E_ORDER_FAILED,
                      "order %lld (%s at the CA): its certificate was revoked", id,
                      order->ca_order_id);
    } else if (order->state == ORDER_DECLINED) {
        (void)err_set(run->err, E_ORDER_FAILED,
                      "order %lld was declined here and never sent to the CA: %s", id,
                      order->last_error != NULL ? order->last_error : "unknown");
    } else if (order->state == ORDER_NOT_ORDERED) {
        (void)err_set(run->err, E_ORDER_FAILED,
                      "order %lld is closed: somebody here says that the CA does not have it "
                      "('p11enroll order adopt' goes on with it if it does)",
                      id);
    } else if (order->state == ORDER_ABANDONED) {
        (void)err_set(run->err, E_ORDER_FAILED, "order %lld was abandoned; it was %s", id,
                      order->sent_again ? "sent once, and the CA showed nothing of it"
                                        : "never sent to the CA");
    }
    return STEP_STOP;
}

static bool needs_ca(enum order_action action)
{
    return action == ACTION_FIND || action == ACTION_POLL || action == ACTION_COLLECT;
}

static enum step do_step(struct run *run)
{
    enum order_action action = order_state_action(run->order->state);

    if (needs_ca(action) && !order_run_has_ca(run)) {
        return STEP_STOP;
    }
    switch (action) {
    case ACTION_MAKE_KEY:
        return make_key(run);
    case ACTION_SIGN:
        return sign(run);
    case ACTION_APPROVE:
    case ACTION_SUBMIT:
        return order_run_submit(run);
    case ACTION_FIND:
        return order_run_find(run);
    case ACTION_POLL:
        return poll(run);
    case ACTION_COLLECT:
        return collect(run);
    case ACTION_VERIFY:
        return verify(run);
    case ACTION_BIND:
        return bind(run);
    case ACTION_NONE:
        break;
    }
    return ended(run);
}

static bool sleep_and_tell(struct run *run, int64_t ms)
{
    int64_t end = clock_mono_ms(run->drive->clock) + ms;
    int64_t left = ms;

    while (left > 0) {
        order_run_tell(run, left);
        if (!clock_sleep_ms(run->drive->clock, left < SLICE_MS ? left : SLICE_MS)) {
            return err_set(run->err, E_INTERRUPTED, "interrupted while waiting for order %lld",
                           (long long)run->order->id);
        }
        left = end - clock_mono_ms(run->drive->clock);
    }
    return true;
}

/* The command's time is up; the order goes on without it. */
static enum step time_is_up(struct run *run)
{
    struct order *order = run->order;
    char last[512] = "";

    if (run->err->code == E_ORDER_AMBIGUOUS) {
        return order_run_failed(run);
    }
    if (run->err->code == E_ORDER_PENDING) { /* the old certificate is served still */
        return STEP_STOP;
    }
    if (run->err->code != E_NONE && !run->answered) {
        (void)err_wrap(run->err, "order %lld (%s at the CA) could not be asked about",
                       (long long)order->id,
                       order->ca_order_id != NULL ? order->ca_order_id : "no number");
        return STEP_STOP;
    }
    if (run->err->code != E_NONE) {
        (void)snprintf(last, sizeof(last), "; the last request failed (%s): %.400s",
                       err_code_name(run->err->code), run->err->msg);
    }
    enum err_code code = order->state == ORDER_WAITING     ? E_ORDER_WAITING
                         : order->state == ORDER_AMBIGUOUS ? E_ORDER_AMBIGUOUS
                                                           : E_ORDER_PENDING;
    (void)err_set(run->err, code, "order %lld (%s at the CA): %s%s", (long long)order->id,
                  order->ca_order_id != NULL ? order->ca_order_id : "no number",
                  order_state_sentence(order->state), last);
    return STEP_STOP;
}

/* The schedule for what is waited for now. */
static struct backoff backoff_now(struct run *run)
{
    struct backoff backoff = run->drive->backoff;
    bool for_people = run->order->state == ORDER_WAITING;

    if (for_people != run->for_people) {
        run->for_people = for_people;
        run->started_ms = clock_mono_ms(run->drive->clock);
        run->attempt = 0;
    }
    backoff.deadline_ms = for_people ? backoff.people_deadline_ms : backoff.deadline_ms;
    return backoff;
}

enum step order_run_wait(struct run *run, int64_t *wait_ms)
{
    struct backoff backoff = backoff_now(run);
    uint32_t random = 0;

    run->attempt++;
    (void)RAND_bytes((unsigned char *)&random, sizeof(random));
    int64_t elapsed = clock_mono_ms(run->drive->clock) - run->started_ms;
    if (backoff_is_over(&backoff, run->attempt, elapsed)) {
        return time_is_up(run);
    }
    *wait_ms = backoff_wait_ms(&backoff, run->attempt, elapsed, random);
    return STEP_ON;
}

static enum step wait_for_ca(struct run *run)
{
    int64_t wait_ms = 0;

    if (order_run_wait(run, &wait_ms) == STEP_STOP || !sleep_and_tell(run, wait_ms)) {
        return STEP_STOP;
    }
    err_clear(run->err);
    return STEP_ON;
}

void order_run_bound(struct run *run)
{
    const struct backoff *b = &run->drive->backoff;
    int64_t most = b->deadline_ms > REPEAT_GRACE_MS ? b->deadline_ms : REPEAT_GRACE_MS;

    most = b->people_deadline_ms > most ? b->people_deadline_ms : most;
    if (run->drive->ca != NULL && b->kind == BACKOFF_STEPS) {
        ca_set_deadline(run->drive->ca, run->started_ms + most);
    }
}

enum step order_run_step(struct run *run)
{
    return do_step(run);
}

bool order_drive(struct drive *drive, struct order *order, struct err *err)
{
    struct run run = {
        .drive = drive, .order = order, .err = err, .started_ms = clock_mono_ms(drive->clock)};
    enum step step = STEP_ON;

    err_clear(err);
    order_run_bound(&run);
    while (step != STEP_STOP && order->state != ORDER_DONE) {
        order_run_tell(&run, 0);
        step = do_step(&run);
        if (step == STEP_WAIT) {
            step = wait_for_ca(&run);
        }
    }
    return order->state == ORDER_DONE;
}
