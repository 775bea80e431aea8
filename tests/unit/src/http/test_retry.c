/* The pure parts of src/http: what is repeated and when, and what a trace may show. */
#include "http/http.h"

#include "unit/unit.h"

static void test_statuses_that_may_pass_are_repeated(void **state UNUSED)
{
    static const int retry[] = {408, 425, 429, 500, 502, 503, 504};

    for (size_t i = 0; i < ARRAY_LEN(retry); i++) {
        assert_int_equal(http_judge(retry[i]), HTTP_RETRY);
    }
}

static void test_other_statuses_are_final(void **state UNUSED)
{
    static const int final[] = {200, 201, 204, 301, 302, 400, 401, 403, 404, 409, 418, 501, 505, 0};

    for (size_t i = 0; i < ARRAY_LEN(final); i++) {
        assert_int_equal(http_judge(final[i]), HTTP_FINAL);
    }
}

static void test_delays_double_up_to_half_a_minute(void **state UNUSED)
{
    static const int64_t want_ms[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000};

    for (int i = 0; i < (int)ARRAY_LEN(want_ms); i++) {
        assert_int_equal(http_retry_delay_ms(i + 1, -1, 0), want_ms[i] * 4 / 5);
        assert_int_equal(http_retry_delay_ms(i + 1, -1, 400), want_ms[i] * 6 / 5);
    }
}

static void test_delay_of_any_attempt_is_bounded(void **state UNUSED)
{
    assert_int_equal(http_retry_delay_ms(0, -1, 200), 1000);
    assert_int_equal(http_retry_delay_ms(-5, -1, 200), 1000);
    assert_int_equal(http_retry_delay_ms(INT32_MAX, -1, 200), 30000);
}

static void test_jitter_stays_within_a_fifth(void **state UNUSED)
{
    for (uint32_t random = 0; random < 2000; random++) {
        assert_in_range(http_retry_delay_ms(1, -1, random), 800, 1200);
    }
    assert_in_range(http_retry_delay_ms(1, -1, UINT32_MAX), 800, 1200);
}

static void test_retry_after_is_obeyed(void **state UNUSED)
{
    assert_int_equal(http_retry_delay_ms(1, 7, 123), 7000);
    assert_int_equal(http_retry_delay_ms(5, 0, 123), 0);
}

static void test_absurd_retry_after_is_bounded(void **state UNUSED)
{
    assert_int_equal(http_retry_delay_ms(1, 120, 0), 120000);
    assert_int_equal(http_retry_delay_ms(1, 121, 0), 120000);
    assert_int_equal(http_retry_delay_ms(1, INT64_MAX, 0), 120000);
}

/* Retry-After: RFC 9110 section 10.2.3 */

enum { NOW_S = 1795298400 }; /* Sat, 21 Nov 2026 22:00:00 GMT */

static void test_retry_after_as_a_number(void **state UNUSED)
{
    assert_int_equal(http_retry_after_s("7", NOW_S), 7);
    assert_int_equal(http_retry_after_s("86400", NOW_S), 86400);
}

static void test_retry_after_as_a_date(void **state UNUSED)
{
    static const char *const in_a_minute[] = {
        "Sat, 21 Nov 2026 22:01:00 GMT", "Saturday, 21-Nov-26 22:01:00 GMT",
        "Sat Nov 21 22:01:00 2026"}; /* the three forms of section 5.6.7 */

    for (size_t i = 0; i < ARRAY_LEN(in_a_minute); i++) {
        assert_int_equal(http_retry_after_s(in_a_minute[i], NOW_S), 60);
    }
}

static void test_retry_after_that_is_nothing_to_go_by(void **state UNUSED)
{
    static const char *const nothing[] = {"",
                                          "0",
                                          "-1",
                                          "86401",
                                          "99999999999999999999",
                                          "7 s",
                                          "1.5",
                                          "soon",
                                          "Sat, 21 Nov 2026 21:59:59 GMT",
                                          "Sat, 21 Nov 2026 22:00:00 GMT",
                                          "Mon, 01 Jan 2001 00:00:00 GMT",
                                          "Sat, 21 Nov 2099 22:00:00 GMT"};

    for (size_t i = 0; i < ARRAY_LEN(nothing); i++) {
        assert_int_equal(http_retry_after_s(nothing[i], NOW_S), -1);
    }
}

/* Who is reached without a proxy */

static void test_hosts_in_urls(void **state UNUSED)
{
    char host[64];

    assert_true(http_url_host("https://CA.example.org:8443", host, sizeof(host)));
    assert_string_equal(host, "ca.example.org");
    assert_true(http_url_host("https://[2001:DB8::1]:443", host, sizeof(host)));
    assert_string_equal(host, "2001:db8::1");
    assert_false(http_url_host("https://", host, sizeof(host)));
    assert_false(http_url_host("https://abcdefgh", host, 8));
}

