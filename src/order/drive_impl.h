/* Inside the order folder: one order that is brought on, for drive.c (alone) and fleet.c (beside
 * others). */
#ifndef ORDER_DRIVE_IMPL_H
#define ORDER_DRIVE_IMPL_H

#include "order/order.h"

/* What a step leads to. */
enum step {
    STEP_ON,        /* the state changed (or not); go on with what is due */
    STEP_WAIT,      /* nothing to do before the next status request */
    STEP_UNDER_WAY, /* the CA's answer is not there yet: the same step again when it is */
    STEP_STOP,      /* err says why */
};

struct run {
    struct drive *drive;
    struct order *order;
    struct err *err;
    int64_t started_ms; /* when the present waiting began: for machines, or for people */
    int attempt;        /* status requests since that did not end it */
    bool for_people;
    bool answered; /* the CA has answered about the order in this run */
};

/* Does the one thing that is due. */
enum step order_run_step(struct run *run);

/* After STEP_WAIT: how long until the CA is asked again (STEP_ON), or that time is up (STEP_STOP).
 */
enum step order_run_wait(struct run *run, int64_t *wait_ms);

/* Moves to a state that may follow, and writes that down with an event: the one way in which a
 * drive changes a state. */
bool order_run_move(struct run *run, enum order_state to, const char *event) NODISCARD;

/* The same, for a step that went well: the last failure is forgotten. STEP_ON, or STEP_STOP. */
enum step order_run_go(struct run *run, enum order_state to, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Writes the failure of a step into the journal, without changing the state. STEP_STOP. */
enum step order_run_failed(struct run *run);

/* The same after a question to the CA; what may pass by itself is waited out, and an answer that is
 * on its way is waited for. */
enum step order_run_asking_failed(struct run *run);

/* Tells the caller how it is going. */
void order_run_tell(struct run *run, int64_t wait_ms);

/* E_CONFIG. */
bool order_run_has_ca(struct run *run) NODISCARD;

/* submit.c: sends an order, once; and looks for one of which nobody knows whether it was taken. */
enum step order_run_submit(struct run *run);
enum step order_run_find(struct run *run);

/* absence.c: one more look has found nothing of the order. STEP_WAIT, or STEP_ON when it is certain
 * that the CA did not get it. */
enum step order_run_absent(struct run *run, const struct ca_request *request);

/* Pauses that the CA asks for end with the command's time. */
void order_run_bound(struct run *run);

#endif
