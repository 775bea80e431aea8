/* The file: sections, lines, paths (config/ini.c), and what is chosen of it (config/config.c). */
#include "config/config.h"

#include "base/buf.h"
#include "unit/unit.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct config *parse(const char *text)
{
    struct config *config = NULL;
    struct err err = ERR_INIT;

    assert_ok(config_parse("test.conf", text, &config, &err), &err);
    return config;
}

static void refuses(const char *text, const char *words)
{
    AUTO(config) struct config *config = NULL;
    struct err err = ERR_INIT;

    assert_fails(config_parse("test.conf", text, &config, &err), &err, E_CONFIG, words);
    assert_null(config);
}

static bool choose(struct config *config, const struct config_choice *choice, unsigned need,
                   struct config_selection *out, struct err *err)
{
    return config_select(config, choice, need, out, err);
}

static const struct config_choice nothing = {.profile = NULL};

enum {
    NEED_CA = CONFIG_NEED(CONFIG_CA),
    NEED_TOKEN = CONFIG_NEED(CONFIG_TOKEN),
    NEED_PROFILE = CONFIG_NEED(CONFIG_PROFILE),
    NEED_ALL = NEED_CA | NEED_TOKEN | NEED_PROFILE,
};

/* The selection without names; its values live as long as the config. */
static struct config_selection selected(struct config *config)
{
    struct config_selection out;
    struct err err = ERR_INIT;

    assert_ok(choose(config, &nothing, NEED_ALL, &out, &err), &err);
    return out;
}

/* Lines */

static void test_text_behind_a_section_is_refused(void **state UNUSED)
{
    AUTO(config) struct config *config = parse("[profile:web] \t\r\nterm = 90\n");

    assert_int_equal(selected(config).profile->term_days, 90);
    refuses("[profile:web] junk\n", "line 1: there is text behind [profile:web]");
    refuses("[ca:a]\n[profile:web]term = 90\n", "line 2: there is text behind [profile:web]");
    refuses("[profile:web] # no comment\n", "there is text behind [profile:web]");
}

static void test_empty_file_is_all_defaults(void **state UNUSED)
{
    AUTO(config) struct config *config = parse("");
    struct config_selection s = selected(config);

    assert_string_equal(s.ca->url, "https://cert-manager.com");
    assert_int_equal(s.ca->timeout_s, 60);
    assert_null(s.profile->key_type);
    assert_true(s.ca->public_trust);
    assert_null(s.token->module);
    assert_false(s.general->allow_env_secrets);
}

static void test_comments_and_blank_lines(void **state UNUSED)
{
    AUTO(config)
    struct config *config = parse("# comment\n\n; another\n[ca:a]\n  # indented\nlogin = me\n\n");

    assert_string_equal(selected(config).ca->login, "me");
}

static void test_white_space_around_names_and_values(void **state UNUSED)
{
    AUTO(config) struct config *config = parse("[ca:a]\n  login   =   me and you  \t\n");

    assert_string_equal(selected(config).ca->login, "me and you");
}

static void test_line_ends_of_windows(void **state UNUSED)
{
    AUTO(config) struct config *config = parse("[ca:a]\r\nlogin = me\r\n");

    assert_string_equal(selected(config).ca->login, "me");
}

static void test_last_line_needs_no_line_end(void **state UNUSED)
{
    AUTO(config) struct config *config = parse("[ca:a]\nlogin = me");

    assert_string_equal(selected(config).ca->login, "me");
}

static void test_semicolon_and_hash_belong_to_a_value(void **state UNUSED)
{
    AUTO(config)
    struct config *config = parse("[token:a]\nuri = pkcs11:token=a;serial=1 ; x # y\n");

    assert_string_equal(selected(config).token->uri, "pkcs11:token=a;serial=1 ; x # y");
}

static void test_equals_sign_belongs_to_a_value(void **state UNUSED)
{
    AUTO(config) struct config *config = parse("[profile:a]\nsubject = CN=a,O=b\n");

    assert_string_equal(selected(config).profile->subject, "CN=a,O=b");
}

static void test_colon_belongs_to_a_value(void **state UNUSED)
{
    AUTO(config) struct config *config = parse("[ca:a]\nurl = https://host:8443\n");

    assert_string_equal(selected(config).ca->url, "https://host:8443");
}

