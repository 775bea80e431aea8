#include "hsm/policy.h"

#include <stdio.h>
#include <string.h>

static const CK_BYTE public_exponent[] = {0x01, 0x00, 0x01};

/* What the finished key must show for each attribute. */
enum rule {
    MUST,        /* shown, and this value */
    MUST_IF_SAID /* this value, or not shown at all: the module has no such attribute */
};

/* Which wish of a policy turns the value of a row round, or makes it no matter. */
enum bend { FIXED, BY_USAGE, BY_SENSITIVE, BY_EXTRACTABLE, IF_SENSITIVE, IF_UNEXTRACTABLE, LOCAL };

/* clang-format off */
static const struct private_rule {
    CK_ATTRIBUTE_TYPE type;
    bool value;
    bool asked; /* part of the template; the others are consequences that are only read */
    enum rule rule;
    enum bend bend;
    unsigned usage; /* BY_USAGE: true, and MUST, where the policy has this usage */
} private_rules[] = {
    {CKA_TOKEN,             true,  true,  MUST,         FIXED,            0},
    {CKA_PRIVATE,           true,  true,  MUST,         FIXED,            0},
    {CKA_SENSITIVE,         true,  true,  MUST,         BY_SENSITIVE,     0},
    {CKA_EXTRACTABLE,       false, true,  MUST,         BY_EXTRACTABLE,   0},
    {CKA_SIGN,              false, true,  MUST_IF_SAID, BY_USAGE,         HSM_USE_SIGN},
    {CKA_DECRYPT,           false, true,  MUST_IF_SAID, BY_USAGE,         HSM_USE_DECRYPT},
    {CKA_UNWRAP,            false, true,  MUST_IF_SAID, BY_USAGE,         0},
    {CKA_SIGN_RECOVER,      false, true,  MUST_IF_SAID, BY_USAGE,         0},
    {CKA_DERIVE,            false, true,  MUST_IF_SAID, BY_USAGE,         HSM_USE_DERIVE},
    {CKA_LOCAL,             true,  false, MUST_IF_SAID, LOCAL,            0},
    {CKA_ALWAYS_SENSITIVE,  true,  false, MUST_IF_SAID, IF_SENSITIVE,     0},
    {CKA_NEVER_EXTRACTABLE, true,  false, MUST_IF_SAID, IF_UNEXTRACTABLE, 0},
};
/* clang-format on */

struct hsm_policy hsm_policy_signing(struct hsm_key_spec spec)
{
    return (struct hsm_policy){.spec = spec, .usage = HSM_USE_SIGN};
}

bool hsm_policy_is_weak(const struct hsm_policy *policy)
{
    return policy->extractable || policy->readable;
}

static bool is_used(const struct hsm_policy *policy, const struct private_rule *rule)
{
    return (policy->usage & rule->usage) != 0;
}

static bool wanted_value(const struct hsm_policy *policy, const struct private_rule *rule)
{
    switch (rule->bend) {
    case BY_USAGE:
        return is_used(policy, rule);
    case BY_SENSITIVE:
        return !policy->readable;
    case BY_EXTRACTABLE:
        return policy->extractable;
    case FIXED:
    case IF_SENSITIVE:
    case IF_UNEXTRACTABLE:
    case LOCAL:
        break;
    }
    return rule->value;
}

static bool matters(const struct hsm_policy *policy, const struct private_rule *rule)
{
    return !(rule->bend == IF_SENSITIVE && policy->readable) &&
           !(rule->bend == IF_UNEXTRACTABLE && policy->extractable);
}

/* The group that a row of the template belongs to; 0: it is never left out. */
static unsigned group_of(const struct hsm_policy *policy, const struct private_rule *rule)
{
    if (!rule->asked || wanted_value(policy, rule)) {
        return 0;
    }
    return rule->bend == BY_USAGE         ? (unsigned)HSM_GROUP_ZEROS
           : rule->bend == BY_EXTRACTABLE ? (unsigned)HSM_GROUP_EXTRACTABLE
                                          : 0U;
}

unsigned hsm_policy_groups(const struct hsm_policy *policy)
{
    unsigned groups = 0;

    if (policy->modifiable != HSM_UNSAID || policy->copyable != HSM_UNSAID) {
        groups |= HSM_GROUP_CHANGES;
    }
    if (policy->mechanism_count > 0) {
        groups |= HSM_GROUP_MECHANISMS;
    }
    for (size_t i = 0; i < ARRAY_LEN(private_rules); i++) {
        groups |= group_of(policy, &private_rules[i]);
    }
    return groups;
}

