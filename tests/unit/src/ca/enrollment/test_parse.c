/* The Enrollment API: what is sent, and what its answers say in whichever form. */
#include "ca/enrollment/enrollment.h"

#include "base/str.h"
#include "unit/pki.h"
#include "unit/unit.h"

static json *document(const char *text)
{
    json *doc = NULL;
    struct err err = ERR_INIT;

    assert_ok(json_parse((const uint8_t *)text, strlen(text), &doc, &err), &err);
    return doc;
}

/* Ids */

static void id_is(const char *text, const char *wanted)
{
    AUTO(json) json *doc = document(text);
    struct enrollment_id id;
    struct err err = ERR_INIT;

    assert_ok(enrollment_parse_id(doc, &id, &err), &err);
    assert_string_equal(id.text, wanted);
}

static void has_no_id(const char *text)
{
    AUTO(json) json *doc = document(text);
    struct enrollment_id id;
    struct err err = ERR_INIT;

    assert_fails(enrollment_parse_id(doc, &id, &err), &err, E_PROTOCOL, "names no certificate");
}

static void test_ids_in_each_form(void **state UNUSED)
{
    id_is("{\"id\":54}", "54");
    id_is("{\"certId\":54}", "54");
    id_is("{\"certificateId\":54}", "54");
    id_is("{\"sslId\":54}", "54");
    id_is("{\"id\":5000000001}", "5000000001");
    id_is("{\"id\":\"54\"}", "54");
    id_is("{\"id\":\"0054\"}", "0054"); /* a word: as it is */
    id_is("{\"certId\":\"ENR-7.a_b~c:d\"}", "ENR-7.a_b~c:d");
    id_is("{\"id\":null,\"certId\":54}", "54");
    id_is("{\"id\":0,\"certId\":54}", "54");
}

static void test_what_is_no_id(void **state UNUSED)
{
    has_no_id("{}");
    has_no_id("[]");
    has_no_id("{\"id\":0}");
    has_no_id("{\"id\":-1}");
    has_no_id("{\"id\":\"\"}");
    has_no_id("{\"id\":\"000\"}");
    has_no_id("{\"id\":\"..\"}");
    has_no_id("{\"id\":\"a/b\"}");
    has_no_id("{\"id\":\"a?b\"}");
    has_no_id("{\"id\":\"a b\"}");
    has_no_id("{\"id\":\"12345678901234567890123456789012345678901234567890123456789012\"}");
    has_no_id("{\"id\":[1]}");
}

static void test_state_of_an_id(void **state UNUSED)
{
    struct enrollment_id id = {.text = "ENR-7"};
    struct enrollment_id again;
    struct err err = ERR_INIT;
    char shown[64];
    AUTO(str) char *text = enrollment_make_state(&id, false);

    assert_string_equal(text, "{\"id\":\"ENR-7\"}");
    assert_ok(enrollment_read_state(text, &again, &err), &err);
    assert_string_equal(again.text, "ENR-7");
    ca_order_id(text, shown);
    assert_string_equal(shown, "ENR-7");
    assert_false(enrollment_state_replaces(text));
    AUTO(str) char *replaces = enrollment_make_state(&id, true);
    assert_string_equal(replaces, "{\"id\":\"ENR-7\",\"replaces\":true}");
    assert_true(enrollment_state_replaces(replaces));
    assert_false(enrollment_state_replaces("no JSON"));
    assert_fails(enrollment_read_state("{}", &again, &err), &err, E_JOURNAL, "no usable id");
    assert_fails(enrollment_read_state(NULL, &again, &err), &err, E_JOURNAL, "no usable id");
}

/* Status */

static void status_is(const char *text, enum ca_phase phase, const char *word)
{
    AUTO(json) json *doc = document(text);
    struct enrollment_status status;
    struct err err = ERR_INIT;

    assert_ok(enrollment_parse_status(doc, &status, &err), &err);
    assert_int_equal(status.phase, phase);
    assert_string_equal(status.word, word);
}

