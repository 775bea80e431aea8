/* Sessions, logins and handles that end, and sessions that are scarce. */
#include "hsm/revive.h"

#include "hsm/op.h"
#include "unit/hsm/fake.h"
#include "unit/unit.h"

#include <pthread.h>
#include <unistd.h>

static const struct hsm_sign ecdsa = {.scheme = HSM_SIGN_ECDSA};
static const uint8_t point[65] = {0x04, 1, 2, 3};
static unsigned times_asked;

static bool give_pin(void *ctx UNUSED, const struct hsm_token_info *token UNUSED,
                     struct secret *pin, struct err *err)
{
    times_asked++;
    return secret_set(pin, "1234", 4, err);
}

static const struct hsm_pin pin = {.get = give_pin, .keep = true};

static bool sign(struct hsm_key *key, struct err *err)
{
    uint8_t out[64];
    size_t len = sizeof(out);

    return hsm_sign(key, &ecdsa, &pin, (const uint8_t *)"digest", 6, out, &len, err);
}

/* A key on the token, loaded by somebody who is logged in. */
static struct hsm_key load(CK_OBJECT_HANDLE handle)
{
    struct hsm_session session = HSM_SESSION_INIT;
    struct hsm_key key;
    struct err err = ERR_INIT;

    assert_ok(hsm_login(&fake.token, &pin, &err), &err);
    assert_ok(hsm_session_take(&fake.token, false, &session, &err), &err);
    assert_ok(hsm_key_load(&session, handle, CKO_PRIVATE_KEY, true, &key, &err), &err);
    hsm_session_give(&session);
    return key;
}

static struct hsm_key begin(void)
{
    fake_begin();
    times_asked = 0;
    return load(fake_ec_key("a", "www", point));
}

static void end(struct hsm_key *key)
{
    hsm_key_done(key);
    kept_secret_done(&fake.token.kept_pin);
}

static void test_handle_that_became_invalid_is_found_again(void **state UNUSED)
{
    struct hsm_key key = begin();
    struct err err = ERR_INIT;

    key.handle = 4711;
    key.copy.state = HSM_COPY_REFUSED;
    fake.sign_init_rv = CKR_KEY_HANDLE_INVALID;
    fake.sign_init_fails = 1;
    assert_ok(sign(&key, &err), &err);
    assert_int_equal(fake.find_inits, 1);
    assert_int_equal(fake.used_handle, key.handle);
    assert_true(fake_has(key.handle));
    end(&key);
}

static void test_key_that_is_gone_is_said_to_be(void **state UNUSED)
{
    struct hsm_key key = begin();
    struct err err = ERR_INIT;

    fake.sign_init_rv = CKR_KEY_HANDLE_INVALID;
    assert_int_equal(fake.fns.C_DestroyObject(1, key.handle), CKR_OK);
    assert_fails(sign(&key, &err), &err, E_OBJECT_MISSING,
                 "key 'www' is no longer to be seen on token 'prod' (serial 12af)");
    assert_int_equal(fake.sign_inits, 1);
    end(&key);
}

/* Same id and label, other key: it must not be signed with. */
static void test_another_key_of_that_name_is_not_taken(void **state UNUSED)
{
    static const uint8_t other[65] = {0x04, 9, 9, 9};
    struct hsm_key key = begin();
    struct err err = ERR_INIT;

    fake.sign_init_rv = CKR_KEY_HANDLE_INVALID;
    assert_int_equal(fake.fns.C_DestroyObject(1, key.handle), CKR_OK);
    (void)fake_ec_key("a", "www", other);
    assert_fails(sign(&key, &err), &err, E_OBJECT_MISSING,
                 "key 'www' is no longer to be seen on token");
    end(&key);
}

