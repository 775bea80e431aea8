/* Keys on a token and where their public half is found. */
#include "hsm/key.h"

#include "base/str.h"

#include "unit/hsm/fake.h"
#include "unit/pki.h"
#include "unit/unit.h"

#include <openssl/err.h>
#include <stdlib.h>

static const uint8_t point_a[65] = {0x04, 0xaa};
static const uint8_t point_b[65] = {0x04, 0xbb};
static const uint8_t p384_params[] = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22};

static bool find(const char *text, struct hsm_key *key, struct err *err)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct hsm_session session = fake_session();

    assert_ok(hsm_uri_parse(text, &uri, err), err);
    return hsm_key_find(&session, &uri, CKO_PRIVATE_KEY, true, key, err);
}

static void test_key_is_found_by_label(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;

    fake_begin();
    (void)fake_ec_key("1", "a", point_a);
    CK_OBJECT_HANDLE b = fake_ec_key("2", "b", point_b);
    assert_ok(find("pkcs11:object=b", &key, &err), &err);
    assert_int_equal(key.handle, b);
    assert_string_equal(key.label, "b");
    assert_string_equal(hsm_key_spec_name(&key.spec), "EC P-256");
    assert_true(key.public.known);
    assert_memory_equal(key.public.point, point_b, 65);
}

static void test_key_is_found_by_id(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;

    fake_begin();
    (void)fake_ec_key("1", "a", point_a);
    (void)fake_ec_key("2", "b", point_b);
    assert_ok(find("pkcs11:id=1", &key, &err), &err);
    assert_string_equal(key.label, "a");
}

static void test_only_key_needs_no_name(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;

    fake_begin();
    (void)fake_ec_key("1", "a", point_a);
    assert_ok(find("pkcs11:token=prod", &key, &err), &err);
    assert_string_equal(key.label, "a");
}

static void test_no_key_is_an_error_that_names_the_uri(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;

    fake_begin();
    assert_fails(find("pkcs11:object=www?pin-value=1234", &key, &err), &err, E_OBJECT_MISSING,
                 "token 'prod' (serial 12af) has no private key that matches pkcs11:object=www");
    assert_lacks(err.msg, "1234");
}

static void test_several_keys_are_an_error_with_the_candidates(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;

    fake_begin();
    (void)fake_ec_key("1", "www", point_a);
    (void)fake_ec_key("2", "www", point_b);
    assert_fails(find("pkcs11:object=www", &key, &err), &err, E_OBJECT_AMBIGUOUS,
                 "2 private keys that match pkcs11:object=www: 'www' (id 31), 'www' (id 32)");
}

static void test_long_list_of_candidates_is_cut(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;

    fake_begin();
    for (int i = 0; i < 20; i++) {
        (void)fake_ec_key("1", "a label that is fairly long, as labels go\x1b", point_a);
    }
    assert_fails(find("pkcs11:id=1", &key, &err), &err, E_OBJECT_AMBIGUOUS, "20 private keys");
    assert_contains(err.msg, "\\x1b");
    assert_contains(err.msg, ", ...");
}

static void test_public_half_from_a_public_key_object(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;

    fake_begin();
    (void)fake_ec_key("1", "a", point_a);
    fake_sensitive(CKA_EC_POINT);
    (void)fake_object(CKO_PUBLIC_KEY, "1", "a");
    fake_number(CKA_KEY_TYPE, CKK_EC);
    fake_bytes(CKA_EC_PARAMS, hsm_curve_by_name("P-256")->oid_der, 10);
    fake_bytes(CKA_EC_POINT, point_b, 65);
    assert_ok(find("pkcs11:id=1", &key, &err), &err);
    assert_true(key.public.known);
    assert_memory_equal(key.public.point, point_b, 65);
}

