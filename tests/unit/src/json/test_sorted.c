#include "json/json.h"

#include "unit/unit.h"

static const char *sorted(const char *text, bool indent)
{
    AUTO(json) json *doc = NULL;
    AUTO(buf) struct buf out = BUF_INIT(4096);
    struct err err = ERR_INIT;

    assert_ok(json_parse((const uint8_t *)text, strlen(text), &doc, &err), &err);
    assert_ok(json_print_sorted(doc, indent, &out, &err), &err);
    return tmp_printf("%s", buf_str(&out));
}

static void refuses(const char *text, const char *words)
{
    AUTO(json) json *doc = NULL;
    AUTO(buf) struct buf out = BUF_INIT(64);
    struct err err = ERR_INIT;

    assert_ok(json_parse((const uint8_t *)text, strlen(text), &doc, &err), &err);
    assert_fails(json_print_sorted(doc, false, &out, &err), &err, E_PROTOCOL, words);
}

static void test_members_come_in_the_order_of_their_names(void **state UNUSED)
{
    assert_string_equal(sorted(" { \"b\" : [ 2, 1 ], \"a\" : {\"z\":null,\"Z\":true} } ", false),
                        "{\"a\":{\"Z\":true,\"z\":null},\"b\":[2,1]}");
}

static void test_one_text_however_it_was_written(void **state UNUSED)
{
    assert_string_equal(sorted("{\"a\":\"\\u0041\\/\\u00e4\",\"b\":1e2}", false),
                        sorted("{\"b\":100,\"a\":\"A/\xc3\xa4\"}", false));
}

/* RFC 8785, section 3.2.2.2 */
static void test_escapes_are_the_shortest(void **state UNUSED)
{
    assert_string_equal(
        sorted("\"\\u0008\\u0009\\u000a\\u000c\\u000d\\u0022\\u005c\\u001f\\u007f/\"", false),
        "\"\\b\\t\\n\\f\\r\\\"\\\\\\u001f\x7f/\"");
}

static void test_whole_numbers_alone(void **state UNUSED)
{
    assert_string_equal(sorted("[0,-0,-7,9007199254740991]", false), "[0,0,-7,9007199254740991]");
    refuses("[0.5]", "not whole");
    refuses("[9007199254740993]", "not whole");
    refuses("[1e300]", "not whole");
}

static void test_member_that_is_there_twice_is_refused(void **state UNUSED)
{
    refuses("{\"a\":1,\"b\":2,\"a\":1}", "'a' is there twice");
}

static void test_text_that_is_not_utf8_is_refused(void **state UNUSED)
{
    refuses("[\"\xff\"]", "not UTF-8");
}

static void test_too_long_a_text_is_refused(void **state UNUSED)
{
    refuses("[\"0123456789012345678901234567890123456789012345678901234567890123\"]", "too long");
}

static void test_lines_for_people(void **state UNUSED)
{
    assert_string_equal(sorted("{\"b\":{},\"a\":[1,\"x\"],\"c\":[]}", true),
                        "{\n  \"a\": [\n    1,\n    \"x\"\n  ],\n  \"b\": {},\n  \"c\": []\n}");
}

static void test_nothing_was_built(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(64);
    struct err err = ERR_INIT;

    assert_fails(json_print_sorted(NULL, false, &out, &err), &err, E_MEMORY, "memory");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_come_in_the_order_of_their_names),
        cmocka_unit_test(test_one_text_however_it_was_written),
        cmocka_unit_test(test_escapes_are_the_shortest),
        cmocka_unit_test(test_whole_numbers_alone),
        cmocka_unit_test(test_member_that_is_there_twice_is_refused),
        cmocka_unit_test(test_text_that_is_not_utf8_is_refused),
        cmocka_unit_test(test_too_long_a_text_is_refused),
        cmocka_unit_test(test_lines_for_people),
        cmocka_unit_test(test_nothing_was_built),
    };

    return UNIT_RUN(tests);
}
