#include "hsm/hashing.h"

#include "unit/hsm/fake.h"
#include "unit/unit.h"

static const struct hsm_sign digest = {.scheme = HSM_SIGN_ECDSA, .hash = CKM_SHA256};
static const struct hsm_sign message = {
    .scheme = HSM_SIGN_ECDSA, .hash = CKM_SHA256, .message = true};
static const CK_MECHANISM_TYPE only_digests[] = {CKM_ECDSA};
static const CK_MECHANISM_TYPE only_messages[] = {CKM_ECDSA_SHA256};
static const CK_MECHANISM_TYPE both[] = {CKM_ECDSA, CKM_ECDSA_SHA256};

static struct hsm_key begin(void)
{
    fake_begin();
    fake.token.logged_in = true;
    return (struct hsm_key){.token = &fake.token, .handle = 7, .label = (char *)(uintptr_t) "www"};
}

static bool sign(struct hsm_key *key, const struct hsm_sign *how, struct err *err)
{
    uint8_t out[64];
    size_t len = sizeof(out);

    return hsm_sign(key, how, NULL, (const uint8_t *)"input", 5, out, &len, err);
}

static void test_nothing_is_known_before_the_first_signature(void **state UNUSED)
{
    struct hsm_key key = begin();

    assert_int_equal(hsm_hashing_of(&key, &digest), HSM_HASHING_UNKNOWN);
}

static void test_signed_digest_is_remembered_without_reading_the_list(void **state UNUSED)
{
    struct err err = ERR_INIT;
    struct hsm_key key = begin();

    fake_offer(both, ARRAY_LEN(both));
    assert_ok(sign(&key, &digest, &err), &err);
    assert_int_equal(hsm_hashing_of(&key, &digest), HSM_HASHING_OURS);
    assert_false(hsm_hashing_is_tokens(&key, &digest));
    assert_int_equal(fake.mechanism_lists, 0);
}

static void test_signed_message_says_nothing_of_digests(void **state UNUSED)
{
    struct err err = ERR_INIT;
    struct hsm_key key = begin();

    assert_ok(sign(&key, &message, &err), &err);
    assert_int_equal(fake.used_mechanism, CKM_ECDSA_SHA256);
    assert_int_equal(hsm_hashing_of(&key, &digest), HSM_HASHING_UNKNOWN);
}

static void test_one_scheme_says_nothing_of_another(void **state UNUSED)
{
    const struct hsm_sign pss = {.scheme = HSM_SIGN_RSA_PSS, .hash = CKM_SHA256};
    struct err err = ERR_INIT;
    struct hsm_key key = begin();

    assert_ok(sign(&key, &digest, &err), &err);
    assert_int_equal(hsm_hashing_of(&key, &pss), HSM_HASHING_UNKNOWN);
}

static void test_refused_digest_is_remembered(void **state UNUSED)
{
    struct err err = ERR_INIT;
    struct hsm_key key = begin();

    fake_offer(only_messages, ARRAY_LEN(only_messages));
    assert_fails(sign(&key, &digest, &err), &err, E_TOKEN, "C_SignInit: CKR_MECHANISM_INVALID");
    assert_true(hsm_hashing_refused(&key, &digest));
    assert_int_equal(hsm_hashing_of(&key, &digest), HSM_HASHING_TOKENS);
    assert_int_equal(fake.mechanism_lists, 2); /* its length and its content */
}

/* CKA_ALLOWED_MECHANISMS may not be readable: the token has the mechanism, and the key refuses. */
static void test_refusal_is_the_keys_where_the_token_lists_both(void **state UNUSED)
{
    struct hsm_key key = begin();
    struct hsm_key other = key;

    fake_offer(both, ARRAY_LEN(both));
    assert_true(hsm_hashing_refused(&key, &digest));
    assert_int_equal(hsm_hashing_of(&key, &digest), HSM_HASHING_TOKENS);
    assert_int_equal(hsm_hashing_of(&other, &digest), HSM_HASHING_UNKNOWN);
}

static void test_list_that_was_read_tells_of_all_keys(void **state UNUSED)
{
    struct hsm_key key = begin();

    fake_offer(only_messages, ARRAY_LEN(only_messages));
    assert_int_equal(hsm_hashing_of(&key, &digest), HSM_HASHING_UNKNOWN);
    assert_true(hsm_hashing_is_tokens(&key, &digest));
    assert_int_equal(hsm_hashing_of(&key, &digest), HSM_HASHING_TOKENS);
}

static void test_token_that_cannot_hash_is_not_asked_to(void **state UNUSED)
{
    struct hsm_key key = begin();

    fake_offer(only_digests, ARRAY_LEN(only_digests));
    assert_false(hsm_hashing_is_tokens(&key, &digest));
    assert_false(hsm_hashing_refused(&key, &digest));
}

