#include "hsm/evidence.h"

#include "unit/hsm/fake.h"
#include "unit/unit.h"

#include <stdlib.h>

static const uint8_t point[65] = {4, 1};

/* A key on the fake token, loaded. */
static void begin(struct hsm_key *key)
{
    struct hsm_session session = fake_session();
    struct err err = ERR_INIT;

    fake_begin();
    CK_OBJECT_HANDLE handle = fake_ec_key("1", "www", point);
    assert_ok(hsm_key_load(&session, handle, CKO_PRIVATE_KEY, false, key, &err), &err);
}

static const struct hsm_claim *claim(const struct hsm_claims *claims, const char *name)
{
    for (size_t i = 0; i < claims->count; i++) {
        if (strcmp(claims->list[i].name, name) == 0) {
            return &claims->list[i];
        }
    }
    fail_msg("no claim %s", name);
    return &claims->list[0];
}

static void read_claims(const struct hsm_key *key, struct hsm_claims *claims)
{
    struct hsm_session session = fake_session();
    struct err err = ERR_INIT;

    assert_ok(hsm_claims_read(&session, key, claims, &err), &err);
}

static void test_flags_are_told_apart_from_what_is_not_shown(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    AUTO(hsm_claims) struct hsm_claims claims = {.count = 0};

    begin(&key);
    read_claims(&key, &claims);
    assert_true(claim(&claims, "CKA_SENSITIVE")->flag);
    assert_false(claim(&claims, "CKA_EXTRACTABLE")->flag);
    assert_string_equal(claim(&claims, "CKA_EXTRACTABLE")->why, "");
    assert_string_equal(claim(&claims, "CKA_COPYABLE")->why, "CKR_ATTRIBUTE_TYPE_INVALID");
}

static void test_mechanisms_have_names_or_numbers(void **state UNUSED)
{
    static const CK_MECHANISM_TYPE allowed[] = {CKM_ECDSA, 0x80000042UL};
    AUTO(hsm_key) struct hsm_key key = {0};
    AUTO(hsm_claims) struct hsm_claims claims = {.count = 0};

    begin(&key);
    fake_number(CKA_KEY_GEN_MECHANISM, CK_UNAVAILABLE_INFORMATION);
    fake_bytes(CKA_ALLOWED_MECHANISMS, allowed, sizeof(allowed));
    read_claims(&key, &claims);
    assert_string_equal(claim(&claims, "CKA_KEY_GEN_MECHANISM")->text, "unavailable");
    assert_string_equal(claim(&claims, "CKA_ALLOWED_MECHANISMS")->text, "CKM_ECDSA 0x80000042");
}

static void test_value_of_a_wrong_size_is_no_claim(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    AUTO(hsm_claims) struct hsm_claims claims = {.count = 0};

    begin(&key);
    fake_bytes(CKA_COPYABLE, "\1\1", 2);
    fake_bytes(CKA_ALLOWED_MECHANISMS, "abc", 3);
    read_claims(&key, &claims);
    assert_string_equal(claim(&claims, "CKA_COPYABLE")->why, "a value of 2 bytes");
    assert_string_equal(claim(&claims, "CKA_ALLOWED_MECHANISMS")->why, "a value of 3 bytes");
}

/* SoftHSM and tpm2-pkcs11 do it for CKA_PUBLIC_KEY_INFO; here a module says OK and no length. */
static CK_RV says_ok_without_length(CK_SESSION_HANDLE session UNUSED,
                                    CK_OBJECT_HANDLE object UNUSED, CK_ATTRIBUTE *list,
                                    CK_ULONG count UNUSED)
{
    list[0].ulValueLen = CK_UNAVAILABLE_INFORMATION;
    return CKR_OK;
}

static void test_ok_without_a_value_is_not_shown(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    AUTO(hsm_claims) struct hsm_claims claims = {.count = 0};

    begin(&key);
    fake.get_attributes = says_ok_without_length;
    read_claims(&key, &claims);
    assert_string_equal(claim(&claims, "CKA_SENSITIVE")->why, "CKR_OK without a value");
}

