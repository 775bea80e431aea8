#include "hsm/policy.h"

#include "unit/unit.h"

#include <stdlib.h>

static struct hsm_key_spec spec_of(const char *text)
{
    struct hsm_key_spec spec;
    struct err err = ERR_INIT;

    assert_ok(hsm_key_spec_parse(text, &spec, &err), &err);
    return spec;
}

static const struct hsm_id id = {.set = true, .len = 2, .data = {1, 0xff}};

/* A template as text: "CKA_TOKEN=true\n..." */
static const char *text_of(const struct attrs *attrs)
{
    AUTO(buf) struct buf out = BUF_INIT(4000);

    for (CK_ULONG i = 0; i < attrs->count; i++) {
        attr_print(&out, attrs->list[i].type, attrs->list[i].pValue, attrs->list[i].ulValueLen);
        buf_add_str(&out, "\n");
    }
    return tmp_printf("%s", buf_str(&out));
}

static void test_private_template(void **state UNUSED)
{
    struct hsm_policy policy = hsm_policy_signing(spec_of("rsa:3072"));
    struct attrs attrs = ATTRS_INIT;

    hsm_policy_private_template(&policy, &id, "www", &attrs);
    assert_golden(text_of(&attrs), "CKA_TOKEN=true\n"
                                   "CKA_PRIVATE=true\n"
                                   "CKA_SENSITIVE=true\n"
                                   "CKA_EXTRACTABLE=false\n"
                                   "CKA_SIGN=true\n"
                                   "CKA_DECRYPT=false\n"
                                   "CKA_UNWRAP=false\n"
                                   "CKA_SIGN_RECOVER=false\n"
                                   "CKA_DERIVE=false\n"
                                   "CKA_ID=01ff\n"
                                   "CKA_LABEL='www'\n");
}

static void test_private_template_with_a_pin_for_each_use(void **state UNUSED)
{
    struct hsm_policy policy = hsm_policy_signing(spec_of("rsa:3072"));
    struct attrs attrs = ATTRS_INIT;

    policy.always_authenticate = true;
    hsm_policy_private_template(&policy, &id, "www", &attrs);
    assert_contains(text_of(&attrs), "CKA_ALWAYS_AUTHENTICATE=true\n");
}

static void test_templates_for_another_usage(void **state UNUSED)
{
    struct hsm_policy policy = hsm_policy_signing(spec_of("rsa:3072"));
    struct attrs private = ATTRS_INIT;
    struct attrs public = ATTRS_INIT;

    policy.usage = HSM_USE_DECRYPT;
    hsm_policy_private_template(&policy, &id, "www", &private);
    hsm_policy_public_template(&policy, &id, "www", &public);
    assert_contains(text_of(&private), "CKA_SIGN=false\nCKA_DECRYPT=true\n");
    assert_contains(text_of(&private), "CKA_DERIVE=false\n");
    assert_contains(text_of(&public), "CKA_VERIFY=false\nCKA_ENCRYPT=true\n");
}

static void test_public_template_of_rsa(void **state UNUSED)
{
    struct hsm_policy policy = hsm_policy_signing(spec_of("rsa:3072"));
    struct attrs attrs = ATTRS_INIT;

    hsm_policy_public_template(&policy, &id, "www", &attrs);
    assert_golden(text_of(&attrs), "CKA_TOKEN=true\n"
                                   "CKA_PRIVATE=false\n"
                                   "CKA_VERIFY=true\n"
                                   "CKA_ENCRYPT=false\n"
                                   "CKA_WRAP=false\n"
                                   "CKA_MODULUS_BITS=0xc00\n"
                                   "CKA_PUBLIC_EXPONENT (3 bytes)\n"
                                   "CKA_ID=01ff\n"
                                   "CKA_LABEL='www'\n");
    assert_memory_equal(attrs_find(&attrs, CKA_PUBLIC_EXPONENT)->pValue, "\x01\x00\x01", 3);
}

static void test_public_template_of_ec(void **state UNUSED)
{
    struct hsm_policy policy = hsm_policy_signing(spec_of("ec:P-384"));
    struct attrs attrs = ATTRS_INIT;

    hsm_policy_public_template(&policy, &id, "www", &attrs);
    assert_golden(text_of(&attrs), "CKA_TOKEN=true\n"
                                   "CKA_PRIVATE=false\n"
                                   "CKA_VERIFY=true\n"
                                   "CKA_ENCRYPT=false\n"
                                   "CKA_WRAP=false\n"
                                   "CKA_EC_PARAMS=06052b81040022\n"
                                   "CKA_ID=01ff\n"
                                   "CKA_LABEL='www'\n");
}

