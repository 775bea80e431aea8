#include "base/str.h"

#include "unit/unit.h"

enum { UNTOUCHED = 77 };

static const uint64_t refused = UINT64_MAX - 1;

/* `refused` is wanted: false, and the output untouched. */
static bool is_u64(const char *text, uint64_t max, uint64_t want)
{
    uint64_t value = UNTOUCHED;
    bool ok = str_to_u64(text, max, &value);

    return ok ? value == want : value == UNTOUCHED && want == refused;
}

static void test_u64_takes_decimal_digits(void **state UNUSED)
{
    assert_true(is_u64("0", 100, 0));
    assert_true(is_u64("42", 100, 42));
    assert_true(is_u64("007", 100, 7));
    assert_true(is_u64("18446744073709551615", UINT64_MAX, UINT64_MAX));
}

static void test_u64_refuses_what_is_no_number(void **state UNUSED)
{
    static const char *const bad[] = {"",   " 1",  "1 ", "+1",  "-1",   "1.0",
                                      "0x", "1e3", "a",  "1\n", "1,000"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_true(is_u64(bad[i], 1000, refused));
    }
    assert_true(is_u64(NULL, 1000, refused));
}

static void test_u64_obeys_its_maximum(void **state UNUSED)
{
    assert_true(is_u64("100", 100, 100));
    assert_true(is_u64("101", 100, refused));
}

static void test_u64_notices_overflow(void **state UNUSED)
{
    assert_true(is_u64("18446744073709551616", UINT64_MAX, refused));
    assert_true(is_u64("99999999999999999999999", UINT64_MAX, refused));
}

static void test_int_takes_a_sign(void **state UNUSED)
{
    int value = UNTOUCHED;

    assert_true(str_to_int("-5", -10, 10, &value));
    assert_int_equal(value, -5);
    assert_true(str_to_int("0", -10, 10, &value));
    assert_int_equal(value, 0);
}

static void test_int_obeys_its_bounds(void **state UNUSED)
{
    int value = UNTOUCHED;

    assert_false(str_to_int("11", -10, 10, &value));
    assert_false(str_to_int("-11", -10, 10, &value));
    assert_false(str_to_int("2147483648", INT32_MIN, INT32_MAX, &value));
    assert_int_equal(value, UNTOUCHED);
    assert_true(str_to_int("2147483647", INT32_MIN, INT32_MAX, &value));
}

static void test_int_refuses_what_is_no_number(void **state UNUSED)
{
    int value = UNTOUCHED;

    assert_false(str_to_int("--5", -10, 10, &value));
    assert_false(str_to_int("-", -10, 10, &value));
    assert_false(str_to_int("", -10, 10, &value));
    assert_false(str_to_int(NULL, -10, 10, &value));
    assert_false(str_to_int("5 ", -10, 10, &value));
    assert_int_equal(value, UNTOUCHED);
}

static void test_bool_words(void **state UNUSED)
{
    static const char *const yes[] = {"yes", "YES", "true", "On", "1"};
    static const char *const no[] = {"no", "No", "false", "OFF", "0"};
    bool value = false;

    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        assert_true(str_to_bool(yes[i], &value) && value);
    }
    for (size_t i = 0; i < ARRAY_LEN(no); i++) {
        assert_true(str_to_bool(no[i], &value) && !value);
    }
}

static void test_bool_refuses_other_words(void **state UNUSED)
{
    bool value = true;

    assert_false(str_to_bool("", &value));
    assert_false(str_to_bool("y", &value));
    assert_false(str_to_bool("yes ", &value));
    assert_false(str_to_bool("2", &value));
    assert_false(str_to_bool(NULL, &value));
    assert_true(value);
}

static int64_t seconds(const char *text)
{
    int64_t value = -1;

    return str_to_seconds(text, &value) ? value : -1;
}

static void test_seconds_with_every_unit(void **state UNUSED)
{
    assert_int_equal(seconds("90"), 90);
    assert_int_equal(seconds("90s"), 90);
    assert_int_equal(seconds("15m"), 900);
    assert_int_equal(seconds("2h"), 7200);
    assert_int_equal(seconds("7d"), 604800);
    assert_int_equal(seconds("0"), 0);
}