static void test_later_value_replaces_an_earlier_one(void **state UNUSED)
{
    AUTO(config) struct config *config = parse("[ca:a]\nlogin = x\nlogin = y\n");

    assert_string_equal(selected(config).ca->login, "y");
}

static void test_section_may_be_continued(void **state UNUSED)
{
    AUTO(config)
    struct config *config =
        parse("[ca:a]\nlogin = x\n[token:t]\nmodule = /m\n[ca:a]\norg_id = 5\n");
    struct config_selection s = selected(config);

    assert_string_equal(s.ca->login, "x");
    assert_int_equal(s.ca->org_id, 5);
}

static void test_empty_value_is_an_empty_text(void **state UNUSED)
{
    AUTO(config) struct config *config = parse("[ca:a]\nprivate_prefix =\n");

    assert_string_equal(selected(config).ca->private_prefix, "");
}

static void test_unknown_section_is_an_error(void **state UNUSED)
{
    refuses("\n[cas:a]\nlogin = x\n", "there is no section [cas:a]");
    refuses("\n[cas:a]\nlogin = x\n", "test.conf, line ");
    refuses("[ca]\nlogin = x\n", "there is no section [ca]");
    refuses("[ca:]\nlogin = x\n", "there is no section [ca:]");
    refuses("[P11enroll]\nca = x\n", "there is no section [P11enroll]");
}

/* A section that has no setting (yet) is a section all the same. */
static void test_unknown_section_without_settings_is_an_error(void **state UNUSED)
{
    refuses("[bogus]\n", "there is no section [bogus]");
}

static void test_section_without_settings_can_be_chosen(void **state UNUSED)
{
    AUTO(config) struct config *config = parse("[profile:web]\n[ca:a]\nlogin = x\n");
    struct config_choice web = {.profile = "web"};
    struct config_selection out;
    struct err err = ERR_INIT;

    assert_ok(choose(config, &web, NEED_ALL, &out, &err), &err);
    assert_string_equal(out.profile->chain, "token");
}

static void test_unknown_setting_is_an_error_with_its_line(void **state UNUSED)
{
    refuses("[ca:a]\nlogin = x\npasswort = y\n",
            "test.conf, line 3: [ca:a] has no setting 'passwort'");
    refuses("[token:a]\nlogin = x\n", "[token:a] has no setting 'login'");
    refuses("[ca:a]\nLogin = x\n", "has no setting 'Login'");
}

static void test_setting_outside_a_section_is_an_error(void **state UNUSED)
{
    refuses("login = x\n", "test.conf, line 1: settings stand in a section");
}

static void test_line_that_is_neither_is_an_error(void **state UNUSED)
{
    refuses("[ca:a]\nlogin = x\njunk\n", "test.conf, line 3: neither a [section] nor a setting");
    refuses("[ca:a\nlogin = x\n", "test.conf, line 1: neither");
}

static void test_value_that_is_not_understood_is_an_error(void **state UNUSED)
{
    refuses("[ca:a]\n\ntimeout = soon\n",
            "test.conf, line 3: timeout: 'soon' is not a span of time");
    refuses("[ca:a]\norg_id = -1\n", "line 2: org_id: '-1' is not a number");
    refuses("[ca:a]\nauth = token\n", "auth: 'token' is none of cert, password");
    refuses("[p11enroll]\nallow_env_secrets = maybe\n", "'maybe' is neither yes nor no");
    refuses("[ca:a]\ntls_max = 1.1\n", "'1.1' is neither 1.2 nor 1.3");
    refuses("[profile:a]\nsan = sometimes\n", "'sometimes' is none of auto, always, never");
}

/* config.h: "as is a value that is not understood" */
static void test_chain_is_token_or_none(void **state UNUSED)
{
    refuses("[profile:a]\nchain = tokens\n", "chain");
}

static void test_secret_in_place_of_its_source_is_not_repeated(void **state UNUSED)
{
    AUTO(config) struct config *config = NULL;
    struct err err = ERR_INIT;

    assert_fails(config_parse("test.conf", "[token:a]\npin_source = hunter2\n", &config, &err),
                 &err, E_CONFIG, "test.conf, line 2: pin_source: a secret source must be");
    assert_lacks(err.msg, "hunter2");
}

