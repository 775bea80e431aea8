/* The answers of the API that are successes: products, orders, details, organizations. */
#include "ca/scm/scm.h"

#include "unit/unit.h"

static json *parse(const char *text)
{
    json *doc = NULL;
    struct err err = ERR_INIT;

    assert_ok(json_parse((const uint8_t *)text, strlen(text), &doc, &err), &err);
    return doc;
}

/* Products */

static bool types_of(const char *text, struct ca_products *out, struct err *err)
{
    AUTO(json) json *doc = parse(text);

    return scm_parse_types(doc, out, err);
}

static void refuses_types(const char *text, const char *words)
{
    struct ca_products products = {.count = 0};
    struct err err = ERR_INIT;

    assert_fails(types_of(text, &products, &err), &err, E_PROTOCOL, words);
    assert_null(products.list);
}

static void test_product_with_everything(void **state UNUSED)
{
    AUTO(ca_products) struct ca_products products = {.count = 0};
    struct err err = ERR_INIT;

    assert_ok(types_of("[{\"id\":1018,\"name\":\"OV\",\"description\":\"text\",\"terms\":[365,90],"
                       "\"keyTypes\":{\"RSA\":[\"2048\",\"4096\"],\"EC\":[\"P-256\"]},"
                       "\"useSecondaryOrgName\":false}]",
                       &products, &err),
              &err);
    assert_int_equal(products.count, 1);
    const struct ca_product *p = &products.list[0];
    assert_int_equal(p->id, 1018);
    assert_string_equal(p->name, "OV");
    assert_string_equal(p->description, "text");
    assert_int_equal(p->term_count, 2);
    assert_int_equal(p->terms[1], 90);
    assert_int_equal(p->key_type_count, 3);
    assert_string_equal(p->key_types[0], "RSA-2048");
    assert_string_equal(p->key_types[2], "EC P-256");
}

static void test_product_with_the_least(void **state UNUSED)
{
    AUTO(ca_products) struct ca_products products = {.count = 0};
    struct err err = ERR_INIT;

    assert_ok(types_of("[{\"id\":\"7\",\"name\":\"x\",\"description\":null}]", &products, &err),
              &err);
    assert_int_equal(products.list[0].id, 7);
    assert_string_equal(products.list[0].description, "");
    assert_int_equal(products.list[0].term_count, 0);
    assert_int_equal(products.list[0].key_type_count, 0);
}

static void test_no_products(void **state UNUSED)
{
    AUTO(ca_products) struct ca_products products = {.count = 7};
    struct err err = ERR_INIT;

    assert_ok(types_of("[]", &products, &err), &err);
    assert_int_equal(products.count, 0);
}

static void test_list_of_products_must_be_an_array(void **state UNUSED)
{
    refuses_types("{}", "the list of products is not a JSON array");
    refuses_types("null", "the list of products is not a JSON array");
}

static void test_product_that_lacks_a_field_is_counted(void **state UNUSED)
{
    refuses_types("[{\"id\":1,\"name\":\"a\"},{\"name\":\"b\"}]",
                  "product 2 of the list: JSON: the field 'id' is missing");
    refuses_types("[{\"id\":1}]", "product 1 of the list: JSON: the field 'name' is missing");
    refuses_types("[7]", "product 1 of the list: JSON: an object");
    refuses_types("[{\"id\":\"x\",\"name\":\"a\"}]", "'id' is not a whole number");
}

static void test_strange_terms_and_key_types_are_passed_over(void **state UNUSED)
{
    AUTO(ca_products) struct ca_products products = {.count = 0};
    struct err err = ERR_INIT;

    assert_ok(types_of("[{\"id\":1,\"name\":\"a\",\"terms\":[0,-5,\"30\",null,1.5,{}],"
                       "\"keyTypes\":{\"RSA\":[2048,null],\"EC\":\"P-256\",\"DSA\":[\"1\"]}}]",
                       &products, &err),
              &err);
    assert_int_equal(products.list[0].term_count, 1);
    assert_int_equal(products.list[0].terms[0], 30);
    assert_int_equal(products.list[0].key_type_count, 0);
}

