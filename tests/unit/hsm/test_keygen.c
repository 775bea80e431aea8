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

static CK_RV refuse_and_keep(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                             CK_ATTRIBUTE *public_list, CK_ULONG public_count,
                             CK_ATTRIBUTE *private_list, CK_ULONG private_count,
                             CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key)
{
    attempts++;
    (void)fake_generate(session, mechanism, public_list, public_count, private_list, private_count,
                        public_key, private_key);
    return CKR_CURVE_NOT_SUPPORTED;
}

static void test_edwards_key_that_was_made_in_spite_of_the_refusal_ends_it(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct hsm_key_spec spec;
    struct hsm_verdict verdict;
    struct err err = ERR_INIT;

    fake_begin();
    attempts = 0;
    fake.fns.C_GenerateKeyPair = refuse_and_keep;
    assert_ok(hsm_key_spec_parse("ed25519", &spec, &err), &err);
    struct hsm_policy policy = hsm_policy_signing(spec);
    assert_fails(hsm_keygen(&fake.token, &policy, &name, &key, &verdict, &err), &err, E_TOKEN,
                 "the key that had been made (id abcd) was destroyed again");
    assert_int_equal(attempts, 1);
    assert_int_equal(fake_count(CKO_PRIVATE_KEY), 0);
}

/* The ladder */

static const CK_ATTRIBUTE_TYPE changes[] = {CKA_MODIFIABLE, CKA_COPYABLE};
static const CK_ATTRIBUTE_TYPE zeros[] = {CKA_DECRYPT, CKA_UNWRAP};
static const CK_ATTRIBUTE_TYPE strict[] = {CKA_EXTRACTABLE, CKA_MODIFIABLE};
static char told[4][768];
static size_t told_count;

static void tell(void *ctx UNUSED, const char *left_out, const char *sentence)
{
    assert_true(told_count < ARRAY_LEN(told));
    assert_contains(sentence, left_out);
    (void)snprintf(told[told_count++], sizeof(told[0]), "%s", sentence);
}

static void refuse_attributes(const CK_ATTRIBUTE_TYPE *list, size_t count, CK_RV rv)
{
    fake_begin();
    told_count = 0;
    fake.refused = list;
    fake.refused_count = count;
    fake.refused_rv = rv;
}

static bool climb(enum hsm_choice changeable, struct hsm_keygen_report *report, struct err *err)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct hsm_key_spec spec;

    assert_ok(hsm_key_spec_parse("p256", &spec, err), err);
    struct hsm_policy policy = hsm_policy_signing(spec);
    policy.modifiable = changeable;
    policy.copyable = changeable;
    struct hsm_keygen_request request = {.policy = &policy, .name = &name, .on_rung = tell};
    return hsm_keygen_with(&fake.token, &request, &key, report, err);
}

static void test_willing_token_is_asked_once(void **state UNUSED)
{
    struct hsm_keygen_report report;
    struct err err = ERR_INIT;

    fake_begin();
    told_count = 0;
    assert_ok(climb(HSM_NO, &report, &err), &err);
    assert_int_equal(fake.generates, 1);
    assert_int_equal(report.rung_count, 0);
    assert_string_equal(report.left_out, "");
    assert_int_equal(told_count, 0);
}

static void test_refused_attributes_are_left_out_and_told(void **state UNUSED)
{
    struct hsm_keygen_report report;
    struct err err = ERR_INIT;

    refuse_attributes(changes, ARRAY_LEN(changes), CKR_ATTRIBUTE_TYPE_INVALID);
    assert_ok(climb(HSM_NO, &report, &err), &err);
    assert_int_equal(fake.generates, 2);
    assert_int_equal(report.rung_count, 1);
    assert_int_equal(report.rungs[0].rv, CKR_ATTRIBUTE_TYPE_INVALID);
    assert_string_equal(report.left_out, "CKA_MODIFIABLE, CKA_COPYABLE");
    assert_int_equal(told_count, 1);
    assert_contains(told[0], "refused the template of the key (C_GenerateKeyPair: "
                             "CKR_ATTRIBUTE_TYPE_INVALID); it is asked again without "
                             "CKA_MODIFIABLE, CKA_COPYABLE");
    assert_string_equal(report.verdict.notes,
                        "CKA_MODIFIABLE is not shown, CKA_COPYABLE is not shown");
}

