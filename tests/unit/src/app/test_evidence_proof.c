#include "app/evidence.h"

#include "unit/pki.h"
#include "unit/unit.h"

static json *parse(const char *text)
{
    struct err err = ERR_INIT;
    json *doc = NULL;

    assert_ok(json_parse((const uint8_t *)text, strlen(text), &doc, &err), &err);
    return doc;
}

static json *statement(const char *serial)
{
    return parse(tmp_printf("{\"token\":{\"serial\":\"%s\"},\"key\":{\"public_key_sha256\":\"ab\"},"
                            "\"created\":\"2026-11-21T08:15:00Z\"}",
                            serial));
}

static const char *challenge(const char *serial)
{
    AUTO(json) json *of = statement(serial);
    AUTO(buf) struct buf out = BUF_INIT(EVIDENCE_CHALLENGE_MAX);
    struct err err = ERR_INIT;

    assert_ok(evidence_challenge(of, "cd", "ef", &out, &err), &err);
    return tmp_printf("%s", buf_str(&out));
}

/* Signatures over requests, certificates and handshakes begin otherwise, so the text is theirs for
 * nobody. */
static void test_challenge_says_what_it_is(void **state UNUSED)
{
    assert_golden(challenge("12af"),
                  "p11enroll proof of possession of a private key, version 1\n"
                  "This text is signed to show that the signer has the key, and for nothing else.\n"
                  "It is no certificate request, no certificate, no handshake and no consent.\n"
                  "Token serial: 12af\n"
                  "Public key SHA-256: ab\n"
                  "Statement SHA-256: cd\n"
                  "Time: 2026-11-21T08:15:00Z\n"
                  "Nonce: ef\n");
}

static void test_serial_number_cannot_add_a_line(void **state UNUSED)
{
    const char *text = challenge("1\\nNonce: 00 \\u00e4%");

    assert_contains(text, "Token serial: 1%0ANonce:%2000%20%C3%A4%25\n");
    assert_lacks(text, "\nNonce: 00");
}

static void test_challenge_wants_its_parts(void **state UNUSED)
{
    AUTO(json) json *empty = parse("{\"token\":{}}");
    AUTO(buf) struct buf out = BUF_INIT(EVIDENCE_CHALLENGE_MAX);
    struct err err = ERR_INIT;

    assert_fails(evidence_challenge(empty, "cd", "ef", &out, &err), &err, E_PROTOCOL, "'serial'");
    assert_fails(evidence_challenge(NULL, "cd", "ef", &out, &err), &err, E_PROTOCOL, "'serial'");
}

static void test_challenge_has_an_end(void **state UNUSED)
{
    AUTO(json) json *of = statement(tmp_printf("%02000d", 1));
    AUTO(buf) struct buf out = BUF_INIT(EVIDENCE_CHALLENGE_MAX);
    struct err err = ERR_INIT;

    assert_fails(evidence_challenge(of, "cd", "ef", &out, &err), &err, E_EVIDENCE, "too long");
}

static json *prove(EVP_PKEY *key)
{
    AUTO(json) json *of = statement("12af");
    struct err err = ERR_INIT;
    json *possession = NULL;

    assert_ok(evidence_prove(key, of, "cd", &possession, &err), &err);
    return possession;
}

static void test_proof_is_by_the_key_alone(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(pki_key) EVP_PKEY *other = pki_ec("prime256v1");
    AUTO(json) json *possession = prove(key);
    struct err err = ERR_INIT;

    assert_ok(evidence_check_proof(key, possession, &err), &err);
    assert_fails(evidence_check_proof(other, possession, &err), &err, E_EVIDENCE,
                 "not by the key over the challenge");
}

static void test_each_proof_has_a_nonce_of_its_own(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(json) json *first = prove(key);
    AUTO(json) json *second = prove(key);
    const char *a = NULL;
    const char *b = NULL;

    assert_true(json_find_string(first, "nonce", &a) && json_find_string(second, "nonce", &b));
    assert_int_equal(strlen(a), 2 * EVIDENCE_NONCE_BYTES);
    assert_string_not_equal(a, b);
}

static void test_algorithm_is_the_keys(void **state UNUSED)
{
    AUTO(pki_key) EVP_PKEY *rsa = pki_rsa();
    AUTO(pki_key) EVP_PKEY *ec = pki_ec("secp384r1");
    AUTO(json) json *by_rsa = prove(rsa);
    AUTO(json) json *by_ec = prove(ec);
    const char *name = NULL;
    struct err err = ERR_INIT;

    assert_true(json_find_string(by_rsa, "algorithm", &name));
    assert_string_equal(name, "rsa-pkcs1-sha256");
    assert_true(json_find_string(by_ec, "algorithm", &name));
    assert_string_equal(name, "ecdsa-sha384");
    assert_fails(evidence_check_proof(ec, by_rsa, &err), &err, E_EVIDENCE,
                 "does not sign with the algorithm 'rsa-pkcs1-sha256'");
}

static void decodes(const char *text, const char *expected)
{
    AUTO(json) json *of = parse(tmp_printf("{\"a\":\"%s\"}", text));
    AUTO(buf) struct buf out = BUF_INIT(8);
    struct err err = ERR_INIT;

    assert_ok(evidence_decode(of, "a", &out, &err), &err);
    assert_string_equal(buf_str(&out), expected);
}

static void test_base64_is_decoded(void **state UNUSED)
{
    decodes("QQ==", "A");
    decodes("QUI=", "AB");
    decodes("QUJD", "ABC");
    decodes("QUJDREVGR0g=", "ABCDEFGH");
}

static void test_what_is_no_base64_is_refused(void **state UNUSED)
{
    static const char *const bad[] = {
        "",     "QQ=",  "Q",       "====",     "QQ==QQ==",         "QU\\nJD",
        "QQ= ", "Q-_D", "Q=Q=",    "=QQ=",     "QUJDREVGR0hJ",     "QUJDREVGR0hJSktMTU5P",
        "QQQ",  " QQ=", "QUJD\\n", "QUJDQ===", "QUJDREVGR0hJSg==",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO(json) json *of = parse(tmp_printf("{\"a\":\"%s\"}", bad[i]));
        AUTO(buf) struct buf out = BUF_INIT(8);
        struct err err = ERR_INIT;
        assert_fails(evidence_decode(of, "a", &out, &err), &err, E_EVIDENCE, "'a'");
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_challenge_says_what_it_is),
        cmocka_unit_test(test_serial_number_cannot_add_a_line),
        cmocka_unit_test(test_challenge_wants_its_parts),
        cmocka_unit_test(test_challenge_has_an_end),
        cmocka_unit_test(test_proof_is_by_the_key_alone),
        cmocka_unit_test(test_each_proof_has_a_nonce_of_its_own),
        cmocka_unit_test(test_algorithm_is_the_keys),
        cmocka_unit_test(test_base64_is_decoded),
        cmocka_unit_test(test_what_is_no_base64_is_refused),
    };

    return UNIT_RUN(tests);
}
