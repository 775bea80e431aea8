#include "order/order.h"

#include "unit/unit.h"

static int64_t wall(void *ctx UNUSED)
{
    return 1000;
}

static const struct clock fixed = {.wall_s = wall};

/* A journal with one order in it. */
struct scene {
    struct journal *journal;
    struct order order;
    struct order wish;
};

static void scene_done(struct scene *s)
{
    order_done(&s->order);
    order_done(&s->wish);
    journal_close(s->journal);
}

DEFINE_AUTO_DONE(scene, struct scene, scene_done)

static void set(char **field, const char *value)
{
    struct err err = ERR_INIT;

    assert_ok(order_set(field, value, &err), &err);
}

static void fill(struct order *order, const char *word, int64_t number)
{
    char **fields[] = {&order->ca,       &order->profile,       &order->token,
                       &order->product,  &order->comments,      &order->external_requester,
                       &order->subject,  &order->custom_fields, &order->key_uri,
                       &order->key_type, &order->csr_pem};

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        set(fields[i], word);
    }
    order->product_id = number;
    order->term_days = number;
    order->send_names = CA_NAMES_AUTO;
}

static void begin(struct scene *s, enum order_state at)
{
    struct err err = ERR_INIT;
    int64_t other = 0;

    *s = (struct scene){.journal = NULL};
    assert_ok(journal_open(tmp_dir(), &fixed, &s->journal, &err), &err);
    assert_ok(order_new_mark(s->order.mark, &err), &err);
    set(&s->order.dedupe, "d");
    set(&s->order.names, "www.example.org");
    fill(&s->order, "old", 1);
    fill(&s->wish, "new", 2);
    s->wish.send_names = CA_NAMES_NEVER;
    s->order.state = at;
    assert_ok(journal_add(s->journal, &s->order, true, &other, &err), &err);
}

/* What the journal has after the change. */
static void load(struct scene *s, struct order *out)
{
    struct err err = ERR_INIT;

    order_init(out);
    assert_ok(journal_load(s->journal, s->order.id, out, &err), &err);
}

static void revise(struct scene *s, enum order_state at, struct order *out)
{
    struct err err = ERR_INIT;

    begin(s, at);
    assert_ok(order_revise(s->journal, &s->order, &s->wish, &err), &err);
    load(s, out);
}

static void test_unsent_order_takes_what_is_configured_now(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(order) struct order o;

    revise(&s, ORDER_SIGNED, &o);
    assert_string_equal(o.custom_fields, "new");
    assert_string_equal(o.comments, "new");
    assert_string_equal(o.external_requester, "new");
    assert_string_equal(o.product, "new");
    assert_string_equal(o.profile, "new");
    assert_string_equal(o.ca, "new");
    assert_string_equal(o.token, "new");
    assert_int_equal(o.product_id, 2);
    assert_int_equal(o.term_days, 2);
    assert_int_equal(o.send_names, CA_NAMES_NEVER);
}

static void test_settings_can_be_taken_back(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(order) struct order o;
    struct err err = ERR_INIT;

    begin(&s, ORDER_PLANNED);
    set(&s.wish.custom_fields, NULL);
    assert_ok(order_revise(s.journal, &s.order, &s.wish, &err), &err);
    load(&s, &o);
    assert_null(o.custom_fields);
}

static void test_key_and_request_are_kept(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(order) struct order o;

    revise(&s, ORDER_SIGNED, &o);
    assert_string_equal(o.key_uri, "old");
    assert_string_equal(o.key_type, "old");
    assert_string_equal(o.csr_pem, "old");
    assert_string_equal(o.subject, "old"); /* it is in the request */
}

static void test_subject_may_change_before_it_is_signed(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(order) struct order o;

    revise(&s, ORDER_KEY_READY, &o);
    assert_string_equal(o.subject, "new");
    assert_string_equal(o.key_uri, "old");
}

static void test_sent_order_is_left_alone(void **state UNUSED)
{
    static const enum order_state sent[] = {ORDER_SUBMITTING, ORDER_AMBIGUOUS, ORDER_PENDING,
                                            ORDER_VERIFIED};

    for (size_t i = 0; i < ARRAY_LEN(sent); i++) {
        AUTO(scene) struct scene s;
        AUTO(order) struct order o;
        revise(&s, sent[i], &o);
        assert_string_equal(o.custom_fields, "old");
        assert_int_equal(o.term_days, 1);
    }
}

static void test_unsent_order_can_be_abandoned(void **state UNUSED)
{
    static const enum order_state unsent[] = {ORDER_PLANNED, ORDER_KEY_READY, ORDER_SIGNED,
                                              ORDER_ABANDONED};

    for (size_t i = 0; i < ARRAY_LEN(unsent); i++) {
        AUTO(scene) struct scene s;
        AUTO(order) struct order o;
        struct err err = ERR_INIT;
        begin(&s, unsent[i]);
        assert_ok(order_abandon(s.journal, &s.order, &err), &err);
        load(&s, &o);
        assert_int_equal(o.state, ORDER_ABANDONED);
    }
}

static void cannot_be_abandoned(enum order_state at, enum err_code code, const char *text)
{
    AUTO(scene) struct scene s;
    AUTO(order) struct order o;
    struct err err = ERR_INIT;

    begin(&s, at);
    assert_fails(order_abandon(s.journal, &s.order, &err), &err, code, text);
    load(&s, &o);
    assert_int_equal(o.state, at);
}

static void test_order_that_may_be_at_the_ca_cannot_be_abandoned(void **state UNUSED)
{
    cannot_be_abandoned(ORDER_SUBMITTING, E_ORDER_AMBIGUOUS, "the CA may have it");
    cannot_be_abandoned(ORDER_AMBIGUOUS, E_ORDER_AMBIGUOUS, "the CA may have it");
    cannot_be_abandoned(ORDER_PENDING, E_USAGE, "in the state 'pending'");
    cannot_be_abandoned(ORDER_REJECTED, E_USAGE, "in the state 'cert-rejected'");
    cannot_be_abandoned(ORDER_DONE, E_USAGE, "in the state 'done'");
}

static void test_rejected_certificate_is_looked_at_again(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_REJECTED);
    assert_ok(order_look_again(s.journal, &s.order, &err), &err);
    assert_int_equal(s.order.state, ORDER_REJECTED); /* there is no answer to look at */
    set(&s.order.answer_pem, "ANSWER");
    assert_ok(order_look_again(s.journal, &s.order, &err), &err);
    assert_int_equal(s.order.state, ORDER_COLLECTED);
    s.order.state = ORDER_FAILED;
    assert_ok(order_look_again(s.journal, &s.order, &err), &err);
    assert_int_equal(s.order.state, ORDER_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unsent_order_takes_what_is_configured_now),
        cmocka_unit_test(test_settings_can_be_taken_back),
        cmocka_unit_test(test_key_and_request_are_kept),
        cmocka_unit_test(test_subject_may_change_before_it_is_signed),
        cmocka_unit_test(test_sent_order_is_left_alone),
        cmocka_unit_test(test_unsent_order_can_be_abandoned),
        cmocka_unit_test(test_order_that_may_be_at_the_ca_cannot_be_abandoned),
        cmocka_unit_test(test_rejected_certificate_is_looked_at_again),
    };

    return UNIT_RUN(tests);
}