static void test_long_value_fits(void **state UNUSED)
{
    AUTO(config) struct config *config = parse(tmp_printf("[profile:a]\ncomments = %010000d\n", 7));

    assert_int_equal(strlen(selected(config).profile->comments), 10000);
}

static void test_longer_line_is_an_error_with_its_number(void **state UNUSED)
{
    refuses(tmp_printf("[profile:a]\n\ncomments = %017000d\n", 7),
            "test.conf: line 3 is longer than");
}

static void test_longest_line_is_not_cut(void **state UNUSED)
{
    enum { LONGEST = 16384 - 3 };
    static const char head[] = "comments = ";
    int digits = LONGEST - (int)strlen(head);
    AUTO(config)
    struct config *config = parse(tmp_printf("[profile:a]\n%s%0*d\nlabel = x\n", head, digits, 7));

    assert_int_equal(strlen(selected(config).profile->comments), digits);
    assert_string_equal(selected(config).profile->label, "x");
}

static void test_long_names_are_refused_not_cut(void **state UNUSED)
{
    refuses(tmp_printf("[ca:%060d]\nlogin = x\n", 7), "at most 48 characters");
    refuses(tmp_printf("[ca:a]\n%060d = x\n", 7), "at most 48 characters");
}

static void test_longest_section_name(void **state UNUSED)
{
    AUTO(config) struct config *config = parse(tmp_printf("[ca:%045d]\nlogin = x\n", 7));

    assert_int_equal(strlen(selected(config).ca->name), 45);
}

static void test_too_many_sections_are_refused(void **state UNUSED)
{
    AUTO(buf) struct buf text = BUF_INIT(100000);

    for (int i = 0; i < 65; i++) {
        buf_addf(&text, "[ca:c%d]\nlogin = x\n", i);
    }
    refuses(buf_str(&text), "more than 64 sections");
}

/* Files */

static struct config *read_file(const char *path)
{
    struct config *config = NULL;
    struct err err = ERR_INIT;

    assert_ok(config_read(path, &config, &err), &err);
    return config;
}

static void test_file_is_read_and_remembered(void **state UNUSED)
{
    const char *path = tmp_text(tmp_dir(), "c.conf", "[ca:a]\nlogin = x\n");
    AUTO(config) struct config *config = read_file(path);

    assert_string_equal(config_path(config), path);
    assert_string_equal(selected(config).ca->login, "x");
}

static void test_missing_file_is_an_error(void **state UNUSED)
{
    struct config *config = NULL;
    struct err err = ERR_INIT;

    assert_fails(config_read("/nowhere/c.conf", &config, &err), &err, E_CONFIG,
                 "configuration: opening /nowhere/c.conf");
}

static void test_nul_byte_is_refused(void **state UNUSED)
{
    const char *path = tmp_file(tmp_dir(), "c.conf", "[ca:a]\0\nlogin = x\n", 18, 0600);
    struct config *config = NULL;
    struct err err = ERR_INIT;

    assert_fails(config_read(path, &config, &err), &err, E_CONFIG, "contains a NUL byte");
}

static void test_relative_paths_are_relative_to_the_file(void **state UNUSED)
{
    const char *dir = tmp_dir();
    const char *path = tmp_text(dir, "c.conf",
                                "[p11enroll]\nstate_dir = state\n"
                                "[token:t]\nmodule = lib/m.so\npin_source = file:pin\n"
                                "[ca:a]\nclient_cert = me.p12\ntrust = /abs/ca.pem\n"
                                "client_key = pkcs11:object=x\n");
    AUTO(config) struct config *config = read_file(path);
    struct config_selection s = selected(config);

    assert_string_equal(s.general->state_dir, tmp_join(dir, "state"));
    assert_string_equal(s.token->module, tmp_join(dir, "lib/m.so"));
    assert_string_equal(s.token->pin_source, tmp_printf("file:%s/pin", dir));
    assert_string_equal(s.ca->client_cert, tmp_join(dir, "me.p12"));
    assert_string_equal(s.ca->trust, "/abs/ca.pem");
    assert_string_equal(s.ca->client_key, "pkcs11:object=x");
}

static void test_relative_paths_behind_a_link_are_relative_to_the_real_file(void **state UNUSED)
{
    const char *real = tmp_dir();
    const char *link = tmp_join(tmp_dir(), "c.conf");
    const char *path = tmp_text(real, "c.conf", "[token:t]\nmodule = m.so\n");

    assert_int_equal(symlink(path, link), 0);
    AUTO(config) struct config *config = read_file(link);
    assert_string_equal(selected(config).token->module, tmp_join(real, "m.so"));
}

