#include "hsm/keygen.h"

#include "unit/hsm/fake.h"
#include "unit/unit.h"

static const struct hsm_id id = {.set = true, .len = 2, .data = {0xab, 0xcd}};
static const struct hsm_key_name name = {.id = &id, .label = "www", .id_is_random = true};

static bool generate(struct hsm_key *key, struct hsm_verdict *verdict, struct err *err)
{
    struct hsm_key_spec spec;

    assert_ok(hsm_key_spec_parse("p256", &spec, err), err);
    struct hsm_policy policy = hsm_policy_signing(spec);
    return hsm_keygen(&fake.token, &policy, &name, key, verdict, err);
}

static void fails(enum err_code code, const char *words)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct hsm_verdict verdict;
    struct err err = ERR_INIT;

    assert_fails(generate(&key, &verdict, &err), &err, code, words);
    assert_null(key.label);
}

static void test_new_ids_are_random(void **state UNUSED)
{
    struct hsm_id a;
    struct hsm_id b;
    struct err err = ERR_INIT;

    assert_ok(hsm_new_id(&a, &err), &err);
    assert_ok(hsm_new_id(&b, &err), &err);
    assert_true(a.set);
    assert_int_equal(a.len, HSM_NEW_ID_BYTES);
    assert_memory_not_equal(a.data, b.data, HSM_NEW_ID_BYTES);
}

static void test_key_is_made_and_read_back(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct hsm_verdict verdict;
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(generate(&key, &verdict, &err), &err);
    assert_string_equal(key.label, "www");
    assert_true(verdict.ok);
    assert_true(key.public.known);
    assert_int_equal(fake_count(CKO_PRIVATE_KEY), 1);
    assert_true(fake.opens >= 2);
}

static void test_violated_policy_destroys_the_key(void **state UNUSED)
{
    fake_begin();
    fake.flip = CKA_EXTRACTABLE;
    fails(E_POLICY, "did not make the key that was asked for: CKA_EXTRACTABLE is true; the key "
                    "that had been made (id abcd) was destroyed again");
    assert_int_equal(fake_count(CKO_PRIVATE_KEY), 0);
    assert_int_equal(fake_count(CKO_PUBLIC_KEY), 0);
}

static void test_failure_that_leaves_a_key_is_cleaned_up(void **state UNUSED)
{
    fake_begin();
    fake.generate_rv = CKR_DEVICE_MEMORY;
    fake.generate_keeps = true;
    fails(E_TOKEN, "cannot make a EC P-256 key: C_GenerateKeyPair: CKR_DEVICE_MEMORY; the key that "
                   "had been made (id abcd) was destroyed again");
    assert_int_equal(fake_count(CKO_PRIVATE_KEY), 0);
}

/* Another process took the same id: its key is not ours to destroy. */
static CK_RV generate_beside_another(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                                     CK_ATTRIBUTE *a, CK_ULONG b, CK_ATTRIBUTE *c, CK_ULONG d,
                                     CK_OBJECT_HANDLE *e, CK_OBJECT_HANDLE *f)
{
    static const uint8_t point[65] = {0x04};

    (void)fake_ec_key("\xab\xcd", "other", point);
    return fake_generate(session, mechanism, a, b, c, d, e, f);
}

static void test_key_of_another_process_with_that_id_is_left_alone(void **state UNUSED)
{
    fake_begin();
    fake.fns.C_GenerateKeyPair = generate_beside_another;
    fails(E_OBJECT_AMBIGUOUS, "the key that had been made (id abcd) was destroyed again");
    assert_int_equal(fake_count(CKO_PRIVATE_KEY), 1);
    assert_int_equal(fake_count(CKO_PUBLIC_KEY), 0);
}

static void test_failure_under_a_chosen_id_touches_nothing(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct hsm_key_spec spec;
    struct hsm_verdict verdict;
    struct err err = ERR_INIT;

    fake_begin();
    fake.generate_rv = CKR_DEVICE_MEMORY;
    fake.generate_keeps = true;
    assert_ok(hsm_key_spec_parse("p256", &spec, &err), &err);
    struct hsm_policy policy = hsm_policy_signing(spec);
    struct hsm_key_name chosen = {.id = &id, .label = "www"};
    assert_fails(hsm_keygen(&fake.token, &policy, &chosen, &key, &verdict, &err), &err, E_TOKEN,
                 "there is something with id abcd on the token now");
    assert_int_equal(fake_count(CKO_PRIVATE_KEY), 1);
}

static void test_failure_without_a_key_says_nothing_of_one(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct hsm_verdict verdict;
    struct err err = ERR_INIT;

    fake_begin();
    fake.generate_rv = CKR_MECHANISM_INVALID;
    assert_fails(generate(&key, &verdict, &err), &err, E_TOKEN, "CKR_MECHANISM_INVALID");
    assert_lacks(err.msg, "abcd");
}

static void test_key_that_cannot_be_destroyed_is_named(void **state UNUSED)
{
    fake_begin();
    fake.flip = CKA_SENSITIVE;
    fake.destroy_rv = CKR_ACTION_PROHIBITED;
    fails(E_POLICY, "could not be destroyed and is still on the token with id abcd");
    assert_int_equal(fake_count(CKO_PRIVATE_KEY), 1);
}

