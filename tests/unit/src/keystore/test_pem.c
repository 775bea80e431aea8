/* Client identities in PEM files. */
#include "keystore/ks.h"

#include "unit/pki.h"
#include "unit/unit.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Formats without a token use nothing of a keystore but its way to passwords. */
static struct keystore store = {.secrets = {.allow_env = true}};

static bool open_files(const char *cert, const char *key, const char *password,
                       struct keystore_identity *out, struct err *err)
{
    struct keystore_source source = {.cert = cert, .key = key};

    if (password != NULL) {
        assert_int_equal(setenv("UNIT_PASSWORD", password, 1), 0);
        source.password_source = "env:UNIT_PASSWORD";
    }
    ERR_clear_error();
    bool ok = keystore_open(&store, &source, out, err);
    assert_int_equal(ERR_peek_error(), 0);
    return ok;
}

static void fails(const char *cert, const char *key, const char *password, enum err_code code,
                  const char *words)
{
    struct keystore_identity identity = {.key = NULL};
    struct err err = ERR_INIT;

    assert_fails(open_files(cert, key, password, &identity, &err), &err, code, words);
    assert_null(identity.key);
    assert_null(identity.cert);
}

static const char *file_of(const char *text)
{
    return tmp_text(tmp_dir(), "x.pem", text);
}

static void opens(const char *cert, const char *key, const char *password, struct pki_chain *c,
                  int chain_len)
{
    AUTO(keystore_identity) struct keystore_identity identity = {.key = NULL};
    struct err err = ERR_INIT;

    assert_ok(open_files(cert, key, password, &identity, &err), &err);
    assert_int_equal(EVP_PKEY_eq(identity.key, c->leaf_key), 1);
    assert_int_equal(X509_cmp(identity.cert, c->leaf), 0);
    assert_int_equal(sk_X509_num(identity.chain), chain_len);
}

static void test_key_and_certificate_in_one_file(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    opens(file_of(tmp_printf("%s%s", pki_key_pem(c.leaf_key, NULL), pki_pem(c.leaf))), NULL, NULL,
          &c, 0);
    opens(file_of(tmp_printf("%s%s", pki_pem(c.leaf), pki_key_pem(c.leaf_key, NULL))), NULL, NULL,
          &c, 0);
}

static void test_key_file_holds_the_certificate_as_well(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    opens(NULL, file_of(tmp_printf("%s%s", pki_key_pem(c.leaf_key, NULL), pki_pem(c.leaf))), NULL,
          &c, 0);
}

static void test_two_files(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    opens(file_of(pki_pem(c.leaf)), file_of(pki_key_pem(c.leaf_key, NULL)), NULL, &c, 0);
}

static void test_chain_is_taken_along_in_order(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    opens(file_of(tmp_printf("%s%s%s%s", pki_pem(c.root), pki_pem(c.middle), pki_pem(c.leaf),
                             pki_key_pem(c.leaf_key, NULL))),
          NULL, NULL, &c, 1);
}

static void test_the_renewed_certificate_is_taken(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    int64_t now = (int64_t)time(NULL);

    pki_chain(&c);
    AUTO(pki_cert)
    X509 *expired = pki_cert(&(struct pki_spec){.cn = "www.example.org",
                                                .key = c.leaf_key,
                                                .not_before = now - 2 * PKI_DAY,
                                                .not_after = now - PKI_DAY});
    opens(file_of(tmp_printf("%s%s%s", pki_key_pem(c.leaf_key, NULL), pki_pem(expired),
                             pki_pem(c.leaf))),
          NULL, NULL, &c, 0);
}

static void test_traditional_rsa_key(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_rsa();
    AUTO(pki_cert) X509 *cert = pki_cert(&(struct pki_spec){.cn = "a", .key = key});
    AUTO(keystore_identity) struct keystore_identity identity = {.key = NULL};
    BIO *mem = BIO_new(BIO_s_mem());
    char *data = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(PEM_write_bio_PrivateKey_traditional(mem, key, NULL, NULL, 0, NULL, NULL), 1);
    long len = BIO_get_mem_data(mem, &data);
    const char *path = file_of(tmp_printf("%.*s%s", (int)len, data, pki_pem(cert)));
    BIO_free_all(mem);
    assert_ok(open_files(path, NULL, NULL, &identity, &err), &err);
    assert_int_equal(EVP_PKEY_eq(identity.key, key), 1);
}

static void test_encrypted_key(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    opens(file_of(tmp_printf("%s%s", pki_key_pem(c.leaf_key, "1234"), pki_pem(c.leaf))), NULL,
          "1234", &c, 0);
}

