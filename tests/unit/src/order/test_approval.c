/* Decisions on orders in the journal, and what an order awaits before it is sent. */
#include "order/order.h"

#include "unit/pki.h"
#include "unit/unit.h"

#include <stdlib.h>

static int64_t wall(void *ctx UNUSED)
{
    return 1000;
}

static int64_t mono(void *ctx UNUSED)
{
    return 0;
}

static const struct clock fixed = {.wall_s = wall, .mono_ms = mono};

/* A journal with one signed order, and a hook that says what it is told to. */
struct scene {
    struct journal *journal;
    struct order order;
    enum order_approval answer;
    enum err_code fail;
    int asked;
};

static void scene_done(struct scene *s)
{
    order_done(&s->order);
    journal_close(s->journal);
}

DEFINE_AUTO_DONE(scene, struct scene, scene_done)

static void begin(struct scene *s)
{
    struct err err = ERR_INIT;
    int64_t other = 0;

    *s = (struct scene){.answer = APPROVAL_AWAITED};
    assert_ok(journal_open(tmp_dir(), &fixed, &s->journal, &err), &err);
    assert_ok(order_new_mark(s->order.mark, &err), &err);
    assert_ok(order_set(&s->order.dedupe, "d", &err), &err);
    assert_ok(order_set(&s->order.names, "www.example.org", &err), &err);
    assert_ok(order_set(&s->order.csr_pem, "CSR", &err), &err);
    s->order.state = ORDER_SIGNED;
    assert_ok(journal_add(s->journal, &s->order, true, &other, &err), &err);
}

static bool answer(void *ctx, const struct order *order UNUSED, enum order_approval *out,
                   struct err *err)
{
    struct scene *s = ctx;

    s->asked++;
    *out = s->answer;
    if (s->fail != E_NONE) {
        return err_set(err, s->fail, "the question failed");
    }
    if (s->answer == APPROVAL_AWAITED) {
        (void)err_set(err, E_ORDER_APPROVAL, "somebody has to approve it");
    } else if (s->answer == APPROVAL_REFUSED) {
        (void)err_set(err, E_ORDER_FAILED, "nobody approved it");
    }
    return true;
}

static bool drive(struct scene *s, struct err *err)
{
    struct drive_hooks hooks = {.approve = answer, .ctx = s};
    struct drive d = {.journal = s->journal,
                      .clock = &fixed,
                      .backoff = {.kind = BACKOFF_STEPS, .scale_percent = 100},
                      .hooks = &hooks};

    err_clear(err);
    return order_drive(&d, &s->order, err);
}

/* What the journal has. */
static enum order_state stored(struct scene *s)
{
    AUTO(order) struct order loaded;
    struct err err = ERR_INIT;

    order_init(&loaded);
    assert_ok(journal_load(s->journal, s->order.id, &loaded, &err), &err);
    assert_int_equal(loaded.awaiting_s, s->order.awaiting_s);
    return loaded.state;
}

static void test_order_stops_before_it_is_sent(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s);
    assert_fails(drive(&s, &err), &err, E_ORDER_APPROVAL, "somebody has to approve it");
    assert_int_equal(stored(&s), ORDER_AWAITING);
    assert_int_equal(s.order.awaiting_s, 1000);
}

static void test_it_is_asked_for_at_each_try(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s);
    for (int i = 1; i <= 3; i++) {
        assert_fails(drive(&s, &err), &err, E_ORDER_APPROVAL, "approve");
        assert_int_equal(s.asked, i);
    }
    assert_int_equal(stored(&s), ORDER_AWAITING);
}

static void test_with_approval_the_ca_is_needed(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s);
    assert_fails(drive(&s, &err), &err, E_ORDER_APPROVAL, "approve");
    s.answer = APPROVAL_GIVEN;
    assert_fails(drive(&s, &err), &err, E_CONFIG, "needs a CA");
    assert_int_equal(stored(&s), ORDER_AWAITING);
}

static void test_refusal_is_final(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s);
    assert_fails(drive(&s, &err), &err, E_ORDER_APPROVAL, "approve");
    s.answer = APPROVAL_REFUSED;
    assert_fails(drive(&s, &err), &err, E_ORDER_FAILED, "nobody approved it");
    assert_int_equal(stored(&s), ORDER_DECLINED);
    s.answer = APPROVAL_GIVEN;
    assert_fails(drive(&s, &err), &err, E_ORDER_FAILED, "was declined here");
    assert_int_equal(s.asked, 2);
}