static void allows(const CK_MECHANISM_TYPE *list, size_t count, const char *type)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;

    fake_begin();
    (void)fake_object(CKO_PRIVATE_KEY, "1", "rsa");
    fake_number(CKA_KEY_TYPE, CKK_RSA);
    fake_bytes(CKA_MODULUS, "\xc0\x01", 2);
    fake_bytes(CKA_PUBLIC_EXPONENT, "\x03", 1);
    fake_bytes(CKA_ALLOWED_MECHANISMS, list, count * sizeof(*list));
    assert_ok(find("pkcs11:id=1", &key, &err), &err);
    assert_string_equal(hsm_key_evp_type(&key), type);
}

static void test_rsa_key_that_may_only_do_pss_is_an_rsa_pss_key(void **state UNUSED)
{
    static const CK_MECHANISM_TYPE list[] = {CKM_RSA_PKCS_PSS, CKM_SHA512_RSA_PKCS_PSS,
                                             CKM_RSA_PKCS};

    allows(list, 0, "RSA");
    allows(list, 1, "RSA-PSS");
    allows(list, 2, "RSA-PSS");
    allows(list, 3, "RSA");
}

static CK_RV knows_no_allowed_mechanisms(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                                         CK_ATTRIBUTE *list, CK_ULONG count)
{
    for (CK_ULONG i = 0; i < count; i++) {
        if (list[i].type == CKA_ALLOWED_MECHANISMS) {
            return CKR_GENERAL_ERROR;
        }
    }
    return fake_get_attributes(session, object, list, count);
}

static void test_module_that_fails_over_an_attribute(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;

    fake_begin();
    (void)fake_object(CKO_PRIVATE_KEY, "1", "rsa");
    fake_number(CKA_KEY_TYPE, CKK_RSA);
    fake_bytes(CKA_MODULUS, "\xc0\x01", 2);
    fake_bytes(CKA_PUBLIC_EXPONENT, "\x03", 1);
    fake.get_attributes = knows_no_allowed_mechanisms;
    assert_fails(find("pkcs11:id=1", &key, &err), &err, E_TOKEN,
                 "C_GetAttributeValue: CKR_GENERAL_ERROR");
    hsm_module_add_quirks(&fake.module, HSM_QUIRK(NO_ALLOWED_MECHANISMS));
    err_clear(&err);
    assert_ok(find("pkcs11:id=1", &key, &err), &err);
    assert_string_equal(hsm_key_evp_type(&key), "RSA");
}

static void loads_edwards(CK_ULONG type, const char *params, const char *name)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;
    uint8_t point[34] = {0x04, 0x20, 0xed};

    fake_begin();
    (void)fake_object(CKO_PRIVATE_KEY, "1", "ed");
    fake_number(CKA_KEY_TYPE, type);
    fake_bytes(CKA_EC_PARAMS, params, strlen(params));
    fake_bytes(CKA_EC_POINT, point, sizeof(point));
    assert_ok(find("pkcs11:id=1", &key, &err), &err);
    assert_string_equal(hsm_key_spec_name(&key.spec), name);
    assert_int_equal(key.public.point_len, key.public.known ? 32 : 0);
    assert_int_equal(key.public.known, !str_equal(name, "other"));
}

static void test_edwards_keys_as_tokens_declare_them(void **state UNUSED)
{
    loads_edwards(CKK_EC_EDWARDS, "\x06\x03\x2b\x65\x70", "Ed25519");
    loads_edwards(CKK_EC_EDWARDS,
                  "\x13\x0c"
                  "edwards25519",
                  "Ed25519");
    loads_edwards(CKK_EC, "\x06\x03\x2b\x65\x70", "Ed25519");
    loads_edwards(CKK_EC_MONTGOMERY, "\x06\x03\x2b\x65\x6e", "X25519");
    loads_edwards(CKK_EC_EDWARDS,
                  "\x13\x0a"
                  "curve25519",
                  "X25519");
}

