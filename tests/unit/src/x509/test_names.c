#include "x509/x509.h"

#include "unit/pki.h"
#include "unit/unit.h"

#include <openssl/x509v3.h>

static void adds(struct x509_names *names, const char *name)
{
    struct err err = ERR_INIT;

    assert_ok(x509_names_add(names, name, &err), &err);
}

/* How a name is kept. */
static const char *kept(const char *name)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;

    adds(&names, name);
    assert_int_equal(names.count, 1);
    return tmp_printf("%s", names.list[0]);
}

static void refuses(const char *name)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct err err = ERR_INIT;

    assert_fails(x509_names_add(&names, name, &err), &err, E_USAGE,
                 "is no DNS name, IP address or e-mail address");
    assert_int_equal(names.count, 0);
}

/* DNS names */

static void test_dns_names(void **state UNUSED)
{
    static const char *const good[] = {
        "www.example.org",   "localhost",   "a.b.c.d",   "x--y.example", "xn--whler-gra.example",
        "_acme.example.org", "a-b.example", "1.example", "3com.com"};

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_string_equal(kept(good[i]), good[i]);
    }
}

static void test_dns_names_are_kept_in_lower_case(void **state UNUSED)
{
    assert_string_equal(kept("WWW.Example.ORG"), "www.example.org");
}

static void test_what_is_no_dns_name(void **state UNUSED)
{
    static const char *const bad[] = {
        "",     ".",      "a.",   ".a",         "a..b",
        "-a.b", "a-.b",   "a.-b", "a.b-",       "a b",
        "a,b",  "a/b",    "a:1",  "http://a.b", "w\xc3\xa4hler.example",
        "a\nb", "a\x01z", "a'b"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        refuses(bad[i]);
    }
}

static void test_wildcards(void **state UNUSED)
{
    assert_string_equal(kept("*.example.org"), "*.example.org");
    assert_string_equal(kept("*.a.b.c"), "*.a.b.c");
}

static void test_wildcard_is_the_whole_first_label(void **state UNUSED)
{
    static const char *const bad[] = {"*",      "*.",     "*.org",   "a.*.org", "*a.example.org",
                                      "a*.b.c", "**.b.c", "*.*.b.c", "*..b",    "a.*"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        refuses(bad[i]);
    }
}

static void test_labels_have_at_most_63_characters(void **state UNUSED)
{
    (void)kept(tmp_printf("a%062d.example", 7));
    refuses(tmp_printf("a%063d.example", 7));
}

static void test_names_have_at_most_253_characters(void **state UNUSED)
{
    const char *label = tmp_printf("a%062d", 7);
    const char *longest = tmp_printf("%s.%s.%s.a%060d", label, label, label, 7);

    assert_int_equal(strlen(longest), 253);
    (void)kept(longest);
    refuses(tmp_printf("%s.%s.%s.a%061d", label, label, label, 7));
}

/* Addresses */

static void test_ipv4(void **state UNUSED)
{
    assert_string_equal(kept("10.0.0.1"), "10.0.0.1");
    assert_int_equal(x509_name_kind("10.0.0.1"), X509_NAME_IP);
}

static void test_ipv6_has_one_form(void **state UNUSED)
{
    assert_string_equal(kept("2001:DB8::1"), "2001:db8::1");
    assert_string_equal(kept("2001:0db8:0000:0000:0000:0000:0000:0001"), "2001:db8::1");
    assert_string_equal(kept("::1"), "::1");
    assert_string_equal(kept("::ffff:1.2.3.4"), "::ffff:1.2.3.4");
    assert_int_equal(x509_name_kind("::1"), X509_NAME_IP);
}

static void test_what_is_no_address(void **state UNUSED)
{
    refuses("[::1]");
    refuses("fe80::1%eth0");
    refuses("10.0.0.1/8");
    refuses(":::");
}

/* E-mail */

static void test_email(void **state UNUSED)
{
    assert_string_equal(kept("Joe.Doe+x@Example.org"), "joe.doe+x@example.org");
    assert_string_equal(kept("a@b"), "a@b");
    assert_int_equal(x509_name_kind("a@b"), X509_NAME_EMAIL);
}

