/* What an answer that is no success says, and what it means (src/ca/scm/parse.c). */
#include "ca/scm/scm.h"

#include "base/str.h"
#include "unit/unit.h"

static void parse_bytes(const void *body, size_t len, struct scm_error *out)
{
    AUTO(http_response) struct http_response response;

    http_response_init(&response);
    buf_add(&response.body, body, len);
    scm_parse_error(&response, out);
}

static struct scm_error parsed(const char *body)
{
    struct scm_error error;

    parse_bytes(body, strlen(body), &error);
    return error;
}

/* Bodies */

static void test_code_and_description(void **state UNUSED)
{
    struct scm_error error = parsed("{\"code\":-16,\"description\":\"Unknown user\"}");

    assert_true(error.understood);
    assert_true(error.has_code);
    assert_int_equal(error.code, -16);
    assert_string_equal(error.text, "Unknown user");
}

static void test_code_of_zero_is_a_code(void **state UNUSED)
{
    struct scm_error error = parsed("{\"code\":0,\"description\":\"Being processed by Sectigo\"}");

    assert_true(error.has_code);
    assert_int_equal(error.code, 0);
}

static void test_code_as_a_string(void **state UNUSED)
{
    assert_int_equal(parsed("{\"code\":\"-183\",\"description\":\"x\"}").code, -183);
}

static void test_description_alone(void **state UNUSED)
{
    struct scm_error error = parsed("{\"description\":\"Something\"}");

    assert_true(error.understood);
    assert_false(error.has_code);
    assert_string_equal(error.text, "Something");
}

static void test_code_alone(void **state UNUSED)
{
    struct scm_error error = parsed("{\"code\":-1}");

    assert_true(error.understood);
    assert_string_equal(error.text, "no description");
}

static void test_byte_order_mark_and_white_space(void **state UNUSED)
{
    assert_int_equal(parsed("\xef\xbb\xbf{\"code\":-16,\"description\":\"x\"}").code, -16);
    assert_int_equal(parsed("\r\n {\"code\":-16,\"description\":\"x\"}\n").code, -16);
}

static void test_empty_body(void **state UNUSED)
{
    struct scm_error error = parsed("");

    assert_false(error.understood);
    assert_string_equal(error.text, "no explanation (empty answer)");
}

static void test_web_page(void **state UNUSED)
{
    static const char *const pages[] = {"<html>", "  \r\n<!DOCTYPE html>", "\xef\xbb\xbf<?xml?>"};

    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        struct scm_error error = parsed(pages[i]);
        assert_false(error.understood);
        assert_contains(error.text, "a web page instead of the API");
    }
}

static void test_other_text_is_quoted(void **state UNUSED)
{
    struct scm_error error = parsed("upstream timed out\x1b[2J");

    assert_false(error.understood);
    assert_string_equal(error.text, "upstream timed out\\x1b[2J");
}

static void test_json_that_is_no_object_is_quoted(void **state UNUSED)
{
    assert_string_equal(parsed("[1,2]").text, "[1,2]");
    assert_false(parsed("[1,2]").understood);
    assert_string_equal(parsed("\"text\"").text, "\"text\"");
}

static void test_object_of_another_api_is_not_understood(void **state UNUSED)
{
    assert_false(parsed("{\"error\":\"invalid_token\"}").understood);
    assert_false(parsed("{}").understood);
}

static void test_long_description_is_cut(void **state UNUSED)
{
    struct scm_error error = parsed(tmp_printf("{\"code\":-1,\"description\":\"%0900d\"}", 7));

    assert_true(strlen(error.text) < 210);
    assert_true(str_ends_with(error.text, "..."));
}

static void test_description_full_of_control_characters_fits(void **state UNUSED)
{
    AUTO(buf) struct buf body = BUF_INIT(4000);

    buf_add_str(&body, "{\"code\":-1,\"description\":\"");
    for (int i = 0; i < 300; i++) {
        buf_add_str(&body, "\\u0001");
    }
    buf_add_str(&body, "\"}");
    struct scm_error error = parsed(buf_str(&body));
    assert_true(strlen(error.text) < sizeof(error.text));
    assert_memory_equal(error.text, "\\x01\\x01", 8);
}

static void test_body_with_nul_bytes_does_no_harm(void **state UNUSED)
{
    struct scm_error error;

    parse_bytes("\0\0\0", 3, &error);
    assert_false(error.understood);
    parse_bytes("{\"code\":-16}\0", 13, &error);
    assert_false(error.has_code && !error.understood);
}

