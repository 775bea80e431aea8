#include "hsm/deadline.h"

#include "unit/unit.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* The watchdog ends the process it watches, so each case has one of its own. */
enum { STATUS_FIRED = 42, STATUS_OTHER = 43, STATUS_CAME_BACK = 44 };

static void leave(void *ctx, const char *call, const char *module, int64_t allowed_ms)
{
    bool as_expected = strcmp(call, ctx) == 0 && strcmp(module, "/m.so") == 0 && allowed_ms > 0;

    _exit(as_expected ? STATUS_FIRED : STATUS_OTHER);
}

static void pause_ms(int64_t ms)
{
    struct clock clock = clock_system(NULL);

    (void)clock_sleep_ms(&clock, ms);
}

static struct deadline *start(const char *expected)
{
    struct deadline *deadline = NULL;
    struct err err = ERR_INIT;

    if (!deadline_new(leave, (void *)(uintptr_t)expected, &deadline, &err)) {
        _exit(STATUS_OTHER);
    }
    return deadline;
}

/* Runs work in a child; its exit status. */
static int status_of(void (*work)(void))
{
    int status = 0;

    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)alarm(60);
        work();
        _exit(STATUS_CAME_BACK);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void one_slow_call(void)
{
    struct deadline *deadline = start("C_Sign");
    struct deadline_call call = {.call = "C_Sign", .module = "/m.so", .allowed_ms = 20};

    deadline_begin(deadline, &call);
    pause_ms(30000);
}

static void test_call_that_hangs_fires(void **state UNUSED)
{
    assert_int_equal(status_of(one_slow_call), STATUS_FIRED);
}

static void one_quick_call(void)
{
    struct deadline *deadline = start("none");
    struct deadline_call call = {.call = "C_Sign", .module = "/m.so", .allowed_ms = 50};

    deadline_begin(deadline, &call);
    deadline_end(deadline, &call);
    pause_ms(120);
}

static void test_call_that_returns_does_not_fire(void **state UNUSED)
{
    assert_int_equal(status_of(one_quick_call), STATUS_CAME_BACK);
}

static void call_without_limit(void)
{
    struct deadline *deadline = start("none");
    struct deadline_call call = {.call = "C_Login", .module = "/m.so", .allowed_ms = 0};

    deadline_begin(deadline, &call);
    pause_ms(60);
    deadline_end(deadline, &call);
}

static void test_call_without_a_limit_may_take_any_time(void **state UNUSED)
{
    assert_int_equal(status_of(call_without_limit), STATUS_CAME_BACK);
}

static void earliest_of_three(void)
{
    struct deadline *deadline = start("second");
    struct deadline_call calls[] = {
        {.call = "first", .module = "/m.so", .allowed_ms = 20000},
        {.call = "second", .module = "/m.so", .allowed_ms = 30},
        {.call = "third", .module = "/m.so", .allowed_ms = 20000},
    };

    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        deadline_begin(deadline, &calls[i]);
    }
    pause_ms(30000);
}

static void test_earliest_of_several_calls_fires(void **state UNUSED)
{
    assert_int_equal(status_of(earliest_of_three), STATUS_FIRED);
}

static void others_end_first(void)
{
    struct deadline *deadline = start("slow");
    struct deadline_call slow = {.call = "slow", .module = "/m.so", .allowed_ms = 100};

    deadline_begin(deadline, &slow);
    for (int i = 0; i < 50; i++) {
        struct deadline_call quick = {.call = "quick", .module = "/m.so", .allowed_ms = 5000};
        deadline_begin(deadline, &quick);
        deadline_end(deadline, &quick);
    }
    pause_ms(30000);
}

static void test_calls_that_end_leave_the_others_watched(void **state UNUSED)
{
    assert_int_equal(status_of(others_end_first), STATUS_FIRED);
}

static void *quick_calls(void *ctx)
{
    for (int i = 0; i < 500; i++) {
        struct deadline_call call = {.call = "quick", .module = "/m.so", .allowed_ms = 20000};
        deadline_begin(ctx, &call);
        deadline_end(ctx, &call);
    }
    return NULL;
}

static void several_threads(void)
{
    struct deadline *deadline = start("none");
    pthread_t threads[4];

    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        if (pthread_create(&threads[i], NULL, quick_calls, deadline) != 0) {
            _exit(STATUS_OTHER);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        (void)pthread_join(threads[i], NULL);
    }
}

static void test_calls_of_several_threads(void **state UNUSED)
{
    assert_int_equal(status_of(several_threads), STATUS_CAME_BACK);
}

static void start_and_end(void)
{
    for (int i = 0; i < 20; i++) {
        struct deadline_call call = {.call = "quick", .module = "/m.so", .allowed_ms = 20000};
        struct deadline *deadline = start("none");
        deadline_begin(deadline, &call);
        deadline_end(deadline, &call);
        deadline_free(deadline);
    }
}

static void test_watchdog_can_be_ended(void **state UNUSED)
{
    assert_int_equal(status_of(start_and_end), STATUS_CAME_BACK);
    deadline_free(NULL);
}

static void test_no_watchdog_is_no_problem(void **state UNUSED)
{
    struct deadline_call call = {.call = "C_Sign", .module = "/m.so", .allowed_ms = 1};

    deadline_begin(NULL, &call);
    deadline_end(NULL, &call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_call_that_hangs_fires),
        cmocka_unit_test(test_call_that_returns_does_not_fire),
        cmocka_unit_test(test_call_without_a_limit_may_take_any_time),
        cmocka_unit_test(test_earliest_of_several_calls_fires),
        cmocka_unit_test(test_calls_that_end_leave_the_others_watched),
        cmocka_unit_test(test_calls_of_several_threads),
        cmocka_unit_test(test_watchdog_can_be_ended),
        cmocka_unit_test(test_no_watchdog_is_no_problem),
    };

    return UNIT_RUN(tests);
}
