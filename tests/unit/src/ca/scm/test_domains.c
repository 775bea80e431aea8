/* Domains and their validation: what is read, what is sent, what a refusal advises. */
#include "base/str.h"
#include "ca/scm/domains.h"

#include "unit/unit.h"

static json *parse(const char *text)
{
    json *doc = NULL;
    struct err err = ERR_INIT;

    assert_ok(json_parse((const uint8_t *)text, strlen(text), &doc, &err), &err);
    return doc;
}

static void test_domain_takes_what_there_is(void **state UNUSED)
{
    AUTO(json)
    json *doc =
        parse("{\"id\":5,\"name\":\"a.example\",\"delegationStatus\":\"ACTIVE\",\"state\":null,"
              "\"dcvValidation\":\"2026-01-01\",\"dcvExpiration\":\"2027-01-01\","
              "\"delegations\":[{\"orgId\":\"103\",\"certTypes\":[\"SSL\",7,\"CodeSign\"],"
              "\"domainCertificateRequestPrivileges\":[]},{}],\"future\":{}}");
    AUTO(ca_domain) struct ca_domain domain = {.id = 5};
    struct err err = ERR_INIT;

    assert_ok(scm_parse_domain(doc, &domain, &err), &err);
    assert_string_equal(domain.name, "a.example");
    assert_string_equal(domain.validated, "2026-01-01");
    assert_null(domain.validation);
    assert_null(domain.state);
    assert_int_equal(domain.delegation_count, 2);
    assert_int_equal(domain.delegations[0].org_id, 103);
    assert_string_equal(domain.delegations[0].cert_types, "SSL, CodeSign");
    assert_null(domain.delegations[0].privileges);
}

static void test_domain_without_a_name_is_none(void **state UNUSED)
{
    AUTO(json) json *doc = parse("{\"id\":5}");
    AUTO(ca_domain) struct ca_domain domain = {.id = 5};
    struct err err = ERR_INIT;

    assert_fails(scm_parse_domain(doc, &domain, &err), &err, E_PROTOCOL, "name");
}

static void test_row_of_domains(void **state UNUSED)
{
    AUTO(json) json *good = parse("{\"id\":\"4294967297\",\"name\":\"a.example\"}");
    AUTO(json) json *bad = parse("{\"id\":1}");
    struct ca_domain_row row;

    assert_true(scm_parse_domain_row(good, &row));
    assert_int_equal(row.id, 4294967297);
    assert_string_equal(row.name, "a.example");
    assert_false(scm_parse_domain_row(bad, &row));
}

static void test_row_of_validations(void **state UNUSED)
{
    AUTO(json)
    json *good = parse("{\"domain\":\"a.example\",\"dcvStatus\":\"EXPIRED\",\"dcvMethod\":null}");
    AUTO(json) json *bad = parse("{\"dcvStatus\":\"EXPIRED\"}");
    struct ca_dcv_row row;

    assert_true(scm_parse_dcv_row(good, &row));
    assert_string_equal(row.status, "EXPIRED");
    assert_null(row.method);
    assert_false(scm_parse_dcv_row(bad, &row));
}

static void test_words_in_any_spelling(void **state UNUSED)
{
    assert_int_equal(scm_dcv_state("VALIDATED"), CA_DCV_VALIDATED);
    assert_int_equal(scm_dcv_state("Not validated"), CA_DCV_NOT_VALIDATED);
    assert_int_equal(scm_dcv_state("NOT_VALIDATED"), CA_DCV_NOT_VALIDATED);
    assert_int_equal(scm_dcv_state("expired"), CA_DCV_EXPIRED);
    assert_int_equal(scm_dcv_state("what is this"), CA_DCV_NOT_VALIDATED);
    assert_int_equal(scm_dcv_order("NOT_INITIATED"), CA_DCV_NONE);
    assert_int_equal(scm_dcv_order("Not initiated"), CA_DCV_NONE);
    assert_int_equal(scm_dcv_order(""), CA_DCV_NONE);
    assert_int_equal(scm_dcv_order("Awaiting submission"), CA_DCV_TO_SUBMIT);
    assert_int_equal(scm_dcv_order("AWAITING_SUBMISSION"), CA_DCV_TO_SUBMIT);
    assert_int_equal(scm_dcv_order("Submitted"), CA_DCV_SUBMITTED);
    assert_int_equal(scm_dcv_order("REJECTED"), CA_DCV_REJECTED);
    assert_int_equal(scm_dcv_order("something that goes on"), CA_DCV_SUBMITTED);
}

