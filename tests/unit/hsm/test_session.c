#include "hsm/session.h"

#include "unit/hsm/fake.h"
#include "unit/unit.h"

/* A source that counts how often it is asked. */
struct asked {
    unsigned times;
    const char *pin;
};

static bool give_pin(void *ctx, const struct hsm_token_info *token UNUSED, struct secret *pin,
                     struct err *err)
{
    struct asked *asked = ctx;

    asked->times++;
    if (asked->pin == NULL) {
        return err_set(err, E_PIN_NEEDED, "nobody is there");
    }
    return secret_set(pin, asked->pin, strlen(asked->pin), err);
}

static bool log_in(struct asked *asked, bool interactive, struct err *err)
{
    struct hsm_pin pin = {.get = give_pin, .ctx = asked, .interactive = interactive};

    return hsm_login(&fake.token, &pin, err);
}

static void test_login_sends_the_pin_once(void **state UNUSED)
{
    struct asked asked = {.pin = "1234"};
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(log_in(&asked, false, &err), &err);
    assert_int_equal(fake.logins, 1);
    assert_int_equal(fake.user, CKU_USER);
    assert_string_equal(fake.pin, "1234");
    assert_true(fake.token.logged_in);
}

static void test_second_login_does_not_call_the_token(void **state UNUSED)
{
    struct asked asked = {.pin = "1234"};
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(log_in(&asked, false, &err), &err);
    assert_ok(log_in(&asked, false, &err), &err);
    assert_int_equal(fake.logins, 1);
    assert_int_equal(asked.times, 1);
}

static void test_session_of_the_login_stays_open(void **state UNUSED)
{
    struct asked asked = {.pin = "1234"};
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(log_in(&asked, false, &err), &err);
    assert_int_equal(fake.opens, 1);
    assert_int_equal(fake.closes, 0);
}

static void test_token_that_wants_no_login_is_not_logged_in_to(void **state UNUSED)
{
    struct asked asked = {.pin = "1234"};
    struct err err = ERR_INIT;

    fake_begin();
    fake.token.info.login_required = false;
    assert_ok(log_in(&asked, false, &err), &err);
    assert_int_equal(fake.logins, 0);
    assert_int_equal(asked.times, 0);
}

static void test_somebody_else_logged_in_before(void **state UNUSED)
{
    struct asked asked = {.pin = "1234"};
    struct err err = ERR_INIT;

    fake_begin();
    fake.login_rv = CKR_USER_ALREADY_LOGGED_IN;
    assert_ok(log_in(&asked, false, &err), &err);
    assert_true(fake.token.logged_in);
}

static void test_wrong_pin_is_sent_once_per_process(void **state UNUSED)
{
    struct asked asked = {.pin = "9999"};
    struct err err = ERR_INIT;

    fake_begin();
    fake.login_rv = CKR_PIN_INCORRECT;
    assert_fails(log_in(&asked, false, &err), &err, E_PIN_WRONG,
                 "token 'prod' (serial 12af): C_Login: the PIN is wrong (CKR_PIN_INCORRECT)");
    assert_lacks(err.msg, "9999");
    fake.login_rv = CKR_OK;
    assert_fails(log_in(&asked, false, &err), &err, E_PIN_WRONG, "not sent again");
    assert_int_equal(fake.logins, 1);
    assert_int_equal(asked.times, 1);
}

static void test_every_code_of_a_wrong_pin_counts(void **state UNUSED)
{
    static const CK_RV codes[] = {CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE};

    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        struct asked asked = {.pin = "1"};
        struct err err = ERR_INIT;
        fake_begin();
        fake.login_rv = codes[i];
        assert_fails(log_in(&asked, false, &err), &err, E_PIN_WRONG, "the PIN is wrong");
        assert_true(*fake.token.pin_refused);
    }
}

static void test_unknown_failure_counts_as_a_used_try(void **state UNUSED)
{
    struct asked asked = {.pin = "1"};
    struct err err = ERR_INIT;

    fake_begin();
    fake.login_rv = CKR_FUNCTION_FAILED;
    assert_fails(log_in(&asked, false, &err), &err, E_TOKEN, "C_Login: CKR_FUNCTION_FAILED");
    assert_fails(log_in(&asked, false, &err), &err, E_PIN_WRONG, "not sent again");
    assert_int_equal(fake.logins, 1);
}

