#include "hsm/evidence.h"

#include "unit/pki.h"
#include "unit/unit.h"

#include <openssl/asn1.h>
#include <openssl/objects.h>

/* Yubico's extensions, by their last arc. */
enum { FIRMWARE = 3, SERIAL = 7, POLICY = 8, FORM = 9 };

static const char *fact(const struct hsm_attested *attested, const char *name)
{
    for (size_t i = 0; i < attested->fact_count; i++) {
        if (strcmp(attested->facts[i].name, name) == 0) {
            return attested->facts[i].value;
        }
    }
    return "";
}

static const char *read_one(unsigned arc, const char *bytes, size_t len, const char *name)
{
    struct hsm_attested attested = {.count = 0};
    struct err err = ERR_INIT;

    assert_ok(hsm_yubikey_extension(arc, tmp_bytes(bytes, len), len, &attested, &err), &err);
    return tmp_printf("%s", fact(&attested, name));
}

static void refuse_one(unsigned arc, const char *bytes, size_t len, const char *words)
{
    struct hsm_attested attested = {.count = 0};
    struct err err = ERR_INIT;

    assert_fails(hsm_yubikey_extension(arc, tmp_bytes(bytes, len), len, &attested, &err), &err,
                 E_EVIDENCE, words);
    assert_int_equal(attested.fact_count, 0);
}

static void test_yubikey_extensions(void **state UNUSED)
{
    assert_string_equal(read_one(FIRMWARE, "\x05\x07\x04", 3, "firmware"), "5.7.4");
    assert_string_equal(read_one(SERIAL, "\x02\x04\x00\xbc\x61\x4e", 6, "serial"), "12345678");
    assert_string_equal(read_one(POLICY, "\x03\x02", 2, "pin_policy"), "always");
    assert_string_equal(read_one(POLICY, "\x03\x03", 2, "touch_policy"), "cached for 15 s");
    assert_string_equal(read_one(FORM, "\x03", 1, "form_factor"), "USB-C keychain");
    assert_string_equal(read_one(FORM, "\x81", 1, "form_factor"), "USB-A keychain, FIPS series");
    assert_string_equal(read_one(10, "", 0, "certified"), "FIPS 140");
    assert_string_equal(read_one(99, "whatever", 8, "firmware"), "");
}

static void test_yubikey_words_that_are_new(void **state UNUSED)
{
    assert_string_equal(read_one(POLICY, "\xff\x00", 2, "pin_policy"), "unknown");
    assert_string_equal(read_one(POLICY, "\xff\x00", 2, "touch_policy"), "unknown");
    assert_string_equal(read_one(FORM, "\x3f", 1, "form_factor"), "unknown");
}

static void test_yubikey_extensions_that_are_malformed(void **state UNUSED)
{
    refuse_one(FIRMWARE, "\x05\x07", 2, "firmware version of 2 bytes");
    refuse_one(FIRMWARE, "", 0, "firmware version of 0 bytes");
    refuse_one(SERIAL, "\x02\x04\x00\xbc", 4, "serial number of 4 bytes");
    refuse_one(SERIAL, "\x02\x01\x01\x00", 4, "serial number");
    refuse_one(SERIAL, "\x02\x01\xff", 3, "serial number"); /* negative */
    refuse_one(SERIAL, "\x04\x01\x01", 3, "serial number"); /* no INTEGER */
    refuse_one(SERIAL, "\x02\x0a\x7f\0\0\0\0\0\0\0\0\0", 12, "serial number");
    refuse_one(POLICY, "\x01", 1, "PIN and touch policy of 1 bytes");
    refuse_one(FORM, "", 0, "form factor of 0 bytes");
}

static void test_facts_have_an_end(void **state UNUSED)
{
    struct hsm_attested attested = {.count = 0};

    for (int i = 0; i < 2 * HSM_ATTESTED_FACTS; i++) {
        hsm_attested_fact(&attested, "firmware", "%0200d", i);
    }
    assert_int_equal(attested.fact_count, HSM_ATTESTED_FACTS);
    assert_int_equal(strlen(attested.facts[0].value), sizeof(attested.facts[0].value) - 1);
}

