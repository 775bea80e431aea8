/* Who may approve, and for which orders: the settings, read and applied. */
#include "app/approval.h"

#include "unit/pki.h"
#include "unit/unit.h"

static char *text(const char *value)
{
    return (char *)(uintptr_t)value;
}

static bool fits(const char *rule, const struct order *order)
{
    struct err err = ERR_INIT;
    bool result = false;

    assert_ok(approval_rule_fits(rule, order, &result, &err), &err);
    return result;
}

static void test_rules(void **state UNUSED)
{
    struct order order = {.names = text("www.example.org,*.shop.example"),
                          .product = text("OV SSL"),
                          .product_id = 7};

    assert_true(fits("always", &order));
    assert_false(fits("", &order));
    assert_true(fits("wildcard", &order));
    assert_true(fits("product:7", &order));
    assert_false(fits("product:8", &order));
    assert_true(fits("product:ov ssl", &order));
    assert_true(fits("name:*.example.org", &order));
    assert_true(fits("name:WWW.EXAMPLE.ORG", &order));
    assert_false(fits("name:example.org", &order));
    assert_true(fits("ev , wildcard", &order));
    assert_false(fits("ev, product:8", &order));
}

static void test_ev_is_known_by_what_the_product_said(void **state UNUSED)
{
    struct order by_note = {
        .names = text("a"), .product = text("Premium"), .product_id = 1, .validation = text("EV")};
    struct order by_name = {.names = text("a"), .product = text("Sectigo EV SSL"), .product_id = 1};
    struct order neither = {.names = text("a"), .product = text("Dev Server"), .product_id = 1};

    assert_true(fits("ev", &by_note));
    assert_true(fits("ev", &by_name));
    assert_false(fits("ev", &neither));
}

/* Of a renewal by number, and of an account's own product, the CA does not tell it. */
static void test_product_that_is_not_known_may_be_the_one(void **state UNUSED)
{
    struct order unknown = {.names = text("a")};
    struct order own = {.names = text("a"), .product = text("the account's own")};
    struct order numbered = {
        .names = text("a"), .product = text("the account's own"), .product_id = 7};

    assert_true(fits("ev", &unknown) && fits("product:7", &unknown) && fits("product:x", &unknown));
    assert_true(fits("ev", &own) && fits("product:7", &own) && fits("product:x", &own));
    assert_true(fits("ev", &numbered) && fits("product:7", &numbered));
    assert_true(fits("product:x", &numbered));
    assert_false(fits("product:8", &numbered));
    assert_false(fits("wildcard, name:b", &unknown));
}

static void test_wildcards_are_in_any_name(void **state UNUSED)
{
    struct order order = {.names = text("a.example,b.example"), .product = text("x")};

    assert_false(fits("wildcard", &order));
}

static void test_unknown_rules_are_errors(void **state UNUSED)
{
    static const char *const bad[] = {"sometimes", "always, Ev",
                                      "product:", "name:", "ev,,wildcard,x"};
    struct order order = {.names = text("a"), .product = text("x")};
    struct err err = ERR_INIT;
    bool result = false;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_fails(approval_rule_fits(bad[i], &order, &result, &err), &err, E_CONFIG,
                     "is none of always");
    }
}

static void test_only_required_needs_approval(void **state UNUSED)
{
    struct order order = {.names = text("a"), .product = text("x")};
    struct config_approval settings = {.rule = NULL, .rule_for = text("always")};
    struct err err = ERR_INIT;
    bool needed = true;

    assert_ok(approval_is_needed(&settings, &order, &needed, &err), &err);
    assert_false(needed);
    settings.rule = text("auto");
    assert_ok(approval_is_needed(&settings, &order, &needed, &err), &err);
    assert_false(needed);
    settings.rule = text("required");
    settings.rule_for = NULL;
    assert_ok(approval_is_needed(&settings, &order, &needed, &err), &err);
    assert_true(needed);
}

/* A certificate in a file. */
static const char *cert_file(X509 *cert)
{
    return tmp_text(tmp_dir(), "cert.pem", pki_pem(cert));
}

