/* The table of published codes (src/ca/scm/codes.def): its classes by operation, its sentences. */
#include "ca/scm/scm.h"

#include "base/str.h"
#include "unit/unit.h"

/* One of each context: reading, collecting, ordering, revoking, validating a domain. */
static const struct {
    const char *path;
    bool idempotent;
} operations[] = {{"/ssl/v1/{id}", true},
                  {"/ssl/v1/collect/{id}", true},
                  {"/ssl/v1/enroll", false},
                  {"/ssl/v1/revoke/{id}", false},
                  {"/dcv/v2/validation/start/domain/cname", false}};
enum { OPERATIONS = ARRAY_LEN(operations) };

static const struct scm_code *find(size_t operation, int64_t code)
{
    return scm_code_in(operations[operation].path, operations[operation].idempotent, code);
}

static char letter_of(enum scm_class class)
{
    switch (class) {
    case SCM_NOT_READY:
        return 'p'; /* pending */
    case SCM_TRANSIENT:
        return 't';
    case SCM_UNCERTAIN:
        return 'u';
    case SCM_BAD_LOGIN:
        return 'a'; /* authentication */
    case SCM_NOT_ALLOWED:
        return 'n';
    case SCM_PERMANENT:
        return 'f'; /* final */
    case SCM_OK:
    case SCM_NONSENSE:
        break;
    }
    return '?';
}

/* What the documents publish, as one letter for each of the operations above. */
static const struct {
    const char *letters;
    int codes[96];
} published[] = {
    {"aaaaa", {-16, -410, -970}},
    {"nnnnn", {-3, -25, -37, -226, -233, -234, -253, -255, -256, -731, -738}},
    {"uuuuu", {-2, -65, -129}},
    {"ffuuu", {-1, -14}},
    {"fpfff", {-103, -183}},
    {"tpttt", {-109}},
    {"tpuuu", {-1113, -1400}},
    {"ttttt", {-140, -195, -196, -3114, -3115}},
    /* requests and profiles */
    {"fffff", {-7,   -9,   -10,  -11,  -13,  -35,  -36,  -39,   -43,  -44,  -62,
               -64,  -76,  -78,  -131, -134, -135, -138, -141,  -159, -160, -164,
               -170, -172, -184, -185, -188, -194, -951, -1138, -1601}},
    /* lifecycle */
    {"fffff",
     {-102, -105, -107,  -110,  -111,  -123,  -124,  -126,  -130,  -166,  -169,  -180,  -181, -843,
      -192, -993, -1001, -1002, -1104, -1112, -1117, -1140, -1144, -1148, -1450, -5101, -5109}},
    /* domains, organizations, the account */
    {"fffff", {-639,  -700,  -705,  -707,  -709, -711, -712, -713, -714,  -715,
               -723,  -724,  -727,  -728,  -732, -737, -740, -741, -1010, -1021,
               -1023, -1137, -1603, -1608, -213, -220, -429, -976, -977,  -982}},
    /* what the client does not use */
    {"fffff",
     {-500,  -507,  -508,  -518, -524, -303, -304, -305, -306, -607, -615, -618, -637, -3301,
      -5001, -5002, -5003, -219, -221, -222, -223, -237, -249, -176, -834, -840, -1108}},
};

static void assert_letters(int code, const char *letters)
{
    char found[OPERATIONS + 1] = "";

    for (size_t i = 0; i < OPERATIONS; i++) {
        const struct scm_code *row = find(i, code);
        found[i] = row != NULL ? letter_of(row->class) : '-';
    }
    if (!str_equal(found, letters)) {
        fail_msg("code %d has the classes %s, not %s", code, found, letters);
    }
}

static void test_every_published_code_has_its_class(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(published); i++) {
        for (size_t j = 0; j < ARRAY_LEN(published[i].codes) && published[i].codes[j] != 0; j++) {
            assert_letters(published[i].codes[j], published[i].letters);
        }
    }
    assert_letters(0, "fpfff");
}

static bool is_published(int64_t code)
{
    bool found = code == 0;

    for (size_t i = 0; i < ARRAY_LEN(published); i++) {
        for (size_t j = 0; j < ARRAY_LEN(published[i].codes); j++) {
            found = found || published[i].codes[j] == code;
        }
    }
    return found;
}

static void test_the_table_has_no_other_codes(void **state UNUSED)
{
    const struct scm_code *row = NULL;

    for (size_t i = 0; (row = scm_code_at(i)) != NULL; i++) {
        if (!is_published(row->code)) {
            fail_msg("code %lld is in the table, and not in this test", (long long)row->code);
        }
    }
}

/* A row behind one for all operations would never be found. */
static void test_every_row_is_found_by_some_operation(void **state UNUSED)
{
    const struct scm_code *row = NULL;

    for (size_t i = 0; (row = scm_code_at(i)) != NULL; i++) {
        bool found = false;
        for (size_t j = 0; j < OPERATIONS; j++) {
            found = found || find(j, row->code) == row;
        }
        found = found || scm_code_find(SCM_DCV_STATUS, row->code) == row; /* domains */
        if (!found) {
            fail_msg("row %zu (code %lld) is hidden by another one", i, (long long)row->code);
        }
    }
}

