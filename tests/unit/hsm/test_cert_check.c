#include "hsm/cert_check.h"

#include "hsm/survey.h"

#include "unit/hsm/fake.h"
#include "unit/pki.h"
#include "unit/unit.h"

#include <openssl/core_names.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

/* What a check said, one line per finding: "problem label fixed". */
static char said[4096];

static bool say(void *ctx UNUSED, const struct hsm_finding *finding)
{
    size_t used = strlen(said);

    (void)snprintf(said + used, sizeof(said) - used, "%s '%s'%s\n", hsm_finding_name(finding->kind),
                   finding->label, finding->fixed ? " fixed" : "");
    return true;
}

static const char *check_at(int64_t now_s, bool chains, bool fix)
{
    struct hsm_check check = {
        .now_s = now_s, .soon_s = 30 * PKI_DAY, .chains = chains, .fix = fix, .visit = say};
    struct hsm_check_report report;
    struct err err = ERR_INIT;

    said[0] = '\0';
    assert_ok(hsm_cert_check(&fake.token, &check, &report, &err), &err);
    return said;
}

static const char *check(bool fix)
{
    return check_at(PKI_NOW, false, fix);
}

static void add_key(const char *id, const char *label, EVP_PKEY *pkey)
{
    uint8_t point[65];
    size_t len = 0;

    assert_int_equal(
        EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &len),
        1);
    (void)fake_ec_key(id, label, point);
}

/* An object as we write it, or with nothing but the value. */
static CK_OBJECT_HANDLE add_cert(const char *id, const char *label, X509 *cert, bool names)
{
    size_t len = 0;
    const uint8_t *der = pki_der(cert, &len);
    unsigned char *part[3] = {NULL};

    CK_OBJECT_HANDLE handle = fake_object(CKO_CERTIFICATE, id, label);
    fake_bytes(CKA_VALUE, der, len);
    if (names) {
        int subject = i2d_X509_NAME(X509_get_subject_name(cert), &part[0]);
        int issuer = i2d_X509_NAME(X509_get_issuer_name(cert), &part[1]);
        int serial = i2d_ASN1_INTEGER(X509_get_serialNumber(cert), &part[2]);
        assert_true(subject > 0 && issuer > 0 && serial > 0);
        fake_bytes(CKA_SUBJECT, part[0], (size_t)subject);
        fake_bytes(CKA_ISSUER, part[1], (size_t)issuer);
        fake_bytes(CKA_SERIAL_NUMBER, part[2], (size_t)serial);
    }
    for (size_t i = 0; i < 3; i++) {
        OPENSSL_free(part[i]);
    }
    return handle;
}

static CK_RV set_attributes(CK_SESSION_HANDLE session UNUSED, CK_OBJECT_HANDLE handle,
                            CK_ATTRIBUTE *list UNUSED, CK_ULONG count UNUSED)
{
    assert_int_not_equal(handle, 0);
    return CKR_ATTRIBUTE_READ_ONLY;
}

static CK_C_SetAttributeValue set_in_place; /* the fake's own */

/* A key and its certificate. */
struct scene {
    EVP_PKEY *pkey;
    X509 *cert;
};

static void scene_done(struct scene *s)
{
    EVP_PKEY_free(s->pkey);
    X509_free(s->cert);
}

DEFINE_AUTO_DONE(scene, struct scene, scene_done)

static void begin(struct scene *s)
{
    fake_begin();
    set_in_place = fake.fns.C_SetAttributeValue;
    fake.fns.C_SetAttributeValue = set_attributes;
    s->pkey = pki_ec("prime256v1");
    s->cert = pki_cert(&(struct pki_spec){.cn = "www", .key = s->pkey});
    add_key("1", "www", s->pkey);
}

static void test_pair_that_fits(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    (void)add_cert("1", "www", s.cert, true);
    assert_string_equal(check(false), "");
}

static void test_object_without_names_is_written_anew(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    CK_OBJECT_HANDLE poor = add_cert("1", "www", s.cert, false);
    assert_string_equal(check(false), "names-differ 'www'\n");
    assert_true(fake_has(poor));
    assert_string_equal(check(true), "names-differ 'www' fixed\n");
    assert_false(fake_has(poor));
    assert_string_equal(check(false), "");
    assert_int_equal(fake_count(CKO_CERTIFICATE), 1);
}

static void test_copy_that_is_not_kept_leaves_the_original(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    CK_OBJECT_HANDLE wrong = add_cert("2", "www", s.cert, true);
    fake.create_forgets = true;
    assert_string_equal(check(true), "id-differs 'www'\n");
    assert_true(fake_has(wrong));
    assert_int_equal(fake_count(CKO_CERTIFICATE), 1);
}