static void test_schemes_without_a_digest(void **state UNUSED)
{
    const struct hsm_sign eddsa = {.scheme = HSM_SIGN_EDDSA, .message = true};
    const struct hsm_sign raw = {.scheme = HSM_SIGN_RSA_RAW, .message = true};
    CK_MECHANISM_TYPE mechanism = 0;
    struct hsm_key key = begin();

    assert_int_equal(hsm_hashing_of(&key, &eddsa), HSM_HASHING_OURS);
    assert_int_equal(hsm_hashing_of(&key, &raw), HSM_HASHING_OURS);
    assert_false(hsm_sign_mechanism(&eddsa, &mechanism));
    assert_false(hsm_sign_mechanism(&raw, &mechanism));
}

static void test_mechanisms_that_hash(void **state UNUSED)
{
    static const struct {
        struct hsm_sign how;
        CK_MECHANISM_TYPE mechanism;
    } rows[] = {
        {{HSM_SIGN_RSA_PKCS1, CKM_SHA_1, true, 0, 0}, CKM_SHA1_RSA_PKCS},
        {{HSM_SIGN_RSA_PKCS1, CKM_SHA512, true, 0, 0}, CKM_SHA512_RSA_PKCS},
        {{HSM_SIGN_RSA_PSS, CKM_SHA224, true, 0, 0}, CKM_SHA224_RSA_PKCS_PSS},
        {{HSM_SIGN_ECDSA, CKM_SHA384, true, 0, 0}, CKM_ECDSA_SHA384},
        {{HSM_SIGN_RSA_PKCS1, 0x2b0, true, 0, 0}, 0x60}, /* SHA3-256 */
        {{HSM_SIGN_RSA_PSS, 0x2d0, true, 0, 0}, 0x65},   /* SHA3-512 */
        {{HSM_SIGN_ECDSA, 0x2b5, true, 0, 0}, 0x1047},   /* SHA3-224 */
        {{HSM_SIGN_ECDSA, CKM_SHA256, false, 0, 0}, CKM_ECDSA},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CK_MECHANISM_TYPE mechanism = 0;
        assert_true(hsm_sign_mechanism(&rows[i].how, &mechanism));
        assert_int_equal(mechanism, rows[i].mechanism);
    }
}

static void test_hash_that_no_mechanism_has(void **state UNUSED)
{
    const struct hsm_sign truncated = {
        .scheme = HSM_SIGN_ECDSA, .hash = CKM_SHA512_256, .message = true};
    struct err err = ERR_INIT;
    struct hsm_key key = begin();

    assert_fails(sign(&key, &truncated, &err), &err, E_USAGE,
                 "key 'www' on token 'prod' (serial 12af): PKCS#11 has no such signature");
    assert_int_equal(fake.sign_inits, 0);
}

static void allow(struct hsm_key *key, const CK_MECHANISM_TYPE *list, size_t count)
{
    hsm_hashing_allow(key, (const uint8_t *)list, count * sizeof(*list));
}

static void test_key_that_allows_messages_alone(void **state UNUSED)
{
    const struct hsm_sign pkcs1 = {.scheme = HSM_SIGN_RSA_PKCS1, .hash = CKM_SHA256};
    struct hsm_key key = begin();

    allow(&key, only_messages, ARRAY_LEN(only_messages));
    assert_int_equal(hsm_hashing_of(&key, &digest), HSM_HASHING_TOKENS);
    assert_int_equal(hsm_hashing_of(&key, &pkcs1), HSM_HASHING_UNKNOWN);
}

static void test_allowed_mechanisms_that_change_nothing(void **state UNUSED)
{
    struct hsm_key key = begin();

    allow(&key, both, ARRAY_LEN(both));
    allow(&key, only_digests, ARRAY_LEN(only_digests));
    allow(&key, only_messages, 0);
    hsm_hashing_allow(&key, (const uint8_t *)"odd", 3);
    assert_int_equal(hsm_hashing_of(&key, &digest), HSM_HASHING_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_known_before_the_first_signature),
        cmocka_unit_test(test_signed_digest_is_remembered_without_reading_the_list),
        cmocka_unit_test(test_signed_message_says_nothing_of_digests),
        cmocka_unit_test(test_one_scheme_says_nothing_of_another),
        cmocka_unit_test(test_refused_digest_is_remembered),
        cmocka_unit_test(test_refusal_is_the_keys_where_the_token_lists_both),
        cmocka_unit_test(test_list_that_was_read_tells_of_all_keys),
        cmocka_unit_test(test_token_that_cannot_hash_is_not_asked_to),
        cmocka_unit_test(test_schemes_without_a_digest),
        cmocka_unit_test(test_mechanisms_that_hash),
        cmocka_unit_test(test_hash_that_no_mechanism_has),
        cmocka_unit_test(test_key_that_allows_messages_alone),
        cmocka_unit_test(test_allowed_mechanisms_that_change_nothing),
    };

    return UNIT_RUN(tests);
}
