#include "hsm/cert.h"

#include "unit/hsm/fake.h"
#include "unit/pki.h"
#include "unit/unit.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Another process that comes between the new certificate's read-back and the removal of old ones:
 * before the second search after the write. */
static struct {
    CK_C_FindObjectsInit find_init;
    unsigned searches;
    X509 *adds;                /* a certificate that it binds */
    CK_OBJECT_HANDLE destroys; /* an object that it removes */
} meddler;

static CK_RV find_and_meddle(CK_SESSION_HANDLE session, CK_ATTRIBUTE *list, CK_ULONG count)
{
    meddler.searches += fake.creates > 0 ? 1 : 0;
    if (meddler.searches == 2 && meddler.adds != NULL) {
        add_cert("1", "www", meddler.adds);
    }
    if (meddler.searches == 2 && meddler.destroys != 0) {
        assert_int_equal(fake.fns.C_DestroyObject(session, meddler.destroys), CKR_OK);
    }
    return meddler.find_init(session, list, count);
}

static void meddle(X509 *adds, CK_OBJECT_HANDLE destroys)
{
    meddler.find_init = fake.fns.C_FindObjectsInit;
    meddler.searches = 0;
    meddler.adds = adds;
    meddler.destroys = destroys;
    fake.fns.C_FindObjectsInit = find_and_meddle;
}

static void test_certificate_that_appears_meanwhile_is_left(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    AUTO(pki_cert)
    X509 *others = pki_cert(&(struct pki_spec){.cn = "www", .serial = 3, .key = s.pkey});
    add_cert("1", "www", s.older);
    meddle(others, 0);
    assert_ok(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err);
    assert_int_equal(report.old_removed, 1);
    assert_int_equal(report.newer_left, 1);
    assert_int_equal(fake_count(CKO_CERTIFICATE), 2);
}

static void test_two_binds_of_one_certificate_do_not_remove_each_others(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    meddle(s.cert, 0);
    assert_ok(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err);
    assert_int_equal(report.newer_left, 1);
    assert_int_equal(fake.destroys, 0);
    assert_int_equal(fake_count(CKO_CERTIFICATE), 2);
}

