/* The security officer's login, for tokens that let nobody else generate keys. */
#include "hsm/role.h"

#include "hsm/keygen.h"
#include "hsm/pin_memory.h"
#include "unit/hsm/fake.h"
#include "unit/unit.h"

static bool last_writing;

static CK_RV open_session(CK_SLOT_ID slot UNUSED, CK_FLAGS flags, void *app UNUSED,
                          CK_NOTIFY notify UNUSED, CK_SESSION_HANDLE *session)
{
    last_writing = (flags & CKF_RW_SESSION) != 0;
    *session = 100 + ++fake.opens;
    return CKR_OK;
}

/* As seen on PIV cards: the user may not. */
static CK_RV generate_as_so(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                            CK_ATTRIBUTE *public_list, CK_ULONG public_count,
                            CK_ATTRIBUTE *private_list, CK_ULONG private_count,
                            CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key)
{
    return fake.user == CKU_SO ? fake_generate(session, mechanism, public_list, public_count,
                                               private_list, private_count, public_key, private_key)
                               : CKR_USER_TYPE_INVALID;
}

static bool give(void *ctx, const struct hsm_token_info *token UNUSED, struct secret *pin,
                 struct err *err)
{
    const char *text = ctx;

    return secret_set(pin, text, strlen(text), err);
}

static void begin(void)
{
    fake_begin();
    fake.fns.C_OpenSession = open_session;
    fake.fns.C_GenerateKeyPair = generate_as_so;
    last_writing = false;
}

static bool as_user(struct err *err)
{
    struct hsm_pin pin = {.get = give, .ctx = (char *)(uintptr_t) "user-pin"};

    return hsm_login(&fake.token, &pin, err);
}

static bool as_so(struct err *err)
{
    struct hsm_pin pin = {.get = give, .ctx = (char *)(uintptr_t) "so-pin", .source = "file:/so"};

    return hsm_login_as_so(&fake.token, &pin, err);
}

static void test_so_logs_in_with_a_writing_session(void **state UNUSED)
{
    struct err err = ERR_INIT;

    begin();
    assert_ok(as_so(&err), &err);
    assert_int_equal(fake.user, CKU_SO);
    assert_string_equal(fake.pin, "so-pin");
    assert_true(last_writing);
    assert_ok(as_so(&err), &err);
    assert_int_equal(fake.logins, 1);
}

/* CKR_SESSION_READ_WRITE_SO_EXISTS otherwise. */
static void test_sessions_of_the_so_are_writing_ones(void **state UNUSED)
{
    AUTO(hsm_session) struct hsm_session fresh = HSM_SESSION_INIT;
    AUTO(hsm_session) struct hsm_session taken = HSM_SESSION_INIT;
    struct err err = ERR_INIT;

    begin();
    assert_ok(as_so(&err), &err);
    last_writing = false;
    assert_ok(hsm_session_take_fresh(&fake.token, false, &fresh, &err), &err);
    assert_true(last_writing && fresh.read_write);
    assert_ok(hsm_session_take(&fake.token, false, &taken, &err), &err);
    assert_true(taken.read_write);
}

static void test_user_and_so_take_turns(void **state UNUSED)
{
    struct err err = ERR_INIT;

    begin();
    assert_ok(as_user(&err), &err);
    unsigned before = fake.token.objects_epoch;
    assert_ok(as_so(&err), &err);
    assert_int_equal(fake.closes, fake.opens - 1); /* the user's sessions are gone */
    assert_int_not_equal(fake.token.objects_epoch, before);
    assert_ok(as_user(&err), &err);
    assert_int_equal(fake.user, CKU_USER);
    assert_int_equal(fake.closes, fake.opens - 1);
    assert_int_equal(fake.logins, 3);
}

static void test_nobody_is_thrown_out_of_a_session(void **state UNUSED)
{
    AUTO(hsm_session) struct hsm_session busy = HSM_SESSION_INIT;
    struct err err = ERR_INIT;

    begin();
    assert_ok(as_user(&err), &err);
    assert_ok(hsm_session_take(&fake.token, false, &busy, &err), &err);
    assert_fails(as_so(&err), &err, E_TOKEN, "1 sessions are in use");
    assert_int_equal(fake.logins, 1);
}

static void test_wrong_pin_of_the_so_is_sent_once(void **state UNUSED)
{
    struct err err = ERR_INIT;

    begin();
    fake.login_rv = CKR_PIN_INCORRECT;
    assert_fails(as_so(&err), &err, E_PIN_WRONG, "C_Login (security officer): CKR_PIN_INCORRECT");
    fake.login_rv = CKR_OK;
    assert_fails(as_so(&err), &err, E_PIN_WRONG, "not sent again");
    assert_int_equal(fake.logins, 1);
    assert_ok(as_user(&err), &err); /* whose PIN is another one */
}

static void test_wrong_pin_of_the_so_is_remembered(void **state UNUSED)
{
    struct hsm_process process = {.lock_dir = tmp_dir(), .state_dir = tmp_dir()};
    struct err err = ERR_INIT;

    begin();
    assert_ok(hsm_process_configure(&process, &err), &err);
    fake.login_rv = CKR_PIN_INCORRECT;
    assert_fails(as_so(&err), &err, E_PIN_WRONG, "CKR_PIN_INCORRECT");
    fake.token.so_pin_refused = false; /* as in the next process */
    assert_fails(as_so(&err), &err, E_PIN_LOCKED, "from file:/so at ");
    assert_int_equal(fake.logins, 1);
}

