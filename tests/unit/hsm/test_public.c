/* The public half of a key out of SubjectPublicKeyInfo and certificates (hsm/key.c). */
#include "hsm/key.h"

#include "unit/pki.h"
#include "unit/unit.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <stdlib.h>

struct spki {
    unsigned char *der;
    size_t len;
};

static void spki_done(struct spki *spki)
{
    OPENSSL_free(spki->der);
}

DEFINE_AUTO_DONE(spki, struct spki, spki_done)

static struct spki spki_of(EVP_PKEY *key)
{
    struct spki spki = {.der = NULL};
    int len = i2d_PUBKEY(key, &spki.der);

    assert_true(len > 0);
    spki.len = (size_t)len;
    return spki;
}

static void test_rsa(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_rsa();
    AUTO(spki) struct spki spki = spki_of(key);
    AUTO(hsm_public) struct hsm_public public = {.known = false};
    struct hsm_key_spec spec = {.type = HSM_KEY_OTHER};
    BIGNUM *n = NULL;

    assert_true(hsm_public_from_spki(spki.der, spki.len, &spec, &public));
    assert_true(public.known);
    assert_string_equal(hsm_key_spec_name(&spec), "RSA-2048");
    assert_int_equal(public.modulus_len, 256);
    assert_int_equal(public.exponent_len, 3);
    assert_memory_equal(public.exponent, "\x01\x00\x01", 3);
    assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n), 1);
    uint8_t bytes[256];
    assert_int_equal(BN_bn2bin(n, bytes), 256);
    assert_memory_equal(public.modulus, bytes, 256);
    BN_free(n);
}

static void test_ec_on_every_curve(void **state UNUSED)
{
    static const struct {
        const char *group, *name;
        size_t point;
    } cases[] = {{"prime256v1", "EC P-256", 65},
                 {"secp384r1", "EC P-384", 97},
                 {"secp521r1", "EC P-521", 133}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(pki_key) EVP_PKEY *key = pki_ec(cases[i].group);
        AUTO(spki) struct spki spki = spki_of(key);
        AUTO(hsm_public) struct hsm_public public = {.known = false};
        struct hsm_key_spec spec = {.type = HSM_KEY_OTHER};
        assert_true(hsm_public_from_spki(spki.der, spki.len, &spec, &public));
        assert_string_equal(hsm_key_spec_name(&spec), cases[i].name);
        assert_int_equal(public.point_len, cases[i].point);
        assert_int_equal(public.point[0], 0x04);
    }
}

static bool is_taken(EVP_PKEY *key)
{
    AUTO(spki) struct spki spki = spki_of(key);
    AUTO(hsm_public) struct hsm_public public = {.known = false};
    struct hsm_key_spec spec = {.type = HSM_KEY_OTHER};
    bool taken = hsm_public_from_spki(spki.der, spki.len, &spec, &public);

    assert_int_equal(public.known, taken);
    return taken;
}

static void test_foreign_curve_is_refused(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("secp256k1");

    assert_false(is_taken(key));
}

static void test_explicit_parameters_are_refused(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");

    assert_int_equal(EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING, "explicit"),
                     1);
    assert_false(is_taken(key));
}

static void test_compressed_point_is_refused(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");

    assert_int_equal(EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                                    "compressed"),
                     1);
    assert_false(is_taken(key));
}

static void test_edwards_and_montgomery_keys(void **state UNUSED)
{
    static const struct {
        const char *type, *name;
        size_t size;
    } cases[] = {{"ED25519", "Ed25519", 32},
                 {"ED448", "Ed448", 57},
                 {"X25519", "X25519", 32},
                 {"X448", "X448", 56}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(pki_key) EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, cases[i].type);
        AUTO(spki) struct spki spki = spki_of(key);
        AUTO(hsm_public) struct hsm_public public = {.known = false};
        struct hsm_key_spec spec = {.type = HSM_KEY_OTHER};
        uint8_t expected[57];
        size_t len = sizeof(expected);
        assert_true(hsm_public_from_spki(spki.der, spki.len, &spec, &public));
        assert_string_equal(hsm_key_spec_name(&spec), cases[i].name);
        assert_int_equal(EVP_PKEY_get_raw_public_key(key, expected, &len), 1);
        assert_int_equal(len, cases[i].size);
        assert_int_equal(public.point_len, len);
        assert_memory_equal(public.point, expected, len);
    }
}

