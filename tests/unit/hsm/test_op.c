#include "hsm/op.h"

#include "unit/hsm/fake.h"
#include "unit/unit.h"

static unsigned times_asked;

static bool give_pin(void *ctx UNUSED, const struct hsm_token_info *token UNUSED,
                     struct secret *pin, struct err *err)
{
    times_asked++;
    return secret_set(pin, "1234", 4, err);
}

static const struct hsm_pin pin_source = {.get = give_pin};
static const struct hsm_sign ecdsa = {.scheme = HSM_SIGN_ECDSA};

static struct hsm_key key_of(bool always_authenticate)
{
    times_asked = 0;
    fake.token.logged_in = true;
    return (struct hsm_key){.token = &fake.token,
                            .handle = 7,
                            .label = (char *)(uintptr_t) "www",
                            .always_authenticate = always_authenticate};
}

static bool sign(struct hsm_key *key, const struct hsm_pin *pin, struct err *err)
{
    uint8_t out[64];
    size_t len = sizeof(out);

    return hsm_sign(key, &ecdsa, pin, (const uint8_t *)"digest", 6, out, &len, err) && len == 64 &&
           out[63] == 'S';
}

static void test_signature(void **state UNUSED)
{
    struct err err = ERR_INIT;

    fake_begin();
    struct hsm_key key = key_of(false);
    assert_ok(sign(&key, &pin_source, &err), &err);
    assert_int_equal(times_asked, 0);
    assert_int_equal(fake.closes, 0);
}

static void test_pin_for_each_operation(void **state UNUSED)
{
    struct err err = ERR_INIT;

    fake_begin();
    struct hsm_key key = key_of(true);
    assert_ok(sign(&key, &pin_source, &err), &err);
    assert_ok(sign(&key, &pin_source, &err), &err);
    assert_int_equal(fake.context_logins, 2);
    assert_int_equal(fake.user, CKU_CONTEXT_SPECIFIC);
    assert_string_equal(fake.pin, "1234");
}

static void test_pin_for_each_operation_without_a_source(void **state UNUSED)
{
    struct err err = ERR_INIT;

    fake_begin();
    struct hsm_key key = key_of(true);
    assert_fails(sign(&key, NULL, &err), &err, E_PIN_NEEDED, "wants its PIN for every operation");
    assert_int_equal(fake.signs, 0);
}

static void test_pin_pad_asks_by_itself(void **state UNUSED)
{
    struct err err = ERR_INIT;

    fake_begin();
    fake.flags |= CKF_PROTECTED_AUTHENTICATION_PATH;
    struct hsm_key key = key_of(true);
    assert_ok(sign(&key, NULL, &err), &err);
    assert_true(fake.pin_was_null);
    assert_int_equal(fake.context_logins, 1);
}

static void test_wrong_pin_of_an_operation_is_not_sent_again(void **state UNUSED)
{
    struct err err = ERR_INIT;

    fake_begin();
    fake.context_login_rv = CKR_PIN_INCORRECT;
    struct hsm_key key = key_of(true);
    assert_fails(sign(&key, &pin_source, &err), &err, E_PIN_WRONG, "wants its PIN for every");
    assert_fails(sign(&key, &pin_source, &err), &err, E_PIN_WRONG, "is not sent again");
    assert_int_equal(fake.context_logins, 1);
    assert_int_equal(fake.closes, 1);
}

static void test_last_try_is_not_used_up_by_an_operation(void **state UNUSED)
{
    struct err err = ERR_INIT;

    fake_begin();
    fake.flags |= CKF_USER_PIN_FINAL_TRY;
    struct hsm_key key = key_of(true);
    assert_fails(sign(&key, &pin_source, &err), &err, E_PIN_LOCKED, "one try left");
    assert_int_equal(times_asked, 0);
    assert_int_equal(fake.context_logins, 0);
}

