#include "base/secret.h"

#include "unit/unit.h"

static void set(struct secret *secret, const char *text)
{
    struct err err = ERR_INIT;

    assert_ok(secret_set(secret, text, strlen(text), &err), &err);
}

static void test_unset_secret_is_exposed_as_empty(void **state UNUSED)
{
    AUTO(secret) struct secret secret = SECRET_INIT;

    assert_false(secret_is_set(&secret));
    assert_string_equal(secret_expose(&secret), "");
}

static void test_empty_secret_is_set(void **state UNUSED)
{
    AUTO(secret) struct secret secret = SECRET_INIT;

    set(&secret, "");
    assert_true(secret_is_set(&secret));
    assert_int_equal(secret.len, 0);
    assert_string_equal(secret_expose(&secret), "");
}

static void test_set_replaces(void **state UNUSED)
{
    AUTO(secret) struct secret secret = SECRET_INIT;

    set(&secret, "first one");
    set(&secret, "2nd");
    assert_string_equal(secret_expose(&secret), "2nd");
    assert_int_equal(secret.len, 3);
}

static void test_append_grows_and_keeps_what_was_there(void **state UNUSED)
{
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct err err = ERR_INIT;

    for (int i = 0; i < 400; i++) {
        assert_ok(secret_append(&secret, "0123456789", 10, &err), &err);
    }
    assert_int_equal(secret.len, 4000);
    assert_memory_equal(secret.data, "01234567890", 11);
    assert_memory_equal(secret.data + 3999, "9", 2);
}

static void test_maximum_fits(void **state UNUSED)
{
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct err err = ERR_INIT;
    char text[SECRET_MAX];

    memset(text, 'a', sizeof(text));
    assert_ok(secret_set(&secret, text, sizeof(text), &err), &err);
    assert_int_equal(secret.len, SECRET_MAX);
    assert_int_equal(secret.data[SECRET_MAX], 0);
}

static void test_more_than_the_maximum_is_refused(void **state UNUSED)
{
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct err err = ERR_INIT;
    char text[SECRET_MAX + 1];

    memset(text, 'a', sizeof(text));
    assert_fails(secret_set(&secret, text, sizeof(text), &err), &err, E_USAGE, "longer than 6144");
    assert_false(secret_is_set(&secret));
}

static void test_append_beyond_the_maximum_keeps_the_content(void **state UNUSED)
{
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct err err = ERR_INIT;
    char text[SECRET_MAX];

    memset(text, 'a', sizeof(text));
    assert_ok(secret_set(&secret, text, sizeof(text), &err), &err);
    assert_fails(secret_append(&secret, "b", 1, &err), &err, E_USAGE, "longer than");
    assert_int_equal(secret.len, SECRET_MAX);
}

static void test_append_of_an_absurd_length_is_refused(void **state UNUSED)
{
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct err err = ERR_INIT;

    set(&secret, "abc");
    assert_fails(secret_append(&secret, "b", SIZE_MAX, &err), &err, E_USAGE, "longer than");
    assert_string_equal(secret_expose(&secret), "abc");
}

static void test_truncate_wipes_the_tail(void **state UNUSED)
{
    AUTO(secret) struct secret secret = SECRET_INIT;

    set(&secret, "12345678");
    secret_truncate(&secret, 3);
    assert_int_equal(secret.len, 3);
    assert_memory_equal(secret.data, "123\0\0\0\0\0\0", 9);
}

static void test_truncate_never_grows(void **state UNUSED)
{
    AUTO(secret) struct secret secret = SECRET_INIT;

    secret_truncate(&secret, 3);
    assert_false(secret_is_set(&secret));
    set(&secret, "ab");
    secret_truncate(&secret, 9);
    assert_string_equal(secret_expose(&secret), "ab");
}

static void test_done_unsets(void **state UNUSED)
{
    struct secret secret = SECRET_INIT;

    set(&secret, "ab");
    secret_done(&secret);
    assert_false(secret_is_set(&secret));
    assert_int_equal(secret.len, 0);
    secret_done(&secret);
}

static void strip(const char *before, const char *after)
{
    AUTO(secret) struct secret secret = SECRET_INIT;

    set(&secret, before);
    secret_strip_newline(&secret);
    assert_string_equal(secret_expose(&secret), after);
    assert_int_equal(secret.len, strlen(after));
}

