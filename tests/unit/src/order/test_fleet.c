/*
 * Many orders beside each other, as far as it goes without a CA that answers (tests/e2e has one),
 * whose time is whose, and the locks that a process holds for many.
 */
#include "order/drive_impl.h"

#include "unit/pki.h"
#include "unit/unit.h"

#include <stdlib.h>
#include <unistd.h>

static int64_t now_ms;
static int slept;

static int64_t wall(void *ctx UNUSED)
{
    return PKI_NOW + now_ms / 1000;
}

static int64_t mono(void *ctx UNUSED)
{
    return now_ms;
}

static bool sleep_now(void *ctx UNUSED, int64_t ms)
{
    now_ms += ms;
    slept++;
    return true;
}

static const struct clock fake = {.wall_s = wall, .mono_ms = mono, .sleep_ms = sleep_now};

/* What the hooks and the fleet's callbacks saw, in order: "v1 b1 e1 ". */
static char seen[256];

static void note(const char *what, const struct order *order)
{
    size_t used = strlen(seen);

    (void)snprintf(seen + used, sizeof(seen) - used, "%s%lld ", what, (long long)order->id);
}

static bool verify(void *ctx UNUSED, struct order *order, struct err *err)
{
    note("v", order);
    return order_set(&order->serial, "01", err);
}

static bool bind_cert(void *ctx, struct order *order, struct err *err)
{
    note("b", order);
    return ctx == NULL || err_set(err, E_TOKEN, "the token is gone");
}

static int64_t turn_ms; /* that a turn takes */
static size_t ticks;

static void turn(void *ctx UNUSED, struct fleet_member *member)
{
    note("t", &member->order);
    now_ms += turn_ms;
}

static void tick(void *ctx UNUSED, size_t asking, int64_t next_ms)
{
    assert_int_equal(asking, 0);
    assert_int_equal(next_ms, 0);
    ticks++;
}

static void ended(void *ctx UNUSED, struct fleet_member *member)
{
    note("e", &member->order);
}

static const struct drive_hooks good = {.verify = verify, .bind = bind_cert};
static int broken;
static const struct drive_hooks bad = {.verify = verify, .bind = bind_cert, .ctx = &broken};

enum { MEMBERS = 3 };

struct scene {
    struct journal *journal;
    struct fleet_member members[MEMBERS];
    struct fleet fleet;
};

static void scene_done(struct scene *s)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        order_done(&s->members[i].order);
    }
    journal_close(s->journal);
}

DEFINE_AUTO_DONE(scene, struct scene, scene_done)

static void add(struct scene *s, size_t i, enum order_state state, const struct drive_hooks *hooks)
{
    struct fleet_member *m = &s->members[i];
    struct err err = ERR_INIT;
    int64_t other = 0;

    order_init(&m->order);
    assert_ok(order_new_mark(m->order.mark, &err), &err);
    assert_ok(order_set(&m->order.dedupe, tmp_printf("d%zu", i), &err), &err);
    assert_ok(order_set(&m->order.names, "www.example.org", &err), &err);
    assert_ok(order_set(&m->order.answer_pem, "ANSWER", &err), &err);
    m->order.state = state;
    assert_ok(journal_add(s->journal, &m->order, false, &other, &err), &err);
    m->drive = (struct drive){.journal = s->journal, .clock = &fake, .hooks = hooks};
}

static void begin(struct scene *s)
{
    struct err err = ERR_INIT;

    *s = (struct scene){.fleet = {.turn = turn, .ended = ended}};
    now_ms = 1000;
    turn_ms = 0;
    ticks = 0;
    slept = 0;
    seen[0] = '\0';
    assert_ok(journal_open(tmp_dir(), &fake, &s->journal, &err), &err);
    s->fleet.list = s->members;
}

static void drive(struct scene *s, size_t count)
{
    struct err err = ERR_INIT;

    s->fleet.count = count;
    assert_ok(fleet_drive(&s->fleet, &err), &err);
    for (size_t i = 0; i < count; i++) {
        assert_true(s->members[i].ended);
    }
}