/* Across processes, as that of a login: here the next one is played by forgetting the first. */
static void test_wrong_pin_of_an_operation_is_remembered(void **state UNUSED)
{
    static const struct hsm_pin named = {.get = give_pin, .source = "file:/etc/p11enroll/pin"};
    struct hsm_process process = {.lock_dir = tmp_dir(), .state_dir = tmp_dir()};
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(hsm_process_configure(&process, &err), &err);
    fake.context_login_rv = CKR_PIN_INCORRECT;
    struct hsm_key key = key_of(true);
    assert_fails(sign(&key, &named, &err), &err, E_PIN_WRONG,
                 "the PIN from file:/etc/p11enroll/pin is refused");
    atomic_store(fake.token.pin_refused, false);
    fake.context_login_rv = CKR_OK;
    assert_fails(sign(&key, &named, &err), &err, E_PIN_LOCKED,
                 "the last PIN for token 'prod' (serial 12af), from file:/etc/p11enroll/pin at ");
    assert_int_equal(fake.context_logins, 1);
    struct hsm_pin again = {.get = give_pin, .again = true};
    err_clear(&err);
    assert_ok(sign(&key, &again, &err), &err);
    assert_ok(sign(&key, &named, &err), &err); /* the right one removed the memory */
}

/* "Nobody is logged in", "no operation is active": the PIN was not looked at. */
static void test_refusal_that_is_not_about_an_operations_pin(void **state UNUSED)
{
    static const CK_RV answers[] = {CKR_OPERATION_NOT_INITIALIZED, CKR_USER_NOT_LOGGED_IN};
    struct hsm_process process = {.lock_dir = tmp_dir(), .state_dir = tmp_dir()};
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        fake_begin();
        assert_ok(hsm_process_configure(&process, &err), &err);
        fake.context_login_rv = answers[i];
        struct hsm_key key = key_of(true);
        assert_fails(sign(&key, &pin_source, &err), &err, E_TOKEN, "wants its PIN for every");
        assert_false(atomic_load(fake.token.pin_refused));
        fake.context_login_rv = CKR_OK;
        key = key_of(true);
        key.epoch = fake.token.objects_epoch;
        err_clear(&err);
        assert_ok(sign(&key, &pin_source, &err), &err);
    }
}

static bool give_nothing(void *ctx UNUSED, const struct hsm_token_info *token UNUSED,
                         struct secret *pin, struct err *err)
{
    return secret_set(pin, "", 0, err);
}

/* A descriptor that was read for the login gives nothing the second time. */
static void test_empty_pin_is_not_sent_for_an_operation(void **state UNUSED)
{
    struct hsm_pin empty = {.get = give_nothing};
    struct err err = ERR_INIT;

    fake_begin();
    struct hsm_key key = key_of(true);
    assert_fails(sign(&key, &empty, &err), &err, E_PIN_NEEDED, "is empty, so nothing is sent");
    assert_int_equal(fake.context_logins, 0);
}

/* The last session takes the login along, and with it the handles of private keys. */
static void test_failing_operation_does_not_log_out(void **state UNUSED)
{
    struct err err = ERR_INIT;

    fake_begin();
    struct hsm_key key = key_of(false);
    key.copy.state = HSM_COPY_REFUSED;
    assert_ok(sign(&key, NULL, &err), &err);
    fake.sign_rv = CKR_DATA_LEN_RANGE;
    assert_fails(sign(&key, NULL, &err), &err, E_TOKEN, "CKR_DATA_LEN_RANGE");
    fake.sign_rv = CKR_OK;
    fake.sign_init_rv = CKR_MECHANISM_INVALID;
    assert_fails(sign(&key, NULL, &err), &err, E_TOKEN, "CKR_MECHANISM_INVALID");
    fake.sign_init_rv = CKR_OK;
    assert_ok(sign(&key, NULL, &err), &err);
    assert_true(fake.token.logged_in);
    assert_int_equal(fake.opens, fake.closes + 1);
}

static void test_failing_init_drops_the_session(void **state UNUSED)
{
    struct err err = ERR_INIT;

    fake_begin();
    fake.sign_init_rv = CKR_MECHANISM_INVALID;
    struct hsm_key key = key_of(false);
    assert_fails(sign(&key, NULL, &err), &err, E_TOKEN,
                 "key 'www' on token 'prod' (serial 12af): C_SignInit: CKR_MECHANISM_INVALID");
    assert_int_equal(fake.closes, 1);
}