static CK_RV card_is_gone(CK_SESSION_HANDLE session UNUSED, CK_OBJECT_HANDLE object UNUSED,
                          CK_ATTRIBUTE *list UNUSED, CK_ULONG count UNUSED)
{
    return CKR_DEVICE_REMOVED;
}

static void test_card_that_is_gone_is_no_claim(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct hsm_session session = fake_session();
    struct hsm_claims claims = {.count = 0};
    struct hsm_secret_try secret;
    struct err err = ERR_INIT;

    begin(&key);
    fake.get_attributes = card_is_gone;
    assert_fails(hsm_claims_read(&session, &key, &claims, &err), &err, E_TOKEN_MISSING,
                 "reading CKA_TOKEN of the key on token 'prod'");
    assert_fails(hsm_secret_try(&session, &key, &secret, &err), &err, E_TOKEN_MISSING,
                 "CKR_DEVICE_REMOVED");
}

static struct hsm_secret_try try_secret(const struct hsm_key *key)
{
    struct hsm_session session = fake_session();
    struct hsm_secret_try secret;
    struct err err = ERR_INIT;

    assert_ok(hsm_secret_try(&session, key, &secret, &err), &err);
    return secret;
}

static void test_secret_that_is_refused(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};

    begin(&key);
    struct hsm_secret_try secret = try_secret(&key); /* a card that has no such attribute */
    assert_true(secret.refused);
    assert_string_equal(secret.answer, "CKR_ATTRIBUTE_TYPE_INVALID");
    fake_sensitive(CKA_VALUE);
    secret = try_secret(&key);
    assert_true(secret.refused);
    assert_string_equal(secret.answer, "CKR_ATTRIBUTE_SENSITIVE");
    assert_string_equal(secret.attribute, "CKA_VALUE");
}

static void test_secret_that_is_given(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};

    begin(&key);
    fake_bytes(CKA_VALUE, "0123456789abcdef0123456789abcdef", 32);
    struct hsm_secret_try secret = try_secret(&key);
    assert_false(secret.refused);
    assert_string_equal(secret.answer, "CKR_OK with 32 bytes");
}

static CK_RV refuses_strangely(CK_SESSION_HANDLE session UNUSED, CK_OBJECT_HANDLE object UNUSED,
                               CK_ATTRIBUTE *list UNUSED, CK_ULONG count UNUSED)
{
    return CKR_GENERAL_ERROR;
}

static void test_secret_refused_in_another_way_does_not_count(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};

    begin(&key);
    fake.get_attributes = refuses_strangely;
    struct hsm_secret_try secret = try_secret(&key);
    assert_false(secret.refused);
    assert_string_equal(secret.answer, "CKR_GENERAL_ERROR");
}

static void test_rsa_keys_are_asked_for_their_exponent(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};

    begin(&key);
    key.spec = (struct hsm_key_spec){.type = HSM_KEY_RSA, .bits = 2048};
    assert_string_equal(try_secret(&key).attribute, "CKA_PRIVATE_EXPONENT");
}

static void test_token_without_attestation(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    AUTO(buf) struct buf raw = BUF_INIT(HSM_ATTESTATION_MAX);
    struct hsm_session session = fake_session();
    const struct hsm_form *form = hsm_form_at(0);
    struct err err = ERR_INIT;

    begin(&key);
    assert_ok(hsm_attestation_collect(&session, &key, &form, &raw, &err), &err);
    assert_null(form);
    assert_int_equal(raw.len, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags_are_told_apart_from_what_is_not_shown),
        cmocka_unit_test(test_mechanisms_have_names_or_numbers),
        cmocka_unit_test(test_value_of_a_wrong_size_is_no_claim),
        cmocka_unit_test(test_ok_without_a_value_is_not_shown),
        cmocka_unit_test(test_card_that_is_gone_is_no_claim),
        cmocka_unit_test(test_secret_that_is_refused),
        cmocka_unit_test(test_secret_that_is_given),
        cmocka_unit_test(test_secret_refused_in_another_way_does_not_count),
        cmocka_unit_test(test_rsa_keys_are_asked_for_their_exponent),
        cmocka_unit_test(test_token_without_attestation),
    };

    return UNIT_RUN(tests);
}
