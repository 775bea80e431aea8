#include "base/err.h"

#include "unit/unit.h"

#include <errno.h>

static void fill(char *text, size_t len)
{
    memset(text, 'x', len);
    text[len] = '\0';
}

static void test_set_fills_and_returns_false(void **state UNUSED)
{
    struct err err = ERR_INIT;

    assert_false(err_set(&err, E_USAGE, "%s %d", "number", 7));
    assert_int_equal(err.code, E_USAGE);
    assert_int_equal(err.native, 0);
    assert_string_equal(err.msg, "number 7");
}

static void test_set_native_keeps_the_number(void **state UNUSED)
{
    struct err err = ERR_INIT;

    assert_false(err_set_native(&err, E_TOKEN, 0xa0, "C_Login"));
    assert_int_equal(err.native, 0xa0);
}

static void test_set_replaces_native_of_before(void **state UNUSED)
{
    struct err err = ERR_INIT;

    (void)err_set_native(&err, E_TOKEN, 5, "a");
    (void)err_set(&err, E_IO, "b");
    assert_int_equal(err.native, 0);
    assert_string_equal(err.msg, "b");
}

static void test_set_errno_adds_its_text(void **state UNUSED)
{
    struct err err = ERR_INIT;

    assert_false(err_set_errno(&err, E_IO, ENOENT, "opening %s", "/x"));
    assert_string_equal(err.msg, "opening /x: No such file or directory");
    assert_int_equal(err.native, ENOENT);
}

static void test_wrap_prepends_a_clause(void **state UNUSED)
{
    struct err err = ERR_INIT;

    (void)err_set_native(&err, E_TOKEN, 7, "cause");
    assert_false(err_wrap(&err, "order %d", 3));
    assert_false(err_wrap(&err, "enroll"));
    assert_string_equal(err.msg, "enroll: order 3: cause");
    assert_int_equal(err.code, E_TOKEN);
    assert_int_equal(err.native, 7);
}

static void test_long_cause_is_marked_as_cut(void **state UNUSED)
{
    struct err err = ERR_INIT;
    char text[2000];

    fill(text, sizeof(text) - 1);
    (void)err_set(&err, E_IO, "%s", text);
    assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
    assert_string_equal(err.msg + strlen(err.msg) - 4, "x...");
}

static void test_cause_that_just_fits_is_not_cut(void **state UNUSED)
{
    struct err err = ERR_INIT;
    char text[sizeof(err.msg)];

    fill(text, sizeof(text) - 1);
    (void)err_set(&err, E_IO, "%s", text);
    assert_string_equal(err.msg, text);
}

static void test_wrap_cuts_the_end_of_a_long_cause(void **state UNUSED)
{
    struct err err = ERR_INIT;
    char text[1020];

    fill(text, sizeof(text) - 1);
    (void)err_set(&err, E_IO, "%s", text);
    (void)err_wrap(&err, "clause");
    assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
    assert_memory_equal(err.msg, "clause: xxx", 11);
    assert_string_equal(err.msg + sizeof(err.msg) - 5, "x...");
}

static void test_wrap_drops_a_clause_that_leaves_no_room(void **state UNUSED)
{
    struct err err = ERR_INIT;
    char clause[1023];

    fill(clause, sizeof(clause) - 1);
    (void)err_set(&err, E_IO, "cause");
    (void)err_wrap(&err, "%s", clause);
    assert_string_equal(err.msg, "cause");
}

static void test_wrap_with_the_longest_clause_stays_in_bounds(void **state UNUSED)
{
    struct err err = ERR_INIT;
    char clause[1022];

    fill(clause, sizeof(clause) - 1);
    (void)err_set(&err, E_IO, "cause");
    (void)err_wrap(&err, "%s", clause);
    assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
    assert_string_equal(err.msg + sizeof(err.msg) - 4, "...");
}

static void test_errno_text_behind_a_full_message_is_marked_as_cut(void **state UNUSED)
{
    struct err err = ERR_INIT;
    char text[2000];

    fill(text, sizeof(text) - 1);
    (void)err_set_errno(&err, E_IO, ENOENT, "%s", text);
    assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
    assert_string_equal(err.msg + sizeof(err.msg) - 4, "...");
}

static void test_clear_forgets_everything(void **state UNUSED)
{
    struct err err = ERR_INIT;

    (void)err_set_native(&err, E_TOKEN, 7, "cause");
    err_clear(&err);
    assert_int_equal(err.code, E_NONE);
    assert_int_equal(err.native, 0);
    assert_string_equal(err.msg, "");
}