static void test_failing_sign_drops_the_session(void **state UNUSED)
{
    struct err err = ERR_INIT;

    fake_begin();
    fake.sign_rv = CKR_DEVICE_ERROR;
    struct hsm_key key = key_of(false);
    assert_fails(sign(&key, NULL, &err), &err, E_TOKEN, "C_Sign: CKR_DEVICE_ERROR");
    assert_int_equal(err.native, CKR_DEVICE_ERROR);
    assert_int_equal(fake.closes, 1);
}

static bool derive(struct err *err)
{
    static const uint8_t peer[65] = {0x04};
    struct hsm_key key = key_of(false);
    uint8_t out[32];

    return hsm_derive(&key, NULL, peer, sizeof(peer), out, sizeof(out), err) &&
           memcmp(out, "0123456789abcdef0123456789abcdef", sizeof(out)) == 0;
}

static void test_peers_point_goes_as_it_is(void **state UNUSED)
{
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(derive(&err), &err);
    assert_int_equal(fake.derives, 1);
    assert_int_equal(fake_count(CKO_SECRET_KEY), 0);
}

static void test_token_that_wants_the_peers_point_in_der(void **state UNUSED)
{
    static const CK_RV answers[] = {CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD,
                                    CKR_DATA_INVALID};
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        fake_begin();
        fake.derive_rv = answers[i];
        assert_ok(derive(&err), &err);
        assert_int_equal(fake.derives, 2);
    }
}

static void test_other_failures_of_an_agreement_are_final(void **state UNUSED)
{
    struct err err = ERR_INIT;

    fake_begin();
    fake.derive_rv = CKR_KEY_FUNCTION_NOT_PERMITTED;
    assert_fails(derive(&err), &err, E_TOKEN, "C_DeriveKey: CKR_KEY_FUNCTION_NOT_PERMITTED");
    assert_int_equal(fake.derives, 1);
}

static const CK_MECHANISM_TYPE offered[] = {CKM_ECDSA, CKM_RSA_PKCS};
static unsigned lists_read;

static CK_RV list_mechanisms(CK_SLOT_ID slot UNUSED, CK_MECHANISM_TYPE *list, CK_ULONG *count)
{
    lists_read++;
    if (list != NULL) {
        memcpy(list, offered, sizeof(offered));
    }
    *count = ARRAY_LEN(offered);
    return CKR_OK;
}

static void test_mechanisms_are_read_once(void **state UNUSED)
{
    fake_begin();
    fake.fns.C_GetMechanismList = list_mechanisms;
    lists_read = 0;
    assert_true(hsm_token_can(&fake.token, CKM_ECDSA));
    assert_false(hsm_token_can(&fake.token, CKM_RSA_PKCS_PSS));
    assert_true(hsm_token_can(&fake.token, CKM_RSA_PKCS));
    assert_int_equal(lists_read, 2);
}

static void test_token_that_lists_no_mechanisms_can_nothing(void **state UNUSED)
{
    fake_begin();
    assert_false(hsm_token_can(&fake.token, CKM_ECDSA));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signature),
        cmocka_unit_test(test_pin_for_each_operation),
        cmocka_unit_test(test_pin_for_each_operation_without_a_source),
        cmocka_unit_test(test_pin_pad_asks_by_itself),
        cmocka_unit_test(test_wrong_pin_of_an_operation_is_not_sent_again),
        cmocka_unit_test(test_wrong_pin_of_an_operation_is_remembered),
        cmocka_unit_test(test_refusal_that_is_not_about_an_operations_pin),
        cmocka_unit_test(test_last_try_is_not_used_up_by_an_operation),
        cmocka_unit_test(test_empty_pin_is_not_sent_for_an_operation),
        cmocka_unit_test(test_failing_operation_does_not_log_out),
        cmocka_unit_test(test_failing_init_drops_the_session),
        cmocka_unit_test(test_failing_sign_drops_the_session),
        cmocka_unit_test(test_peers_point_goes_as_it_is),
        cmocka_unit_test(test_token_that_wants_the_peers_point_in_der),
        cmocka_unit_test(test_other_failures_of_an_agreement_are_final),
        cmocka_unit_test(test_mechanisms_are_read_once),
        cmocka_unit_test(test_token_that_lists_no_mechanisms_can_nothing),
    };

    return UNIT_RUN(tests);
}