static void test_failed_question_changes_nothing(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s);
    s.fail = E_CONFIG;
    assert_fails(drive(&s, &err), &err, E_CONFIG, "the question failed");
    assert_int_equal(stored(&s), ORDER_SIGNED);
}

static void fill(struct approval *a, bool approve, const char *user, X509 *cert)
{
    struct err err = ERR_INIT;

    *a = (struct approval){.approve = approve};
    assert_ok(order_set(&a->who, "CN=alice", &err), &err);
    assert_ok(order_set(&a->user_name, user, &err), &err);
    assert_ok(order_set(&a->text, "{}", &err), &err);
    assert_ok(order_set(&a->message, user != NULL ? "yes" : NULL, &err), &err);
    if (cert != NULL) {
        assert_int_equal(X509_up_ref(cert), 1);
        a->cert = cert;
        a->signature = malloc(3);
        assert_non_null(a->signature);
        memcpy(a->signature, "\0\1\2", 3);
        a->signature_len = 3;
    }
}

static void test_decisions_come_back_as_they_were(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(pki_cert) X509 *cert = pki_cert(&(struct pki_spec){.cn = "alice", .key = key});
    AUTO(approval) struct approval by_cert = {.id = 0};
    AUTO(approval) struct approval by_user = {.id = 0};
    AUTO(approvals) struct approvals all = {.list = NULL};
    struct err err = ERR_INIT;

    begin(&s);
    fill(&by_cert, true, NULL, cert);
    fill(&by_user, false, "bob", NULL);
    assert_ok(journal_add_approval(s.journal, &s.order, &by_cert, "approved", &err), &err);
    s.order.state = ORDER_DECLINED;
    assert_ok(journal_add_approval(s.journal, &s.order, &by_user, "declined", &err), &err);
    assert_ok(journal_approvals(s.journal, s.order.id, &all, &err), &err);
    assert_int_equal(all.count, 2);
    assert_true(all.list[0].approve && !all.list[1].approve);
    assert_int_equal(all.list[0].at_s, 1000);
    assert_int_equal(X509_cmp(all.list[0].cert, cert), 0);
    assert_int_equal(all.list[0].signature_len, 3);
    assert_memory_equal(all.list[0].signature, "\0\1\2", 3);
    assert_null(all.list[0].user_name);
    assert_null(all.list[0].message);
    assert_string_equal(all.list[1].user_name, "bob");
    assert_string_equal(all.list[1].message, "yes");
    assert_null(all.list[1].cert);
    assert_int_equal(stored(&s), ORDER_DECLINED);
}

static void test_other_orders_have_none(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(approval) struct approval a = {.id = 0};
    AUTO(approvals) struct approvals all = {.list = NULL};
    struct err err = ERR_INIT;

    begin(&s);
    fill(&a, true, "bob", NULL);
    assert_ok(journal_add_approval(s.journal, &s.order, &a, "approved", &err), &err);
    assert_ok(journal_approvals(s.journal, s.order.id + 1, &all, &err), &err);
    assert_int_equal(all.count, 0);
}

static void test_who_ordered(void **state UNUSED)
{
    struct order order = {.requester = (char *)(uintptr_t) "alice,bob"};
    struct order nobody = {.requester = NULL};

    assert_true(order_has_requester(&order, "alice"));
    assert_true(order_has_requester(&order, "bob"));
    assert_false(order_has_requester(&order, "ali"));
    assert_false(order_has_requester(&order, "ob"));
    assert_false(order_has_requester(&order, "alice,bo"));
    assert_false(order_has_requester(&nobody, "alice"));
}

static void test_who_takes_an_order_up_is_added(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(order) struct order wish;
    struct err err = ERR_INIT;

    begin(&s);
    order_init(&wish);
    assert_ok(order_set(&s.order.requester, "alice", &err), &err);
    assert_ok(order_set(&wish.requester, "bob", &err), &err);
    assert_ok(order_revise(s.journal, &s.order, &wish, &err), &err);
    assert_ok(order_revise(s.journal, &s.order, &wish, &err), &err);
    assert_string_equal(s.order.requester, "alice,bob");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_stops_before_it_is_sent),
        cmocka_unit_test(test_it_is_asked_for_at_each_try),
        cmocka_unit_test(test_with_approval_the_ca_is_needed),
        cmocka_unit_test(test_refusal_is_final),
        cmocka_unit_test(test_failed_question_changes_nothing),
        cmocka_unit_test(test_decisions_come_back_as_they_were),
        cmocka_unit_test(test_other_orders_have_none),
        cmocka_unit_test(test_who_ordered),
        cmocka_unit_test(test_who_takes_an_order_up_is_added),
    };

    return UNIT_RUN(tests);
}