static void test_strip_drops_lf(void **state UNUSED)
{
    strip("1234\n", "1234");
}

static void test_strip_drops_crlf(void **state UNUSED)
{
    strip("1234\r\n", "1234");
}

static void test_strip_drops_only_one_line_end(void **state UNUSED)
{
    strip("1234\n\n", "1234\n");
    strip("1234\r\n\r\n", "1234\r\n");
    strip("1234\n\r\n", "1234\n");
}

static void test_strip_leaves_everything_else(void **state UNUSED)
{
    strip("", "");
    strip("1234", "1234");
    strip("1234\r", "1234\r");
    strip("1234 ", "1234 ");
    strip("\n1234", "\n1234");
}

static void test_strip_of_a_lone_line_end_leaves_nothing(void **state UNUSED)
{
    strip("\n", "");
    strip("\r\n", "");
}

static void test_copy_of_an_unset_secret_is_unset(void **state UNUSED)
{
    AUTO(secret) struct secret from = SECRET_INIT;
    AUTO(secret) struct secret to = SECRET_INIT;
    struct err err = ERR_INIT;

    set(&to, "old");
    assert_ok(secret_copy(&to, &from, &err), &err);
    assert_false(secret_is_set(&to));
}

static void test_copy_owns_its_bytes(void **state UNUSED)
{
    AUTO(secret) struct secret from = SECRET_INIT;
    AUTO(secret) struct secret to = SECRET_INIT;
    struct err err = ERR_INIT;

    set(&from, "1234");
    assert_ok(secret_copy(&to, &from, &err), &err);
    secret_done(&from);
    assert_string_equal(secret_expose(&to), "1234");
}

static void test_equal_compares_bytes_and_length(void **state UNUSED)
{
    AUTO(secret) struct secret a = SECRET_INIT;
    AUTO(secret) struct secret b = SECRET_INIT;

    assert_true(secret_equal(&a, &b));
    set(&a, "1234");
    assert_false(secret_equal(&a, &b));
    set(&b, "1235");
    assert_false(secret_equal(&a, &b));
    set(&b, "12345");
    assert_false(secret_equal(&a, &b));
    set(&b, "1234");
    assert_true(secret_equal(&a, &b));
}

static void test_secret_may_hold_nul_bytes(void **state UNUSED)
{
    AUTO(secret) struct secret a = SECRET_INIT;
    AUTO(secret) struct secret b = SECRET_INIT;
    struct err err = ERR_INIT;

    assert_ok(secret_set(&a, "a\0b", 3, &err), &err);
    assert_ok(secret_set(&b, "a\0c", 3, &err), &err);
    assert_int_equal(a.len, 3);
    assert_false(secret_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unset_secret_is_exposed_as_empty),
        cmocka_unit_test(test_empty_secret_is_set),
        cmocka_unit_test(test_set_replaces),
        cmocka_unit_test(test_append_grows_and_keeps_what_was_there),
        cmocka_unit_test(test_maximum_fits),
        cmocka_unit_test(test_more_than_the_maximum_is_refused),
        cmocka_unit_test(test_append_beyond_the_maximum_keeps_the_content),
        cmocka_unit_test(test_append_of_an_absurd_length_is_refused),
        cmocka_unit_test(test_truncate_wipes_the_tail),
        cmocka_unit_test(test_truncate_never_grows),
        cmocka_unit_test(test_done_unsets),
        cmocka_unit_test(test_strip_drops_lf),
        cmocka_unit_test(test_strip_drops_crlf),
        cmocka_unit_test(test_strip_drops_only_one_line_end),
        cmocka_unit_test(test_strip_leaves_everything_else),
        cmocka_unit_test(test_strip_of_a_lone_line_end_leaves_nothing),
        cmocka_unit_test(test_copy_of_an_unset_secret_is_unset),
        cmocka_unit_test(test_copy_owns_its_bytes),
        cmocka_unit_test(test_equal_compares_bytes_and_length),
        cmocka_unit_test(test_secret_may_hold_nul_bytes),
    };

    return UNIT_RUN(tests);
}
