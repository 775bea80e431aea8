/* Records, rows of the list, serial numbers and what is sent for a revocation. */
#include "base/str.h"
#include "ca/scm/scm.h"

#include "unit/unit.h"

static json *parse(const char *text)
{
    json *doc = NULL;
    struct err err = ERR_INIT;

    assert_ok(json_parse((const uint8_t *)text, strlen(text), &doc, &err), &err);
    return doc;
}

static void test_record_takes_what_there_is(void **state UNUSED)
{
    AUTO(json)
    json *doc =
        parse("{\"status\":\"Revoked\",\"commonName\":\"a.example\",\"serialNumber\":\"01:02\","
              "\"certType\":{\"name\":\"OV\"},\"expires\":\"2027-01-01T00:00:00.000Z\","
              "\"subjectAlternativeNames\":[\"a.example\",7,\"b.example\"],"
              "\"orgId\":\"103\",\"term\":199,\"comments\":\"\"}");
    AUTO(ca_record) struct ca_record record = {.id = 5};
    struct err err = ERR_INIT;

    assert_ok(scm_parse_record(doc, &record, &err), &err);
    assert_int_equal(record.id, 5);
    assert_true(record.revoked);
    assert_int_equal(record.phase, CA_FAILED);
    assert_string_equal(record.product, "OV");
    assert_string_equal(record.names, "a.example,b.example");
    assert_int_equal(record.org_id, 103);
    assert_null(record.comments);
    assert_null(record.issued);
}

static void test_record_without_a_status_is_none(void **state UNUSED)
{
    AUTO(json) json *doc = parse("{\"commonName\":\"a.example\"}");
    AUTO(ca_record) struct ca_record record = {.id = 5};
    struct err err = ERR_INIT;

    assert_fails(scm_parse_record(doc, &record, &err), &err, E_PROTOCOL, "status");
}

static void test_row_with_the_least(void **state UNUSED)
{
    AUTO(json) json *doc = parse("{\"id\":\"4294967297\"}");
    AUTO(buf) struct buf names = BUF_INIT(100);
    struct ca_row row;

    assert_true(scm_parse_row(doc, &names, &row));
    assert_int_equal(row.id, 4294967297);
    assert_string_equal(row.common_name, "");
    assert_string_equal(row.names, "");
}

static void test_row_without_a_number_is_none(void **state UNUSED)
{
    AUTO(json) json *doc = parse("{\"commonName\":\"a.example\"}");
    AUTO(buf) struct buf names = BUF_INIT(100);
    struct ca_row row;

    assert_false(scm_parse_row(doc, &names, &row));
}

static void test_row_forgets_the_names_of_the_one_before(void **state UNUSED)
{
    AUTO(json) json *first = parse("{\"sslId\":1,\"subjectAlternativeNames\":[\"a\",\"b\"]}");
    AUTO(json) json *second = parse("{\"sslId\":2,\"subjectAlternativeNames\":[\"c\"]}");
    AUTO(buf) struct buf names = BUF_INIT(100);
    struct ca_row row;

    assert_true(scm_parse_row(first, &names, &row));
    assert_string_equal(row.names, "a,b");
    assert_true(scm_parse_row(second, &names, &row));
    assert_string_equal(row.names, "c");
    AUTO(json) json *third = parse("{\"sslId\":3}");
    assert_true(scm_parse_row(third, &names, &row));
    assert_string_equal(row.names, "");
}

static void test_same_serial_numbers(void **state UNUSED)
{
    assert_true(ca_same_serial("a93e01", "00:A9:3E:01"));
    assert_false(ca_same_serial("a93e01", "a93e02"));
    assert_false(ca_same_serial("", ""));
    assert_false(ca_same_serial(NULL, "01"));
}

