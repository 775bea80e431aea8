/* Finding items by a hash; pure. */
#include "hsm/index.h"

#include "unit/unit.h"

static struct hsm_index made(size_t items)
{
    struct hsm_index index;
    struct err err = ERR_INIT;

    assert_ok(hsm_index_init(&index, items, &err), &err);
    return index;
}

static size_t count_of(const struct hsm_index *index, uint64_t hash)
{
    size_t at = 0;
    size_t item = 0;
    size_t count = 0;

    while (hsm_index_next(index, hash, &at, &item)) {
        count++;
    }
    return count;
}

static void test_items_come_in_the_order_they_were_added(void **state UNUSED)
{
    AUTO(hsm_index) struct hsm_index index = made(4);
    size_t at = 0;
    size_t item = 0;

    for (size_t i = 0; i < 3; i++) {
        assert_true(hsm_index_add(&index, 7, 30 - i));
    }
    for (size_t i = 0; i < 3; i++) {
        assert_true(hsm_index_next(&index, 7, &at, &item));
        assert_int_equal(item, 30 - i);
    }
    assert_false(hsm_index_next(&index, 7, &at, &item));
}

/* They meet in one chain, because there are few of those. */
static void test_other_hashes_are_passed_over(void **state UNUSED)
{
    AUTO(hsm_index) struct hsm_index index = made(0);

    for (uint64_t hash = 0; hash < 64; hash++) {
        assert_true(hsm_index_add(&index, hash % 40, (size_t)hash));
    }
    assert_int_equal(count_of(&index, 3), 2);
    assert_int_equal(count_of(&index, 30), 1);
    assert_int_equal(count_of(&index, 40), 0);
}

static void test_it_grows(void **state UNUSED)
{
    AUTO(hsm_index) struct hsm_index index = made(1);

    for (size_t i = 0; i < 1000; i++) {
        assert_true(hsm_index_add(&index, i % 10, i));
    }
    assert_int_equal(count_of(&index, 9), 100);
}

/* Published values of FNV-1a. */
static void test_hash(void **state UNUSED)
{
    assert_true(hsm_index_hash("", 0) == 0xcbf29ce484222325ULL);
    assert_true(hsm_index_hash("a", 1) == 0xaf63dc4c8601ec8cULL);
    assert_true(hsm_index_hash("foobar", 6) == 0x85944171f73967e8ULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_come_in_the_order_they_were_added),
        cmocka_unit_test(test_other_hashes_are_passed_over),
        cmocka_unit_test(test_it_grows),
        cmocka_unit_test(test_hash),
    };

    return UNIT_RUN(tests);
}
