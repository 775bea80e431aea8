#include "hsm/ladder.h"

#include "unit/unit.h"

/* The whole way down, as text: "CKA_MODIFIABLE | CKA_MODIFIABLE, CKA_UNWRAP | ..." */
static const char *way_down(struct hsm_policy policy)
{
    AUTO(buf) struct buf out = BUF_INIT(2000);

    while (hsm_ladder_next(&policy, &policy.left_out)) {
        AUTO(buf) struct buf names = BUF_INIT(512);
        hsm_policy_group_names(&policy, policy.left_out, &names);
        buf_addf(&out, "%s\n", buf_str(&names));
    }
    return tmp_printf("%s", buf_str(&out));
}

static void test_full_policy_has_every_rung(void **state UNUSED)
{
    struct hsm_policy policy = {.usage = HSM_USE_SIGN,
                                .modifiable = HSM_NO,
                                .copyable = HSM_NO,
                                .mechanisms = {CKM_ECDSA},
                                .mechanism_count = 1};

    assert_golden(
        way_down(policy),
        "CKA_MODIFIABLE, CKA_COPYABLE\n"
        "CKA_MODIFIABLE, CKA_COPYABLE, CKA_ALLOWED_MECHANISMS\n"
        "CKA_MODIFIABLE, CKA_COPYABLE, CKA_ALLOWED_MECHANISMS, CKA_DECRYPT, CKA_UNWRAP, "
        "CKA_SIGN_RECOVER, CKA_DERIVE\n"
        "CKA_MODIFIABLE, CKA_COPYABLE, CKA_ALLOWED_MECHANISMS, CKA_EXTRACTABLE, CKA_DECRYPT, "
        "CKA_UNWRAP, CKA_SIGN_RECOVER, CKA_DERIVE\n");
}

static void test_rungs_that_change_nothing_are_passed_over(void **state UNUSED)
{
    struct hsm_policy policy = {.usage = HSM_USE_SIGN};

    assert_golden(way_down(policy), "CKA_DECRYPT, CKA_UNWRAP, CKA_SIGN_RECOVER, CKA_DERIVE\n"
                                    "CKA_EXTRACTABLE, CKA_DECRYPT, CKA_UNWRAP, CKA_SIGN_RECOVER, "
                                    "CKA_DERIVE\n");
}

static void test_usages_that_are_wanted_stay(void **state UNUSED)
{
    struct hsm_policy policy = {.usage = HSM_USE_DECRYPT | HSM_USE_DERIVE, .extractable = true};

    assert_golden(way_down(policy), "CKA_SIGN, CKA_UNWRAP, CKA_SIGN_RECOVER\n");
}

static void test_only_answers_about_the_template_count(void **state UNUSED)
{
    static const struct {
        CK_RV rv;
        bool counts;
    } cases[] = {
        {CKR_TEMPLATE_INCONSISTENT, true},   {CKR_TEMPLATE_INCOMPLETE, true},
        {CKR_ATTRIBUTE_TYPE_INVALID, true},  {CKR_ATTRIBUTE_VALUE_INVALID, true},
        {CKR_ATTRIBUTE_READ_ONLY, true},     {CKR_OK, false},
        {CKR_GENERAL_ERROR, false},          {CKR_FUNCTION_FAILED, false},
        {CKR_MECHANISM_INVALID, false},      {CKR_DEVICE_ERROR, false},
        {CKR_DEVICE_MEMORY, false},          {CKR_DEVICE_REMOVED, false},
        {CKR_SESSION_HANDLE_INVALID, false}, {CKR_SESSION_READ_ONLY, false},
        {CKR_PIN_INCORRECT, false},          {CKR_PIN_LOCKED, false},
        {CKR_USER_NOT_LOGGED_IN, false},     {CKR_USER_TYPE_INVALID, false},
        {CKR_TOKEN_WRITE_PROTECTED, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(hsm_is_template_fault(cases[i].rv, false), cases[i].counts);
    }
}

static void test_general_error_counts_for_some_modules(void **state UNUSED)
{
    assert_true(hsm_is_template_fault(CKR_GENERAL_ERROR, true));
    assert_false(hsm_is_template_fault(CKR_DEVICE_ERROR, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_policy_has_every_rung),
        cmocka_unit_test(test_rungs_that_change_nothing_are_passed_over),
        cmocka_unit_test(test_usages_that_are_wanted_stay),
        cmocka_unit_test(test_only_answers_about_the_template_count),
        cmocka_unit_test(test_general_error_counts_for_some_modules),
    };

    return UNIT_RUN(tests);
}
