/* The table of settings: every row can be set from a file and, if it has one, by its option. */
#include "config/config.h"

#include "config/sections.h"
#include "unit/unit.h"

/* Values for each key that differ from the default, as text and as the field then holds them. */
enum kind { TEXT, NUMBER, FLAG, WORD };

#define OF(section, field) offsetof(struct config_##section, field)

static const struct {
    const char *section; /* as in a file */
    const char *name;
    const char *value;
    enum kind kind;
    size_t offset;
    int64_t number;
} cases[] = {
    {"p11enroll", "state_dir", "/s", TEXT, OF(general, state_dir), 0},
    {"p11enroll", "lock_dir", "/l", TEXT, OF(general, lock_dir), 0},
    {"p11enroll", "ca", "x", TEXT, OF(general, ca), 0},
    {"p11enroll", "token", "x", TEXT, OF(general, token), 0},
    {"p11enroll", "profile", "x", TEXT, OF(general, profile), 0},
    {"p11enroll", "allow_env_secrets", "yes", FLAG, OF(general, allow_env_secrets), 1},
    {"p11enroll", "token_timeout", "2m", NUMBER, OF(general, token_timeout_s), 120},
    {"p11enroll", "renew_early_ov", "5d", NUMBER, OF(general, renew_early_ov_s), 432000},
    {"p11enroll", "renew_early_ev", "1h", NUMBER, OF(general, renew_early_ev_s), 3600},
    {"p11enroll", "alert_levels", "9, 3", TEXT, OF(general, alert_levels), 0},
    {"p11enroll", "alert_waiting", "1h", TEXT, OF(general, alert_waiting), 0},
    {"p11enroll", "alert_expired", "3d", NUMBER, OF(general, alert_expired_s), 259200},
    {"p11enroll", "alert_repeat", "1d", NUMBER, OF(general, alert_repeat_s), 86400},
    {"p11enroll", "alert_sources", "journal", TEXT, OF(general, alert_sources), 0},
    {"p11enroll", "alert_mail", "a@b", TEXT, OF(general, alert_mail), 0},
    {"p11enroll", "alert_mail_from", "c@d", TEXT, OF(general, alert_mail_from), 0},
    {"p11enroll", "alert_sendmail", "/m", TEXT, OF(general, alert_sendmail), 0},
    {"p11enroll", "alert_webhook", "https://w/x", TEXT, OF(general, alert_webhook), 0},
    {"p11enroll", "alert_webhook_trust", "/t", TEXT, OF(general, alert_webhook_trust), 0},
    {"p11enroll", "alert_webhook_token_source", "fd:3", TEXT,
     OF(general, alert_webhook_token_source), 0},
    {"p11enroll", "alert_webhook_proxy", "http://p:1", TEXT, OF(general, alert_webhook_proxy), 0},
    {"p11enroll", "alert_metrics", "/p.prom", TEXT, OF(general, alert_metrics), 0},
    {"p11enroll", "alert_timeout", "5s", NUMBER, OF(general, alert_timeout_s), 5},
    {"ca:x", "type", "other", TEXT, OF(ca, type), 0},
    {"ca:x", "url", "https://x", TEXT, OF(ca, url), 0},
    {"ca:x", "api_path", "/a", TEXT, OF(ca, api_path), 0},
    {"ca:x", "private_prefix", "/p", TEXT, OF(ca, private_prefix), 0},
    {"ca:x", "api_version", "v2", TEXT, OF(ca, api_version), 0},
    {"ca:x", "auth", "password", WORD, OF(ca, auth), CONFIG_AUTH_PASSWORD},
    {"ca:x", "customer_uri", "u", TEXT, OF(ca, customer_uri), 0},
    {"ca:x", "login", "l", TEXT, OF(ca, login), 0},
    {"ca:x", "password_source", "fd:3", TEXT, OF(ca, password_source), 0},
    {"ca:x", "client_id", "text", TEXT, OF(ca, client_id), 0},
    {"ca:x", "client_secret_source", "fd:3", TEXT, OF(ca, client_secret_source), 0},
    {"ca:x", "token_url", "text", TEXT, OF(ca, token_url), 0},
    {"ca:x", "token_hosts", "text", TEXT, OF(ca, token_hosts), 0},
    {"ca:x", "client_cert", "/c", TEXT, OF(ca, client_cert), 0},
    {"ca:x", "client_key", "/k", TEXT, OF(ca, client_key), 0},
    {"ca:x", "client_alias", "a", TEXT, OF(ca, client_alias), 0},
    {"ca:x", "client_password_source", "prompt", TEXT, OF(ca, client_password_source), 0},
    {"ca:x", "client_key_password_source", "prompt", TEXT, OF(ca, client_key_password_source), 0},
    {"ca:x", "client_type", "jks", WORD, OF(ca, client_type), CONFIG_STORE_JKS},
    {"ca:x", "client_token", "t", TEXT, OF(ca, client_token), 0},
    {"ca:x", "org_id", "7", NUMBER, OF(ca, org_id), 7},
    {"ca:x", "trust", "/t", TEXT, OF(ca, trust), 0},
    {"ca:x", "trust_type", "pkcs12", WORD, OF(ca, trust_type), CONFIG_STORE_PKCS12},
    {"ca:x", "trust_password_source", "fd:5", TEXT, OF(ca, trust_password_source), 0},
    {"ca:x", "proxy", "http://p:1", TEXT, OF(ca, proxy), 0},
    {"ca:x", "proxy_user", "u", TEXT, OF(ca, proxy_user), 0},
    {"ca:x", "proxy_password_source", "env:P", TEXT, OF(ca, proxy_password_source), 0},
    {"ca:x", "proxy_auth", "digest", WORD, OF(ca, proxy_auth), CONFIG_PROXY_DIGEST},
    {"ca:x", "no_proxy", "a.example,10.0.0.0/8", TEXT, OF(ca, no_proxy), 0},
    {"ca:x", "http2", "no", FLAG, OF(ca, http2), 0},
    {"ca:x", "connections", "3", NUMBER, OF(ca, connections), 3},
    {"ca:x", "tls_max", "1.2", WORD, OF(ca, tls_max), 12},
    {"ca:x", "connect_timeout", "5s", NUMBER, OF(ca, connect_timeout_s), 5},
    {"ca:x", "timeout", "1h", NUMBER, OF(ca, timeout_s), 3600},
    {"ca:x", "poll", "backoff", WORD, OF(ca, poll), CONFIG_POLL_BACKOFF},
    {"ca:x", "poll_deadline", "0", NUMBER, OF(ca, poll_deadline_s), 0},
    {"ca:x", "absence_after", "never", NUMBER, OF(ca, absence_after_s), -1},
    {"ca:x", "people_deadline", "2h", NUMBER, OF(ca, people_deadline_s), 7200},
    {"ca:x", "backoff_base", "3s", NUMBER, OF(ca, backoff_base_s), 3},
    {"ca:x", "backoff_max", "9s", NUMBER, OF(ca, backoff_max_s), 9},
    {"ca:x", "backoff_attempts", "9", NUMBER, OF(ca, backoff_attempts), 9},
    {"ca:x", "poll_scale", "1", NUMBER, OF(ca, poll_scale_percent), 1},
    {"ca:x", "collect_form", "path", WORD, OF(ca, collect_form), CONFIG_COLLECT_PATH},
    {"ca:x", "status_form", "collect", WORD, OF(ca, status_form), CONFIG_STATUS_COLLECT},
    {"ca:x", "order_fields", "term", TEXT, OF(ca, order_fields), 0},
    {"ca:x", "public_trust", "no", FLAG, OF(ca, public_trust), 0},
    {"ca:x", "dcv_method", "http", TEXT, OF(ca, dcv_method), 0},
    {"ca:x", "dcv_hook", "/h", TEXT, OF(ca, dcv_hook), 0},
    {"ca:x", "dcv_cleanup_hook", "/c", TEXT, OF(ca, dcv_cleanup_hook), 0},
    {"ca:x", "dcv_hook_style", "lego", TEXT, OF(ca, dcv_hook_style), 0},
    {"ca:x", "dcv_hook_quoted", "yes", FLAG, OF(ca, dcv_hook_quoted), 1},
    {"ca:x", "dcv_hook_env", "A=1;B", TEXT, OF(ca, dcv_hook_env), 0},
    {"ca:x", "dcv_hook_timeout", "3m", NUMBER, OF(ca, dcv_hook_timeout_s), 180},
    {"ca:x", "dns_servers", "127.0.0.1:5353", TEXT, OF(ca, dns_servers), 0},
    {"ca:x", "web_server", "127.0.0.1:8080", TEXT, OF(ca, web_server), 0},
    {"ca:x", "web_trust", "/r", TEXT, OF(ca, web_trust), 0},
    {"ca:x", "product", "p", TEXT, OF(ca, product), 0},
    {"ca:x", "term", "199", NUMBER, OF(ca, term_days), 199},
    {"ca:x", "policy", "x", TEXT, OF(ca, policy), 0},
    {"ca:x", "requester", "a@b", TEXT, OF(ca, requester), 0},
    {"ca:x", "catalog", "1, 2", TEXT, OF(ca, catalog), 0},
    {"ca:x", "eab_kid", "k", TEXT, OF(ca, eab_kid), 0},
    {"ca:x", "eab_key_source", "fd:6", TEXT, OF(ca, eab_key_source), 0},
    {"ca:x", "approval", "required", TEXT, OF(ca, approval.rule), 0},
    {"ca:x", "approval_for", "ev", TEXT, OF(ca, approval.rule_for), 0},
    {"ca:x", "approvers", "user:a", TEXT, OF(ca, approval.approvers), 0},
    {"ca:x", "approvals", "2", NUMBER, OF(ca, approval.count), 2},
    {"ca:x", "approval_time", "2d", NUMBER, OF(ca, approval.time_s), 172800},
    {"ca:x", "approval_late", "report", TEXT, OF(ca, approval.late), 0},
    {"ca:x", "approve_own", "yes", TEXT, OF(ca, approval.own), 0},
    {"token:x", "module", "/m.so", TEXT, OF(token, module), 0},
    {"token:x", "init_args", "a=b", TEXT, OF(token, init_args), 0},
    {"token:x", "quirks", "no-copy", TEXT, OF(token, quirks), 0},
    {"token:x", "uri", "pkcs11:token=a", TEXT, OF(token, uri), 0},
    {"token:x", "pin_source", "fd:4", TEXT, OF(token, pin_source), 0},
    {"token:x", "generate_as", "so", WORD, OF(token, generate_as), CONFIG_ROLE_SO},
    {"token:x", "write_certificates_as", "so", WORD, OF(token, write_certificates_as),
     CONFIG_ROLE_SO},
    {"token:x", "so_pin_source", "fd:5", TEXT, OF(token, so_pin_source), 0},
    {"token:x", "certificates", "detached", WORD, OF(token, certificates), CONFIG_CERTS_DETACHED},
    {"token:x", "detached_dir", "/d", TEXT, OF(token, detached_dir), 0},
    {"token:x", "max_certificate_size", "2048", NUMBER, OF(token, max_certificate_size), 2048},
    {"token:x", "attest_first", "yes", FLAG, OF(token, attest_first), 1},
    {"profile:x", "ca", "x", TEXT, OF(profile, ca), 0},
    {"profile:x", "token", "x", TEXT, OF(profile, token), 0},
    {"profile:x", "kind", "device", WORD, OF(profile, kind), CONFIG_KIND_DEVICE},
    {"profile:x", "product", "p", TEXT, OF(profile, product), 0},
    {"profile:x", "names", "a.b", TEXT, OF(profile, names), 0},
    {"profile:x", "term", "365", NUMBER, OF(profile, term_days), 365},
    {"profile:x", "policy", "x", TEXT, OF(profile, policy), 0},
    {"profile:x", "key_type", "p256", TEXT, OF(profile, key_type), 0},
    {"profile:x", "label", "l", TEXT, OF(profile, label), 0},
    {"profile:x", "subject", "CN=x", TEXT, OF(profile, subject), 0},
    {"profile:x", "issuer_roots", "/r", TEXT, OF(profile, issuer_roots), 0},
    {"profile:x", "chain", "none", TEXT, OF(profile, chain), 0},
    {"profile:x", "san", "never", WORD, OF(profile, san), CONFIG_SAN_NEVER},
    {"profile:x", "evidence_dir", "/e", TEXT, OF(profile, evidence_dir), 0},
    {"profile:x", "require_attestation", "yes", FLAG, OF(profile, require_attestation), 1},
    {"profile:x", "external_requester", "a@b", TEXT, OF(profile, external_requester), 0},
    {"profile:x", "comments", "c", TEXT, OF(profile, comments), 0},
    {"profile:x", "custom_fields", "a=b", TEXT, OF(profile, custom_fields), 0},
    {"profile:x", "optional_fields", "a=b", TEXT, OF(profile, optional_fields), 0},
    {"profile:x", "org_id", "7", NUMBER, OF(profile, org_id), 7},
    {"profile:x", "approval", "required", TEXT, OF(profile, approval.rule), 0},
    {"profile:x", "approval_for", "ev", TEXT, OF(profile, approval.rule_for), 0},
    {"profile:x", "approvers", "user:a", TEXT, OF(profile, approval.approvers), 0},
    {"profile:x", "approvals", "2", NUMBER, OF(profile, approval.count), 2},
    {"profile:x", "approval_time", "2d", NUMBER, OF(profile, approval.time_s), 172800},
    {"profile:x", "approval_late", "report", TEXT, OF(profile, approval.late), 0},
    {"profile:x", "approve_own", "yes", TEXT, OF(profile, approval.own), 0},
    {"profile:x", "person", "Ada Lovelace", TEXT, OF(profile, person), 0},
    {"policy:x", "type", "p256", TEXT, OF(policy, type), 0},
    {"policy:x", "usage", "decrypt", TEXT, OF(policy, usage), 0},
    {"policy:x", "sensitive", "no", TEXT, OF(policy, sensitive), 0},
    {"policy:x", "extractable", "yes", TEXT, OF(policy, extractable), 0},
    {"policy:x", "always_authenticate", "yes", TEXT, OF(policy, always_authenticate), 0},
    {"policy:x", "modifiable", "no", TEXT, OF(policy, modifiable), 0},
    {"policy:x", "copyable", "no", TEXT, OF(policy, copyable), 0},
    {"policy:x", "allowed_mechanisms", "CKM_ECDSA", TEXT, OF(policy, allowed_mechanisms), 0},
    {"policy:x", "more_usage", "accept", TEXT, OF(policy, more_usage), 0},
    {"policy:x", "id", "ski", TEXT, OF(policy, id), 0},
    {"policy:x", "label", "l", TEXT, OF(policy, label), 0},
};