/* The OpenAPI description knows two more fields, and scm.h promises "description and details". */
static void test_details_are_shown_as_well(void **state UNUSED)
{
    struct scm_error error =
        parsed("{\"code\":-62,\"description\":\"Mandatory field missing\",\"details\":\"costs\"}");

    assert_contains(error.text, "Mandatory field missing");
    assert_contains(error.text, "costs");
}

/* Meaning: operation x status x code */

static const char *const class_names[] = {
    [SCM_OK] = "ok",
    [SCM_NOT_READY] = "not-ready",
    [SCM_TRANSIENT] = "transient",
    [SCM_UNCERTAIN] = "unsure",
    [SCM_BAD_LOGIN] = "login",
    [SCM_NOT_ALLOWED] = "forbidden",
    [SCM_PERMANENT] = "final",
    [SCM_NONSENSE] = "nonsense",
};

static const char *class_of(enum scm_endpoint_id operation, int status, const char *body)
{
    struct scm_error error = parsed(body);

    return class_names[scm_classify(operation, status, &error)];
}

static const char *code_body(int code)
{
    return tmp_printf("{\"code\":%d,\"description\":\"x\"}", code);
}

static void test_every_2xx_is_a_success(void **state UNUSED)
{
    static const int statuses[] = {200, 201, 202, 204, 299};

    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        assert_string_equal(class_of(SCM_ENROLL, statuses[i], ""), "ok");
    }
}

static void test_redirects_are_nonsense(void **state UNUSED)
{
    assert_string_equal(class_of(SCM_TYPES, 302, "<html>"), "nonsense");
    assert_string_equal(class_of(SCM_ENROLL, 307, code_body(-16)), "nonsense");
}

static void test_401_is_a_bad_login_whatever_it_says(void **state UNUSED)
{
    assert_string_equal(class_of(SCM_TYPES, 401, code_body(-16)), "login");
    assert_string_equal(class_of(SCM_COLLECT_QUERY, 401, ""), "login");
    assert_string_equal(class_of(SCM_ENROLL, 401, "<html>"), "login");
}

static void test_statuses_by_themselves(void **state UNUSED)
{
    static const struct {
        int status;
        const char *class;
    } cases[] = {{403, "forbidden"}, {404, "nonsense"}, {400, "nonsense"}, {408, "unsure"},
                 {429, "transient"}, {500, "unsure"},   {502, "unsure"},   {503, "unsure"},
                 {504, "unsure"},    {409, "nonsense"}, {418, "nonsense"}, {199, "nonsense"}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_string_equal(class_of(SCM_ENROLL, cases[i].status, "<html>"), cases[i].class);
    }
}

static void test_not_ready_replies_of_collect(void **state UNUSED)
{
    static const int codes[] = {0, -103, -109, -183, -1113, -1400};

    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        assert_string_equal(class_of(SCM_COLLECT_QUERY, 400, code_body(codes[i])), "not-ready");
        assert_string_equal(class_of(SCM_COLLECT_PATH, 400, code_body(codes[i])), "not-ready");
        assert_string_equal(class_of(SCM_COLLECT_QUERY, 404, code_body(codes[i])), "not-ready");
        assert_string_equal(class_of(ENROLLMENT_COLLECT, 404, code_body(codes[i])), "not-ready");
        assert_string_equal(class_of(ENROLLMENT_STATUS, 404, code_body(codes[i])), "not-ready");
    }
}

static void test_not_ready_codes_mean_nothing_elsewhere(void **state UNUSED)
{
    assert_string_equal(class_of(SCM_ENROLL, 400, code_body(-183)), "final");
    assert_string_equal(class_of(SCM_DETAILS, 400, code_body(0)), "final");
    assert_string_equal(class_of(SCM_COLLECT_QUERY, 500, code_body(-183)), "unsure");
}

static void test_other_codes_of_collect_are_final(void **state UNUSED)
{
    static const int codes[] = {-110, -126, -1450, -166, -5101, -111};

    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        assert_string_equal(class_of(SCM_COLLECT_QUERY, 400, code_body(codes[i])), "final");
    }
    assert_string_equal(class_of(SCM_COLLECT_QUERY, 400, "{\"description\":\"x\"}"), "final");
}