static void test_other_algorithms_are_refused(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *sm2 = EVP_PKEY_Q_keygen(NULL, NULL, "SM2");

    assert_false(is_taken(sm2));
}

/* SubjectPublicKeyInfo { { algorithm [, parameter] }, key } around 32 bytes. */
static bool ed_around(const char *algorithm, size_t len)
{
    unsigned char der[80] = {0x30, (unsigned char)(2 + len + 35), 0x30, (unsigned char)len};
    AUTO(hsm_public) struct hsm_public public = {.known = false};
    struct hsm_key_spec spec = {.type = HSM_KEY_OTHER};

    memcpy(der + 4, algorithm, len);
    memcpy(der + 4 + len, "\x03\x21\x00", 3);
    return hsm_public_from_spki(der, 4 + len + 35, &spec, &public);
}

static void test_edwards_algorithm_is_the_curve(void **state UNUSED)
{
    assert_true(ed_around("\x06\x03\x2b\x65\x70", 5));
    /* RFC 8410, section 3: the parameters are absent */
    assert_false(ed_around("\x06\x03\x2b\x65\x70\x05\x00", 7));
    /* of another length */
    assert_false(ed_around("\x06\x03\x2b\x65\x71", 5));
    /* a curve where the algorithm belongs, and the other way round */
    assert_false(ed_around("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", 10));
    assert_false(ed_around("\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x03\x2b\x65\x70", 14));
}

static void test_cut_and_longer_bytes_are_refused(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(spki) struct spki spki = spki_of(key);
    uint8_t longer[200] = {0};

    for (size_t len = 0; len < spki.len; len++) {
        AUTO(hsm_public) struct hsm_public public = {.known = false};
        struct hsm_key_spec spec;
        assert_false(hsm_public_from_spki(spki.der, len, &spec, &public));
    }
    AUTO(hsm_public) struct hsm_public public = {.known = false};
    struct hsm_key_spec spec;
    memcpy(longer, spki.der, spki.len);
    assert_false(hsm_public_from_spki(longer, spki.len + 1, &spec, &public));
}

/* A SubjectPublicKeyInfo for rsaEncryption around any bytes. */
static bool rsa_around(const char *inner, size_t len)
{
    static const unsigned char head[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                         0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00, 0x03};
    unsigned char der[200] = {0x30, (unsigned char)(sizeof(head) + 2 + len)};
    AUTO(hsm_public) struct hsm_public public = {.known = false};
    struct hsm_key_spec spec = {.type = HSM_KEY_OTHER};

    memcpy(der + 2, head, sizeof(head));
    der[2 + sizeof(head)] = (unsigned char)(len + 1);
    der[3 + sizeof(head)] = 0;
    memcpy(der + 4 + sizeof(head), inner, len);
    return hsm_public_from_spki(der, 4 + sizeof(head) + len, &spec, &public);
}

static void test_rsa_key_that_is_no_pair_of_numbers_is_refused(void **state UNUSED)
{
    assert_true(rsa_around("\x30\x08\x02\x02\x0f\xff\x02\x02\x01\x01", 10));
    assert_false(rsa_around("", 0));
    assert_false(rsa_around("\x30\x00", 2));
    assert_false(rsa_around("\x30\x80", 2));
    assert_false(rsa_around("\x02\x01\x05", 3));
    assert_false(rsa_around("\x30\x04\x02\x02\x0f\xff", 6));
    assert_false(rsa_around("\x30\x06\x02\x02\x0f\xff\x04\x00", 8));
    assert_false(rsa_around("\x30\x06\x02\x02\x0f\xff\x02\x05", 8));
}

static void test_rsa_numbers_of_zero_are_refused(void **state UNUSED)
{
    assert_false(rsa_around("\x30\x06\x02\x01\x00\x02\x01\x03", 8));
    assert_false(rsa_around("\x30\x06\x02\x01\x03\x02\x01\x00", 8));
    assert_false(rsa_around("\x30\x04\x02\x00\x02\x00", 6));
}