static void test_lost_connection_does_not_count_as_a_used_try(void **state UNUSED)
{
    struct asked asked = {.pin = "1234"};
    struct err err = ERR_INIT;

    fake_begin();
    fake.login_rv = CKR_SESSION_HANDLE_INVALID;
    assert_fails(log_in(&asked, false, &err), &err, E_TOKEN, "CKR_SESSION_HANDLE_INVALID");
    fake.login_rv = CKR_OK;
    assert_ok(log_in(&asked, false, &err), &err);
}

/* The token is still there: it may have counted the try. */
static void test_failure_of_a_token_that_answers_counts_as_a_used_try(void **state UNUSED)
{
    struct asked asked = {.pin = "1234"};
    struct err err = ERR_INIT;

    fake_begin();
    fake.login_rv = CKR_DEVICE_ERROR;
    assert_fails(log_in(&asked, false, &err), &err, E_TOKEN, "CKR_DEVICE_ERROR");
    fake.login_rv = CKR_OK;
    assert_fails(log_in(&asked, false, &err), &err, E_PIN_WRONG, "is not sent again");
    assert_int_equal(fake.logins, 1);
}

static void test_pin_is_not_sent_to_another_token_in_the_slot(void **state UNUSED)
{
    struct asked asked = {.pin = "1234"};
    struct err err = ERR_INIT;

    fake_begin();
    (void)snprintf(fake.token.info.serial, sizeof(fake.token.info.serial), "12");
    assert_fails(log_in(&asked, false, &err), &err, E_TOKEN_MISSING,
                 "is not in its slot any more, another one is");
    assert_int_equal(fake.logins, 0);
}

static void test_pin_that_was_not_looked_at_is_not_kept(void **state UNUSED)
{
    struct asked asked = {.pin = "9999"};
    struct hsm_pin pin = {.get = give_pin, .ctx = &asked, .keep = true};
    struct err err = ERR_INIT;

    fake_begin();
    fake.login_rv = CKR_USER_ALREADY_LOGGED_IN;
    assert_ok(hsm_login(&fake.token, &pin, &err), &err);
    assert_false(kept_secret_is_set(&fake.token.kept_pin));
}

static void test_kept_pin_is_wiped_when_it_is_refused(void **state UNUSED)
{
    struct asked asked = {.pin = "1234"};
    struct hsm_pin pin = {.get = give_pin, .ctx = &asked, .keep = true};
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(hsm_login(&fake.token, &pin, &err), &err);
    assert_true(kept_secret_is_set(&fake.token.kept_pin));
    hsm_token_forget(&fake.token, false);
    fake.login_rv = CKR_PIN_INCORRECT;
    assert_fails(hsm_login(&fake.token, &pin, &err), &err, E_PIN_WRONG, "the PIN is wrong");
    assert_false(kept_secret_is_set(&fake.token.kept_pin));
}

static void test_locked_answer_says_who_can_help(void **state UNUSED)
{
    struct asked asked = {.pin = "1"};
    struct err err = ERR_INIT;

    fake_begin();
    fake.login_rv = CKR_PIN_LOCKED;
    assert_fails(log_in(&asked, false, &err), &err, E_PIN_LOCKED, "security officer");
    assert_int_equal(err.native, CKR_PIN_LOCKED);
}

static void refuses_without_login(CK_FLAGS flag, enum err_code code, const char *words)
{
    struct asked asked = {.pin = "1234"};
    struct err err = ERR_INIT;

    fake_begin();
    fake.flags |= flag;
    assert_fails(log_in(&asked, false, &err), &err, code, words);
    assert_int_equal(fake.logins, 0);
    assert_int_equal(asked.times, 0);
}

static void test_final_try_is_not_used_up(void **state UNUSED)
{
    refuses_without_login(CKF_USER_PIN_FINAL_TRY, E_PIN_LOCKED, "one try left");
}

static void test_locked_pin_is_not_sent(void **state UNUSED)
{
    refuses_without_login(CKF_USER_PIN_LOCKED, E_PIN_LOCKED, "is locked");
}

/* A timer with the wrong PIN would empty the counter. */
static void test_after_a_wrong_pin_none_is_sent_unattended(void **state UNUSED)
{
    refuses_without_login(CKF_USER_PIN_COUNT_LOW, E_PIN_LOCKED, "none is sent unattended");
}

static void test_after_a_wrong_pin_a_person_may_try(void **state UNUSED)
{
    struct asked asked = {.pin = "1234"};
    struct err err = ERR_INIT;

    fake_begin();
    fake.flags |= CKF_USER_PIN_COUNT_LOW;
    assert_ok(log_in(&asked, true, &err), &err);
}