static void test_texts_that_are_no_paths_stay_as_they_are(void **state UNUSED)
{
    const char *path = tmp_text(tmp_dir(), "c.conf",
                                "[ca:a]\nlogin = me\napi_path = /api\nurl = https://x\n"
                                "[token:t]\npin_source = fd:3\n");
    AUTO(config) struct config *config = read_file(path);
    struct config_selection s = selected(config);

    assert_string_equal(s.ca->login, "me");
    assert_string_equal(s.ca->api_path, "/api");
    assert_string_equal(s.token->pin_source, "fd:3");
}

/* The scheme of a URI is known in any case (RFC 3986), and hsm/uri.c does know it so. */
static void test_uri_with_an_upper_case_scheme_is_no_path(void **state UNUSED)
{
    const char *path = tmp_text(tmp_dir(), "c.conf", "[ca:a]\nclient_key = PKCS11:object=x\n");
    AUTO(config) struct config *config = read_file(path);

    assert_string_equal(selected(config).ca->client_key, "PKCS11:object=x");
}

static void test_file_of_the_user_is_found(void **state UNUSED)
{
    const char *dir = tmp_dir();

    assert_int_equal(mkdir(tmp_join(dir, "p11enroll"), 0700), 0);
    (void)tmp_text(dir, "p11enroll/p11enroll.conf", "[ca:a]\nlogin = x\n");
    assert_int_equal(setenv("XDG_CONFIG_HOME", dir, 1), 0);
    AUTO(config) struct config *config = read_file(NULL);
    assert_string_equal(config_path(config), tmp_join(dir, "p11enroll/p11enroll.conf"));
}

static void test_no_file_at_all_is_all_defaults(void **state UNUSED)
{
    const char *dir = tmp_dir();

    if (access("/etc/p11enroll/p11enroll.conf", F_OK) == 0) {
        skip();
    }
    assert_int_equal(setenv("XDG_CONFIG_HOME", dir, 1), 0);
    AUTO(config) struct config *config = read_file(NULL);
    assert_null(config_path(config));
    assert_string_equal(selected(config).ca->url, "https://cert-manager.com");
    AUTO(str) char *places = config_places();
    assert_non_null(strstr(places, tmp_join(dir, "p11enroll/p11enroll.conf")));
    assert_non_null(strstr(places, "/etc/p11enroll/p11enroll.conf"));
}

/* Selection */

static const char three[] = "[p11enroll]\nprofile = web\n"
                            "[ca:prod]\nlogin = p\n[ca:test]\nlogin = t\n"
                            "[token:hsm]\nmodule = /hsm.so\n[token:card]\nmodule = /card.so\n"
                            "[profile:web]\nca = prod\ntoken = hsm\n"
                            "[profile:lab]\nca = test\n";

static void test_profile_names_its_ca_and_token(void **state UNUSED)
{
    AUTO(config) struct config *config = parse(three);
    struct config_selection s = selected(config);

    assert_string_equal(s.profile->name, "web");
    assert_string_equal(s.ca->name, "prod");
    assert_string_equal(s.token->name, "hsm");
}

static void test_named_sections_go_before_the_profile(void **state UNUSED)
{
    AUTO(config) struct config *config = parse(three);
    struct config_choice choice = {.ca = "test", .token = "card"};
    struct config_selection out;
    struct err err = ERR_INIT;

    assert_ok(choose(config, &choice, NEED_ALL, &out, &err), &err);
    assert_string_equal(out.ca->name, "test");
    assert_string_equal(out.token->name, "card");
    assert_string_equal(out.profile->name, "web");
}

static void test_unknown_name_is_an_error_with_those_there_are(void **state UNUSED)
{
    AUTO(config) struct config *config = parse(three);
    struct config_choice choice = {.ca = "dev"};
    struct config_selection out;
    struct err err = ERR_INIT;

    assert_fails(choose(config, &choice, NEED_ALL, &out, &err), &err, E_CONFIG,
                 "there is no section [ca:dev]; there are: prod, test");
}

