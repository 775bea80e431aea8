#include "hsm/cert.h"

#include "unit/hsm/fake.h"
#include "unit/pki.h"
#include "unit/unit.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <stdlib.h>

/* A key on the fake token with a software twin, and two certificates of it. */
struct scene {
    EVP_PKEY *pkey;
    X509 *cert, *older;
    struct hsm_key key;
};

static void scene_done(struct scene *s)
{
    EVP_PKEY_free(s->pkey);
    X509_free(s->cert);
    X509_free(s->older);
    hsm_key_done(&s->key);
}

DEFINE_AUTO_DONE(scene, struct scene, scene_done)

static void add_cert(const char *id, const char *label, X509 *cert)
{
    size_t len = 0;
    const uint8_t *der = pki_der(cert, &len);

    (void)fake_object(CKO_CERTIFICATE, id, label);
    fake_bytes(CKA_VALUE, der, len);
}

static void begin(struct scene *s)
{
    struct hsm_session session = fake_session();
    struct hsm_uri uri = {.id = {.set = true, .len = 1, .data = {'1'}}};
    struct err err = ERR_INIT;
    uint8_t point[65];
    size_t len = 0;

    fake_begin();
    *s = (struct scene){.pkey = pki_ec("prime256v1")};
    s->cert = pki_cert(&(struct pki_spec){.cn = "www", .serial = 2, .key = s->pkey});
    s->older = pki_cert(&(struct pki_spec){.cn = "www", .serial = 1, .key = s->pkey});
    assert_int_equal(EVP_PKEY_get_octet_string_param(s->pkey, OSSL_PKEY_PARAM_PUB_KEY, point,
                                                     sizeof(point), &len),
                     1);
    (void)fake_ec_key("1", "www", point);
    assert_ok(hsm_key_find(&session, &uri, CKO_PRIVATE_KEY, true, &s->key, &err), &err);
}

static bool bind(struct scene *s, const struct hsm_bind *how, struct hsm_bind_report *report,
                 struct err *err)
{
    return hsm_cert_bind(&fake.token, &s->key, how, report, err);
}

static void test_certificate_is_written_beside_its_key(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(hsm_certs) struct hsm_certs certs = HSM_CERTS_INIT;
    struct hsm_session session = fake_session();
    struct hsm_uri uri = {.id = {.set = true, .len = 1, .data = {'1'}}};
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    assert_ok(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err);
    assert_false(report.already_there);
    assert_int_equal(fake.creates, 1);
    assert_ok(hsm_certs_find(&session, &uri, &certs, &err), &err);
    assert_int_equal(certs.count, 1);
    assert_string_equal(certs.list[0].label, "www");
    assert_int_equal(X509_cmp(certs.list[0].x509, s.cert), 0);
}

static void test_second_bind_finds_it_there(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    assert_ok(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err);
    assert_ok(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err);
    assert_true(report.already_there);
    assert_int_equal(fake.creates, 1);
    assert_int_equal(fake.destroys, 0);
}

static void test_older_certificate_is_removed_afterwards(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    add_cert("1", "www", s.older);
    assert_ok(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err);
    assert_int_equal(report.old_removed, 1);
    assert_int_equal(fake_count(CKO_CERTIFICATE), 1);
}

static void test_token_with_one_place_per_key_keeps_the_new_certificate(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    add_cert("1", "www", s.older);
    fake.create_overwrites = true;
    assert_ok(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err);
    assert_int_equal(fake_count(CKO_CERTIFICATE), 1);
    assert_int_equal(fake.destroys, 0);
}

static void test_older_certificate_is_kept_if_asked(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    add_cert("1", "www", s.older);
    assert_ok(bind(&s, &(struct hsm_bind){.cert = s.cert, .keep_old = true}, &report, &err), &err);
    assert_int_equal(report.old_removed, 0);
    assert_int_equal(fake_count(CKO_CERTIFICATE), 2);
}

static void test_same_certificate_under_another_label_is_replaced(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    add_cert("1", "another", s.cert);
    assert_ok(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err);
    assert_int_equal(report.old_removed, 1);
    assert_int_equal(fake_count(CKO_CERTIFICATE), 1);
}

static void test_certificate_of_another_key_is_left_alone(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(pki_key) EVP_PKEY *other = pki_ec("prime256v1");
    AUTO(pki_cert) X509 *foreign = pki_cert(&(struct pki_spec){.cn = "x", .key = other});
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    add_cert("1", "www", foreign);
    assert_ok(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err);
    assert_int_equal(report.foreign_left, 1);
    assert_int_equal(fake.destroys, 0);
}

static void test_attestation_certificate_is_left_alone(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    add_cert("1", "X.509 Certificate for PIV Attestation 9a", s.older);
    assert_ok(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err);
    assert_int_equal(report.old_removed, 0);
    assert_int_equal(report.foreign_left, 0);
    assert_int_equal(fake_count(CKO_CERTIFICATE), 2);
}

static void test_object_that_is_no_certificate_is_left_alone(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    (void)fake_object(CKO_CERTIFICATE, "1", "www");
    fake_bytes(CKA_VALUE, "garbage", 7);
    assert_ok(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err);
    assert_int_equal(report.foreign_left, 1);
}