static void test_entries(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(pki_cert) X509 *cert = pki_cert(&(struct pki_spec){.cn = "alice", .key = key});
    AUTO(approvers) struct approvers list = {.count = 0};
    const char *path = cert_file(cert);
    struct err err = ERR_INIT;

    assert_ok(approvers_read(tmp_printf("user:bob, %s ,carol = user:c1,alice=%s", path, path),
                             &list, &err),
              &err);
    assert_int_equal(list.count, 4);
    assert_string_equal(list.list[0].identity, "bob");
    assert_string_equal(list.list[2].identity, "carol");
    assert_string_equal(list.list[2].user, "c1");
    assert_string_equal(list.list[3].identity, "alice");
    assert_ptr_equal(approvers_find_user(&list, "c1"), &list.list[2]);
    assert_null(approvers_find_user(&list, "carol"));
    assert_null(approvers_find_user(&list, ""));
    assert_ptr_equal(approvers_find_cert(&list, cert), &list.list[1]);
}

static void test_fingerprint_of_a_certificate(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(pki_cert) X509 *cert = pki_cert(&(struct pki_spec){.cn = "alice", .key = key});
    AUTO(pki_cert)
    X509 *other = pki_cert(&(struct pki_spec){.cn = "alice", .key = key, .serial = 9});
    AUTO(approvers) struct approvers list = {.count = 0};
    uint8_t hash[X509_FINGERPRINT_LEN];
    AUTO(buf) struct buf hex = BUF_INIT(100);
    struct err err = ERR_INIT;

    assert_ok(x509_fingerprint(cert, hash, &err), &err);
    for (size_t i = 0; i < sizeof(hash); i++) {
        buf_addf(&hex, "%s%02X", i > 0 ? ":" : "", hash[i]);
    }
    assert_ok(approvers_read(tmp_printf("sha256:%s", buf_str(&hex)), &list, &err), &err);
    assert_non_null(approvers_find_cert(&list, cert));
    assert_null(approvers_find_cert(&list, other));
}

static void test_bad_entries(void **state UNUSED)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"alice", "neither user:NAME"},          {"user:", "names nobody"},
        {"sha256:12", "no SHA-256 fingerprint"}, {"=user:a", "no name before '='"},
        {"x=alice.pem", "neither user:NAME"},
    };
    AUTO(approvers) struct approvers list = {.count = 0};
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_fails(approvers_read(cases[i].text, &list, &err), &err, E_CONFIG, cases[i].says);
        assert_int_equal(list.count, 0);
    }
    assert_fails(approvers_read("/nowhere.pem", &list, &err), &err, E_IO, "/nowhere.pem");
}

static void test_names_that_are_too_long_are_not_cut(void **state UNUSED)
{
    AUTO(approvers) struct approvers list = {.count = 0};
    struct err err = ERR_INIT;

    assert_fails(approvers_read(tmp_printf("user:%0100d", 1), &list, &err), &err, E_CONFIG,
                 "is too long");
}

static void test_who_may_is_counted_by_person(void **state UNUSED)
{
    AUTO(approvers) struct approvers list = {.count = 0};
    struct order order = {.requester = text("alice")};
    struct err err = ERR_INIT;

    assert_ok(approvers_read("user:alice, user:bob, bob=user:robert, user:carol", &list, &err),
              &err);
    assert_int_equal(approvers_who_may(&list, &order, false), 2);
    assert_int_equal(approvers_who_may(&list, &order, true), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_ev_is_known_by_what_the_product_said),
        cmocka_unit_test(test_product_that_is_not_known_may_be_the_one),
        cmocka_unit_test(test_wildcards_are_in_any_name),
        cmocka_unit_test(test_unknown_rules_are_errors),
        cmocka_unit_test(test_only_required_needs_approval),
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_fingerprint_of_a_certificate),
        cmocka_unit_test(test_bad_entries),
        cmocka_unit_test(test_names_that_are_too_long_are_not_cut),
        cmocka_unit_test(test_who_may_is_counted_by_person),
    };

    return UNIT_RUN(tests);
}
