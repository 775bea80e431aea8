/* Which server is asked for a token: our secret goes there. */
#include "base/str.h"
#include "ca/scm/scm.h"

#include "unit/unit.h"

static void uri_is(const char *header, const char *wanted)
{
    AUTO(buf) struct buf out = BUF_INIT(2048);

    assert_int_equal(scm_authorization_uri(header, &out), wanted != NULL);
    if (wanted != NULL) {
        assert_string_equal(buf_str(&out), wanted);
    }
}

static void test_uri_in_a_header(void **state UNUSED)
{
    uri_is("Bearer realm=\"x\", authorization_uri=\"https://a.example/t\"", "https://a.example/t");
    uri_is("Bearer Authorization_URI=https://a.example/t, error=\"x\"", "https://a.example/t");
    uri_is("authorization_uri=\"https://a.example/t", NULL);
    uri_is("Bearer not_authorization_uri=\"https://a.example/t\"", NULL);
    uri_is("Bearer authorization_uri=https://a.example/\"t\"", NULL);
    uri_is("Bearer authorization_uri=\"\"", NULL);
    uri_is("Bearer realm=\"x\"", NULL);
    uri_is("", NULL);
}

static void parts_are(const char *url, const char *origin, const char *host, const char *path)
{
    AUTO(buf) struct buf o = BUF_INIT(2048);
    AUTO(buf) struct buf h = BUF_INIT(2048);
    AUTO(buf) struct buf p = BUF_INIT(2048);

    assert_int_equal(scm_split_url(url, &o, &h, &p), origin != NULL);
    if (origin != NULL) {
        assert_string_equal(buf_str(&o), origin);
        assert_string_equal(buf_str(&h), host);
        assert_string_equal(buf_str(&p), path);
    }
}

static void test_url_in_parts(void **state UNUSED)
{
    parts_are("https://a.example/t/token?x=1", "https://a.example", "a.example", "/t/token?x=1");
    parts_are("HTTPS://a.example:8443/t", "https://a.example:8443", "a.example", "/t");
    parts_are("http://a.example/t", NULL, NULL, NULL);
    parts_are("https://a.example", NULL, NULL, NULL);
    parts_are("https:///t", NULL, NULL, NULL);
    parts_are("https://:8443/t", NULL, NULL, NULL);
    parts_are("https://user@a.example/t", NULL, NULL, NULL);
    parts_are("https://a.example?x/t", NULL, NULL, NULL);
    parts_are("https://a.example/t#f", NULL, NULL, NULL);
    parts_are("", NULL, NULL, NULL);
}

static void test_host_in_a_list(void **state UNUSED)
{
    assert_true(scm_host_in("a.example", "a.example"));
    assert_true(scm_host_in("A.Example", "b.example, a.example"));
    assert_true(scm_host_in("b.example", "b.example,a.example"));
    assert_false(scm_host_in("example", "a.example"));
    assert_false(scm_host_in("a.example.org", "a.example"));
    assert_false(scm_host_in("a.example", ""));
    assert_false(scm_host_in("a.example", NULL));
    assert_false(scm_host_in("", " , "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uri_in_a_header),
        cmocka_unit_test(test_url_in_parts),
        cmocka_unit_test(test_host_in_a_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
