/* Java keystores. The files of tests/fuzz/corpus/jks were made with keytool; their password is
 * 123456. */
#include "keystore/jks.h"

#include "base/file.h"
#include "keystore/ks.h"
#include "unit/unit.h"
#include "x509/x509.h"

#include <openssl/err.h>
#include <stdlib.h>

static struct keystore store = {.secrets = {.allow_env = true}};

static const char *made(const char *name)
{
    return tmp_join(JKS_FILES, name);
}

static void load(const char *name, struct buf *out)
{
    struct err err = ERR_INIT;

    buf_init(out, 1 << 20);
    assert_ok(file_read(made(name), out, &err), &err);
}

static const char *key_password; /* of the key alone */

static bool open_jks(const char *path, const char *alias, const char *password,
                     enum keystore_type type, struct keystore_identity *out, struct err *err)
{
    struct keystore_source source = {.cert = path, .alias = alias, .type = type};

    if (key_password != NULL) {
        assert_int_equal(setenv("UNIT_KEY_PASSWORD", key_password, 1), 0);
        source.key_password_source = "env:UNIT_KEY_PASSWORD";
    }

    if (password != NULL) {
        assert_int_equal(setenv("UNIT_PASSWORD", password, 1), 0);
        source.password_source = "env:UNIT_PASSWORD";
    }
    ERR_clear_error();
    bool ok = keystore_open(&store, &source, out, err);
    assert_int_equal(ERR_peek_error(), 0);
    return ok;
}

static void opens(const char *name, const char *alias, const char *password, const char *subject,
                  int issuers)
{
    AUTO(keystore_identity) struct keystore_identity identity = {.key = NULL};
    AUTO(x509_info) struct x509_info info = {.subject = NULL};
    struct err err = ERR_INIT;

    assert_ok(open_jks(made(name), alias, password, KEYSTORE_AUTO, &identity, &err), &err);
    assert_int_equal(X509_check_private_key(identity.cert, identity.key), 1);
    assert_ok(x509_info(identity.cert, &info, &err), &err);
    assert_string_equal(info.subject, subject);
    assert_int_equal(sk_X509_num(identity.chain), issuers);
}

static void fails_at(const char *path, const char *alias, const char *password, const char *words)
{
    struct keystore_identity identity = {.key = NULL};
    struct err err = ERR_INIT;

    assert_fails(open_jks(path, alias, password, KEYSTORE_AUTO, &identity, &err), &err, E_KEYSTORE,
                 words);
    assert_null(identity.key);
}

/* What keytool made */

static void test_rsa_key(void **state UNUSED)
{
    opens("rsa", NULL, "123456", "CN=admin", 0);
}

static void test_ec_key_with_its_issuer(void **state UNUSED)
{
    opens("ec-chain", NULL, "123456", "CN=leaf", 1);
}

static void test_alias_chooses_in_any_case(void **state UNUSED)
{
    opens("two-keys", "admin", "123456", "CN=admin", 0);
    opens("two-keys", "ADMIN", "123456", "CN=admin", 0);
    opens("two-keys", "other", "123456", "CN=other", 0);
}

static void test_several_keys_and_no_alias(void **state UNUSED)
{
    fails_at(made("two-keys"), NULL, "123456", "there are several keys (");
    fails_at(made("two-keys"), NULL, "123456", "'admin'");
    fails_at(made("two-keys"), NULL, "123456", "name one with 'client_alias'");
}

static void test_unknown_alias(void **state UNUSED)
{
    fails_at(made("rsa"), "nobody", "123456", "no key with alias 'nobody'; there are: 'admin'");
}

static void test_password_outside_of_ascii(void **state UNUSED)
{
    opens("umlaut", NULL, "W\xc3\xa4hler", "CN=admin", 0);
}

static void test_wrong_password(void **state UNUSED)
{
    fails_at(made("rsa"), NULL, "1234567",
             "the password does not open it, or the file was changed");
}

static void test_missing_password(void **state UNUSED)
{
    fails_at(made("rsa"), NULL, NULL, "it needs a password ('client_password_source')");
}

static void test_password_that_is_no_utf8(void **state UNUSED)
{
    fails_at(made("rsa"), NULL, "\xff\xfe", "the password is not UTF-8");
    fails_at(made("rsa"), NULL, "\xc0\xb1", "the password is not UTF-8");
}

