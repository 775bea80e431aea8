#include "hsm/family.h"

#include "unit/hsm/fake.h"
#include "unit/pki.h"
#include "unit/unit.h"

static const uint8_t point_a[65] = {0x04, 1};
static const uint8_t point_b[65] = {0x04, 2};
static const uint8_t p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};

static CK_OBJECT_HANDLE public_key(const char *id, const char *label, const uint8_t *point)
{
    CK_OBJECT_HANDLE handle = fake_object(CKO_PUBLIC_KEY, id, label);

    fake_number(CKA_KEY_TYPE, CKK_EC);
    fake_bytes(CKA_EC_PARAMS, p256, sizeof(p256));
    fake_bytes(CKA_EC_POINT, point, 65);
    fake_flag(CKA_TOKEN, true);
    return handle;
}

static CK_OBJECT_HANDLE private_key(const char *id, const char *label, const uint8_t *point)
{
    return fake_ec_key(id, label, point);
}

static bool find(const char *uri_text, struct hsm_family *family, struct err *err)
{
    struct hsm_session session = fake_session();
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    assert_ok(hsm_uri_parse(uri_text, &uri, err), err);
    return hsm_family_find(&session, &uri, family, err);
}

static void test_both_halves_are_one_family(void **state UNUSED)
{
    AUTO(hsm_family) struct hsm_family family = {.strangers = 0};
    struct err err = ERR_INIT;

    fake_begin();
    CK_OBJECT_HANDLE private = private_key("a", "www", point_a);
    CK_OBJECT_HANDLE public = public_key("a", "www", point_a);
    (void)private_key("b", "other", point_b);
    assert_ok(find("pkcs11:id=a", &family, &err), &err);
    assert_int_equal(family.key.handle, private);
    assert_int_equal(family.publics.count, 1);
    assert_int_equal(family.publics.list[0], public);
    assert_int_equal(family.strangers, 0);
    assert_int_equal(fake.find_inits, 1);
}

static void test_another_key_under_the_same_id_is_a_stranger(void **state UNUSED)
{
    AUTO(hsm_family) struct hsm_family family = {.strangers = 0};
    struct err err = ERR_INIT;

    fake_begin();
    (void)private_key("a", "www", point_a);
    (void)public_key("a", "www", point_b);
    assert_ok(find("pkcs11:object=www", &family, &err), &err);
    assert_int_equal(family.publics.count, 0);
    assert_int_equal(family.strangers, 1);
}

static void test_destroys_nothing_but_the_pair(void **state UNUSED)
{
    AUTO(hsm_family) struct hsm_family family = {.strangers = 0};
    struct err err = ERR_INIT;

    fake_begin();
    (void)private_key("a", "www", point_a);
    (void)public_key("a", "www", point_a);
    CK_OBJECT_HANDLE stranger = public_key("a", "x", point_b);
    CK_OBJECT_HANDLE other = private_key("b", "other", point_b);
    assert_ok(find("pkcs11:id=a;object=www", &family, &err), &err);
    assert_ok(hsm_family_destroy(&fake.token, &family, true, &err), &err);
    assert_int_equal(fake.destroys, 2);
    assert_true(fake_has(stranger) && fake_has(other));
}

/* Says that it is done, and does nothing. */
static CK_RV forget(CK_SESSION_HANDLE session UNUSED, CK_OBJECT_HANDLE handle UNUSED)
{
    return CKR_OK;
}

static void test_token_that_does_not_destroy_is_found_out(void **state UNUSED)
{
    AUTO(hsm_family) struct hsm_family family = {.strangers = 0};
    struct err err = ERR_INIT;

    fake_begin();
    (void)private_key("a", "www", point_a);
    fake.fns.C_DestroyObject = forget;
    assert_ok(find("pkcs11:id=a", &family, &err), &err);
    assert_fails(hsm_family_destroy(&fake.token, &family, false, &err), &err, E_TOKEN,
                 "said that the objects are destroyed, and they are still there");
}

