#include "order/order.h"

#include "unit/unit.h"

/* The transitions as a table to be read: a change shows its meaning in review. */
static const char golden[] =
    "planned        make-key  open  unsent -> key-ready abandoned\n"
    "key-ready      sign      open  unsent -> signed abandoned\n"
    "signed         submit    open  unsent -> awaiting-approval submitting abandoned\n"
    "awaiting-approval approve   open  unsent -> signed submitting abandoned declined\n"
    "submitting     find      open  sent   -> signed ambiguous pending\n"
    "ambiguous      find      open  sent   -> signed pending\n"
    "pending        poll      open  sent   -> waiting issued failed\n"
    "waiting        poll      open  sent   -> pending issued failed\n"
    "issued         collect   open  sent   -> pending waiting collected "
    "failed revoked\n"
    "collected      verify    open  sent   -> verified cert-rejected revoked\n"
    "verified       bind      open  sent   -> done revoked\n"
    "done           none      final sent   -> revoked\n"
    "failed         none      final sent   ->\n"
    "cert-rejected  none      final sent   -> collected revoked\n"
    "revoked        none      final sent   ->\n"
    "abandoned      none      final unsent ->\n"
    "declined       none      final unsent ->\n"
    "not-ordered    none      final sent   ->\n";

static const char *action_name(enum order_action action)
{
    switch (action) {
    case ACTION_NONE:
        return "none";
    case ACTION_MAKE_KEY:
        return "make-key";
    case ACTION_SIGN:
        return "sign";
    case ACTION_APPROVE:
        return "approve";
    case ACTION_SUBMIT:
        return "submit";
    case ACTION_FIND:
        return "find";
    case ACTION_POLL:
        return "poll";
    case ACTION_COLLECT:
        return "collect";
    case ACTION_VERIFY:
        return "verify";
    case ACTION_BIND:
        return "bind";
    }
    return "?";
}

static void add_row(struct buf *out, enum order_state from)
{
    buf_addf(out, "%-14s %-9s %-5s %-6s ->", order_state_name(from),
             action_name(order_state_action(from)), order_state_is_final(from) ? "final" : "open",
             order_state_is_sent(from) ? "sent" : "unsent");
    for (int to = 0; to < ORDER_STATES; to++) {
        if ((int)from != to && order_state_may_follow(from, (enum order_state)to)) {
            buf_addf(out, " %s", order_state_name((enum order_state)to));
        }
    }
    buf_add_str(out, "\n");
}

static void test_table_of_transitions(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(4000);

    for (int i = 0; i < ORDER_STATES; i++) {
        add_row(&out, (enum order_state)i);
    }
    assert_golden(buf_str(&out), golden);
}

static void test_every_state_may_be_saved_again(void **state UNUSED)
{
    for (int i = 0; i < ORDER_STATES; i++) {
        assert_true(order_state_may_follow((enum order_state)i, (enum order_state)i));
    }
}

/* A rejected certificate can be looked at again, and certificates are revoked; nothing else comes
 * back. */
static void test_final_states_have_no_followers(void **state UNUSED)
{
    for (int i = 0; i < ORDER_STATES; i++) {
        for (int to = 0; to < ORDER_STATES; to++) {
            bool final = order_state_is_final((enum order_state)i);
            bool follows = order_state_may_follow((enum order_state)i, (enum order_state)to);
            bool again = i == ORDER_REJECTED && to == ORDER_COLLECTED;
            bool revoked = (i == ORDER_REJECTED || i == ORDER_DONE) && to == ORDER_REVOKED;
            assert_int_equal(final && follows && i != to, again || revoked);
        }
    }
}

/* Once the CA may know of an order, no way leads to a second request except a refusal, and
 * that it is certain not to have got it. */
static void test_sent_orders_are_sent_again_after_refusal_or_absence(void **state UNUSED)
{
    for (int i = 0; i < ORDER_STATES; i++) {
        for (int to = 0; to < ORDER_STATES; to++) {
            bool back = order_state_is_sent((enum order_state)i) &&
                        !order_state_is_sent((enum order_state)to) &&
                        order_state_may_follow((enum order_state)i, (enum order_state)to);
            assert_int_equal(back,
                             (i == ORDER_SUBMITTING || i == ORDER_AMBIGUOUS) && to == ORDER_SIGNED);
        }
    }
}

static void test_claims_of_earlier_orders(void **state UNUSED)
{
    for (int i = 0; i < ORDER_STATES; i++) {
        enum order_state at = (enum order_state)i;
        enum order_claim want = order_state_is_sent(at) ? ORDER_CLAIM_OPEN : ORDER_CLAIM_UNSENT;
        want = order_state_is_final(at) ? ORDER_CLAIM_NONE : want;
        want = at == ORDER_REJECTED ? ORDER_CLAIM_REJECTED : want;
        want = at == ORDER_DONE ? ORDER_CLAIM_DONE : want;
        assert_int_equal(order_claim(at, true, false), want);
    }
    assert_int_equal(order_claim(ORDER_DONE, false, false), ORDER_CLAIM_NONE);
    assert_int_equal(order_claim(ORDER_REJECTED, false, true), ORDER_CLAIM_NONE);
    assert_int_equal(order_claim(ORDER_PENDING, false, true), ORDER_CLAIM_OPEN);
}