static void test_names_that_are_not_kept_leave_the_original(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    CK_OBJECT_HANDLE poor = add_cert("1", "www", s.cert, false);
    fake.create_forgets = true;
    assert_string_equal(check(true), "names-differ 'www'\n");
    assert_true(fake_has(poor));
    assert_int_equal(fake_count(CKO_CERTIFICATE), 1);
}

static void test_copy_of_an_interrupted_run_is_not_written_again(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    CK_OBJECT_HANDLE wrong = add_cert("2", "www", s.cert, true);
    CK_OBJECT_HANDLE copy = add_cert("1", "www", s.cert, true);
    assert_non_null(strstr(check(true), "id-differs 'www' fixed\n"));
    assert_false(fake_has(wrong));
    assert_true(fake_has(copy));
    assert_int_equal(fake.creates, 0);
}

static void test_label_that_another_certificate_has_is_not_given_twice(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(pki_key) EVP_PKEY *other = pki_ec("prime256v1");
    AUTO(pki_cert) X509 *its = pki_cert(&(struct pki_spec){.cn = "o", .ca = true, .key = other});

    begin(&s);
    (void)add_cert("1", "mine", s.cert, true);
    (void)add_cert("9", "www", its, true);
    assert_string_equal(check(true), "label-differs 'mine'\n");
    assert_int_equal(fake.creates + fake.destroys, 0);
}

static void test_label_is_given_to_one_of_two_certificates(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    fake.fns.C_SetAttributeValue = set_in_place;
    AUTO(pki_cert)
    X509 *older = pki_cert(&(struct pki_spec){.cn = "www", .serial = 7, .key = s.pkey});
    (void)add_cert("1", "a", s.cert, true);
    (void)add_cert("1", "b", older, true);
    assert_string_equal(check(true), "label-differs 'a' fixed\nlabel-differs 'b'\n");
}

static const struct hsm_id key_id = {.set = true, .len = 1, .data = {'1'}};

/* Mends one object that was surveyed before `meanwhile` happened. */
static bool fix_after(CK_OBJECT_HANDLE handle, void (*meanwhile)(void), struct err *err)
{
    AUTO(hsm_survey) struct hsm_survey survey = {.count = 0};
    struct hsm_session session = fake_session();
    const struct hsm_item *item = NULL;

    assert_ok(hsm_survey(&session, &survey, err), err);
    for (size_t i = 0; i < survey.count; i++) {
        item = survey.list[i].handle == handle ? &survey.list[i] : item;
    }
    assert_non_null(item);
    if (meanwhile != NULL) {
        meanwhile();
    }
    return hsm_item_fix(&fake.token, item, &key_id, "www", err);
}

/* What another process, or a token with ideas of its own, does to it. */
static struct {
    CK_OBJECT_HANDLE handle;
    X509 *cert;
    CK_C_FindObjectsInit find_init;
} meddled;

static void give_id(const char *id)
{
    CK_ATTRIBUTE change = {CKA_ID, (void *)(uintptr_t)id, 1};

    assert_int_equal(set_in_place(1, meddled.handle, &change, 1), CKR_OK);
}

static void mend_in_place(void)
{
    give_id("1");
}

static void move_elsewhere(void)
{
    give_id("5");
}

static CK_RV find_and_mend(CK_SESSION_HANDLE session, CK_ATTRIBUTE *list, CK_ULONG count)
{
    CK_RV rv = meddled.find_init(session, list, count);

    mend_in_place();
    return rv;
}

static void mend_after_the_next_search(void)
{
    meddled.find_init = fake.fns.C_FindObjectsInit;
    fake.fns.C_FindObjectsInit = find_and_mend;
}

static void test_object_that_was_mended_meanwhile_stays(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s);
    meddled.handle = add_cert("2", "www", s.cert, true);
    assert_ok(fix_after(meddled.handle, mend_in_place, &err), &err);
    assert_true(fake_has(meddled.handle));
    assert_int_equal(fake.creates + fake.destroys, 0);
}

static void test_object_that_is_mended_while_its_copy_is_looked_for_stays(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s);
    (void)add_cert("1", "www", s.cert, true);
    meddled.handle = add_cert("2", "www", s.cert, true);
    assert_ok(fix_after(meddled.handle, mend_after_the_next_search, &err), &err);
    assert_true(fake_has(meddled.handle));
    assert_int_equal(fake.creates + fake.destroys, 0);
}