/* The reference's sections 2.3 and 3.8, with status 400. */
static void test_published_codes(void **state UNUSED)
{
    static const struct {
        int code;
        const char *class;
    } cases[] = {
        {-16, "login"},      {-970, "login"},     {-3, "forbidden"},   {-25, "forbidden"},
        {-37, "forbidden"},  {-2, "unsure"},      {-65, "unsure"},     {-129, "unsure"},
        {-140, "transient"}, {-195, "transient"}, {-196, "transient"}, {-7, "final"},
        {-9, "final"},       {-10, "final"},      {-11, "final"},      {-13, "final"},
        {-36, "final"},      {-39, "final"},      {-62, "final"},      {-78, "final"},
        {-102, "final"},     {-107, "final"},     {-111, "final"},     {-138, "final"},
        {-141, "final"},     {-159, "final"},     {-170, "final"},     {-188, "final"},
        {-410, "login"},     {-429, "final"},     {-639, "final"},     {-727, "final"},
        {-843, "final"},     {-951, "final"},     {-993, "final"},     {-1001, "final"},
        {-1002, "final"},    {-1010, "final"},    {-1021, "final"},    {-1137, "final"},
        {-1601, "final"},    {-5101, "final"},    {12345, "final"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_string_equal(class_of(SCM_ENROLL, 400, code_body(cases[i].code)), cases[i].class);
        assert_string_equal(class_of(SCM_DETAILS, 400, code_body(cases[i].code)), cases[i].class);
    }
}

static void test_status_goes_before_the_code(void **state UNUSED)
{
    assert_string_equal(class_of(SCM_ENROLL, 500, code_body(-16)), "unsure");
    assert_string_equal(class_of(SCM_ENROLL, 429, code_body(-2)), "transient");
    assert_string_equal(class_of(SCM_ENROLL, 403, code_body(-140)), "forbidden");
}

/* "Unknown error" after an order does not say that nothing was ordered. */
static void test_unknown_error_leaves_an_order_unsure(void **state UNUSED)
{
    assert_string_equal(class_of(SCM_ENROLL, 400, code_body(-1)), "unsure");
    assert_string_equal(class_of(SCM_ENROLL, 400, code_body(-14)), "unsure");
    assert_string_equal(class_of(ENROLLMENT_ORDER, 400, code_body(-1)), "unsure");
    assert_string_equal(class_of(SCM_RENEW, 400, code_body(-1)), "unsure");
    assert_string_equal(class_of(SCM_REPLACE, 400, code_body(-14)), "unsure");
    assert_string_equal(class_of(SCM_DEVICE_RENEW, 400, code_body(-1)), "unsure");
    assert_string_equal(class_of(SCM_SMIME_ENROLL, 400, code_body(-14)), "unsure");
    assert_string_equal(class_of(SCM_APPROVE, 400, code_body(-1)), "unsure");
    assert_string_equal(class_of(SCM_DETAILS, 400, code_body(-1)), "final");
    assert_string_equal(class_of(SCM_TYPES, 400, code_body(-14)), "final");
}

static void test_code_429_is_not_status_429(void **state UNUSED)
{
    assert_string_equal(class_of(SCM_ENROLL, 400, code_body(-429)), "final");
}

/* What proves that nothing was done (docs/design/004) */

static bool proves(enum scm_endpoint_id operation, int status, const char *body,
                   const char *challenge)
{
    AUTO(http_response) struct http_response response;
    struct scm_error error;

    http_response_init(&response);
    response.status = status;
    (void)snprintf(response.authenticate, sizeof(response.authenticate), "%s", challenge);
    buf_add_str(&response.body, body);
    scm_parse_error(&response, &error);
    return scm_is_refusal(&response, scm_classify(operation, status, &error), &error);
}

static void test_error_objects_of_the_api_prove_a_refusal(void **state UNUSED)
{
    static const int statuses[] = {400, 401, 403, 404, 409, 422, 429};

    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        assert_true(proves(SCM_ENROLL, statuses[i], code_body(-1137), ""));
    }
    assert_true(
        proves(SCM_ENROLL, 400, "{\"description\":\"x\",\"details\":\"y\",\"items\":[]}", ""));
    assert_true(proves(SCM_RENEW, 400, "{\"code\":-180,\"description\":\"x\",\"new\":1}", ""));
}

static void test_other_answers_prove_nothing(void **state UNUSED)
{
    static const char *const bodies[] = {
        "",
        "<html>",
        "refused",
        "[]",
        "{}",
        "{\"message\":\"Forbidden\"}",
        "{\"code\":403,\"description\":\"gateway\"}",
        "{\"code\":\"900902\",\"message\":\"x\",\"description\":\"gateway\"}",
        "{\"description\":\"gateway\",\"status\":403}",
        "{\"code\":-1137}",
        "{\"code\":0,\"description\":\"Being processed by Sectigo\"}",
    };

    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        assert_false(proves(SCM_ENROLL, 400, bodies[i], ""));
        assert_false(proves(SCM_ENROLL, 403, bodies[i], ""));
        assert_false(proves(SCM_REPLACE, 401, bodies[i], ""));
        assert_false(proves(ENROLLMENT_RENEW, 404, bodies[i], ""));
        assert_false(proves(SCM_ENROLL, 407, bodies[i], ""));
        assert_false(proves(SCM_ENROLL, 429, bodies[i], ""));
    }
}