static CK_RV pretend(CK_SESSION_HANDLE session UNUSED, CK_OBJECT_HANDLE handle UNUSED,
                     CK_ATTRIBUTE *list UNUSED, CK_ULONG count UNUSED)
{
    return CKR_OK;
}

static void test_token_that_does_not_rename_is_found_out(void **state UNUSED)
{
    AUTO(hsm_family) struct hsm_family family = {.strangers = 0};
    struct err err = ERR_INIT;

    fake_begin();
    (void)private_key("a", "www", point_a);
    fake.fns.C_SetAttributeValue = pretend;
    assert_ok(find("pkcs11:id=a", &family, &err), &err);
    assert_fails(hsm_family_rename(&fake.token, &family, "new", &err), &err, E_TOKEN,
                 "key 'www' keeps its label: token 'prod' (serial 12af) said that the label is "
                 "changed, and it is not");
}

static CK_C_SetAttributeValue set_attributes;
static unsigned set_calls, set_fails_at;

static CK_RV fail_once(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *list,
                       CK_ULONG count)
{
    return ++set_calls == set_fails_at ? CKR_FUNCTION_FAILED
                                       : set_attributes(session, object, list, count);
}

static void set_will_fail(unsigned nth)
{
    set_attributes = fake.fns.C_SetAttributeValue;
    fake.fns.C_SetAttributeValue = fail_once;
    set_calls = 0;
    set_fails_at = nth;
}

/* Each its own: a public key need not have the label of its private one. */
static void test_labels_are_given_back_as_they_were(void **state UNUSED)
{
    AUTO(hsm_family) struct hsm_family family = {.strangers = 0};
    AUTO(hsm_family) struct hsm_family after = {.strangers = 0};
    AUTO(hsm_key) struct hsm_key public = {0};
    struct hsm_session session;
    struct err err = ERR_INIT;

    fake_begin();
    session = fake_session();
    (void)private_key("a", "www", point_a);
    CK_OBJECT_HANDLE half = public_key("a", "www, public", point_a);
    (void)public_key("a", "spare", point_a);
    assert_ok(find("pkcs11:id=a;object=www", &family, &err), &err);
    set_will_fail(3);
    assert_fails(hsm_family_rename(&fake.token, &family, "new", &err), &err, E_TOKEN,
                 "key 'www' keeps its label");
    assert_int_equal(set_calls, 5); /* what was not changed is not changed back */
    assert_ok(find("pkcs11:id=a;object=www", &after, &err), &err);
    assert_ok(hsm_key_load(&session, half, CKO_PUBLIC_KEY, false, &public, &err), &err);
    assert_string_equal(public.label, "www, public");
}

static void test_label_that_is_not_given_back_is_told(void **state UNUSED)
{
    AUTO(hsm_family) struct hsm_family family = {.strangers = 0};
    struct err err = ERR_INIT;

    fake_begin();
    (void)private_key("a", "www", point_a);
    (void)public_key("a", "www", point_a);
    assert_ok(find("pkcs11:id=a", &family, &err), &err);
    fake.set_rv = CKR_DEVICE_MEMORY;
    fake.set_fails = 2;
    assert_fails(hsm_family_rename(&fake.token, &family, "new", &err), &err, E_TOKEN,
                 "1 of its 2 objects may have the new label 'new' now");
}

static void test_rest_of_a_key_is_found_without_it(void **state UNUSED)
{
    AUTO(hsm_family) struct hsm_family family = {.strangers = 0};
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct hsm_session session;
    struct err err = ERR_INIT;

    fake_begin();
    session = fake_session();
    (void)public_key("a", "www", point_a);
    assert_ok(hsm_uri_parse("pkcs11:object=www", &uri, &err), &err);
    assert_ok(hsm_family_find_rest(&session, &uri, &family, &err), &err);
    assert_int_equal(family.key.handle, 0);
    assert_int_equal(family.publics.count, 1);
}