static void test_object_that_somebody_moved_meanwhile_is_left(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s);
    (void)add_cert("1", "www", s.cert, true);
    meddled.handle = add_cert("2", "www", s.cert, true);
    assert_fails(fix_after(meddled.handle, move_elsewhere, &err), &err, E_TOKEN,
                 "was changed by another program meanwhile");
    assert_true(fake_has(meddled.handle));
    assert_int_equal(fake.creates + fake.destroys, 0);
}

static void test_copy_is_not_written_where_another_certificate_stands(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s);
    AUTO(pki_cert)
    X509 *newer = pki_cert(&(struct pki_spec){.cn = "www", .serial = 7, .key = s.pkey});
    CK_OBJECT_HANDLE other = add_cert("1", "new", newer, true);
    CK_OBJECT_HANDLE wrong = add_cert("2", "old", s.cert, true);
    fake.create_overwrites = true;
    assert_fails(fix_after(wrong, NULL, &err), &err, E_TOKEN,
                 "certificate 'new' stands under the same id already");
    assert_non_null(strstr(err.msg, "nothing was written"));
    assert_true(fake_has(other));
    assert_true(fake_has(wrong));
    assert_int_equal(fake.creates + fake.destroys, 0);
}

static void test_token_with_one_place_per_key_mends_names_there(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s);
    CK_OBJECT_HANDLE poor = add_cert("1", "www", s.cert, false);
    fake.create_overwrites = true;
    assert_ok(fix_after(poor, NULL, &err), &err);
    assert_true(fake_has(poor));
    assert_int_equal(fake.destroys, 0);
}

static CK_RV create_without_names(CK_SESSION_HANDLE session UNUSED, CK_ATTRIBUTE *list UNUSED,
                                  CK_ULONG count UNUSED, CK_OBJECT_HANDLE *out)
{
    *out = add_cert("1", "www", meddled.cert, false);
    return CKR_OK;
}

/* One place per key, and what comes into it gets a handle of its own. */
static CK_RV create_in_its_place(CK_SESSION_HANDLE session, CK_ATTRIBUTE *list, CK_ULONG count,
                                 CK_OBJECT_HANDLE *out)
{
    assert_int_equal(fake.fns.C_DestroyObject(session, meddled.handle), CKR_OK);
    fake.destroys = 0;
    return create_without_names(session, list, count, out);
}

static void test_copy_that_is_not_as_written_goes_again(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s);
    meddled.cert = s.cert;
    meddled.handle = add_cert("1", "www", s.cert, false);
    fake.fns.C_CreateObject = create_without_names;
    assert_fails(fix_after(meddled.handle, NULL, &err), &err, E_TOKEN,
                 "does not have it as written");
    assert_true(fake_has(meddled.handle));
    assert_int_equal(fake_count(CKO_CERTIFICATE), 1);
}

static void test_copy_stays_if_the_original_is_not_seen_any_more(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s);
    meddled.cert = s.cert;
    meddled.handle = add_cert("1", "www", s.cert, false);
    fake.fns.C_CreateObject = create_in_its_place;
    assert_fails(fix_after(meddled.handle, NULL, &err), &err, E_TOKEN,
                 "the original is not seen any more, so the copy was left");
    assert_int_equal(fake_count(CKO_CERTIFICATE), 1);
    assert_int_equal(fake.destroys, 0);
}

static void test_attestation_is_not_looked_at(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    (void)add_cert("1", "www", s.cert, true);
    (void)add_cert("7", "X.509 Certificate for PIV Attestation 9a", s.cert, false);
    assert_string_equal(check(true), "");
    assert_int_equal(fake.creates + fake.destroys, 0);
}

static void test_value_that_is_no_certificate(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    (void)add_cert("1", "www", s.cert, true);
    (void)fake_object(CKO_CERTIFICATE, "1", "junk");
    fake_bytes(CKA_VALUE, "junk", 4);
    assert_string_equal(check(true), "not-a-certificate 'junk'\n");
}

static void test_dates(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    (void)add_cert("1", "www", s.cert, true);
    assert_string_equal(check_at(PKI_NOW + 340LL * PKI_DAY, false, false), "expires-soon 'www'\n");
    assert_string_equal(check_at(PKI_NOW + 400LL * PKI_DAY, false, false), "expired 'www'\n");
    assert_string_equal(check_at(PKI_NOW - 2LL * PKI_DAY, false, false), "not-yet-valid 'www'\n");
}