static void test_each_rung_is_tried_once(void **state UNUSED)
{
    struct hsm_keygen_report report;
    struct err err = ERR_INIT;

    refuse_attributes(strict, ARRAY_LEN(strict), CKR_TEMPLATE_INCONSISTENT);
    assert_ok(climb(HSM_NO, &report, &err), &err);
    assert_int_equal(fake.generates, 4); /* strict, changes, zeros, extractable */
    assert_int_equal(report.rung_count, 3);
    assert_contains(report.left_out, "CKA_EXTRACTABLE");
}

static void test_read_back_decides_after_a_rung(void **state UNUSED)
{
    struct hsm_keygen_report report;
    struct err err = ERR_INIT;

    refuse_attributes(zeros, ARRAY_LEN(zeros), CKR_ATTRIBUTE_VALUE_INVALID);
    fake.flip = CKA_DECRYPT;
    assert_fails(climb(HSM_UNSAID, &report, &err), &err, E_POLICY,
                 "CKA_DECRYPT is true (a policy with 'more_usage = accept' tolerates that)");
    assert_int_equal(fake.generates, 2);
    assert_int_equal(fake_count(CKO_PRIVATE_KEY), 0);
}

static void test_bottom_of_the_ladder_is_an_error(void **state UNUSED)
{
    static const CK_ATTRIBUTE_TYPE never[] = {CKA_SENSITIVE};
    struct hsm_keygen_report report;
    struct err err = ERR_INIT;

    refuse_attributes(never, ARRAY_LEN(never), CKR_ATTRIBUTE_TYPE_INVALID);
    assert_fails(climb(HSM_UNSAID, &report, &err), &err, E_TOKEN,
                 "cannot make a EC P-256 key, not even without CKA_EXTRACTABLE, CKA_DECRYPT");
    assert_int_equal(fake.generates, 3);
    assert_int_equal(fake_count(CKO_PRIVATE_KEY), 0);
}

static void test_other_failures_are_not_answered_with_less(void **state UNUSED)
{
    static const CK_RV failures[] = {
        CKR_DEVICE_ERROR,      CKR_DEVICE_MEMORY, CKR_SESSION_HANDLE_INVALID, CKR_PIN_LOCKED,
        CKR_USER_TYPE_INVALID, CKR_GENERAL_ERROR, CKR_TOKEN_WRITE_PROTECTED};

    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        struct hsm_keygen_report report;
        struct err err = ERR_INIT;
        fake_begin();
        fake.generate_rv = failures[i];
        assert_false(climb(HSM_NO, &report, &err));
        assert_int_equal(fake.generates, 1);
        assert_int_equal(report.rung_count, 0);
    }
}

static void test_general_error_is_about_attributes_for_some_modules(void **state UNUSED)
{
    struct hsm_keygen_report report;
    struct err err = ERR_INIT;

    refuse_attributes(changes, ARRAY_LEN(changes), CKR_GENERAL_ERROR);
    fake.module.quirks = HSM_QUIRK(GENERAL_ERROR_FOR_ATTRIBUTES);
    assert_ok(climb(HSM_NO, &report, &err), &err);
    assert_int_equal(fake.generates, 2);
}

static void test_key_that_was_made_in_spite_of_the_refusal_ends_it(void **state UNUSED)
{
    struct hsm_keygen_report report;
    struct err err = ERR_INIT;

    fake_begin();
    fake.generate_rv = CKR_TEMPLATE_INCONSISTENT;
    fake.generate_keeps = true;
    assert_fails(climb(HSM_NO, &report, &err), &err, E_TOKEN,
                 "the key that had been made (id abcd) was destroyed again");
    assert_int_equal(fake.generates, 1);
    assert_int_equal(fake_count(CKO_PRIVATE_KEY), 0);
}

