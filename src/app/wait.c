#include "app/app.h"

#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>

enum { ORDERS_MAX = 1000000 };

/* One order with the sections that it was made with. */
struct boat {
    struct app_driver driver;
    struct config_selection selection;
    bool sails; /* it takes part */
};

/* A CA, with the token that its client certificate may be on, and the organization that orders. */
struct harbour {
    struct app_ca connection;
    char *ca, *token;
    int64_t org_id;
    struct err err; /* why it cannot be opened */
};

struct trip {
    struct app *app;
    const struct app_wait *request;
    struct app_waited *out;
    struct journal *journal;
    struct order_lock locks;
    struct fleet_member *members;
    struct boat *boats;
    struct harbour *harbours;
    size_t harbour_count;
};

static void trip_done(struct trip *trip)
{
    for (size_t i = 0; trip->members != NULL && i < trip->request->count; i++) {
        order_done(&trip->members[i].order);
    }
    for (size_t i = 0; i < trip->harbour_count; i++) {
        app_ca_close(&trip->harbours[i].connection);
        free(trip->harbours[i].ca);
        free(trip->harbours[i].token);
    }
    free(trip->harbours);
    free(trip->boats);
    free(trip->members);
    order_lock_release(&trip->locks);
    journal_close(trip->journal);
}

DEFINE_AUTO_DONE(trip, struct trip, trip_done)

static void count(struct app_waited *out, const struct fleet_member *member)
{
    if (member->done) {
        out->done++;
    } else if (member->err.code == E_ORDER_PENDING) {
        out->pending++;
    } else if (member->err.code == E_ORDER_WAITING || member->err.code == E_ORDER_APPROVAL) {
        out->waiting++;
    } else {
        out->failed++;
        out->code = out->code == E_NONE ? member->err.code : out->code;
    }
}

static void ended(void *ctx, struct fleet_member *member)
{
    struct trip *trip = ctx;

    count(trip->out, member);
    if (trip->request->ended != NULL) {
        trip->request->ended(trip->request->ctx, &member->order, &member->err);
    }
}

static void turn(void *ctx, struct fleet_member *member)
{
    struct trip *trip = ctx;
    const struct boat *boat = member->tag;

    trip->app->selection = boat->selection;
    log_set_order((long)member->order.id);
}

static void tick(void *ctx, size_t asking, int64_t next_ms)
{
    const struct trip *trip = ctx;
    const struct app_waited *out = trip->out;
    struct app_waiting waiting = {.count = trip->request->count,
                                  .done = out->done,
                                  .failed = out->failed,
                                  .left = out->pending + out->waiting,
                                  .asking = asking,
                                  .next_ms = next_ms};

    for (size_t i = 0; i < waiting.count; i++) {
        const struct fleet_member *member = &trip->members[i];
        waiting.open += member->ended ? 0 : 1;
        waiting.people += !member->ended && member->order.state == ORDER_WAITING ? 1 : 0;
    }
    trip->request->progress(trip->request->ctx, &waiting);
}

/* Locks and loads; whatever prevents it is that order's own. */
static bool board(struct trip *trip, size_t i)
{
    struct fleet_member *member = &trip->members[i];
    struct boat *boat = &trip->boats[i];
    struct err *err = &member->err;
    int64_t id = trip->request->ids[i];

    member->tag = boat;
    order_init(&member->order);
    member->order.id = id;
    if (!order_locks_add(&trip->locks, id, err) ||
        !journal_load(trip->journal, id, &member->order, err) ||
        !app_select_for(trip->app, &member->order, err) ||
        !order_look_again(trip->journal, &member->order, err)) {
        return false;
    }
    boat->selection = trip->app->selection;
    return true;
}

static struct harbour *harbour_for(struct trip *trip, const struct order *order, struct err *err)
{
    int64_t org_id = config_org_id(&trip->app->selection); /* a profile may have its own */

    for (size_t i = 0; i < trip->harbour_count; i++) {
        struct harbour *known = &trip->harbours[i];
        if (str_equal(known->ca, order->ca) && str_equal(known->token, order->token) &&
            known->org_id == org_id) {
            return known;
        }
    }
    struct harbour *fresh = &trip->harbours[trip->harbour_count];
    *fresh = (struct harbour){
        .ca = str_dup(order->ca), .token = str_dup(order->token), .org_id = org_id};
    if (fresh->ca == NULL || fresh->token == NULL) {
        free(fresh->ca);
        free(fresh->token);
        (void)err_nomem(err);
        return NULL;
    }
    trip->harbour_count++;
    if (!app_ca_open(trip->app, &fresh->connection, &fresh->err)) {
        log_line(LOG_DEBUG, "order", "CA '%s' cannot be used", fresh->ca);
    }
    return fresh;
}