static void test_chain_up_to_an_issuer_below_the_root_is_complete(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(pki_chain) struct pki_chain chain;

    begin(&s);
    pki_chain(&chain);
    add_key("2", "leaf", chain.leaf_key);
    (void)add_cert("1", "www", s.cert, true); /* signed by itself */
    (void)add_cert("2", "leaf", chain.leaf, true);
    assert_string_equal(check_at(PKI_NOW, true, false), "incomplete-chain 'leaf'\n");
    (void)add_cert("3", "middle", chain.middle, true);
    assert_string_equal(check_at(PKI_NOW, true, false), "");
}

/* Halves of keys that their private objects do not show */

static const uint8_t p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};

static void add_shy_key(const char *id, const char *label, bool wants_pin)
{
    (void)fake_object(CKO_PRIVATE_KEY, id, label);
    fake_number(CKA_KEY_TYPE, CKK_EC);
    fake_bytes(CKA_EC_PARAMS, p256, sizeof(p256));
    fake_flag(CKA_ALWAYS_AUTHENTICATE, wants_pin);
    fake.token.logged_in = true;
}

static void add_public(const char *id, const char *label, EVP_PKEY *pkey)
{
    uint8_t point[65];
    size_t len = 0;

    assert_int_equal(
        EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &len),
        1);
    (void)fake_object(CKO_PUBLIC_KEY, id, label);
    fake_number(CKA_KEY_TYPE, CKK_EC);
    fake_bytes(CKA_EC_PARAMS, p256, sizeof(p256));
    fake_bytes(CKA_EC_POINT, point, sizeof(point));
}

static void test_half_that_nothing_contradicts_costs_no_signature(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s);
    fake_begin();
    add_shy_key("1", "www", false);
    add_public("1", "www", s.pkey);
    (void)add_cert("1", "www", s.cert, true);
    assert_string_equal(check(false), "");
    assert_int_equal(fake.signs, 0);
}

/* The fake's signatures are nobody's: neither half is the key's. */
static void test_halves_that_contradict_each_other_are_tried(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(pki_key) EVP_PKEY *other = pki_ec("prime256v1");

    begin(&s);
    fake_begin();
    add_shy_key("1", "www", false);
    add_public("1", "stale", other);
    (void)add_cert("1", "www", s.cert, true);
    assert_string_equal(check(false), "key-without-certificate 'www'\n"
                                      "foreign-public-key 'stale'\n"
                                      "foreign-certificate 'www'\n");
    assert_int_equal(fake.signs, 1);
}

static void test_key_that_wants_its_pin_each_time_is_not_tried(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    AUTO(pki_key) EVP_PKEY *other = pki_ec("prime256v1");

    begin(&s);
    fake_begin();
    add_shy_key("1", "www", true);
    add_public("1", "www", other);
    (void)add_cert("1", "www", s.cert, true);
    assert_string_equal(check(false), "key-without-certificate 'www'\nforeign-certificate 'www'\n");
    assert_int_equal(fake.signs, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pair_that_fits),
        cmocka_unit_test(test_object_without_names_is_written_anew),
        cmocka_unit_test(test_copy_that_is_not_kept_leaves_the_original),
        cmocka_unit_test(test_names_that_are_not_kept_leave_the_original),
        cmocka_unit_test(test_copy_of_an_interrupted_run_is_not_written_again),
        cmocka_unit_test(test_label_that_another_certificate_has_is_not_given_twice),
        cmocka_unit_test(test_label_is_given_to_one_of_two_certificates),
        cmocka_unit_test(test_object_that_was_mended_meanwhile_stays),
        cmocka_unit_test(test_object_that_is_mended_while_its_copy_is_looked_for_stays),
        cmocka_unit_test(test_object_that_somebody_moved_meanwhile_is_left),
        cmocka_unit_test(test_copy_is_not_written_where_another_certificate_stands),
        cmocka_unit_test(test_token_with_one_place_per_key_mends_names_there),
        cmocka_unit_test(test_copy_that_is_not_as_written_goes_again),
        cmocka_unit_test(test_copy_stays_if_the_original_is_not_seen_any_more),
        cmocka_unit_test(test_attestation_is_not_looked_at),
        cmocka_unit_test(test_value_that_is_no_certificate),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_chain_up_to_an_issuer_below_the_root_is_complete),
        cmocka_unit_test(test_half_that_nothing_contradicts_costs_no_signature),
        cmocka_unit_test(test_halves_that_contradict_each_other_are_tried),
        cmocka_unit_test(test_key_that_wants_its_pin_each_time_is_not_tried),
    };

    return UNIT_RUN(tests);
}