static void test_forms_are_recognised(void **state UNUSED)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *name;
    } cases[] = {
        {"\x67\x03\x01\x02\x03", 5, "smartcard-hsm"},
        {"\x7f\x21\x01\x02\x03", 5, "smartcard-hsm"},
        {" \n{\"a\":1}", 9, "nshield"},
        {"\x1f\x8b\x08", 3, "google-cloud-hsm"},
        {"<?xml?>", 7, "securosys-primus"},
        {"-----BEGIN CERTIFICATE-----\n", 28, "other"},
        {"", 0, "other"},
        {"\0\0", 2, "other"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const uint8_t *data = tmp_bytes(cases[i].bytes, cases[i].len);
        assert_string_equal(hsm_form_of(data, cases[i].len)->name, cases[i].name);
    }
}

static void test_forms_have_names_of_their_own(void **state UNUSED)
{
    size_t count = 0;

    for (; hsm_form_at(count) != NULL; count++) {
        assert_ptr_equal(hsm_form_named(hsm_form_at(count)->name), hsm_form_at(count));
    }
    assert_true(count >= 8);
    assert_null(hsm_form_named("nobody"));
}

static void parse_pem(const char *text, struct hsm_attested *out)
{
    struct err err = ERR_INIT;

    assert_ok(hsm_attested_certs((const uint8_t *)text, strlen(text), out, &err), &err);
}

static void test_certificates_in_pem_and_in_der(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain chain = {0};
    AUTO(hsm_attested) struct hsm_attested pem = {.count = 0};
    AUTO(hsm_attested) struct hsm_attested der = {.count = 0};
    struct err err = ERR_INIT;
    size_t len = 0;

    pki_chain(&chain);
    parse_pem(tmp_printf("text\n%s%s", pki_pem(chain.leaf), pki_pem(chain.middle)), &pem);
    assert_int_equal(pem.count, 2);
    const uint8_t *data = pki_der(chain.leaf, &len);
    assert_ok(hsm_attested_certs(data, len, &der, &err), &err);
    assert_int_equal(X509_cmp(der.certs[0], pem.certs[0]), 0);
    hsm_attested_done(&der);
    assert_fails(hsm_attested_certs(data, len - 1, &der, &err), &err, E_EVIDENCE,
                 "no certificate in the attestation");
}

static void test_too_many_certificates(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain chain = {0};
    AUTO(hsm_attested) struct hsm_attested found = {.count = 0};
    AUTO(buf) struct buf text = BUF_INIT(1 << 20);
    struct err err = ERR_INIT;

    pki_chain(&chain);
    for (int i = 0; i <= HSM_ATTESTED_CERTS; i++) {
        buf_add_str(&text, pki_pem(chain.leaf));
    }
    assert_fails(hsm_attested_certs((const uint8_t *)buf_str(&text), text.len, &found, &err), &err,
                 E_EVIDENCE, "more than 12 certificates");
}

static void test_key_among_the_certificates(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain chain = {0};
    AUTO(hsm_attested) struct hsm_attested found = {.count = 0};
    unsigned char *spki = NULL;

    pki_chain(&chain);
    parse_pem(tmp_printf("%s%s", pki_pem(chain.middle), pki_pem(chain.leaf)), &found);
    int len = i2d_PUBKEY(chain.root_key, &spki);
    assert_true(len > 0);
    assert_false(hsm_attested_is_of(&found, spki, (size_t)len));
    OPENSSL_free(spki);
    spki = NULL;
    len = i2d_PUBKEY(chain.leaf_key, &spki);
    assert_true(hsm_attested_is_of(&found, spki, (size_t)len));
    assert_ptr_equal(found.about, found.certs[1]);
    OPENSSL_free(spki);
}

