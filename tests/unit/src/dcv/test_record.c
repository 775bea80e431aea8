/* What is published: only what belongs to the domain, in harmless characters; and how hooks hear of
 * it. */
#include "dcv/dcv.h"

#include "base/str.h"

#include "unit/unit.h"

static void test_dns_record_loses_its_dots(void **state UNUSED)
{
    AUTO(dcv_record) struct dcv_record record = {.domain = NULL};
    struct err err = ERR_INIT;

    assert_ok(dcv_record_dns(&record, "*.A.example", DCV_CNAME, "_x.a.EXAMPLE.", "y.z.sectigo.com.",
                             &err),
              &err);
    assert_string_equal(record.domain, "A.example");
    assert_string_equal(record.name, "_x.a.EXAMPLE");
    assert_string_equal(record.value, "y.z.sectigo.com");
    assert_null(record.url);
}

static void test_txt_keeps_every_character(void **state UNUSED)
{
    AUTO(dcv_record) struct dcv_record record = {.domain = NULL};
    struct err err = ERR_INIT;

    assert_ok(dcv_record_dns(&record, "a.example", DCV_TXT, "_pki-validation.a.example.",
                             "a\"b\\|%.", &err),
              &err);
    assert_string_equal(record.value, "a\"b\\|%.");
}

static void test_dns_records_of_others_are_refused(void **state UNUSED)
{
    static const struct {
        const char *host, *point;
    } bad[] = {
        {"_x.b.example", "y.z"},
        {"a.example", "y.z"},
        {"xa.example", "y.z"},
        {"_x.a.example.evil", "y.z"},
        {"", "y.z"},
        {".a.example", "y.z"},
        {"_x..a.example", "y.z"},
        {"_x y.a.example", "z"},
        {"_x\n.a.example", "z"},
        {"-x.a.example", "z"},
        {"*.a.example", "z"},
        {"_x.a.example", ""},
        {"_x.a.example", "y z"},
        {"_x.a.example", "$(id).z"},
        {"_x.a.example", "y.z\nupdate delete a.example"},
    };
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO(dcv_record) struct dcv_record record = {.domain = NULL};
        assert_fails(
            dcv_record_dns(&record, "a.example", DCV_CNAME, bad[i].host, bad[i].point, &err), &err,
            E_PROTOCOL, "nothing was published");
        assert_null(record.name);
    }
}

static void test_txt_of_several_lines_is_refused(void **state UNUSED)
{
    AUTO(dcv_record) struct dcv_record record = {.domain = NULL};
    struct err err = ERR_INIT;

    assert_fails(dcv_record_dns(&record, "a.example", DCV_TXT, "_x.a.example", "a\nb", &err), &err,
                 E_PROTOCOL, "a\\x0ab");
    assert_fails(dcv_record_dns(&record, "a.example", DCV_TXT, "_x.a.example",
                                tmp_printf("%0256d", 1), &err),
                 &err, E_PROTOCOL, "a record that says");
}

static void test_file_has_its_lines(void **state UNUSED)
{
    AUTO(dcv_record) struct dcv_record record = {.domain = NULL};
    AUTO(dcv_record) struct dcv_record one = {.domain = NULL};
    struct err err = ERR_INIT;

    assert_ok(dcv_record_file(&record, "a.example",
                              "http://A.example/.well-known/pki-validation/F0.txt", "x",
                              "sectigo.com", &err),
              &err);
    assert_string_equal(record.name, "/.well-known/pki-validation/F0.txt");
    assert_string_equal(record.value, "x\nsectigo.com");
    assert_ok(
        dcv_record_file(&one, "a.example", "https://a.example/.well-known/F0", "x", NULL, &err),
        &err);
    assert_string_equal(one.value, "x");
}

static void test_files_elsewhere_are_refused(void **state UNUSED)
{
    static const char *const bad[] = {
        "http://b.example/.well-known/x",
        "http://a.example.evil/.well-known/x",
        "http://a.example:80/.well-known/x",
        "http://u@a.example/.well-known/x",
        "ftp://a.example/.well-known/x",
        "http://a.example/etc/passwd",
        "http://a.example/.well-known/../x",
        "http://a.example/.well-known/",
        "http://a.example/.well-known/.htaccess",
        "http://a.example/.well-known/a//b",
        "http://a.example/.well-known/a b",
        "http://a.example/.well-known/a?b",
        "http://a.example/.well-known/a%2fb",
        "http://a.example/.well-known/-rf",
        "http://a.example",
        "",
    };
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO(dcv_record) struct dcv_record record = {.domain = NULL};
        assert_fails(dcv_record_file(&record, "a.example", bad[i], "x", "y", &err), &err,
                     E_PROTOCOL, "a file at");
    }
}

