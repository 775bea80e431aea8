/* What is sent to the CA once, and looked for if nobody knows what became of it. */
#include "order/drive_impl.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool order_check(struct ca *ca, const struct order *order, struct err *err)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct ca_request request;

    return order_request(order, &names, &request, err) && ca_check_request(ca, &request, err);
}

/* The CA has the order, and the journal does not know it: whoever reads the error has to. */
static enum step keep_the_number(struct run *run, const char *number)
{
    long long id = (long long)run->order->id;

    (void)err_wrap(run->err,
                   "order %lld: the CA has it as its order %s, and that could not be written down; "
                   "do not order again, but keep that number: once the journal can be written, "
                   "'p11enroll order adopt %lld %s' goes on with it",
                   id, number, id, number);
    return STEP_STOP;
}

/* Writes the CA's number down, first of all. Takes state. */
static enum step take_number(struct run *run, char *state, const char *event)
{
    struct order *order = run->order;
    char number[64];

    free(order->ca_state);
    order->ca_state = state;
    ca_order_id(state, number);
    if (!order_set(&order->ca_order_id, number, run->err) ||
        order_run_go(run, ORDER_PENDING, "%s %s", event, number) == STEP_STOP) {
        return keep_the_number(run, number);
    }
    return STEP_ON;
}

/* A request was sent, with an outcome that is no order: writes it down, and stops with it. */
static enum step end_with(struct run *run, enum order_state to, const char *event)
{
    struct err why = *run->err;

    if (!order_run_move(run, to, event)) {
        (void)err_wrap(&why, "order %lld: this could not be written down (%.300s)",
                       (long long)run->order->id, run->err->msg);
        *run->err = why;
        return STEP_STOP;
    }
    *run->err = why;
    return order_run_failed(run);
}

/* Whether the order may be sent; *step is what comes of it if not. */
static bool may_submit(struct run *run, enum step *step)
{
    const struct drive_hooks *hooks = run->drive->hooks;
    struct order *order = run->order;
    enum order_approval approval = APPROVAL_REFUSED;

    *step = STEP_STOP;
    if (hooks->approve == NULL) {
        return true;
    }
    if (!hooks->approve(hooks->ctx, order, &approval, run->err)) {
        *step = order_run_failed(run);
        return false;
    }
    if (approval == APPROVAL_GIVEN) {
        return true;
    }
    struct err why = *run->err;
    bool moved = true;
    if (order->state == ORDER_SIGNED) {
        order->awaiting_s = clock_wall_s(run->drive->clock);
        moved = order_run_move(run, ORDER_AWAITING,
                               "somebody here has to approve it before it is sent");
    }
    if (moved && approval == APPROVAL_REFUSED) {
        moved = order_decline_late(run->drive->journal, order, why.msg, run->err);
    }
    if (moved) {
        *run->err = why;
    }
    return false;
}

/* What is needed to find it again goes into the journal with the intent. */
static bool look_before(struct run *run)
{
    const struct order *order = run->order;
    struct err *err = run->err;

    if (order_look(run->drive->journal, run->drive->ca, run->order, false, err)) {
        return true;
    }
    if (err->code == E_ORDER_EXISTS || err->code == E_CA_REFUSED) {
        size_t used = strlen(err->msg);
        (void)snprintf(err->msg + used, sizeof(err->msg) - used,
                       "; 'p11enroll order abandon %lld' ends this order", (long long)order->id);
    }
    return false;
}

/* A renewal is marked once its number is safe. */
static enum step took_it(struct run *run, char *state)
{
    struct order *order = run->order;
    char said[256];

    run->answered = true;
    if (take_number(run, state, "the CA took it as order") == STEP_STOP) {
        return STEP_STOP;
    }
    order_mark_renewal(run->drive->ca, order, said);
    return said[0] == '\0' || journal_save(run->drive->journal, order, said, run->err) ? STEP_ON
                                                                                       : STEP_STOP;
}

/* What was sent before is looked for once more, right before it is sent again. */
static bool is_gone(struct run *run, const struct ca_request *request, enum step *step)
{
    bool found = false;
    char *state = NULL;

    if (!ca_find_submitted(run->drive->ca, request, &found, &state, run->err)) {
        *step = end_with(run, ORDER_AMBIGUOUS, run->err->msg);
        return false;
    }
    if (found) {
        *step = take_number(run, state, "found at the CA as order");
    }
    return !found;
}

/* The intent is on disk before the request leaves; a crash between the two leads to find(),
 * never back here. */
enum step order_run_submit(struct run *run)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct ca_request request;
    char *state = NULL;
    enum step step = STEP_STOP;

    if (!may_submit(run, &step) || !order_run_has_ca(run)) {
        return step;
    }
    if (!look_before(run) || !order_request(run->order, &names, &request, run->err)) {
        return order_run_failed(run);
    }
    order_forget_looks(run->order);
    if (!order_run_move(run, ORDER_SUBMITTING, "sending the request to the CA")) {
        return STEP_STOP;
    }
    order_run_tell(run, 0);
    if (run->order->sent_again && !is_gone(run, &request, &step)) {
        return step;
    }
    switch (ca_submit(run->drive->ca, &request, &state, run->err)) {
    case CA_SUBMITTED:
        return took_it(run, state);
    case CA_REFUSED: /* that says nothing of what was sent before */
        return run->order->sent_again ? end_with(run, ORDER_AMBIGUOUS, run->err->msg)
                                      : end_with(run, ORDER_SIGNED, "not ordered");
    case CA_AMBIGUOUS:
        break;
    }
    return end_with(run, ORDER_AMBIGUOUS, run->err->msg);
}

/* What was found may be an older order of the same key and names. *other: whose it is. A
 * replacement has the number of what it replaces. */
static bool is_free(struct run *run, const char *state, int64_t *other)
{
    const struct order *order = run->order;
    char number[64];

    *other = 0;
    ca_order_id(state, number);
    if (str_equal(order->origin, order_origin_name(ORIGIN_REPLACE))) {
        return true;
    }
    if (!journal_find_ca_order(run->drive->journal, order->ca, order->kind, number, other,
                               run->err)) {
        return false;
    }
    if (*other == 0 || *other == order->id) {
        return true;
    }
    return err_set(run->err, E_ORDER_AMBIGUOUS,
                   "order %lld: all that the CA lists of it is %s, and that is order %lld",
                   (long long)order->id, number, (long long)*other);
}

/* After a lost answer or a crash: asks the CA for our mark. One look that finds
 * nothing proves nothing; absence.c has the rule. */
enum step order_run_find(struct run *run)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct ca_request request;
    bool found = false;
    char *state = NULL;

    if (run->order->state == ORDER_SUBMITTING &&
        !order_run_move(run, ORDER_AMBIGUOUS, "a process ended while it was sending the request")) {
        return STEP_STOP;
    }
    if (!order_request(run->order, &names, &request, run->err)) {
        return order_run_failed(run);
    }
    if (!ca_find_submitted(run->drive->ca, &request, &found, &state, run->err)) {
        bool unclear = run->err->code == E_ORDER_AMBIGUOUS && ca_lists_orders(run->drive->ca);
        return unclear ? STEP_WAIT : order_run_asking_failed(run);
    }
    run->answered = true;
    if (!found) {
        return order_run_absent(run, &request);
    }
    int64_t other = 0;
    if (!is_free(run, state, &other)) {
        free(state);
        return other == 0 ? STEP_STOP : STEP_WAIT;
    }
    return take_number(run, state, "found at the CA as order");
}
