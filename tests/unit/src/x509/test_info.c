#include "x509/x509.h"

#include "unit/pki.h"
#include "unit/unit.h"

#include <openssl/err.h>

static void info_of(const struct pki_spec *spec, struct x509_info *info)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    struct pki_spec with_key = *spec;
    struct err err = ERR_INIT;

    with_key.key = key;
    AUTO(pki_cert) X509 *cert = pki_cert(&with_key);
    assert_ok(x509_info(cert, info, &err), &err);
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_names_and_dates(void **state UNUSED)
{
    AUTO(x509_info) struct x509_info info = {.subject = NULL};

    info_of(&(struct pki_spec){.cn = "www.example.org", .serial = 0x1abc}, &info);
    assert_string_equal(info.subject, "CN=www.example.org");
    assert_string_equal(info.issuer, "CN=www.example.org");
    assert_string_equal(info.serial, "1abc");
    assert_int_equal(info.not_before_s, PKI_NOW - PKI_DAY);
    assert_int_equal(info.not_after_s, PKI_NOW + 365 * PKI_DAY);
}

static void test_subject_that_is_empty(void **state UNUSED)
{
    AUTO(x509_info) struct x509_info info = {.subject = NULL};

    info_of(&(struct pki_spec){.cn = NULL}, &info);
    assert_string_equal(info.subject, "");
    assert_string_equal(info.issuer, "");
}

static void test_subject_with_utf8_and_commas(void **state UNUSED)
{
    AUTO(x509_info) struct x509_info info = {.subject = NULL};

    info_of(&(struct pki_spec){.cn = "W\xc3\xa4hler, Inc"}, &info);
    assert_string_equal(info.subject, "CN=W\xc3\xa4hler\\, Inc");
}

static void test_subject_with_control_characters_is_escaped(void **state UNUSED)
{
    AUTO(x509_info) struct x509_info info = {.subject = NULL};

    info_of(&(struct pki_spec){.cn = "a\x1b[2J"}, &info);
    assert_string_equal(info.subject, "CN=a\\1B[2J");
}

static void test_dates_behind_2049(void **state UNUSED)
{
    AUTO(x509_info) struct x509_info info = {.subject = NULL};

    info_of(&(struct pki_spec){.cn = "a", .not_after = INT64_C(253402300799)}, &info);
    assert_true(info.not_after_s == INT64_C(253402300799));
}

static void test_usage_of_clients(void **state UNUSED)
{
    AUTO(x509_info) struct x509_info info = {.subject = NULL};

    info_of(&(struct pki_spec){.cn = "a", .eku = "serverAuth,clientAuth"}, &info);
    assert_true(info.has_eku);
    assert_true(info.can_client_auth);
}

static void test_usage_of_servers_alone(void **state UNUSED)
{
    AUTO(x509_info) struct x509_info info = {.subject = NULL};

    info_of(&(struct pki_spec){.cn = "a", .eku = "serverAuth"}, &info);
    assert_true(info.has_eku);
    assert_false(info.can_client_auth);
}

static void test_any_usage_is_for_clients_too(void **state UNUSED)
{
    AUTO(x509_info) struct x509_info info = {.subject = NULL};

    info_of(&(struct pki_spec){.cn = "a", .eku = "anyExtendedKeyUsage"}, &info);
    assert_true(info.can_client_auth);
}

static void test_no_usage_is_no_restriction(void **state UNUSED)
{
    AUTO(x509_info) struct x509_info info = {.subject = NULL};

    info_of(&(struct pki_spec){.cn = "a"}, &info);
    assert_false(info.has_eku);
    assert_true(info.can_client_auth);
}

static void test_date_that_cannot_be_read_rejects_the_certificate(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(pki_cert) X509 *cert = pki_cert(&(struct pki_spec){.cn = "a", .key = key});
    struct x509_info info = {.subject = NULL};
    struct err err = ERR_INIT;

    assert_int_equal(ASN1_STRING_set(X509_getm_notAfter(cert), "soon", 4), 1);
    assert_fails(x509_info(cert, &info, &err), &err, E_CERT_REJECTED, "dates that cannot be read");
    assert_null(info.subject);
}

static void test_serial_of_any_length(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(pki_cert) X509 *cert = pki_cert(&(struct pki_spec){.cn = "a", .key = key});
    AUTO(x509_info) struct x509_info info = {.subject = NULL};
    BIGNUM *large = BN_new();
    struct err err = ERR_INIT;

    /* 20 bytes are the most that RFC 5280 allows, and nobody forces a CA to obey. */
    assert_int_equal(BN_set_bit(large, 8 * 200), 1);
    assert_non_null(BN_to_ASN1_INTEGER(large, X509_get_serialNumber(cert)));
    BN_free(large);
    bool ok = x509_info(cert, &info, &err);
    assert_true(ok || err.code == E_CERT_REJECTED);
}

static void test_done_can_be_called_twice(void **state UNUSED)
{
    struct x509_info info = {.subject = NULL};

    info_of(&(struct pki_spec){.cn = "a"}, &info);
    x509_info_done(&info);
    x509_info_done(&info);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_dates),
        cmocka_unit_test(test_subject_that_is_empty),
        cmocka_unit_test(test_subject_with_utf8_and_commas),
        cmocka_unit_test(test_subject_with_control_characters_is_escaped),
        cmocka_unit_test(test_dates_behind_2049),
        cmocka_unit_test(test_usage_of_clients),
        cmocka_unit_test(test_usage_of_servers_alone),
        cmocka_unit_test(test_any_usage_is_for_clients_too),
        cmocka_unit_test(test_no_usage_is_no_restriction),
        cmocka_unit_test(test_date_that_cannot_be_read_rejects_the_certificate),
        cmocka_unit_test(test_serial_of_any_length),
        cmocka_unit_test(test_done_can_be_called_twice),
    };

    return UNIT_RUN(tests);
}