static void test_file_of_strange_lines_is_refused(void **state UNUSED)
{
    AUTO(dcv_record) struct dcv_record record = {.domain = NULL};
    struct err err = ERR_INIT;
    const char *url = "http://a.example/.well-known/x";

    assert_fails(dcv_record_file(&record, "a.example", url, "", NULL, &err), &err, E_PROTOCOL,
                 "that says");
    assert_fails(dcv_record_file(&record, "a.example", url, "a\nb", NULL, &err), &err, E_PROTOCOL,
                 "that says");
    assert_fails(dcv_record_file(&record, "a.example", url, "a", "b\x1b", &err), &err, E_PROTOCOL,
                 "that says");
}

/* Styles */

static const char *call_text_as(enum dcv_style style, bool quoted, enum dcv_step step,
                                const struct dcv_record *record)
{
    AUTO(dcv_call) struct dcv_call call = {.arg_count = 0};
    AUTO(buf) struct buf out = BUF_INIT(4000);
    struct err err = ERR_INIT;

    assert_ok(dcv_style_call(style, quoted, step, record, "\n said \n", &call, &err), &err);
    for (size_t i = 0; i < call.arg_count; i++) {
        buf_addf(&out, "%s[%s]", i > 0 ? " " : "", call.args[i]);
    }
    for (size_t i = 0; i < call.env_count; i++) {
        if (str_starts_with(call.env[i], "CERTBOT_")) {
            buf_addf(&out, "%s\n", call.env[i]);
        }
    }
    assert_null(call.args[call.arg_count]);
    assert_null(call.env[call.env_count]);
    return tmp_printf("%s", buf_str(&out));
}

static const char *call_text(enum dcv_style style, enum dcv_step step,
                             const struct dcv_record *record)
{
    return call_text_as(style, false, step, record);
}

static void test_calls_by_style(void **state UNUSED)
{
    AUTO(dcv_record) struct dcv_record txt = {.domain = NULL};
    AUTO(dcv_record) struct dcv_record file = {.domain = NULL};
    struct err err = ERR_INIT;

    assert_ok(dcv_record_dns(&txt, "a.example", DCV_TXT, "_p.a.example.", "v w", &err), &err);
    assert_ok(
        dcv_record_file(&file, "a.example", "http://a.example/.well-known/p/F.txt", "1", "2", &err),
        &err);
    assert_string_equal(call_text(DCV_STYLE_OWN, DCV_PUBLISH, &txt),
                        "[publish] [txt] [a.example] [_p.a.example] [v w]");
    assert_string_equal(call_text(DCV_STYLE_OWN, DCV_REMOVE_FAILED, &file),
                        "[remove] [file] [a.example] [/.well-known/p/F.txt] [1\n2]");
    assert_string_equal(call_text(DCV_STYLE_UACME, DCV_PUBLISH, &file),
                        "[begin] [http-01] [a.example] [F.txt] [1\n2]");
    assert_string_equal(call_text(DCV_STYLE_UACME, DCV_REMOVE_DONE, &txt),
                        "[done] [dns-01] [a.example] [_p.a.example] [v w]");
    assert_string_equal(call_text(DCV_STYLE_UACME, DCV_REMOVE_FAILED, &txt),
                        "[failed] [dns-01] [a.example] [_p.a.example] [v w]");
    assert_string_equal(call_text(DCV_STYLE_DEHYDRATED, DCV_PUBLISH, &file),
                        "[deploy_challenge] [a.example] [F.txt] [1\n2]");
    assert_string_equal(call_text(DCV_STYLE_LEGO, DCV_REMOVE_DONE, &txt),
                        "[cleanup] [_p.a.example.] [v w]");
    assert_string_equal(
        call_text(DCV_STYLE_CERTBOT, DCV_PUBLISH, &file),
        "CERTBOT_DOMAIN=a.example\nCERTBOT_IDENTIFIER=a.example\nCERTBOT_VALIDATION=1\n2\n"
        "CERTBOT_ALL_DOMAINS=a.example\nCERTBOT_ALL_IDENTIFIERS=a.example\n"
        "CERTBOT_REMAINING_CHALLENGES=0\nCERTBOT_TOKEN=F.txt\n");
    assert_contains(call_text(DCV_STYLE_CERTBOT, DCV_REMOVE_DONE, &txt),
                    "CERTBOT_AUTH_OUTPUT=said\n");
}

