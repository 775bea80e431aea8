#include "hsm/proof.h"

#include "unit/pki.h"
#include "unit/unit.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

/* What a token would have made: r || s, each as long as the field. */
static struct hsm_proof signed_by(EVP_PKEY *key, int field)
{
    struct hsm_proof proof = {.type = HSM_KEY_EC, .text = "p11enroll, trial signature"};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char der[256];
    size_t len = sizeof(der);
    const unsigned char *p = der;

    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(
        EVP_DigestSign(ctx, der, &len, (const unsigned char *)proof.text, strlen(proof.text)), 1);
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)len);
    assert_non_null(sig);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), proof.signature, field), field);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig), proof.signature + field, field), field);
    proof.len = 2 * (size_t)field;
    ECDSA_SIG_free(sig);
    EVP_MD_CTX_free(ctx);
    return proof;
}

static void test_signature_tells_whose_half_it_is(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(pki_key) EVP_PKEY *other = pki_ec("prime256v1");
    AUTO(pki_key) EVP_PKEY *larger = pki_ec("secp384r1");
    struct hsm_proof proof = signed_by(key, 32);

    assert_true(hsm_proof_is_of(&proof, key));
    assert_false(hsm_proof_is_of(&proof, other));
    assert_false(hsm_proof_is_of(&proof, larger));
}

static void test_key_of_another_kind_is_none(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(pki_key) EVP_PKEY *rsa = pki_rsa();
    struct hsm_proof proof = signed_by(key, 32);

    assert_false(hsm_proof_is_of(&proof, rsa));
    proof.type = HSM_KEY_ED;
    assert_false(hsm_proof_is_of(&proof, key));
}

static void test_changed_text_or_signature_is_refused_without_a_trace(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    struct hsm_proof proof = signed_by(key, 32);

    ERR_clear_error();
    proof.text[0] = 'P';
    assert_false(hsm_proof_is_of(&proof, key));
    proof.text[0] = 'p';
    proof.signature[5] ^= 1;
    assert_false(hsm_proof_is_of(&proof, key));
    proof.len = 0;
    assert_false(hsm_proof_is_of(&proof, key));
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_rsa_keys_and_keys_that_want_a_pin_each_time_are_not_tried(void **state UNUSED)
{
    struct hsm_proof proof;
    struct err err = ERR_INIT;
    char label[] = "k";
    struct hsm_key rsa = {.spec = {.type = HSM_KEY_RSA}, .label = label};
    struct hsm_key careful = {
        .spec = {.type = HSM_KEY_EC}, .label = label, .always_authenticate = true};

    assert_fails(hsm_proof_sign(&rsa, &proof, &err), &err, E_USAGE, "no trial signature");
    err_clear(&err);
    assert_fails(hsm_proof_sign(&careful, &proof, &err), &err, E_USAGE, "no trial signature");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signature_tells_whose_half_it_is),
        cmocka_unit_test(test_key_of_another_kind_is_none),
        cmocka_unit_test(test_changed_text_or_signature_is_refused_without_a_trace),
        cmocka_unit_test(test_rsa_keys_and_keys_that_want_a_pin_each_time_are_not_tried),
    };

    return UNIT_RUN(tests);
}