static void test_other_statuses_prove_nothing_whatever_they_say(void **state UNUSED)
{
    static const int statuses[] = {199, 200, 204, 301, 302, 303, 307, 308, 408, 500, 502, 503, 504};

    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        assert_false(proves(SCM_ENROLL, statuses[i], code_body(-1137), ""));
    }
}

static void test_codes_that_leave_it_open_prove_nothing(void **state UNUSED)
{
    static const int codes[] = {-1, -2, -14, -65, -129, -1113, -1400};

    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        assert_false(proves(SCM_ENROLL, 400, code_body(codes[i]), ""));
        assert_false(proves(SCM_ENROLL, 403, code_body(codes[i]), ""));
        assert_false(proves(SCM_RENEW, 429, code_body(codes[i]), ""));
        assert_false(proves(SCM_REPLACE, 401, code_body(codes[i]), "Bearer"));
        assert_false(proves(ENROLLMENT_REPLACE, 400, code_body(codes[i]), ""));
    }
}

static void test_challenge_for_a_token_proves_a_refusal_with_401_alone(void **state UNUSED)
{
    assert_true(proves(SCM_ENROLL, 401, "", "Bearer"));
    assert_true(proves(SCM_ENROLL, 401, "", "Basic realm=\"x\", bearer realm=\"y\""));
    assert_true(proves(SCM_ENROLL, 401, "<html>", "Bearer realm=\"a\""));
    assert_false(proves(SCM_ENROLL, 401, "", "Basic realm=\"x\""));
    assert_false(proves(SCM_ENROLL, 401, "", "Basic realm=\"Forbearer\""));
    assert_false(proves(SCM_ENROLL, 401, "", "Bearers"));
    assert_false(proves(SCM_ENROLL, 403, "", "Bearer"));
}

/* Endpoints */