static const enum config_section section_of[] = {CONFIG_GENERAL, CONFIG_CA, CONFIG_TOKEN,
                                                 CONFIG_PROFILE, CONFIG_POLICY};
static const char *const section_names[] = {"p11enroll", "ca:x", "token:x", "profile:x",
                                            "policy:x"};

static enum config_section kind_of(const char *section)
{
    for (size_t i = 0; i < ARRAY_LEN(section_names); i++) {
        if (strcmp(section_names[i], section) == 0) {
            return section_of[i];
        }
    }
    fail_msg("no section %s", section);
    return CONFIG_SECTIONS;
}

static const void *section_in(const struct config_selection *s, enum config_section kind)
{
    switch (kind) {
    case CONFIG_GENERAL:
        return s->general;
    case CONFIG_CA:
        return s->ca;
    case CONFIG_TOKEN:
        return s->token;
    case CONFIG_PROFILE:
        return s->profile;
    case CONFIG_POLICY:
    case CONFIG_SECTIONS:
        break;
    }
    return NULL;
}

static void has_value(struct config *config, size_t i)
{
    /* Every section of these files is called x, so that names in settings resolve. */
    struct config_choice choice = {.profile = NULL};
    struct config_selection s;
    struct err err = ERR_INIT;

    assert_ok(config_select(config, &choice, 0, &s, &err), &err);
    enum config_section kind = kind_of(cases[i].section);
    const void *section =
        kind == CONFIG_POLICY ? config_policy_named(config, "x") : section_in(&s, kind);
    assert_non_null(section);
    const char *field = (const char *)section + cases[i].offset;
    switch (cases[i].kind) {
    case TEXT:
        assert_string_equal(*(char *const *)(const void *)field, cases[i].value);
        break;
    case NUMBER:
        assert_int_equal(*(const int64_t *)(const void *)field, cases[i].number);
        break;
    case FLAG:
        assert_int_equal(*(const bool *)field, cases[i].number);
        break;
    case WORD:
        assert_int_equal(*(const int *)(const void *)field, cases[i].number);
        break;
    }
}

