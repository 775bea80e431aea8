#include "base/buf.h"

#include "unit/unit.h"

#include <malloc.h>
#include <stdlib.h>

/* What is given back (see --wrap in CMakeLists.txt) is looked through for this first. */
static const char marker[] = "Zq7-secret";
static size_t left_behind;

void __real_free(void *p);
void __wrap_free(void *p);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

static void look(const void *p)
{
    if (p != NULL && memmem(p, malloc_usable_size((void *)(uintptr_t)p), marker, strlen(marker))) {
        left_behind++;
    }
}

void __wrap_free(void *p)
{
    look(p);
    __real_free(p);
}

void *__wrap_realloc(void *old, size_t size)
{
    look(old); /* it may move */
    return __real_realloc(old, size);
}

static void test_empty_buffer_is_an_empty_string(void **state UNUSED)
{
    AUTO(buf) struct buf buf = BUF_INIT(10);

    assert_string_equal(buf_str(&buf), "");
    assert_true(buf_ok(&buf));
    assert_null(buf.data);
}

static void test_appends_follow_each_other(void **state UNUSED)
{
    AUTO(buf) struct buf buf = BUF_INIT(100);

    buf_add(&buf, "ab", 2);
    buf_add_str(&buf, "cd");
    buf_add_byte(&buf, 'e');
    buf_addf(&buf, "%d%s", 12, "f");
    assert_string_equal(buf_str(&buf), "abcde12f");
    assert_int_equal(buf.len, 8);
}

static void test_content_may_hold_nul_bytes(void **state UNUSED)
{
    AUTO(buf) struct buf buf = BUF_INIT(10);

    buf_add(&buf, "a\0b", 3);
    assert_int_equal(buf.len, 3);
    assert_memory_equal(buf.data, "a\0b", 4);
}

static void test_exactly_the_maximum_fits(void **state UNUSED)
{
    AUTO(buf) struct buf buf = BUF_INIT(4);

    buf_add_str(&buf, "abcd");
    assert_true(buf_ok(&buf));
    assert_string_equal(buf_str(&buf), "abcd");
}

static void test_one_more_than_the_maximum_fails(void **state UNUSED)
{
    AUTO(buf) struct buf buf = BUF_INIT(4);

    buf_add_str(&buf, "abcde");
    assert_false(buf_ok(&buf));
    assert_string_equal(buf_str(&buf), "");
}

static void test_failure_is_sticky(void **state UNUSED)
{
    AUTO(buf) struct buf buf = BUF_INIT(4);

    buf_add_str(&buf, "abc");
    buf_add_str(&buf, "de");
    buf_add_str(&buf, "d");
    assert_false(buf_ok(&buf));
    assert_string_equal(buf_str(&buf), "abc");
}

static void test_formatting_obeys_the_maximum(void **state UNUSED)
{
    AUTO(buf) struct buf buf = BUF_INIT(4);

    buf_addf(&buf, "%s", "abcd");
    assert_true(buf_ok(&buf));
    buf_addf(&buf, "%c", 'e');
    assert_false(buf_ok(&buf));
    assert_string_equal(buf_str(&buf), "abcd");
}

static void test_formatting_after_a_failure_stays_failed(void **state UNUSED)
{
    AUTO(buf) struct buf buf = BUF_INIT(2);

    buf_add_str(&buf, "abc");
    buf_addf(&buf, "%s", "a");
    assert_false(buf_ok(&buf));
    assert_int_equal(buf.len, 0);
}

static void test_reset_empties_and_forgets_the_failure(void **state UNUSED)
{
    AUTO(buf) struct buf buf = BUF_INIT(3);

    buf_add_str(&buf, "ab");
    buf_add_str(&buf, "cd");
    buf_reset(&buf);
    assert_true(buf_ok(&buf));
    assert_string_equal(buf_str(&buf), "");
    buf_add_str(&buf, "xyz");
    assert_string_equal(buf_str(&buf), "xyz");
}

static void test_reset_of_a_buffer_never_used(void **state UNUSED)
{
    AUTO(buf) struct buf buf = BUF_INIT(3);

    buf_reset(&buf);
    assert_string_equal(buf_str(&buf), "");
}

static void test_done_keeps_the_maximum(void **state UNUSED)
{
    struct buf buf = BUF_INIT(3);

    buf_add_str(&buf, "ab");
    buf_done(&buf);
    assert_int_equal(buf.max, 3);
    assert_int_equal(buf.len, 0);
    buf_done(&buf);
}

static void test_take_hands_the_text_over(void **state UNUSED)
{
    struct buf buf = BUF_INIT(10);

    buf_add_str(&buf, "abc");
    AUTO(str) char *text = buf_take_str(&buf);
    assert_string_equal(text, "abc");
    assert_null(buf.data);
    assert_int_equal(buf.len, 0);
    assert_int_equal(buf.max, 10);
}

static void test_take_of_an_empty_buffer_is_an_empty_string(void **state UNUSED)
{
    struct buf buf = BUF_INIT(0);
    AUTO(str) char *text = buf_take_str(&buf);

    assert_non_null(text);
    assert_string_equal(text, "");
}