static void test_status_has_the_keys_of_its_method(void **state UNUSED)
{
    AUTO(json)
    json *doc =
        parse("{\"status\":\"NOT_VALIDATED\",\"orderStatus\":\"SUBMITTED\",\"orderMode\":\"CNAME\","
              "\"host\":\"_x.a.example.\",\"point\":\"y.sectigo.com.\",\"url\":\"\"}");
    AUTO(ca_dcv_status) struct ca_dcv_status status = {.status = NULL};
    struct err err = ERR_INIT;

    assert_ok(scm_parse_dcv_status(doc, &status, &err), &err);
    assert_int_equal(status.order, CA_DCV_SUBMITTED);
    assert_string_equal(status.record.host, "_x.a.example.");
    assert_null(status.record.url);
    assert_null(status.expires);
}

static void test_status_may_have_the_order_alone(void **state UNUSED)
{
    AUTO(json) json *doc = parse("{\"orderStatus\":\"Submitted\"}");
    AUTO(ca_dcv_status) struct ca_dcv_status status = {.status = NULL};
    struct err err = ERR_INIT;

    assert_ok(scm_parse_dcv_status(doc, &status, &err), &err);
    assert_int_equal(status.state, CA_DCV_NOT_VALIDATED);
}

static void test_status_that_says_nothing_is_none(void **state UNUSED)
{
    AUTO(json) json *empty = parse("{}");
    AUTO(json) json *list = parse("[]");
    AUTO(ca_dcv_status) struct ca_dcv_status status = {.status = NULL};
    struct err err = ERR_INIT;

    assert_fails(scm_parse_dcv_status(empty, &status, &err), &err, E_PROTOCOL, "neither 'status'");
    assert_fails(scm_parse_dcv_status(list, &status, &err), &err, E_PROTOCOL, "not a JSON object");
}

static bool start(const char *text, enum ca_dcv_method method, struct ca_dcv_record *out,
                  struct err *err)
{
    AUTO(json) json *doc = parse(text);

    return scm_parse_dcv_start(doc, method, out, err);
}

static void test_start_must_say_what_to_publish(void **state UNUSED)
{
    AUTO(ca_dcv_record) struct ca_dcv_record record = {.host = NULL};
    struct err err = ERR_INIT;

    assert_fails(start("{\"host\":\"h\"}", CA_DCV_CNAME, &record, &err), &err, E_PROTOCOL,
                 "'point'");
    ca_dcv_record_done(&record);
    assert_fails(start("{\"url\":\"u\"}", CA_DCV_HTTP, &record, &err), &err, E_PROTOCOL,
                 "'firstLine'");
    ca_dcv_record_done(&record);
    assert_fails(start("{\"message\":\"no\"}", CA_DCV_EMAIL, &record, &err), &err, E_CA_REFUSED,
                 "no address");
}

static void test_start_of_each_method(void **state UNUSED)
{
    AUTO(ca_dcv_record) struct ca_dcv_record cname = {.host = NULL};
    AUTO(ca_dcv_record) struct ca_dcv_record file = {.host = NULL};
    struct err err = ERR_INIT;

    assert_ok(start("{\"host\":\"h\",\"point\":\"p\"}", CA_DCV_CNAME, &cname, &err), &err);
    assert_string_equal(cname.point, "p");
    assert_ok(start("{\"url\":\"u\",\"firstLine\":\"1\",\"secondLine\":\"2\"}", CA_DCV_HTTPS, &file,
                    &err),
              &err);
    assert_string_equal(file.second_line, "2");
}