static void test_hosts_that_bypass_the_proxy(void **state UNUSED)
{
    static const char *const yes[][2] = {
        {"*", "any.example"},
        {"example.org", "example.org"},
        {"example.org", "a.b.example.org"},
        {".example.org", "example.org"},
        {"a.example, EXAMPLE.org", "ca.example.org"},
        {"a.example\texample.org", "example.org"},
        {"10.0.0.1", "10.0.0.1"},
        {"10.0.0.0/8", "10.255.0.1"},
        {"192.168.1.128/25", "192.168.1.200"},
        {"0.0.0.0/0", "1.2.3.4"},
        {"2001:db8::/32", "2001:db8:1::2"},
    };

    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        assert_true(http_bypasses_proxy(yes[i][0], yes[i][1]));
    }
}

static void test_hosts_that_need_the_proxy(void **state UNUSED)
{
    static const char *const no[][2] = {
        {"", "any.example"},
        {",, ,", "any.example"},
        {".", "any.example"},
        {"example.org", "notexample.org"},
        {"example.org", "example.org.evil.example"},
        {"ample.org", "example.org"},
        {"10.0.0.1", "10.0.0.10"},
        {"10.0.0.0/8", "11.0.0.1"},
        {"192.168.1.128/25", "192.168.1.1"},
        {"10.0.0.0/33", "10.0.0.1"},
        {"10.0.0.0/x", "10.0.0.1"},
        {"10.0.0.0/8", "10.0.0.0.example"},
        {"0.0.0.0/0", "2001:db8::1"},
        {"2001:db8::/32", "2001:db9::1"},
    };

    for (size_t i = 0; i < ARRAY_LEN(no); i++) {
        assert_false(http_bypasses_proxy(no[i][0], no[i][1]));
    }
}

static void test_public_headers(void **state UNUSED)
{
    assert_true(http_header_is_public("Accept"));
    assert_true(http_header_is_public("customerUri"));
    assert_true(http_header_is_public("LOGIN"));
    assert_true(http_header_is_public("Retry-After"));
}

static void test_secret_and_unknown_headers_are_not_shown(void **state UNUSED)
{
    assert_false(http_header_is_public("password"));
    assert_false(http_header_is_public("Authorization"));
    assert_false(http_header_is_public("Proxy-Authorization"));
    assert_false(http_header_is_public("Cookie"));
    assert_false(http_header_is_public("X-New"));
    assert_false(http_header_is_public(""));
}

/* The client, as far as it goes without a network */

static struct http_settings settings_of(const char *url)
{
    return (struct http_settings){.base_url = url, .connect_timeout_ms = 5000, .timeout_ms = 5000};
}

static void refuses_url(const char *url, const char *words)
{
    struct http_settings settings = settings_of(url);
    struct http_client *client = NULL;
    struct err err = ERR_INIT;

    assert_fails(http_client_new(&settings, &client, &err), &err, E_CONFIG, words);
    assert_null(client);
}

static void test_urls_without_tls_are_refused(void **state UNUSED)
{
    refuses_url(NULL, "must begin with https://");
    refuses_url("", "must begin with https://");
    refuses_url("http://host", "must begin with https://");
    refuses_url("host", "must begin with https://");
    refuses_url("ftp://host", "must begin with https://");
}

static void test_urls_with_more_than_a_host_are_refused(void **state UNUSED)
{
    refuses_url("https://", "nothing behind it");
    refuses_url("https://host/", "nothing behind it");
    refuses_url("https://host/api", "nothing behind it");
    refuses_url("https://host?x", "nothing behind it");
    refuses_url("https://host#x", "nothing behind it");
    refuses_url("https://user:password@host", "nothing behind it");
    refuses_url("https://host name", "nothing behind it");
}

static void test_urls_of_servers(void **state UNUSED)
{
    static const char *const good[] = {"https://host", "HTTPS://host", "https://host:8443",
                                       "https://[::1]:8443"};

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct http_settings settings = settings_of(good[i]);
        AUTO(http_client) struct http_client *client = NULL;
        struct err err = ERR_INIT;
        assert_ok(http_client_new(&settings, &client, &err), &err);
    }
}

static void test_proxies(void **state UNUSED)
{
    static const char *const good[] = {"http://proxy:3128", "HTTP://127.0.0.1:1",
                                       "http://[::1]:65535"};

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct http_settings settings = settings_of("https://host");
        AUTO(http_client) struct http_client *client = NULL;
        struct err err = ERR_INIT;
        settings.proxy = good[i];
        assert_ok(http_client_new(&settings, &client, &err), &err);
    }
}

