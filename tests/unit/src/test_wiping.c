/* What this program frees is wiped, whoever frees it. The test looks at memory that it gave back,
 * which nobody has taken again by then. */
#include "unit/unit.h"

#include <openssl/crypto.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HEAP_IS_FOREIGN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define HEAP_IS_FOREIGN 1
#endif
#endif

#ifdef HEAP_IS_FOREIGN

int main(void)
{
    (void)puts(
        "the sanitizer has a heap of its own, and looking at freed memory is an error there");
    return 77;
}

#else

enum { SIZE = 200, LINKS = 2 * sizeof(void *) }; /* libc links free blocks where they begin */

/* An address that the compiler knows nothing of. */
static const volatile uint8_t *hide(const void *p)
{
    uintptr_t at = (uintptr_t)p;

    __asm__ volatile("" : "+r"(at));
    return (const volatile uint8_t *)at;
}

static bool is_clean(const volatile uint8_t *p)
{
    for (size_t i = LINKS; i < SIZE; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

static void *filled(void)
{
    void *p = malloc(SIZE);

    assert_non_null(p);
    memset(p, 0xa5, SIZE);
    return p;
}

static void test_freed_memory_is_wiped(void **state UNUSED)
{
    void *p = filled();
    const volatile uint8_t *at = hide(p);

    assert_false(is_clean(at));
    free(p);
    assert_true(is_clean(at));
}

static void test_nothing_may_be_freed(void **state UNUSED)
{
    free(NULL);
}

static void test_what_grows_is_kept_and_leaves_nothing_behind(void **state UNUSED)
{
    uint8_t *p = filled();
    const volatile uint8_t *at = hide(p);

    uint8_t *grown = realloc(p, (size_t)100 * SIZE);
    assert_non_null(grown);
    assert_true(is_clean(at));
    for (size_t i = 0; i < SIZE; i++) {
        assert_int_equal(grown[i], 0xa5);
    }
    free(grown);
}

static void test_what_shrinks_is_kept_and_leaves_nothing_behind(void **state UNUSED)
{
    uint8_t *p = filled();
    const volatile uint8_t *at = hide(p);

    uint8_t *less = realloc(p, SIZE / 10);
    assert_non_null(less);
    assert_true(is_clean(at));
    for (size_t i = 0; i < SIZE / 10; i++) {
        assert_int_equal(less[i], 0xa5);
    }
    free(less);
}

static void test_realloc_of_nothing_and_to_nothing(void **state UNUSED)
{
    volatile size_t none = 0;
    void *p = realloc(NULL, SIZE);

    assert_non_null(p);
    assert_null(realloc(p, none));
}

static void test_libraries_wipe_as_well(void **state UNUSED)
{
    void *p = OPENSSL_malloc(SIZE);

    assert_non_null(p);
    memset(p, 0xa5, SIZE);
    const volatile uint8_t *at = hide(p);
    OPENSSL_free(p);
    assert_true(is_clean(at));
}

/* libc's own check of that works as without us. */
static void test_what_is_freed_twice_ends_the_process(void **state UNUSED)
{
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit none = {0, 0};
        void *p = filled();
        void *again = (void *)(uintptr_t)hide(p);
        if (setrlimit(RLIMIT_CORE, &none) == 0 && close(STDERR_FILENO) == 0) {
            free(p);
            free(again);
        }
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_freed_memory_is_wiped),
        cmocka_unit_test(test_nothing_may_be_freed),
        cmocka_unit_test(test_what_grows_is_kept_and_leaves_nothing_behind),
        cmocka_unit_test(test_what_shrinks_is_kept_and_leaves_nothing_behind),
        cmocka_unit_test(test_realloc_of_nothing_and_to_nothing),
        cmocka_unit_test(test_libraries_wipe_as_well),
        cmocka_unit_test(test_what_is_freed_twice_ends_the_process),
    };

    return UNIT_RUN(tests);
}

#endif