static void test_after_a_wrong_pin_one_that_is_meant_may_be_tried(void **state UNUSED)
{
    struct asked asked = {.pin = "1234"};
    struct hsm_pin pin = {.get = give_pin, .ctx = &asked, .deliberate = true};
    struct err err = ERR_INIT;

    fake_begin();
    fake.flags |= CKF_USER_PIN_COUNT_LOW;
    assert_ok(hsm_login(&fake.token, &pin, &err), &err);
}

static void test_empty_pin_is_not_sent(void **state UNUSED)
{
    struct asked asked = {.pin = ""};
    struct err err = ERR_INIT;

    fake_begin();
    assert_fails(log_in(&asked, false, &err), &err, E_PIN_NEEDED, "is empty, so nothing is sent");
    assert_int_equal(fake.logins, 0);
}

static void test_token_without_a_user_pin_is_explained(void **state UNUSED)
{
    struct asked asked = {.pin = "1234"};
    struct err err = ERR_INIT;

    fake_begin();
    fake.flags &= ~CKF_USER_PIN_INITIALIZED;
    assert_fails(log_in(&asked, false, &err), &err, E_PIN_NEEDED, "has no user PIN yet");
    assert_int_equal(fake.logins, 0);
}

/* The flags are those of this moment, not those of the enumeration. */
static void test_flags_are_read_before_each_login(void **state UNUSED)
{
    struct asked asked = {.pin = "1234"};
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(log_in(&asked, false, &err), &err);
    assert_int_equal(fake.token_infos, 1);
}

static void test_failing_token_info_stops_the_login(void **state UNUSED)
{
    struct asked asked = {.pin = "1234"};
    struct err err = ERR_INIT;

    fake_begin();
    fake.token_info_rv = CKR_TOKEN_NOT_PRESENT;
    assert_fails(log_in(&asked, false, &err), &err, E_TOKEN_MISSING, "C_GetTokenInfo");
    assert_int_equal(fake.logins, 0);
}

static void test_pin_pad_gets_no_pin(void **state UNUSED)
{
    struct asked asked = {.pin = "1234"};
    struct err err = ERR_INIT;

    fake_begin();
    fake.flags |= CKF_PROTECTED_AUTHENTICATION_PATH;
    fake.token.info.pin_pad = true;
    assert_ok(log_in(&asked, false, &err), &err);
    assert_true(fake.pin_was_null);
    assert_int_equal(asked.times, 0);
}

static void test_pin_pad_needs_no_source(void **state UNUSED)
{
    struct err err = ERR_INIT;

    fake_begin();
    fake.flags |= CKF_PROTECTED_AUTHENTICATION_PATH;
    fake.token.info.pin_pad = true;
    assert_ok(hsm_login(&fake.token, NULL, &err), &err);
    assert_int_equal(fake.logins, 1);
}

static void test_no_source_is_explained(void **state UNUSED)
{
    struct err err = ERR_INIT;

    fake_begin();
    assert_fails(hsm_login(&fake.token, NULL, &err), &err, E_PIN_NEEDED, "no PIN source");
    assert_int_equal(fake.logins, 0);
}

static void test_source_that_fails_stops_the_login(void **state UNUSED)
{
    struct asked asked = {.pin = NULL};
    struct err err = ERR_INIT;

    fake_begin();
    assert_fails(log_in(&asked, false, &err), &err, E_PIN_NEEDED, "nobody is there");
    assert_int_equal(fake.logins, 0);
    assert_false(*fake.token.pin_refused);
}

static void test_person_is_asked_once(void **state UNUSED)
{
    struct asked asked = {.pin = "1234"};
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(log_in(&asked, true, &err), &err);
    assert_int_equal(asked.times, 1);
    assert_int_equal(fake.logins, 1);
}

static void test_person_is_not_asked_for_a_pin_that_is_not_sent(void **state UNUSED)
{
    struct asked asked = {.pin = "1234"};
    struct err err = ERR_INIT;

    fake_begin();
    fake.flags |= CKF_USER_PIN_FINAL_TRY;
    assert_fails(log_in(&asked, true, &err), &err, E_PIN_LOCKED, "one try left");
    assert_int_equal(asked.times, 0);
}

static bool lock_is_free(void *ctx, const struct hsm_token_info *token UNUSED, struct secret *pin,
                         struct err *err)
{
    struct hsm_lock lock = HSM_LOCK_INIT;

