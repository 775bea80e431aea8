/* Signatures beside a text: made, checked, and everything that is none. */
#include "x509/x509.h"

#include "unit/pki.h"
#include "unit/unit.h"

static const char text[] = "{\"decision\":\"approve\"}";

struct scene {
    EVP_PKEY *key;
    X509 *cert;
    struct buf signature;
};

static void scene_done(struct scene *s)
{
    EVP_PKEY_free(s->key);
    X509_free(s->cert);
    buf_done(&s->signature);
}

DEFINE_AUTO_DONE(scene, struct scene, scene_done)

static void begin(struct scene *s)
{
    struct err err = ERR_INIT;

    *s = (struct scene){.key = pki_ec("prime256v1")};
    s->cert = pki_cert(&(struct pki_spec){.cn = "alice", .key = s->key});
    buf_init(&s->signature, X509_CMS_MAX);
    assert_ok(
        x509_cms_sign(s->cert, s->key, (const uint8_t *)text, strlen(text), &s->signature, &err),
        &err);
}

static bool verify(const struct scene *s, const char *over, STACK_OF(X509) * known, X509 **signer,
                   struct err *err)
{
    return x509_cms_verify(s->signature.data, s->signature.len, (const uint8_t *)over, strlen(over),
                           known, signer, err);
}

static void test_signature_names_its_signer(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(x509) X509 *signer = NULL;
    struct err err = ERR_INIT;

    begin(&s);
    assert_ok(verify(&s, text, NULL, &signer, &err), &err);
    assert_int_equal(X509_cmp(signer, s.cert), 0);
}

static void test_rsa_keys_sign(void **state UNUSED)
{
    AUTO(scene) struct scene s = {.key = pki_rsa()};
    AUTO(x509) X509 *signer = NULL;
    struct err err = ERR_INIT;

    s.cert = pki_cert(&(struct pki_spec){.cn = "bob", .key = s.key});
    buf_init(&s.signature, X509_CMS_MAX);
    assert_ok(x509_cms_sign(s.cert, s.key, (const uint8_t *)text, strlen(text), &s.signature, &err),
              &err);
    assert_ok(verify(&s, text, NULL, &signer, &err), &err);
}

static void test_other_text_is_not_signed(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(x509) X509 *signer = NULL;
    struct err err = ERR_INIT;

    begin(&s);
    assert_fails(verify(&s, "{\"decision\":\"decline\"}", NULL, &signer, &err), &err, E_EVIDENCE,
                 "not by that certificate's key over this text");
    assert_null(signer);
}

/* The value of the signature is what the file ends with. */
static void test_each_changed_byte_of_the_value_shows(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s);
    for (size_t i = s.signature.len - 60; i < s.signature.len; i++) {
        AUTO(x509) X509 *signer = NULL;
        s.signature.data[i] ^= 0x01;
        assert_fails(verify(&s, text, NULL, &signer, &err), &err, E_EVIDENCE, "");
        assert_null(signer);
        s.signature.data[i] ^= 0x01;
    }
}

static void test_cut_and_lengthened_files_are_none(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(x509) X509 *signer = NULL;
    struct err err = ERR_INIT;

    begin(&s);
    s.signature.len--;
    assert_fails(verify(&s, text, NULL, &signer, &err), &err, E_EVIDENCE, "no CMS signature");
    s.signature.len++;
    buf_add_byte(&s.signature, 0);
    assert_fails(verify(&s, text, NULL, &signer, &err), &err, E_EVIDENCE, "no CMS signature");
    s.signature.len = 0;
    assert_fails(verify(&s, text, NULL, &signer, &err), &err, E_EVIDENCE, "0 bytes is none");
}

static void test_dates_of_a_signer(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s);
    assert_ok(x509_may_sign(s.cert, PKI_NOW, &err), &err);
    assert_fails(x509_may_sign(s.cert, PKI_NOW - 2 * PKI_DAY, &err), &err, E_FORBIDDEN,
                 "only begins on");
    assert_fails(x509_may_sign(s.cert, PKI_NOW + (int64_t)400 * PKI_DAY, &err), &err, E_FORBIDDEN,
                 "expired on");
}

static void test_fingerprints_differ(void **state UNUSED)
{
    AUTO(scene) struct scene a;
    AUTO(scene) struct scene b;
    uint8_t x[X509_FINGERPRINT_LEN];
    uint8_t y[X509_FINGERPRINT_LEN];
    struct err err = ERR_INIT;

    begin(&a);
    begin(&b);
    assert_ok(x509_fingerprint(a.cert, x, &err) && x509_fingerprint(b.cert, y, &err), &err);
    assert_memory_not_equal(x, y, sizeof(x));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signature_names_its_signer),
        cmocka_unit_test(test_rsa_keys_sign),
        cmocka_unit_test(test_other_text_is_not_signed),
        cmocka_unit_test(test_each_changed_byte_of_the_value_shows),
        cmocka_unit_test(test_cut_and_lengthened_files_are_none),
        cmocka_unit_test(test_dates_of_a_signer),
        cmocka_unit_test(test_fingerprints_differ),
    };

    return UNIT_RUN(tests);
}