static void test_seconds_refuses_what_is_no_span(void **state UNUSED)
{
    static const char *const bad[] = {"",    "s",  "-1", "1.5h", "1h30m",
                                      "1 h", "1w", "1H", " 1",   "h1"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(seconds(bad[i]), -1);
    }
    assert_int_equal(seconds(NULL), -1);
    assert_int_equal(seconds("0000000000000000000000000000001"), -1);
}

static void test_seconds_cannot_overflow(void **state UNUSED)
{
    assert_int_equal(seconds("2147483648d"), -1);
    assert_int_equal(seconds("2147483647d"), INT64_C(2147483647) * 86400);
}

static const char *hex(const void *data, size_t len, char separator)
{
    AUTO(buf) struct buf out = BUF_INIT(100);

    str_add_hex(&out, data, len, separator);
    return tmp_printf("%s", buf_str(&out));
}

static void test_hex_of_bytes(void **state UNUSED)
{
    assert_string_equal(hex("\x00\x0f\xa0\xff", 4, '\0'), "000fa0ff");
    assert_string_equal(hex("\x00\x0f\xff", 3, ':'), "00:0f:ff");
    assert_string_equal(hex("\x01", 1, ':'), "01");
    assert_string_equal(hex("", 0, ':'), "");
}

static bool from_hex(const char *text, const char *want, size_t len)
{
    AUTO(buf) struct buf out = BUF_INIT(16);

    return str_from_hex(text, &out) && out.len == len && memcmp(buf_str(&out), want, len) == 0;
}

static void test_hex_is_read_in_every_usual_form(void **state UNUSED)
{
    assert_true(from_hex("", "", 0));
    assert_true(from_hex("0x", "", 0));
    assert_true(from_hex("00ff", "\x00\xff", 2));
    assert_true(from_hex("0xAbCd", "\xab\xcd", 2));
    assert_true(from_hex("AB:cd:01", "\xab\xcd\x01", 3));
}

static void test_hex_refuses_halves_and_foreign_characters(void **state UNUSED)
{
    static const char *const bad[] = {"a",   "abc",    "zz",    "a:bc",   ":ab",
                                      "ab:", "ab::cd", "ab cd", "0x0x00", "ab-cd"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO(buf) struct buf out = BUF_INIT(16);
        assert_false(str_from_hex(bad[i], &out));
    }
}

static void test_hex_obeys_the_buffer_maximum(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(2);

    assert_false(str_from_hex("010203", &out));
}

static bool decoded(const char *text, const char *want, size_t len)
{
    AUTO(buf) struct buf out = BUF_INIT(32);

    return str_percent_decode(text, strlen(text), &out) && out.len == len &&
           memcmp(buf_str(&out), want, len) == 0;
}

static void test_percent_is_decoded(void **state UNUSED)
{
    assert_true(decoded("", "", 0));
    assert_true(decoded("a%20b", "a b", 3));
    assert_true(decoded("%41", "A", 1));
    assert_true(decoded("%c3%A4", "\xc3\xa4", 2));
    assert_true(decoded("%00", "\0", 1));
    assert_true(decoded("%25%32%30", "%20", 3));
    assert_true(decoded("a+b", "a+b", 3));
}

static void test_percent_without_two_digits_is_refused(void **state UNUSED)
{
    static const char *const bad[] = {"%", "%4", "a%", "%4g", "%g4", "%%41", "%-1", "% 1"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO(buf) struct buf out = BUF_INIT(32);
        assert_false(str_percent_decode(bad[i], strlen(bad[i]), &out));
    }
}

static void test_percent_decoding_stops_at_the_given_length(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(32);

    assert_false(str_percent_decode("%41", 2, &out));
    buf_reset(&out);
    assert_true(str_percent_decode("ab%41", 2, &out));
    assert_string_equal(buf_str(&out), "ab");
}

static const char *encoded(const void *data, size_t len, const char *also_plain)
{
    AUTO(buf) struct buf out = BUF_INIT(100);

    str_percent_encode(&out, data, len, also_plain);
    return tmp_printf("%s", buf_str(&out));
}