static void test_key_with_a_password_of_its_own(void **state UNUSED)
{
    fails_at(made("key-password"), NULL, "123456",
             "the key has another password than the file ('client_key_password_source' says where "
             "it comes from)");
    key_password = "654321";
    opens("key-password", NULL, "123456", "CN=admin", 0);
    key_password = "1234567";
    fails_at(made("key-password"), NULL, "123456",
             "'client_key_password_source' gives is not that of the key");
    fails_at(made("key-password"), NULL, "1234567", "the password does not open it");
    key_password = NULL;
}

static void test_trusted_certificates_alone_are_no_identity(void **state UNUSED)
{
    fails_at(made("trusted"), NULL, "123456", "there is no private key in it");
}

static void test_type_that_is_not_that_of_the_file(void **state UNUSED)
{
    struct keystore_identity identity = {.key = NULL};
    struct err err = ERR_INIT;

    assert_fails(open_jks(made("rsa"), NULL, "123456", KEYSTORE_PKCS12, &identity, &err), &err,
                 E_KEYSTORE, "is JKS, and 'client_type' says PKCS#12");
    assert_fails(open_jks(made("is-pkcs12"), NULL, "123456", KEYSTORE_JKS, &identity, &err), &err,
                 E_KEYSTORE, "is PKCS#12, and 'client_type' says JKS");
}

static void test_java_s_newer_format_is_told_by_its_bytes(void **state UNUSED)
{
    opens("is-pkcs12", NULL, "123456", "CN=admin", 0);
}

static void test_jceks_is_named(void **state UNUSED)
{
    fails_at(made("is-jceks"), NULL, "123456", "is a JCEKS file, which is not read; 'keytool");
}

/* Trust stores */

static void trusts(const char *name, const char *password, int count)
{
    AUTO(x509_store) X509_STORE *trust = NULL;
    struct keystore_trust from = {.path = made(name)};
    struct err err = ERR_INIT;

    if (password != NULL) {
        assert_int_equal(setenv("UNIT_PASSWORD", password, 1), 0);
        from.password_source = "env:UNIT_PASSWORD";
    }
    assert_ok(keystore_trust_open(&store, &from, &trust, &err), &err);
    assert_int_equal(sk_X509_OBJECT_num(X509_STORE_get0_objects(trust)), count);
}

static void test_trusted_certificates_with_and_without_a_password(void **state UNUSED)
{
    trusts("trusted", "123456", 2);
    trusts("trusted", NULL, 2);
}

static void test_wrong_password_of_a_trust_store(void **state UNUSED)
{
    struct keystore_trust from = {.path = made("trusted"), .password_source = "env:UNIT_PASSWORD"};
    AUTO(x509_store) X509_STORE *trust = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(setenv("UNIT_PASSWORD", "1234567", 1), 0);
    assert_fails(keystore_trust_open(&store, &from, &trust, &err), &err, E_KEYSTORE,
                 "the password does not open it");
}

static void test_keys_are_not_trusted(void **state UNUSED)
{
    struct keystore_trust from = {.path = made("rsa")};
    AUTO(x509_store) X509_STORE *trust = NULL;
    struct err err = ERR_INIT;

    assert_fails(keystore_trust_open(&store, &from, &trust, &err), &err, E_CONFIG,
                 "has no certificate to trust");
    trusts("mixed", "123456", 1);
}

static void test_java_s_mark_decides_in_pkcs12(void **state UNUSED)
{
    trusts("pkcs12-trusted", "123456", 1);
}

/* The parser: what is damaged is said to be */

static void test_every_cut_is_noticed(void **state UNUSED)
{
    AUTO(buf) struct buf data;
    struct err err = ERR_INIT;

    load("mixed", &data);
    for (size_t len = 0; len < data.len; len++) {
        AUTO(jks) struct jks jks = {.entries = NULL};
        uint8_t *cut = malloc(len > 0 ? len : 1); /* so that a read past the end is seen */
        assert_non_null(cut);
        memcpy(cut, data.data, len);
        assert_false(jks_parse(cut, len, &jks, &err));
        assert_int_equal(err.code, E_KEYSTORE);
        free(cut);
    }
}

static void test_every_changed_byte_is_noticed(void **state UNUSED)
{
    AUTO(buf) struct buf data;
    AUTO(secret) struct secret password = SECRET_INIT;
    struct err err = ERR_INIT;

    load("trusted", &data);
    assert_ok(secret_set(&password, "123456", 6, &err), &err);
    for (size_t i = 0; i < data.len; i++) {
        AUTO(jks) struct jks jks = {.entries = NULL};
        bool fits = false;
        data.data[i] ^= 0x01;
        if (jks_parse(data.data, data.len, &jks, &err)) {
            assert_ok(jks_check(&jks, &password, &fits, &err), &err);
            assert_false(fits);
        }
        data.data[i] ^= 0x01;
    }
}