static void test_other_texts_for_a_proxy_are_refused_and_not_repeated(void **state UNUSED)
{
    static const char *const bad[] = {
        "http://u:SECRET@127.0.0.1:9x",
        "http://u:SECRET@127.0.0.1:9",
        "https://SECRET:3128",
        "socks5://SECRET:1080",
        "SECRET:3128",
        "http://SECRET",
        "http://SECRET:",
        "http://SECRET:0",
        "http://SECRET:65536",
        "http://SECRET:80/",
        "http://SECRET:80?x",
        "http://:80",
        "http://[::1",
        "http://[::1]",
        "",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct http_settings settings = settings_of("https://host");
        struct http_client *client = NULL;
        struct err err = ERR_INIT;
        settings.proxy = bad[i];
        assert_fails(http_client_new(&settings, &client, &err), &err, E_CONFIG,
                     "the proxy is http://host:port");
        assert_contains(err.msg, "'proxy_user', 'proxy_password_source'");
        assert_lacks(err.msg, "SECRET");
    }
}

static void test_time_limits_of_nothing_are_refused(void **state UNUSED)
{
    struct http_settings settings = settings_of("https://host");
    struct http_client *client = NULL;
    struct err err = ERR_INIT;

    settings.timeout_ms = 0;
    assert_fails(http_client_new(&settings, &client, &err), &err, E_CONFIG, "('timeout') is 0");
    settings = settings_of("https://host");
    settings.connect_timeout_ms = 0;
    assert_fails(http_client_new(&settings, &client, &err), &err, E_CONFIG,
                 "('connect_timeout') is 0");
}

static void test_header_with_a_line_end_is_not_sent(void **state UNUSED)
{
    struct http_settings settings = settings_of("https://127.0.0.1:1");
    AUTO(http_client) struct http_client *client = NULL;
    struct http_request request = {.method = "GET", .path = "/", .operation = "test"};
    AUTO(http_response) struct http_response response;
    enum http_reach reach = HTTP_MAYBE_SENT;
    struct err err = ERR_INIT;

    http_response_init(&response);
    assert_ok(http_client_new(&settings, &client, &err), &err);
    http_request_header(&request, "login", "me\r\npassword: x");
    assert_fails(http_send(client, &request, &response, &reach, &err), &err, E_CONFIG,
                 "the value for the header 'login' contains a line end");
    assert_int_equal(reach, HTTP_NOT_SENT);
}

static void test_secret_header_with_a_line_end_is_not_shown(void **state UNUSED)
{
    struct http_settings settings = settings_of("https://127.0.0.1:1");
    AUTO(http_client) struct http_client *client = NULL;
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct http_request request = {.method = "GET", .path = "/", .operation = "test"};
    AUTO(http_response) struct http_response response;
    enum http_reach reach = HTTP_MAYBE_SENT;
    struct err err = ERR_INIT;

    http_response_init(&response);
    assert_ok(secret_set(&secret, "hunter2\nx", 9, &err), &err);
    assert_ok(http_client_new(&settings, &client, &err), &err);
    http_request_secret(&request, "password", &secret);
    assert_fails(http_send(client, &request, &response, &reach, &err), &err, E_CONFIG,
                 "'password'");
    assert_lacks(err.msg, "hunter2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statuses_that_may_pass_are_repeated),
        cmocka_unit_test(test_other_statuses_are_final),
        cmocka_unit_test(test_delays_double_up_to_half_a_minute),
        cmocka_unit_test(test_delay_of_any_attempt_is_bounded),
        cmocka_unit_test(test_jitter_stays_within_a_fifth),
        cmocka_unit_test(test_retry_after_is_obeyed),
        cmocka_unit_test(test_absurd_retry_after_is_bounded),
        cmocka_unit_test(test_retry_after_as_a_number),
        cmocka_unit_test(test_retry_after_as_a_date),
        cmocka_unit_test(test_retry_after_that_is_nothing_to_go_by),
        cmocka_unit_test(test_hosts_in_urls),
        cmocka_unit_test(test_hosts_that_bypass_the_proxy),
        cmocka_unit_test(test_hosts_that_need_the_proxy),
        cmocka_unit_test(test_public_headers),
        cmocka_unit_test(test_secret_and_unknown_headers_are_not_shown),
        cmocka_unit_test(test_urls_without_tls_are_refused),
        cmocka_unit_test(test_urls_with_more_than_a_host_are_refused),
        cmocka_unit_test(test_urls_of_servers),
        cmocka_unit_test(test_proxies),
        cmocka_unit_test(test_other_texts_for_a_proxy_are_refused_and_not_repeated),
        cmocka_unit_test(test_time_limits_of_nothing_are_refused),
        cmocka_unit_test(test_header_with_a_line_end_is_not_sent),
        cmocka_unit_test(test_secret_header_with_a_line_end_is_not_shown),
    };

    return UNIT_RUN(tests);
}