static void test_what_is_no_email(void **state UNUSED)
{
    static const char *const bad[] = {"@",     "a@",     "@b",         "a@b@c",   "a b@c",
                                      "a@b c", "a,@b",   "<a@b>",      "\"a\"@b", "a@-b",
                                      "a@*.b", "a@b..c", "\xc3\xa4@b", "a;b@c"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        refuses(bad[i]);
    }
    refuses(tmp_printf("a%0250d@b.c", 7));
}

/* Lists */

static void test_duplicates_are_kept_once(void **state UNUSED)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;

    adds(&names, "b.example");
    adds(&names, "a.example");
    adds(&names, "B.EXAMPLE");
    adds(&names, "::1");
    adds(&names, "0:0:0:0:0:0:0:1");
    assert_int_equal(names.count, 3);
    assert_string_equal(names.list[0], "b.example");
    assert_true(x509_names_has(&names, "a.example"));
    assert_false(x509_names_has(&names, "c.example"));
}

static void test_list_is_split_at_commas_and_white_space(void **state UNUSED)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct err err = ERR_INIT;

    assert_ok(x509_names_add_list(&names, " a.example,b.example, c.example\n\td.example ,,", &err),
              &err);
    AUTO(str) char *text = x509_names_join(&names, ',');
    assert_string_equal(text, "a.example,b.example,c.example,d.example");
}

static void test_empty_list_has_no_names(void **state UNUSED)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct err err = ERR_INIT;

    assert_ok(x509_names_add_list(&names, " , \n", &err), &err);
    AUTO(str) char *text = x509_names_join(&names, ',');
    assert_string_equal(text, "");
}

static void test_list_stops_at_the_first_bad_name(void **state UNUSED)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct err err = ERR_INIT;

    assert_fails(x509_names_add_list(&names, "a.example,b..c", &err), &err, E_USAGE, "'b..c'");
}

static void test_word_is_split_at_commas_alone(void **state UNUSED)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct err err = ERR_INIT;

    assert_ok(x509_names_add_word(&names, " a.example, b.example ,,c.example\n", &err), &err);
    AUTO(str) char *text = x509_names_join(&names, ',');
    assert_string_equal(text, "a.example,b.example,c.example");
    assert_fails(x509_names_add_word(&names, "d.example, bad name", &err), &err, E_USAGE,
                 "'bad name' is no DNS name");
}

static void test_bad_name_is_shown_harmlessly(void **state UNUSED)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct err err = ERR_INIT;

    assert_fails(x509_names_add(&names, "a\x1b[2J", &err), &err, E_USAGE, "'a\\x1b[2J'");
    assert_fails(x509_names_add(&names, tmp_printf("%0300d", 7), &err), &err, E_USAGE, "0...'");
}

static void test_number_of_names_is_limited(void **state UNUSED)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct err err = ERR_INIT;

    for (int i = 0; i < X509_NAMES_MAX; i++) {
        adds(&names, tmp_printf("n%d.example", i));
    }
    adds(&names, "n7.example");
    assert_fails(x509_names_add(&names, "one.more", &err), &err, E_USAGE, "more than 500 names");
}

/* Certificates */

static const char *names_of(const char *san)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(pki_cert) X509 *cert = pki_cert(&(struct pki_spec){.cn = "x", .san = san, .key = key});
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct err err = ERR_INIT;

    assert_ok(x509_names_of_cert(cert, &names, &err), &err);
    AUTO(str) char *text = x509_names_join(&names, ' ');
    return tmp_printf("%s", text);
}

static void test_names_of_a_certificate(void **state UNUSED)
{
    assert_string_equal(
        names_of("DNS:A.example,DNS:*.b.example,IP:10.0.0.1,IP:2001:db8::1,email:a@b.c"),
        "a.example *.b.example 10.0.0.1 2001:db8::1 a@b.c");
}

static void test_certificate_without_names(void **state UNUSED)
{
    assert_string_equal(names_of(NULL), "");
}