static void test_module_that_does_not_know_its_own_keys_is_believed(void **state UNUSED)
{
    struct hsm_keygen_report report;
    struct err err = ERR_INIT;

    fake_begin();
    fake.flip = CKA_LOCAL;
    fake.module.quirks = HSM_QUIRK(LOCAL_UNKNOWN);
    assert_ok(climb(HSM_UNSAID, &report, &err), &err);
    assert_string_equal(report.verdict.notes, "CKA_LOCAL is false");
    assert_false(report.verdict.local);
}

static void test_token_that_allows_more_is_tolerated_if_the_policy_says_so(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct hsm_keygen_report report;
    struct hsm_key_spec spec;
    struct err err = ERR_INIT;

    fake_begin();
    fake.flip = CKA_DECRYPT;
    assert_ok(hsm_key_spec_parse("p256", &spec, &err), &err);
    struct hsm_policy policy = hsm_policy_signing(spec);
    policy.tolerate_usage = true;
    struct hsm_keygen_request request = {.policy = &policy, .name = &name};
    assert_ok(hsm_keygen_with(&fake.token, &request, &key, &report, &err), &err);
    assert_true(report.verdict.ok);
    assert_string_equal(report.verdict.notes, "CKA_DECRYPT is true");
}

static void test_module_that_cannot_stand_the_strict_template_gets_a_lower_one(void **state UNUSED)
{
    struct hsm_keygen_report report;
    struct err err = ERR_INIT;

    refuse_attributes(zeros, ARRAY_LEN(zeros), CKR_GENERAL_ERROR);
    fake.module.quirks = HSM_QUIRK(NO_USAGE_DENIALS);
    assert_ok(climb(HSM_UNSAID, &report, &err), &err);
    assert_int_equal(fake.generates, 1);
    assert_contains(report.left_out, "CKA_DECRYPT, CKA_UNWRAP");
    assert_contains(told[0], "as its module is known to need");
}

/* Names that were read before */

static bool generate_among(struct hsm_names *names, struct err *err)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct hsm_keygen_report report;
    struct hsm_key_spec spec;

    assert_ok(hsm_key_spec_parse("p256", &spec, err), err);
    struct hsm_policy policy = hsm_policy_signing(spec);
    struct hsm_keygen_request request = {.policy = &policy, .name = &name, .names = names};
    return hsm_keygen_with(&fake.token, &request, &key, &report, err);
}

static void test_known_names_save_searches(void **state UNUSED)
{
    AUTO(hsm_names) struct hsm_names names = HSM_NAMES_INIT;
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(generate_among(NULL, &err), &err);
    unsigned searched = fake.find_inits;
    fake_begin();
    assert_ok(generate_among(&names, &err), &err);
    assert_int_equal(fake.find_inits, searched - 2);
    assert_true(hsm_names_has_id(&names, &id) && hsm_names_has_label(&names, "www"));
}

static void test_known_names_are_refused(void **state UNUSED)
{
    AUTO(hsm_names) struct hsm_names ids = HSM_NAMES_INIT;
    AUTO(hsm_names) struct hsm_names labels = HSM_NAMES_INIT;
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(hsm_names_add_id(&ids, &id, &err), &err);
    assert_ok(hsm_names_add_label(&labels, "www", &err), &err);
    assert_fails(generate_among(&ids, &err), &err, E_OBJECT_EXISTS, "with that id already");
    assert_fails(generate_among(&labels, &err), &err, E_OBJECT_EXISTS, "labelled 'www' already");
    assert_int_equal(fake.generates, 0);
}

/* Ids that are computed */

static bool generate_with_id(enum hsm_id_rule rule, struct hsm_key *key, struct err *err)
{
    struct hsm_keygen_report report;
    struct hsm_key_spec spec;

    assert_ok(hsm_key_spec_parse("p256", &spec, err), err);
    struct hsm_policy policy = hsm_policy_signing(spec);
    struct hsm_keygen_request request = {.policy = &policy, .name = &name, .id_rule = rule};
    return hsm_keygen_with(&fake.token, &request, key, &report, err);
}

