#include "hsm/rules.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char default_type[] = "rsa:3072";

/* clang-format off */
static const struct {
    const char *name;
    const char *text;
} builtin[] = {
    /* TLS Baseline Requirements 6.1.5: RSA from 2048 bits, P-256, P-384, P-521 */
    {"tls-server",
     "type = rsa:3072, rsa:2048+, ec:P-256, ec:P-384, ec:P-521\n"
     "usage = sign\n"},
    /* Code Signing Baseline Requirements 6.1.5: RSA from 3072 bits, P-256, P-384, P-521 */
    {"code-signing",
     "type = rsa:3072+, ec:P-256, ec:P-384, ec:P-521\n"
     "usage = sign\n"},
    {"client-auth",
     "type = rsa:3072, rsa:2048+, ec:P-256, ec:P-384, ec:P-521, ed25519, ed448\n"
     "usage = sign\n"},
};

static const struct {
    const char *name;
    CK_MECHANISM_TYPE type;
} mechanisms[] = {
    {"CKM_RSA_PKCS",            CKM_RSA_PKCS},
    {"CKM_RSA_PKCS_PSS",        CKM_RSA_PKCS_PSS},
    {"CKM_RSA_PKCS_OAEP",       CKM_RSA_PKCS_OAEP},
    {"CKM_SHA256_RSA_PKCS",     CKM_SHA256_RSA_PKCS},
    {"CKM_SHA384_RSA_PKCS",     CKM_SHA384_RSA_PKCS},
    {"CKM_SHA512_RSA_PKCS",     CKM_SHA512_RSA_PKCS},
    {"CKM_SHA256_RSA_PKCS_PSS", CKM_SHA256_RSA_PKCS_PSS},
    {"CKM_SHA384_RSA_PKCS_PSS", CKM_SHA384_RSA_PKCS_PSS},
    {"CKM_SHA512_RSA_PKCS_PSS", CKM_SHA512_RSA_PKCS_PSS},
    {"CKM_ECDSA",               CKM_ECDSA},
    {"CKM_ECDSA_SHA256",        CKM_ECDSA_SHA256},
    {"CKM_ECDSA_SHA384",        CKM_ECDSA_SHA384},
    {"CKM_ECDSA_SHA512",        CKM_ECDSA_SHA512},
    {"CKM_EDDSA",               CKM_EDDSA},
    {"CKM_ECDH1_DERIVE",        CKM_ECDH1_DERIVE},
};
/* clang-format on */

const char *hsm_rules_builtin(size_t i, const char **name)
{
    if (i >= ARRAY_LEN(builtin)) {
        return NULL;
    }
    *name = builtin[i].name;
    return builtin[i].text;
}

/* Words */

enum { WORD_MAX = 64 };

/* The next word of a list with commas or blanks; false at its end. */
static bool next_word(const char **list, char word[static WORD_MAX])
{
    static const char between[] = ", \t";
    const char *start = *list + strspn(*list, between);
    size_t len = strcspn(start, between);

    *list = start + len;
    (void)snprintf(word, WORD_MAX, "%.*s", (int)(len < WORD_MAX ? len : WORD_MAX - 1), start);
    return len > 0;
}

static bool set_types(struct hsm_rules *rules, const char *value, struct err *err)
{
    char word[WORD_MAX];

    while (next_word(&value, word)) {
        size_t len = strlen(word);
        bool or_more = word[len - 1] == '+';
        if (rules->type_count == HSM_RULES_TYPES_MAX) {
            return err_set(err, E_CONFIG, "more than %d types", HSM_RULES_TYPES_MAX);
        }
        if (or_more) {
            word[len - 1] = '\0';
        }
        if (!hsm_key_spec_parse(word, &rules->types[rules->type_count].spec, err)) {
            return false;
        }
        if (or_more && rules->types[rules->type_count].spec.type != HSM_KEY_RSA) {
            return err_set(err, E_CONFIG, "'%s+': only RSA keys have sizes that can be more", word);
        }
        rules->types[rules->type_count++].or_more = or_more;
    }
    return true;
}

static bool set_usage(struct hsm_rules *rules, const char *value, struct err *err)
{
    char word[WORD_MAX];

    rules->policy.usage = 0;
    while (next_word(&value, word)) {
        unsigned usage = str_equal(word, "sign")      ? (unsigned)HSM_USE_SIGN
                         : str_equal(word, "decrypt") ? (unsigned)HSM_USE_DECRYPT
                         : str_equal(word, "derive")  ? (unsigned)HSM_USE_DERIVE
                                                      : 0U;
        if (usage == 0) {
            return err_set(err, E_CONFIG, "'%.40s' is none of sign, decrypt, derive", word);
        }
        rules->policy.usage |= usage;
    }
    return rules->policy.usage != 0 || err_set(err, E_CONFIG, "a key that may do nothing");
}