/* A certificate of the chain's leaf key with a YubiKey's firmware extension, once or twice. */
static X509 *attestation(struct pki_chain *chain, int times)
{
    X509 *cert = pki_cert(&(struct pki_spec){.cn = "YubiKey PIV Attestation 9a",
                                             .key = chain->leaf_key,
                                             .issuer = chain->middle,
                                             .signer = chain->middle_key});
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.41482.3.3", 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();

    assert_non_null(oid);
    assert_int_equal(ASN1_OCTET_STRING_set(value, (const unsigned char *)"\x05\x02\x07", 3), 1);
    for (int i = 0; i < times; i++) {
        X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, value);
        assert_int_equal(X509_add_ext(cert, extension, -1), 1);
        X509_EXTENSION_free(extension);
    }
    assert_true(X509_sign(cert, chain->middle_key, EVP_sha256()) > 0);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(oid);
    return cert;
}

static void test_yubikey_attestation_and_its_payload(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain chain = {0};
    AUTO(hsm_attested) struct hsm_attested found = {.count = 0};
    AUTO(buf) struct buf payload = BUF_INIT(1 << 20);
    AUTO(pki_cert) X509 *about = NULL;
    struct err err = ERR_INIT;

    pki_chain(&chain);
    about = attestation(&chain, 1);
    /* in the wrong order, and with the root, which is not for Sectigo */
    const char *text =
        tmp_printf("%s%s%s", pki_pem(chain.root), pki_pem(chain.middle), pki_pem(about));
    const uint8_t *data = (const uint8_t *)text;
    const struct hsm_form *form = hsm_form_of(data, strlen(text));
    assert_string_equal(form->name, "yubikey-piv");
    assert_ok(hsm_attestation_parse(form, data, strlen(text), &found, &err), &err);
    assert_ptr_equal(found.about, found.certs[2]);
    assert_string_equal(fact(&found, "firmware"), "5.2.7");
    assert_string_equal(fact(&found, "slot"), "9a");
    assert_ok(form->payload(data, strlen(text), &found, &payload, &err), &err);
    AUTO(buf) struct buf expected = BUF_INIT(1 << 20);
    const char *two = tmp_printf("%s%s", pki_pem(about), pki_pem(chain.middle));
    assert_ok(hsm_add_base64((const uint8_t *)two, strlen(two), &expected, &err), &err);
    assert_string_equal(buf_str(&payload), buf_str(&expected));
}

static void test_yubikey_payload_wants_the_issuer(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain chain = {0};
    AUTO(hsm_attested) struct hsm_attested found = {.count = 0};
    AUTO(buf) struct buf payload = BUF_INIT(1 << 20);
    AUTO(pki_cert) X509 *about = NULL;
    struct err err = ERR_INIT;

    pki_chain(&chain);
    about = attestation(&chain, 1);
    const char *text = tmp_printf("%s%s", pki_pem(about), pki_pem(chain.root));
    const uint8_t *data = (const uint8_t *)text;
    assert_ok(hsm_yubikey_parse(data, strlen(text), &found, &err), &err);
    assert_fails(hsm_yubikey_payload(data, strlen(text), &found, &payload, &err), &err, E_EVIDENCE,
                 "slot f9");
}

static void test_yubikey_extension_that_is_there_twice(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain chain = {0};
    AUTO(hsm_attested) struct hsm_attested found = {.count = 0};
    AUTO(pki_cert) X509 *about = NULL;
    struct err err = ERR_INIT;

    pki_chain(&chain);
    about = attestation(&chain, 2);
    const char *text = pki_pem(about);
    assert_fails(hsm_yubikey_parse((const uint8_t *)text, strlen(text), &found, &err), &err,
                 E_EVIDENCE, "1.3.6.1.4.1.41482.3.3 twice");
}

static void test_attestations_of_several_keys(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain chain = {0};
    AUTO(hsm_attested) struct hsm_attested found = {.count = 0};
    AUTO(pki_cert) X509 *about = NULL;
    struct err err = ERR_INIT;

    pki_chain(&chain);
    about = attestation(&chain, 1);
    const char *text = tmp_printf("%s%s", pki_pem(about), pki_pem(about));
    assert_fails(hsm_yubikey_parse((const uint8_t *)text, strlen(text), &found, &err), &err,
                 E_EVIDENCE, "several keys");
}