static void refuses(const void *bytes, size_t len, const char *words)
{
    AUTO(jks) struct jks jks = {.entries = NULL};
    struct err err = ERR_INIT;

    assert_fails(jks_parse(bytes, len, &jks, &err), &err, E_KEYSTORE, words);
}

#define BYTES(text) (text), sizeof(text) - 1

static void test_numbers_that_cannot_be(void **state UNUSED)
{
    refuses(BYTES(""), "no JKS file");
    refuses(BYTES("\xfe\xed\xfe\xed"), "no JKS file");
    refuses(BYTES("\xce\xce\xce\xce\0\0\0\2\0\0\0\0"), "no JKS file");
    refuses(BYTES("\xfe\xed\xfe\xed\0\0\0\3\0\0\0\0"), "version 3");
    refuses(BYTES("\xfe\xed\xfe\xed\0\0\0\2\xff\xff\xff\xff"), "more entries than fit");
    refuses(BYTES("\xfe\xed\xfe\xed\0\0\0\2\0\0\0\1"), "more entries than fit");
    refuses(BYTES("\xfe\xed\xfe\xed\0\0\0\2\0\0\0\0"), "bytes behind its entries, or missing");
    refuses(BYTES("\xfe\xed\xfe\xed\0\0\0\2\0\0\0\1\0\0\0\3\0\0--------------------"),
            "neither a key nor a certificate");
    refuses(BYTES("\xfe\xed\xfe\xed\0\0\0\2\0\0\0\1\0\0\0\1\0\0--------\xff\xff\xff\xff----"),
            "goes past its end");
    refuses(BYTES("\xfe\xed\xfe\xed\0\0\0\2\0\0\0\1\0\0\0\1\0\0--------\0\0\0\0\0\1\0\0----"),
            "too many certificates");
    refuses(BYTES("\xfe\xed\xfe\xed\0\0\0\2\0\0\0\1\0\0\0\2\0\0--------\0\3PGP\0\0\0\0------"),
            "not X.509");
}

static void test_version_1_has_no_types_of_certificates(void **state UNUSED)
{
    static const char bytes[] = "\xfe\xed\xfe\xed\0\0\0\1\0\0\0\1\0\0\0\2\0\2ab--------\0\0\0\3"
                                "DER12345678901234567890";
    AUTO(jks) struct jks jks = {.entries = NULL};
    struct err err = ERR_INIT;

    assert_ok(jks_parse((const uint8_t *)bytes, sizeof(bytes) - 1, &jks, &err), &err);
    assert_int_equal(jks.count, 1);
    assert_int_equal(jks.entries[0].certs[0].len, 3);
    assert_memory_equal(jks.entries[0].certs[0].data, "DER", 3);
    assert_memory_equal(jks.entries[0].alias.data, "ab", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rsa_key),
        cmocka_unit_test(test_ec_key_with_its_issuer),
        cmocka_unit_test(test_alias_chooses_in_any_case),
        cmocka_unit_test(test_several_keys_and_no_alias),
        cmocka_unit_test(test_unknown_alias),
        cmocka_unit_test(test_password_outside_of_ascii),
        cmocka_unit_test(test_wrong_password),
        cmocka_unit_test(test_missing_password),
        cmocka_unit_test(test_password_that_is_no_utf8),
        cmocka_unit_test(test_key_with_a_password_of_its_own),
        cmocka_unit_test(test_trusted_certificates_alone_are_no_identity),
        cmocka_unit_test(test_type_that_is_not_that_of_the_file),
        cmocka_unit_test(test_java_s_newer_format_is_told_by_its_bytes),
        cmocka_unit_test(test_jceks_is_named),
        cmocka_unit_test(test_trusted_certificates_with_and_without_a_password),
        cmocka_unit_test(test_wrong_password_of_a_trust_store),
        cmocka_unit_test(test_keys_are_not_trusted),
        cmocka_unit_test(test_java_s_mark_decides_in_pkcs12),
        cmocka_unit_test(test_every_cut_is_noticed),
        cmocka_unit_test(test_every_changed_byte_is_noticed),
        cmocka_unit_test(test_numbers_that_cannot_be),
        cmocka_unit_test(test_version_1_has_no_types_of_certificates),
    };

    return UNIT_RUN(tests);
}