static void test_status_in_each_form(void **state UNUSED)
{
    status_is("{\"status\":\"Issued\"}", CA_ISSUED, "Issued");
    status_is("{\"state\":\"ISSUED\"}", CA_ISSUED, "ISSUED");
    status_is("{\"certificateStatus\":\"READY\"}", CA_ISSUED, "READY");
    status_is("{\"status\":\"Collectable\"}", CA_ISSUED, "Collectable");
    status_is("{\"status\":\"collected\"}", CA_ISSUED, "collected");
    status_is("{\"status\":\"Requested\"}", CA_WAITING, "Requested");
    status_is("{\"status\":\"Declined\"}", CA_FAILED, "Declined");
    status_is("{\"status\":\"Revoked\"}", CA_FAILED, "Revoked");
    status_is("{\"status\":\"Something new\"}", CA_PENDING, "Something new");
    status_is("{\"status\":\"bell\\u0007\"}", CA_PENDING, "bell\\x07");
}

static void test_status_in_no_form(void **state UNUSED)
{
    const char *texts[] = {"{}", "{\"status\":\"\"}", "{\"status\":7}", "[]"};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        AUTO(json) json *doc = document(texts[i]);
        struct enrollment_status status;
        struct err err = ERR_INIT;
        assert_fails(enrollment_parse_status(doc, &status, &err), &err, E_PROTOCOL, "no status");
    }
}

/* Fields */

static void test_fields(void **state UNUSED)
{
    unsigned fields = 99;
    struct err err = ERR_INIT;

    assert_ok(enrollment_parse_fields("none", &fields, &err), &err);
    assert_int_equal(fields, 0);
    assert_ok(enrollment_parse_fields("term,  names", &fields, &err), &err);
    assert_int_equal(fields, ENROLLMENT_TERM | ENROLLMENT_NAMES);
    assert_ok(
        enrollment_parse_fields("product, term, names, comments, requester, custom", &fields, &err),
        &err);
    assert_int_equal(fields, 63);
    assert_fails(enrollment_parse_fields("term, colour", &fields, &err), &err, E_CONFIG,
                 "'colour' is none of");
    assert_int_equal(fields, 63);
}

/* Bodies */

static const char *csr_pem(void)
{
    static char text[4096];
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    AUTO(buf) struct buf pem = BUF_INIT(sizeof(text) - 1);
    struct err err = ERR_INIT;

    assert_ok(x509_names_add(&names, "a.example", &err), &err);
    struct x509_csr csr = {.names = &names};
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    assert_ok(x509_csr_create(&csr, key, &pem, &err), &err);
    (void)snprintf(text, sizeof(text), "%s", buf_str(&pem));
    return text;
}

static void test_request_on_one_line(void **state UNUSED)
{
    const char *pem = csr_pem();
    AUTO(buf) struct buf line = BUF_INIT(4096);
    AUTO(buf) struct buf armoured = BUF_INIT(8192);
    AUTO(x509_req) X509_REQ *csr = NULL;
    struct err err = ERR_INIT;

    assert_ok(enrollment_csr(pem, &line, &err), &err);
    assert_null(strpbrk(buf_str(&line), "\r\n- "));
    buf_addf(&armoured, "-----BEGIN CERTIFICATE REQUEST-----\n");
    for (size_t i = 0; i < line.len; i += 64) {
        buf_addf(&armoured, "%.64s\n", buf_str(&line) + i);
    }
    buf_addf(&armoured, "-----END CERTIFICATE REQUEST-----\n");
    assert_string_equal(buf_str(&armoured), pem);
    assert_fails(enrollment_csr("no request", &line, &err), &err, E_USAGE,
                 "no PEM certificate request");
}

static void builds(const struct ca_request *request, unsigned fields, const char *wanted)
{
    AUTO(buf) struct buf out = BUF_INIT(65536);
    struct err err = ERR_INIT;

    assert_ok(enrollment_build(request, fields, &out, &err), &err);
    assert_string_equal(buf_str(&out), wanted);
}

static void test_orders(void **state UNUSED)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    struct err err = ERR_INIT;

    assert_ok(x509_names_add_list(&names, "a.example,b.example", &err), &err);
    struct ca_request least = {.csr_pem = "", .names = &names, .mark = "p11e-1"};
    struct ca_request whole = least;
    whole.product_id = 7;
    whole.term_days = 90;
    whole.comments = "for us";
    whole.external_requester = "a@b.c";
    whole.custom_fields = "A=1;B = 2";
    builds(&least, 0, "{\"csr\":\"\"}");
    builds(&least, 63, "{\"csr\":\"\",\"comments\":\"p11e-1\"}");
    builds(&whole, 0, "{\"csr\":\"\"}");
    builds(&whole, 63,
           "{\"csr\":\"\",\"productId\":7,\"term\":90,\"comments\":\"p11e-1 for "
           "us\",\"externalRequester\":\"a@b.c\","
           "\"customFields\":[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"B\",\"value\":\"2\"}]}");
    whole.how = CA_RENEW;
    builds(&whole, 63, "{}");
    whole.how = CA_REPLACE;
    builds(&whole, 63, "{\"csr\":\"\"}");
    whole.how = CA_ENROLL;
    builds(&whole, ENROLLMENT_TERM, "{\"csr\":\"\",\"term\":90}");
}

