#include "hsm/rules.h"

#include "unit/unit.h"

static struct hsm_rules rules_of(const char *name, const char *text)
{
    struct hsm_rules rules;
    struct err err = ERR_INIT;

    assert_ok(hsm_rules_read(name, text, &rules, &err), &err);
    return rules;
}

static void refuses(const char *text, const char *words)
{
    struct hsm_rules rules;
    struct err err = ERR_INIT;

    assert_fails(hsm_rules_read("own", text, &rules, &err), &err, E_CONFIG, words);
}

static bool allows(const struct hsm_rules *rules, const char *type)
{
    struct hsm_policy policy;
    struct err err = ERR_INIT;
    bool ok = hsm_rules_policy(rules, type, &policy, &err);

    assert_true(ok || err.code == E_POLICY);
    return ok;
}

static void test_no_policy_is_the_signing_key_policy(void **state UNUSED)
{
    struct hsm_rules rules = rules_of(NULL, NULL);
    struct hsm_policy policy;
    struct err err = ERR_INIT;

    assert_ok(hsm_rules_policy(&rules, NULL, &policy, &err), &err);
    struct hsm_policy signing = hsm_policy_signing(policy.spec);
    assert_memory_equal(&policy, &signing, sizeof(policy));
    assert_string_equal(hsm_key_spec_name(&policy.spec), "RSA-3072");
    assert_string_equal(hsm_rules_title(&rules), "the signing-key policy");
    assert_true(allows(&rules, "ed25519") && allows(&rules, "rsa:2048"));
}

static void test_builtin_policies(void **state UNUSED)
{
    static const struct {
        const char *name, *allowed, *refused;
    } cases[] = {
        {"tls-server", "rsa:2048", "ed25519"},    {"tls-server", "ec:P-521", "ed448"},
        {"code-signing", "rsa:3072", "rsa:2048"}, {"code-signing", "rsa:4096", "ed25519"},
        {"code-signing", "ec:P-256", "rsa:2816"}, {"client-auth", "ed25519", NULL},
    };
    const char *name = NULL;
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct hsm_rules rules = rules_of(cases[i].name, NULL);
        assert_true(allows(&rules, cases[i].allowed));
        assert_true(cases[i].refused == NULL || !allows(&rules, cases[i].refused));
        assert_false(hsm_policy_is_weak(&rules.policy));
        assert_int_equal(rules.policy.usage, HSM_USE_SIGN);
    }
    while (hsm_rules_builtin(count, &name) != NULL) {
        count++;
    }
    assert_int_equal(count, 3);
}

static void test_type_that_is_not_allowed_is_said(void **state UNUSED)
{
    struct hsm_rules rules = rules_of("code-signing", NULL);
    struct hsm_policy policy;
    struct err err = ERR_INIT;

    assert_fails(hsm_rules_policy(&rules, "rsa:2048", &policy, &err), &err, E_POLICY,
                 "policy 'code-signing' does not allow RSA-2048 keys; it allows: RSA-3072 or more, "
                 "EC P-256, EC P-384, EC P-521");
    assert_fails(hsm_rules_policy(&rules, "rsa:12", &policy, &err), &err, E_USAGE,
                 "is no key type");
}

static void test_first_type_is_the_default(void **state UNUSED)
{
    struct hsm_rules rules = rules_of("own", "type = ec:P-384 rsa:4096\n");
    struct hsm_policy policy;
    struct err err = ERR_INIT;

    assert_ok(hsm_rules_policy(&rules, NULL, &policy, &err), &err);
    assert_string_equal(hsm_key_spec_name(&policy.spec), "EC P-384");
}

static void test_every_setting(void **state UNUSED)
{
    struct hsm_rules rules =
        rules_of("own", "type = rsa:3072\nusage = sign, decrypt\nsensitive = no\n"
                        "extractable = yes\nalways_authenticate = yes\nmodifiable = yes\n"
                        "copyable = no\nallowed_mechanisms = CKM_RSA_PKCS, 0x1041\n"
                        "more_usage = accept\nid = ski\nlabel = www-{date}\n");

    assert_int_equal(rules.type_count, 1);
    assert_int_equal(rules.policy.usage, HSM_USE_SIGN | HSM_USE_DECRYPT);
    assert_true(rules.policy.readable && rules.policy.extractable);
    assert_true(hsm_policy_is_weak(&rules.policy));
    assert_true(rules.policy.always_authenticate && rules.policy.tolerate_usage);
    assert_int_equal(rules.policy.modifiable, HSM_YES);
    assert_int_equal(rules.policy.copyable, HSM_NO);
    assert_int_equal(rules.policy.mechanism_count, 2);
    assert_int_equal(rules.policy.mechanisms[0], CKM_RSA_PKCS);
    assert_int_equal(rules.policy.mechanisms[1], 0x1041);
    assert_int_equal(rules.id, HSM_ID_SKI);
    assert_string_equal(rules.label, "www-{date}");
    assert_string_equal(hsm_rules_title(&rules), "policy 'own'");
}

