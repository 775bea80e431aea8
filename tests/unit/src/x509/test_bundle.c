/* What a CA (or a person) calls a certificate file: x509_bundle_parse(). */
#include "x509/x509.h"

#include "unit/pki.h"
#include "unit/unit.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>

static int count_of(const void *data, size_t len)
{
    AUTO(x509_stack) STACK_OF(X509) *certs = NULL;
    struct err err = ERR_INIT;

    assert_ok(x509_bundle_parse(data, len, &certs, &err), &err);
    assert_int_equal(ERR_peek_error(), 0);
    return sk_X509_num(certs);
}

static int count(const char *text)
{
    return count_of(text, strlen(text));
}

static void refuses_bytes(const void *data, size_t len)
{
    STACK_OF(X509) *certs = NULL;
    struct err err = ERR_INIT;

    assert_fails(x509_bundle_parse(data, len, &certs, &err), &err, E_PROTOCOL,
                 "there is no certificate in these");
    assert_int_equal(ERR_peek_error(), 0);
}

static void refuses(const char *text)
{
    refuses_bytes(text, strlen(text));
}

/* A PKCS#7 structure with certificates and no signer, as CAs send it. */
static PKCS7 *p7_of(X509 *first, X509 *second)
{
    PKCS7 *p7 = PKCS7_new();

    assert_int_equal(PKCS7_set_type(p7, NID_pkcs7_signed), 1);
    assert_int_equal(PKCS7_content_new(p7, NID_pkcs7_data), 1);
    assert_int_equal(PKCS7_add_certificate(p7, first), 1);
    assert_int_equal(PKCS7_add_certificate(p7, second), 1);
    return p7;
}

static void test_one_certificate(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    assert_int_equal(count(pki_pem(c.leaf)), 1);
}

static void test_several_certificates(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    assert_int_equal(
        count(tmp_printf("%s%s%s", pki_pem(c.leaf), pki_pem(c.middle), pki_pem(c.root))), 3);
}

static void test_text_between_certificates(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    assert_int_equal(count(tmp_printf("Bag Attributes\n  friendlyName: x\n%s\nsubject=/CN=a\n\n"
                                      "-----nothing-----\n%s behind",
                                      pki_pem(c.leaf), pki_pem(c.middle))),
                     2);
}

static const char *with_crlf(const char *text)
{
    AUTO(buf) struct buf out = BUF_INIT(100000);

    for (; *text != '\0'; text++) {
        buf_add_str(&out, *text == '\n' ? "\r" : "");
        buf_add_byte(&out, (uint8_t)*text);
    }
    return tmp_printf("%s", buf_str(&out));
}

static void test_line_ends_of_windows(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    assert_int_equal(count(with_crlf(tmp_printf("%s%s", pki_pem(c.leaf), pki_pem(c.middle)))), 2);
}

static void test_last_line_without_an_end(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    const char *pem = pki_pem(c.leaf);
    assert_int_equal(count_of(pem, strlen(pem) - 1), 1);
}

static void test_duplicates_are_kept_once(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    const char *pem = pki_pem(c.leaf);
    assert_int_equal(count(tmp_printf("%s%s%s", pem, pki_pem(c.middle), pem)), 2);
}

static void test_other_pem_blocks_are_passed_over(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    assert_int_equal(count(tmp_printf("%s%s", pki_key_pem(c.leaf_key, NULL), pki_pem(c.leaf))), 1);
}

static void test_x509_certificate_is_another_word_for_it(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    AUTO(buf) struct buf out = BUF_INIT(10000);

    pki_chain(&c);
    const char *pem = pki_pem(c.leaf);
    const char *body = strchr(pem, '\n');
    const char *end = strstr(body, "-----END");
    buf_add_str(&out, "-----BEGIN X509 CERTIFICATE-----");
    buf_add(&out, body, (size_t)(end - body));
    buf_add_str(&out, "-----END X509 CERTIFICATE-----\n");
    assert_int_equal(count(buf_str(&out)), 1);
}

static void test_der_certificate(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    size_t len = 0;

    pki_chain(&c);
    const uint8_t *der = pki_der(c.leaf, &len);
    assert_int_equal(count_of(der, len), 1);
}

static void test_pkcs7_as_pem(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    BIO *mem = BIO_new(BIO_s_mem());
    char *data = NULL;

    pki_chain(&c);
    PKCS7 *p7 = p7_of(c.leaf, c.middle);
    assert_int_equal(PEM_write_bio_PKCS7(mem, p7), 1);
    long len = BIO_get_mem_data(mem, &data);
    assert_int_equal(count_of(data, (size_t)len), 2);
    BIO_free_all(mem);
    PKCS7_free(p7);
}

static void test_pkcs7_as_der(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    unsigned char *der = NULL;

    pki_chain(&c);
    PKCS7 *p7 = p7_of(c.leaf, c.middle);
    int len = i2d_PKCS7(p7, &der);
    assert_int_equal(count_of(der, (size_t)len), 2);
    OPENSSL_free(der);
    PKCS7_free(p7);
}