static void test_txt_is_quoted_on_request(void **state UNUSED)
{
    AUTO(dcv_record) struct dcv_record txt = {.domain = NULL};
    AUTO(dcv_record) struct dcv_record cname = {.domain = NULL};
    struct err err = ERR_INIT;

    assert_ok(dcv_record_dns(&txt, "a.example", DCV_TXT, "_p.a.example.", "v\"\\|;%", &err), &err);
    assert_ok(dcv_record_dns(&cname, "a.example", DCV_CNAME, "_p.a.example.", "b.c", &err), &err);
    assert_string_equal(call_text_as(DCV_STYLE_UACME, true, DCV_PUBLISH, &txt),
                        "[begin] [dns-01] [a.example] [_p.a.example] [\"v\\\"\\\\|;%\"]");
    assert_string_equal(call_text_as(DCV_STYLE_OWN, true, DCV_PUBLISH, &cname),
                        "[publish] [cname] [a.example] [_p.a.example] [b.c]");
}

static void test_environment_has_room_to_the_end(void **state UNUSED)
{
    AUTO(dcv_call) struct dcv_call call = {.arg_count = 0};

    for (int i = 0; i + 1 < DCV_ENV_MAX; i++) {
        assert_true(dcv_call_setenv(&call, tmp_printf("A%d", i), "1"));
    }
    assert_false(dcv_call_setenv(&call, "B", "1"));
    assert_null(call.env[call.env_count]);
}

static void test_a_variable_is_set_anew(void **state UNUSED)
{
    AUTO(dcv_call) struct dcv_call call = {.arg_count = 0};

    assert_true(dcv_call_setenv(&call, "HOME", "/"));
    assert_true(dcv_call_setenv(&call, "HOM", "/b"));
    assert_true(dcv_call_setenv(&call, "HOME", "/c"));
    assert_int_equal(call.env_count, 2);
    assert_string_equal(call.env[0], "HOME=/c");
    assert_string_equal(call.env[1], "HOM=/b");
}

/* Settings */

static bool check_look(const char *dns, const char *web, struct err *err)
{
    struct dcv_look look = {.dns_servers = dns, .web_server = web};

    return dcv_look_check(&look, err);
}

static void test_where_to_look(void **state UNUSED)
{
    struct err err = ERR_INIT;

    assert_ok(check_look(NULL, NULL, &err), &err);
    assert_ok(check_look("192.0.2.1, 192.0.2.2:5353,[2001:db8::1]:53,2001:db8::2",
                         "[2001:db8::1]:8080", &err),
              &err);
    assert_fails(check_look("", NULL, &err), &err, E_CONFIG, "none is named");
    assert_fails(check_look("192.0.2.1,ns1.example", NULL, &err), &err, E_CONFIG, "'ns1.example'");
    assert_fails(check_look("192.0.2.1:0", NULL, &err), &err, E_CONFIG, "'192.0.2.1:0'");
    assert_fails(check_look("192.0.2.1:65536", NULL, &err), &err, E_CONFIG, "is not an address");
    assert_fails(check_look("[2001:db8::1", NULL, &err), &err, E_CONFIG, "is not an address");
    assert_fails(check_look("[2001:db8::1]x", NULL, &err), &err, E_CONFIG, "is not an address");
    assert_fails(check_look(NULL, "host", &err), &err, E_CONFIG, "HOST:PORT");
    assert_fails(check_look(NULL, ":80", &err), &err, E_CONFIG, "HOST:PORT");
    assert_fails(check_look(NULL, "http://host:80", &err), &err, E_CONFIG, "HOST:PORT");
}

static void test_variables_for_a_hook(void **state UNUSED)
{
    static const char *const bad[] = {"1A=2", "A B=1", "=x", "A-B"};
    struct dcv_hook hook = {.path = "/bin/true", .environment = "A=1; B ;C=x=y;;"};
    struct err err = ERR_INIT;

    assert_ok(dcv_hook_check(&hook, &err), &err);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        hook.environment = bad[i];
        assert_fails(dcv_hook_check(&hook, &err), &err, E_CONFIG, "neither NAME=VALUE nor NAME");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dns_record_loses_its_dots),
        cmocka_unit_test(test_txt_keeps_every_character),
        cmocka_unit_test(test_dns_records_of_others_are_refused),
        cmocka_unit_test(test_txt_of_several_lines_is_refused),
        cmocka_unit_test(test_file_has_its_lines),
        cmocka_unit_test(test_files_elsewhere_are_refused),
        cmocka_unit_test(test_file_of_strange_lines_is_refused),
        cmocka_unit_test(test_calls_by_style),
        cmocka_unit_test(test_txt_is_quoted_on_request),
        cmocka_unit_test(test_environment_has_room_to_the_end),
        cmocka_unit_test(test_a_variable_is_set_anew),
        cmocka_unit_test(test_where_to_look),
        cmocka_unit_test(test_variables_for_a_hook),
    };

    return UNIT_RUN(tests);
}