/* The CA is not needed for what is left of some orders; those go on without. */
static bool moor(struct trip *trip, size_t i)
{
    struct fleet_member *member = &trip->members[i];
    struct boat *boat = &trip->boats[i];
    struct ca *ca = NULL;

    trip->app->selection = boat->selection;
    if (app_needs_ca(trip->app, trip->journal, &member->order)) {
        const struct harbour *harbour = harbour_for(trip, &member->order, &member->err);
        if (harbour == NULL) {
            return false;
        }
        if (harbour->connection.ca == NULL) {
            member->err = harbour->err;
            return false;
        }
        ca = harbour->connection.ca;
    }
    app_driver(trip->app, trip->journal, ca, trip->request->once, &boat->driver);
    boat->driver.hooks.progress = NULL;
    member->drive = boat->driver.drive;
    member->width = (size_t)boat->selection.ca->connections;
    return true;
}

/* All sections are chosen before the first CA is opened: choosing sets options anew, and a CA
 * borrows their texts. */
static void prepare(struct trip *trip)
{
    for (size_t i = 0; i < trip->request->count; i++) {
        trip->boats[i].sails = board(trip, i);
    }
    for (size_t i = 0; i < trip->request->count; i++) {
        trip->boats[i].sails = trip->boats[i].sails && moor(trip, i);
        if (!trip->boats[i].sails) {
            trip->members[i].drive.clock = trip->app->clock;
            trip->members[i].ended = true;
            ended(trip, &trip->members[i]);
        }
    }
}

bool app_wait(struct app *app, const struct app_wait *request, struct app_waited *out,
              struct err *err)
{
    AUTO(trip)
    struct trip trip = {.app = app, .request = request, .out = out, .locks = ORDER_LOCK_INIT};

    *out = (struct app_waited){.code = E_NONE};
    trip.members = calloc(request->count, sizeof(*trip.members));
    trip.boats = calloc(request->count, sizeof(*trip.boats));
    trip.harbours = calloc(request->count, sizeof(*trip.harbours));
    if (trip.members == NULL || trip.boats == NULL || trip.harbours == NULL) {
        return err_nomem(err);
    }
    if (!app_journal(app, &trip.journal, err) ||
        !order_locks_open(trip.journal, &trip.locks, err)) {
        return false;
    }
    prepare(&trip);
    struct fleet fleet = {.list = trip.members,
                          .count = request->count,
                          .stop = app->stop,
                          .turn = turn,
                          .ended = ended,
                          .tick = request->progress != NULL ? tick : NULL,
                          .ctx = &trip};
    bool ok = fleet_drive(&fleet, err);
    log_set_order(0);
    return ok;
}

struct found {
    int64_t *ids;
    size_t count, cap;
    bool failed;
};

static bool add_open(void *ctx, const struct order *order)
{
    struct found *found = ctx;

    if (!order_state_is_sent(order->state)) {
        return true; /* waiting must not order anything */
    }
    if (found->count == found->cap) {
        size_t cap = found->cap > 0 ? 2 * found->cap : 64;
        int64_t *longer = realloc(found->ids, cap * sizeof(*longer));
        if (longer == NULL) {
            found->failed = true;
            return false;
        }
        found->ids = longer;
        found->cap = cap;
    }
    found->ids[found->count++] = order->id;
    return true;
}

bool app_open_orders(struct app *app, int64_t **ids, size_t *count_out, struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;
    struct found found = {.ids = NULL};

    if (!journal_open(app->state_dir, app->clock, &journal, err)) {
        return false;
    }
    bool ok = journal_list(journal, true, ORDERS_MAX, add_open, &found, err);
    if (ok && found.failed) {
        ok = err_nomem(err);
    }
    if (!ok) {
        free(found.ids);
        return false;
    }
    for (size_t i = 0; i < found.count / 2; i++) { /* they came newest first */
        int64_t newest = found.ids[i];
        found.ids[i] = found.ids[found.count - 1 - i];
        found.ids[found.count - 1 - i] = newest;
    }
    *ids = found.ids;
    *count_out = found.count;
    return true;
}