static void name_one(struct buf *out, CK_ATTRIBUTE_TYPE type)
{
    buf_addf(out, "%s%s", out->len > 0 ? ", " : "", attr_name(type));
}

void hsm_policy_group_names(const struct hsm_policy *policy, unsigned groups, struct buf *out)
{
    if ((groups & HSM_GROUP_CHANGES) != 0 && policy->modifiable != HSM_UNSAID) {
        name_one(out, CKA_MODIFIABLE);
    }
    if ((groups & HSM_GROUP_CHANGES) != 0 && policy->copyable != HSM_UNSAID) {
        name_one(out, CKA_COPYABLE);
    }
    if ((groups & HSM_GROUP_MECHANISMS) != 0 && policy->mechanism_count > 0) {
        name_one(out, CKA_ALLOWED_MECHANISMS);
    }
    for (size_t i = 0; i < ARRAY_LEN(private_rules); i++) {
        if ((group_of(policy, &private_rules[i]) & groups) != 0) {
            name_one(out, private_rules[i].type);
        }
    }
}

/* Whether the template has it. */
static bool is_in(const struct hsm_policy *policy, unsigned group)
{
    return (policy->left_out & group) == 0;
}

static void add_name(struct attrs *out, const struct hsm_id *id, const char *label)
{
    attrs_add_bytes(out, CKA_ID, id->data, id->len);
    attrs_add_string(out, CKA_LABEL, label);
}

static void add_choice(struct attrs *out, CK_ATTRIBUTE_TYPE type, enum hsm_choice choice)
{
    if (choice != HSM_UNSAID) {
        attrs_add_bool(out, type, choice == HSM_YES);
    }
}

void hsm_policy_private_template(const struct hsm_policy *policy, const struct hsm_id *id,
                                 const char *label, struct attrs *out)
{
    for (size_t i = 0; i < ARRAY_LEN(private_rules); i++) {
        const struct private_rule *rule = &private_rules[i];
        if (rule->asked && is_in(policy, group_of(policy, rule))) {
            attrs_add_bool(out, rule->type, wanted_value(policy, rule));
        }
    }
    if (policy->always_authenticate) {
        attrs_add_bool(out, CKA_ALWAYS_AUTHENTICATE, true);
    }
    if (is_in(policy, HSM_GROUP_CHANGES)) {
        add_choice(out, CKA_MODIFIABLE, policy->modifiable);
        add_choice(out, CKA_COPYABLE, policy->copyable);
    }
    if (policy->mechanism_count > 0 && is_in(policy, HSM_GROUP_MECHANISMS)) {
        attrs_add_bytes(out, CKA_ALLOWED_MECHANISMS, policy->mechanisms,
                        policy->mechanism_count * sizeof(policy->mechanisms[0]));
    }
    add_name(out, id, label);
}

/* What the public half may be used for; a denial goes with those of the private half. */
static void add_public_usage(const struct hsm_policy *policy, struct attrs *out,
                             CK_ATTRIBUTE_TYPE type, bool value)
{
    if (value || is_in(policy, HSM_GROUP_ZEROS)) {
        attrs_add_bool(out, type, value);
    }
}

void hsm_policy_public_template(const struct hsm_policy *policy, const struct hsm_id *id,
                                const char *label, struct attrs *out)
{
    attrs_add_bool(out, CKA_TOKEN, true);
    attrs_add_bool(out, CKA_PRIVATE, false);
    add_public_usage(policy, out, CKA_VERIFY, (policy->usage & HSM_USE_SIGN) != 0);
    add_public_usage(policy, out, CKA_ENCRYPT, (policy->usage & HSM_USE_DECRYPT) != 0);
    add_public_usage(policy, out, CKA_WRAP, false);
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
        CKA_MODIFIABLE,
        CKA_COPYABLE,
        CKA_ALLOWED_MECHANISMS,
    };

    *count = ARRAY_LEN(types);
    return types;
}

static void add_text(char *list, size_t size, const char *text)
{
    size_t used = strlen(list);

    (void)snprintf(list + used, size - used, "%s%s", used > 0 ? ", " : "", text);
}

static void violation(struct hsm_verdict *verdict, const char *text)
{
    add_text(verdict->violations, sizeof(verdict->violations), text);
    verdict->ok = false;
    verdict->only_more_usage = false;
}