static void test_nothing_is_removed_once_the_new_certificate_is_gone(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    add_cert("1", "www", s.older);
    meddle(NULL, fake.next_handle + 1);
    assert_fails(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err, E_TOKEN,
                 "the new certificate is not on token 'prod' (serial 12af) any more");
    assert_int_equal(fake.destroys, 1); /* the other process's */
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

/* SmartCard-HSM: the certificate takes the place of the attestation that the device signed. */
static void test_bind_is_refused_where_it_would_destroy_the_attestation(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    CK_OBJECT_HANDLE attestation = fake_object(CKO_CERTIFICATE, "1", "www");
    fake_bytes(CKA_VALUE, "card verifiable", 15);
    fake.create_overwrites = true;
    struct hsm_bind how = {.cert = s.cert, .attestation_missing = true};
    assert_fails(bind(&s, &how, &report, &err), &err, E_POLICY,
                 "the device's attestation of key 'www' on token 'prod' (serial 12af) was not "
                 "collected");
    assert_int_equal(fake.creates, 0);
    assert_true(fake_has(attestation));
    assert_ok(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err);
    assert_int_equal(fake_count(CKO_CERTIFICATE), 1);
    assert_ok(bind(&s, &how, &report, &err), &err); /* it is there: nothing to write any more */
    assert_true(report.already_there);
}

static CK_RV session_without_login(CK_SESSION_HANDLE session UNUSED, CK_SESSION_INFO *info)
{
    *info = (CK_SESSION_INFO){.state = CKS_RW_PUBLIC_SESSION};
    return CKR_OK;
}

static CK_RV session_with_login(CK_SESSION_HANDLE session UNUSED, CK_SESSION_INFO *info)
{
    *info = (CK_SESSION_INFO){.state = CKS_RW_USER_FUNCTIONS};
    return CKR_OK;
}

/* MyEID: CKR_GENERAL_ERROR at a certificate that is too large, and the user is no longer logged in.
 */
static void test_login_that_was_lost_over_a_failed_write_is_noticed(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    fake.create_rv = CKR_GENERAL_ERROR;
    fake.token.logged_in = true;
    fake.fns.C_GetSessionInfo = session_without_login;
    assert_fails(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err, E_TOKEN,
                 "and the token has ended the login over it: the PIN was right, and the next "
                 "command logs in again");
    assert_non_null(strstr(err.msg, "CKR_GENERAL_ERROR: some cards say so"));
    assert_false(fake.token.logged_in);
}

static void test_login_that_stays_is_not_spoken_of(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    fake.create_rv = CKR_GENERAL_ERROR;
    fake.token.logged_in = true;
    fake.fns.C_GetSessionInfo = session_with_login;
    assert_fails(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err, E_TOKEN,
                 "some cards say so when a certificate is too large");
    assert_null(strstr(err.msg, "ended the login"));
    assert_true(fake.token.logged_in);
}

static CK_RV session_of_the_so(CK_SESSION_HANDLE session UNUSED, CK_SESSION_INFO *info)
{
    *info = (CK_SESSION_INFO){.state = CKS_RW_SO_FUNCTIONS};
    return CKR_OK;
}

/* Where 'write_certificates_as = so' is set. */
static void test_login_of_the_security_officer_is_a_login(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    fake.create_rv = CKR_GENERAL_ERROR;
    fake.token.logged_in = true;
    fake.token.user = CKU_SO;
    fake.fns.C_GetSessionInfo = session_of_the_so;
    assert_fails(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err, E_TOKEN,
                 "some cards say so when a certificate is too large");
    assert_null(strstr(err.msg, "ended the login"));
    assert_true(fake.token.logged_in);
    fake.fns.C_GetSessionInfo = session_with_login; /* the user's, by another part of the program */
    assert_fails(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err, E_TOKEN,
                 "ended the login");
    assert_false(fake.token.logged_in);
}

static void test_write_that_only_the_security_officer_may_do(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    fake.create_rv = CKR_USER_TYPE_INVALID;
    assert_fails(bind(&s, &(struct hsm_bind){.cert = s.cert}, &report, &err), &err, E_TOKEN,
                 "only the security officer writes certificates");
    assert_int_equal(err.native, CKR_USER_TYPE_INVALID); /* by which the setting is named */
}

static void test_certificate_that_is_too_large_is_not_written(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    assert_fails(bind(&s, &(struct hsm_bind){.cert = s.cert, .max_size = 100}, &report, &err), &err,
                 E_TOKEN, "takes 100 ('max_certificate_size'); nothing was written");
    assert_int_equal(fake.creates, 0);
}

static void test_issuer_that_is_too_large_is_not_written(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(pki_chain) struct pki_chain chain;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;
    size_t limit = 0;

    begin(&s);
    pki_chain(&chain);
    (void)pki_der(s.cert, &limit);
    X509 *const issuers[] = {chain.middle};
    size_t larger = 0;
    (void)pki_der(chain.middle, &larger);
    assert_true(larger > limit);
    struct hsm_bind how = {.cert = s.cert, .chain = issuers, .chain_len = 1, .max_size = limit};
    assert_fails(bind(&s, &how, &report, &err), &err, E_TOKEN, "issuer 1 ('chain = none'");
    assert_int_equal(fake.creates, 0);
}

struct noted {
    size_t calls, old;
    bool refuse;
    unsigned creates_before;
};

static bool note(void *ctx, const struct hsm_cert *const *old, size_t count, struct err *err)
{
    struct noted *noted = ctx;

    noted->calls++;
    noted->old = count;
    noted->creates_before = fake.creates;
    assert_non_null(old[0]->x509);
    return !noted->refuse || err_set(err, E_JOURNAL, "no journal");
}

static void test_what_is_replaced_is_told_before_anything_is_written(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct noted noted = {0};
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    struct hsm_bind how = {.cert = s.cert, .note = note, .note_ctx = &noted};
    add_cert("1", "www", s.older);
    add_cert("1", "X.509 Certificate for PIV Attestation 9a", s.older);
    assert_ok(bind(&s, &how, &report, &err), &err);
    assert_int_equal(noted.calls, 1);
    assert_int_equal(noted.old, 1);
    assert_int_equal(noted.creates_before, 0);
    assert_ok(bind(&s, &how, &report, &err), &err); /* nothing is replaced now */
    assert_int_equal(noted.calls, 1);
}

static void test_bind_ends_if_it_cannot_be_written_down(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct noted noted = {.refuse = true};
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    add_cert("1", "www", s.older);
    struct hsm_bind how = {.cert = s.cert, .note = note, .note_ctx = &noted};
    assert_fails(bind(&s, &how, &report, &err), &err, E_JOURNAL,
                 "(nothing was changed): no journal");
    assert_int_equal(fake.creates + fake.destroys, 0);
}

static void test_issuers_go_again_if_the_certificate_is_refused(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(pki_chain) struct pki_chain chain;
    struct hsm_bind_report report;
    struct err err = ERR_INIT;

    begin(&s);
    pki_chain(&chain);
    X509 *const issuers[] = {chain.middle, chain.root};
    struct hsm_bind how = {.cert = s.cert, .chain = issuers, .chain_len = 2};
    fake.creates_fail_from = 3;
    fake.create_rv = CKR_DEVICE_MEMORY;
    assert_fails(bind(&s, &how, &report, &err), &err, E_TOKEN, "has no room for it");
    assert_int_equal(fake_count(CKO_CERTIFICATE), 0);
    assert_int_equal(report.chain_written, 0);
}

static void test_certificate_is_removed_and_seen_to_be_gone(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;
    bool removed = false;

    begin(&s);
    add_cert("1", "www", s.cert);
    add_cert("1", "www", s.older);
    assert_ok(hsm_cert_unbind(&fake.token, &s.key, s.older, &removed, &err), &err);
    assert_true(removed);
    assert_int_equal(fake_count(CKO_CERTIFICATE), 1);
    assert_ok(hsm_cert_unbind(&fake.token, &s.key, s.older, &removed, &err), &err);
    assert_false(removed);
    assert_int_equal(fake_count(CKO_CERTIFICATE), 1);
}

/* A certificate with an extension of its own, as vendors mark attestations. */
static X509 *with_extension(struct scene *s, const char *oid)
{
    X509 *cert = pki_cert(&(struct pki_spec){.cn = "att", .serial = 9, .key = s->pkey});
    ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    assert_non_null(value);
    assert_int_equal(ASN1_OCTET_STRING_set(value, (const unsigned char *)"\x04\x00", 2), 1);
    X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, object, 0, value);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(object);
    return cert;
}

