#include "x509/x509.h"

#include "unit/pki.h"
#include "unit/unit.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

/* A request for names with a key, parsed again. */
static X509_REQ *request(EVP_PKEY *key, const char *list, const char *subject)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    AUTO(buf) struct buf pem = BUF_INIT(65536);
    struct err err = ERR_INIT;
    X509_REQ *req = NULL;

    assert_ok(x509_names_add_list(&names, list, &err), &err);
    struct x509_csr csr = {.subject = subject, .names = &names};
    assert_ok(x509_csr_create(&csr, key, &pem, &err), &err);
    assert_ok(x509_csr_parse(buf_str(&pem), &req, &err), &err);
    assert_int_equal(ERR_peek_error(), 0);
    return req;
}

static const char *subject_of(X509_REQ *req)
{
    char out[512];

    return tmp_printf("%s", X509_NAME_oneline(X509_REQ_get_subject_name(req), out, sizeof(out)));
}

static const char *names_of(X509_REQ *req)
{
    STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(req);
    GENERAL_NAMES *names = X509V3_get_d2i(exts, NID_subject_alt_name, NULL, NULL);
    BIO *mem = BIO_new(BIO_s_mem());
    char *data = NULL;

    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        (void)BIO_puts(mem, i > 0 ? ", " : "");
        (void)GENERAL_NAME_print(mem, sk_GENERAL_NAME_value(names, i));
    }
    long len = BIO_get_mem_data(mem, &data);
    const char *text = tmp_printf("%.*s", (int)len, len > 0 ? data : "");
    BIO_free_all(mem);
    GENERAL_NAMES_free(names);
    sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
    return text;
}

static void test_names_are_in_the_request(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(x509_req)
    X509_REQ *req = request(key, "www.example.org *.b.example 10.0.0.1 2001:db8::1 a@b.c", NULL);

    assert_string_equal(names_of(req), "DNS:www.example.org, DNS:*.b.example, IP Address:10.0.0.1, "
                                       "IP Address:2001:DB8:0:0:0:0:0:1, email:a@b.c");
}

static void test_first_name_becomes_the_common_name(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(x509_req) X509_REQ *req = request(key, "b.example a.example", NULL);

    assert_string_equal(subject_of(req), "/CN=b.example");
}

static void test_common_name_is_the_first_dns_name(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(x509_req) X509_REQ *req = request(key, "10.0.0.1 a@b.c www.example.org", NULL);

    assert_string_equal(subject_of(req), "/CN=www.example.org");
}

static void test_name_too_long_for_a_common_name_is_passed_over(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    const char *longer = tmp_printf("a%050d.example-host.org", 7);
    AUTO(x509_req) X509_REQ *req = request(key, tmp_printf("%s b.example", longer), NULL);

    assert_true(strlen(longer) > 64);
    assert_string_equal(subject_of(req), "/CN=b.example");
}

static void test_without_a_fitting_name_the_subject_is_empty(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(x509_req) X509_REQ *req = request(key, "10.0.0.1", NULL);

    assert_string_equal(subject_of(req), "");
    assert_string_equal(names_of(req), "IP Address:10.0.0.1");
}

static void test_given_subject_is_used(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(x509_req) X509_REQ *req = request(key, "a.example", "CN=x,O=Example");

    assert_string_equal(subject_of(req), "/CN=x/O=Example");
    assert_string_equal(names_of(req), "DNS:a.example");
}

static void test_request_without_names_has_no_extension(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(x509_req) X509_REQ *req = request(key, "", "CN=x");

    assert_string_equal(names_of(req), "");
    assert_int_equal(X509_REQ_get_attr_count(req), 0);
}

static int signature_of(EVP_PKEY *key)
{
    AUTO(x509_req) X509_REQ *req = request(key, "a.example", NULL);

    assert_int_equal(X509_REQ_verify(req, key), 1);
    return X509_REQ_get_signature_nid(req);
}

