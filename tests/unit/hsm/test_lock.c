#include "hsm/lock.h"

#include "unit/unit.h"

#include "base/clock.h"
#include "base/file.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char module[] = "/usr/lib/softhsm/libsofthsm2.so";

static const char *lock_file(const char *dir)
{
    return tmp_join(dir, "%2Fusr%2Flib%2Fsofthsm%2Flibsofthsm2.so.lock");
}

static void test_lock_is_taken_and_released(void **state UNUSED)
{
    const char *dir = tmp_dir();
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    struct err err = ERR_INIT;

    assert_ok(hsm_lock_take(&lock, dir, module, 1000, &err), &err);
    assert_true(lock.fd >= 0);
    hsm_lock_release(&lock);
    assert_int_equal(lock.fd, -1);
    hsm_lock_release(&lock);
    assert_ok(hsm_lock_take(&lock, dir, module, 0, &err), &err);
}

static void test_lock_file_is_named_after_the_module_and_holds_the_pid(void **state UNUSED)
{
    const char *dir = tmp_dir();
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    struct err err = ERR_INIT;

    assert_ok(hsm_lock_take(&lock, dir, module, 1000, &err), &err);
    assert_string_equal(tmp_read(lock_file(dir)), tmp_printf("%-20ld\n", (long)getpid()));
}

static void test_modules_have_locks_of_their_own(void **state UNUSED)
{
    const char *dir = tmp_dir();
    AUTO(hsm_lock) struct hsm_lock a = HSM_LOCK_INIT;
    AUTO(hsm_lock) struct hsm_lock b = HSM_LOCK_INIT;
    struct err err = ERR_INIT;

    assert_ok(hsm_lock_take(&a, dir, "/a/b.so", 0, &err), &err);
    assert_ok(hsm_lock_take(&b, dir, "/a_b.so", 0, &err), &err);
}

static void test_directory_is_made_private(void **state UNUSED)
{
    const char *dir = tmp_join(tmp_dir(), "run/lock");
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    struct err err = ERR_INIT;
    struct stat st;

    assert_ok(hsm_lock_take(&lock, dir, module, 0, &err), &err);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
}

static void test_unusable_directory_is_named(void **state UNUSED)
{
    const char *dir = tmp_text(tmp_dir(), "file", "");
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    struct err err = ERR_INIT;

    assert_fails(hsm_lock_take(&lock, dir, module, 0, &err), &err, E_IO, "lock directory: ");
    assert_contains(err.msg, dir);
}

static void test_link_in_place_of_the_lock_file_is_refused(void **state UNUSED)
{
    const char *dir = tmp_dir();
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    struct err err = ERR_INIT;

    assert_int_equal(symlink("/tmp/elsewhere", lock_file(dir)), 0);
    assert_fails(hsm_lock_take(&lock, dir, module, 0, &err), &err, E_IO, "opening the token lock");
}

/* A child that has the lock until the pipe is closed. */
struct holder {
    pid_t pid;
    int go; /* close to let it end */
};

static struct holder hold(const char *dir, int64_t for_ms)
{
    int ready[2];
    int go[2];
    char byte = 0;
    struct holder holder;

    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(go), 0);
    (void)fflush(NULL);
    holder.pid = fork();
    assert_true(holder.pid >= 0);
    if (holder.pid == 0) {
        struct hsm_lock lock = HSM_LOCK_INIT;
        struct err err = ERR_INIT;
        struct clock clock = clock_system(NULL);
        (void)close(go[1]);
        bool ok = hsm_lock_take(&lock, dir, module, 0, &err) && write(ready[1], "x", 1) == 1;
        if (for_ms > 0) {
            (void)clock_sleep_ms(&clock, for_ms);
        } else {
            ok = ok && read(go[0], &byte, 1) == 0;
        }
        _exit(ok ? 0 : 1);
    }
    (void)close(ready[1]);
    (void)close(go[0]);
    holder.go = go[1];
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    return holder;
}

static void let_go(const struct holder *holder)
{
    int status = -1;

    (void)close(holder->go);
    assert_int_equal(waitpid(holder->pid, &status, 0), holder->pid);
    assert_int_equal(status, 0);
}

static void test_processes_exclude_each_other(void **state UNUSED)
{
    const char *dir = tmp_dir();
    struct holder holder = hold(dir, 0);
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    struct err err = ERR_INIT;

    assert_fails(hsm_lock_take(&lock, dir, module, 50, &err), &err, E_TOKEN_BUSY, "was not free");
    assert_int_equal(lock.fd, -1);
    let_go(&holder);
    assert_ok(hsm_lock_take(&lock, dir, module, 0, &err), &err);
}

static void test_waiting_ends_when_the_process_is_to_end(void **state UNUSED)
{
    static volatile bool stop = true;
    const char *dir = tmp_dir();
    struct holder holder = hold(dir, 0);
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    struct err err = ERR_INIT;

    lock.stop = &stop;
    assert_fails(hsm_lock_take(&lock, dir, module, 60000, &err), &err, E_INTERRUPTED,
                 "waiting for the lock");
    let_go(&holder);
}