static bool is_attestation(const char *label, X509 *x509)
{
    char text[128];

    (void)snprintf(text, sizeof(text), "%s", label);
    return hsm_cert_is_attestation(&(struct hsm_cert){.label = text, .x509 = x509});
}

static void test_attestations_are_known_by_what_vendors_put_in_them(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    AUTO(pki_cert) X509 *piv = with_extension(&s, "1.3.6.1.4.1.41482.3.7");
    AUTO(pki_cert) X509 *hsm2 = with_extension(&s, "1.3.6.1.4.1.41482.4.2");
    AUTO(pki_cert) X509 *other = with_extension(&s, "1.3.6.1.4.1.99999.3.7");
    AUTO(pki_cert)
    X509 *ek = pki_cert(&(struct pki_spec){.cn = "ek", .eku = "2.23.133.8.1", .key = s.pkey});
    AUTO(pki_cert)
    X509 *f9 = pki_cert(&(struct pki_spec){.cn = "Yubico PIV Attestation", .key = s.pkey});
    AUTO(pki_cert)
    X509 *tls = pki_cert(&(struct pki_spec){.cn = "tls", .eku = "serverAuth", .key = s.pkey});
    assert_true(is_attestation("x", piv));
    assert_true(is_attestation("x", hsm2));
    assert_true(is_attestation("x", ek));
    assert_true(is_attestation("x", f9));
    assert_true(is_attestation("X.509 Certificate for PIV Attestation 9a", NULL));
    assert_false(is_attestation("x", other));
    assert_false(is_attestation("x", tls));
    assert_false(is_attestation("www", NULL));
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
        cmocka_unit_test(test_certificate_that_appears_meanwhile_is_left),
        cmocka_unit_test(test_two_binds_of_one_certificate_do_not_remove_each_others),
        cmocka_unit_test(test_nothing_is_removed_once_the_new_certificate_is_gone),
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
        cmocka_unit_test(test_bind_is_refused_where_it_would_destroy_the_attestation),
        cmocka_unit_test(test_login_that_was_lost_over_a_failed_write_is_noticed),
        cmocka_unit_test(test_login_that_stays_is_not_spoken_of),
        cmocka_unit_test(test_login_of_the_security_officer_is_a_login),
        cmocka_unit_test(test_write_that_only_the_security_officer_may_do),
        cmocka_unit_test(test_certificate_that_is_too_large_is_not_written),
        cmocka_unit_test(test_issuer_that_is_too_large_is_not_written),
        cmocka_unit_test(test_what_is_replaced_is_told_before_anything_is_written),
        cmocka_unit_test(test_bind_ends_if_it_cannot_be_written_down),
        cmocka_unit_test(test_issuers_go_again_if_the_certificate_is_refused),
        cmocka_unit_test(test_certificate_is_removed_and_seen_to_be_gone),
        cmocka_unit_test(test_attestations_are_known_by_what_vendors_put_in_them),
    };

    return UNIT_RUN(tests);
}
