#include "json/json.h"

#include "unit/unit.h"

static json *parse(const char *text)
{
    struct err err = ERR_INIT;
    json *doc = NULL;

    assert_ok(json_parse((const uint8_t *)text, strlen(text), &doc, &err), &err);
    return doc;
}

static void refuses_bytes(const void *data, size_t len, const char *words)
{
    AUTO(json) json *doc = NULL;
    struct err err = ERR_INIT;

    assert_fails(json_parse(data, len, &doc, &err), &err, E_PROTOCOL, words);
    assert_null(doc);
}

static void refuses(const char *text, const char *words)
{
    refuses_bytes(text, strlen(text), words);
}

/* Parsing */

static void test_parse_values_of_every_kind(void **state UNUSED)
{
    static const char *const good[] = {
        "{}",   "[]",    "\"a\"", "1",      "-1.5e3",
        "true", "false", "null",  " {} \n", "[1,[2,[3]],{\"a\":{}}]"};

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        json_free(parse(good[i]));
    }
}

static void test_parse_rejects_what_is_no_json(void **state UNUSED)
{
    static const char *const bad[] = {"",       " ",       "{",     "}",          "{\"a\"}",
                                      "[1,]",   "{a:1}",   "'a'",   "nul",        "[1 2]",
                                      "<html>", "{\"a\":", "\"abc", "{\"a\":1,}", "\\"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        refuses(bad[i], "JSON: not understood at byte");
    }
}

static void test_parse_rejects_trailing_garbage(void **state UNUSED)
{
    refuses("{} x", "something follows the value at byte 3");
    refuses("{}{}", "something follows the value at byte 2");
    refuses("1 2", "something follows");
    refuses_bytes("{}\0", 3, "JSON: ");
}

static void test_parse_accepts_white_space_around(void **state UNUSED)
{
    AUTO(json) json *doc = parse(" \t\r\n{ \"a\" : 1 }\r\n\t ");

    assert_true(json_is_object(doc));
}

static void test_parse_accepts_a_byte_order_mark(void **state UNUSED)
{
    AUTO(json) json *doc = parse("\xef\xbb\xbf{\"a\":1}");

    assert_true(json_is_object(doc));
}

static void test_parse_does_not_need_a_nul_behind(void **state UNUSED)
{
    AUTO(json) json *doc = NULL;
    AUTO(mem) void *bytes = malloc(2);
    struct err err = ERR_INIT;

    assert_non_null(bytes);
    memcpy(bytes, "{}", 2);
    assert_ok(json_parse(bytes, 2, &doc, &err), &err);
}

static void test_parse_of_cut_numbers_stays_in_bounds(void **state UNUSED)
{
    AUTO(json) json *doc = NULL;
    AUTO(mem) void *bytes = malloc(3);
    struct err err = ERR_INIT;

    assert_non_null(bytes);
    memcpy(bytes, "123", 3);
    assert_ok(json_parse(bytes, 3, &doc, &err), &err);
}

static const char *nested(int depth, char open, char close)
{
    static char text[100];

    memset(text, open, (size_t)depth);
    memset(text + depth, close, (size_t)depth);
    text[2 * depth] = '\0';
    return text;
}

static void test_parse_has_a_depth_limit(void **state UNUSED)
{
    json_free(parse(nested(JSON_DEPTH_MAX, '[', ']')));
    refuses(nested(JSON_DEPTH_MAX + 1, '[', ']'), "nested deeper than 32 levels");
    refuses(nested(40, '{', '}'), "nested deeper");
}

static void test_brackets_in_strings_are_not_depth(void **state UNUSED)
{
    json_free(parse("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\""));
    json_free(parse("[\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"]"));
}

static void test_nul_byte_in_a_string_does_not_shorten_it(void **state UNUSED)
{
    AUTO(json) json *doc = NULL;
    struct err err = ERR_INIT;
    const char text[] = "{\"status\":\"Issued\0Declined\"}";
    const char *value = "";

    /* Refused, or a string that differs from "Issued": both will do. */
    if (json_parse((const uint8_t *)text, sizeof(text) - 1, &doc, &err)) {
        (void)json_find_string(doc, "status", &value);
    }
    assert_string_not_equal(value, "Issued");
}

static void test_escaped_nul_in_a_string_does_not_shorten_it(void **state UNUSED)
{
    AUTO(json) json *doc = NULL;
    struct err err = ERR_INIT;
    const char *text = "{\"status\":\"Issued\\u0000Declined\"}";
    const char *value = "";

    if (json_parse((const uint8_t *)text, strlen(text), &doc, &err)) {
        (void)json_find_string(doc, "status", &value);
    }
    assert_string_not_equal(value, "Issued");
}

/* cJSON takes such an escape for a NUL. */
static void test_escape_without_hex_digits_is_refused(void **state UNUSED)
{
    static const char *const texts[] = {"{\"status\":\"Issued\\u0u00x\"}", "[\"\\u 000\"]",
                                        "[\"\\u00/0\"]"};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        json *doc = NULL;
        struct err err = ERR_INIT;
        assert_fails(json_parse((const uint8_t *)texts[i], strlen(texts[i]), &doc, &err), &err,
                     E_PROTOCOL, "a broken escape at byte");
    }
}