    *(bool *)ctx = hsm_module_lock(&fake.module, &lock, err);
    hsm_lock_release(&lock);
    err_clear(err);
    return secret_set(pin, "1234", 4, err);
}

static void test_person_types_without_the_lock(void **state UNUSED)
{
    bool was_free = false;
    struct hsm_pin pin = {.get = lock_is_free, .ctx = &was_free, .interactive = true};
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(hsm_login(&fake.token, &pin, &err), &err);
    assert_true(was_free);
}

static void test_login_waits_for_the_lock(void **state UNUSED)
{
    struct asked asked = {.pin = "1234"};
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    struct hsm_process process = {.lock_dir = tmp_dir(), .lock_wait_ms = 30};
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(hsm_process_configure(&process, &err), &err);
    assert_ok(hsm_module_lock(&fake.module, &lock, &err), &err);
    assert_fails(log_in(&asked, false, &err), &err, E_TOKEN_BUSY, "module /fake/module.so");
    assert_int_equal(fake.logins, 0);
}

/* Sessions */

static void test_given_session_is_taken_again(void **state UNUSED)
{
    struct hsm_session session = HSM_SESSION_INIT;
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(hsm_session_take(&fake.token, false, &session, &err), &err);
    CK_SESSION_HANDLE first = hsm_session_handle(&session);
    hsm_session_give(&session);
    assert_ok(hsm_session_take(&fake.token, false, &session, &err), &err);
    assert_int_equal(hsm_session_handle(&session), first);
    assert_int_equal(fake.opens, 1);
    hsm_session_drop(&session);
}

static void test_read_only_and_writing_sessions_are_kept_apart(void **state UNUSED)
{
    struct hsm_session session = HSM_SESSION_INIT;
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(hsm_session_take(&fake.token, false, &session, &err), &err);
    hsm_session_give(&session);
    assert_ok(hsm_session_take(&fake.token, true, &session, &err), &err);
    assert_int_equal(fake.opens, 2);
    hsm_session_drop(&session);
}

static void test_fresh_session_is_a_new_one(void **state UNUSED)
{
    struct hsm_session session = HSM_SESSION_INIT;
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(hsm_session_take(&fake.token, false, &session, &err), &err);
    hsm_session_give(&session);
    assert_ok(hsm_session_take_fresh(&fake.token, false, &session, &err), &err);
    assert_int_equal(fake.opens, 2);
    hsm_session_drop(&session);
}

static void test_dropped_session_is_closed(void **state UNUSED)
{
    struct hsm_session session = HSM_SESSION_INIT;
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(hsm_session_take(&fake.token, false, &session, &err), &err);
    hsm_session_drop(&session);
    hsm_session_drop(&session);
    assert_int_equal(fake.closes, 1);
    assert_int_equal(fake.token.open_sessions, 0);
}

static void test_last_session_takes_the_login_along(void **state UNUSED)
{
    struct asked asked = {.pin = "1234"};
    struct hsm_session session = HSM_SESSION_INIT;
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(log_in(&asked, false, &err), &err);
    assert_ok(hsm_session_take(&fake.token, false, &session, &err), &err);
    hsm_session_drop(&session);
    assert_false(fake.token.logged_in);
    assert_ok(log_in(&asked, false, &err), &err);
    assert_int_equal(fake.logins, 2);
}

static void test_pool_keeps_a_few_and_closes_the_rest(void **state UNUSED)
{
    struct hsm_session sessions[HSM_SESSIONS_KEPT + 2];
    struct err err = ERR_INIT;

    fake_begin();
    for (size_t i = 0; i < ARRAY_LEN(sessions); i++) {
        assert_ok(hsm_session_take(&fake.token, false, &sessions[i], &err), &err);
    }
    for (size_t i = 0; i < ARRAY_LEN(sessions); i++) {
        hsm_session_give(&sessions[i]);
    }
    assert_int_equal(fake.closes, 2);
    assert_int_equal(fake.token.open_sessions, HSM_SESSIONS_KEPT);
}

static void test_too_many_sessions_is_explained(void **state UNUSED)
{
    struct hsm_session session = HSM_SESSION_INIT;
    struct err err = ERR_INIT;

    fake_begin();
    fake.open_rv = CKR_SESSION_COUNT;
    assert_fails(hsm_session_take(&fake.token, false, &session, &err), &err, E_TOKEN,
                 "all sessions of the token are in use: C_OpenSession: CKR_SESSION_COUNT");
    assert_false(session.held);
}