static void test_unknown_name_in_the_profile_is_an_error(void **state UNUSED)
{
    AUTO(config) struct config *config = parse("[profile:a]\ntoken = gone\n");
    struct config_selection out;
    struct err err = ERR_INIT;

    assert_fails(choose(config, &nothing, 0, &out, &err), &err, E_CONFIG,
                 "there is no section [token:gone]");
}

static void test_several_sections_and_none_named_is_ambiguous(void **state UNUSED)
{
    AUTO(config) struct config *config = parse(three);
    struct config_choice lab = {.profile = "lab"};
    struct config_selection out;
    struct err err = ERR_INIT;

    assert_fails(
        choose(config, &lab, NEED_ALL, &out, &err), &err, E_CONFIG,
        "several token sections are configured (hsm, card) and none is named; use --token");
}

static void test_ambiguity_of_what_is_not_needed_is_no_error(void **state UNUSED)
{
    AUTO(config) struct config *config = parse(three);
    struct config_choice lab = {.profile = "lab"};
    struct config_selection out;
    struct err err = ERR_INIT;

    assert_ok(choose(config, &lab, NEED_CA, &out, &err), &err);
    assert_null(out.token->module);
    assert_string_equal(out.ca->name, "test");
}

static void test_only_section_needs_no_name(void **state UNUSED)
{
    AUTO(config) struct config *config = parse("[ca:a]\nlogin = x\n[profile:p]\nterm = 90\n");
    struct config_selection s = selected(config);

    assert_string_equal(s.ca->name, "a");
    assert_int_equal(s.profile->term_days, 90);
}

static void test_general_defaults_name_sections(void **state UNUSED)
{
    AUTO(config)
    struct config *config =
        parse("[p11enroll]\nca = b\ntoken = y\n[ca:a]\nlogin = 1\n[ca:b]\nlogin = 2\n"
              "[token:x]\nmodule = /x\n[token:y]\nmodule = /y\n");
    struct config_selection s = selected(config);

    assert_string_equal(s.ca->login, "2");
    assert_string_equal(s.token->module, "/y");
}

static void test_token_by_name(void **state UNUSED)
{
    AUTO(config) struct config *config = parse(three);
    const struct config_token *token = NULL;
    struct err err = ERR_INIT;

    assert_ok(config_token_named(config, "card", &token, &err), &err);
    assert_string_equal(token->module, "/card.so");
    assert_fails(config_token_named(config, "x", &token, &err), &err, E_CONFIG,
                 "there is no section [token:x]");
}

/* Options that override */

static void test_option_overrides_the_selected_section(void **state UNUSED)
{
    AUTO(config) struct config *config = parse(three);
    struct err err = ERR_INIT;

    assert_ok(config_override(config, "login", "me", &err), &err);
    assert_ok(config_override(config, "module", "rel/m.so", &err), &err);
    struct config_selection s = selected(config);
    assert_string_equal(s.ca->login, "me");
    assert_string_equal(s.token->module, "rel/m.so");
}

static void test_last_of_several_options_counts(void **state UNUSED)
{
    AUTO(config) struct config *config = parse("");
    struct err err = ERR_INIT;

    assert_ok(config_override(config, "org-id", "1", &err), &err);
    assert_ok(config_override(config, "org-id", "2", &err), &err);
    assert_int_equal(selected(config).ca->org_id, 2);
}

static void test_unknown_option_is_an_error(void **state UNUSED)
{
    AUTO(config) struct config *config = parse("");
    struct err err = ERR_INIT;

    assert_fails(config_override(config, "loggin", "x", &err), &err, E_USAGE,
                 "there is no option --loggin");
    assert_fails(config_override(config, "org_id", "x", &err), &err, E_USAGE, "no option --org_id");
}

static void test_option_that_is_not_understood_is_named(void **state UNUSED)
{
    AUTO(config) struct config *config = parse("");
    struct config_selection out;
    struct err err = ERR_INIT;

    bool ok = config_override(config, "timeout", "soon", &err) &&
              choose(config, &nothing, NEED_ALL, &out, &err);
    assert_false(ok);
    assert_int_equal(err.code, E_USAGE);
    assert_contains(err.msg, "--timeout: 'soon' is not a span of time");
}