static void test_invalid_for_ever_is_tried_twice(void **state UNUSED)
{
    struct hsm_key key = begin();
    struct err err = ERR_INIT;

    fake.sign_init_rv = CKR_KEY_HANDLE_INVALID;
    assert_fails(sign(&key, &err), &err, E_OBJECT_MISSING, "C_SignInit: CKR_KEY_HANDLE_INVALID");
    assert_int_equal(fake.sign_inits, 2);
    end(&key);
}

static void test_session_that_ended_is_replaced_and_the_login_made_again(void **state UNUSED)
{
    struct hsm_key key = begin();
    struct err err = ERR_INIT;

    fake.sign_init_rv = CKR_SESSION_HANDLE_INVALID;
    fake.sign_init_fails = 1;
    assert_ok(sign(&key, &err), &err);
    assert_int_equal(fake.logins, 2);
    assert_int_equal(times_asked, 1); /* the second one is the kept PIN */
    assert_string_equal(fake.pin, "1234");
    end(&key);
}

/* One session was ended by the token; the others would count against its limit for ever. */
static void idle_sessions_are_closed(bool ours, unsigned expected)
{
    struct hsm_session taken[3];
    struct hsm_key key = begin();
    struct err err = ERR_INIT;

    fake.module.ours = ours;
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        assert_ok(hsm_session_take(&fake.token, false, &taken[i], &err), &err);
    }
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        hsm_session_give(&taken[i]);
    }
    fake.sign_init_rv = CKR_SESSION_HANDLE_INVALID;
    fake.sign_init_fails = 1;
    assert_ok(sign(&key, &err), &err);
    assert_int_equal(fake.closes, expected);
    end(&key);
    fake.module.ours = false;
}

static void test_sessions_beside_one_that_ended_are_closed(void **state UNUSED)
{
    idle_sessions_are_closed(true, 2);
}

/* Somebody else may have started the module again, and the numbers may be his sessions. */
static void test_sessions_of_a_module_that_is_not_ours_are_left(void **state UNUSED)
{
    idle_sessions_are_closed(false, 0);
}

static bool was_closed_to_others;

static CK_RV finalize(void *reserved UNUSED)
{
    was_closed_to_others = atomic_load(&fake.module.closed);
    return CKR_OK;
}

static void test_nobody_enters_a_module_while_it_is_restarted(void **state UNUSED)
{
    struct err err = ERR_INIT;

    fake_begin();
    fake.fns.C_Finalize = finalize;
    fake.module.ours = true;
    fake.module.ck.closed = &fake.module.closed;
    was_closed_to_others = false;
    assert_ok(hsm_module_restart(&fake.module, &err), &err);
    assert_true(was_closed_to_others);
    assert_false(atomic_load(&fake.module.closed));
    assert_int_equal(fake.initializes, 1);
    fake.module.ours = false;
}

static void test_logout_by_somebody_else(void **state UNUSED)
{
    struct hsm_key key = begin();
    struct err err = ERR_INIT;

    fake.sign_init_rv = CKR_USER_NOT_LOGGED_IN;
    fake.sign_init_fails = 1;
    assert_ok(sign(&key, &err), &err);
    assert_int_equal(fake.logins, 2);
    assert_int_equal(fake.find_inits, 1);
    end(&key);
}

static void test_refused_pin_is_not_sent_after_a_restart(void **state UNUSED)
{
    struct hsm_key key = begin();
    struct err err = ERR_INIT;

    fake.sign_init_rv = CKR_USER_NOT_LOGGED_IN;
    fake.login_rv = CKR_PIN_INCORRECT; /* it was changed meanwhile */
    assert_fails(sign(&key, &err), &err, E_PIN_WRONG, "the PIN is wrong");
    assert_fails(sign(&key, &err), &err, E_PIN_WRONG, "is not sent again");
    assert_int_equal(fake.logins, 2);
    end(&key);
}