/* The token allows something that nobody asked for. */
static void more_usage(struct hsm_verdict *verdict, const char *text)
{
    bool only = verdict->ok || verdict->only_more_usage;

    violation(verdict, text);
    verdict->only_more_usage = only;
}

static void note(struct hsm_verdict *verdict, const char *text)
{
    add_text(verdict->notes, sizeof(verdict->notes), text);
}

static bool is_tolerated(const struct hsm_policy *policy, const struct private_rule *rule)
{
    return (rule->bend == BY_USAGE && !is_used(policy, rule) && policy->tolerate_usage) ||
           (rule->bend == LOCAL && policy->tolerate_local);
}

static void check_flag(const struct hsm_policy *policy, const struct attr_values *values,
                       const struct private_rule *rule, struct hsm_verdict *verdict)
{
    bool must = rule->rule == MUST || is_used(policy, rule);
    bool value = false;
    bool shown = attr_values_bool(values, rule->type, &value);
    char text[64];

    if (!matters(policy, rule) || (shown ? value == wanted_value(policy, rule) : !must)) {
        return;
    }
    (void)snprintf(text, sizeof(text), "%s is %s", attr_name(rule->type),
                   !shown  ? "not shown"
                   : value ? "true"
                           : "false");
    if (shown && is_tolerated(policy, rule)) {
        note(verdict, text);
    } else if (shown && rule->bend == BY_USAGE && value) {
        more_usage(verdict, text);
    } else {
        violation(verdict, text);
    }
}

/* What few modules have: where it is not shown, nothing is known, and that is said. */
static void check_choice(CK_ATTRIBUTE_TYPE type, enum hsm_choice choice,
                         const struct attr_values *values, struct hsm_verdict *verdict)
{
    bool value = false;
    char text[64];

    if (choice == HSM_UNSAID) {
        return;
    }
    bool shown = attr_values_bool(values, type, &value);
    (void)snprintf(text, sizeof(text), "%s is %s", attr_name(type),
                   !shown  ? "not shown"
                   : value ? "true"
                           : "false");
    if (!shown) {
        note(verdict, text);
    } else if (value != (choice == HSM_YES)) {
        violation(verdict, text);
    }
}

static bool is_listed(const struct hsm_policy *policy, const uint8_t *bytes)
{
    CK_MECHANISM_TYPE mechanism = 0;

    memcpy(&mechanism, bytes, sizeof(mechanism));
    for (size_t i = 0; i < policy->mechanism_count; i++) {
        if (policy->mechanisms[i] == mechanism) {
            return true;
        }
    }
    return false;
}

/* An empty list allows everything, as an absent one does; but absent may be what is not shown. */
static void check_mechanisms(const struct hsm_policy *policy, const struct attr_values *values,
                             struct hsm_verdict *verdict)
{
    const struct attr_value *v = attr_values_find(values, CKA_ALLOWED_MECHANISMS);

    if (policy->mechanism_count == 0) {
        return;
    }
    if (v == NULL) {
        note(verdict, "CKA_ALLOWED_MECHANISMS is not shown");
        return;
    }
    bool listed = v->len > 0 && v->len % sizeof(CK_MECHANISM_TYPE) == 0;
    for (size_t at = 0; listed && at < v->len; at += sizeof(CK_MECHANISM_TYPE)) {
        listed = is_listed(policy, v->data + at);
    }
    if (!listed) {
        violation(verdict, "CKA_ALLOWED_MECHANISMS allows others");
    }
}

static void check_kind(const struct hsm_policy *policy, const struct hsm_key_spec *found,
                       struct hsm_verdict *verdict)
{
    char text[96];
    char wanted[32];

    if (hsm_key_spec_equal(&policy->spec, found)) {
        return;
    }
    (void)snprintf(wanted, sizeof(wanted), "%s", hsm_key_spec_name(&policy->spec));
    (void)snprintf(text, sizeof(text), "the key is %s instead of %s", hsm_key_spec_name(found),
                   wanted);
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
        check_flag(policy, values, &private_rules[i], verdict);
    }
    if (policy->always_authenticate) {
        bool always = false;
        if (!attr_values_bool(values, CKA_ALWAYS_AUTHENTICATE, &always) || !always) {
            violation(verdict, "CKA_ALWAYS_AUTHENTICATE is not true");
        }
    }
    check_choice(CKA_MODIFIABLE, policy->modifiable, values, verdict);
    check_choice(CKA_COPYABLE, policy->copyable, values, verdict);
    check_mechanisms(policy, values, verdict);
    check_kind(policy, found, verdict);
}