static void test_edwards_type_with_a_nist_curve_is_no_key_of_ours(void **state UNUSED)
{
    loads_edwards(CKK_EC_EDWARDS, "\x06\x05\x2b\x81\x04\x00\x22", "other");
    loads_edwards(CKK_EC_EDWARDS, "\x13\x00", "other");
}

static void test_public_half_of_another_kind_is_not_taken(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;
    uint8_t point[97] = {0x04};

    fake_begin();
    (void)fake_ec_key("1", "a", point_a);
    fake_sensitive(CKA_EC_POINT);
    (void)fake_object(CKO_PUBLIC_KEY, "1", "a");
    fake_number(CKA_KEY_TYPE, CKK_EC);
    fake_bytes(CKA_EC_PARAMS, p384_params, sizeof(p384_params));
    fake_bytes(CKA_EC_POINT, point, sizeof(point));
    assert_ok(find("pkcs11:id=1", &key, &err), &err);
    assert_false(key.public.known);
}

static void test_public_half_from_a_certificate(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *pkey = pki_ec("prime256v1");
    AUTO(pki_cert) X509 *cert = pki_cert(&(struct pki_spec){.cn = "a", .key = pkey});
    AUTO(hsm_key) struct hsm_key key = {0};
    AUTO(pki_key) EVP_PKEY *found = NULL;
    struct err err = ERR_INIT;
    size_t len = 0;
    const uint8_t *der = pki_der(cert, &len);

    fake_begin();
    (void)fake_ec_key("1", "a", point_a);
    fake_sensitive(CKA_EC_POINT);
    (void)fake_object(CKO_CERTIFICATE, "1", "garbage");
    fake_bytes(CKA_VALUE, "no certificate", 14);
    (void)fake_object(CKO_CERTIFICATE, "1", "a");
    fake_bytes(CKA_VALUE, der, len);
    ERR_clear_error();
    assert_ok(find("pkcs11:id=1", &key, &err), &err);
    assert_int_equal(ERR_peek_error(), 0);
    assert_ok(hsm_key_public_evp(&key, &found, &err), &err);
    assert_int_equal(EVP_PKEY_eq(found, pkey), 1);
}

static void test_public_half_from_public_key_info(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *pkey = pki_ec("prime256v1");
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(pkey, &der);

    fake_begin();
    (void)fake_ec_key("1", "a", point_a);
    fake_sensitive(CKA_EC_POINT);
    fake_bytes(CKA_PUBLIC_KEY_INFO, der, (size_t)len);
    OPENSSL_free(der);
    assert_ok(find("pkcs11:id=1", &key, &err), &err);
    assert_true(key.public.known);
}

static void test_public_half_that_is_nowhere_is_no_error(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    EVP_PKEY *found = NULL;
    struct err err = ERR_INIT;

    fake_begin();
    (void)fake_ec_key("1", "a", point_a);
    fake_sensitive(CKA_EC_POINT);
    assert_ok(find("pkcs11:id=1", &key, &err), &err);
    assert_false(key.public.known);
    assert_fails(hsm_key_public_evp(&key, &found, &err), &err, E_TOKEN, "nowhere on the token");
}

static void test_public_half_that_is_no_point_is_an_error(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    EVP_PKEY *found = NULL;
    struct err err = ERR_INIT;

    fake_begin();
    (void)fake_ec_key("1", "a", point_a);
    assert_ok(find("pkcs11:id=1", &key, &err), &err);
    assert_fails(hsm_key_public_evp(&key, &found, &err), &err, E_TOKEN, "is not a valid key");
}

static void test_rsa_size_is_that_of_the_modulus(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;
    uint8_t modulus[257] = {0, 0x80};

    fake_begin();
    (void)fake_object(CKO_PRIVATE_KEY, "1", "a");
    fake_number(CKA_KEY_TYPE, CKK_RSA);
    fake_bytes(CKA_MODULUS, modulus, sizeof(modulus));
    fake_bytes(CKA_PUBLIC_EXPONENT, "\x01\x00\x01", 3);
    assert_ok(find("pkcs11:id=1", &key, &err), &err);
    assert_string_equal(hsm_key_spec_name(&key.spec), "RSA-2048");
}