static void test_attributes_to_read_cover_the_template(void **state UNUSED)
{
    struct hsm_policy policy = hsm_policy_signing(spec_of("rsa:3072"));
    struct attrs attrs = ATTRS_INIT;
    size_t count = 0;
    const CK_ATTRIBUTE_TYPE *types = hsm_policy_attributes(&count);

    policy.always_authenticate = true;
    hsm_policy_private_template(&policy, &id, "www", &attrs);
    assert_true(count <= ATTRS_MAX);
    for (CK_ULONG i = 0; i < attrs.count; i++) {
        bool found = attrs.list[i].type == CKA_ID || attrs.list[i].type == CKA_LABEL;
        for (size_t k = 0; k < count; k++) {
            found = found || types[k] == attrs.list[i].type;
        }
        assert_true(found);
    }
}

/* A key as a good token shows it, with one attribute changed: 0, 1, or absent (-1). */
static const struct {
    CK_ATTRIBUTE_TYPE type;
    int value;
    bool may_be_absent;
} good[] = {
    {CKA_TOKEN, 1, false},
    {CKA_PRIVATE, 1, false},
    {CKA_SENSITIVE, 1, false},
    {CKA_EXTRACTABLE, 0, false},
    {CKA_SIGN, 1, false},
    {CKA_DECRYPT, 0, true},
    {CKA_UNWRAP, 0, true},
    {CKA_SIGN_RECOVER, 0, true},
    {CKA_DERIVE, 0, true},
    {CKA_LOCAL, 1, true},
    {CKA_ALWAYS_SENSITIVE, 1, true},
    {CKA_NEVER_EXTRACTABLE, 1, true},
};

static void check_for(unsigned usage, CK_ATTRIBUTE_TYPE changed, int value,
                      struct hsm_verdict *verdict)
{
    struct hsm_policy policy = hsm_policy_signing(spec_of("rsa:3072"));
    struct hsm_key_spec found = spec_of("rsa:3072");
    AUTO(attr_values) struct attr_values values = {.count = 0};

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct attr_value *v = &values.list[values.count++];
        int shown = good[i].type == changed ? value : good[i].value;
        v->type = good[i].type;
        v->present = shown >= 0;
        v->data = malloc(1);
        assert_non_null(v->data);
        v->data[0] = shown > 0 ? 1 : 0;
        v->len = 1;
    }
    policy.usage = usage;
    hsm_policy_check(&policy, &found, &values, verdict);
}

static void check(CK_ATTRIBUTE_TYPE changed, int value, struct hsm_verdict *verdict)
{
    check_for(HSM_USE_SIGN, changed, value, verdict);
}

static void test_good_key_passes(void **state UNUSED)
{
    struct hsm_verdict verdict;

    check(CKA_VENDOR_DEFINED, 0, &verdict);
    assert_true(verdict.ok);
    assert_string_equal(verdict.violations, "");
    assert_true(verdict.sensitive && verdict.always_sensitive && verdict.never_extractable &&
                verdict.local && !verdict.extractable);
}

static void test_each_wrong_value_is_named(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct hsm_verdict verdict;
        check(good[i].type, good[i].value == 0, &verdict);
        assert_false(verdict.ok);
        assert_string_equal(verdict.violations, tmp_printf("%s is %s", attr_name(good[i].type),
                                                           good[i].value == 0 ? "true" : "false"));
    }
}

static void test_more_usage_alone_is_told_from_other_violations(void **state UNUSED)
{
    struct hsm_verdict verdict;

    check(CKA_DECRYPT, 1, &verdict);
    assert_true(verdict.only_more_usage);
    check(CKA_SIGN, 0, &verdict);
    assert_false(verdict.only_more_usage);
    check(CKA_EXTRACTABLE, 1, &verdict);
    assert_false(verdict.only_more_usage);
    check(CKA_VENDOR_DEFINED, 0, &verdict);
    assert_false(verdict.only_more_usage);
}

/* Policies of one's own */

static void check_own(const struct hsm_policy *policy, CK_ATTRIBUTE_TYPE type, const void *data,
                      size_t len, struct hsm_verdict *verdict)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};
    static const CK_ATTRIBUTE_TYPE flags[] = {CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE, CKA_SIGN};

    for (size_t i = 0; i < ARRAY_LEN(flags) + 2; i++) {
        struct attr_value *v = &values.list[values.count++];
        size_t size = i == ARRAY_LEN(flags) + 1 ? len : 1;
        v->type = i < ARRAY_LEN(flags) ? flags[i] : i == ARRAY_LEN(flags) ? CKA_EXTRACTABLE : type;
        v->present = true;
        v->len = size;
        v->data = calloc(1, size + 1);
        assert_non_null(v->data);
        if (i > ARRAY_LEN(flags)) {
            memcpy(v->data, data, len);
        } else {
            v->data[0] = i < ARRAY_LEN(flags) || policy->extractable ? 1 : 0;
        }
    }
    hsm_policy_check(policy, &policy->spec, &values, verdict);
}