static void test_pkcs7_of_another_type_has_none(void **state UNUSED)
{
    PKCS7 *p7 = PKCS7_new();
    unsigned char *der = NULL;

    assert_int_equal(PKCS7_set_type(p7, NID_pkcs7_data), 1);
    int len = i2d_PKCS7(p7, &der);
    refuses_bytes(der, (size_t)len);
    OPENSSL_free(der);
    PKCS7_free(p7);
}

static void test_garbage(void **state UNUSED)
{
    refuses("");
    refuses("garbage");
    refuses("<html>certificate</html>");
    refuses("{\"code\":0}");
    refuses_bytes("\x30\x82\x01\x00", 4);
    refuses("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n");
    refuses("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    refuses("-----BEGIN CERTIFICATE-----\n");
}

static void test_nothing_at_all(void **state UNUSED)
{
    refuses_bytes(NULL, 0);
}

static void test_cut_certificate_is_none(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    const char *pem = pki_pem(c.leaf);
    refuses_bytes(pem, strlen(pem) / 2);
}

/* "Reads every certificate in bytes from outside": one that is damaged must not hide the others. */
static void test_damaged_block_does_not_end_the_bundle(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    assert_int_equal(count(tmp_printf("%s-----BEGIN CERTIFICATE-----\n!!!!\n"
                                      "-----END CERTIFICATE-----\n%s",
                                      pki_pem(c.leaf), pki_pem(c.middle))),
                     2);
}

static void test_too_many_bytes_are_refused(void **state UNUSED)
{
    AUTO(mem) void *bytes = calloc(1, (1 << 20) + 1);
    STACK_OF(X509) *certs = NULL;
    struct err err = ERR_INIT;

    assert_fails(x509_bundle_parse(bytes, (1 << 20) + 1, &certs, &err), &err, E_PROTOCOL,
                 "are too many");
}

static const char *many(int count_wanted)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(buf) struct buf out = BUF_INIT(1 << 20);

    for (int i = 1; i <= count_wanted; i++) {
        AUTO(pki_cert)
        X509 *cert = pki_cert(&(struct pki_spec){.cn = "x", .serial = i, .key = key});
        buf_add_str(&out, pki_pem(cert));
    }
    assert_true(buf_ok(&out));
    return tmp_printf("%s", buf_str(&out));
}

static void test_number_of_certificates_is_limited(void **state UNUSED)
{
    assert_int_equal(count(many(X509_BUNDLE_MAX)), X509_BUNDLE_MAX);
    assert_int_equal(count(many(X509_BUNDLE_MAX + 3)), X509_BUNDLE_MAX);
}

static void test_file_is_named_in_the_message(void **state UNUSED)
{
    const char *path = tmp_text(tmp_dir(), "x.pem", "garbage");
    STACK_OF(X509) *certs = NULL;
    struct err err = ERR_INIT;

    assert_fails(x509_bundle_read(path, &certs, &err), &err, E_PROTOCOL, path);
    assert_fails(x509_bundle_read("/nowhere/x.pem", &certs, &err), &err, E_IO, "/nowhere/x.pem");
}

static void test_bundle_is_written_as_it_was_read(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    AUTO(buf) struct buf out = BUF_INIT(100000);
    AUTO(x509_stack) STACK_OF(X509) *certs = NULL;
    struct err err = ERR_INIT;

    pki_chain(&c);
    const char *text = tmp_printf("%s%s", pki_pem(c.leaf), pki_pem(c.middle));
    assert_ok(x509_bundle_parse((const uint8_t *)text, strlen(text), &certs, &err), &err);
    assert_ok(x509_chain_to_pem(certs, &out, &err), &err);
    assert_string_equal(buf_str(&out), text);
}

static void test_no_chain_is_no_text(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(100);
    struct err err = ERR_INIT;

    assert_ok(x509_chain_to_pem(NULL, &out, &err), &err);
    assert_string_equal(buf_str(&out), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_certificate),
        cmocka_unit_test(test_several_certificates),
        cmocka_unit_test(test_text_between_certificates),
        cmocka_unit_test(test_line_ends_of_windows),
        cmocka_unit_test(test_last_line_without_an_end),
        cmocka_unit_test(test_duplicates_are_kept_once),
        cmocka_unit_test(test_other_pem_blocks_are_passed_over),
        cmocka_unit_test(test_x509_certificate_is_another_word_for_it),
        cmocka_unit_test(test_der_certificate),
        cmocka_unit_test(test_pkcs7_as_pem),
        cmocka_unit_test(test_pkcs7_as_der),
        cmocka_unit_test(test_pkcs7_of_another_type_has_none),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_nothing_at_all),
        cmocka_unit_test(test_cut_certificate_is_none),
        cmocka_unit_test(test_damaged_block_does_not_end_the_bundle),
        cmocka_unit_test(test_too_many_bytes_are_refused),
        cmocka_unit_test(test_number_of_certificates_is_limited),
        cmocka_unit_test(test_file_is_named_in_the_message),
        cmocka_unit_test(test_bundle_is_written_as_it_was_read),
        cmocka_unit_test(test_no_chain_is_no_text),
    };

    return UNIT_RUN(tests);
}