static const char sections_called_x[] =
    "[ca:x]\nlogin = a\n[token:x]\nmodule = /m\n[profile:x]\nlabel = a\n";

static void test_every_key_can_be_set_in_a_file(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(config) struct config *config = NULL;
        struct err err = ERR_INIT;
        const char *text = tmp_printf("%s[%s]\n%s = %s\n", sections_called_x, cases[i].section,
                                      cases[i].name, cases[i].value);
        assert_ok(config_parse("f", text, &config, &err), &err);
        has_value(config, i);
    }
}

static void test_every_option_sets_its_key(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(config) struct config *config = NULL;
        struct err err = ERR_INIT;
        const struct config_key *key = config_find_key(kind_of(cases[i].section), cases[i].name);
        assert_non_null(key);
        if (key->option == NULL) {
            continue;
        }
        assert_ok(config_parse("f", sections_called_x, &config, &err), &err);
        assert_ok(config_override(config, key->option, cases[i].value, &err), &err);
        has_value(config, i);
    }
}

static void test_every_row_is_tested_here(void **state UNUSED)
{
    size_t rows = 0;

    while (config_key_at(rows) != NULL) {
        const struct config_key *key = config_key_at(rows++);
        bool found = false;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            found = found || (kind_of(cases[i].section) == key->section &&
                              strcmp(cases[i].name, key->name) == 0);
        }
        if (!found) {
            fail_msg("no case for '%s'", key->name);
        }
    }
    assert_int_equal(rows, ARRAY_LEN(cases));
}