static void test_other_kinds_of_names_are_passed_over(void **state UNUSED)
{
    assert_string_equal(names_of("URI:https://a.example,DNS:a.example,RID:1.2.3"), "a.example");
}

static void test_names_that_nobody_can_ask_for_are_passed_over(void **state UNUSED)
{
    assert_string_equal(names_of("email:\"a b\"@example.org,DNS:a.example"), "a.example");
    assert_string_equal(names_of("DNS:b.example.,DNS:a.example"), "a.example");
    assert_string_equal(names_of("DNS:a b,DNS:a.example"), "a.example");
}

static void test_name_counts_as_what_the_certificate_says_it_is(void **state UNUSED)
{
    assert_string_equal(names_of("DNS:10.0.0.1,DNS:a.example"), "a.example");
    assert_string_equal(names_of("DNS:a@b.example,DNS:a.example"), "a.example");
    assert_string_equal(names_of("email:b.example,DNS:a.example"), "a.example");
}

static void test_certificate_with_very_many_names(void **state UNUSED)
{
    AUTO(buf) struct buf san = BUF_INIT(100000);
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct err err = ERR_INIT;

    for (int i = 0; i < X509_NAMES_MAX + 100; i++) {
        buf_addf(&san, "%sDNS:n%d.example", i > 0 ? "," : "", i);
    }
    AUTO(pki_cert)
    X509 *cert = pki_cert(&(struct pki_spec){.cn = "x", .san = buf_str(&san), .key = key});
    assert_ok(x509_names_of_cert(cert, &names, &err), &err);
    assert_int_equal(names.count, X509_NAMES_MAX + 100);
    assert_true(x509_names_has(&names, "n599.example"));
}

static void add_san_der(X509 *cert, const unsigned char *der, int len)
{
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();

    assert_int_equal(ASN1_OCTET_STRING_set(value, der, len), 1);
    X509_EXTENSION *ext = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, value);
    assert_int_equal(X509_add_ext(cert, ext, -1), 1);
    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(value);
}

static void test_name_with_a_nul_byte_rejects_the_certificate(void **state UNUSED)
{
    static const unsigned char der[] = {0x30, 0x05, 0x82, 0x03, 'a', 0x00, 'b'};
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(pki_cert) X509 *cert = pki_cert(&(struct pki_spec){.cn = "x", .key = key});
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct err err = ERR_INIT;

    add_san_der(cert, der, sizeof(der));
    assert_fails(x509_names_of_cert(cert, &names, &err), &err, E_CERT_REJECTED, "NUL byte");
}

static void test_address_of_a_strange_length_is_passed_over(void **state UNUSED)
{
    static const unsigned char der[] = {0x30, 0x05, 0x87, 0x03, 1, 2, 3};
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(pki_cert) X509 *cert = pki_cert(&(struct pki_spec){.cn = "x", .key = key});
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct err err = ERR_INIT;

    add_san_der(cert, der, sizeof(der));
    assert_ok(x509_names_of_cert(cert, &names, &err), &err);
    assert_int_equal(names.count, 0);
}

static bool covers(const char *have, const char *wanted, struct buf *missing)
{
    AUTO(x509_names) struct x509_names a = X509_NAMES_INIT;
    AUTO(x509_names) struct x509_names b = X509_NAMES_INIT;
    struct err err = ERR_INIT;

    assert_ok(x509_names_add_list(&a, have, &err), &err);
    assert_ok(x509_names_add_list(&b, wanted, &err), &err);
    return x509_names_cover(&a, &b, missing);
}

static void test_more_names_than_wanted_cover(void **state UNUSED)
{
    AUTO(buf) struct buf missing = BUF_INIT(100);

    assert_true(covers("a.b c.d", "c.d", &missing));
    assert_true(covers("a.b c.d", "", &missing));
    assert_true(covers("a.b", "A.B", &missing));
    assert_int_equal(missing.len, 0);
}

static void test_missing_names_are_listed(void **state UNUSED)
{
    AUTO(buf) struct buf missing = BUF_INIT(100);

    assert_false(covers("a.b", "x.y a.b z.z", &missing));
    assert_string_equal(buf_str(&missing), "x.y, z.z");
}