static void test_module_that_somebody_finalised_is_initialised(void **state UNUSED)
{
    struct hsm_key key = begin();
    struct err err = ERR_INIT;

    fake.token_info_rv = CKR_CRYPTOKI_NOT_INITIALIZED;
    fake.module.lost = true;
    assert_ok(sign(&key, &err), &err);
    assert_int_equal(fake.initializes, 1);
    assert_int_equal(fake.logins, 2);
    assert_true(fake.module.ours);
    end(&key);
}

static void test_dead_module_of_somebody_else_is_left_alone(void **state UNUSED)
{
    struct hsm_key key = begin();
    struct err err = ERR_INIT;

    fake.sign_init_rv = CKR_DEVICE_ERROR;
    fake.token_info_rv = CKR_DEVICE_ERROR;
    assert_fails(sign(&key, &err), &err, E_TOKEN,
                 "was initialised by another part of this program (or by its parent), which alone "
                 "may end it and start it again: C_GetTokenInfo: CKR_DEVICE_ERROR");
    assert_int_equal(fake.initializes, 0);
    /* and when that other part has done so, the next one works */
    fake.sign_init_rv = CKR_OK;
    fake.token_info_rv = CKR_OK;
    assert_ok(sign(&key, &err), &err);
    end(&key);
}

static void test_failure_of_a_token_that_still_answers_is_no_reason_to_restart(void **state UNUSED)
{
    struct hsm_key key = begin();
    struct err err = ERR_INIT;

    fake.sign_init_rv = CKR_DEVICE_ERROR;
    assert_fails(sign(&key, &err), &err, E_TOKEN, "C_SignInit: CKR_DEVICE_ERROR");
    assert_int_equal(fake.sign_inits, 1);
    assert_false(fake.module.lost);
    end(&key);
}

static void test_second_use_copies_the_key(void **state UNUSED)
{
    struct hsm_key key = begin();
    struct err err = ERR_INIT;

    assert_ok(sign(&key, &err), &err);
    assert_int_equal(fake.copies, 0);
    assert_int_equal(fake.used_handle, key.handle);
    assert_ok(sign(&key, &err), &err);
    assert_ok(sign(&key, &err), &err);
    assert_int_equal(fake.copies, 1);
    assert_int_equal(fake.used_handle, FAKE_COPY);
    unsigned destroyed = fake.destroys;
    end(&key);
    assert_int_equal(fake.destroys, destroyed + 1);
}

static void test_quirk_keeps_the_original_in_use(void **state UNUSED)
{
    struct hsm_key key = begin();
    struct err err = ERR_INIT;

    hsm_module_add_quirks(&fake.module, HSM_QUIRK(NO_COPY));
    for (int i = 0; i < 4; i++) {
        assert_ok(sign(&key, &err), &err);
    }
    assert_int_equal(fake.copies, 0);
    assert_int_equal(fake.opens, 1);
    assert_int_equal(fake.used_handle, key.handle);
    end(&key);
}

static void test_key_that_cannot_be_copied_is_used_itself(void **state UNUSED)
{
    struct hsm_key key = begin();
    struct err err = ERR_INIT;

    fake.copy_rv = CKR_ACTION_PROHIBITED;
    for (int i = 0; i < 4; i++) {
        assert_ok(sign(&key, &err), &err);
    }
    assert_int_equal(fake.copies, 1);
    assert_int_equal(fake.used_handle, key.handle);
    end(&key);
}

static void test_token_that_cannot_copy_is_asked_once(void **state UNUSED)
{
    struct hsm_key key = begin();
    struct hsm_key other = load(fake_ec_key("b", "other", point));
    struct err err = ERR_INIT;

    fake.copy_rv = CKR_FUNCTION_NOT_SUPPORTED;
    for (int i = 0; i < 3; i++) {
        assert_ok(sign(&key, &err), &err);
        assert_ok(sign(&other, &err), &err);
    }
    assert_int_equal(fake.copies, 1);
    hsm_key_done(&other);
    end(&key);
}