static void test_public_half_of_a_key_that_is_there_is_no_rest(void **state UNUSED)
{
    AUTO(hsm_family) struct hsm_family family = {.strangers = 0};
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct hsm_session session;
    struct err err = ERR_INIT;

    fake_begin();
    session = fake_session();
    (void)private_key("a", "other", point_a);
    (void)public_key("a", "www", point_a);
    assert_ok(hsm_uri_parse("pkcs11:object=www", &uri, &err), &err);
    assert_fails(hsm_family_find_rest(&session, &uri, &family, &err), &err, E_OBJECT_MISSING,
                 "has no private key that matches");
}

static void add_cert(const char *id, const char *label, X509 *cert)
{
    size_t len = 0;
    const uint8_t *der = pki_der(cert, &len);

    (void)fake_object(CKO_CERTIFICATE, id, label);
    fake_bytes(CKA_VALUE, der, len);
    fake_flag(CKA_TOKEN, true);
}

static void test_certificates_of_devices_and_cas_are_no_rest(void **state UNUSED)
{
    AUTO(hsm_family) struct hsm_family family = {.strangers = 0};
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    EVP_PKEY *key = pki_ec("prime256v1");
    X509 *own = pki_cert(&(struct pki_spec){.cn = "www", .key = key});
    X509 *ca = pki_cert(&(struct pki_spec){.cn = "ca", .ca = true, .key = key});
    struct hsm_session session;
    struct err err = ERR_INIT;

    fake_begin();
    session = fake_session();
    add_cert("a", "www", own);
    add_cert("a", "X.509 Certificate for PIV Attestation 9a", own);
    add_cert("a", "ca", ca);
    assert_ok(hsm_uri_parse("pkcs11:id=a", &uri, &err), &err);
    assert_ok(hsm_family_find_rest(&session, &uri, &family, &err), &err);
    assert_int_equal(family.certs.count, 1);
    assert_string_equal(family.certs.list[0].label, "www");
    assert_int_equal(family.strangers, 2);
    X509_free(own);
    X509_free(ca);
    EVP_PKEY_free(key);
}

static void test_half_of_a_key_with_another_id_is_no_rest(void **state UNUSED)
{
    AUTO(hsm_family) struct hsm_family family = {.strangers = 0};
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct hsm_session session;
    struct err err = ERR_INIT;

    fake_begin();
    session = fake_session();
    (void)private_key("b", "web", point_a);
    (void)public_key("a", "www", point_a);
    assert_ok(hsm_uri_parse("pkcs11:object=www", &uri, &err), &err);
    assert_fails(hsm_family_find_rest(&session, &uri, &family, &err), &err, E_OBJECT_EXISTS,
                 "the public key 'www' (id 61) on token 'prod' (serial 12af) is not left of a "
                 "deleted key: it belongs to the private key 'web' (id 62), which is there");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_halves_are_one_family),
        cmocka_unit_test(test_another_key_under_the_same_id_is_a_stranger),
        cmocka_unit_test(test_destroys_nothing_but_the_pair),
        cmocka_unit_test(test_token_that_does_not_destroy_is_found_out),
        cmocka_unit_test(test_token_that_does_not_rename_is_found_out),
        cmocka_unit_test(test_labels_are_given_back_as_they_were),
        cmocka_unit_test(test_label_that_is_not_given_back_is_told),
        cmocka_unit_test(test_rest_of_a_key_is_found_without_it),
        cmocka_unit_test(test_public_half_of_a_key_that_is_there_is_no_rest),
        cmocka_unit_test(test_certificates_of_devices_and_cas_are_no_rest),
        cmocka_unit_test(test_half_of_a_key_with_another_id_is_no_rest),
    };

    return UNIT_RUN(tests);
}