static void test_nomem_has_its_own_code(void **state UNUSED)
{
    struct err err = ERR_INIT;

    assert_false(err_nomem(&err));
    assert_int_equal(err.code, E_MEMORY);
    assert_string_equal(err.msg, "out of memory");
}

static unsigned code_count(void)
{
    unsigned count = 0;

    while (err_code_at(count) != E_NONE) {
        count++;
    }
    return count;
}

static void test_every_code_has_a_name_of_its_own(void **state UNUSED)
{
    for (unsigned i = 0; i < code_count(); i++) {
        assert_true(strlen(err_code_name(err_code_at(i))) > 1);
        assert_non_null(err_code_hint(err_code_at(i)));
        for (unsigned k = 0; k < i; k++) {
            assert_string_not_equal(err_code_name(err_code_at(i)), err_code_name(err_code_at(k)));
        }
    }
}

static void test_every_code_has_an_exit_status_of_its_own(void **state UNUSED)
{
    assert_true(code_count() > 30);
    for (unsigned i = 0; i < code_count(); i++) {
        int status = err_code_exit_status(err_code_at(i));
        assert_in_range(status, 1, 63);
        for (unsigned k = 0; k < i; k++) {
            assert_int_not_equal(status, err_code_exit_status(err_code_at(k)));
        }
    }
}

/* The statuses are part of the interface: rows may be added, never renumbered. */
static void test_exit_statuses_stay_as_they_were_published(void **state UNUSED)
{
    assert_int_equal(err_code_exit_status(E_USAGE), 2);
    assert_int_equal(err_code_exit_status(E_CONFIG), 3);
    assert_int_equal(err_code_exit_status(E_ORDER_PENDING), 10);
    assert_int_equal(err_code_exit_status(E_ORDER_AMBIGUOUS), 14);
    assert_int_equal(err_code_exit_status(E_PIN_WRONG), 22);
    assert_int_equal(err_code_exit_status(E_TOKEN_HUNG), 30);
    assert_int_equal(err_code_exit_status(E_NETWORK), 40);
    assert_int_equal(err_code_exit_status(E_CERT_REJECTED), 50);
    assert_int_equal(err_code_exit_status(E_JOURNAL), 60);
}

static void test_retryable_codes(void **state UNUSED)
{
    assert_true(err_code_retryable(E_NETWORK));
    assert_true(err_code_retryable(E_CA_UNAVAILABLE));
    assert_true(err_code_retryable(E_TOKEN_BUSY));
    assert_false(err_code_retryable(E_PIN_WRONG));
    assert_false(err_code_retryable(E_AUTH));
    assert_false(err_code_retryable(E_NONE));
}

static void test_no_code_is_no_failure(void **state UNUSED)
{
    assert_string_equal(err_code_name(E_NONE), "none");
    assert_string_equal(err_code_hint(E_NONE), "");
    assert_int_equal(err_code_exit_status(E_NONE), 0);
}

static void test_code_table_ends(void **state UNUSED)
{
    assert_int_equal(err_code_at(100000), E_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_fills_and_returns_false),
        cmocka_unit_test(test_set_native_keeps_the_number),
        cmocka_unit_test(test_set_replaces_native_of_before),
        cmocka_unit_test(test_set_errno_adds_its_text),
        cmocka_unit_test(test_wrap_prepends_a_clause),
        cmocka_unit_test(test_long_cause_is_marked_as_cut),
        cmocka_unit_test(test_cause_that_just_fits_is_not_cut),
        cmocka_unit_test(test_wrap_cuts_the_end_of_a_long_cause),
        cmocka_unit_test(test_wrap_drops_a_clause_that_leaves_no_room),
        cmocka_unit_test(test_wrap_with_the_longest_clause_stays_in_bounds),
        cmocka_unit_test(test_errno_text_behind_a_full_message_is_marked_as_cut),
        cmocka_unit_test(test_clear_forgets_everything),
        cmocka_unit_test(test_nomem_has_its_own_code),
        cmocka_unit_test(test_every_code_has_a_name_of_its_own),
        cmocka_unit_test(test_every_code_has_an_exit_status_of_its_own),
        cmocka_unit_test(test_exit_statuses_stay_as_they_were_published),
        cmocka_unit_test(test_retryable_codes),
        cmocka_unit_test(test_no_code_is_no_failure),
        cmocka_unit_test(test_code_table_ends),
    };

    return UNIT_RUN(tests);
}