static void test_key_with_a_pin_for_every_use_is_not_copied(void **state UNUSED)
{
    struct hsm_key key = begin();
    struct err err = ERR_INIT;

    key.always_authenticate = true;
    for (int i = 0; i < 3; i++) {
        assert_ok(sign(&key, &err), &err);
    }
    assert_int_equal(fake.copies, 0);
    assert_int_equal(fake.context_logins, 3);
    end(&key);
}

static void test_copy_that_became_invalid_is_made_again(void **state UNUSED)
{
    struct hsm_key key = begin();
    struct err err = ERR_INIT;

    assert_ok(sign(&key, &err), &err);
    assert_ok(sign(&key, &err), &err);
    fake.sign_init_rv = CKR_OBJECT_HANDLE_INVALID;
    fake.sign_init_fails = fake.sign_inits + 1;
    assert_ok(sign(&key, &err), &err);
    assert_int_equal(fake.used_handle, key.handle);
    assert_int_equal(fake.find_inits, 0);
    assert_ok(sign(&key, &err), &err);
    assert_int_equal(fake.used_handle, FAKE_COPY);
    assert_int_equal(fake.copies, 2);
    end(&key);
}

static void *give_soon(void *session)
{
    (void)usleep(20000);
    hsm_session_give(session);
    return NULL;
}

static void test_session_is_waited_for(void **state UNUSED)
{
    struct hsm_session first = HSM_SESSION_INIT;
    struct hsm_session second = HSM_SESSION_INIT;
    struct err err = ERR_INIT;
    pthread_t thread;

    fake_begin();
    hsm_token_limit_sessions(&fake.token, 1);
    assert_ok(hsm_session_take(&fake.token, false, &first, &err), &err);
    CK_SESSION_HANDLE handle = first.handle;
    assert_int_equal(pthread_create(&thread, NULL, give_soon, &first), 0);
    assert_ok(hsm_session_take(&fake.token, false, &second, &err), &err);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(second.handle, handle);
    assert_int_equal(fake.opens, 1);
    hsm_session_drop(&second);
}

static void test_idle_session_of_the_other_kind_makes_room(void **state UNUSED)
{
    struct hsm_session session = HSM_SESSION_INIT;
    struct err err = ERR_INIT;

    fake_begin();
    hsm_token_limit_sessions(&fake.token, 1);
    assert_ok(hsm_session_take(&fake.token, false, &session, &err), &err);
    hsm_session_give(&session);
    assert_ok(hsm_session_take(&fake.token, true, &session, &err), &err);
    assert_int_equal(fake.opens, 2);
    assert_int_equal(fake.closes, 1);
    hsm_session_drop(&session);
}

static void test_session_of_before_is_not_given_to_the_pool(void **state UNUSED)
{
    struct hsm_session old = HSM_SESSION_INIT;
    struct hsm_session fresh = HSM_SESSION_INIT;
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(hsm_session_take(&fake.token, false, &old, &err), &err);
    CK_SESSION_HANDLE handle = old.handle;
    hsm_token_forget(&fake.token, true);
    hsm_session_give(&old);
    assert_ok(hsm_session_take(&fake.token, false, &fresh, &err), &err);
    assert_true(fresh.handle != handle);
    assert_int_equal(fake.closes, 0);
    assert_int_equal(fake.token.open_sessions, 1);
    hsm_session_drop(&fresh);
}

/* SoftHSM says "handle invalid" after a logout, and shows no private key. */
static CK_RV public_session(CK_SESSION_HANDLE session UNUSED, CK_SESSION_INFO *info)
{
    memset(info, 0, sizeof(*info));
    info->state = CKS_RO_PUBLIC_SESSION;
    return CKR_OK;
}

static void test_invalid_handle_after_a_logout_is_a_logout(void **state UNUSED)
{
    struct hsm_key key = begin();
    struct err err = ERR_INIT;

    fake.fns.C_GetSessionInfo = public_session;
    fake.sign_init_rv = CKR_OBJECT_HANDLE_INVALID;
    fake.sign_init_fails = 1;
    assert_ok(sign(&key, &err), &err);
    assert_int_equal(fake.logins, 2);
    end(&key);
}

