/* What is remembered of the last PIN, and whom it stops. */
#include "hsm/pin_memory.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "hsm/module.h"
#include "unit/unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

static const struct hsm_token_info token = {.initialized = true,
                                            .label = "prod",
                                            .serial = "12af",
                                            .manufacturer = "maker",
                                            .model = "model"};

static const struct hsm_pin configured = {.source = "file:/nowhere/pin"};

static const char *begin(void)
{
    struct hsm_process process = {.lock_dir = tmp_dir(), .state_dir = tmp_dir()};
    struct err err = ERR_INIT;

    assert_ok(hsm_process_configure(&process, &err), &err);
    return tmp_join(process.state_dir, "pins");
}

static void try_ends(const struct hsm_pin *pin, CK_RV rv, bool was_sent)
{
    struct hsm_pin_try attempt;
    struct err err = ERR_INIT;

    assert_ok(hsm_pin_try_begin(&token, CKU_USER, pin, &attempt, &err), &err);
    hsm_pin_try_end(&token, CKU_USER, pin, &attempt, rv, was_sent);
}

static bool allows(const struct hsm_pin *pin, struct err *err)
{
    return hsm_pin_memory_allows(&token, CKU_USER, pin, err);
}

static void test_wrong_pin_stops_the_next_one(void **state UNUSED)
{
    struct err err = ERR_INIT;

    (void)begin();
    assert_ok(allows(&configured, &err), &err);
    try_ends(&configured, CKR_PIN_INCORRECT, true);
    assert_fails(allows(&configured, &err), &err, E_PIN_LOCKED,
                 "the last PIN for token 'prod' (serial 12af), from file:/nowhere/pin at ");
    assert_contains(err.msg, "was refused (CKR_PIN_INCORRECT)");
}

static void test_right_pin_is_forgotten(void **state UNUSED)
{
    struct err err = ERR_INIT;

    (void)begin();
    try_ends(&configured, CKR_PIN_INCORRECT, true);
    try_ends(&configured, CKR_OK, true);
    assert_ok(allows(&configured, &err), &err);
}

static void test_process_that_ends_meanwhile_leaves_a_trace(void **state UNUSED)
{
    struct hsm_pin_try attempt;
    struct err err = ERR_INIT;

    (void)begin();
    assert_ok(hsm_pin_try_begin(&token, CKU_USER, &configured, &attempt, &err), &err);
    assert_fails(allows(&configured, &err), &err, E_PIN_LOCKED,
                 "nobody knows whether it was right");
}

static void test_flags_that_tell_clear_an_open_try(void **state UNUSED)
{
    struct hsm_token_info softhsm = token;
    struct hsm_pin_try attempt;
    struct err err = ERR_INIT;

    (void)begin();
    (void)snprintf(softhsm.manufacturer, sizeof(softhsm.manufacturer), "SoftHSM project");
    assert_ok(hsm_pin_try_begin(&softhsm, CKU_USER, &configured, &attempt, &err), &err);
    assert_ok(hsm_pin_memory_allows(&softhsm, CKU_USER, &configured, &err), &err);
    softhsm.user_pin_low = true;
    assert_fails(hsm_pin_memory_allows(&softhsm, CKU_USER, &configured, &err), &err, E_PIN_LOCKED,
                 "nobody knows");
}

static void test_call_that_was_not_sent_changes_nothing(void **state UNUSED)
{
    struct err err = ERR_INIT;

    (void)begin();
    try_ends(&configured, CKR_DEVICE_REMOVED, false);
    assert_ok(allows(&configured, &err), &err);
    try_ends(&configured, CKR_PIN_INCORRECT, true);
    try_ends(&configured, CKR_DEVICE_REMOVED, false);
    assert_fails(allows(&configured, &err), &err, E_PIN_LOCKED, "CKR_PIN_INCORRECT");
}

static void test_person_may_always_try(void **state UNUSED)
{
    struct hsm_pin typed = {.source = "prompt", .interactive = true};
    struct hsm_pin again = {.source = "file:/nowhere/pin", .again = true};
    struct err err = ERR_INIT;

    (void)begin();
    try_ends(&configured, CKR_PIN_INCORRECT, true);
    assert_ok(allows(&typed, &err), &err);
    assert_ok(allows(&again, &err), &err);
}

static void test_source_that_is_named_is_tried_once(void **state UNUSED)
{
    const char *path = tmp_text(tmp_dir(), "pin", "9999");
    const char *source = tmp_join("file:", path);
    struct hsm_pin named = {.source = source, .deliberate = true};
    struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    struct err err = ERR_INIT;

    (void)begin();
    try_ends(&configured, CKR_PIN_INCORRECT, true);
    assert_ok(allows(&named, &err), &err);
    try_ends(&named, CKR_PIN_INCORRECT, true);
    assert_fails(allows(&named, &err), &err, E_PIN_LOCKED, "it has not changed since");
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0); /* as if it had been mended */
    assert_ok(allows(&named, &err), &err);
}

static void test_tokens_and_roles_have_memories_of_their_own(void **state UNUSED)
{
    struct hsm_token_info other = token;
    struct err err = ERR_INIT;

    (void)begin();
    (void)snprintf(other.serial, sizeof(other.serial), "12b0");
    try_ends(&configured, CKR_PIN_INCORRECT, true);
    assert_ok(hsm_pin_memory_allows(&other, CKU_USER, &configured, &err), &err);
    assert_ok(hsm_pin_memory_allows(&token, CKU_SO, &configured, &err), &err);
}

/* A file that somebody emptied is no permission to go on. */
static void test_damaged_record_stops_as_well(void **state UNUSED)
{
    const char *dir = begin();
    struct err err = ERR_INIT;

    try_ends(&configured, CKR_PIN_INCORRECT, true);
    DIR *list = opendir(dir);
    assert_non_null(list);
    for (struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list)) {
        if (entry->d_name[0] != '.') {
            (void)tmp_text(dir, entry->d_name, "");
        }
    }
    (void)closedir(list);
    assert_fails(allows(&configured, &err), &err, E_PIN_LOCKED, "was refused (unknown)");
}

static void test_without_a_directory_there_is_no_memory(void **state UNUSED)
{
    struct hsm_process process = {.lock_dir = tmp_dir()};
    struct err err = ERR_INIT;

    assert_ok(hsm_process_configure(&process, &err), &err);
    try_ends(&configured, CKR_PIN_INCORRECT, true);
    assert_ok(allows(&configured, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_pin_stops_the_next_one),
        cmocka_unit_test(test_right_pin_is_forgotten),
        cmocka_unit_test(test_process_that_ends_meanwhile_leaves_a_trace),
        cmocka_unit_test(test_flags_that_tell_clear_an_open_try),
        cmocka_unit_test(test_call_that_was_not_sent_changes_nothing),
        cmocka_unit_test(test_person_may_always_try),
        cmocka_unit_test(test_source_that_is_named_is_tried_once),
        cmocka_unit_test(test_tokens_and_roles_have_memories_of_their_own),
        cmocka_unit_test(test_damaged_record_stops_as_well),
        cmocka_unit_test(test_without_a_directory_there_is_no_memory),
    };

    return UNIT_RUN(tests);
}
