/* What is asked of the CA for an order, by where it came from; and which certificates are stale. */
#include "order/order.h"

#include "unit/pki.h"
#include "unit/unit.h"

static bool ask(struct order *order, struct ca_request *request, struct err *err)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;

    assert_ok(order_set(&order->names, "a.example", err), err);
    return order_request(order, &names, request, err);
}

static void test_origins_have_names(void **state UNUSED)
{
    static const char *const names[] = {"enroll", "renew", "renew-same-key", "replace"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        enum order_origin origin = ORIGIN_ENROLL;
        assert_true(order_origin_parse(names[i], &origin));
        assert_string_equal(order_origin_name(origin), names[i]);
    }
    enum order_origin origin = ORIGIN_REPLACE;
    assert_true(order_origin_parse(NULL, &origin));
    assert_int_equal(origin, ORIGIN_ENROLL);
    assert_false(order_origin_parse("stolen", &origin));
}

static void asks(const char *origin, const char *parent, enum ca_how how, bool same_key)
{
    AUTO(order) struct order order;
    struct ca_request request;
    struct err err = ERR_INIT;

    order_init(&order);
    assert_ok(order_set(&order.origin, origin, &err), &err);
    assert_ok(order_set(&order.parent, parent, &err), &err);
    assert_ok(ask(&order, &request, &err), &err);
    assert_int_equal(request.how, how);
    assert_int_equal(request.same_key, same_key);
    assert_int_equal(request.parent, parent != NULL ? 5000000000 : 0);
    assert_int_equal(request.kind, CA_KIND_TLS);
}

static void test_request_follows_the_origin(void **state UNUSED)
{
    asks(NULL, NULL, CA_ENROLL, false);
    asks("renew", "5000000000", CA_RENEW, false);
    asks("renew-same-key", "5000000000", CA_RENEW, true);
    asks("replace", "5000000000", CA_REPLACE, false);
}

static void refuses(const char *origin, const char *parent, const char *kind, const char *words)
{
    AUTO(order) struct order order;
    struct ca_request request;
    struct err err = ERR_INIT;

    order_init(&order);
    order.id = 7;
    assert_ok(order_set(&order.origin, origin, &err), &err);
    assert_ok(order_set(&order.parent, parent, &err), &err);
    assert_ok(order_set(&order.kind, kind, &err), &err);
    assert_fails(ask(&order, &request, &err), &err, E_JOURNAL, words);
}

static void test_order_of_a_newer_program_is_not_sent(void **state UNUSED)
{
    refuses("stolen", "5", NULL, "no usable kind for order 7");
    refuses(NULL, NULL, "boat", "no usable kind for order 7");
    refuses("renew", NULL, NULL, "no usable number of what it renews or replaces");
    refuses("replace", "x", NULL, "no usable number of what it renews or replaces");
}

/* An answer with one certificate, and an order for its key. */
struct scene {
    struct order order;
    STACK_OF(X509) * answer;
    struct x509_info info;
};

static void begin(struct scene *s, const char *origin, bool our_key, const char *old_serial)
{
    struct err err = ERR_INIT;
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    X509 *cert = pki_cert(&(struct pki_spec){.cn = "a.example", .key = key, .serial = 77});

    order_init(&s->order);
    s->order.id = 7;
    s->answer = sk_X509_new_null();
    s->info = (struct x509_info){.subject = NULL};
    assert_true(sk_X509_push(s->answer, cert) > 0);
    assert_ok(x509_info(cert, &s->info, &err), &err);
    if (our_key) {
        assert_ok(x509_cert_spki_hash(cert, s->order.spki_hash, &err), &err);
    }
    assert_ok(order_set(&s->order.origin, origin, &err), &err);
    assert_ok(order_set(&s->order.ca_order_id, "1001", &err), &err);
    assert_ok(
        order_set(&s->order.parent_serial, old_serial != NULL ? old_serial : s->info.serial, &err),
        &err);
}

static void end(struct scene *s)
{
    sk_X509_pop_free(s->answer, X509_free);
    x509_info_done(&s->info);
    order_done(&s->order);
}

static void is_stale(const char *origin, bool our_key, const char *old_serial, const char *words)
{
    struct scene s;
    struct err err = ERR_INIT;
    bool stale = false;

    begin(&s, origin, our_key, old_serial);
    assert_true(order_is_stale(&s.order, s.answer, &stale, &err));
    assert_int_equal(stale, words != NULL);
    if (words != NULL) {
        assert_int_equal(err.code, E_ORDER_PENDING);
        assert_non_null(strstr(err.msg, words));
    }
    end(&s);
}

static void test_certificate_for_our_key_with_another_serial_counts(void **state UNUSED)
{
    is_stale("replace", true, "00:ff:00", NULL);
}

static void test_old_certificate_does_not_count_even_for_our_key(void **state UNUSED)
{
    is_stale("replace", true, NULL, "the certificate that is being replaced still");
    is_stale("replace", false, NULL, "the certificate that is being replaced still");
}

static void test_certificate_for_another_key_does_not_count(void **state UNUSED)
{
    is_stale("replace", false, "00:ff:00", "a certificate for another key");
}

static void test_only_replacements_can_be_stale(void **state UNUSED)
{
    is_stale(NULL, false, NULL, NULL);
    is_stale("renew", false, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_origins_have_names),
        cmocka_unit_test(test_request_follows_the_origin),
        cmocka_unit_test(test_order_of_a_newer_program_is_not_sent),
        cmocka_unit_test(test_certificate_for_our_key_with_another_serial_counts),
        cmocka_unit_test(test_old_certificate_does_not_count_even_for_our_key),
        cmocka_unit_test(test_certificate_for_another_key_does_not_count),
        cmocka_unit_test(test_only_replacements_can_be_stale),
    };

    return UNIT_RUN(tests);
}