/* Refused without a look at the PIN (PKCS#11 2.40, section 5.6): nothing is used up, nothing
 * remembered. */
static void is_no_try(CK_RV rv, const char *words)
{
    struct hsm_process process = {.lock_dir = tmp_dir(), .state_dir = tmp_dir()};
    struct err err = ERR_INIT;

    begin();
    assert_ok(hsm_process_configure(&process, &err), &err);
    fake.login_rv = rv;
    assert_fails(as_so(&err), &err, E_TOKEN, words);
    assert_contains(err.msg, "no try was used up");
    fake.login_rv = CKR_OK;
    err_clear(&err);
    assert_ok(as_so(&err), &err);
    assert_int_equal(fake.logins, 2);
}

static void test_refusal_that_is_not_about_the_pin_is_no_wrong_pin(void **state UNUSED)
{
    is_no_try(CKR_SESSION_READ_ONLY_EXISTS, "another part of this program");
    is_no_try(CKR_USER_ANOTHER_ALREADY_LOGGED_IN, "the user is logged in already");
}

static CK_STATE other_state;
static CK_ULONG reading_sessions;

static CK_RV session_of_others(CK_SESSION_HANDLE session UNUSED, CK_SESSION_INFO *info)
{
    *info = (CK_SESSION_INFO){.state = other_state};
    return CKR_OK;
}

static CK_RV token_of_others(CK_SLOT_ID slot UNUSED, CK_TOKEN_INFO *info)
{
    memset(info, 0, sizeof(*info));
    info->flags = fake.flags;
    memcpy(info->label, "prod                            ", sizeof(info->label));
    memcpy(info->serialNumber, "12af            ", sizeof(info->serialNumber));
    info->ulRwSessionCount = 1;
    info->ulSessionCount = 1 + reading_sessions;
    return CKR_OK;
}

/* Somebody else in the process initialised the module, and may use it. */
static void test_pin_of_the_so_is_not_sent_where_others_are_in_the_way(void **state UNUSED)
{
    struct err err = ERR_INIT;

    begin();
    fake.fns.C_GetSessionInfo = session_of_others;
    fake.fns.C_GetTokenInfo = token_of_others;
    reading_sessions = 1;
    other_state = CKS_RW_PUBLIC_SESSION;
    assert_fails(as_so(&err), &err, E_TOKEN, "CKR_SESSION_READ_ONLY_EXISTS");
    reading_sessions = 0;
    other_state = CKS_RW_USER_FUNCTIONS;
    assert_fails(as_so(&err), &err, E_TOKEN, "the user is logged in already");
    assert_int_equal(fake.logins, 0);
    other_state = CKS_RW_PUBLIC_SESSION;
    err_clear(&err);
    assert_ok(as_so(&err), &err);
}

static void refuses(CK_FLAGS flag, const char *words)
{
    struct err err = ERR_INIT;

    begin();
    fake.flags |= flag;
    assert_fails(as_so(&err), &err, E_PIN_LOCKED, words);
    assert_int_equal(fake.logins, 0);
}

static void test_flags_of_the_so_are_heeded(void **state UNUSED)
{
    refuses(CKF_SO_PIN_LOCKED, "is locked");
    refuses(CKF_SO_PIN_FINAL_TRY, "one try left for the security officer's PIN");
    refuses(CKF_SO_PIN_COUNT_LOW, "none is sent unattended");
}

static bool generate(struct err *err)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct hsm_key_spec spec;
    struct hsm_verdict verdict;
    struct hsm_id id;

    assert_ok(hsm_key_spec_parse("ec:P-256", &spec, err), err);
    assert_ok(hsm_new_id(&id, err), err);
    struct hsm_policy policy = hsm_policy_signing(spec);
    struct hsm_key_name name = {.id = &id, .label = "k", .id_is_random = true};
    return hsm_keygen(&fake.token, &policy, &name, &key, &verdict, err);
}

static void test_key_that_only_the_so_may_make(void **state UNUSED)
{
    struct err err = ERR_INIT;

    begin();
    assert_ok(as_user(&err), &err);
    assert_fails(generate(&err), &err, E_TOKEN, "CKR_USER_TYPE_INVALID");
    assert_int_equal(err.native, CKR_USER_TYPE_INVALID);
    assert_int_equal(fake_count(CKO_PRIVATE_KEY), 0);
    err_clear(&err);
    assert_ok(as_so(&err), &err);
    assert_ok(generate(&err), &err);
    assert_int_equal(fake_count(CKO_PRIVATE_KEY), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_so_logs_in_with_a_writing_session),
        cmocka_unit_test(test_sessions_of_the_so_are_writing_ones),
        cmocka_unit_test(test_user_and_so_take_turns),
        cmocka_unit_test(test_nobody_is_thrown_out_of_a_session),
        cmocka_unit_test(test_wrong_pin_of_the_so_is_sent_once),
        cmocka_unit_test(test_wrong_pin_of_the_so_is_remembered),
        cmocka_unit_test(test_refusal_that_is_not_about_the_pin_is_no_wrong_pin),
        cmocka_unit_test(test_pin_of_the_so_is_not_sent_where_others_are_in_the_way),
        cmocka_unit_test(test_flags_of_the_so_are_heeded),
        cmocka_unit_test(test_key_that_only_the_so_may_make),
    };

    return UNIT_RUN(tests);
}