static bool names_are_sent(const char *list, enum ca_send_names send)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    AUTO(buf) struct buf out = BUF_INIT(65536);
    struct err err = ERR_INIT;

    assert_ok(x509_names_add_list(&names, list, &err), &err);
    struct ca_request request = {
        .csr_pem = csr_pem(), .names = &names, .mark = "m", .send_names = send};
    assert_ok(enrollment_build(&request, ENROLLMENT_NAMES, &out, &err), &err);
    return strstr(buf_str(&out), "\"subjAltNames\":\"") != NULL;
}

static void test_names_beside_the_request(void **state UNUSED)
{
    assert_false(names_are_sent("a.example", CA_NAMES_AUTO));
    assert_true(names_are_sent("a.example,b.example", CA_NAMES_AUTO));
    assert_true(names_are_sent("a.example", CA_NAMES_ALWAYS));
    assert_false(names_are_sent("a.example,b.example", CA_NAMES_NEVER));
}

static void test_orders_that_are_not_sent(void **state UNUSED)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    AUTO(buf) struct buf out = BUF_INIT(65536);
    struct err err = ERR_INIT;
    char requester[600];

    memset(requester, 'a', sizeof(requester) - 1);
    requester[sizeof(requester) - 1] = '\0';
    struct ca_request request = {
        .csr_pem = "", .names = &names, .mark = "m", .external_requester = requester};
    assert_fails(enrollment_build(&request, 63, &out, &err), &err, E_CONFIG,
                 "external_requester: longer");
    request.external_requester = NULL;
    request.custom_fields = "A";
    assert_fails(enrollment_build(&request, 63, &out, &err), &err, E_CONFIG,
                 "not of the form NAME=VALUE");
}

static void test_revocations(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(4096);
    struct err err = ERR_INIT;
    struct ca_revocation revocation = {.id = 1, .reason = 4, .text = "it is \"old\""};

    assert_ok(enrollment_build_revoke(&revocation, &out, &err), &err);
    assert_string_equal(buf_str(&out), "{\"message\":\"it is \\\"old\\\"\",\"reasonCode\":4}");
    revocation.text = "";
    assert_fails(enrollment_build_revoke(&revocation, &out, &err), &err, E_USAGE,
                 "1 to 512 characters");
}

/* Certificates */

static void test_the_certificate_among_its_issuers(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain chain;
    AUTO(buf) struct buf answer = BUF_INIT(65536);
    AUTO(x509_stack) STACK_OF(X509) *certs = NULL;
    AUTO(x509_stack) STACK_OF(X509) *issuers = NULL;
    X509 *leaf = NULL;
    uint8_t hash[X509_SPKI_HASH_LEN];
    struct err err = ERR_INIT;

    pki_chain(&chain);
    buf_addf(&answer, "%s%s", pki_pem(chain.root), pki_pem(chain.middle));
    assert_fails(enrollment_pick(&answer, NULL, &issuers, &leaf, &err), &err, E_CERT_REJECTED,
                 "none of the 2 certificates is other than a CA's");
    buf_addf(&answer, "%s", pki_pem(chain.leaf));
    assert_ok(enrollment_pick(&answer, NULL, &certs, &leaf, &err), &err);
    assert_int_equal(X509_cmp(leaf, chain.leaf), 0);
    x509_stack_free(certs);
    certs = NULL;
    assert_ok(x509_cert_spki_hash(chain.middle, hash, &err), &err);
    assert_ok(enrollment_pick(&answer, hash, &certs, &leaf, &err), &err);
    assert_int_equal(X509_cmp(leaf, chain.middle), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_in_each_form),
        cmocka_unit_test(test_what_is_no_id),
        cmocka_unit_test(test_state_of_an_id),
        cmocka_unit_test(test_status_in_each_form),
        cmocka_unit_test(test_status_in_no_form),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_request_on_one_line),
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_names_beside_the_request),
        cmocka_unit_test(test_orders_that_are_not_sent),
        cmocka_unit_test(test_revocations),
        cmocka_unit_test(test_the_certificate_among_its_issuers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