static void test_addresses_are_each_there_once(void **state UNUSED)
{
    AUTO(ca_dcv_record) struct ca_dcv_record record = {.host = NULL};
    struct err err = ERR_INIT;

    assert_ok(
        start("{\"emails\":[\"admin@a.example\",3],\"dcvEmails\":[{\"domainName\":\"a.example\","
              "\"whoisEmails\":[\"me@a.example\"],\"adminEmails\":[\"ADMIN@a.example\"]},7]}",
              CA_DCV_EMAIL, &record, &err),
        &err);
    assert_int_equal(record.email_count, 2);
    assert_string_equal(record.emails[0], "admin@a.example");
    assert_string_equal(record.emails[1], "me@a.example");
}

static const char order_text[] =
    "{\"dcvLog\":{\"error\":{\"code\":0,\"description\":\"odd\"},\"log\":[{\"dcvStatus\":"
    "\"Awaiting "
    "Validation\",\"domainName\":\"a.example\",\"nextCheck\":\"2025-05-21 13:24:26\"},"
    "{\"domainName\":\"b.example\",\"dcvStatus\":\"Validated\"},{\"dcvStatus\":\"nameless\"}]},"
    "\"instructions\":[{\"domainName\":\"A.example\",\"dcvMode\":\"HTTP\",\"url\":\"http://"
    "a.example/x\","
    "\"file\":\"one\\ntwo\\n\"},{\"domainName\":\"c.example\",\"dcvMode\":\"EMAIL\",\"dcvEmail\":"
    "\"e@c.example\"}]}";

static void check_order(const json *doc)
{
    AUTO(ca_order_dcv) struct ca_order_dcv dcv = {.list = NULL};
    struct err err = ERR_INIT;

    assert_ok(scm_parse_order_dcv(doc, &dcv, &err), &err);
    assert_int_equal(dcv.count, 3);
    assert_string_equal(dcv.problem, "odd");
    assert_string_equal(dcv.list[0].domain, "a.example");
    assert_string_equal(dcv.list[0].status, "Awaiting Validation");
    assert_string_equal(dcv.list[0].method, "HTTP");
    assert_string_equal(dcv.list[0].record.first_line, "one\ntwo\n");
    assert_null(dcv.list[1].method);
    assert_string_equal(dcv.list[2].email, "e@c.example");
}

static void test_order_joins_log_and_instructions(void **state UNUSED)
{
    AUTO(json) json *object = parse(order_text);
    AUTO(json) json *array = parse(tmp_printf("[%s]", order_text));

    check_order(object);
    check_order(array);
}

static void test_order_without_anything(void **state UNUSED)
{
    AUTO(json) json *none = parse("[]");
    AUTO(json) json *empty = parse("{}");
    AUTO(json) json *text = parse("\"x\"");
    AUTO(ca_order_dcv) struct ca_order_dcv dcv = {.list = NULL};
    struct err err = ERR_INIT;

    assert_ok(scm_parse_order_dcv(none, &dcv, &err), &err);
    assert_ok(scm_parse_order_dcv(empty, &dcv, &err), &err);
    assert_int_equal(dcv.count, 0);
    ca_order_dcv_done(&dcv);
    assert_fails(scm_parse_order_dcv(text, &dcv, &err), &err, E_PROTOCOL, "not a JSON object");
}