static void test_own_policy_template(void **state UNUSED)
{
    struct hsm_policy policy = hsm_policy_signing(spec_of("rsa:3072"));
    struct attrs attrs = ATTRS_INIT;

    policy.extractable = true;
    policy.readable = true;
    policy.modifiable = HSM_NO;
    policy.copyable = HSM_YES;
    policy.mechanisms[0] = CKM_RSA_PKCS;
    policy.mechanism_count = 1;
    hsm_policy_private_template(&policy, &id, "www", &attrs);
    assert_contains(text_of(&attrs), "CKA_SENSITIVE=false\nCKA_EXTRACTABLE=true\n");
    assert_contains(text_of(&attrs), "CKA_MODIFIABLE=false\nCKA_COPYABLE=true\n");
    assert_contains(text_of(&attrs), "CKA_ALLOWED_MECHANISMS");
    assert_true(hsm_policy_is_weak(&policy));
}

static void test_groups_are_left_out_of_the_template(void **state UNUSED)
{
    struct hsm_policy policy = hsm_policy_signing(spec_of("rsa:3072"));
    struct attrs private = ATTRS_INIT;
    struct attrs public = ATTRS_INIT;

    policy.modifiable = HSM_NO;
    policy.left_out = hsm_policy_groups(&policy);
    hsm_policy_private_template(&policy, &id, "www", &private);
    hsm_policy_public_template(&policy, &id, "www", &public);
    assert_golden(text_of(&private), "CKA_TOKEN=true\nCKA_PRIVATE=true\nCKA_SENSITIVE=true\n"
                                     "CKA_SIGN=true\nCKA_ID=01ff\nCKA_LABEL='www'\n");
    assert_lacks(text_of(&public), "CKA_ENCRYPT");
    assert_contains(text_of(&public), "CKA_VERIFY=true\n");
}

static void test_extractable_key_is_judged_by_its_policy(void **state UNUSED)
{
    struct hsm_policy policy = hsm_policy_signing(spec_of("rsa:3072"));
    static const uint8_t no = 0;
    struct hsm_verdict verdict;

    policy.extractable = true;
    check_own(&policy, CKA_NEVER_EXTRACTABLE, &no, 1, &verdict);
    assert_true(verdict.ok);
    policy.extractable = false;
    check_own(&policy, CKA_NEVER_EXTRACTABLE, &no, 1, &verdict);
    assert_string_equal(verdict.violations, "CKA_NEVER_EXTRACTABLE is false");
}

static void test_demands_that_are_not_shown_are_noted(void **state UNUSED)
{
    struct hsm_policy policy = hsm_policy_signing(spec_of("rsa:3072"));
    static const uint8_t yes = 1;
    struct hsm_verdict verdict;

    policy.modifiable = HSM_NO;
    policy.mechanisms[0] = CKM_RSA_PKCS;
    policy.mechanism_count = 1;
    check_own(&policy, CKA_LOCAL, &yes, 1, &verdict);
    assert_true(verdict.ok);
    assert_string_equal(verdict.notes,
                        "CKA_MODIFIABLE is not shown, CKA_ALLOWED_MECHANISMS is not shown");
    check_own(&policy, CKA_MODIFIABLE, &yes, 1, &verdict);
    assert_string_equal(verdict.violations, "CKA_MODIFIABLE is true");
}

static void test_allowed_mechanisms_are_compared(void **state UNUSED)
{
    struct hsm_policy policy = hsm_policy_signing(spec_of("rsa:3072"));
    CK_MECHANISM_TYPE shown[] = {CKM_RSA_PKCS, CKM_RSA_PKCS_PSS};
    struct hsm_verdict verdict;

    policy.mechanisms[0] = CKM_RSA_PKCS_PSS;
    policy.mechanisms[1] = CKM_RSA_PKCS;
    policy.mechanism_count = 2;
    check_own(&policy, CKA_ALLOWED_MECHANISMS, shown, sizeof(shown), &verdict);
    assert_true(verdict.ok);
    policy.mechanism_count = 1;
    check_own(&policy, CKA_ALLOWED_MECHANISMS, shown, sizeof(shown), &verdict);
    assert_string_equal(verdict.violations, "CKA_ALLOWED_MECHANISMS allows others");
    check_own(&policy, CKA_ALLOWED_MECHANISMS, shown, 0, &verdict);
    assert_false(verdict.ok);
    check_own(&policy, CKA_ALLOWED_MECHANISMS, shown, 3, &verdict);
    assert_false(verdict.ok);
}

