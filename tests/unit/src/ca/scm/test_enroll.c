/* The order as it is sent: golden texts of scm_build_enroll(). */
#include "ca/scm/scm.h"

#include "unit/pki.h"
#include "unit/unit.h"

struct order_text {
    const char *names;
    enum ca_send_names send;
    const char *comments, *requester, *fields, *csr;
    int64_t org;
};

static bool build(const struct order_text *t, struct buf *out, struct err *err)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;

    assert_ok(x509_names_add_list(&names, t->names, err), err);
    struct ca_request request = {.csr_pem = t->csr != NULL ? t->csr : "CSR\n",
                                 .names = &names,
                                 .product_id = 1013,
                                 .term_days = 365,
                                 .mark = "p11e-1",
                                 .comments = t->comments,
                                 .external_requester = t->requester,
                                 .custom_fields = t->fields,
                                 .send_names = t->send};
    return scm_build_enroll(&request, t->org != 0 ? t->org : 103, out, err);
}

static void builds(const struct order_text *t, const char *want)
{
    AUTO(buf) struct buf out = BUF_INIT(200000);
    struct err err = ERR_INIT;

    assert_ok(build(t, &out, &err), &err);
    assert_string_equal(buf_str(&out), want);
}

static void refuses(const struct order_text *t, enum err_code code, const char *words)
{
    AUTO(buf) struct buf out = BUF_INIT(200000);
    struct err err = ERR_INIT;

    assert_fails(build(t, &out, &err), &err, code, words);
    assert_int_equal(out.len, 0);
}

#define HEAD "{\"orgId\":103,\"certType\":1013,\"term\":365,\"csr\":\"CSR\\n\""
#define TAIL ",\"comments\":\"p11e-1\",\"externalRequester\":\"\"}"

static void test_least_order(void **state UNUSED)
{
    builds(&(struct order_text){.names = "a.b", .send = CA_NAMES_NEVER}, HEAD TAIL);
}

static void test_order_with_everything(void **state UNUSED)
{
    builds(&(struct order_text){.names = "a.b *.c.d 10.0.0.1",
                                .comments = "for \"us\"",
                                .requester = "a@b.c, d@e.f",
                                .fields = "cost=42;owner = me"},
           HEAD ",\"subjAltNames\":\"a.b,*.c.d,10.0.0.1\",\"comments\":\"p11e-1 for \\\"us\\\"\","
                "\"externalRequester\":\"a@b.c, d@e.f\",\"customFields\":["
                "{\"name\":\"cost\",\"value\":\"42\"},{\"name\":\"owner\",\"value\":\"me\"}]}");
}

static void test_single_name_is_sent_always(void **state UNUSED)
{
    builds(&(struct order_text){.names = "a.b", .send = CA_NAMES_ALWAYS},
           HEAD ",\"subjAltNames\":\"a.b\"" TAIL);
}

static void test_several_names_are_sent_automatically(void **state UNUSED)
{
    builds(&(struct order_text){.names = "a.b c.d"}, HEAD ",\"subjAltNames\":\"a.b,c.d\"" TAIL);
}

/* A request for a CN, as PEM. */
static const char *csr_for(const char *subject)
{
    AUTO(pki_key) EVP_PKEY *key = pki_ec("prime256v1");
    AUTO(x509_names) struct x509_names none = X509_NAMES_INIT;
    AUTO(buf) struct buf pem = BUF_INIT(8192);
    struct x509_csr request = {.subject = subject, .names = &none};
    struct err err = ERR_INIT;

    assert_ok(x509_csr_create(&request, key, &pem, &err), &err);
    return tmp_printf("%s", buf_str(&pem));
}

static bool sends_names(const char *names, const char *subject)
{
    AUTO(buf) struct buf body = BUF_INIT(65536);
    struct err err = ERR_INIT;
    struct order_text t = {.names = names, .csr = csr_for(subject)};

    assert_ok(build(&t, &body, &err), &err);
    return strstr(buf_str(&body), "subjAltNames") != NULL;
}

static void test_single_name_is_sent_unless_it_is_the_cn(void **state UNUSED)
{
    assert_false(sends_names("a.b", "CN=a.b"));
    assert_false(sends_names("a.b", "O=x,CN=A.B"));
    assert_true(sends_names("a.b", "CN=c.d"));
    assert_true(sends_names("a.b", "O=x"));
    assert_true(sends_names("10.1.2.3", NULL));
}

static void test_cn_of_a_request(void **state UNUSED)
{
    AUTO(buf) struct buf cn = BUF_INIT(100);
    AUTO(buf) struct buf none = BUF_INIT(100);

    assert_true(scm_csr_cn(csr_for("O=x,CN=b\xc3\xbc.example"), &cn));
    assert_string_equal(buf_str(&cn), "b\xc3\xbc.example");
    assert_false(scm_csr_cn(csr_for("O=x"), &none));
    assert_false(scm_csr_cn("CSR", &none));
    assert_false(scm_csr_cn("", &none));
}