static bool read_bool(const char *value, bool *out, struct err *err)
{
    return str_to_bool(value, out) ||
           err_set(err, E_CONFIG, "'%.40s' is neither yes nor no", value);
}

static bool set_sensitive(struct hsm_rules *rules, const char *value, struct err *err)
{
    bool sensitive = true;

    if (!read_bool(value, &sensitive, err)) {
        return false;
    }
    rules->policy.readable = !sensitive;
    return true;
}

static bool set_extractable(struct hsm_rules *rules, const char *value, struct err *err)
{
    return read_bool(value, &rules->policy.extractable, err);
}

static bool set_always_authenticate(struct hsm_rules *rules, const char *value, struct err *err)
{
    return read_bool(value, &rules->policy.always_authenticate, err);
}

static bool read_choice(const char *value, enum hsm_choice *out, struct err *err)
{
    bool yes = false;

    if (!read_bool(value, &yes, err)) {
        return false;
    }
    *out = yes ? HSM_YES : HSM_NO;
    return true;
}

static bool set_modifiable(struct hsm_rules *rules, const char *value, struct err *err)
{
    return read_choice(value, &rules->policy.modifiable, err);
}

static bool set_copyable(struct hsm_rules *rules, const char *value, struct err *err)
{
    return read_choice(value, &rules->policy.copyable, err);
}

static bool read_mechanism(const char *word, CK_MECHANISM_TYPE *out, struct err *err)
{
    AUTO(buf) struct buf known = BUF_INIT(1024);
    char *end = NULL;

    for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++) {
        if (str_equal_nocase(word, mechanisms[i].name)) {
            *out = mechanisms[i].type;
            return true;
        }
        buf_addf(&known, "%s%s", i > 0 ? ", " : "", mechanisms[i].name);
    }
    if (str_starts_with_nocase(word, "0x") && word[2] != '\0') {
        *out = strtoul(word + 2, &end, 16);
        if (*end == '\0') {
            return true;
        }
    }
    return err_set(err, E_CONFIG, "'%.40s' is no mechanism: there are %s, and numbers like 0x1041",
                   word, buf_str(&known));
}

static bool set_mechanisms(struct hsm_rules *rules, const char *value, struct err *err)
{
    struct hsm_policy *policy = &rules->policy;
    char word[WORD_MAX];

    while (next_word(&value, word)) {
        if (policy->mechanism_count == HSM_POLICY_MECHANISMS_MAX) {
            return err_set(err, E_CONFIG, "more than %d mechanisms", HSM_POLICY_MECHANISMS_MAX);
        }
        if (!read_mechanism(word, &policy->mechanisms[policy->mechanism_count++], err)) {
            return false;
        }
    }
    return true;
}

static bool set_more_usage(struct hsm_rules *rules, const char *value, struct err *err)
{
    rules->policy.tolerate_usage = str_equal(value, "accept");
    return rules->policy.tolerate_usage || str_equal(value, "refuse") ||
           err_set(err, E_CONFIG, "'%.40s' is neither refuse nor accept", value);
}

static bool set_id(struct hsm_rules *rules, const char *value, struct err *err)
{
    static const char *const words[] = {[HSM_ID_ANY] = "any",
                                        [HSM_ID_RANDOM] = "random",
                                        [HSM_ID_SHA1] = "sha1",
                                        [HSM_ID_SKI] = "ski",
                                        [HSM_ID_GIVEN] = "given"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_equal(value, words[i])) {
            rules->id = (enum hsm_id_rule)i;
            return true;
        }
    }
    return err_set(err, E_CONFIG, "'%.40s' is none of any, random, sha1, ski, given", value);
}

static bool set_label(struct hsm_rules *rules, const char *value, struct err *err)
{
    if (strlen(value) > HSM_LABEL_MAX) {
        return err_set(err, E_CONFIG, "a pattern of more than %d characters", HSM_LABEL_MAX);
    }
    (void)snprintf(rules->label, sizeof(rules->label), "%s", value);
    return true;
}

/* clang-format off */
static const struct {
    const char *key;
    bool (*set)(struct hsm_rules *rules, const char *value, struct err *err);
} settings[] = {
    {"type",                set_types},
    {"usage",               set_usage},
    {"sensitive",           set_sensitive},
    {"extractable",         set_extractable},
    {"always_authenticate", set_always_authenticate},
    {"modifiable",          set_modifiable},
    {"copyable",            set_copyable},
    {"allowed_mechanisms",  set_mechanisms},
    {"more_usage",          set_more_usage},
    {"id",                  set_id},
    {"label",               set_label},
};
/* clang-format on */