static void test_certificate(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("secp384r1");
    AUTO(pki_cert) X509 *cert = pki_cert(&(struct pki_spec){.cn = "a", .key = key});
    AUTO(spki) struct spki spki = spki_of(key);
    AUTO(hsm_public) struct hsm_public a = {.known = false};
    AUTO(hsm_public) struct hsm_public b = {.known = false};
    struct hsm_key_spec a_spec;
    struct hsm_key_spec b_spec;

    assert_true(hsm_public_from_x509(cert, &a_spec, &a));
    assert_true(hsm_public_from_spki(spki.der, spki.len, &b_spec, &b));
    assert_true(hsm_public_equal(&a_spec, &a, &b_spec, &b));
}

static void test_keys_differ_by_numbers_and_kind(void **state UNUSED)
{
    EVP_PKEY *keys[3];
    struct hsm_public publics[3] = {{.known = false}};
    struct hsm_key_spec specs[3];

    keys[0] = pki_ec("prime256v1");
    keys[1] = pki_ec("prime256v1");
    keys[2] = pki_rsa();
    for (size_t i = 0; i < 3; i++) {
        AUTO(spki) struct spki spki = spki_of(keys[i]);
        assert_true(hsm_public_from_spki(spki.der, spki.len, &specs[i], &publics[i]));
    }
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(hsm_public_equal(&specs[i], &publics[i], &specs[k], &publics[k]),
                             i == k);
        }
    }
    for (size_t i = 0; i < 3; i++) {
        hsm_public_done(&publics[i]);
        EVP_PKEY_free(keys[i]);
    }
}

static void test_unknown_keys_are_never_equal(void **state UNUSED)
{
    struct hsm_public none = {.known = false};
    struct hsm_key_spec spec = {.type = HSM_KEY_RSA};

    assert_false(hsm_public_equal(&spec, &none, &spec, &none));
}

static void test_public_evp_round_trips(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *rsa = pki_rsa();
    AUTO(pki_key) EVP_PKEY *ec = pki_ec("secp521r1");
    AUTO(pki_key) EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    AUTO(pki_key) EVP_PKEY *x = EVP_PKEY_Q_keygen(NULL, NULL, "X448");
    EVP_PKEY *const keys[] = {rsa, ec, ed, x};

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        AUTO(spki) struct spki spki = spki_of(keys[i]);
        struct hsm_key key = {.label = NULL};
        AUTO(pki_key) EVP_PKEY *made = NULL;
        struct err err = ERR_INIT;
        assert_true(hsm_public_from_spki(spki.der, spki.len, &key.spec, &key.public));
        assert_ok(hsm_key_public_evp(&key, &made, &err), &err);
        assert_int_equal(EVP_PKEY_eq(made, keys[i]), 1);
        hsm_key_done(&key);
    }
}

/* The hsm layer does not touch the application's error queue. */
static void test_garbage_leaves_no_error_behind(void **state UNUSED)
{
    AUTO(hsm_public) struct hsm_public public = {.known = false};
    struct hsm_key_spec spec;

    ERR_clear_error();
    assert_false(hsm_public_from_spki((const uint8_t *)"garbage", 7, &spec, &public));
    assert_int_equal(ERR_peek_error(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rsa),
        cmocka_unit_test(test_ec_on_every_curve),
        cmocka_unit_test(test_foreign_curve_is_refused),
        cmocka_unit_test(test_explicit_parameters_are_refused),
        cmocka_unit_test(test_compressed_point_is_refused),
        cmocka_unit_test(test_edwards_and_montgomery_keys),
        cmocka_unit_test(test_other_algorithms_are_refused),
        cmocka_unit_test(test_edwards_algorithm_is_the_curve),
        cmocka_unit_test(test_cut_and_longer_bytes_are_refused),
        cmocka_unit_test(test_rsa_key_that_is_no_pair_of_numbers_is_refused),
        cmocka_unit_test(test_rsa_numbers_of_zero_are_refused),
        cmocka_unit_test(test_certificate),
        cmocka_unit_test(test_keys_differ_by_numbers_and_kind),
        cmocka_unit_test(test_unknown_keys_are_never_equal),
        cmocka_unit_test(test_public_evp_round_trips),
        cmocka_unit_test(test_garbage_leaves_no_error_behind),
    };

    return UNIT_RUN(tests);
}