static void test_computed_id_is_set_on_both_halves(void **state UNUSED)
{
    /* SHA-1 of 04 41 04 01 02 03 and 61 zero bytes, computed elsewhere */
    static const uint8_t expected[20] = {0x05, 0x0e, 0x3a, 0xb7, 0xd2, 0x66, 0xee,
                                         0xc0, 0xb0, 0x2b, 0xd5, 0x09, 0xa4, 0x2a,
                                         0xb2, 0x21, 0xf9, 0x3e, 0x9e, 0x5a};
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;

    fake_begin();
    assert_ok(generate_with_id(HSM_ID_SHA1, &key, &err), &err);
    assert_int_equal(fake.sets, 2);
    assert_int_equal(key.id.len, 20);
    assert_memory_equal(key.id.data, expected, 20);
}

/* One half has its new id, the other one does not take it, nor does the first give it back. */
static void test_half_changed_ids_leave_nothing(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;

    fake_begin();
    fake.set_rv = CKR_ATTRIBUTE_READ_ONLY;
    fake.set_fails = 2;
    assert_fails(generate_with_id(HSM_ID_SHA1, &key, &err), &err, E_TOKEN,
                 "the key that had been made (ids 050e3ab7d266eec0b02bd509a42ab221f93e9e5a and "
                 "abcd) was destroyed again");
    assert_int_equal(fake_count(CKO_PRIVATE_KEY), 0);
    assert_int_equal(fake_count(CKO_PUBLIC_KEY), 0);
}

static void test_what_cannot_be_destroyed_is_named_by_the_id_it_has(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;

    fake_begin();
    fake.set_rv = CKR_ATTRIBUTE_READ_ONLY;
    fake.set_fails = 2;
    fake.destroy_rv = CKR_ACTION_PROHIBITED;
    assert_fails(
        generate_with_id(HSM_ID_SHA1, &key, &err), &err, E_TOKEN,
        "is still on the token with ids 050e3ab7d266eec0b02bd509a42ab221f93e9e5a and abcd");
}

static void test_id_that_cannot_be_changed_leaves_nothing(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;

    fake_begin();
    fake.set_rv = CKR_ATTRIBUTE_READ_ONLY;
    assert_fails(generate_with_id(HSM_ID_SHA1, &key, &err), &err, E_TOKEN,
                 "giving the new key its id: C_SetAttributeValue: CKR_ATTRIBUTE_READ_ONLY; the key "
                 "that had been made (id abcd) was destroyed again");
    assert_int_equal(fake_count(CKO_PRIVATE_KEY), 0);
    assert_int_equal(fake_count(CKO_PUBLIC_KEY), 0);
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
        cmocka_unit_test(test_edwards_key_that_was_made_in_spite_of_the_refusal_ends_it),
        cmocka_unit_test(test_willing_token_is_asked_once),
        cmocka_unit_test(test_refused_attributes_are_left_out_and_told),
        cmocka_unit_test(test_each_rung_is_tried_once),
        cmocka_unit_test(test_read_back_decides_after_a_rung),
        cmocka_unit_test(test_bottom_of_the_ladder_is_an_error),
        cmocka_unit_test(test_other_failures_are_not_answered_with_less),
        cmocka_unit_test(test_general_error_is_about_attributes_for_some_modules),
        cmocka_unit_test(test_key_that_was_made_in_spite_of_the_refusal_ends_it),
        cmocka_unit_test(test_module_that_does_not_know_its_own_keys_is_believed),
        cmocka_unit_test(test_token_that_allows_more_is_tolerated_if_the_policy_says_so),
        cmocka_unit_test(test_module_that_cannot_stand_the_strict_template_gets_a_lower_one),
        cmocka_unit_test(test_known_names_save_searches),
        cmocka_unit_test(test_known_names_are_refused),
        cmocka_unit_test(test_computed_id_is_set_on_both_halves),
        cmocka_unit_test(test_half_changed_ids_leave_nothing),
        cmocka_unit_test(test_what_cannot_be_destroyed_is_named_by_the_id_it_has),
        cmocka_unit_test(test_id_that_cannot_be_changed_leaves_nothing),
    };

    return UNIT_RUN(tests);
}
