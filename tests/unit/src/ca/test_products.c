/* Choosing a product, and the parts of src/ca/ca.c that need no server. */
#include "ca/ca.h"

#include "unit/unit.h"

static struct ca_product list[] = {
    {.id = 10,
     .name = (char *)(uintptr_t) "OV Single",
     .terms = {365, 90},
     .term_count = 2,
     .key_types = {"RSA-2048", "RSA-3072", "EC P-256"},
     .key_type_count = 3},
    {.id = 11, .name = (char *)(uintptr_t) "OV Multi", .terms = {365}, .term_count = 1},
    {.id = 12, .name = (char *)(uintptr_t) "ov multi", .terms = {30}, .term_count = 1},
    {.id = 13, .name = (char *)(uintptr_t) "none"},
};

static const struct ca_products products = {.list = list, .count = ARRAY_LEN(list)};

static int64_t find(const char *wanted)
{
    const struct ca_product *found = NULL;
    struct err err = ERR_INIT;

    assert_ok(ca_product_find(&products, wanted, &found, &err), &err);
    return found->id;
}

static void test_product_by_number(void **state UNUSED)
{
    assert_int_equal(find("11"), 11);
}

static void test_product_by_name(void **state UNUSED)
{
    assert_int_equal(find("OV Single"), 10);
}

static void test_exact_name_goes_before_another_case(void **state UNUSED)
{
    assert_int_equal(find("OV Multi"), 11);
    assert_int_equal(find("ov multi"), 12);
}

static void test_name_in_another_case(void **state UNUSED)
{
    assert_int_equal(find("ov single"), 10);
}

static void test_name_that_fits_several_is_refused(void **state UNUSED)
{
    const struct ca_product *found = NULL;
    struct err err = ERR_INIT;

    assert_fails(ca_product_find(&products, "OV MULTI", &found, &err), &err, E_CA_REFUSED,
                 "several products are called 'OV MULTI'; use the number");
}

static void test_same_name_twice_is_refused(void **state UNUSED)
{
    struct ca_product twins[] = {{.id = 1, .name = (char *)(uintptr_t) "A"},
                                 {.id = 2, .name = (char *)(uintptr_t) "A"}};
    struct ca_products both = {.list = twins, .count = 2};
    const struct ca_product *found = NULL;
    struct err err = ERR_INIT;

    assert_fails(ca_product_find(&both, "A", &found, &err), &err, E_CA_REFUSED,
                 "several products are called 'A'");
}

static void test_unknown_product_is_an_error_with_those_there_are(void **state UNUSED)
{
    const struct ca_product *found = NULL;
    struct err err = ERR_INIT;

    assert_fails(
        ca_product_find(&products, "EV", &found, &err), &err, E_CA_REFUSED,
        "no product 'EV'; it has: 10 'OV Single', 11 'OV Multi', 12 'ov multi', 13 'none'");
    assert_fails(ca_product_find(&products, "99", &found, &err), &err, E_CA_REFUSED,
                 "no product '99'");
}

static void test_account_without_products(void **state UNUSED)
{
    struct ca_products none = {.count = 0};
    const struct ca_product *found = NULL;
    struct err err = ERR_INIT;

    assert_fails(ca_product_find(&none, "EV", &found, &err), &err, E_CA_REFUSED, "it has: none");
}

static void test_output_is_written_on_success_only(void **state UNUSED)
{
    const struct ca_product *found = NULL;
    struct err err = ERR_INIT;

    assert_false(ca_product_find(&products, "OV MULTI", &found, &err));
    assert_null(found);
}

static void test_term_that_the_product_has(void **state UNUSED)
{
    int64_t term = 365;
    struct err err = ERR_INIT;

    assert_ok(ca_product_check(&list[0], "RSA-3072", &term, &err), &err);
    assert_int_equal(term, 365);
}

static void test_no_term_means_the_shortest(void **state UNUSED)
{
    int64_t term = 0;
    struct err err = ERR_INIT;

    assert_ok(ca_product_check(&list[0], "RSA-3072", &term, &err), &err);
    assert_int_equal(term, 90);
}