static void origin_is(const char *bytes, size_t len, const char *words, bool proves)
{
    struct hsm_attested attested = {.count = 0};
    struct err err = ERR_INIT;
    const char *why = NULL;

    assert_ok(hsm_yubihsm_origin(tmp_bytes(bytes, len), len, &attested, &err), &err);
    assert_string_equal(fact(&attested, "origin"), words);
    assert_int_equal(hsm_attests(hsm_form_named("yubihsm2"), &attested, &why), proves);
    assert_int_equal(why == NULL, proves);
}

static void test_yubihsm_origin(void **state UNUSED)
{
    origin_is("\x03\x02\x00\x01", 4, "generated", true);
    origin_is("\x02\x01\x01", 3, "generated", true);
    origin_is("\x03\x02\x00\x02", 4, "imported", false);
    origin_is("\x02\x01\x02", 3, "imported", false);
    origin_is("\x03\x02\x00\x03", 4, "imported", false);
    origin_is("\x03\x02\x00\x11", 4, "imported under wrap", false);
    origin_is("\x03\x02\x00\x00", 4, "unknown", false);
    origin_is("\x03\x02\x00\x81", 4, "unknown", false);
}

static void test_yubihsm_origin_that_is_malformed(void **state UNUSED)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"", 0},
        {"\x03", 1},
        {"\x01", 1},
        {"\x03\x02\x00", 3},
        {"\x03\x02\x01\x01", 4}, /* unused bits */
        {"\x03\x03\x00\x01", 4},
        {"\x04\x02\x00\x01", 4},
        {"\x03\x02\x00\x01\x00", 5},
        {"\x03\x03\x00\x00\x01", 5},
        {"\x02\x01\x81", 3}, /* negative */
        {"\x02\x02\x00\x01", 4},
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct hsm_attested attested = {.count = 0};
        struct err err = ERR_INIT;
        assert_fails(
            hsm_yubihsm_origin(tmp_bytes(bad[i].bytes, bad[i].len), bad[i].len, &attested, &err),
            &err, E_EVIDENCE, "malformed");
        assert_int_equal(attested.fact_count, 0);
    }
}

static void test_unknown_form_attests_nothing(void **state UNUSED)
{
    struct hsm_attested attested = {.count = 0};
    const char *why = NULL;

    assert_false(hsm_attests(hsm_form_named("other"), &attested, &why));
    assert_contains(why, "not known");
    assert_true(hsm_attests(hsm_form_named("smartcard-hsm"), &attested, &why));
}

static void test_luna_wants_certificates(void **state UNUSED)
{
    AUTO(hsm_attested) struct hsm_attested found = {.count = 0};
    struct err err = ERR_INIT;

    assert_false(hsm_luna_recognise((const uint8_t *)"\x30\x03\x02\x01\x01", 5));
    assert_false(hsm_luna_recognise((const uint8_t *)"", 0));
    assert_fails(hsm_luna_parse((const uint8_t *)"\x30\x00", 2, &found, &err), &err, E_EVIDENCE,
                 "no PKCS#7 with certificates");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yubikey_extensions),
        cmocka_unit_test(test_yubikey_words_that_are_new),
        cmocka_unit_test(test_yubikey_extensions_that_are_malformed),
        cmocka_unit_test(test_facts_have_an_end),
        cmocka_unit_test(test_forms_are_recognised),
        cmocka_unit_test(test_forms_have_names_of_their_own),
        cmocka_unit_test(test_certificates_in_pem_and_in_der),
        cmocka_unit_test(test_too_many_certificates),
        cmocka_unit_test(test_key_among_the_certificates),
        cmocka_unit_test(test_yubikey_attestation_and_its_payload),
        cmocka_unit_test(test_yubikey_payload_wants_the_issuer),
        cmocka_unit_test(test_yubikey_extension_that_is_there_twice),
        cmocka_unit_test(test_attestations_of_several_keys),
        cmocka_unit_test(test_yubihsm_origin),
        cmocka_unit_test(test_yubihsm_origin_that_is_malformed),
        cmocka_unit_test(test_unknown_form_attests_nothing),
        cmocka_unit_test(test_luna_wants_certificates),
    };

    return UNIT_RUN(tests);
}