static void test_more_terms_and_key_types_than_there_is_room_for(void **state UNUSED)
{
    AUTO(ca_products) struct ca_products products = {.count = 0};
    AUTO(buf) struct buf text = BUF_INIT(4000);
    struct err err = ERR_INIT;

    buf_add_str(&text, "[{\"id\":1,\"name\":\"a\",\"terms\":[1");
    for (int i = 2; i < 50; i++) {
        buf_addf(&text, ",%d", i);
    }
    buf_add_str(&text, "],\"keyTypes\":{\"RSA\":[\"1\"");
    for (int i = 2; i < 50; i++) {
        buf_addf(&text, ",\"%030d\"", i);
    }
    buf_add_str(&text, "]}}]");
    assert_ok(types_of(buf_str(&text), &products, &err), &err);
    assert_int_equal(products.list[0].term_count, CA_TERMS_MAX);
    assert_int_equal(products.list[0].key_type_count, CA_KEY_TYPES_MAX);
    assert_int_equal(strlen(products.list[0].key_types[1]), 20);
}

/* Orders */

static int64_t enrolled(const char *text)
{
    AUTO(json) json *doc = parse(text);
    int64_t id = -1;
    struct err err = ERR_INIT;

    assert_ok(scm_parse_enroll(doc, &id, &err), &err);
    return id;
}

static void refuses_enroll(const char *text, const char *words)
{
    AUTO(json) json *doc = parse(text);
    int64_t id = -1;
    struct err err = ERR_INIT;

    assert_fails(scm_parse_enroll(doc, &id, &err), &err, E_PROTOCOL, words);
    assert_int_equal(id, -1);
}

static void test_number_of_a_new_order(void **state UNUSED)
{
    assert_int_equal(enrolled("{\"sslId\":55,\"renewId\":\"gu03sW6WENt7GTvDTuOP\"}"), 55);
    assert_int_equal(enrolled("{\"sslId\":55}"), 55);
    assert_int_equal(enrolled("{\"sslId\":\"55\",\"extra\":{}}"), 55);
    assert_int_equal(enrolled("{\"sslId\":5000000000}"), INT64_C(5000000000));
}

static void test_new_order_without_a_number(void **state UNUSED)
{
    refuses_enroll("{\"renewId\":\"x\"}", "the field 'sslId' is missing");
    refuses_enroll("{\"sslId\":null}", "the field 'sslId' is missing");
    refuses_enroll("{\"sslId\":\"x\"}", "'sslId' is not a whole number");
    refuses_enroll("{\"sslId\":1.5}", "'sslId' is not a whole number");
    refuses_enroll("[]", "an object with the field 'sslId'");
}

static void test_new_order_with_an_impossible_number(void **state UNUSED)
{
    refuses_enroll("{\"sslId\":0}", "the CA gave the order the number 0");
    refuses_enroll("{\"sslId\":-5}", "the CA gave the order the number -5");
}

/* Details */

static void test_details_with_everything(void **state UNUSED)
{
    AUTO(json)
    json *doc =
        parse("{\"id\":54,\"status\":\"Issued\",\"comments\":\"p11e-1\",\"serialNumber\":\"AB:CD\","
              "\"requested\":null,\"reasonCode\":\"4\"}");
    struct scm_details details;
    struct err err = ERR_INIT;

    assert_ok(scm_parse_details(doc, &details, &err), &err);
    assert_int_equal(details.phase, CA_ISSUED);
    assert_string_equal(details.status, "Issued");
    assert_string_equal(details.comments, "p11e-1");
    assert_string_equal(details.serial, "AB:CD");
}

static void test_details_with_the_least(void **state UNUSED)
{
    AUTO(json) json *doc = parse("{\"status\":\"Applied\",\"comments\":null}");
    struct scm_details details;
    struct err err = ERR_INIT;

    assert_ok(scm_parse_details(doc, &details, &err), &err);
    assert_string_equal(details.comments, "");
    assert_string_equal(details.serial, "");
}

static void test_details_without_a_status(void **state UNUSED)
{
    static const char *const bad[] = {"{}", "{\"status\":null}", "{\"status\":5}", "[]"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO(json) json *doc = parse(bad[i]);
        struct scm_details details;
        struct err err = ERR_INIT;
        assert_fails(scm_parse_details(doc, &details, &err), &err, E_PROTOCOL, "'status'");
    }
}

static void test_phases_in_every_spelling(void **state UNUSED)
{
    static const struct {
        const char *word;
        enum ca_phase phase;
    } cases[] = {
        {"Init", CA_PENDING},
        {"Requested", CA_WAITING},
        {"REQUESTED", CA_WAITING},
        {"SAApproved", CA_WAITING},
        {"SA Approved", CA_WAITING},
        {"Awaiting Approval", CA_WAITING},
        {"AWAITING_APPROVAL", CA_WAITING},
        {"Approved", CA_PENDING},
        {"Applied", CA_PENDING},
        {"applied", CA_PENDING},
        {"Pending", CA_PENDING},
        {"Issued", CA_ISSUED},
        {"ISSUED", CA_ISSUED},
        {"Downloaded", CA_ISSUED},
        {"Enrolled - Pending Download", CA_ISSUED},
        {"Declined", CA_FAILED},
        {"Rejected", CA_FAILED},
        {"Invalid", CA_FAILED},
        {"Replaced", CA_FAILED},
        {"Revoked", CA_FAILED},
        {"Expired", CA_FAILED},
        {"Unmanaged", CA_FAILED},
        {"Not Enrolled", CA_FAILED},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(scm_phase(cases[i].word), cases[i].phase);
    }
}

