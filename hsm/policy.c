#include "hsm/policy.h"

#include <stdio.h>
#include <string.h>

static const CK_BYTE public_exponent[] = {0x01, 0x00, 0x01};

/* What the finished key must show for each attribute. */
enum rule {
    MUST,        /* shown, and this value */
    MUST_IF_SAID /* this value, or not shown at all: the module has no such attribute */
};

/* clang-format off */
static const struct {
    CK_ATTRIBUTE_TYPE type;
    bool value;
    bool asked; /* part of the template; the others are consequences that are only read */
    enum rule rule;
    unsigned usage; /* true, and MUST, where the policy has this usage */
} private_rules[] = {
    {CKA_TOKEN,             true,  true,  MUST,         0},
    {CKA_PRIVATE,           true,  true,  MUST,         0},
    {CKA_SENSITIVE,         true,  true,  MUST,         0},
    {CKA_EXTRACTABLE,       false, true,  MUST,         0},
    {CKA_SIGN,              false, true,  MUST_IF_SAID, HSM_USE_SIGN},
    {CKA_DECRYPT,           false, true,  MUST_IF_SAID, HSM_USE_DECRYPT},
    {CKA_UNWRAP,            false, true,  MUST_IF_SAID, 0},
    {CKA_SIGN_RECOVER,      false, true,  MUST_IF_SAID, 0},
    {CKA_DERIVE,            false, true,  MUST_IF_SAID, HSM_USE_DERIVE},
    {CKA_LOCAL,             true,  false, MUST_IF_SAID, 0},
    {CKA_ALWAYS_SENSITIVE,  true,  false, MUST_IF_SAID, 0},
    {CKA_NEVER_EXTRACTABLE, true,  false, MUST_IF_SAID, 0},
};
/* clang-format on */

struct hsm_policy hsm_policy_signing(struct hsm_key_spec spec)
{
    return (struct hsm_policy){.spec = spec, .usage = HSM_USE_SIGN};
}

static bool is_used(const struct hsm_policy *policy, size_t i)
{
    return (policy->usage & private_rules[i].usage) != 0;
}

static bool wanted_value(const struct hsm_policy *policy, size_t i)
{
    return is_used(policy, i) || private_rules[i].value;
}

static void add_name(struct attrs *out, const struct hsm_id *id, const char *label)
{
    attrs_add_bytes(out, CKA_ID, id->data, id->len);
    attrs_add_string(out, CKA_LABEL, label);
}

void hsm_policy_private_template(const struct hsm_policy *policy, const struct hsm_id *id,
                                 const char *label, struct attrs *out)
{
    for (size_t i = 0; i < ARRAY_LEN(private_rules); i++) {
        if (private_rules[i].asked) {
            attrs_add_bool(out, private_rules[i].type, wanted_value(policy, i));
        }
    }
    if (policy->always_authenticate) {
        attrs_add_bool(out, CKA_ALWAYS_AUTHENTICATE, true);
    }
    add_name(out, id, label);
}

void hsm_policy_public_template(const struct hsm_policy *policy, const struct hsm_id *id,
                                const char *label, struct attrs *out)
{
    attrs_add_bool(out, CKA_TOKEN, true);
    attrs_add_bool(out, CKA_PRIVATE, false);
    attrs_add_bool(out, CKA_VERIFY, (policy->usage & HSM_USE_SIGN) != 0);
    attrs_add_bool(out, CKA_ENCRYPT, (policy->usage & HSM_USE_DECRYPT) != 0);
    attrs_add_bool(out, CKA_WRAP, false);
    if (policy->spec.type == HSM_KEY_RSA) {
        attrs_add_ulong(out, CKA_MODULUS_BITS, (CK_ULONG)policy->spec.bits);
        attrs_add_bytes(out, CKA_PUBLIC_EXPONENT, public_exponent, sizeof(public_exponent));
    } else if (policy->curve_by_name) {
        attrs_add_string(out, CKA_EC_PARAMS, policy->spec.curve->name_der);
    } else {
        attrs_add_bytes(out, CKA_EC_PARAMS, policy->spec.curve->oid_der,
                        policy->spec.curve->oid_der_len);
    }
    add_name(out, id, label);
}

const CK_ATTRIBUTE_TYPE *hsm_policy_attributes(size_t *count)
{
    static const CK_ATTRIBUTE_TYPE types[] = {
        CKA_TOKEN,
        CKA_PRIVATE,
        CKA_SENSITIVE,
        CKA_EXTRACTABLE,
        CKA_SIGN,
        CKA_DECRYPT,
        CKA_UNWRAP,
        CKA_SIGN_RECOVER,
        CKA_DERIVE,
        CKA_LOCAL,
        CKA_ALWAYS_SENSITIVE,
        CKA_NEVER_EXTRACTABLE,
        CKA_ALWAYS_AUTHENTICATE,
    };

    *count = ARRAY_LEN(types);
    return types;
}

static void violation(struct hsm_verdict *verdict, const char *text)
{
    size_t used = strlen(verdict->violations);

    (void)snprintf(verdict->violations + used, sizeof(verdict->violations) - used, "%s%s",
                   used > 0 ? ", " : "", text);
    verdict->ok = false;
}

static void check_flag(const struct hsm_policy *policy, const struct attr_values *values, size_t i,
                       struct hsm_verdict *verdict)
{
    enum rule rule = is_used(policy, i) ? MUST : private_rules[i].rule;
    bool value = false;
    bool shown = attr_values_bool(values, private_rules[i].type, &value);
    char text[64];

    if (shown && value == wanted_value(policy, i)) {
        return;
    }
    if (!shown && rule == MUST_IF_SAID) {
        return;
    }
    (void)snprintf(text, sizeof(text), "%s is %s", attr_name(private_rules[i].type),
                   !shown  ? "not shown"
                   : value ? "true"
                           : "false");
    violation(verdict, text);
}

void hsm_policy_check(const struct hsm_policy *policy, const struct hsm_key_spec *found,
                      const struct attr_values *values, struct hsm_verdict *verdict)
{
    *verdict = (struct hsm_verdict){.ok = true, .extractable = true};
    (void)attr_values_bool(values, CKA_SENSITIVE, &verdict->sensitive);
    (void)attr_values_bool(values, CKA_EXTRACTABLE, &verdict->extractable);
    (void)attr_values_bool(values, CKA_ALWAYS_SENSITIVE, &verdict->always_sensitive);
    (void)attr_values_bool(values, CKA_NEVER_EXTRACTABLE, &verdict->never_extractable);
    (void)attr_values_bool(values, CKA_LOCAL, &verdict->local);
    for (size_t i = 0; i < ARRAY_LEN(private_rules); i++) {
        check_flag(policy, values, i, verdict);
    }
    if (policy->always_authenticate) {
        bool always = false;
        if (!attr_values_bool(values, CKA_ALWAYS_AUTHENTICATE, &always) || !always) {
            violation(verdict, "CKA_ALWAYS_AUTHENTICATE is not true");
        }
    }
    if (!hsm_key_spec_equal(&policy->spec, found)) {
        char text[96];
        char wanted[32];
        (void)snprintf(wanted, sizeof(wanted), "%s", hsm_key_spec_name(&policy->spec));
        (void)snprintf(text, sizeof(text), "the key is %s instead of %s", hsm_key_spec_name(found),
                       wanted);
        violation(verdict, text);
    }
}