static bool set_one(struct hsm_rules *rules, const char *key, const char *value, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        if (str_equal(settings[i].key, key)) {
            return settings[i].set(rules, value, err) || err_wrap(err, "%s", key);
        }
    }
    return err_set(err, E_CONFIG, "there is no setting '%.40s'", key);
}

static bool read_lines(struct hsm_rules *rules, char *text, struct err *err)
{
    char *rest = NULL;

    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char *equals = strchr(line, '=');
        if (equals == NULL) {
            return err_set(err, E_CONFIG, "'%.40s' is no setting", line);
        }
        *equals = '\0';
        if (!set_one(rules, str_trim(line), str_trim(equals + 1), err)) {
            return false;
        }
    }
    return true;
}

/* What no key can be. */
static bool is_consistent(const struct hsm_rules *rules, struct err *err)
{
    bool later = rules->id == HSM_ID_SHA1 || rules->id == HSM_ID_SKI;

    return !(later && rules->policy.modifiable == HSM_NO) ||
           err_set(err, E_CONFIG,
                   "an id that is computed from the key is set after the key was made, and "
                   "modifiable = no forbids that");
}

static const char *builtin_text(const char *name, struct err *err)
{
    AUTO(buf) struct buf known = BUF_INIT(256);

    for (size_t i = 0; i < ARRAY_LEN(builtin); i++) {
        if (str_equal(builtin[i].name, name)) {
            return builtin[i].text;
        }
        buf_addf(&known, "%s, ", builtin[i].name);
    }
    (void)err_set(err, E_CONFIG,
                  "there is no policy '%.60s'; there are %sand those with a section [policy:NAME] "
                  "in the configuration",
                  name, buf_str(&known));
    return NULL;
}

bool hsm_rules_read(const char *name, const char *text, struct hsm_rules *out, struct err *err)
{
    struct hsm_rules rules = {.type_count = 0, .policy = {.usage = HSM_USE_SIGN}};
    AUTO(str) char *copy = NULL;

    if (name != NULL && text == NULL) {
        text = builtin_text(name, err);
        if (text == NULL) {
            return false;
        }
    }
    (void)snprintf(rules.name, sizeof(rules.name), "%s", name != NULL ? name : "");
    copy = str_dup(text != NULL ? text : "");
    if (copy == NULL) {
        return err_nomem(err);
    }
    if (!read_lines(&rules, copy, err) || !is_consistent(&rules, err)) {
        err->code = err->code == E_MEMORY ? E_MEMORY : E_CONFIG;
        return err_wrap(err, "%s", hsm_rules_title(&rules));
    }
    *out = rules;
    return true;
}

const char *hsm_rules_title(const struct hsm_rules *rules)
{
    static _Thread_local char title[HSM_RULES_NAME_MAX + 16];

    (void)snprintf(title, sizeof(title), "policy '%s'", rules->name);
    return rules->name[0] != '\0' ? title : "the signing-key policy";
}

static bool allows(const struct hsm_rules *rules, const struct hsm_key_spec *spec)
{
    for (size_t i = 0; i < rules->type_count; i++) {
        const struct hsm_key_spec *allowed = &rules->types[i].spec;
        if (hsm_key_spec_equal(allowed, spec) ||
            (rules->types[i].or_more && spec->type == HSM_KEY_RSA && spec->bits >= allowed->bits)) {
            return true;
        }
    }
    return rules->type_count == 0;
}

static void list_types(const struct hsm_rules *rules, struct buf *out)
{
    for (size_t i = 0; i < rules->type_count; i++) {
        buf_addf(out, "%s%s%s", i > 0 ? ", " : "", hsm_key_spec_name(&rules->types[i].spec),
                 rules->types[i].or_more ? " or more" : "");
    }
}

bool hsm_rules_policy(const struct hsm_rules *rules, const char *type, struct hsm_policy *out,
                      struct err *err)
{
    AUTO(buf) struct buf allowed = BUF_INIT(1024);
    struct hsm_key_spec spec;

    if (type == NULL && rules->type_count > 0) {
        spec = rules->types[0].spec;
    } else if (!hsm_key_spec_parse(type != NULL ? type : default_type, &spec, err)) {
        return false;
    }
    if (!allows(rules, &spec)) {
        list_types(rules, &allowed);
        return err_set(err, E_POLICY, "%s does not allow %s keys; it allows: %s",
                       hsm_rules_title(rules), hsm_key_spec_name(&spec), buf_str(&allowed));
    }
    *out = rules->policy;
    out->spec = spec;
    return true;
}

struct hsm_policy hsm_rules_policy_of(const struct hsm_rules *rules,
                                      const struct hsm_key_spec *found)
{
    struct hsm_policy policy = rules->policy;

    policy.spec = allows(rules, found) ? *found : rules->types[0].spec;
    return policy;
}