static void test_orders_take_turns(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    add(&s, 0, ORDER_COLLECTED, &good);
    add(&s, 1, ORDER_COLLECTED, &good);
    drive(&s, 2);
    assert_true(s.members[0].done && s.members[1].done);
    assert_string_equal(seen, "t1 v1 t1 b1 e1 t2 v2 t2 b2 e2 ");
}

static void test_a_failure_is_that_order_s_own(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    add(&s, 0, ORDER_VERIFIED, &bad);
    add(&s, 1, ORDER_VERIFIED, &good);
    add(&s, 2, ORDER_FAILED, &good);
    drive(&s, 3);
    assert_false(s.members[0].done);
    assert_int_equal(s.members[0].err.code, E_TOKEN);
    assert_true(s.members[1].done);
    assert_int_equal(s.members[1].err.code, E_NONE);
    assert_int_equal(s.members[2].err.code, E_ORDER_FAILED);
    assert_int_equal(slept, 0);
}

static void test_an_order_that_needs_a_ca_and_has_none(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    add(&s, 0, ORDER_PENDING, &good);
    drive(&s, 1);
    assert_int_equal(s.members[0].err.code, E_CONFIG);
    assert_contains(s.members[0].err.msg, "needs a CA");
}

static void test_who_has_ended_before_takes_no_part(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    add(&s, 0, ORDER_VERIFIED, &good);
    add(&s, 1, ORDER_VERIFIED, &good);
    s.members[0].ended = true;
    s.members[0].err.code = E_ORDER_BUSY;
    drive(&s, 2);
    assert_int_equal(s.members[0].err.code, E_ORDER_BUSY);
    assert_string_equal(seen, "t2 b2 e2 ");
}

static void test_a_signal_leaves_the_rest_as_it_is(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    const volatile bool stop = true;

    begin(&s);
    add(&s, 0, ORDER_COLLECTED, &good);
    s.fleet.stop = &stop;
    drive(&s, 1);
    assert_int_equal(s.members[0].err.code, E_INTERRUPTED);
    assert_contains(s.members[0].err.msg, "interrupted while waiting for order 1");
    assert_int_equal(s.members[0].order.state, ORDER_COLLECTED);
}

static void test_how_it_goes_is_told_now_and_then(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    add(&s, 0, ORDER_COLLECTED, &good);
    add(&s, 1, ORDER_COLLECTED, &good);
    s.fleet.tick = tick;
    turn_ms = 100;
    drive(&s, 2);
    assert_string_equal(seen, "t1 v1 t2 v2 t1 b1 e1 t2 b2 e2 ");
    assert_int_equal(ticks, 2); /* at the beginning, and 200 ms later */
}

static void test_no_orders_at_all(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    drive(&s, 0);
    assert_string_equal(seen, "");
}

/* People and machines */

static struct backoff both = {.kind = BACKOFF_STEPS,
                              .deadline_ms = 20000,
                              .people_deadline_ms = 3600000,
                              .scale_percent = 100};

static enum step wait_again(struct run *run, int64_t *wait_ms)
{
    enum step step = order_run_wait(run, wait_ms);

    now_ms += step == STEP_ON ? *wait_ms : 0;
    return step;
}

static void wait_in(struct scene *s, struct run *run, enum order_state state)
{
    begin(s);
    add(s, 0, state, &good);
    s->members[0].drive.backoff = both;
    *run = (struct run){.drive = &s->members[0].drive,
                        .order = &s->members[0].order,
                        .err = &s->members[0].err,
                        .started_ms = now_ms};
}

static int64_t waited_in(enum order_state state, enum err_code code)
{
    AUTO(scene) struct scene s;
    struct run run;
    int64_t wait_ms = 0;

    wait_in(&s, &run, state);
    int64_t began_ms = now_ms;
    while (wait_again(&run, &wait_ms) == STEP_ON) {
        assert_true(wait_ms > 0);
    }
    assert_int_equal(run.err->code, code);
    return now_ms - began_ms;
}

static void test_machines_and_people_get_times_of_their_own(void **state UNUSED)
{
    assert_int_equal(waited_in(ORDER_PENDING, E_ORDER_PENDING), 20000);
    assert_int_equal(waited_in(ORDER_ISSUED, E_ORDER_PENDING), 20000);
    assert_int_equal(waited_in(ORDER_WAITING, E_ORDER_WAITING), 3600000);
}