static void test_digest_follows_the_curve(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *p256 = pki_ec("prime256v1");
    AUTO(pki_key) EVP_PKEY *p384 = pki_ec("secp384r1");
    AUTO(pki_key) EVP_PKEY *p521 = pki_ec("secp521r1");

    assert_int_equal(signature_of(p256), NID_ecdsa_with_SHA256);
    assert_int_equal(signature_of(p384), NID_ecdsa_with_SHA384);
    assert_int_equal(signature_of(p521), NID_ecdsa_with_SHA512);
}

static void test_rsa_is_signed_with_sha256(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_rsa();

    assert_int_equal(signature_of(key), NID_sha256WithRSAEncryption);
}

static void test_edwards_keys_take_no_digest(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    AUTO(pki_key) EVP_PKEY *ed448 = EVP_PKEY_Q_keygen(NULL, NULL, "ED448");

    assert_int_equal(signature_of(ed25519), NID_ED25519);
    assert_int_equal(signature_of(ed448), NID_ED448);
}

static void test_digest_can_be_chosen(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(buf) struct buf pem = BUF_INIT(65536);
    AUTO(x509_req) X509_REQ *req = NULL;
    struct x509_names none = X509_NAMES_INIT;
    struct x509_csr csr = {.subject = "CN=a", .names = &none, .digest = "SHA512"};
    struct err err = ERR_INIT;

    assert_ok(x509_csr_create(&csr, key, &pem, &err), &err);
    assert_ok(x509_csr_parse(buf_str(&pem), &req, &err), &err);
    assert_int_equal(X509_REQ_get_signature_nid(req), NID_ecdsa_with_SHA512);
}

static void test_request_is_pem_of_version_1(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(buf) struct buf pem = BUF_INIT(65536);
    struct x509_names none = X509_NAMES_INIT;
    struct x509_csr csr = {.subject = "CN=a", .names = &none};
    struct err err = ERR_INIT;

    assert_ok(x509_csr_create(&csr, key, &pem, &err), &err);
    assert_memory_equal(buf_str(&pem), "-----BEGIN CERTIFICATE REQUEST-----\n", 36);
    assert_lacks(buf_str(&pem), "\r");
}