static void serial_is(const char *text, const char *wanted)
{
    AUTO(buf) struct buf out = BUF_INIT(1024);

    assert_int_equal(ca_serial_text(text, &out), wanted != NULL);
    if (wanted != NULL) {
        assert_string_equal(buf_str(&out), wanted);
    }
}

static void test_serial_numbers_in_all_spellings(void **state UNUSED)
{
    serial_is("a93e01", "A9:3E:01");
    serial_is("A9:3E:01", "A9:3E:01");
    serial_is("00a93e01", "A9:3E:01");
    serial_is("1", "01");
    serial_is("abc", "0A:BC");
    serial_is("00", "00");
    serial_is("", NULL);
    serial_is(":", NULL);
    serial_is("12 34", NULL);
    serial_is("xyz", NULL);
}

static void test_query_of_a_page(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(1024);
    struct ca_filter filter = {
        .common_name = "a b&c", .serial = "a93e", .status = "Issued", .org_id = 103};

    scm_build_list(&filter, 200, 400, &out);
    assert_string_equal(buf_str(&out), "size=200&position=400&commonName=a%20b%26c&status=Issued"
                                       "&serialNumber=A9%3A3E&orgId=103");
}

static void test_body_of_a_revocation(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(1024);
    struct ca_revocation revocation = {.id = 1, .reason = 4, .text = "a \"new\" one"};
    struct err err = ERR_INIT;

    assert_ok(scm_build_revoke(&revocation, &out, &err), &err);
    assert_string_equal(buf_str(&out), "{\"reasonCode\":4,\"reason\":\"a \\\"new\\\" one\"}");
}

static void test_revocation_wants_a_sentence_of_the_right_length(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(8192);
    char text[CA_REASON_TEXT_MAX + 2];
    struct ca_revocation revocation = {.id = 1, .reason = 4, .text = text};
    struct err err = ERR_INIT;

    memset(text, 'x', sizeof(text));
    text[CA_REASON_TEXT_MAX + 1] = '\0';
    assert_fails(scm_build_revoke(&revocation, &out, &err), &err, E_USAGE, "1 to 512 characters");
    text[CA_REASON_TEXT_MAX] = '\0';
    assert_ok(scm_build_revoke(&revocation, &out, &err), &err);
    text[0] = '\0';
    assert_fails(scm_build_revoke(&revocation, &out, &err), &err, E_USAGE, "1 to 512 characters");
}

static void test_reasons_by_name(void **state UNUSED)
{
    assert_int_equal(ca_reason_find("keycompromise")->code, 1);
    assert_int_equal(ca_reason_find("superseded")->code, 4);
    assert_null(ca_reason_find("certificateHold"));
    assert_null(ca_reason_find(""));
    assert_null(ca_reason_at(5));
}

static void test_codes_of_a_certificate_that_was_revoked(void **state UNUSED)
{
    assert_true(scm_was_revoked(&(struct scm_error){.has_code = true, .code = -159}));
    assert_true(scm_was_revoked(&(struct scm_error){.has_code = true, .code = -192}));
    assert_false(scm_was_revoked(&(struct scm_error){.has_code = true, .code = -102}));
    assert_false(scm_was_revoked(&(struct scm_error){.has_code = false, .code = -159}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record_takes_what_there_is),
        cmocka_unit_test(test_record_without_a_status_is_none),
        cmocka_unit_test(test_row_with_the_least),
        cmocka_unit_test(test_row_without_a_number_is_none),
        cmocka_unit_test(test_row_forgets_the_names_of_the_one_before),
        cmocka_unit_test(test_serial_numbers_in_all_spellings),
        cmocka_unit_test(test_same_serial_numbers),
        cmocka_unit_test(test_query_of_a_page),
        cmocka_unit_test(test_body_of_a_revocation),
        cmocka_unit_test(test_revocation_wants_a_sentence_of_the_right_length),
        cmocka_unit_test(test_reasons_by_name),
        cmocka_unit_test(test_codes_of_a_certificate_that_was_revoked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
