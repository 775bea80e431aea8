#include "hsm/ckr.h"

#include "unit/unit.h"

static void test_known_names(void **state UNUSED)
{
    assert_string_equal(ckr_name(CKR_OK), "CKR_OK");
    assert_string_equal(ckr_name(CKR_PIN_LOCKED), "CKR_PIN_LOCKED");
    assert_string_equal(ckr_name(CKR_FUNCTION_REJECTED), "CKR_FUNCTION_REJECTED");
    assert_string_equal(ckr_name(CKR_CRYPTOKI_ALREADY_INITIALIZED),
                        "CKR_CRYPTOKI_ALREADY_INITIALIZED");
}

static void test_unknown_codes_are_shown_as_numbers(void **state UNUSED)
{
    assert_string_equal(ckr_name(CKR_VENDOR_DEFINED | 0x42UL), "CKR 0x80000042");
    assert_string_equal(ckr_name(0x999), "CKR 0x00000999");
}

static void test_codes_of_login(void **state UNUSED)
{
    assert_int_equal(ckr_code(CKR_PIN_INCORRECT), E_PIN_WRONG);
    assert_int_equal(ckr_code(CKR_PIN_INVALID), E_PIN_WRONG);
    assert_int_equal(ckr_code(CKR_PIN_LEN_RANGE), E_PIN_WRONG);
    assert_int_equal(ckr_code(CKR_PIN_LOCKED), E_PIN_LOCKED);
    /* a login was made before; it is not a PIN that is missing */
    assert_int_equal(ckr_code(CKR_USER_NOT_LOGGED_IN), E_TOKEN);
}

static void test_codes_of_missing_things(void **state UNUSED)
{
    assert_int_equal(ckr_code(CKR_TOKEN_NOT_PRESENT), E_TOKEN_MISSING);
    assert_int_equal(ckr_code(CKR_SLOT_ID_INVALID), E_TOKEN_MISSING);
    assert_int_equal(ckr_code(CKR_DEVICE_REMOVED), E_TOKEN_MISSING);
    assert_int_equal(ckr_code(CKR_OBJECT_HANDLE_INVALID), E_OBJECT_MISSING);
    assert_int_equal(ckr_code(CKR_KEY_HANDLE_INVALID), E_OBJECT_MISSING);
}

static void test_other_codes_are_token_failures(void **state UNUSED)
{
    assert_int_equal(ckr_code(CKR_GENERAL_ERROR), E_TOKEN);
    assert_int_equal(ckr_code(CKR_DEVICE_ERROR), E_TOKEN);
    assert_int_equal(ckr_code(CKR_VENDOR_DEFINED | 1UL), E_TOKEN);
    assert_int_equal(ckr_code(CKR_HOST_MEMORY), E_MEMORY);
}

static void test_set_names_the_call_and_keeps_the_number(void **state UNUSED)
{
    struct err err = ERR_INIT;

    assert_false(ckr_set(&err, CKR_PIN_LOCKED, "C_Login"));
    assert_int_equal(err.code, E_PIN_LOCKED);
    assert_int_equal(err.native, CKR_PIN_LOCKED);
    assert_string_equal(err.msg, "C_Login: CKR_PIN_LOCKED");
}

static void test_stale_codes(void **state UNUSED)
{
    static const CK_RV stale[] = {CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED,
                                  CKR_CRYPTOKI_NOT_INITIALIZED, CKR_DEVICE_ERROR,
                                  CKR_DEVICE_REMOVED};
    static const CK_RV fresh[] = {CKR_OK, CKR_PIN_INCORRECT, CKR_KEY_HANDLE_INVALID,
                                  CKR_OBJECT_HANDLE_INVALID, CKR_GENERAL_ERROR};

    for (size_t i = 0; i < ARRAY_LEN(stale); i++) {
        assert_true(ckr_is_stale(stale[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(fresh); i++) {
        assert_false(ckr_is_stale(fresh[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_names),
        cmocka_unit_test(test_unknown_codes_are_shown_as_numbers),
        cmocka_unit_test(test_codes_of_login),
        cmocka_unit_test(test_codes_of_missing_things),
        cmocka_unit_test(test_other_codes_are_token_failures),
        cmocka_unit_test(test_set_names_the_call_and_keeps_the_number),
        cmocka_unit_test(test_stale_codes),
    };

    return UNIT_RUN(tests);
}
