/* How the owner of a certificate was validated (src/x509/validation.c). */
#include "x509/x509.h"

#include "unit/pki.h"
#include "unit/unit.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

/* A certificate with these policies; none: without the extension. */
static X509 *with_policies(EVP_PKEY *key, const char *const policies[], size_t count)
{
    struct pki_spec spec = {.cn = "a.example", .key = key};
    X509 *cert = pki_cert(&spec);

    if (count > 0) {
        CERTIFICATEPOLICIES *list = sk_POLICYINFO_new_null();
        for (size_t i = 0; i < count; i++) {
            POLICYINFO *policy = POLICYINFO_new();
            policy->policyid = OBJ_txt2obj(policies[i], 1);
            assert_true(sk_POLICYINFO_push(list, policy) > 0);
        }
        X509_EXTENSION *ext = X509V3_EXT_i2d(NID_certificate_policies, 0, list);
        CERTIFICATEPOLICIES_free(list);
        assert_non_null(ext);
        assert_int_equal(X509_add_ext(cert, ext, -1), 1);
        X509_EXTENSION_free(ext);
    }
    return cert;
}

static void test_policies_say_how_it_was_validated(void **state UNUSED)
{
    static const struct {
        const char *policies[2];
        size_t count;
        enum x509_validation validation;
    } rows[] = {
        {{NULL}, 0, X509_VALIDATION_UNKNOWN},
        {{"1.2.3.4"}, 1, X509_VALIDATION_UNKNOWN},
        {{"2.23.140.1.2.1"}, 1, X509_VALIDATION_DV},
        {{"2.23.140.1.2.2"}, 1, X509_VALIDATION_OV},
        {{"2.23.140.1.1"}, 1, X509_VALIDATION_EV},
        {{"1.3.6.1.4.1.6449.1.2.2.7", "2.23.140.1.2.1"}, 2, X509_VALIDATION_DV},
        {{"2.23.140.1.1", "2.23.140.1.2.2"}, 2, X509_VALIDATION_EV},
        {{"2.23.140.1.2.1.9"}, 1, X509_VALIDATION_UNKNOWN},
        {{"2.23.140.1.4.1"}, 1, X509_VALIDATION_UNKNOWN}, /* code signing */
    };
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(pki_cert) X509 *cert = with_policies(key, rows[i].policies, rows[i].count);
        assert_int_equal(x509_validation(cert), rows[i].validation);
    }
}

static void test_policies_that_cannot_be_read_are_none(void **state UNUSED)
{
    static const unsigned char junk[] = {0x30, 0x05, 0x06, 0x7f, 0x01};
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(pki_cert) X509 *cert = with_policies(key, NULL, 0);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();

    assert_non_null(value);
    assert_int_equal(ASN1_OCTET_STRING_set(value, junk, sizeof(junk)), 1);
    X509_EXTENSION *ext = X509_EXTENSION_create_by_NID(NULL, NID_certificate_policies, 0, value);
    assert_int_equal(X509_add_ext(cert, ext, -1), 1);
    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(value);
    ERR_clear_error();
    assert_int_equal(x509_validation(cert), X509_VALIDATION_UNKNOWN);
    assert_int_equal(ERR_peek_error(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policies_say_how_it_was_validated),
        cmocka_unit_test(test_policies_that_cannot_be_read_are_none),
    };

    return UNIT_RUN(tests);
}
