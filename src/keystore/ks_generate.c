#include "keystore/ks_token.h"

#include "base/str.h"
#include "hsm/keygen.h"
#include "hsm/rules.h"
#include "hsm/weak.h"

#include <stdio.h>
#include <string.h>

/* New keys in a token, and whether a key is what a new one would be. */

bool keystore_new_id(uint8_t id[static KEYSTORE_ID_MAX], size_t *len, struct err *err)
{
    struct hsm_id made;

    if (!hsm_new_id(&made, err)) {
        return false;
    }
    memcpy(id, made.data, made.len);
    *len = made.len;
    return true;
}

/* The id of these keys was written down before they are made, so it cannot be another one. */
static bool read_rules(const struct keystore_policy *policy, struct hsm_rules *rules,
                       struct err *err)
{
    if (!hsm_rules_read(policy->name, policy->text, rules, err)) {
        return false;
    }
    return rules->id == HSM_ID_ANY || rules->id == HSM_ID_RANDOM ||
           err_set(err, E_CONFIG,
                   "%s has an id rule that is for 'key generate' alone: the id of a key that is "
                   "made for an order is random and written down before",
                   hsm_rules_title(rules));
}

bool keystore_policy_kind(const struct keystore_policy *policy, const char *key_type,
                          char out[static 32], struct err *err)
{
    struct hsm_rules rules;
    struct hsm_policy wanted;

    if (!read_rules(policy, &rules, err) || !hsm_rules_policy(&rules, key_type, &wanted, err)) {
        return false;
    }
    (void)snprintf(out, 32, "%s", hsm_key_spec_name(&wanted.spec));
    return true;
}

bool keystore_kind_name(const char *key_type, char out[static 32], struct err *err)
{
    struct hsm_key_spec spec;

    if (!hsm_key_spec_parse(key_type, &spec, err)) {
        return false;
    }
    (void)snprintf(out, 32, "%s", hsm_key_spec_name(&spec));
    return true;
}

bool keystore_kind_is_private(const char *kind)
{
    return str_equal(kind, "Ed25519") || str_equal(kind, "Ed448");
}

/* A policy that lets keys out is nobody's mistake: it is said each time. */
static void tell_weakness(const struct hsm_rules *rules, const struct keystore_new *wanted)
{
    char sentence[256];

    if (wanted->told != NULL && hsm_policy_is_weak(&rules->policy)) {
        (void)snprintf(sentence, sizeof(sentence),
                       "%s lets the private key leave the token: it is made %s%s%s",
                       hsm_rules_title(rules), rules->policy.extractable ? "extractable" : "",
                       rules->policy.extractable && rules->policy.readable ? " and " : "",
                       rules->policy.readable ? "not sensitive" : "");
        wanted->told(wanted->ctx, NULL, sentence);
    }
}

bool keystore_generate(struct keystore *keystore, const struct keystore_token *token,
                       const struct keystore_new *wanted, struct keystore_key *out, struct err *err)
{
    AUTO(hsm_opened) struct hsm_opened target = {.token = NULL};
    AUTO(hsm_opened) struct hsm_opened user = {.token = NULL};
    AUTO(hsm_key) struct hsm_key key = {0};
    struct hsm_rules rules;
    struct hsm_policy policy;
    struct hsm_keygen_report report;
    struct hsm_id id = {.set = true, .len = wanted->id_len};

    memcpy(id.data, wanted->id, wanted->id_len);
    if (!read_rules(&wanted->policy, &rules, err) ||
        !hsm_rules_policy(&rules, wanted->key_type, &policy, err) ||
        !hsm_rules_check_label(&rules, wanted->label, err) ||
        !ks_connect_token_to(keystore, token, NULL, HSM_TO_GENERATE, &target, err)) {
        return false;
    }
    tell_weakness(&rules, wanted);
    struct hsm_key_name name = {.id = &id, .label = wanted->label, .id_is_random = true};
    struct hsm_keygen_request request = {
        .policy = &policy, .name = &name, .on_rung = wanted->told, .ctx = wanted->ctx};
    if (!hsm_keygen_with(target.token, &request, &key, &report, err)) {
        return ks_explain_role(keystore, token, HSM_TO_GENERATE, err);
    }
    /* Whoever made the key: it is used by the user. */
    return ks_connect_token(keystore, token, NULL, &user, err) &&
           ks_describe(keystore, &target, &key, out, err);
}

bool keystore_check_policy(struct keystore *keystore, const struct keystore_token *token,
                           const char *key_uri, const struct keystore_policy *policy,
                           const char *key_type, struct err *err)
{
    AUTO(hsm_opened) struct hsm_opened target = {.token = NULL};
    AUTO(hsm_key) struct hsm_key key = {0};
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    struct hsm_rules rules;
    struct hsm_policy wanted;
    struct hsm_verdict verdict;

    if (!read_rules(policy, &rules, err) || !hsm_rules_policy(&rules, key_type, &wanted, err) ||
        !ks_connect_token(keystore, token, key_uri, &target, err) ||
        !ks_find_private(&target, true, &key, err) ||
        !hsm_session_take(target.token, false, &session, err) ||
        !hsm_key_verdict(&session, &key, &wanted, &verdict, err)) {
        return false;
    }
    return verdict.ok || err_set(err, E_POLICY, "key '%s' on %s is not what was asked for: %s",
                                 key.label, hsm_token_name(&key.token->info), verdict.violations);
}

bool keystore_check_strength(const struct keystore_key *key, struct err *err)
{
    return hsm_weak_check(key->pkey, err) || err_wrap(err, "key '%s'", key->label);
}