static void test_too_many_options_are_refused(void **state UNUSED)
{
    AUTO(config) struct config *config = parse("");
    struct err err = ERR_INIT;

    for (int i = 0; i < 64; i++) {
        assert_ok(config_override(config, "login", "x", &err), &err);
    }
    assert_fails(config_override(config, "login", "x", &err), &err, E_USAGE, "more than 64");
}

static void test_options_move_to_another_configuration(void **state UNUSED)
{
    AUTO(config) struct config *from = parse("");
    AUTO(config) struct config *to = parse("[ca:a]\nlogin = file\n");
    struct err err = ERR_INIT;

    assert_ok(config_override(from, "login", "option", &err), &err);
    config_move_overrides(to, from);
    assert_string_equal(selected(to).ca->login, "option");
    assert_null(selected(from).ca->login);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_behind_a_section_is_refused),
        cmocka_unit_test(test_empty_file_is_all_defaults),
        cmocka_unit_test(test_comments_and_blank_lines),
        cmocka_unit_test(test_white_space_around_names_and_values),
        cmocka_unit_test(test_line_ends_of_windows),
        cmocka_unit_test(test_last_line_needs_no_line_end),
        cmocka_unit_test(test_semicolon_and_hash_belong_to_a_value),
        cmocka_unit_test(test_equals_sign_belongs_to_a_value),
        cmocka_unit_test(test_colon_belongs_to_a_value),
        cmocka_unit_test(test_later_value_replaces_an_earlier_one),
        cmocka_unit_test(test_section_may_be_continued),
        cmocka_unit_test(test_empty_value_is_an_empty_text),
        cmocka_unit_test(test_unknown_section_is_an_error),
        cmocka_unit_test(test_unknown_section_without_settings_is_an_error),
        cmocka_unit_test(test_section_without_settings_can_be_chosen),
        cmocka_unit_test(test_unknown_setting_is_an_error_with_its_line),
        cmocka_unit_test(test_setting_outside_a_section_is_an_error),
        cmocka_unit_test(test_line_that_is_neither_is_an_error),
        cmocka_unit_test(test_value_that_is_not_understood_is_an_error),
        cmocka_unit_test(test_chain_is_token_or_none),
        cmocka_unit_test(test_secret_in_place_of_its_source_is_not_repeated),
        cmocka_unit_test(test_long_value_fits),
        cmocka_unit_test(test_longer_line_is_an_error_with_its_number),
        cmocka_unit_test(test_longest_line_is_not_cut),
        cmocka_unit_test(test_long_names_are_refused_not_cut),
        cmocka_unit_test(test_longest_section_name),
        cmocka_unit_test(test_too_many_sections_are_refused),
        cmocka_unit_test(test_file_is_read_and_remembered),
        cmocka_unit_test(test_missing_file_is_an_error),
        cmocka_unit_test(test_nul_byte_is_refused),
        cmocka_unit_test(test_relative_paths_are_relative_to_the_file),
        cmocka_unit_test(test_relative_paths_behind_a_link_are_relative_to_the_real_file),
        cmocka_unit_test(test_texts_that_are_no_paths_stay_as_they_are),
        cmocka_unit_test(test_uri_with_an_upper_case_scheme_is_no_path),
        cmocka_unit_test(test_file_of_the_user_is_found),
        cmocka_unit_test(test_no_file_at_all_is_all_defaults),
        cmocka_unit_test(test_profile_names_its_ca_and_token),
        cmocka_unit_test(test_named_sections_go_before_the_profile),
        cmocka_unit_test(test_unknown_name_is_an_error_with_those_there_are),
        cmocka_unit_test(test_unknown_name_in_the_profile_is_an_error),
        cmocka_unit_test(test_several_sections_and_none_named_is_ambiguous),
        cmocka_unit_test(test_ambiguity_of_what_is_not_needed_is_no_error),
        cmocka_unit_test(test_only_section_needs_no_name),
        cmocka_unit_test(test_general_defaults_name_sections),
        cmocka_unit_test(test_token_by_name),
        cmocka_unit_test(test_option_overrides_the_selected_section),
        cmocka_unit_test(test_last_of_several_options_counts),
        cmocka_unit_test(test_unknown_option_is_an_error),
        cmocka_unit_test(test_option_that_is_not_understood_is_named),
        cmocka_unit_test(test_too_many_options_are_refused),
        cmocka_unit_test(test_options_move_to_another_configuration),
    };

    return UNIT_RUN(tests);
}
