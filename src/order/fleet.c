/*
 * Many orders beside each other, in one thread: whoever is due has his turn. Reads at the CA are
 * started and not waited for, as many at a time as a CA may have; what is done on a token or in the
 * journal is done at once. So a slow answer holds up its own order alone.
 */
#include "order/drive_impl.h"

#include "base/log.h"

#include <stdlib.h>

enum { SLICE_MS = 1000, TICK_MS = 200, SEVERAL_MS = 10, PAUSE_MOST_S = 120, CAS_MAX = 64 };

/* One order, and when it is due. */
struct job {
    struct fleet_member *member;
    struct run run;
    int64_t due_ms;
    bool asking; /* its CA's answer is under way */
};

/* A CA that some of the orders are at. */
struct place {
    struct ca *ca;
    size_t width, asking;
    int64_t quiet_until_ms; /* it asked to be left alone */
};

struct crew {
    struct fleet *fleet;
    struct job *jobs;
    struct place places[CAS_MAX];
    size_t place_count;
    size_t left;
    int64_t tick_ms; /* when the caller is told the next time how it goes */
};

static struct place *place_of(struct crew *crew, const struct job *job)
{
    for (size_t i = 0; i < crew->place_count; i++) {
        if (crew->places[i].ca == job->run.drive->ca) {
            return &crew->places[i];
        }
    }
    return NULL;
}

static bool is_asked_aside(const struct job *job)
{
    enum order_action action = order_state_action(job->run.order->state);

    return job->run.drive->ca != NULL &&
           (action == ACTION_FIND || action == ACTION_POLL || action == ACTION_COLLECT);
}

static void end(struct crew *crew, struct job *job)
{
    struct fleet_member *member = job->member;

    member->ended = true;
    member->done = job->run.order->state == ORDER_DONE;
    if (member->done) {
        err_clear(&member->err);
    }
    crew->left--;
    if (crew->fleet->ended != NULL) {
        crew->fleet->ended(crew->fleet->ctx, member);
    }
}

/* May it have its turn now? */
static bool is_due(struct crew *crew, const struct job *job, int64_t now_ms)
{
    if (job->member->ended || job->asking || job->due_ms > now_ms) {
        return false;
    }
    if (!is_asked_aside(job)) {
        return true;
    }
    const struct place *place = place_of(crew, job);
    return place == NULL || (place->asking < place->width && place->quiet_until_ms <= now_ms);
}

/* Whoever has been due for the longest time; NULL: nobody. */
static struct job *next_due(struct crew *crew, int64_t now_ms)
{
    struct job *next = NULL;

    for (size_t i = 0; i < crew->fleet->count; i++) {
        struct job *job = &crew->jobs[i];
        if (is_due(crew, job, now_ms) && (next == NULL || job->due_ms < next->due_ms)) {
            next = job;
        }
    }
    return next;
}

static void wait_again(struct crew *crew, struct job *job, int64_t now_ms)
{
    int64_t wait_ms = 0;

    if (order_run_wait(&job->run, &wait_ms) == STEP_STOP) {
        end(crew, job);
        return;
    }
    err_clear(job->run.err);
    job->due_ms = now_ms + wait_ms;
}

/* One step of one order. */
static void take_turn(struct crew *crew, struct job *job)
{
    struct fleet *fleet = crew->fleet;
    struct place *place = place_of(crew, job);
    struct ca *ca = job->run.drive->ca;
    bool aside = is_asked_aside(job);

    if (fleet->turn != NULL) {
        fleet->turn(fleet->ctx, job->member);
    }
    if (aside) {
        ca_turn(ca, job);
    }
    err_clear(job->run.err);
    enum step step = order_run_step(&job->run);
    if (aside) {
        ca_turn(ca, NULL);
    }
    int64_t now_ms = clock_mono_ms(job->run.drive->clock);
    if (step == STEP_UNDER_WAY && place != NULL) {
        job->asking = true;
        place->asking++;
        return;
    }
    if (aside) {
        ca_forget(ca, job);
    }
    if (step == STEP_STOP || job->run.order->state == ORDER_DONE) {
        end(crew, job);
    } else if (step == STEP_WAIT) {
        wait_again(crew, job, now_ms);
    } else {
        job->due_ms = now_ms;
    }
}

/* An answer came: whoever asked is due at once, before all others. */
static bool hear(struct crew *crew, struct place *place, int64_t wait_ms)
{
    struct ca_heard heard;

    if (place->asking == 0 || !ca_hear(place->ca, wait_ms, &heard)) {
        return false;
    }
    struct job *job = heard.user;
    place->asking--;
    job->asking = false;
    job->due_ms = 0;
    if (heard.pause_s > 0) {
        int64_t pause_s = heard.pause_s < PAUSE_MOST_S ? heard.pause_s : PAUSE_MOST_S;
        place->quiet_until_ms = clock_mono_ms(job->run.drive->clock) + pause_s * 1000;
    }
    take_turn(crew, job);
    return true;
}