static void test_percent_encodes_all_but_unreserved(void **state UNUSED)
{
    assert_string_equal(encoded("aZ09-._~", 8, ""), "aZ09-._~");
    assert_string_equal(encoded("a b/c", 5, ""), "a%20b%2Fc");
    assert_string_equal(encoded("a/b:c", 5, "/"), "a/b%3Ac");
    assert_string_equal(encoded("\xc3\xa4", 2, ""), "%C3%A4");
}

static void test_percent_encodes_nul(void **state UNUSED)
{
    assert_string_equal(encoded("\0", 1, "/"), "%00");
}

static void test_printable_is_ascii_from_space_to_tilde(void **state UNUSED)
{
    assert_true(str_is_printable((const uint8_t *)" aZ~", 4));
    assert_true(str_is_printable((const uint8_t *)"", 0));
    assert_false(str_is_printable((const uint8_t *)"a\n", 2));
    assert_false(str_is_printable((const uint8_t *)"\x7f", 1));
    assert_false(str_is_printable((const uint8_t *)"\xc3\xa4", 2));
    assert_false(str_is_printable((const uint8_t *)"a\0", 2));
}

static bool utf8(const char *bytes)
{
    return str_is_utf8((const uint8_t *)bytes, strlen(bytes));
}

static void test_utf8_of_every_length(void **state UNUSED)
{
    assert_true(utf8(""));
    assert_true(utf8("abc\x01\x7f"));
    assert_true(utf8("\xc2\x80 \xdf\xbf"));
    assert_true(utf8("\xe0\xa0\x80 \xe2\x82\xac \xef\xbf\xbf"));
    assert_true(utf8("\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf"));
}

static void test_utf8_refuses_overlong_forms(void **state UNUSED)
{
    assert_false(utf8("\xc0\xaf"));
    assert_false(utf8("\xc1\xbf"));
    assert_false(utf8("\xe0\x80\xaf"));
    assert_false(utf8("\xe0\x9f\xbf"));
    assert_false(utf8("\xf0\x8f\xbf\xbf"));
    assert_false(utf8("\xf8\x88\x80\x80\x80"));
}

static void test_utf8_refuses_surrogates(void **state UNUSED)
{
    assert_true(utf8("\xed\x9f\xbf"));
    assert_false(utf8("\xed\xa0\x80"));
    assert_false(utf8("\xed\xbf\xbf"));
    assert_true(utf8("\xee\x80\x80"));
}

static void test_utf8_refuses_what_is_beyond_unicode(void **state UNUSED)
{
    assert_false(utf8("\xf4\x90\x80\x80"));
    assert_false(utf8("\xf5\x80\x80\x80"));
    assert_false(utf8("\xff"));
    assert_false(utf8("\xfe"));
}

static void test_utf8_refuses_cut_sequences(void **state UNUSED)
{
    assert_false(utf8("\xc3"));
    assert_false(utf8("\xe2\x82"));
    assert_false(utf8("\xf0\x9f\x98"));
    assert_false(utf8("\xe2\x82 "));
    assert_false(utf8("\x80"));
    assert_false(utf8("a\xbf"));
}

static void test_utf8_refuses_nul(void **state UNUSED)
{
    assert_false(str_is_utf8((const uint8_t *)"a\0b", 3));
}

static const char *quoted(const char *text, size_t len, size_t max)
{
    AUTO(buf) struct buf out = BUF_INIT(100);

    str_add_quotable(&out, text, len, max);
    return tmp_printf("%s", buf_str(&out));
}

static void test_quotable_leaves_text_alone(void **state UNUSED)
{
    assert_string_equal(quoted("W\xc3\xa4hler 1", 9, 80), "W\xc3\xa4hler 1");
    assert_string_equal(quoted("", 0, 80), "");
}

static void test_quotable_shows_control_characters(void **state UNUSED)
{
    assert_string_equal(quoted("a\x1b[2Jb\r\n\t\x7f", 10, 80), "a\\x1b[2Jb\\x0d\\x0a\\x09\\x7f");
    assert_string_equal(quoted("a\0b", 3, 80), "a\\x00b");
}

static void test_quotable_shows_c1_control_characters(void **state UNUSED)
{
    assert_string_equal(quoted("\xc2\x9b", 2, 80), "\\xc2\\x9b");
    assert_string_equal(quoted("\xc2\xa0", 2, 80), "\xc2\xa0");
}