static void test_take_of_a_failed_buffer_is_null(void **state UNUSED)
{
    AUTO(buf) struct buf buf = BUF_INIT(1);

    buf_add_str(&buf, "ab");
    AUTO(str) char *text = buf_take_str(&buf);
    assert_null(text);
}

static void test_buffer_is_usable_after_take(void **state UNUSED)
{
    AUTO(buf) struct buf buf = BUF_INIT(10);

    buf_add_str(&buf, "abc");
    AUTO(str) char *text = buf_take_str(&buf);
    buf_add_str(&buf, "de");
    assert_string_equal(text, "abc");
    assert_string_equal(buf_str(&buf), "de");
}

static void test_maximum_of_zero_takes_nothing(void **state UNUSED)
{
    AUTO(buf) struct buf buf = BUF_INIT(0);

    buf_add(&buf, "", 0);
    assert_true(buf_ok(&buf));
    buf_add_byte(&buf, 'x');
    assert_false(buf_ok(&buf));
}

static void test_many_small_appends_grow(void **state UNUSED)
{
    AUTO(buf) struct buf buf = BUF_INIT(100000);

    for (int i = 0; i < 100000; i++) {
        buf_add_byte(&buf, (uint8_t)('a' + i % 26));
    }
    assert_true(buf_ok(&buf));
    assert_int_equal(buf.len, 100000);
    assert_int_equal(buf.data[25], 'z');
    assert_int_equal(buf.data[99999], 'a' + 99999 % 26);
    assert_int_equal(buf.data[100000], 0);
}

static void test_length_that_would_overflow_fails(void **state UNUSED)
{
    AUTO(buf) struct buf buf = BUF_INIT(1000);

    buf_add_str(&buf, "a");
    buf_add(&buf, "b", SIZE_MAX);
    assert_false(buf_ok(&buf));
    assert_string_equal(buf_str(&buf), "a");
}

static void fill(struct buf *buf)
{
    left_behind = 0;
    for (int i = 0; i < 100; i++) {
        buf_add_str(buf, marker);
    }
    buf_addf(buf, "%s", marker);
}

static void test_buffer_leaves_its_content_behind(void **state UNUSED)
{
    struct buf buf = BUF_INIT(10000);

    fill(&buf);
    buf_done(&buf);
    assert_true(left_behind > 1);
}

static void test_wiped_buffer_grows_and_ends_without_a_trace(void **state UNUSED)
{
    struct buf buf;

    buf_init_wiped(&buf, 10000);
    fill(&buf);
    assert_int_equal(buf.len, 101 * strlen(marker));
    assert_memory_equal(buf.data + buf.len - strlen(marker), marker, sizeof(marker));
    buf_done(&buf);
    assert_int_equal(left_behind, 0);
    fill(&buf); /* it stays one that wipes */
    buf_done(&buf);
    assert_int_equal(left_behind, 0);
}

static void test_wiped_buffer_is_wiped_when_it_is_emptied(void **state UNUSED)
{
    struct buf buf;

    buf_init_wiped(&buf, 10000);
    fill(&buf);
    buf_reset(&buf);
    assert_null(memmem(buf.data, buf.cap, marker, strlen(marker)));
    buf_done(&buf);
}

static void test_text_taken_from_a_wiped_buffer_is_whole(void **state UNUSED)
{
    struct buf buf;

    buf_init_wiped(&buf, 100);
    buf_add_str(&buf, "abc");
    AUTO(str) char *text = buf_take_str(&buf);
    assert_string_equal(text, "abc");
    assert_true(buf.wiped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_buffer_is_an_empty_string),
        cmocka_unit_test(test_appends_follow_each_other),
        cmocka_unit_test(test_content_may_hold_nul_bytes),
        cmocka_unit_test(test_exactly_the_maximum_fits),
        cmocka_unit_test(test_one_more_than_the_maximum_fails),
        cmocka_unit_test(test_failure_is_sticky),
        cmocka_unit_test(test_formatting_obeys_the_maximum),
        cmocka_unit_test(test_formatting_after_a_failure_stays_failed),
        cmocka_unit_test(test_reset_empties_and_forgets_the_failure),
        cmocka_unit_test(test_reset_of_a_buffer_never_used),
        cmocka_unit_test(test_done_keeps_the_maximum),
        cmocka_unit_test(test_take_hands_the_text_over),
        cmocka_unit_test(test_take_of_an_empty_buffer_is_an_empty_string),
        cmocka_unit_test(test_take_of_a_failed_buffer_is_null),
        cmocka_unit_test(test_buffer_is_usable_after_take),
        cmocka_unit_test(test_maximum_of_zero_takes_nothing),
        cmocka_unit_test(test_many_small_appends_grow),
        cmocka_unit_test(test_length_that_would_overflow_fails),
        cmocka_unit_test(test_buffer_leaves_its_content_behind),
        cmocka_unit_test(test_wiped_buffer_grows_and_ends_without_a_trace),
        cmocka_unit_test(test_wiped_buffer_is_wiped_when_it_is_emptied),
        cmocka_unit_test(test_text_taken_from_a_wiped_buffer_is_whole),
    };

    return UNIT_RUN(tests);
}