static void test_public_key_alone_cannot_sign(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(key, &der);
    const unsigned char *p = der;
    AUTO(pki_key) EVP_PKEY *public = d2i_PUBKEY(NULL, &p, len);
    AUTO(buf) struct buf pem = BUF_INIT(65536);
    struct x509_names none = X509_NAMES_INIT;
    struct x509_csr csr = {.subject = "CN=a", .names = &none};
    struct err err = ERR_INIT;

    OPENSSL_free(der);
    assert_fails(x509_csr_create(&csr, public, &pem, &err), &err, E_TOKEN,
                 "signing the certificate request");
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_bad_subject_is_reported(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(buf) struct buf pem = BUF_INIT(65536);
    struct x509_names none = X509_NAMES_INIT;
    struct x509_csr csr = {.subject = "nonsense", .names = &none};
    struct err err = ERR_INIT;

    assert_fails(x509_csr_create(&csr, key, &pem, &err), &err, E_USAGE, "subject");
}

static void test_parse_rejects_what_is_no_request(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(pki_cert) X509 *cert = pki_cert(&(struct pki_spec){.cn = "a", .key = key});
    X509_REQ *req = NULL;
    struct err err = ERR_INIT;

    assert_fails(x509_csr_parse("", &req, &err), &err, E_USAGE, "no PEM certificate request");
    assert_fails(x509_csr_parse("garbage", &req, &err), &err, E_USAGE, "no PEM");
    assert_fails(x509_csr_parse(pki_pem(cert), &req, &err), &err, E_USAGE, "no PEM");
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_hashes_of_key_request_and_certificate_agree(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_rsa();
    AUTO(x509_req) X509_REQ *req = request(key, "a.example", NULL);
    AUTO(pki_cert) X509 *cert = pki_cert(&(struct pki_spec){.cn = "a", .key = key});
    uint8_t a[X509_SPKI_HASH_LEN];
    uint8_t b[X509_SPKI_HASH_LEN];
    uint8_t c[X509_SPKI_HASH_LEN];
    struct err err = ERR_INIT;

    assert_ok(x509_spki_hash(key, a, &err), &err);
    assert_ok(x509_csr_spki_hash(req, b, &err), &err);
    assert_ok(x509_cert_spki_hash(cert, c, &err), &err);
    assert_memory_equal(a, b, sizeof(a));
    assert_memory_equal(a, c, sizeof(a));
}

static void test_names_come_out_as_they_went_in(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(x509_req)
    X509_REQ *req = request(key, "*.b.example 10.0.0.1 2001:db8::1 a@b.c", "CN=www.example.org");
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct err err = ERR_INIT;

    assert_ok(x509_names_of_csr(req, &names, &err), &err);
    AUTO(str) char *text = x509_names_join(&names, ' ');
    assert_string_equal(text, "www.example.org *.b.example 10.0.0.1 2001:db8::1 a@b.c");
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_common_name_of_a_person_is_no_name(void **state UNUSED)
{
    static const char *const subjects[] = {"CN=Ada Lovelace", "CN=Dr. Ada", "O=www.example.org"};
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");

    for (size_t i = 0; i < ARRAY_LEN(subjects); i++) {
        AUTO(x509_req) X509_REQ *req = request(key, "b.example", subjects[i]);
        AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
        struct err err = ERR_INIT;
        assert_ok(x509_names_of_csr(req, &names, &err), &err);
        assert_int_equal(names.count, 1);
        assert_string_equal(names.list[0], "b.example");
    }
}

/* A request with one alternative name as OpenSSL writes it. */
static void refuses_name(const char *san, const char *words)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(x509_req) X509_REQ *req = X509_REQ_new();
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    STACK_OF(X509_EXTENSION) *exts = sk_X509_EXTENSION_new_null();
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
    struct err err = ERR_INIT;

    assert_non_null(ext);
    assert_true(sk_X509_EXTENSION_push(exts, ext) > 0 && X509_REQ_add_extensions(req, exts) == 1);
    sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
    assert_true(X509_REQ_set_pubkey(req, key) == 1);
    assert_fails(x509_names_of_csr(req, &names, &err), &err, E_USAGE, words);
    ERR_clear_error();
}

static void test_names_that_cannot_be_ordered_are_told(void **state UNUSED)
{
    refuses_name("URI:https://a.example/", "such a name cannot be ordered");
    refuses_name("DNS:a b", "a b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_in_the_request),
        cmocka_unit_test(test_first_name_becomes_the_common_name),
        cmocka_unit_test(test_common_name_is_the_first_dns_name),
        cmocka_unit_test(test_name_too_long_for_a_common_name_is_passed_over),
        cmocka_unit_test(test_without_a_fitting_name_the_subject_is_empty),
        cmocka_unit_test(test_given_subject_is_used),
        cmocka_unit_test(test_request_without_names_has_no_extension),
        cmocka_unit_test(test_digest_follows_the_curve),
        cmocka_unit_test(test_rsa_is_signed_with_sha256),
        cmocka_unit_test(test_edwards_keys_take_no_digest),
        cmocka_unit_test(test_digest_can_be_chosen),
        cmocka_unit_test(test_request_is_pem_of_version_1),
        cmocka_unit_test(test_public_key_alone_cannot_sign),
        cmocka_unit_test(test_bad_subject_is_reported),
        cmocka_unit_test(test_names_come_out_as_they_went_in),
        cmocka_unit_test(test_common_name_of_a_person_is_no_name),
        cmocka_unit_test(test_names_that_cannot_be_ordered_are_told),
        cmocka_unit_test(test_parse_rejects_what_is_no_request),
        cmocka_unit_test(test_hashes_of_key_request_and_certificate_agree),
    };

    return UNIT_RUN(tests);
}