static void test_no_term_means_the_default_where_there_is_one(void **state UNUSED)
{
    struct ca_product product = list[0];
    struct err err = ERR_INIT;
    int64_t term = 0;

    product.default_term = 365;
    assert_ok(ca_product_check(&product, "RSA-2048", &term, &err), &err);
    assert_int_equal(term, 365);
}

static void test_term_that_the_product_lacks(void **state UNUSED)
{
    int64_t term = 30;
    struct err err = ERR_INIT;

    assert_fails(ca_product_check(&list[0], "RSA-3072", &term, &err), &err, E_CA_REFUSED,
                 "product 'OV Single' has no term of 30 days; it has: 365, 90");
    assert_int_equal(term, 30);
}

static void test_product_without_terms(void **state UNUSED)
{
    int64_t term = 0;
    struct err err = ERR_INIT;

    assert_fails(ca_product_check(&list[3], "RSA-3072", &term, &err), &err, E_CA_REFUSED,
                 "it has: none");
}

static void test_key_that_the_product_takes_in_any_case(void **state UNUSED)
{
    int64_t term = 365;
    struct err err = ERR_INIT;

    assert_ok(ca_product_check(&list[0], "ec p-256", &term, &err), &err);
}

static void test_key_that_the_product_does_not_take(void **state UNUSED)
{
    int64_t term = 365;
    struct err err = ERR_INIT;

    assert_fails(ca_product_check(&list[0], "EC P-384", &term, &err), &err, E_CA_REFUSED,
                 "does not take EC P-384 keys; it takes: RSA-2048, RSA-3072, EC P-256");
}

static void test_product_that_says_nothing_of_keys_takes_all(void **state UNUSED)
{
    int64_t term = 365;
    struct err err = ERR_INIT;

    assert_ok(ca_product_check(&list[1], "EC P-521", &term, &err), &err);
}

static void test_done_frees_and_forgets(void **state UNUSED)
{
    struct ca_products some = {.list = calloc(1, sizeof(*some.list)), .count = 1};

    assert_non_null(some.list);
    some.list[0].name = strdup("x");
    ca_products_done(&some);
    assert_null(some.list);
    assert_int_equal(some.count, 0);
    ca_products_done(&some);
}

/* States */

static const char *order_id(const char *text)
{
    static char id[64];

    ca_order_id(text, id);
    return id;
}

static void test_order_number_out_of_a_state(void **state UNUSED)
{
    assert_string_equal(order_id("{\"id\":4711}"), "4711");
    assert_string_equal(order_id("{\"id\":\"5000000000\"}"), "5000000000");
}

static void test_state_without_a_number(void **state UNUSED)
{
    assert_string_equal(order_id(NULL), "");
    assert_string_equal(order_id(""), "");
    assert_string_equal(order_id("garbage"), "");
    assert_string_equal(order_id("{}"), "");
    assert_string_equal(order_id("[1]"), "");
}

/* Opening */

static bool open_ca(struct ca_settings *settings, struct err *err)
{
    struct http_settings http = {
        .base_url = "https://127.0.0.1:1", .connect_timeout_ms = 5000, .timeout_ms = 5000};
    AUTO(http_client) struct http_client *client = NULL;
    AUTO(ca) struct ca *ca = NULL;

    assert_ok(http_client_new(&http, &client, err), err);
    settings->http = client;
    settings->api_path = "/api";
    settings->private_prefix = "/private";
    settings->api_version = "v1";
    return ca_open(settings, &ca, err);
}

static void test_open_wants_a_known_type(void **state UNUSED)
{
    struct ca_settings settings = {.type = "acme"};
    struct err err = ERR_INIT;

    assert_fails(open_ca(&settings, &err), &err, E_CONFIG, "there is no CA type 'acme'");
}