static void test_usage_that_is_wanted_has_to_be_shown(void **state UNUSED)
{
    struct hsm_verdict verdict;

    check_for(HSM_USE_SIGN | HSM_USE_DECRYPT, CKA_DECRYPT, 1, &verdict);
    assert_true(verdict.ok);
    check_for(HSM_USE_SIGN | HSM_USE_DECRYPT, CKA_DECRYPT, -1, &verdict);
    assert_string_equal(verdict.violations, "CKA_DECRYPT is not shown");
    check_for(HSM_USE_DERIVE, CKA_DERIVE, 1, &verdict);
    assert_string_equal(verdict.violations, "CKA_SIGN is true");
}

static void test_absent_attributes_are_judged_by_their_rule(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct hsm_verdict verdict;
        check(good[i].type, -1, &verdict);
        assert_int_equal(verdict.ok, good[i].may_be_absent);
        if (!verdict.ok) {
            assert_string_equal(verdict.violations,
                                tmp_printf("%s is not shown", attr_name(good[i].type)));
        }
    }
}

static void test_key_that_does_not_say_counts_as_extractable(void **state UNUSED)
{
    struct hsm_verdict verdict;

    check(CKA_EXTRACTABLE, -1, &verdict);
    assert_true(verdict.extractable);
    assert_false(verdict.ok);
}

static void check_nothing_shown(struct hsm_policy *policy, const char *found,
                                struct hsm_verdict *verdict)
{
    struct attr_values none = {.count = 0};
    struct hsm_key_spec spec = spec_of(found);

    hsm_policy_check(policy, &spec, &none, verdict);
}

static void test_every_violation_is_listed(void **state UNUSED)
{
    struct hsm_policy policy = hsm_policy_signing(spec_of("rsa:3072"));
    struct hsm_verdict verdict;

    policy.always_authenticate = true;
    check_nothing_shown(&policy, "ec:P-256", &verdict);
    assert_string_equal(verdict.violations,
                        "CKA_TOKEN is not shown, CKA_PRIVATE is not shown, CKA_SENSITIVE is not "
                        "shown, CKA_EXTRACTABLE is not shown, CKA_SIGN is not shown, "
                        "CKA_ALWAYS_AUTHENTICATE is not true, "
                        "the key is EC P-256 instead of RSA-3072");
}

static void test_key_of_another_size_is_a_violation(void **state UNUSED)
{
    struct hsm_policy policy = hsm_policy_signing(spec_of("rsa:3072"));
    struct hsm_verdict verdict;

    check_nothing_shown(&policy, "rsa:2048", &verdict);
    assert_contains(verdict.violations, "the key is RSA-2048 instead of RSA-3072");
}

static void test_all_violations_together_fit(void **state UNUSED)
{
    struct hsm_policy policy = hsm_policy_signing(spec_of("rsa:3072"));
    struct hsm_key_spec found = spec_of("ec:P-256");
    AUTO(attr_values) struct attr_values values = {.count = 0};
    struct hsm_verdict verdict;

    policy.always_authenticate = true;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct attr_value *v = &values.list[values.count++];
        *v = (struct attr_value){.type = good[i].type, .present = true, .len = 1};
        v->data = malloc(1);
        assert_non_null(v->data);
        v->data[0] = good[i].value == 0 ? 1 : 0;
    }
    hsm_policy_check(&policy, &found, &values, &verdict);
    assert_contains(verdict.violations, "the key is EC P-256 instead of RSA-3072");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_private_template),
        cmocka_unit_test(test_private_template_with_a_pin_for_each_use),
        cmocka_unit_test(test_templates_for_another_usage),
        cmocka_unit_test(test_public_template_of_rsa),
        cmocka_unit_test(test_public_template_of_ec),
        cmocka_unit_test(test_attributes_to_read_cover_the_template),
        cmocka_unit_test(test_good_key_passes),
        cmocka_unit_test(test_each_wrong_value_is_named),
        cmocka_unit_test(test_usage_that_is_wanted_has_to_be_shown),
        cmocka_unit_test(test_absent_attributes_are_judged_by_their_rule),
        cmocka_unit_test(test_key_that_does_not_say_counts_as_extractable),
        cmocka_unit_test(test_every_violation_is_listed),
        cmocka_unit_test(test_key_of_another_size_is_a_violation),
        cmocka_unit_test(test_more_usage_alone_is_told_from_other_violations),
        cmocka_unit_test(test_own_policy_template),
        cmocka_unit_test(test_groups_are_left_out_of_the_template),
        cmocka_unit_test(test_extractable_key_is_judged_by_its_policy),
        cmocka_unit_test(test_demands_that_are_not_shown_are_noted),
        cmocka_unit_test(test_allowed_mechanisms_are_compared),
        cmocka_unit_test(test_all_violations_together_fit),
    };

    return UNIT_RUN(tests);
}