static void test_quotable_shows_what_turns_text_around_or_cannot_be_seen(void **state UNUSED)
{
    assert_string_equal(quoted("a\xe2\x80\xae"
                               "b",
                               5, 80),
                        "a\\xe2\\x80\\xaeb");                                       /* U+202E */
    assert_string_equal(quoted("\xe2\x81\xa6", 3, 80), "\\xe2\\x81\\xa6");          /* U+2066 */
    assert_string_equal(quoted("\xe2\x80\x8b", 3, 80), "\\xe2\\x80\\x8b");          /* U+200B */
    assert_string_equal(quoted("\xf3\xa0\x81\x81", 4, 80), "\\xf3\\xa0\\x81\\x81"); /* U+E0041 */
    assert_string_equal(quoted("\xe2\x80\x90 \xe2\x80\xaf", 7, 80), "\xe2\x80\x90 \xe2\x80\xaf");
}

static void test_characters_are_decoded(void **state UNUSED)
{
    static const struct {
        const char *text;
        size_t length;
        uint32_t code;
    } cases[] = {{"a", 1, 'a'},
                 {"\xc3\xa4", 2, 0xe4},
                 {"\xe2\x82\xac", 3, 0x20ac},
                 {"\xf0\x9f\x94\x91", 4, 0x1f511},
                 {"\xf4\x8f\xbf\xbf", 4, 0x10ffff}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint32_t code = 0;
        const uint8_t *text = (const uint8_t *)cases[i].text;
        assert_int_equal(str_char(text, cases[i].length, &code), cases[i].length);
        assert_int_equal(code, cases[i].code);
        if (cases[i].length > 1) {
            assert_int_equal(str_char(text, cases[i].length - 1, &code), 0);
        }
    }
}