static void test_unknown_words_are_pending(void **state UNUSED)
{
    static const char *const words[] = {
        "", "Something new", "External", "Any", "Issued soon", "not issued", "\xc3\xa4", "123"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        assert_int_equal(scm_phase(words[i]), CA_PENDING);
    }
    assert_int_equal(scm_phase(tmp_printf("issued%0100d", 7)), CA_ISSUED);
    assert_int_equal(scm_phase("a word that begins like nothing and goes on for ever and issued"),
                     CA_PENDING);
}

/* Organizations */

static void test_organization_in_the_list(void **state UNUSED)
{
    AUTO(json) json *doc = parse("[{\"id\":1,\"name\":\"One\"},{\"id\":\"2\",\"name\":\"Two\"}]");
    const char *name = "";

    assert_true(scm_has_organization(doc, 2, &name));
    assert_string_equal(name, "Two");
    assert_false(scm_has_organization(doc, 3, &name));
}

static void test_department_of_an_organization(void **state UNUSED)
{
    AUTO(json)
    json *doc = parse("[{\"id\":1,\"name\":\"One\",\"departments\":[{\"id\":7,"
                      "\"name\":\"Dept\",\"departments\":null}]},{\"id\":2}]");
    const char *name = "";

    assert_true(scm_has_organization(doc, 7, &name));
    assert_string_equal(name, "Dept");
}

static void test_organization_without_a_name_is_there(void **state UNUSED)
{
    AUTO(json) json *doc = parse("[{\"id\":5}]");
    const char *name = "";

    assert_true(scm_has_organization(doc, 5, &name));
    assert_string_equal(name, "");
}

static void test_list_of_organizations_that_is_none(void **state UNUSED)
{
    AUTO(json) json *doc = parse("{\"id\":5}");
    const char *name = "";

    assert_false(scm_has_organization(doc, 5, &name));
}

/* Candidates for a lost order */

static void highest_are_kept(int64_t from, int64_t step)
{
    struct scm_ids ids = {.count = 0};

    for (int64_t i = 0; i < 2 * SCM_IDS_MAX; i++) {
        scm_ids_add(&ids, from + i * step);
        scm_ids_add(&ids, from + i * step); /* lists may say a row twice */
    }
    scm_ids_sort(&ids);
    assert_int_equal(ids.count, SCM_IDS_MAX);
    for (size_t i = 0; i < ids.count; i++) {
        assert_int_equal(ids.list[i], 2 * SCM_IDS_MAX - (int64_t)i);
    }
}

static void test_newest_candidates_are_kept_in_any_order_of_the_list(void **state UNUSED)
{
    highest_are_kept(1, 1);
    highest_are_kept(2 * SCM_IDS_MAX, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_product_with_everything),
        cmocka_unit_test(test_product_with_the_least),
        cmocka_unit_test(test_no_products),
        cmocka_unit_test(test_list_of_products_must_be_an_array),
        cmocka_unit_test(test_product_that_lacks_a_field_is_counted),
        cmocka_unit_test(test_strange_terms_and_key_types_are_passed_over),
        cmocka_unit_test(test_more_terms_and_key_types_than_there_is_room_for),
        cmocka_unit_test(test_number_of_a_new_order),
        cmocka_unit_test(test_new_order_without_a_number),
        cmocka_unit_test(test_new_order_with_an_impossible_number),
        cmocka_unit_test(test_details_with_everything),
        cmocka_unit_test(test_details_with_the_least),
        cmocka_unit_test(test_details_without_a_status),
        cmocka_unit_test(test_phases_in_every_spelling),
        cmocka_unit_test(test_unknown_words_are_pending),
        cmocka_unit_test(test_organization_in_the_list),
        cmocka_unit_test(test_department_of_an_organization),
        cmocka_unit_test(test_organization_without_a_name_is_there),
        cmocka_unit_test(test_list_of_organizations_that_is_none),
        cmocka_unit_test(test_newest_candidates_are_kept_in_any_order_of_the_list),
    };

    return UNIT_RUN(tests);
}