static void test_wildcard_does_not_cover_a_name(void **state UNUSED)
{
    AUTO(buf) struct buf missing = BUF_INIT(100);

    assert_false(covers("*.b.c", "a.b.c", &missing));
}

/* Subjects */

static const char *subject(const char *text)
{
    AUTO(x509_name) X509_NAME *name = NULL;
    struct err err = ERR_INIT;
    char out[512];

    assert_ok(x509_subject_parse(text, &name, &err), &err);
    return tmp_printf("%s", X509_NAME_oneline(name, out, sizeof(out)));
}

static void refuses_subject(const char *text, const char *words)
{
    X509_NAME *name = NULL;
    struct err err = ERR_INIT;

    assert_fails(x509_subject_parse(text, &name, &err), &err, E_USAGE, words);
    assert_null(name);
}

static void test_subject_keeps_its_order(void **state UNUSED)
{
    assert_string_equal(subject("CN=www.example.org,O=Example Ltd,C=DE"),
                        "/CN=www.example.org/O=Example Ltd/C=DE");
    assert_string_equal(subject("C=DE,O=Example Ltd,CN=a"), "/C=DE/O=Example Ltd/CN=a");
}

static void test_subject_with_one_part(void **state UNUSED)
{
    assert_string_equal(subject("CN=a"), "/CN=a");
}

static void test_subject_takes_white_space_around(void **state UNUSED)
{
    assert_string_equal(subject(" CN = a , O = b c "), "/CN=a/O=b c");
}

static void test_subject_with_escaped_commas(void **state UNUSED)
{
    assert_string_equal(subject("O=Snake Oil\\, Inc.,C=US"), "/O=Snake Oil, Inc./C=US");
    assert_string_equal(subject("O=back\\\\slash"), "/O=back\\slash");
}

static void test_subject_with_escaped_bytes(void **state UNUSED)
{
    assert_string_equal(subject("CN=W\\C3\\a4hler"), "/CN=W\\xC3\\xA4hler");
    assert_string_equal(subject("O=a\\2Cb,C=DE"), "/O=a,b/C=DE");
}

static void test_subject_with_escaped_special_characters(void **state UNUSED)
{
    assert_string_equal(subject("O=\\\"a\\\" \\+ b\\; \\<c\\> \\= d"), "/O=\"a\" \\+ b; <c> = d");
    assert_string_equal(subject("O=\\#1 in c#"), "/O=#1 in c#");
    assert_string_equal(subject("O=\\ a\\  ,CN=b"), "/O= a /CN=b");
}

static void test_subject_with_what_is_not_supported(void **state UNUSED)
{
    refuses_subject("CN=a+OU=b", "several values in one part ('+' in CN) are not supported");
    refuses_subject("CN=\"a, b\"", "a quotation mark in CN is written '\\\"'");
    refuses_subject("CN=#0402", "encoded values ('#' at the beginning of CN)");
    refuses_subject("CN= #0402", "encoded values");
}

static void test_subject_with_wrong_escapes(void **state UNUSED)
{
    refuses_subject("CN=a\\", "a backslash stands before");
    refuses_subject("CN=\\xC3", "a backslash stands before");
    refuses_subject("CN=\\C", "a backslash stands before");
    refuses_subject("CN=a\\00b", "cannot contain a NUL byte");
    refuses_subject("CN=\\ff\\fe", "subject: 'CN=\\xff\\xfe'");
}

static void test_subject_with_utf8(void **state UNUSED)
{
    assert_string_equal(subject("CN=W\xc3\xa4hler"), "/CN=W\\xC3\\xA4hler");
}

static void test_subject_takes_long_names_and_oids(void **state UNUSED)
{
    assert_string_equal(subject("commonName=a,2.5.4.10=b"), "/CN=a/O=b");
}

static void test_subject_that_is_empty(void **state UNUSED)
{
    refuses_subject("", "the subject is empty");
}

