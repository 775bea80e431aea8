#include "hsm/cryptoki.h"

#include "unit/hsm/fake.h"
#include "unit/unit.h"

static void test_function_that_the_module_lacks(void **state UNUSED)
{
    CK_INFO info;

    fake_begin();
    assert_int_equal(ck_get_info(&fake.module.ck, &info), CKR_FUNCTION_NOT_SUPPORTED);
}

static void test_process_that_is_ending(void **state UNUSED)
{
    CK_INFO info;

    fake_begin();
    fake.module.ck.fns = NULL;
    assert_int_equal(ck_get_info(&fake.module.ck, &info), CKR_CRYPTOKI_NOT_INITIALIZED);
}

static int in_flight_seen;
static bool inside_seen;

static CK_RV look_around(CK_INFO *info UNUSED)
{
    in_flight_seen = atomic_load(&fake.module.in_flight);
    inside_seen = cryptoki_inside();
    return CKR_GENERAL_ERROR;
}

static void test_calls_in_flight_are_counted(void **state UNUSED)
{
    CK_INFO info;

    fake_begin();
    fake.fns.C_GetInfo = look_around;
    assert_false(cryptoki_inside());
    assert_int_equal(ck_get_info(&fake.module.ck, &info), CKR_GENERAL_ERROR);
    assert_int_equal(in_flight_seen, 1);
    assert_true(inside_seen);
    assert_int_equal(atomic_load(&fake.module.in_flight), 0);
    assert_false(cryptoki_inside());
}

static void test_person_has_no_time_limit(void **state UNUSED)
{
    struct cryptoki ck = {.fns = NULL};

    cryptoki_default_limits(&ck);
    for (int kind = 0; kind < CALL_KINDS; kind++) {
        assert_int_equal(ck.limit_ms[kind] == 0, kind == CALL_PERSON);
    }
    assert_true(ck.limit_ms[CALL_GENERATE] > ck.limit_ms[CALL_SIGN]);
}

static CK_RV short_signature(CK_SESSION_HANDLE session UNUSED, CK_BYTE *in UNUSED,
                             CK_ULONG in_len UNUSED, CK_BYTE *out UNUSED, CK_ULONG *out_len)
{
    *out_len = 3;
    return CKR_OK;
}

static CK_RV no_signature(CK_SESSION_HANDLE session UNUSED, CK_BYTE *in UNUSED,
                          CK_ULONG in_len UNUSED, CK_BYTE *out UNUSED, CK_ULONG *out_len)
{
    *out_len = 12345;
    return CKR_BUFFER_TOO_SMALL;
}

static void test_length_of_a_signature_is_written_on_success_only(void **state UNUSED)
{
    uint8_t out[64];
    size_t len = sizeof(out);

    fake_begin();
    fake.fns.C_Sign = no_signature;
    assert_int_equal(ck_sign(&fake.module.ck, 1, out, 1, out, &len), CKR_BUFFER_TOO_SMALL);
    assert_int_equal(len, sizeof(out));
    fake.fns.C_Sign = short_signature;
    assert_int_equal(ck_sign(&fake.module.ck, 1, out, 1, out, &len), CKR_OK);
    assert_int_equal(len, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_function_that_the_module_lacks),
        cmocka_unit_test(test_process_that_is_ending),
        cmocka_unit_test(test_calls_in_flight_are_counted),
        cmocka_unit_test(test_person_has_no_time_limit),
        cmocka_unit_test(test_length_of_a_signature_is_written_on_success_only),
    };

    return UNIT_RUN(tests);
}