static void test_every_row_says_what_it_means_and_what_to_do(void **state UNUSED)
{
    const struct scm_code *row = NULL;

    for (size_t i = 0; (row = scm_code_at(i)) != NULL; i++) {
        assert_true(strlen(row->meaning) > 5 && strlen(row->remedy) > 5);
        assert_false(str_ends_with(row->meaning, ".") || str_ends_with(row->remedy, "."));
        assert_true(strlen(row->meaning) + strlen(row->remedy) < 250);
    }
}

/* "Not ready" is an answer to collect alone: everywhere else it would pass for a success. */
static void test_only_collect_is_not_ready(void **state UNUSED)
{
    const struct scm_code *row = NULL;

    for (size_t i = 0; (row = scm_code_at(i)) != NULL; i++) {
        for (int op = 0; op < SCM_ENDPOINTS; op++) {
            const struct scm_endpoint *endpoint = scm_endpoint((enum scm_endpoint_id)op);
            const struct scm_code *code = scm_code_find(endpoint->id, row->code);
            if (code != NULL && code->class == SCM_NOT_READY) {
                /* (the Enrollment API may say it of a status as well) */
                assert_string_equal(endpoint->name,
                                    endpoint->id == ENROLLMENT_STATUS ? "status" : "collect");
            }
        }
    }
}

/* What leaves it open whether something happened does so for everything that must not be repeated.
 */
static void test_unknown_errors_leave_every_change_open(void **state UNUSED)
{
    for (int op = 0; op < SCM_ENDPOINTS; op++) {
        const struct scm_endpoint *endpoint = scm_endpoint((enum scm_endpoint_id)op);
        const struct scm_code *code = scm_code_find(endpoint->id, -1);
        assert_non_null(code);
        assert_int_equal(code->class, endpoint->idempotent ? SCM_PERMANENT : SCM_UNCERTAIN);
    }
}

/* Who may not validate a domain lacks another right than who may not order. */
static void test_a_code_s_remedy_depends_on_the_operation(void **state UNUSED)
{
    assert_contains(find(4, -3)->remedy, "'Allow DCV'");
    assert_null(strstr(find(2, -3)->remedy, "'Allow DCV'"));
}

static void test_unpublished_codes_are_not_found(void **state UNUSED)
{
    assert_null(scm_code_find(SCM_ENROLL, -99999));
    assert_null(scm_code_find(SCM_ENROLL, 16));
    assert_null(scm_code_find(SCM_ENROLL, INT64_MIN));
}

/* Sentences */

static const char *sentence(int status, const char *body)
{
    static char text[4096];
    AUTO(http_response) struct http_response response;
    AUTO(buf) struct buf out = BUF_INIT(sizeof(text) - 1);
    struct scm_error error;

    http_response_init(&response);
    buf_add_str(&response.body, body);
    scm_parse_error(&response, &error);
    scm_error_sentence(SCM_ENROLL, status, &error, &out);
    (void)snprintf(text, sizeof(text), "%s", buf_str(&out));
    return text;
}

static void test_sentence_has_status_text_code_and_remedy(void **state UNUSED)
{
    assert_string_equal(
        sentence(400, "{\"code\":-36,\"description\":\"The term 5 is not valid\"}"),
        "HTTP 400: The term 5 is not valid (code -36); choose one of the product's terms "
        "('p11enroll products')");
}

static void test_sentence_explains_a_code_without_a_description(void **state UNUSED)
{
    assert_string_equal(sentence(400, "{\"code\":-102}"),
                        "HTTP 400: no description (code -102: only issued certificates can be "
                        "revoked); look at its status; the CA does this in other states alone");
}

static void test_sentence_of_a_code_that_is_not_known(void **state UNUSED)
{
    assert_string_equal(sentence(400, "{\"code\":-77777,\"description\":\"Something new\"}"),
                        "HTTP 400: Something new (code -77777)");
}

static void test_sentence_without_a_code(void **state UNUSED)
{
    assert_string_equal(sentence(400, "{\"description\":\"Something\"}"), "HTTP 400: Something");
    assert_string_equal(sentence(502, "<html>"), "HTTP 502: a web page instead of the API (a proxy "
                                                 "or the portal answered)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_published_code_has_its_class),
        cmocka_unit_test(test_the_table_has_no_other_codes),
        cmocka_unit_test(test_every_row_is_found_by_some_operation),
        cmocka_unit_test(test_every_row_says_what_it_means_and_what_to_do),
        cmocka_unit_test(test_only_collect_is_not_ready),
        cmocka_unit_test(test_unknown_errors_leave_every_change_open),
        cmocka_unit_test(test_a_code_s_remedy_depends_on_the_operation),
        cmocka_unit_test(test_unpublished_codes_are_not_found),
        cmocka_unit_test(test_sentence_has_status_text_code_and_remedy),
        cmocka_unit_test(test_sentence_explains_a_code_without_a_description),
        cmocka_unit_test(test_sentence_of_a_code_that_is_not_known),
        cmocka_unit_test(test_sentence_without_a_code),
    };

    return UNIT_RUN(tests);
}