static void test_subject_that_is_not_of_the_form(void **state UNUSED)
{
    refuses_subject("a", "'a' is not of the form CN=name");
    refuses_subject("CN=a,b", "'b' is not of the form");
    refuses_subject("=a", "is not of the form");
    refuses_subject("CN=a,,O=b", "is not of the form");
    refuses_subject("/CN=a", "subject: '/CN=a'");
}

static void test_subject_with_an_empty_value(void **state UNUSED)
{
    refuses_subject("CN=", "subject: CN has no value");
    refuses_subject("CN= ,O=b", "subject: CN has no value");
}

static void test_subject_with_an_unknown_type(void **state UNUSED)
{
    refuses_subject("XX=a", "subject: 'XX=a'");
}

static void test_subject_with_values_that_are_too_long(void **state UNUSED)
{
    refuses_subject(tmp_printf("CN=%065d", 7), "subject: 'CN=");
    refuses_subject("C=DEU", "subject: 'C=DEU'");
}

static void test_subject_with_a_very_long_value_is_the_users_mistake(void **state UNUSED)
{
    refuses_subject(tmp_printf("CN=%02000d", 7), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dns_names),
        cmocka_unit_test(test_dns_names_are_kept_in_lower_case),
        cmocka_unit_test(test_what_is_no_dns_name),
        cmocka_unit_test(test_wildcards),
        cmocka_unit_test(test_wildcard_is_the_whole_first_label),
        cmocka_unit_test(test_labels_have_at_most_63_characters),
        cmocka_unit_test(test_names_have_at_most_253_characters),
        cmocka_unit_test(test_ipv4),
        cmocka_unit_test(test_ipv6_has_one_form),
        cmocka_unit_test(test_what_is_no_address),
        cmocka_unit_test(test_email),
        cmocka_unit_test(test_what_is_no_email),
        cmocka_unit_test(test_duplicates_are_kept_once),
        cmocka_unit_test(test_list_is_split_at_commas_and_white_space),
        cmocka_unit_test(test_empty_list_has_no_names),
        cmocka_unit_test(test_list_stops_at_the_first_bad_name),
        cmocka_unit_test(test_word_is_split_at_commas_alone),
        cmocka_unit_test(test_bad_name_is_shown_harmlessly),
        cmocka_unit_test(test_number_of_names_is_limited),
        cmocka_unit_test(test_names_of_a_certificate),
        cmocka_unit_test(test_certificate_without_names),
        cmocka_unit_test(test_other_kinds_of_names_are_passed_over),
        cmocka_unit_test(test_names_that_nobody_can_ask_for_are_passed_over),
        cmocka_unit_test(test_name_counts_as_what_the_certificate_says_it_is),
        cmocka_unit_test(test_certificate_with_very_many_names),
        cmocka_unit_test(test_name_with_a_nul_byte_rejects_the_certificate),
        cmocka_unit_test(test_address_of_a_strange_length_is_passed_over),
        cmocka_unit_test(test_more_names_than_wanted_cover),
        cmocka_unit_test(test_missing_names_are_listed),
        cmocka_unit_test(test_wildcard_does_not_cover_a_name),
        cmocka_unit_test(test_subject_keeps_its_order),
        cmocka_unit_test(test_subject_with_one_part),
        cmocka_unit_test(test_subject_takes_white_space_around),
        cmocka_unit_test(test_subject_with_escaped_commas),
        cmocka_unit_test(test_subject_with_escaped_bytes),
        cmocka_unit_test(test_subject_with_escaped_special_characters),
        cmocka_unit_test(test_subject_with_what_is_not_supported),
        cmocka_unit_test(test_subject_with_wrong_escapes),
        cmocka_unit_test(test_subject_with_utf8),
        cmocka_unit_test(test_subject_takes_long_names_and_oids),
        cmocka_unit_test(test_subject_that_is_empty),
        cmocka_unit_test(test_subject_that_is_not_of_the_form),
        cmocka_unit_test(test_subject_with_an_empty_value),
        cmocka_unit_test(test_subject_with_an_unknown_type),
        cmocka_unit_test(test_subject_with_values_that_are_too_long),
        cmocka_unit_test(test_subject_with_a_very_long_value_is_the_users_mistake),
    };

    return UNIT_RUN(tests);
}