/* Members */

static void test_string_member(void **state UNUSED)
{
    AUTO(json) json *doc = parse("{\"a\":\"x\\u00e4\\n\",\"b\":1}");
    struct err err = ERR_INIT;
    const char *value = NULL;

    assert_ok(json_get_string(doc, "a", &value, &err), &err);
    assert_string_equal(value, "x\xc3\xa4\n");
}

static void test_missing_string_is_named(void **state UNUSED)
{
    AUTO(json) json *doc = parse("{\"b\":1,\"c\":null}");
    struct err err = ERR_INIT;
    const char *value = NULL;

    assert_fails(json_get_string(doc, "a", &value, &err), &err, E_PROTOCOL,
                 "JSON: the field 'a' is missing");
    assert_fails(json_get_string(doc, "b", &value, &err), &err, E_PROTOCOL,
                 "JSON: the field 'b' is not a string");
    assert_fails(json_get_string(doc, "c", &value, &err), &err, E_PROTOCOL, "'c' is missing");
    assert_null(value);
}

static void test_names_are_compared_with_their_case(void **state UNUSED)
{
    AUTO(json) json *doc = parse("{\"SslId\":1}");
    struct err err = ERR_INIT;
    int64_t value = 0;

    assert_fails(json_get_int(doc, "sslId", &value, &err), &err, E_PROTOCOL, "missing");
}

static void test_getters_want_an_object(void **state UNUSED)
{
    AUTO(json) json *doc = parse("[1]");
    struct err err = ERR_INIT;
    int64_t value = 0;

    assert_fails(json_get_int(doc, "id", &value, &err), &err, E_PROTOCOL,
                 "an object with the field 'id' is expected");
    assert_null(json_member(doc, "id"));
}

static void test_member_that_is_not_known_is_named(void **state UNUSED)
{
    static const char *const names[] = {"a", "b"};
    AUTO(json) json *doc = parse("{\"a\":1,\"b\":null,\"A\":2}");
    AUTO(json) json *array = parse("[1]");

    assert_string_equal(json_unknown_member(doc, names, 2), "A");
    assert_string_equal(json_unknown_member(doc, names, 1), "b");
    assert_string_equal(json_unknown_member(doc, NULL, 0), "a");
    assert_null(json_unknown_member(array, names, 2));
    assert_null(json_unknown_member(NULL, names, 2));
}

static int64_t int_of(const char *value)
{
    AUTO(json) json *doc = parse(tmp_printf("{\"n\":%s}", value));
    int64_t number = -77;

    return json_find_int(doc, "n", &number) ? number : -77;
}

static void test_whole_numbers(void **state UNUSED)
{
    assert_int_equal(int_of("0"), 0);
    assert_int_equal(int_of("-5"), -5);
    assert_int_equal(int_of("1e3"), 1000);
    assert_int_equal(int_of("5.0"), 5);
    assert_int_equal(int_of("9007199254740991"), INT64_C(9007199254740991));
}

static void test_numbers_as_strings(void **state UNUSED)
{
    assert_int_equal(int_of("\"42\""), 42);
    assert_int_equal(int_of("\"-42\""), -42);
    assert_true(int_of("\"9223372036854775807\"") == INT64_MAX);
}

static void test_what_is_no_whole_number(void **state UNUSED)
{
    static const char *const bad[] = {"1.5",    "\"\"",  "\"1.5\"", "\"x\"",
                                      "\" 1\"", "true",  "null",    "[1]",
                                      "{}",     "\"-\"", "\"+1\"",  "\"0x1\"",
                                      "1e300",  "1e999", "\"--1\"", "\"9223372036854775808\""};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(int_of(bad[i]), -77);
    }
}

static void test_numbers_beyond_exactness_are_refused(void **state UNUSED)
{
    AUTO(json) json *doc = parse("{\"id\":9007199254740993}");
    struct err err = ERR_INIT;
    int64_t value = 0;

    assert_fails(json_get_int(doc, "id", &value, &err), &err, E_PROTOCOL,
                 "'id' is not a whole number");
}