static void test_names_and_options_are_unique(void **state UNUSED)
{
    for (size_t i = 0; config_key_at(i) != NULL; i++) {
        const struct config_key *a = config_key_at(i);
        for (size_t k = 0; k < i; k++) {
            const struct config_key *b = config_key_at(k);
            assert_false(a->section == b->section && strcmp(a->name, b->name) == 0);
            assert_false(a->option != NULL && b->option != NULL &&
                         strcmp(a->option, b->option) == 0);
        }
        assert_ptr_equal(config_find_key(a->section, a->name), a);
        assert_true(a->option == NULL || config_find_option(a->option) == a);
        assert_true(strlen(a->help) > 0 && strlen(a->argument) > 0);
    }
}

static void test_every_default_is_understood(void **state UNUSED)
{
    for (size_t i = 0; config_key_at(i) != NULL; i++) {
        const struct config_key *key = config_key_at(i);
        AUTO(config) struct config *config = NULL;
        struct err err = ERR_INIT;
        if (key->preset != NULL) {
            const char *text =
                tmp_printf("[%s]\n%s = %s\n", section_names[key->section], key->name, key->preset);
            assert_ok(config_parse("f", text, &config, &err), &err);
        }
    }
}

static void test_unknown_keys_are_not_found(void **state UNUSED)
{
    assert_null(config_find_key(CONFIG_CA, "module"));
    assert_null(config_find_option(""));
    assert_null(config_find_option("no-such"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_can_be_set_in_a_file),
        cmocka_unit_test(test_every_option_sets_its_key),
        cmocka_unit_test(test_every_row_is_tested_here),
        cmocka_unit_test(test_names_and_options_are_unique),
        cmocka_unit_test(test_every_default_is_understood),
        cmocka_unit_test(test_unknown_keys_are_not_found),
    };

    return UNIT_RUN(tests);
}