static CK_RV open_as_the_same(CK_SLOT_ID slot UNUSED, CK_FLAGS flags UNUSED, void *app UNUSED,
                              CK_NOTIFY notify UNUSED, CK_SESSION_HANDLE *session)
{
    *session = 101; /* as the first one had */
    fake.opens++;
    return CKR_OK;
}

/* The module ended an idle session without a word, and gives its number to a new one. */
static void test_number_that_was_given_out_again_is_one_session(void **state UNUSED)
{
    struct hsm_session first = HSM_SESSION_INIT;
    struct hsm_session second = HSM_SESSION_INIT;
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(hsm_session_take(&fake.token, false, &first, &err), &err);
    hsm_session_give(&first);
    fake.fns.C_OpenSession = open_as_the_same;
    assert_ok(hsm_session_take_fresh(&fake.token, true, &second, &err), &err);
    assert_int_equal(second.handle, 101);
    assert_int_equal(fake.token.open_sessions, 1);
    assert_int_equal(fake.token.pools[0].count, 0); /* nobody else works in it */
    hsm_session_drop(&second);
    assert_int_equal(fake.closes, 1);
}

static void test_forgotten_sessions_are_not_closed(void **state UNUSED)
{
    struct asked asked = {.pin = "1234"};
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(log_in(&asked, false, &err), &err);
    hsm_token_forget(&fake.token, false);
    assert_int_equal(fake.closes, 0);
    assert_int_equal(fake.token.open_sessions, 0);
    assert_false(fake.token.logged_in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_login_sends_the_pin_once),
        cmocka_unit_test(test_second_login_does_not_call_the_token),
        cmocka_unit_test(test_session_of_the_login_stays_open),
        cmocka_unit_test(test_token_that_wants_no_login_is_not_logged_in_to),
        cmocka_unit_test(test_somebody_else_logged_in_before),
        cmocka_unit_test(test_wrong_pin_is_sent_once_per_process),
        cmocka_unit_test(test_every_code_of_a_wrong_pin_counts),
        cmocka_unit_test(test_unknown_failure_counts_as_a_used_try),
        cmocka_unit_test(test_lost_connection_does_not_count_as_a_used_try),
        cmocka_unit_test(test_failure_of_a_token_that_answers_counts_as_a_used_try),
        cmocka_unit_test(test_pin_is_not_sent_to_another_token_in_the_slot),
        cmocka_unit_test(test_pin_that_was_not_looked_at_is_not_kept),
        cmocka_unit_test(test_kept_pin_is_wiped_when_it_is_refused),
        cmocka_unit_test(test_locked_answer_says_who_can_help),
        cmocka_unit_test(test_final_try_is_not_used_up),
        cmocka_unit_test(test_locked_pin_is_not_sent),
        cmocka_unit_test(test_after_a_wrong_pin_none_is_sent_unattended),
        cmocka_unit_test(test_after_a_wrong_pin_a_person_may_try),
        cmocka_unit_test(test_after_a_wrong_pin_one_that_is_meant_may_be_tried),
        cmocka_unit_test(test_empty_pin_is_not_sent),
        cmocka_unit_test(test_token_without_a_user_pin_is_explained),
        cmocka_unit_test(test_flags_are_read_before_each_login),
        cmocka_unit_test(test_failing_token_info_stops_the_login),
        cmocka_unit_test(test_pin_pad_gets_no_pin),
        cmocka_unit_test(test_pin_pad_needs_no_source),
        cmocka_unit_test(test_no_source_is_explained),
        cmocka_unit_test(test_source_that_fails_stops_the_login),
        cmocka_unit_test(test_person_is_asked_once),
        cmocka_unit_test(test_person_is_not_asked_for_a_pin_that_is_not_sent),
        cmocka_unit_test(test_person_types_without_the_lock),
        cmocka_unit_test(test_login_waits_for_the_lock),
        cmocka_unit_test(test_given_session_is_taken_again),
        cmocka_unit_test(test_read_only_and_writing_sessions_are_kept_apart),
        cmocka_unit_test(test_fresh_session_is_a_new_one),
        cmocka_unit_test(test_dropped_session_is_closed),
        cmocka_unit_test(test_last_session_takes_the_login_along),
        cmocka_unit_test(test_pool_keeps_a_few_and_closes_the_rest),
        cmocka_unit_test(test_too_many_sessions_is_explained),
        cmocka_unit_test(test_number_that_was_given_out_again_is_one_session),
        cmocka_unit_test(test_forgotten_sessions_are_not_closed),
    };

    return UNIT_RUN(tests);
}