static void test_bool_member(void **state UNUSED)
{
    AUTO(json) json *doc = parse("{\"a\":true,\"b\":false,\"c\":1}");
    bool value = false;

    assert_true(json_find_bool(doc, "a", &value) && value);
    assert_true(json_find_bool(doc, "b", &value) && !value);
    assert_false(json_find_bool(doc, "c", &value));
    assert_false(json_find_bool(doc, "d", &value));
}

static void test_walking_an_array(void **state UNUSED)
{
    AUTO(json) json *doc = parse("[\"a\",2,null]");
    const json *item = json_first(doc);
    int64_t number = 0;

    assert_int_equal(json_count(doc), 3);
    assert_string_equal(json_string(item), "a");
    item = json_next(item);
    assert_null(json_string(item));
    assert_true(json_int(item, &number));
    assert_int_equal(number, 2);
    item = json_next(item);
    assert_false(json_int(item, &number));
    assert_null(json_next(item));
}

static void test_what_is_no_array_has_no_elements(void **state UNUSED)
{
    AUTO(json) json *object = parse("{\"a\":1}");
    AUTO(json) json *empty = parse("[]");

    assert_int_equal(json_count(object), 0);
    assert_null(json_first(object));
    assert_null(json_first(empty));
    assert_null(json_first(NULL));
    assert_int_equal(json_count(NULL), 0);
}

/* Building */

static void test_build_and_print(void **state UNUSED)
{
    AUTO(json) json *doc = json_new_object();
    AUTO(buf) struct buf out = BUF_INIT(1000);
    json *list = json_new_array();
    struct err err = ERR_INIT;

    assert_true(json_append_string(list, "x"));
    assert_true(json_add_string(doc, "text", "a\"b\\c\n\x01"));
    assert_true(json_add_int(doc, "number", 1234567890123));
    assert_true(json_add_bool(doc, "flag", true));
    assert_true(json_add(doc, "list", list));
    assert_ok(json_print(doc, &out, &err), &err);
    assert_string_equal(buf_str(&out), "{\"text\":\"a\\\"b\\\\c\\n\\u0001\","
                                       "\"number\":1234567890123,\"flag\":true,\"list\":[\"x\"]}");
}

static void test_print_obeys_the_buffer(void **state UNUSED)
{
    AUTO(json) json *doc = parse("[1,2,3,4,5]");
    AUTO(buf) struct buf out = BUF_INIT(5);
    struct err err = ERR_INIT;

    assert_fails(json_print(doc, &out, &err), &err, E_INTERNAL, "too long");
}

static void test_adding_to_nothing_frees_the_value(void **state UNUSED)
{
    assert_false(json_add_string(NULL, "a", "b"));
    assert_false(json_append_string(NULL, "b"));
    assert_false(json_add(NULL, "a", json_new_object()));
    assert_false(json_append(NULL, json_new_object()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_values_of_every_kind),
        cmocka_unit_test(test_parse_rejects_what_is_no_json),
        cmocka_unit_test(test_parse_rejects_trailing_garbage),
        cmocka_unit_test(test_parse_accepts_white_space_around),
        cmocka_unit_test(test_parse_accepts_a_byte_order_mark),
        cmocka_unit_test(test_parse_does_not_need_a_nul_behind),
        cmocka_unit_test(test_parse_of_cut_numbers_stays_in_bounds),
        cmocka_unit_test(test_parse_has_a_depth_limit),
        cmocka_unit_test(test_brackets_in_strings_are_not_depth),
        cmocka_unit_test(test_nul_byte_in_a_string_does_not_shorten_it),
        cmocka_unit_test(test_escaped_nul_in_a_string_does_not_shorten_it),
        cmocka_unit_test(test_escape_without_hex_digits_is_refused),
        cmocka_unit_test(test_string_member),
        cmocka_unit_test(test_missing_string_is_named),
        cmocka_unit_test(test_names_are_compared_with_their_case),
        cmocka_unit_test(test_getters_want_an_object),
        cmocka_unit_test(test_whole_numbers),
        cmocka_unit_test(test_numbers_as_strings),
        cmocka_unit_test(test_what_is_no_whole_number),
        cmocka_unit_test(test_numbers_beyond_exactness_are_refused),
        cmocka_unit_test(test_bool_member),
        cmocka_unit_test(test_walking_an_array),
        cmocka_unit_test(test_what_is_no_array_has_no_elements),
        cmocka_unit_test(test_build_and_print),
        cmocka_unit_test(test_member_that_is_not_known_is_named),
        cmocka_unit_test(test_print_obeys_the_buffer),
        cmocka_unit_test(test_adding_to_nothing_frees_the_value),
    };

    return UNIT_RUN(tests);
}