static void test_names_round_trip(void **state UNUSED)
{
    for (int i = 0; i < ORDER_STATES; i++) {
        enum order_state parsed = ORDER_STATES;
        assert_true(order_state_parse(order_state_name((enum order_state)i), &parsed));
        assert_int_equal(parsed, i);
    }
}

static void test_unknown_names_are_refused(void **state UNUSED)
{
    enum order_state parsed = ORDER_DONE;

    assert_false(order_state_parse("", &parsed));
    assert_false(order_state_parse("Done", &parsed));
    assert_false(order_state_parse("done ", &parsed));
    assert_false(order_state_parse(NULL, &parsed));
    assert_int_equal(parsed, ORDER_DONE);
}

static void test_every_state_has_a_sentence(void **state UNUSED)
{
    for (int i = 0; i < ORDER_STATES; i++) {
        assert_true(strlen(order_state_sentence((enum order_state)i)) > 10);
        bool silent = order_state_doing((enum order_state)i) == NULL;
        assert_int_equal(silent,
                         order_state_is_final((enum order_state)i) || i == ORDER_SUBMITTING);
    }
}

static void test_phases_of_the_ca(void **state UNUSED)
{
    assert_int_equal(order_state_of_phase(CA_PENDING), ORDER_PENDING);
    assert_int_equal(order_state_of_phase(CA_WAITING), ORDER_WAITING);
    assert_int_equal(order_state_of_phase(CA_ISSUED), ORDER_ISSUED);
    assert_int_equal(order_state_of_phase(CA_FAILED), ORDER_FAILED);
}

/* Looks for an order at these times; whether it is certain then that it is not there. */
static bool is_absent_after(const int64_t *at_s, size_t count, int64_t after_s, bool sent_again)
{
    struct order order;

    order_init(&order);
    order.sent_again = sent_again;
    for (size_t i = 0; i < count; i++) {
        order_count_look(&order, after_s, at_s[i]);
    }
    return order_is_absent(&order, after_s);
}

static void test_absence_takes_three_looks_and_its_time(void **state UNUSED)
{
    const int64_t evenly[] = {1000, 2800, 4600};
    const int64_t too_soon[] = {1000, 2800, 4590};
    const int64_t many[] = {1000, 1300, 1600, 1900, 2200, 2500, 2800,
                            3100, 3400, 3700, 4000, 4300, 4600};

    assert_true(is_absent_after(evenly, ARRAY_LEN(evenly), 3600, false));
    assert_false(is_absent_after(evenly, 2, 3600, false));
    assert_false(is_absent_after(too_soon, ARRAY_LEN(too_soon), 3600, false));
    assert_true(is_absent_after(many, ARRAY_LEN(many), 3600, false));
    assert_false(is_absent_after(many, ARRAY_LEN(many) - 1, 3600, false));
    assert_true(is_absent_after(evenly, ARRAY_LEN(evenly), 0, false));
    assert_false(is_absent_after(evenly, 2, 0, false));
}

static void test_absence_is_found_once_or_never(void **state UNUSED)
{
    const int64_t late[] = {1000, 100000, 200000, 300000};

    assert_true(is_absent_after(late, ARRAY_LEN(late), 3600, false));
    assert_false(is_absent_after(late, ARRAY_LEN(late), 3600, true));
    assert_false(is_absent_after(late, ARRAY_LEN(late), -1, false));
}

static void test_clock_that_is_set_makes_nothing_absent(void **state UNUSED)
{
    const int64_t forward[] = {1000, 1005, 500000, 500015, 500060};
    const int64_t back[] = {500000, 1000, 1005, 1020};

    assert_false(is_absent_after(forward, ARRAY_LEN(forward), 3600, false));
    assert_false(is_absent_after(back, ARRAY_LEN(back), 3600, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_of_transitions),
        cmocka_unit_test(test_every_state_may_be_saved_again),
        cmocka_unit_test(test_final_states_have_no_followers),
        cmocka_unit_test(test_sent_orders_are_sent_again_after_refusal_or_absence),
        cmocka_unit_test(test_claims_of_earlier_orders),
        cmocka_unit_test(test_names_round_trip),
        cmocka_unit_test(test_unknown_names_are_refused),
        cmocka_unit_test(test_every_state_has_a_sentence),
        cmocka_unit_test(test_phases_of_the_ca),
        cmocka_unit_test(test_absence_takes_three_looks_and_its_time),
        cmocka_unit_test(test_absence_is_found_once_or_never),
        cmocka_unit_test(test_clock_that_is_set_makes_nothing_absent),
    };

    return UNIT_RUN(tests);
}