static void test_endpoints(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(16000);

    for (int i = 0; i < SCM_ENDPOINTS; i++) {
        const struct scm_endpoint *e = scm_endpoint((enum scm_endpoint_id)i);
        buf_addf(&out, "%s %s %s%s\n", e->name, e->method, e->path, e->idempotent ? "" : " (once)");
        assert_int_equal(e->id, i);
        assert_true(strlen(e->source) > 0);
    }
    assert_golden(buf_str(&out),
                  "products GET /ssl/{version}/types\n"
                  "enroll POST /{version}/certificates (once)\n"
                  "collect GET /{version}/certificates/{word}\n"
                  "status GET /{version}/certificates/{word}/status\n"
                  "list GET /{version}/certificates\n"
                  "revoke DELETE /{version}/certificates/{word} (once)\n"
                  "renew POST /{version}/certificates/{word}/renew (once)\n"
                  "replace POST /{version}/certificates/{word}/replace (once)\n"
                  "enroll POST /ssl/{version}/enroll (once)\n"
                  "status GET /ssl/{version}/{id}\n"
                  "collect GET /ssl/{version}/collect/{id}\n"
                  "collect GET /ssl/{version}/collect/{id}/{format}\n"
                  "list GET /ssl/{version}\n"
                  "revoke POST /ssl/{version}/revoke/{id} (once)\n"
                  "revoke POST /ssl/{version}/revoke/serial/{serial} (once)\n"
                  "organizations GET /organization/v1\n"
                  "password GET /admin/v1/password\n"
                  "domains GET /domain/v1\n"
                  "domain GET /domain/v1/{id}\n"
                  "validations GET /dcv/v2/validation\n"
                  "validation status POST /dcv/v2/validation/status\n"
                  "recheck POST /dcv/v2/validation/sync\n"
                  "clear validation POST /dcv/v2/validation/clear (once)\n"
                  "start validation POST /dcv/v2/validation/start/domain/{word} (once)\n"
                  "submit validation POST /dcv/v2/validation/submit/domain/{word} (once)\n"
                  "order's validation GET /ssl/{version}/{id}/dcv\n"
                  "recheck order POST /ssl/{version}/{id}/dcv/recheck (once)\n"
                  "report POST /report/v1/ssl-certificates\n"
                  "report POST /report/v1/device-certificates\n"
                  "organization GET /organization/v1/{id}\n"
                  "ACME accounts GET /acme/v2/account\n"
                  "making an ACME account POST /acme/v2/account (once)\n"
                  "ACME account GET /acme/v2/account/{id}\n"
                  "renaming an ACME account PUT /acme/v2/account/{id} (once)\n"
                  "deleting an ACME account DELETE /acme/v2/account/{id} (once)\n"
                  "domains of an ACME account GET /acme/v2/account/{id}/domain\n"
                  "adding domains POST /acme/v2/account/{id}/domain (once)\n"
                  "removing domains DELETE /acme/v2/account/{id}/domain (once)\n"
                  "ACME clients GET /acme/v2/account/{id}/client\n"
                  "deactivating an ACME client PUT /acme/v2/account/{id}/client/{serial} (once)\n"
                  "renew POST /ssl/{version}/renewById/{id} (once)\n"
                  "replace POST /ssl/{version}/replace/{id} (once)\n"
                  "approve POST /ssl/{version}/approve/{id} (once)\n"
                  "decline POST /ssl/{version}/decline/{id} (once)\n"
                  "update PUT /ssl/{version} (once)\n"
                  "custom fields GET /customField/v2\n"
                  "custom fields GET /ssl/{version}/customFields\n"
                  "products GET /device/v1/types\n"
                  "enroll POST /device/v1/enroll (once)\n"
                  "status GET /device/v1/{id}\n"
                  "collect GET /device/v1/collect/{id}\n"
                  "list GET /device/v1\n"
                  "renew POST /device/v1/renew/order/{id} (once)\n"
                  "replace POST /device/v1/replace/order/{id} (once)\n"
                  "revoke POST /device/v1/revoke/order/{id} (once)\n"
                  "revoke POST /device/v1/revoke/serial/{serial} (once)\n"
                  "approve POST /device/v1/approve/{id} (once)\n"
                  "decline POST /device/v1/decline/{id} (once)\n"
                  "update PUT /device/v1/{id} (once)\n"
                  "products GET /smime/{version}/types\n"
                  "enroll POST /smime/{version}/enroll (once)\n"
                  "collect GET /smime/{version}/collect/{id}\n"
                  "list GET /smime/v2\n"
                  "details GET /smime/{version}/{id}\n"
                  "update PUT /smime/{version}/{id} (once)\n"
                  "renew POST /smime/v2/renew/order/{id} (once)\n"
                  "revoke POST /smime/{version}/revoke/order/{id} (once)\n"
                  "revoke POST /smime/{version}/revoke/serial/{serial} (once)\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_code_and_description),
        cmocka_unit_test(test_code_of_zero_is_a_code),
        cmocka_unit_test(test_code_as_a_string),
        cmocka_unit_test(test_description_alone),
        cmocka_unit_test(test_code_alone),
        cmocka_unit_test(test_byte_order_mark_and_white_space),
        cmocka_unit_test(test_empty_body),
        cmocka_unit_test(test_web_page),
        cmocka_unit_test(test_other_text_is_quoted),
        cmocka_unit_test(test_json_that_is_no_object_is_quoted),
        cmocka_unit_test(test_object_of_another_api_is_not_understood),
        cmocka_unit_test(test_long_description_is_cut),
        cmocka_unit_test(test_description_full_of_control_characters_fits),
        cmocka_unit_test(test_body_with_nul_bytes_does_no_harm),
        cmocka_unit_test(test_details_are_shown_as_well),
        cmocka_unit_test(test_every_2xx_is_a_success),
        cmocka_unit_test(test_redirects_are_nonsense),
        cmocka_unit_test(test_401_is_a_bad_login_whatever_it_says),
        cmocka_unit_test(test_statuses_by_themselves),
        cmocka_unit_test(test_not_ready_replies_of_collect),
        cmocka_unit_test(test_not_ready_codes_mean_nothing_elsewhere),
        cmocka_unit_test(test_other_codes_of_collect_are_final),
        cmocka_unit_test(test_published_codes),
        cmocka_unit_test(test_status_goes_before_the_code),
        cmocka_unit_test(test_unknown_error_leaves_an_order_unsure),
        cmocka_unit_test(test_code_429_is_not_status_429),
        cmocka_unit_test(test_error_objects_of_the_api_prove_a_refusal),
        cmocka_unit_test(test_other_answers_prove_nothing),
        cmocka_unit_test(test_other_statuses_prove_nothing_whatever_they_say),
        cmocka_unit_test(test_codes_that_leave_it_open_prove_nothing),
        cmocka_unit_test(test_challenge_for_a_token_proves_a_refusal_with_401_alone),
        cmocka_unit_test(test_endpoints),
    };

    return UNIT_RUN(tests);
}