/* A private RSA key that shows nothing of itself, and its public object. */
static void add_opaque_rsa_pair(void)
{
    static const uint8_t modulus[256] = {0x80};

    (void)fake_object(CKO_PRIVATE_KEY, "1", "a");
    fake_number(CKA_KEY_TYPE, CKK_RSA);
    (void)fake_object(CKO_PUBLIC_KEY, "1", "a");
    fake_number(CKA_KEY_TYPE, CKK_RSA);
    fake_bytes(CKA_MODULUS, modulus, sizeof(modulus));
    fake_bytes(CKA_PUBLIC_EXPONENT, "\x01\x00\x01", 3);
}

static void test_rsa_size_comes_with_the_public_object(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;

    fake_begin();
    add_opaque_rsa_pair();
    assert_ok(find("pkcs11:id=1", &key, &err), &err);
    assert_true(key.public.known);
    assert_string_equal(hsm_key_spec_name(&key.spec), "RSA-2048");
}

static void test_rsa_size_of_a_pair_found_in_one_search(void **state UNUSED)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;

    fake_begin();
    add_opaque_rsa_pair();
    struct hsm_session session = fake_session();
    assert_ok(hsm_uri_parse("pkcs11:object=a", &uri, &err), &err);
    assert_ok(hsm_key_find_pair(&session, &uri, &key, &err), &err);
    assert_true(key.public.known);
    assert_string_equal(hsm_key_spec_name(&key.spec), "RSA-2048");
}

static void test_key_of_an_unknown_kind_is_other(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;

    fake_begin();
    (void)fake_object(CKO_PRIVATE_KEY, "1", "a");
    fake_number(CKA_KEY_TYPE, CKK_EC_EDWARDS);
    assert_ok(find("pkcs11:id=1", &key, &err), &err);
    assert_int_equal(key.spec.type, HSM_KEY_OTHER);
}

static void test_modulus_of_zeros_does_no_harm(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;
    uint8_t zeros[256] = {0};

    fake_begin();
    (void)fake_object(CKO_PRIVATE_KEY, "1", "a");
    fake_number(CKA_KEY_TYPE, CKK_RSA);
    fake_bytes(CKA_MODULUS, zeros, sizeof(zeros));
    fake_bytes(CKA_PUBLIC_EXPONENT, "\x03", 1);
    assert_ok(find("pkcs11:id=1", &key, &err), &err);
    assert_false(key.public.known);
}

static void test_uri_of_a_key_names_it_completely(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    AUTO(buf) struct buf text = BUF_INIT(HSM_URI_MAX);
    struct err err = ERR_INIT;

    fake_begin();
    (void)fake_ec_key("1", "www", point_a);
    assert_ok(find("pkcs11:id=1", &key, &err), &err);
    assert_ok(hsm_key_uri(&key, &uri, &err), &err);
    hsm_uri_format(&uri, &text);
    assert_string_equal(buf_str(&text), "pkcs11:token=prod;manufacturer=maker;serial=12af;"
                                        "model=model;object=www;type=private;id=%31");
}

static void test_uri_of_a_key_without_a_label_has_none(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct err err = ERR_INIT;

    fake_begin();
    (void)fake_ec_key("1", NULL, point_a);
    assert_ok(find("pkcs11:id=1", &key, &err), &err);
    assert_ok(hsm_key_uri(&key, &uri, &err), &err);
    assert_null(uri.object);
}

static void test_failing_search_leaves_nothing_behind(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;

    fake_begin();
    (void)fake_ec_key("1", "a", point_a);
    fake.find_rv = CKR_DEVICE_ERROR;
    assert_fails(find("pkcs11:id=1", &key, &err), &err, E_TOKEN, "C_FindObjects");
    assert_null(key.label);
}