static void test_what_is_not_understood_is_named(void **state UNUSED)
{
    refuses("type = rsa:1024", "policy 'own': type: 'rsa:1024' is no key type");
    refuses("type = ec:P-256+", "only RSA keys have sizes that can be more");
    refuses("usage = wrap", "usage: 'wrap' is none of sign, decrypt, derive");
    refuses("usage =", "a key that may do nothing");
    refuses("sensitive = maybe", "sensitive: 'maybe' is neither yes nor no");
    refuses("allowed_mechanisms = CKM_NONE", "'CKM_NONE' is no mechanism: there are CKM_RSA_PKCS,");
    refuses("allowed_mechanisms = 0xzz", "'0xzz' is no mechanism");
    refuses("more_usage = yes", "neither refuse nor accept");
    refuses("id = mine", "none of any, random, sha1, ski, given");
    refuses("colour = red", "there is no setting 'colour'");
    refuses("colour", "'colour' is no setting");
    refuses("id = sha1\nmodifiable = no", "modifiable = no forbids that");
}

static void test_unknown_policy_is_answered_with_those_that_there_are(void **state UNUSED)
{
    struct hsm_rules rules;
    struct err err = ERR_INIT;

    assert_fails(hsm_rules_read("web", NULL, &rules, &err), &err, E_CONFIG,
                 "there is no policy 'web'; there are tls-server, code-signing, client-auth, and "
                 "those with a section [policy:NAME]");
}

static void test_policy_of_a_key_that_is_there(void **state UNUSED)
{
    struct hsm_rules rules = rules_of("code-signing", NULL);
    struct hsm_key_spec weak = {.type = HSM_KEY_RSA, .bits = 2048};
    struct hsm_key_spec good = {.type = HSM_KEY_RSA, .bits = 4096};

    struct hsm_policy of_weak = hsm_rules_policy_of(&rules, &weak);
    struct hsm_policy of_good = hsm_rules_policy_of(&rules, &good);
    assert_false(hsm_key_spec_equal(&of_weak.spec, &weak));
    assert_true(hsm_key_spec_equal(&of_good.spec, &good));
}

static void test_labels_are_made_from_patterns(void **state UNUSED)
{
    static const struct hsm_id id = {.set = true, .len = 4, .data = {0xab, 0xcd, 0xef, 0x01}};
    struct hsm_label_values values = {.name = "www.example.org", .date = "2026-11-21", .id = &id};
    AUTO(buf) struct buf out = BUF_INIT(HSM_LABEL_MAX);
    struct err err = ERR_INIT;

    assert_ok(hsm_label_expand("{name}-{date}/{id}{x}", &values, &out, &err), &err);
    assert_string_equal(buf_str(&out), "www.example.org-2026-11-21/abcdef{x}");
    assert_fails(hsm_label_expand("{order}", &values, &out, &err), &err, E_USAGE,
                 "the label's pattern has {order}, and there is none");
    values.order = "12";
    values.name = NULL;
    assert_fails(hsm_label_expand("{order}{name}", &values, &out, &err), &err, E_USAGE, "{name}");
}

static void test_label_that_is_too_long_is_refused(void **state UNUSED)
{
    struct hsm_label_values values = {.name = "0123456789"};
    AUTO(buf) struct buf out = BUF_INIT(12);
    struct err err = ERR_INIT;

    assert_fails(hsm_label_expand("{name}{name}", &values, &out, &err), &err, E_CONFIG, "too long");
}

static void test_labels_are_compared_with_patterns(void **state UNUSED)
{
    static const struct {
        const char *pattern, *label;
        bool fits;
    } cases[] = {
        {"www", "www", true},
        {"www", "www2", false},
        {"{name}", "", false},
        {"{name}", "x", true},
        {"{name}-{date}", "a-b-2026-11-21", true},
        {"{name}-{date}", "a-b-2026-11-2", false},
        {"{name}-{date}", "a-b-2026x11-21", false},
        {"tls-{id}", "tls-0a1b2c", true},
        {"tls-{id}", "tls-0a1b2", false},
        {"tls-{id}", "tls-0A1B2C", false},
        {"{order}.", "123.", true},
        {"{order}.", "12a.", false},
        {"{order}3", "123", true},
        {"{name}{name}", "a", false},
        {"{other}", "{other}", true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(hsm_label_fits(cases[i].pattern, cases[i].label), cases[i].fits);
    }
}

static void test_label_is_checked_against_the_rules(void **state UNUSED)
{
    struct hsm_rules rules = rules_of("own", "label = tls-{name}");
    struct hsm_rules none = rules_of("own", "");
    struct err err = ERR_INIT;

    assert_ok(hsm_rules_check_label(&rules, "tls-a", &err), &err);
    assert_ok(hsm_rules_check_label(&none, "anything", &err), &err);
    assert_fails(hsm_rules_check_label(&rules, "a", &err), &err, E_POLICY,
                 "policy 'own' wants labels like 'tls-{name}', and 'a' is none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_policy_is_the_signing_key_policy),
        cmocka_unit_test(test_builtin_policies),
        cmocka_unit_test(test_type_that_is_not_allowed_is_said),
        cmocka_unit_test(test_first_type_is_the_default),
        cmocka_unit_test(test_every_setting),
        cmocka_unit_test(test_what_is_not_understood_is_named),
        cmocka_unit_test(test_unknown_policy_is_answered_with_those_that_there_are),
        cmocka_unit_test(test_policy_of_a_key_that_is_there),
        cmocka_unit_test(test_labels_are_made_from_patterns),
        cmocka_unit_test(test_label_that_is_too_long_is_refused),
        cmocka_unit_test(test_labels_are_compared_with_patterns),
        cmocka_unit_test(test_label_is_checked_against_the_rules),
    };

    return UNIT_RUN(tests);
}