static void test_filters_are_encoded(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(1000);
    struct ca_domain_filter domains = {.name = "a b&c", .state = "active", .org_id = 103};
    struct ca_dcv_filter dcv = {.domain = "x", .order_status = "SUBMITTED", .expires_in_days = 30};

    scm_build_domain_filter(&domains, &out);
    assert_string_equal(buf_str(&out), "&name=a%20b%26c&state=active&orgId=103");
    buf_reset(&out);
    scm_build_dcv_filter(&dcv, &out);
    assert_string_equal(buf_str(&out), "&domain=x&orderStatus=SUBMITTED&expiresIn=30");
}

static void test_body_names_the_domain(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(1000);
    struct err err = ERR_INIT;

    assert_ok(scm_build_domain_body("a.example", NULL, &out, &err), &err);
    assert_string_equal(buf_str(&out), "{\"domain\":\"a.example\"}");
    buf_reset(&out);
    assert_ok(scm_build_domain_body("a.example", "e@a.example", &out, &err), &err);
    assert_string_equal(buf_str(&out), "{\"domain\":\"a.example\",\"email\":\"e@a.example\"}");
}

static const char *remedy(enum scm_endpoint_id operation, int64_t code)
{
    const struct scm_code *row = scm_code_find(operation, code);

    assert_non_null(row);
    return row->remedy;
}

static void test_remedies_name_commands_and_privileges(void **state UNUSED)
{
    assert_contains(remedy(SCM_DCV_START, -3), "Allow DCV");
    assert_contains(remedy(SCM_DOMAINS, -25), "Allow DCV");
    assert_lacks(remedy(SCM_ENROLL, -3), "DCV");
    assert_contains(remedy(SCM_ENROLL, -107), "dcv publish");
    assert_contains(remedy(SCM_DCV_SUBMIT, -1603), "dcv recheck");
    assert_contains(remedy(SCM_DCV_STATUS, -727), "domain list");
}

static void test_methods_have_names(void **state UNUSED)
{
    enum ca_dcv_method method = CA_DCV_METHODS;
    struct err err = ERR_INIT;

    assert_ok(ca_dcv_method_find("HTTPS", &method, &err), &err);
    assert_int_equal(method, CA_DCV_HTTPS);
    assert_string_equal(ca_dcv_method_name(CA_DCV_EMAIL), "email");
    assert_fails(ca_dcv_method_find("AUTO", &method, &err), &err, E_USAGE,
                 "cname, txt, http, https, email");
}

static void test_names_of_domains(void **state UNUSED)
{
    static const char *const good[] = {"a.example", "*.a.example", "xn--bcher-kva.example",
                                       "_x.a.example", "1.2.example"};
    static const char *const bad[] = {"",     "example", ".example", "a.example.",
                                      "a..b", "*.*.a",   "*",        "a b.c",
                                      "-a.b", "a-.b",    "a.b/c",    "a.\xc3\xbc"};

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(ca_domain_name_ok(good[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(ca_domain_name_ok(bad[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_domain_takes_what_there_is),
        cmocka_unit_test(test_domain_without_a_name_is_none),
        cmocka_unit_test(test_row_of_domains),
        cmocka_unit_test(test_row_of_validations),
        cmocka_unit_test(test_words_in_any_spelling),
        cmocka_unit_test(test_status_has_the_keys_of_its_method),
        cmocka_unit_test(test_status_may_have_the_order_alone),
        cmocka_unit_test(test_status_that_says_nothing_is_none),
        cmocka_unit_test(test_start_must_say_what_to_publish),
        cmocka_unit_test(test_start_of_each_method),
        cmocka_unit_test(test_addresses_are_each_there_once),
        cmocka_unit_test(test_order_joins_log_and_instructions),
        cmocka_unit_test(test_order_without_anything),
        cmocka_unit_test(test_filters_are_encoded),
        cmocka_unit_test(test_body_names_the_domain),
        cmocka_unit_test(test_remedies_name_commands_and_privileges),
        cmocka_unit_test(test_methods_have_names),
        cmocka_unit_test(test_names_of_domains),
    };

    return UNIT_RUN(tests);
}
