/* Organizations and ACME accounts: answers as they come, and what is sent. */
#include "ca/scm/scm.h"

#include "unit/unit.h"

static json *parse(const char *text)
{
    json *doc = NULL;
    struct err err = ERR_INIT;

    assert_ok(json_parse((const uint8_t *)text, strlen(text), &doc, &err), &err);
    return doc;
}

static void test_departments_follow_their_organization(void **state UNUSED)
{
    AUTO(json)
    json *doc = parse("[{\"id\":\"4294967297\",\"name\":\"A\",\"departments\":[{\"id\":2,\"name\":"
                      "\"B\"},{\"id\":3,\"name\":\"C\",\"parentName\":\"Other\"}]},{\"id\":4}]");
    AUTO(ca_organizations) struct ca_organizations all = {.list = NULL};
    struct err err = ERR_INIT;

    assert_ok(scm_parse_organizations(doc, &all, &err), &err);
    assert_int_equal(all.count, 4);
    assert_int_equal(all.list[0].id, 4294967297);
    assert_int_equal(all.list[1].parent_id, 4294967297);
    assert_string_equal(all.list[1].parent, "A");
    assert_string_equal(all.list[2].parent, "Other");
    assert_null(all.list[3].name);
    assert_int_equal(all.list[3].parent_id, 0);
}

static void test_lists_that_are_none(void **state UNUSED)
{
    static const char *const bad[] = {"{}", "[{}]", "[{\"id\":1,\"departments\":[{}]}]", "7"};
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO(json) json *doc = parse(bad[i]);
        AUTO(ca_organizations) struct ca_organizations all = {.list = NULL};
        assert_fails(scm_parse_organizations(doc, &all, &err), &err, E_PROTOCOL, "");
        assert_null(all.list);
    }
}

static void test_flags_that_are_not_said_are_unsaid(void **state UNUSED)
{
    AUTO(json)
    json *doc = parse("{\"id\":1,\"sslCertsApiEnabled\":true,\"certTypes\":[\"SSL\",7,"
                      "\"SMIME\"],\"clientCertsApiEnabled\":\"no\"}");
    AUTO(ca_organization) struct ca_organization o = {.id = 0};
    struct err err = ERR_INIT;

    assert_ok(scm_parse_organization(doc, &o, &err), &err);
    assert_int_equal(o.ssl_api, CA_ON);
    assert_int_equal(o.client_api, CA_UNSAID);
    assert_string_equal(o.cert_types, "SSL, SMIME");
}

static void test_acme_account_takes_what_there_is(void **state UNUSED)
{
    AUTO(json)
    json *doc = parse("{\"id\":\"100\",\"name\":\"web\",\"macId\":\"k\",\"macKey\":\"s\","
                      "\"organizationId\":103,\"status\":null}");
    AUTO(ca_acme_account) struct ca_acme_account a = {.id = 0};
    struct err err = ERR_INIT;

    assert_ok(scm_parse_acme_account(doc, &a, &err), &err);
    assert_int_equal(a.id, 100);
    assert_string_equal(a.mac_id, "k");
    assert_int_equal(a.mac_key.len, 1);
    assert_int_equal(a.org_id, 103);
    assert_null(a.status);
}

static void test_acme_account_without_a_number_is_none(void **state UNUSED)
{
    static const char *const bad[] = {"{\"name\":\"web\"}", "{\"id\":0}", "{\"id\":-1}", "[]"};
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO(json) json *doc = parse(bad[i]);
        AUTO(ca_acme_account) struct ca_acme_account a = {.id = 0};
        assert_fails(scm_parse_acme_account(doc, &a, &err), &err, E_PROTOCOL, "");
    }
}

static void test_query_of_a_page(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(1000);
    struct ca_acme_filter filter = {
        .name = "a b", .server = "OV&", .validation = "OV", .org_id = 7};

    scm_build_acme_list(&filter, 200, 400, &out);
    assert_string_equal(buf_str(&out), "size=200&position=400&organizationId=7&name=a%20b&"
                                       "acmeServer=OV%26&certValidationType=OV");
}