/* Whoever ended the sessions may have numbered the objects anew. */
static void test_ended_session_makes_handles_of_objects_doubtful(void **state UNUSED)
{
    struct hsm_key key = begin();
    struct err err = ERR_INIT;

    fake.sign_init_rv = CKR_SESSION_HANDLE_INVALID;
    fake.sign_init_fails = 1;
    assert_ok(sign(&key, &err), &err);
    assert_int_equal(fake.find_inits, 1);
    end(&key);
}

static void test_wrong_padding_costs_no_session(void **state UNUSED)
{
    struct hsm_key key = begin();
    const struct hsm_decrypt how = {.scheme = HSM_DECRYPT_RSA_PKCS1};
    struct err err = ERR_INIT;
    uint8_t out[256];

    key.copy.state = HSM_COPY_REFUSED;
    for (int i = 0; i < 2; i++) {
        size_t len = sizeof(out);
        fake.decrypt_rv = i == 0 ? CKR_OK : CKR_ENCRYPTED_DATA_INVALID;
        unsigned opens = fake.opens;
        bool ok = hsm_decrypt(&key, &how, &pin, out, 256, out, &len, &err);
        assert_int_equal(ok, i == 0);
        assert_int_equal(fake.opens, opens);
        assert_int_equal(fake.closes, 0);
        err_clear(&err);
    }
    end(&key);
}

static void test_operation_that_was_left_active_is_begun_anew(void **state UNUSED)
{
    struct hsm_key key = begin();
    struct err err = ERR_INIT;

    fake.sign_init_rv = CKR_OPERATION_ACTIVE;
    fake.sign_init_fails = 1;
    assert_ok(sign(&key, &err), &err);
    assert_int_equal(fake.closes, 1);
    end(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handle_that_became_invalid_is_found_again),
        cmocka_unit_test(test_key_that_is_gone_is_said_to_be),
        cmocka_unit_test(test_another_key_of_that_name_is_not_taken),
        cmocka_unit_test(test_invalid_for_ever_is_tried_twice),
        cmocka_unit_test(test_session_that_ended_is_replaced_and_the_login_made_again),
        cmocka_unit_test(test_sessions_beside_one_that_ended_are_closed),
        cmocka_unit_test(test_sessions_of_a_module_that_is_not_ours_are_left),
        cmocka_unit_test(test_nobody_enters_a_module_while_it_is_restarted),
        cmocka_unit_test(test_logout_by_somebody_else),
        cmocka_unit_test(test_refused_pin_is_not_sent_after_a_restart),
        cmocka_unit_test(test_module_that_somebody_finalised_is_initialised),
        cmocka_unit_test(test_dead_module_of_somebody_else_is_left_alone),
        cmocka_unit_test(test_failure_of_a_token_that_still_answers_is_no_reason_to_restart),
        cmocka_unit_test(test_second_use_copies_the_key),
        cmocka_unit_test(test_quirk_keeps_the_original_in_use),
        cmocka_unit_test(test_key_that_cannot_be_copied_is_used_itself),
        cmocka_unit_test(test_token_that_cannot_copy_is_asked_once),
        cmocka_unit_test(test_key_with_a_pin_for_every_use_is_not_copied),
        cmocka_unit_test(test_copy_that_became_invalid_is_made_again),
        cmocka_unit_test(test_invalid_handle_after_a_logout_is_a_logout),
        cmocka_unit_test(test_ended_session_makes_handles_of_objects_doubtful),
        cmocka_unit_test(test_wrong_padding_costs_no_session),
        cmocka_unit_test(test_operation_that_was_left_active_is_begun_anew),
        cmocka_unit_test(test_session_is_waited_for),
        cmocka_unit_test(test_idle_session_of_the_other_kind_makes_room),
        cmocka_unit_test(test_session_of_before_is_not_given_to_the_pool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
