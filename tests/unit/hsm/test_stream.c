#include "hsm/stream.h"

#include "hsm/session.h"
#include "unit/hsm/fake.h"
#include "unit/unit.h"

static const struct hsm_sign how = {.scheme = HSM_SIGN_ECDSA, .hash = CKM_SHA256, .message = true};

static bool give_pin(void *ctx UNUSED, const struct hsm_token_info *token UNUSED,
                     struct secret *pin, struct err *err)
{
    return secret_set(pin, "1234", 4, err);
}

static const struct hsm_pin pin = {.get = give_pin};

static struct hsm_key begin(bool always_authenticate)
{
    fake_begin();
    fake.token.logged_in = true;
    return (struct hsm_key){.token = &fake.token,
                            .handle = 7,
                            .label = (char *)(uintptr_t) "www",
                            .copy = {.state = HSM_COPY_REFUSED},
                            .always_authenticate = always_authenticate};
}

static bool update(struct hsm_stream *stream, struct err *err)
{
    return hsm_stream_update(stream, (const uint8_t *)"piece", 5, err);
}

static bool final(struct hsm_stream *stream, struct err *err)
{
    uint8_t out[64];
    size_t len = sizeof(out);

    return hsm_stream_final(stream, out, &len, err) && len == 64 && out[63] == 'F';
}

static void test_message_in_pieces(void **state UNUSED)
{
    struct err err = ERR_INIT;
    struct hsm_key key = begin(false);
    AUTO(hsm_stream) struct hsm_stream *stream = NULL;

    assert_ok(hsm_stream_begin(&key, &how, &pin, &stream, &err), &err);
    assert_ok(update(stream, &err), &err);
    assert_ok(update(stream, &err), &err);
    assert_ok(final(stream, &err), &err);
    assert_int_equal(fake.used_mechanism, CKM_ECDSA_SHA256);
    assert_int_equal(fake.signed_bytes, 10);
    assert_int_equal(fake.sign_inits, 1);
    assert_int_equal(fake.closes, 0);
}

static void test_nothing_follows_the_end(void **state UNUSED)
{
    struct err err = ERR_INIT;
    struct hsm_key key = begin(false);
    AUTO(hsm_stream) struct hsm_stream *stream = NULL;

    assert_ok(hsm_stream_begin(&key, &how, &pin, &stream, &err), &err);
    assert_ok(final(stream, &err), &err);
    assert_fails(update(stream, &err), &err, E_TOKEN, "ended before its message did");
    assert_fails(final(stream, &err), &err, E_TOKEN, "ended before its message did");
    assert_int_equal(fake.sign_updates, 0);
    assert_int_equal(fake.sign_finals, 1);
}

static void test_stream_that_is_given_up_ends_its_session(void **state UNUSED)
{
    struct err err = ERR_INIT;
    struct hsm_key key = begin(false);
    struct hsm_stream *stream = NULL;

    assert_ok(hsm_stream_begin(&key, &how, &pin, &stream, &err), &err);
    assert_ok(update(stream, &err), &err);
    hsm_stream_free(stream);
    assert_int_equal(fake.closes, 1);
    assert_int_equal(fake.opens, 2); /* the login would have gone with the last one */
    assert_true(fake.token.logged_in);
}

static void test_failing_update_is_the_end(void **state UNUSED)
{
    struct err err = ERR_INIT;
    struct hsm_key key = begin(false);
    AUTO(hsm_stream) struct hsm_stream *stream = NULL;

    assert_ok(hsm_stream_begin(&key, &how, &pin, &stream, &err), &err);
    fake.sign_update_rv = CKR_DATA_LEN_RANGE;
    assert_fails(update(stream, &err), &err, E_TOKEN,
                 "key 'www' on token 'prod' (serial 12af): C_SignUpdate: CKR_DATA_LEN_RANGE");
    assert_fails(final(stream, &err), &err, E_TOKEN, "ended before its message did");
    assert_int_equal(fake.sign_updates, 1);
    assert_int_equal(fake.sign_finals, 0);
    assert_int_equal(fake.closes, 1);
}

static void test_failing_final_is_not_tried_again(void **state UNUSED)
{
    struct err err = ERR_INIT;
    struct hsm_key key = begin(false);
    AUTO(hsm_stream) struct hsm_stream *stream = NULL;

    assert_ok(hsm_stream_begin(&key, &how, &pin, &stream, &err), &err);
    fake.sign_final_rv = CKR_SESSION_HANDLE_INVALID;
    assert_fails(final(stream, &err), &err, E_TOKEN, "C_SignFinal: CKR_SESSION_HANDLE_INVALID");
    assert_int_equal(fake.sign_finals, 1);
    assert_int_equal(fake.sign_inits, 1);
}

static void test_beginning_is_tried_again(void **state UNUSED)
{
    struct err err = ERR_INIT;
    struct hsm_key key = begin(false);
    AUTO(hsm_stream) struct hsm_stream *stream = NULL;

    fake.token.info.login_required = false;
    fake.sign_init_rv = CKR_OPERATION_ACTIVE;
    fake.sign_init_fails = 1;
    assert_ok(hsm_stream_begin(&key, &how, &pin, &stream, &err), &err);
    assert_int_equal(fake.sign_inits, 2);
    assert_ok(final(stream, &err), &err);
}

static void test_beginning_fails_for_good(void **state UNUSED)
{
    struct err err = ERR_INIT;
    struct hsm_key key = begin(false);
    struct hsm_stream *stream = NULL;

    fake.sign_init_rv = CKR_MECHANISM_INVALID;
    assert_fails(hsm_stream_begin(&key, &how, &pin, &stream, &err), &err, E_TOKEN,
                 "C_SignInit: CKR_MECHANISM_INVALID");
    assert_null(stream);
    assert_int_equal(fake.sign_inits, 1);
}

static void test_pin_comes_right_after_the_beginning(void **state UNUSED)
{
    struct err err = ERR_INIT;
    struct hsm_key key = begin(true);
    AUTO(hsm_stream) struct hsm_stream *stream = NULL;

    assert_ok(hsm_stream_begin(&key, &how, &pin, &stream, &err), &err);
    assert_int_equal(fake.context_logins, 1);
    assert_ok(final(stream, &err), &err);
    assert_int_equal(fake.context_logins, 1);
}

/* What the token has hashed is gone when its sessions are. */
static void test_token_that_was_started_anew(void **state UNUSED)
{
    struct err err = ERR_INIT;
    struct hsm_key key = begin(false);
    AUTO(hsm_stream) struct hsm_stream *stream = NULL;

    assert_ok(hsm_stream_begin(&key, &how, &pin, &stream, &err), &err);
    hsm_token_forget(&fake.token, true);
    assert_fails(update(stream, &err), &err, E_TOKEN, "because the token was started anew");
    assert_int_equal(fake.sign_updates, 0);
    hsm_stream_free(TAKE(stream));
    assert_int_equal(fake.closes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_in_pieces),
        cmocka_unit_test(test_nothing_follows_the_end),
        cmocka_unit_test(test_stream_that_is_given_up_ends_its_session),
        cmocka_unit_test(test_failing_update_is_the_end),
        cmocka_unit_test(test_failing_final_is_not_tried_again),
        cmocka_unit_test(test_beginning_is_tried_again),
        cmocka_unit_test(test_beginning_fails_for_good),
        cmocka_unit_test(test_pin_comes_right_after_the_beginning),
        cmocka_unit_test(test_token_that_was_started_anew),
    };

    return UNIT_RUN(tests);
}