static void test_what_is_shown_begins_and_ends_where_it_should(void **state UNUSED)
{
    static const uint32_t edges[] = {0x20,   0x7e,   0xa0,    0xac,   0xae,   0x61b,
                                     0x61d,  0x200a, 0x2010,  0x2027, 0x202f, 0x205f,
                                     0x2070, 0xfffc, 0xdffff, 0xe1000};
    static const uint32_t hidden[] = {0,      0x1b,   0x1f,   0x7f,   0x80,    0x9b,   0x9f,
                                      0x200e, 0x200f, 0x2028, 0x202a, 0x202e,  0x2066, 0x2069,
                                      0x206f, 0xfeff, 0xad,   0x61c,  0xe0001, 0xe0fff};

    for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
        assert_true(str_char_is_shown(edges[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
        assert_false(str_char_is_shown(hidden[i]));
    }
}

static void test_quotable_shows_invalid_utf8(void **state UNUSED)
{
    assert_string_equal(quoted("a\xff\xc3", 3, 80), "a\\xff\\xc3");
    assert_string_equal(quoted("\xed\xa0\x80", 3, 80), "\\xed\\xa0\\x80");
}

static void test_quotable_cuts_long_text(void **state UNUSED)
{
    assert_string_equal(quoted("abcdef", 6, 3), "abc...");
    assert_string_equal(quoted("abc", 3, 3), "abc");
}

static void test_quotable_does_not_cut_a_character_in_two(void **state UNUSED)
{
    const char *text = quoted("ab\xc3\xa4"
                              "cd",
                              6, 3);

    assert_true(str_is_utf8((const uint8_t *)text, strlen(text)));
}

static void test_quotable_says_cut_only_if_something_was_cut(void **state UNUSED)
{
    assert_string_equal(quoted("ab\xc3\xa4", 4, 4), "ab\xc3\xa4");
    const char *text = quoted("ab\xc3\xa4", 4, 3);
    bool whole = strncmp(text, "ab\xc3\xa4", 4) == 0;
    bool dots = str_ends_with(text, "...");
    assert_true(whole != dots);
}

static void test_dup_of_nothing_is_nothing(void **state UNUSED)
{
    AUTO(str) char *copy = str_dup("abc");
    AUTO(str) char *part = str_ndup("abc", 2);

    assert_null(str_dup(NULL));
    assert_string_equal(copy, "abc");
    assert_string_equal(part, "ab");
}

static void test_equal_knows_null(void **state UNUSED)
{
    assert_true(str_equal(NULL, NULL));
    assert_false(str_equal("", NULL));
    assert_false(str_equal(NULL, "a"));
    assert_true(str_equal("a", "a"));
    assert_false(str_equal("a", "A"));
    assert_true(str_equal_nocase("aB", "Ab"));
    assert_true(str_equal_nocase(NULL, NULL));
    assert_false(str_equal_nocase("a", NULL));
}

static void test_starts_and_ends(void **state UNUSED)
{
    assert_true(str_starts_with("abc", "ab"));
    assert_true(str_starts_with("abc", ""));
    assert_false(str_starts_with("ab", "abc"));
    assert_true(str_ends_with("abc", "bc"));
    assert_true(str_ends_with("abc", ""));
    assert_false(str_ends_with("bc", "abc"));
}

static void test_trim_takes_white_space_from_both_ends(void **state UNUSED)
{
    char text[] = " \t a b \r\n";
    char blank[] = "  ";
    char empty[] = "";

    assert_string_equal(str_trim(text), "a b");
    assert_string_equal(str_trim(blank), "");
    assert_string_equal(str_trim(empty), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_u64_takes_decimal_digits),
        cmocka_unit_test(test_u64_refuses_what_is_no_number),
        cmocka_unit_test(test_u64_obeys_its_maximum),
        cmocka_unit_test(test_u64_notices_overflow),
        cmocka_unit_test(test_int_takes_a_sign),
        cmocka_unit_test(test_int_obeys_its_bounds),
        cmocka_unit_test(test_int_refuses_what_is_no_number),
        cmocka_unit_test(test_bool_words),
        cmocka_unit_test(test_bool_refuses_other_words),
        cmocka_unit_test(test_seconds_with_every_unit),
        cmocka_unit_test(test_seconds_refuses_what_is_no_span),
        cmocka_unit_test(test_seconds_cannot_overflow),
        cmocka_unit_test(test_hex_of_bytes),
        cmocka_unit_test(test_hex_is_read_in_every_usual_form),
        cmocka_unit_test(test_hex_refuses_halves_and_foreign_characters),
        cmocka_unit_test(test_hex_obeys_the_buffer_maximum),
        cmocka_unit_test(test_percent_is_decoded),
        cmocka_unit_test(test_percent_without_two_digits_is_refused),
        cmocka_unit_test(test_percent_decoding_stops_at_the_given_length),
        cmocka_unit_test(test_percent_encodes_all_but_unreserved),
        cmocka_unit_test(test_percent_encodes_nul),
        cmocka_unit_test(test_printable_is_ascii_from_space_to_tilde),
        cmocka_unit_test(test_utf8_of_every_length),
        cmocka_unit_test(test_utf8_refuses_overlong_forms),
        cmocka_unit_test(test_utf8_refuses_surrogates),
        cmocka_unit_test(test_utf8_refuses_what_is_beyond_unicode),
        cmocka_unit_test(test_utf8_refuses_cut_sequences),
        cmocka_unit_test(test_utf8_refuses_nul),
        cmocka_unit_test(test_quotable_leaves_text_alone),
        cmocka_unit_test(test_quotable_shows_control_characters),
        cmocka_unit_test(test_quotable_shows_c1_control_characters),
        cmocka_unit_test(test_quotable_shows_what_turns_text_around_or_cannot_be_seen),
        cmocka_unit_test(test_characters_are_decoded),
        cmocka_unit_test(test_what_is_shown_begins_and_ends_where_it_should),
        cmocka_unit_test(test_quotable_shows_invalid_utf8),
        cmocka_unit_test(test_quotable_cuts_long_text),
        cmocka_unit_test(test_quotable_does_not_cut_a_character_in_two),
        cmocka_unit_test(test_quotable_says_cut_only_if_something_was_cut),
        cmocka_unit_test(test_dup_of_nothing_is_nothing),
        cmocka_unit_test(test_equal_knows_null),
        cmocka_unit_test(test_starts_and_ends),
        cmocka_unit_test(test_trim_takes_white_space_from_both_ends),
    };

    return UNIT_RUN(tests);
}