static void test_timeout_names_the_holder(void **state UNUSED)
{
    const char *dir = tmp_dir();
    struct holder holder = hold(dir, 0);
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    struct err err = ERR_INIT;

    assert_fails(hsm_lock_take(&lock, dir, module, 0, &err), &err, E_TOKEN_BUSY, lock_file(dir));
    assert_contains(err.msg, tmp_printf("(process %ld has it)", (long)holder.pid));
    let_go(&holder);
}

static void test_waiting_ends_when_the_holder_does(void **state UNUSED)
{
    const char *dir = tmp_dir();
    struct holder holder = hold(dir, 100);
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    struct err err = ERR_INIT;

    assert_ok(hsm_lock_take(&lock, dir, module, 30000, &err), &err);
    assert_string_equal(tmp_read(lock_file(dir)), tmp_printf("%-20ld\n", (long)getpid()));
    let_go(&holder);
}

/* The kernel ends a lock with its process. */
static void test_lock_of_a_killed_process_is_free(void **state UNUSED)
{
    const char *dir = tmp_dir();
    struct holder holder = hold(dir, 0);
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    struct err err = ERR_INIT;

    assert_fails(hsm_lock_take(&lock, dir, module, 0, &err), &err, E_TOKEN_BUSY, "has it");
    assert_int_equal(kill(holder.pid, SIGKILL), 0);
    assert_int_equal(waitpid(holder.pid, NULL, 0), holder.pid);
    (void)close(holder.go);
    err_clear(&err);
    assert_ok(hsm_lock_take(&lock, dir, module, 0, &err), &err);
}

static bool take_as_somebody_else(void *dir)
{
    struct hsm_lock lock = HSM_LOCK_INIT;
    struct err err = ERR_INIT;

    return hsm_lock_take(&lock, dir, module, 0, &err);
}

static bool find_busy_as_somebody_else(void *dir)
{
    struct hsm_lock lock = HSM_LOCK_INIT;
    struct err err = ERR_INIT;

    return !hsm_lock_take(&lock, dir, module, 0, &err) && err.code == E_TOKEN_BUSY;
}

static void test_lock_file_of_another_user_can_be_locked(void **state UNUSED)
{
    const char *dir = tmp_dir();
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    struct err err = ERR_INIT;
    struct stat st;

    assert_int_equal(chmod(dir, 0755), 0);
    assert_ok(hsm_lock_take(&lock, dir, module, 0, &err), &err);
    assert_int_equal(stat(lock_file(dir), &st), 0);
    assert_int_equal(chmod(lock_file(dir), 0444), 0);
    assert_child_ok(unit_nobody(find_busy_as_somebody_else, (void *)(uintptr_t)dir));
    hsm_lock_release(&lock);
    assert_child_ok(unit_nobody(take_as_somebody_else, (void *)(uintptr_t)dir));
}

static void test_lock_file_is_open_to_others_whatever_the_umask(void **state UNUSED)
{
    const char *dir = tmp_dir();
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    struct err err = ERR_INIT;
    struct stat st;

    mode_t before = umask(077);
    bool ok = hsm_lock_take(&lock, dir, module, 0, &err);
    (void)umask(before);
    assert_ok(ok, &err);
    assert_int_equal(stat(lock_file(dir), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
}

/* Nix and deep build trees have such paths; the lock's name must stay within NAME_MAX. */
static void test_long_module_path_can_be_locked(void **state UNUSED)
{
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    struct err err = ERR_INIT;
    char path[400];

    (void)snprintf(path, sizeof(path), "/opt/%0200d/lib/pkcs11/libvendor-pkcs11-client.so", 7);
    assert_ok(hsm_lock_take(&lock, tmp_dir(), path, 0, &err), &err);
}

static bool default_place(void *runtime)
{
    struct hsm_lock lock = HSM_LOCK_INIT;
    struct err err = ERR_INIT;

    return setenv("XDG_RUNTIME_DIR", runtime, 1) == 0 &&
           hsm_lock_take(&lock, NULL, "/unit-test/module.so", 0, &err);
}

static void test_there_is_a_place_without_configuration(void **state UNUSED)
{
    const char *runtime = tmp_dir();

    assert_int_equal(chmod(runtime, 0777), 0);
    assert_child_ok(unit_nobody(default_place, (void *)(uintptr_t)runtime));
    (void)unlink("/run/lock/p11enroll/%2Funit-test%2Fmodule.so.lock");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lock_is_taken_and_released),
        cmocka_unit_test(test_lock_file_is_named_after_the_module_and_holds_the_pid),
        cmocka_unit_test(test_modules_have_locks_of_their_own),
        cmocka_unit_test(test_directory_is_made_private),
        cmocka_unit_test(test_unusable_directory_is_named),
        cmocka_unit_test(test_link_in_place_of_the_lock_file_is_refused),
        cmocka_unit_test(test_processes_exclude_each_other),
        cmocka_unit_test(test_waiting_ends_when_the_process_is_to_end),
        cmocka_unit_test(test_timeout_names_the_holder),
        cmocka_unit_test(test_waiting_ends_when_the_holder_does),
        cmocka_unit_test(test_lock_of_a_killed_process_is_free),
        cmocka_unit_test(test_lock_file_of_another_user_can_be_locked),
        cmocka_unit_test(test_lock_file_is_open_to_others_whatever_the_umask),
        cmocka_unit_test(test_long_module_path_can_be_locked),
        cmocka_unit_test(test_there_is_a_place_without_configuration),
    };

    return UNIT_RUN(tests);
}