static void test_names_are_never_sent(void **state UNUSED)
{
    builds(&(struct order_text){.names = "a.b c.d", .send = CA_NAMES_NEVER}, HEAD TAIL);
}

static void test_no_names_are_no_list(void **state UNUSED)
{
    builds(&(struct order_text){.names = "", .send = CA_NAMES_ALWAYS}, HEAD TAIL);
}

static void test_large_numbers_are_written_out(void **state UNUSED)
{
    builds(&(struct order_text){.names = "", .org = INT64_C(5000000000)},
           "{\"orgId\":5000000000,\"certType\":1013,\"term\":365,\"csr\":\"CSR\\n\"" TAIL);
}

static void test_custom_fields_without_values_and_with_spare_semicolons(void **state UNUSED)
{
    builds(&(struct order_text){.names = "", .fields = ";a=;;b=c=d;"},
           HEAD ",\"comments\":\"p11e-1\",\"externalRequester\":\"\",\"customFields\":["
                "{\"name\":\"a\",\"value\":\"\"},{\"name\":\"b\",\"value\":\"c=d\"}]}");
}

static void test_custom_field_without_an_equals_sign_is_refused(void **state UNUSED)
{
    refuses(&(struct order_text){.names = "a.b", .fields = "a=b;costs"}, E_CONFIG,
            "custom_fields: 'costs' is not of the form NAME=VALUE");
}

static void test_organization_must_be_configured(void **state UNUSED)
{
    refuses(&(struct order_text){.names = "a.b", .org = -1}, E_CONFIG,
            "the organization is not configured ('org_id')");
}

static void test_comments_have_a_limit(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(200000);
    struct order_text most = {.names = "a.b", .comments = tmp_printf("%01017d", 7)};
    struct err err = ERR_INIT;

    assert_ok(build(&most, &out, &err), &err);
    refuses(&(struct order_text){.names = "a.b", .comments = tmp_printf("%01018d", 7)}, E_CONFIG,
            "comments: longer than the 1024 characters");
}

static void test_requester_has_a_limit(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(200000);
    struct order_text most = {.names = "a.b", .requester = tmp_printf("%0512d", 7)};
    struct err err = ERR_INIT;

    assert_ok(build(&most, &out, &err), &err);
    refuses(&(struct order_text){.names = "a.b", .requester = tmp_printf("%0513d", 7)}, E_CONFIG,
            "external_requester: longer than 512");
}

static void test_request_has_a_limit(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(200000);
    struct order_text most = {.names = "a.b", .csr = tmp_printf("%032767d", 7)};
    struct err err = ERR_INIT;

    assert_ok(build(&most, &out, &err), &err);
    refuses(&(struct order_text){.names = "a.b", .csr = tmp_printf("%032768d", 7)}, E_USAGE,
            "the certificate request is longer");
}

static void test_body_can_be_read_back(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(200000);
    AUTO(json) json *doc = NULL;
    struct order_text t = {.names = "a.b c.d", .comments = "\xc3\xa4 \\ / \t"};
    const char *comments = NULL;
    struct err err = ERR_INIT;

    assert_ok(build(&t, &out, &err), &err);
    assert_ok(json_parse((const uint8_t *)buf_str(&out), out.len, &doc, &err), &err);
    assert_ok(json_get_string(doc, "comments", &comments, &err), &err);
    assert_string_equal(comments, "p11e-1 \xc3\xa4 \\ / \t");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_least_order),
        cmocka_unit_test(test_order_with_everything),
        cmocka_unit_test(test_single_name_is_sent_always),
        cmocka_unit_test(test_several_names_are_sent_automatically),
        cmocka_unit_test(test_single_name_is_sent_unless_it_is_the_cn),
        cmocka_unit_test(test_cn_of_a_request),
        cmocka_unit_test(test_names_are_never_sent),
        cmocka_unit_test(test_no_names_are_no_list),
        cmocka_unit_test(test_large_numbers_are_written_out),
        cmocka_unit_test(test_custom_fields_without_values_and_with_spare_semicolons),
        cmocka_unit_test(test_custom_field_without_an_equals_sign_is_refused),
        cmocka_unit_test(test_organization_must_be_configured),
        cmocka_unit_test(test_comments_have_a_limit),
        cmocka_unit_test(test_requester_has_a_limit),
        cmocka_unit_test(test_request_has_a_limit),
        cmocka_unit_test(test_body_can_be_read_back),
    };

    return UNIT_RUN(tests);
}