static void test_certificate_for_another_key_is_refused(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(pki_key) EVP_PKEY *other = pki_ec("prime256v1");
    AUTO(pki_cert) X509 *foreign = pki_cert(&(struct pki_spec){.cn = "x", .key = other});
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    assert_fails(bind(&s, &(struct hsm_bind){.cert = foreign}, &report, &err), &err,
                 E_CERT_REJECTED, "for another key than 'www' on token 'prod'");
    assert_int_equal(fake.creates, 0);
}

static void test_token_that_forgets_the_certificate_is_found_out(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    add_cert("1", "www", s.older);
    fake.create_forgets = true;
    assert_fails(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err, E_TOKEN,
                 "accepted the certificate and does not have it");
    assert_int_equal(fake.destroys, 0);
    assert_int_equal(fake_count(CKO_CERTIFICATE), 1);
}

static void test_failing_write_leaves_the_older_certificate(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    add_cert("1", "www", s.older);
    fake.create_rv = CKR_DEVICE_MEMORY;
    assert_fails(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err, E_TOKEN,
                 "writing a certificate to token 'prod' (serial 12af): C_CreateObject: "
                 "CKR_DEVICE_MEMORY: the token has no room for it");
    assert_int_equal(fake_count(CKO_CERTIFICATE), 1);
}

static void test_older_certificate_that_will_not_go_is_reported(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    add_cert("1", "www", s.older);
    fake.destroy_rv = CKR_ACTION_PROHIBITED;
    assert_fails(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err, E_TOKEN,
                 "the new certificate is bound, but an old one could not be removed");
}

static void test_chain_is_written_once(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(pki_chain) struct pki_chain chain;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    pki_chain(&chain);
    X509 *const issuers[] = {chain.middle, chain.root};
    struct hsm_bind how = {.cert = s.cert, .chain = issuers, .chain_len = 2};
    assert_ok(bind(&s, &how, &report, &err), &err);
    assert_int_equal(report.chain_written, 2);
    assert_int_equal(fake_count(CKO_CERTIFICATE), 3);
    assert_ok(bind(&s, &how, &report, &err), &err);
    assert_int_equal(report.chain_written, 0);
    assert_int_equal(fake_count(CKO_CERTIFICATE), 3);
}

static void test_key_without_an_id_is_refused(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    s.key.id.set = false;
    assert_fails(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err, E_TOKEN,
                 "has no CKA_ID");
}

static void test_key_without_a_public_half_is_refused(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    hsm_public_done(&s.key.public);
    assert_fails(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err, E_TOKEN,
                 "cannot be compared");
}

static void test_write_protected_token_is_refused(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    fake.token.info.write_protected = true;
    assert_fails(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err, E_TOKEN,
                 "write-protected");
}

static void test_value_with_something_behind_it_is_no_certificate(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(hsm_cert) struct hsm_cert cert = {0};
    struct hsm_session session = fake_session();
    struct err err = ERR_INIT;
    uint8_t longer[2000] = {0};
    size_t len = 0;

    begin(&s);
    const uint8_t *der = pki_der(s.cert, &len);
    memcpy(longer, der, len);
    CK_OBJECT_HANDLE object = fake_object(CKO_CERTIFICATE, "1", "www");
    fake_bytes(CKA_VALUE, longer, len + 1);
    assert_ok(hsm_cert_load(&session, object, &cert, &err), &err);
    assert_null(cert.x509);
}

static void test_broken_value_leaves_nothing_in_the_error_queue(void **state UNUSED)
{
    AUTO(hsm_cert) struct hsm_cert cert = {0};
    struct hsm_session session = fake_session();
    struct err err = ERR_INIT;

    fake_begin();
    CK_OBJECT_HANDLE object = fake_object(CKO_CERTIFICATE, "1", "www");
    fake_bytes(CKA_VALUE, "garbage", 7);
    ERR_clear_error();
    assert_ok(hsm_cert_load(&session, object, &cert, &err), &err);
    assert_null(cert.x509);
    assert_int_equal(ERR_peek_error(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificate_is_written_beside_its_key),
        cmocka_unit_test(test_second_bind_finds_it_there),
        cmocka_unit_test(test_older_certificate_is_removed_afterwards),
        cmocka_unit_test(test_token_with_one_place_per_key_keeps_the_new_certificate),
        cmocka_unit_test(test_older_certificate_is_kept_if_asked),
        cmocka_unit_test(test_same_certificate_under_another_label_is_replaced),
        cmocka_unit_test(test_certificate_of_another_key_is_left_alone),
        cmocka_unit_test(test_attestation_certificate_is_left_alone),
        cmocka_unit_test(test_object_that_is_no_certificate_is_left_alone),
        cmocka_unit_test(test_certificate_for_another_key_is_refused),
        cmocka_unit_test(test_token_that_forgets_the_certificate_is_found_out),
        cmocka_unit_test(test_failing_write_leaves_the_older_certificate),
        cmocka_unit_test(test_older_certificate_that_will_not_go_is_reported),
        cmocka_unit_test(test_chain_is_written_once),
        cmocka_unit_test(test_key_without_an_id_is_refused),
        cmocka_unit_test(test_key_without_a_public_half_is_refused),
        cmocka_unit_test(test_write_protected_token_is_refused),
        cmocka_unit_test(test_value_with_something_behind_it_is_no_certificate),
        cmocka_unit_test(test_broken_value_leaves_nothing_in_the_error_queue),
    };

    return UNIT_RUN(tests);
}