static CK_RV refuse(CK_SESSION_HANDLE session UNUSED, CK_MECHANISM *mechanism UNUSED,
                    CK_ATTRIBUTE *a UNUSED, CK_ULONG b UNUSED, CK_ATTRIBUTE *c UNUSED,
                    CK_ULONG d UNUSED, CK_OBJECT_HANDLE *e UNUSED, CK_OBJECT_HANDLE *f UNUSED)
{
    fake.open_rv = CKR_DEVICE_REMOVED;
    return CKR_DEVICE_REMOVED;
}

static void test_key_whose_fate_is_unknown_is_named(void **state UNUSED)
{
    fake_begin();
    fake.fns.C_GenerateKeyPair = refuse;
    fails(E_TOKEN_MISSING, "could not be found out: it would have id abcd");
}

static void test_used_id_is_refused(void **state UNUSED)
{
    fake_begin();
    (void)fake_object(CKO_CERTIFICATE, "\xab\xcd", "other");
    fails(E_OBJECT_EXISTS, "an object with that id already");
    assert_int_equal(fake.destroys, 0);
    assert_int_equal(fake_count(CKO_PRIVATE_KEY), 0);
}

static void test_used_label_is_refused(void **state UNUSED)
{
    fake_begin();
    (void)fake_object(CKO_PRIVATE_KEY, "x", "www");
    fails(E_OBJECT_EXISTS, "a private key labelled 'www' already");
    assert_int_equal(fake.destroys, 0);
    assert_int_equal(fake_count(CKO_PRIVATE_KEY), 1);
}

static void test_label_of_a_certificate_may_be_used(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct hsm_verdict verdict;
    struct err err = ERR_INIT;

    fake_begin();
    (void)fake_object(CKO_CERTIFICATE, "x", "www");
    assert_ok(generate(&key, &verdict, &err), &err);
}

static void test_write_protected_token_is_refused(void **state UNUSED)
{
    fake_begin();
    fake.token.info.write_protected = true;
    fails(E_TOKEN, "write-protected");
    assert_int_equal(fake.opens, 0);
}

static void test_key_without_a_public_half_is_refused(void **state UNUSED)
{
    fake_begin();
    fake.no_public_half = true;
    fails(E_POLICY, "shows no public half of the new key");
    assert_int_equal(fake_count(CKO_PRIVATE_KEY), 0);
}

static CK_ATTRIBUTE_TYPE refused_tag;
static CK_MECHANISM_TYPE used_mechanism;
static unsigned attempts;

/* Knows curves by their names (tag 0x13) or by their OIDs (tag 0x06). */
static CK_RV generate_edwards(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                              CK_ATTRIBUTE *public_list, CK_ULONG public_count,
                              CK_ATTRIBUTE *private_list, CK_ULONG private_count,
                              CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key)
{
    attempts++;
    used_mechanism = mechanism->mechanism;
    for (CK_ULONG i = 0; i < public_count; i++) {
        const uint8_t *value = public_list[i].pValue;
        if (public_list[i].type == CKA_EC_PARAMS && value[0] == refused_tag) {
            return CKR_CURVE_NOT_SUPPORTED;
        }
    }
    return fake_generate(session, mechanism, public_list, public_count, private_list, private_count,
                         public_key, private_key);
}

static void generates_edwards(CK_ATTRIBUTE_TYPE refused, unsigned expected)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct hsm_key_spec spec;
    struct hsm_verdict verdict;
    struct err err = ERR_INIT;

    fake_begin();
    refused_tag = refused;
    attempts = 0;
    fake.fns.C_GenerateKeyPair = generate_edwards;
    assert_ok(hsm_key_spec_parse("ed25519", &spec, &err), &err);
    struct hsm_policy policy = hsm_policy_signing(spec);
    struct hsm_key_name called = {.id = &id, .label = "www", .id_is_random = true};
    /* what the fake makes is a P-256 key */
    assert_fails(hsm_keygen(&fake.token, &policy, &called, &key, &verdict, &err), &err, E_POLICY,
                 "the key is EC P-256 instead of Ed25519");
    assert_int_equal(used_mechanism, CKM_EC_EDWARDS_KEY_PAIR_GEN);
    assert_int_equal(attempts, expected);
}

static void test_edwards_curve_is_named_by_its_oid(void **state UNUSED)
{
    generates_edwards(0, 1);
}

static void test_edwards_curve_is_named_by_its_name_where_the_oid_is_refused(void **state UNUSED)
{
    generates_edwards(0x06, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_ids_are_random),
        cmocka_unit_test(test_key_is_made_and_read_back),
        cmocka_unit_test(test_violated_policy_destroys_the_key),
        cmocka_unit_test(test_failure_that_leaves_a_key_is_cleaned_up),
        cmocka_unit_test(test_key_of_another_process_with_that_id_is_left_alone),
        cmocka_unit_test(test_failure_under_a_chosen_id_touches_nothing),
        cmocka_unit_test(test_failure_without_a_key_says_nothing_of_one),
        cmocka_unit_test(test_key_that_cannot_be_destroyed_is_named),
        cmocka_unit_test(test_key_whose_fate_is_unknown_is_named),
        cmocka_unit_test(test_used_id_is_refused),
        cmocka_unit_test(test_used_label_is_refused),
        cmocka_unit_test(test_label_of_a_certificate_may_be_used),
        cmocka_unit_test(test_write_protected_token_is_refused),
        cmocka_unit_test(test_key_without_a_public_half_is_refused),
        cmocka_unit_test(test_edwards_curve_is_named_by_its_oid),
        cmocka_unit_test(test_edwards_curve_is_named_by_its_name_where_the_oid_is_refused),
    };

    return UNIT_RUN(tests);
}