static void test_the_time_begins_anew_when_people_have_acted(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct run run;
    int64_t wait_ms = 0;

    wait_in(&s, &run, ORDER_WAITING);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(wait_again(&run, &wait_ms), STEP_ON);
    }
    assert_in_range(wait_ms, 240000, 360000);
    s.members[0].order.state = ORDER_PENDING;
    int64_t began_ms = now_ms;
    assert_int_equal(wait_again(&run, &wait_ms), STEP_ON);
    assert_in_range(wait_ms, 4000, 6000); /* from the first step again */
    while (wait_again(&run, &wait_ms) == STEP_ON) {
    }
    assert_int_equal(now_ms - began_ms, 20000);
}

/* Locks for many */

static void test_one_descriptor_holds_many_orders(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(order_lock) struct order_lock many = ORDER_LOCK_INIT;
    AUTO(order_lock) struct order_lock one = ORDER_LOCK_INIT;
    struct err err = ERR_INIT;

    begin(&s);
    assert_ok(order_locks_open(s.journal, &many, &err), &err);
    for (int64_t id = 1; id <= 5000; id++) {
        assert_ok(order_locks_add(&many, id, &err), &err);
    }
    assert_fails(order_lock_take(s.journal, 4711, &one, &err), &err, E_ORDER_BUSY,
                 tmp_printf("order 4711 is being worked on by process %ld", (long)getpid()));
    assert_ok(order_lock_take(s.journal, 5001, &one, &err), &err);
    order_lock_release(&one);
    order_lock_release(&many);
    assert_ok(order_lock_take(s.journal, 4711, &one, &err), &err);
}

struct child {
    struct journal *journal;
};

static bool child_is_kept_out(void *ctx)
{
    struct child *child = ctx;
    struct order_lock lock = ORDER_LOCK_INIT;
    struct err err = ERR_INIT;

    return !order_lock_take(child->journal, 7, &lock, &err) && err.code == E_ORDER_BUSY &&
           order_lock_take(child->journal, 8, &lock, &err);
}

static void test_another_process_is_kept_out_and_leaves_its_locks_when_it_ends(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(order_lock) struct order_lock seven = ORDER_LOCK_INIT;
    AUTO(order_lock) struct order_lock eight = ORDER_LOCK_INIT;
    struct err err = ERR_INIT;

    begin(&s);
    struct child child = {.journal = s.journal};
    assert_ok(order_lock_take(s.journal, 7, &seven, &err), &err);
    assert_child_ok(unit_child(child_is_kept_out, &child));
    assert_ok(order_lock_take(s.journal, 8, &eight, &err), &err);
}

static void test_numbers_that_no_order_has(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(order_lock) struct order_lock lock = ORDER_LOCK_INIT;
    struct err err = ERR_INIT;

    begin(&s);
    assert_fails(order_lock_take(s.journal, -1, &lock, &err), &err, E_USAGE,
                 "there is no order -1");
    assert_fails(order_lock_take(s.journal, INT64_MAX, &lock, &err), &err, E_USAGE, "no order");
    assert_int_equal(lock.fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders_take_turns),
        cmocka_unit_test(test_a_failure_is_that_order_s_own),
        cmocka_unit_test(test_an_order_that_needs_a_ca_and_has_none),
        cmocka_unit_test(test_who_has_ended_before_takes_no_part),
        cmocka_unit_test(test_a_signal_leaves_the_rest_as_it_is),
        cmocka_unit_test(test_how_it_goes_is_told_now_and_then),
        cmocka_unit_test(test_no_orders_at_all),
        cmocka_unit_test(test_machines_and_people_get_times_of_their_own),
        cmocka_unit_test(test_the_time_begins_anew_when_people_have_acted),
        cmocka_unit_test(test_one_descriptor_holds_many_orders),
        cmocka_unit_test(test_another_process_is_kept_out_and_leaves_its_locks_when_it_ends),
        cmocka_unit_test(test_numbers_that_no_order_has),
    };

    return UNIT_RUN(tests);
}