static bool hear_all(struct crew *crew, int64_t wait_ms)
{
    bool any = false;
    size_t busy = 0;

    for (size_t i = 0; i < crew->place_count; i++) {
        busy += crew->places[i].asking > 0 ? 1 : 0;
    }
    for (size_t i = 0; i < crew->place_count; i++) {
        int64_t wait = busy > 1 && wait_ms > SEVERAL_MS ? SEVERAL_MS : wait_ms;
        while (hear(crew, &crew->places[i], any ? 0 : wait)) {
            any = true;
        }
    }
    return any;
}

/* Until somebody is due; INT64_MAX: answers come before. */
static int64_t next_ms(struct crew *crew, int64_t now_ms)
{
    int64_t least = INT64_MAX;

    for (size_t i = 0; i < crew->fleet->count; i++) {
        const struct job *job = &crew->jobs[i];
        const struct place *place = place_of(crew, job);
        if (job->member->ended || job->asking) {
            continue;
        }
        int64_t due = job->due_ms;
        if (is_asked_aside(job) && place != NULL) {
            if (place->asking >= place->width) {
                continue; /* an answer comes before */
            }
            due = due > place->quiet_until_ms ? due : place->quiet_until_ms;
        }
        int64_t wait = due > now_ms ? due - now_ms : 0;
        least = wait < least ? wait : least;
    }
    return least;
}

static size_t asking(const struct crew *crew)
{
    size_t all = 0;

    for (size_t i = 0; i < crew->place_count; i++) {
        all += crew->places[i].asking;
    }
    return all;
}

/* A caller that writes to a terminal is not to be kept busy with it. */
static void tick(struct crew *crew, int64_t now_ms)
{
    const struct fleet *fleet = crew->fleet;

    if (fleet->tick != NULL && now_ms >= crew->tick_ms) {
        crew->tick_ms = now_ms + TICK_MS;
        int64_t wait_ms = next_ms(crew, now_ms);
        fleet->tick(fleet->ctx, asking(crew), wait_ms == INT64_MAX ? 0 : wait_ms);
    }
}

static bool is_stopped(const struct fleet *fleet)
{
    return fleet->stop != NULL && *fleet->stop;
}

static void go_on(struct crew *crew, const struct clock *clock)
{
    while (crew->left > 0 && !is_stopped(crew->fleet)) {
        tick(crew, clock_mono_ms(clock));
        struct job *job = next_due(crew, clock_mono_ms(clock));
        if (job != NULL) {
            take_turn(crew, job);
            (void)hear_all(crew, 0);
            continue;
        }
        int64_t wait_ms = next_ms(crew, clock_mono_ms(clock));
        wait_ms = wait_ms < SLICE_MS ? wait_ms : SLICE_MS;
        if (asking(crew) > 0) {
            (void)hear_all(crew, wait_ms);
        } else if (wait_ms > 0 && !clock_sleep_ms(clock, wait_ms)) {
            break;
        }
    }
}

static void interrupt(struct crew *crew)
{
    for (size_t i = 0; i < crew->fleet->count; i++) {
        struct job *job = &crew->jobs[i];
        if (!job->member->ended) {
            (void)err_set(
                &job->member->err, E_INTERRUPTED,
                "interrupted while waiting for order %lld; 'p11enroll order wait %lld' goes on",
                (long long)job->run.order->id, (long long)job->run.order->id);
            end(crew, job);
        }
    }
}

static bool add_place(struct crew *crew, struct job *job)
{
    struct ca *ca = job->run.drive->ca;

    if (ca == NULL || place_of(crew, job) != NULL) {
        return true;
    }
    if (crew->place_count == CAS_MAX) {
        return err_set(&job->member->err, E_USAGE, "orders of more than %d CAs at a time", CAS_MAX);
    }
    crew->places[crew->place_count++] =
        (struct place){.ca = ca, .width = job->member->width > 0 ? job->member->width : 1};
    return true;
}

static void begin(struct crew *crew, size_t i)
{
    struct fleet_member *member = &crew->fleet->list[i];
    struct job *job = &crew->jobs[i];
    int64_t now_ms = clock_mono_ms(member->drive.clock);

    *job = (struct job){.member = member, .due_ms = now_ms};
    job->run = (struct run){.drive = &member->drive,
                            .order = &member->order,
                            .err = &member->err,
                            .started_ms = now_ms};
    if (member->ended) {
        crew->left--; /* it never began */
        return;
    }
    err_clear(&member->err);
    order_run_bound(&job->run);
    if (!add_place(crew, job)) {
        end(crew, job);
    }
}

bool fleet_drive(struct fleet *fleet, struct err *err)
{
    struct crew crew = {.fleet = fleet, .left = fleet->count};
    AUTO(mem) void *jobs = calloc(fleet->count > 0 ? fleet->count : 1, sizeof(struct job));

    if (jobs == NULL) {
        return err_nomem(err);
    }
    crew.jobs = jobs;
    for (size_t i = 0; i < fleet->count; i++) {
        begin(&crew, i);
    }
    if (fleet->count > 0) {
        go_on(&crew, fleet->list[0].drive.clock);
    }
    interrupt(&crew);
    for (size_t i = 0; i < fleet->count; i++) {
        if (crew.jobs[i].run.drive->ca != NULL) {
            ca_forget(crew.jobs[i].run.drive->ca, &crew.jobs[i]);
        }
    }
    log_line(LOG_DEBUG, "order", "%zu orders have had their turns", fleet->count);
    return true;
}