static void test_open_wants_login_customer_and_password(void **state UNUSED)
{
    AUTO(secret) struct secret password = SECRET_INIT;
    struct ca_settings s = {.type = "scm", .login_kind = CA_LOGIN_PASSWORD};
    struct err err = ERR_INIT;

    assert_fails(open_ca(&s, &err), &err, E_CONFIG, "no login name is configured");
    s.login = "";
    assert_fails(open_ca(&s, &err), &err, E_CONFIG, "no login name is configured");
    s.login = "me";
    assert_fails(open_ca(&s, &err), &err, E_CONFIG, "no customer URI is configured");
    s.customer_uri = "uri";
    assert_fails(open_ca(&s, &err), &err, E_CONFIG, "no password is configured");
    s.password = &password;
    assert_fails(open_ca(&s, &err), &err, E_CONFIG, "no password is configured");
    assert_ok(secret_set(&password, "x", 1, &err), &err);
    assert_ok(open_ca(&s, &err), &err);
}

static void test_certificate_login_needs_no_password(void **state UNUSED)
{
    struct ca_settings s = {
        .type = "scm", .login_kind = CA_LOGIN_CERT, .login = "me", .customer_uri = "uri"};
    struct err err = ERR_INIT;

    assert_ok(open_ca(&s, &err), &err);
}

static void test_list_of_checks_has_a_maximum(void **state UNUSED)
{
    struct ca_checks checks = {.count = 0};

    for (int i = 0; i < CA_CHECKS_MAX + 3; i++) {
        ca_checks_add(&checks, "step", true, "%d", i);
    }
    assert_int_equal(checks.count, CA_CHECKS_MAX);
    assert_string_equal(checks.list[CA_CHECKS_MAX - 1].detail, tmp_printf("%d", CA_CHECKS_MAX - 1));
}

static void test_ev_is_a_word_of_name_or_description(void **state UNUSED)
{
    static const struct {
        const char *name, *description;
        bool ev;
    } cases[] = {
        {"Sectigo EV SSL", "", true},
        {"Premium", "an Extended Validation certificate", true},
        {"EV", "", true},
        {"Multi-Domain (EV)", "", true},
        {"Dev Server", "for level", false},
        {"OV", "extended  validation", false},
        {"evolution", NULL, false},
        {"Server-ev2", "", true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ca_product p = {.name = (char *)(uintptr_t)cases[i].name,
                               .description = (char *)(uintptr_t)cases[i].description};
        assert_int_equal(ca_product_is_ev(&p), cases[i].ev);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ev_is_a_word_of_name_or_description),
        cmocka_unit_test(test_product_by_number),
        cmocka_unit_test(test_product_by_name),
        cmocka_unit_test(test_exact_name_goes_before_another_case),
        cmocka_unit_test(test_name_in_another_case),
        cmocka_unit_test(test_name_that_fits_several_is_refused),
        cmocka_unit_test(test_same_name_twice_is_refused),
        cmocka_unit_test(test_unknown_product_is_an_error_with_those_there_are),
        cmocka_unit_test(test_account_without_products),
        cmocka_unit_test(test_output_is_written_on_success_only),
        cmocka_unit_test(test_term_that_the_product_has),
        cmocka_unit_test(test_no_term_means_the_shortest),
        cmocka_unit_test(test_no_term_means_the_default_where_there_is_one),
        cmocka_unit_test(test_term_that_the_product_lacks),
        cmocka_unit_test(test_product_without_terms),
        cmocka_unit_test(test_key_that_the_product_takes_in_any_case),
        cmocka_unit_test(test_key_that_the_product_does_not_take),
        cmocka_unit_test(test_product_that_says_nothing_of_keys_takes_all),
        cmocka_unit_test(test_done_frees_and_forgets),
        cmocka_unit_test(test_order_number_out_of_a_state),
        cmocka_unit_test(test_state_without_a_number),
        cmocka_unit_test(test_open_wants_a_known_type),
        cmocka_unit_test(test_open_wants_login_customer_and_password),
        cmocka_unit_test(test_certificate_login_needs_no_password),
        cmocka_unit_test(test_list_of_checks_has_a_maximum),
    };

    return UNIT_RUN(tests);
}