static void test_same_handle_is_the_same_object_while_it_is_current(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key a = {0};
    AUTO(hsm_key) struct hsm_key again = {0};
    AUTO(hsm_key) struct hsm_key other = {0};
    struct err err = ERR_INIT;

    fake_begin();
    (void)fake_ec_key("1", "a", point_a);
    (void)fake_ec_key("2", "b", point_b);
    assert_ok(find("pkcs11:object=a", &a, &err), &err);
    assert_ok(find("pkcs11:object=a", &again, &err), &err);
    assert_ok(find("pkcs11:object=b", &other, &err), &err);
    assert_true(hsm_key_is_same_object(&a, &again));
    assert_false(hsm_key_is_same_object(&a, &other));
    again.class = CKO_PUBLIC_KEY; /* some modules number each class by itself */
    assert_false(hsm_key_is_same_object(&a, &again));
}

static void test_handles_are_given_out_anew_after_a_restart(void **state UNUSED)
{
    AUTO(hsm_key) struct hsm_key before = {0};
    AUTO(hsm_key) struct hsm_key after = {0};
    struct err err = ERR_INIT;

    fake_begin();
    (void)fake_ec_key("1", "a", point_a);
    (void)fake_ec_key("2", "b", point_b);
    assert_ok(find("pkcs11:object=a", &before, &err), &err);
    hsm_token_forget(&fake.token, true);
    assert_ok(find("pkcs11:object=b", &after, &err), &err);
    after.handle = before.handle;
    assert_false(hsm_key_is_same_object(&before, &after));
    assert_false(hsm_key_is_same_object(&after, &before));
    after.epoch = before.epoch; /* equal, and both of the past */
    assert_false(hsm_key_is_same_object(&before, &after));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_is_found_by_label),
        cmocka_unit_test(test_key_is_found_by_id),
        cmocka_unit_test(test_only_key_needs_no_name),
        cmocka_unit_test(test_no_key_is_an_error_that_names_the_uri),
        cmocka_unit_test(test_several_keys_are_an_error_with_the_candidates),
        cmocka_unit_test(test_long_list_of_candidates_is_cut),
        cmocka_unit_test(test_public_half_from_a_public_key_object),
        cmocka_unit_test(test_rsa_key_that_may_only_do_pss_is_an_rsa_pss_key),
        cmocka_unit_test(test_module_that_fails_over_an_attribute),
        cmocka_unit_test(test_edwards_keys_as_tokens_declare_them),
        cmocka_unit_test(test_edwards_type_with_a_nist_curve_is_no_key_of_ours),
        cmocka_unit_test(test_public_half_of_another_kind_is_not_taken),
        cmocka_unit_test(test_public_half_from_a_certificate),
        cmocka_unit_test(test_public_half_from_public_key_info),
        cmocka_unit_test(test_public_half_that_is_nowhere_is_no_error),
        cmocka_unit_test(test_public_half_that_is_no_point_is_an_error),
        cmocka_unit_test(test_rsa_size_is_that_of_the_modulus),
        cmocka_unit_test(test_rsa_size_comes_with_the_public_object),
        cmocka_unit_test(test_rsa_size_of_a_pair_found_in_one_search),
        cmocka_unit_test(test_key_of_an_unknown_kind_is_other),
        cmocka_unit_test(test_modulus_of_zeros_does_no_harm),
        cmocka_unit_test(test_uri_of_a_key_names_it_completely),
        cmocka_unit_test(test_uri_of_a_key_without_a_label_has_none),
        cmocka_unit_test(test_failing_search_leaves_nothing_behind),
        cmocka_unit_test(test_same_handle_is_the_same_object_while_it_is_current),
        cmocka_unit_test(test_handles_are_given_out_anew_after_a_restart),
    };

    return UNIT_RUN(tests);
}
