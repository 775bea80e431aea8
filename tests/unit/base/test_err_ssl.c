#include "base/err.h"

#include "unit/unit.h"

#include <openssl/err.h>

static void raise_with(int reason, const char *data)
{
    ERR_raise_data(ERR_LIB_USER, reason, "%s", data);
}

static void test_empty_queue_leaves_the_clause_alone(void **state UNUSED)
{
    struct err err = ERR_INIT;

    ERR_clear_error();
    assert_false(err_set_ssl(&err, E_TOKEN, "signing %d", 1));
    assert_int_equal(err.code, E_TOKEN);
    assert_string_equal(err.msg, "signing 1");
    assert_int_equal(err.native, 0);
}

static void test_reason_is_appended(void **state UNUSED)
{
    struct err err = ERR_INIT;

    ERR_raise(ERR_LIB_PEM, ERR_R_MALLOC_FAILURE);
    (void)err_set_ssl(&err, E_KEYSTORE, "reading");
    assert_string_equal(err.msg, "reading: malloc failure");
}

static void test_data_of_an_entry_goes_before_its_reason(void **state UNUSED)
{
    struct err err = ERR_INIT;

    ERR_raise_data(ERR_LIB_PEM, ERR_R_INTERNAL_ERROR, "the token said no");
    (void)err_set_ssl(&err, E_KEYSTORE, "reading");
    assert_string_equal(err.msg, "reading: the token said no (internal error)");
}

static void test_oldest_three_reasons_are_kept(void **state UNUSED)
{
    struct err err = ERR_INIT;

    raise_with(1, "one");
    raise_with(2, "two");
    raise_with(3, "three");
    raise_with(4, "four");
    (void)err_set_ssl(&err, E_TOKEN, "x");
    assert_contains(err.msg, "x: one (");
    assert_contains(err.msg, "); two (");
    assert_contains(err.msg, "; three (");
    assert_lacks(err.msg, "four");
}

static void test_native_is_the_first_entry(void **state UNUSED)
{
    struct err err = ERR_INIT;

    raise_with(7, "one");
    raise_with(8, "two");
    (void)err_set_ssl(&err, E_TOKEN, "x");
    assert_int_equal(ERR_GET_REASON(err.native), 7);
}

static void test_queue_is_empty_afterwards(void **state UNUSED)
{
    struct err err = ERR_INIT;

    for (int i = 1; i < 10; i++) {
        raise_with(i, "x");
    }
    (void)err_set_ssl(&err, E_TOKEN, "x");
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_long_reasons_stay_in_bounds(void **state UNUSED)
{
    struct err err = ERR_INIT;
    char text[900];

    memset(text, 'y', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    raise_with(1, text);
    raise_with(2, text);
    (void)err_set_ssl(&err, E_TOKEN, "x");
    assert_true(strlen(err.msg) < sizeof(err.msg));
    assert_memory_equal(err.msg, "x: yyy", 6);
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_reason_of_an_unknown_library_is_a_number(void **state UNUSED)
{
    struct err err = ERR_INIT;

    ERR_raise(200, 123);
    (void)err_set_ssl(&err, E_TOKEN, "x");
    assert_contains(err.msg, "reason(123)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_queue_leaves_the_clause_alone),
        cmocka_unit_test(test_reason_is_appended),
        cmocka_unit_test(test_data_of_an_entry_goes_before_its_reason),
        cmocka_unit_test(test_oldest_three_reasons_are_kept),
        cmocka_unit_test(test_native_is_the_first_entry),
        cmocka_unit_test(test_queue_is_empty_afterwards),
        cmocka_unit_test(test_long_reasons_stay_in_bounds),
        cmocka_unit_test(test_reason_of_an_unknown_library_is_a_number),
    };

    return UNIT_RUN(tests);
}