static void test_what_is_sent_for_a_new_account(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(1000);
    struct ca_acme_wish wish = {.name = "web", .server = "OV", .org_id = 103, .validation = "OV"};
    struct err err = ERR_INIT;

    assert_ok(scm_build_acme_create(&wish, &out, &err), &err);
    assert_string_equal(buf_str(&out), "{\"name\":\"web\",\"acmeServer\":\"OV\",\"organizationId\":"
                                       "103,\"certValidationType\":\"OV\"}");
}

static void test_wishes_that_the_ca_would_refuse(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(1000);
    struct ca_acme_wish wish = {.name = "web", .server = "OV"};
    struct err err = ERR_INIT;

    assert_fails(scm_build_acme_create(&wish, &out, &err), &err, E_CONFIG, "org_id");
    wish.org_id = 1;
    wish.name = tmp_printf("%0129d", 1);
    assert_fails(scm_build_acme_create(&wish, &out, &err), &err, E_USAGE, "1 to 128 characters");
    wish.name = "";
    assert_fails(scm_build_acme_create(&wish, &out, &err), &err, E_USAGE, "1 to 128 characters");
    wish.name = "web";
    wish.server = NULL;
    assert_fails(scm_build_acme_create(&wish, &out, &err), &err, E_USAGE, "the ACME server");
    assert_fails(scm_build_acme_name("", &out, &err), &err, E_USAGE, "1 to 128 characters");
}

static void test_domains_are_objects(void **state UNUSED)
{
    static const char *const names[] = {"a.example", "\"b\""};
    AUTO(buf) struct buf out = BUF_INIT(1000);
    struct err err = ERR_INIT;

    assert_ok(scm_build_acme_domains(names, 2, &out, &err), &err);
    assert_string_equal(buf_str(&out),
                        "{\"domains\":[{\"name\":\"a.example\"},{\"name\":\"\\\"b\\\"\"}]}");
}

static void test_domains_that_were_left(void **state UNUSED)
{
    static const struct {
        const char *answer, *left;
    } cases[] = {
        {"{}", ""},
        {"{\"notAddedDomains\":[]}", ""},
        {"{\"notAddedDomains\":[\"a\",7,\"b\"]}", "a, b"},
        {"{\"notRemovedDomains\":[{\"name\":\"c\"}]}", "c"},
        {"[\"x\"]", ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(json) json *doc = parse(cases[i].answer);
        AUTO(buf) struct buf out = BUF_INIT(100);
        scm_parse_acme_left(doc, &out);
        assert_string_equal(buf_str(&out), cases[i].left);
    }
}

static void test_number_in_a_location(void **state UNUSED)
{
    assert_int_equal(scm_location_id("https://host/api/acme/v2/account/100"), 100);
    assert_int_equal(scm_location_id("/account/4294967297"), 4294967297);
    assert_int_equal(scm_location_id("100"), 0);
    assert_int_equal(scm_location_id("https://host/account/"), 0);
    assert_int_equal(scm_location_id("https://host/account/-1"), 0);
    assert_int_equal(scm_location_id("https://host/account/99999999999999999999"), 0);
    assert_int_equal(scm_location_id(""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_departments_follow_their_organization),
        cmocka_unit_test(test_lists_that_are_none),
        cmocka_unit_test(test_flags_that_are_not_said_are_unsaid),
        cmocka_unit_test(test_acme_account_takes_what_there_is),
        cmocka_unit_test(test_acme_account_without_a_number_is_none),
        cmocka_unit_test(test_query_of_a_page),
        cmocka_unit_test(test_what_is_sent_for_a_new_account),
        cmocka_unit_test(test_wishes_that_the_ca_would_refuse),
        cmocka_unit_test(test_domains_are_objects),
        cmocka_unit_test(test_domains_that_were_left),
        cmocka_unit_test(test_number_in_a_location),
    };

    return UNIT_RUN(tests);
}