static void test_encrypted_key_with_a_wrong_password(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    fails(file_of(tmp_printf("%s%s", pki_key_pem(c.leaf_key, "1234"), pki_pem(c.leaf))), NULL,
          "9999", E_KEYSTORE, "the key is encrypted and the password does not open it");
}

static void test_encrypted_key_without_a_password(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    fails(file_of(tmp_printf("%s%s", pki_key_pem(c.leaf_key, "1234"), pki_pem(c.leaf))), NULL, NULL,
          E_KEYSTORE, "no password is given ('client_password_source')");
}

static void test_password_of_a_key_that_needs_none_is_ignored(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    opens(file_of(tmp_printf("%s%s", pki_key_pem(c.leaf_key, NULL), pki_pem(c.leaf))), NULL, "1234",
          &c, 0);
}

static void test_password_source_that_fails_is_named(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    struct keystore_identity identity = {.key = NULL};
    struct err err = ERR_INIT;

    pki_chain(&c);
    struct keystore_source source = {
        .cert = file_of(tmp_printf("%s%s", pki_key_pem(c.leaf_key, "x"), pki_pem(c.leaf))),
        .password_source = "file:/nowhere/password"};
    assert_fails(keystore_open(&store, &source, &identity, &err), &err, E_IO, "password of ");
}

static void test_certificate_for_another_key(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    fails(file_of(tmp_printf("%s%s", pki_key_pem(c.leaf_key, NULL), pki_pem(c.middle))), NULL, NULL,
          E_KEYSTORE, "none of the 1 certificates belongs to the key");
}

static void test_file_without_a_key(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    fails(file_of(pki_pem(c.leaf)), NULL, NULL, E_KEYSTORE, "there is no private key in it");
}

static void test_file_without_a_certificate(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    fails(file_of(pki_key_pem(c.leaf_key, NULL)), NULL, NULL, E_KEYSTORE,
          "there is no certificate in these");
}

static void test_damaged_key(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    fails(file_of(tmp_printf("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n%s",
                             pki_pem(c.leaf))),
          NULL, NULL, E_KEYSTORE, "there is no private key in it");
}

static void test_text_that_is_neither(void **state UNUSED)
{
    fails(file_of("garbage"), NULL, NULL, E_KEYSTORE, "is none of PEM, PKCS#12 and JKS");
    fails(file_of(""), NULL, NULL, E_KEYSTORE, "is none of PEM, PKCS#12 and JKS");
}

static void test_missing_file(void **state UNUSED)
{
    fails("/nowhere/x.pem", NULL, NULL, E_IO, "client keystore: opening /nowhere/x.pem");
}

static void test_missing_certificate_file(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    fails("/nowhere/x.pem", file_of(pki_key_pem(c.leaf_key, NULL)), NULL, E_IO, "/nowhere/x.pem");
}

static void test_nothing_configured(void **state UNUSED)
{
    fails(NULL, NULL, NULL, E_CONFIG, "no client certificate is configured");
}

static void test_uri_with_an_upper_case_scheme_is_no_file(void **state UNUSED)
{
    struct keystore_identity identity = {.key = NULL};
    struct keystore_source source = {.cert = "PKCS11:object=x"};
    struct err err = ERR_INIT;

    /* No module is configured; that it says so shows that it was taken for a URI. */
    assert_fails(keystore_open(&store, &source, &identity, &err), &err, E_CONFIG,
                 "no PKCS#11 module is named");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_and_certificate_in_one_file),
        cmocka_unit_test(test_key_file_holds_the_certificate_as_well),
        cmocka_unit_test(test_two_files),
        cmocka_unit_test(test_chain_is_taken_along_in_order),
        cmocka_unit_test(test_the_renewed_certificate_is_taken),
        cmocka_unit_test(test_traditional_rsa_key),
        cmocka_unit_test(test_encrypted_key),
        cmocka_unit_test(test_encrypted_key_with_a_wrong_password),
        cmocka_unit_test(test_encrypted_key_without_a_password),
        cmocka_unit_test(test_password_of_a_key_that_needs_none_is_ignored),
        cmocka_unit_test(test_password_source_that_fails_is_named),
        cmocka_unit_test(test_certificate_for_another_key),
        cmocka_unit_test(test_file_without_a_key),
        cmocka_unit_test(test_file_without_a_certificate),
        cmocka_unit_test(test_damaged_key),
        cmocka_unit_test(test_text_that_is_neither),
        cmocka_unit_test(test_missing_file),
        cmocka_unit_test(test_missing_certificate_file),
        cmocka_unit_test(test_nothing_configured),
        cmocka_unit_test(test_uri_with_an_upper_case_scheme_is_no_file),
    };

    return UNIT_RUN(tests);
}
