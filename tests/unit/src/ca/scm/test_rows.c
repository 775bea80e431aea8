/* Rows of the lists of devices and persons, and what a list is narrowed to (parse_row.c). */
#include "ca/scm/scm.h"

#include "base/str.h"
#include "unit/unit.h"

static json *doc;

static bool parse_row(enum ca_kind kind, const char *text, struct scm_row_texts *texts,
                      struct ca_row *row)
{
    struct err err = ERR_INIT;

    json_free(doc);
    doc = NULL;
    assert_ok(json_parse((const uint8_t *)text, strlen(text), &doc, &err), &err);
    return scm_parse_row_of(kind, doc, texts, row);
}

static int forget(void **state UNUSED)
{
    json_free(doc);
    doc = NULL;
    return 0;
}

static void test_row_of_a_device(void **state UNUSED)
{
    AUTO(scm_row_texts) struct scm_row_texts texts = SCM_ROW_TEXTS_INIT;
    struct ca_row row;

    assert_true(parse_row(CA_KIND_DEVICE,
                          "{\"id\":7,\"status\":\"ISSUED\",\"backendCertId\":\"9\","
                          "\"certificateDetails\":{\"subject\":\"O=Org, CN=a.example\","
                          "\"subjectAltNames\":\"dNSName=a.example, iPAddress=192.0.2.1\"}}",
                          &texts, &row));
    assert_int_equal(row.id, 7);
    assert_string_equal(row.status, "Issued");
    assert_string_equal(row.common_name, "a.example");
    assert_string_equal(row.names, "a.example,192.0.2.1");
    assert_string_equal(row.serial, "");
    assert_false(row.full);
}

static void test_row_of_a_person_has_the_number_of_the_back_end(void **state UNUSED)
{
    AUTO(scm_row_texts) struct scm_row_texts texts = SCM_ROW_TEXTS_INIT;
    struct ca_row row;

    assert_true(parse_row(CA_KIND_SMIME,
                          "{\"id\":7,\"state\":\"issued\",\"backendCertId\":\"5000000009\","
                          "\"serialNumber\":\"AB:01\",\"expires\":\"2027-01-31\","
                          "\"certificateDetails\":{\"subject\":\"CN=Ada\"}}",
                          &texts, &row));
    assert_int_equal(row.id, 5000000009);
    assert_string_equal(row.status, "issued");
    assert_string_equal(row.serial, "AB:01");
    assert_string_equal(row.expires, "2027-01-31");
    assert_string_equal(row.common_name, "Ada");
}

static void test_row_of_a_person_that_was_refused_is_none(void **state UNUSED)
{
    AUTO(scm_row_texts) struct scm_row_texts texts = SCM_ROW_TEXTS_INIT;
    struct ca_row row;

    assert_false(parse_row(
        CA_KIND_SMIME, "{\"id\":7,\"state\":\"rejected\",\"backendCertId\":null}", &texts, &row));
}

static void test_row_with_the_least(void **state UNUSED)
{
    AUTO(scm_row_texts) struct scm_row_texts texts = SCM_ROW_TEXTS_INIT;
    struct ca_row row;

    assert_true(parse_row(
        CA_KIND_DEVICE, "{\"id\":1,\"certificateDetails\":{\"subject\":\"CN=x\"}}", &texts, &row));
    assert_true(parse_row(CA_KIND_DEVICE, "{\"id\":2}", &texts, &row));
    assert_string_equal(row.common_name, "");
    assert_string_equal(row.status, "");
    assert_false(parse_row(CA_KIND_DEVICE, "{\"id\":0}", &texts, &row));
    assert_false(parse_row(CA_KIND_DEVICE, "{}", &texts, &row));
}

static void test_row_of_the_report_of_devices(void **state UNUSED)
{
    struct err err = ERR_INIT;
    struct ca_row row;
    static const char text[] =
        "{\"id\":7,\"commonName\":\"a\",\"deviceCertStatus\":\"REVOKED\","
        "\"serialNumber\":\"AB\",\"certTypeName\":\"Device\",\"enrolled\":\"x\","
        "\"expire\":\"y\",\"revoked\":\"z\",\"comments\":\"c\",\"subject\":\"CN=a\"}";

    assert_ok(json_parse((const uint8_t *)text, strlen(text), &doc, &err), &err);
    assert_true(scm_parse_device_report_row(doc, &row));
    assert_true(row.full && row.id == 7);
    assert_string_equal(row.status, "Revoked");
    assert_string_equal(row.product, "Device");
    assert_string_equal(row.issued, "x");
    assert_string_equal(row.expires, "y");
    assert_string_equal(row.revoked_at, "z");
    assert_string_equal(row.names, "");
}

static void test_common_names_in_subjects(void **state UNUSED)
{
    static const struct {
        const char *subject, *cn;
    } cases[] = {
        {"CN=a", "a"},
        {"cn=a ,O=b", "a"},
        {"O=b, CN = a", NULL},
        {"O=b+CN=a", "a"},
        {"O=\"x, CN=no\", CN=yes", "yes"},
        {"O=x\\, CN=no,CN=yes", "yes"},
        {"CN=a\\,b", "a,b"},
        {"CN=\"a, b\"", "a, b"},
        {"SCN=a", NULL},
        {"CN=", NULL},
        {"", NULL},
        {"CN=a\\", "a\\"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(buf) struct buf out = BUF_INIT(64);
        assert_int_equal(scm_subject_cn(cases[i].subject, &out), cases[i].cn != NULL);
        if (cases[i].cn != NULL) {
            assert_string_equal(buf_str(&out), cases[i].cn);
        }
    }
}

static void test_names_in_a_text(void **state UNUSED)
{
    static const struct {
        const char *text, *names;
    } cases[] = {{"dNSName=a, dNSName=b", "a,b"},
                 {"rfc822Name=x@y", "x@y"},
                 {"a,,b=", ""},
                 {"", ""},
                 {", =c ,", "c "}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(buf) struct buf out = BUF_INIT(64);
        scm_join_san_text(cases[i].text, &out);
        assert_string_equal(buf_str(&out), cases[i].names);
    }
}

/* Narrowing */

static const char *query(struct ca_filter filter)
{
    static char text[512];
    AUTO(buf) struct buf out = BUF_INIT(sizeof(text) - 1);

    scm_build_list(&filter, 200, 0, &out);
    (void)snprintf(text, sizeof(text), "%s", buf_str(&out));
    return text;
}

static void test_query_of_devices(void **state UNUSED)
{
    assert_string_equal(query((struct ca_filter){.kind = CA_KIND_DEVICE,
                                                 .common_name = "a",
                                                 .status = "ISSUED",
                                                 .serial = "ab",
                                                 .org_id = 103,
                                                 .product_id = 7}),
                        "size=200&position=0&commonName=a&status=Issued&serialNumber=AB&orgId=103"
                        "&certTypeId=7");
}

static void test_query_of_persons(void **state UNUSED)
{
    assert_string_equal(
        query((struct ca_filter){.kind = CA_KIND_SMIME, .name = "a@b", .status = "Issued"}),
        "size=200&position=0&email=a%40b&state=issued&dateFormat=ISO_HMS");
}

static void test_what_cannot_be_narrowed_is_told(void **state UNUSED)
{
    const struct ca_filter none = {.kind = CA_KIND_DEVICE, .common_name = "a", .org_id = 1};
    const struct ca_filter name = {.kind = CA_KIND_DEVICE, .name = "a"};
    const struct ca_filter org = {.kind = CA_KIND_SMIME, .org_id = 1};
    struct err err = ERR_INIT;

    assert_ok(scm_check_filter(&none, &err), &err);
    assert_fails(scm_check_filter(&name, &err), &err, E_USAGE,
                 "'device' cannot be narrowed by alternative name; it can by: common name, status, "
                 "serial number, organization, product");
    err_clear(&err);
    assert_fails(scm_check_filter(&org, &err), &err, E_USAGE,
                 "'smime' cannot be narrowed by organization; it can by: e-mail address, status, "
                 "serial number, product");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_row_of_a_device, forget),
        cmocka_unit_test_teardown(test_row_of_a_person_has_the_number_of_the_back_end, forget),
        cmocka_unit_test_teardown(test_row_of_a_person_that_was_refused_is_none, forget),
        cmocka_unit_test_teardown(test_row_with_the_least, forget),
        cmocka_unit_test_teardown(test_row_of_the_report_of_devices, forget),
        cmocka_unit_test(test_common_names_in_subjects),
        cmocka_unit_test(test_names_in_a_text),
        cmocka_unit_test(test_query_of_devices),
        cmocka_unit_test(test_query_of_persons),
        cmocka_unit_test(test_what_cannot_be_narrowed_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
