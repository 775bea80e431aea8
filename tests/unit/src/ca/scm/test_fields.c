/* Custom fields, and which record is the renewal that was asked for. */
#include "ca/scm/scm.h"

#include "unit/unit.h"

static json *parse(const char *text)
{
    json *doc = NULL;
    struct err err = ERR_INIT;

    assert_ok(json_parse((const uint8_t *)text, strlen(text), &doc, &err), &err);
    return doc;
}

static void judges(const char *list, const char *given, const char *want)
{
    AUTO(json) json *doc = parse(list);
    AUTO(buf) struct buf out = BUF_INIT(4096);

    assert_int_equal(scm_judge_fields(doc, given, &out), want == NULL);
    assert_string_equal(buf_str(&out), want != NULL ? want : "");
}

#define MANDATORY                                                                                  \
    "[{\"id\":1,\"name\":\"Cost\",\"state\":\"ACTIVE\",\"mandatories\":[\"REST_API\"]}]"
#define DATE "[{\"name\":\"Day\",\"input\":{\"type\":\"DATE\"}}]"
#define OPTION "[{\"name\":\"Env\",\"input\":{\"type\":\"TEXT_OPTION\",\"options\":[\"a\",\"b\"]}}]"

static void test_no_fields_at_all(void **state UNUSED)
{
    judges("[]", NULL, NULL);
    judges("[]", "", NULL);
    judges("[]", "a=b", "there is no 'a'");
}

static void test_mandatory_for_orders_over_the_api(void **state UNUSED)
{
    judges(MANDATORY, NULL, "'Cost' is missing");
    judges(MANDATORY, "Cost=", "'Cost' is missing");
    judges(MANDATORY, "Cost = 7", NULL);
    judges("[{\"name\":\"A\",\"mandatories\":[\"ADMIN_UI\",\"WEB_FORM\"]}]", NULL, NULL);
}

static void test_older_resource_has_one_word(void **state UNUSED)
{
    judges("[{\"id\":1,\"name\":\"Cost\",\"mandatory\":true}]", NULL, "'Cost' is missing");
    judges("[{\"id\":1,\"name\":\"Cost\",\"mandatory\":false}]", NULL, NULL);
}

static void test_field_that_is_not_in_use(void **state UNUSED)
{
    judges("[{\"name\":\"Old\",\"state\":\"INACTIVE\",\"mandatories\":[\"REST_API\"]}]", NULL,
           NULL);
    judges("[{\"name\":\"Old\",\"state\":\"INACTIVE\"}]", "Old=1", "there is no 'Old'");
}

static void test_dates(void **state UNUSED)
{
    judges(DATE, "Day=2026-12-31", NULL);
    judges(DATE, "Day=31.12.2026", "'Day' is a date like 2026-12-31, and '31.12.2026' is none");
    judges(DATE, "Day=2026-12-3", "'Day' is a date like 2026-12-31, and '2026-12-3' is none");
    judges(DATE, "Day=2026-1a-31", "'Day' is a date like 2026-12-31, and '2026-1a-31' is none");
}

static void test_options(void **state UNUSED)
{
    judges(OPTION, "Env=b", NULL);
    judges(OPTION, "Env=c", "'Env' cannot be 'c', but one of 'a', 'b'");
}

static void test_all_that_is_wrong_is_told(void **state UNUSED)
{
    judges("[{\"name\":\"A\",\"mandatory\":true},{\"name\":\"B\",\"mandatory\":true}]", "C=1",
           "'A' is missing; 'B' is missing; there is no 'C'");
}

static void test_items_that_are_no_fields_are_passed_over(void **state UNUSED)
{
    judges(
        "[1,null,\"x\",{},{\"name\":7},{\"name\":\"A\",\"input\":3,\"mandatories\":\"REST_API\"}]",
        "A=1", NULL);
}

/* Renewals */

static struct ca_record record(char *cn, char *names, char *comments)
{
    return (struct ca_record){
        .common_name = cn, .names = names, .comments = comments, .product_id = 1013, .org_id = 103};
}

static char cn[] = "a.example", names[] = "a.example,b.example", turned[] = "b.example,A.example";
static char kept[] = "p11e-old for us", other[] = "p11e-other", ours[] = "x p11e-ours y";

static void test_renewal_is_like_what_it_renews(void **state UNUSED)
{
    struct ca_record old = record(cn, names, kept);
    struct ca_record copied = record(cn, turned, kept);
    struct ca_record empty = record(cn, names, NULL);

    assert_true(scm_is_renewal(&old, &copied, kept, "p11e-ours"));
    assert_true(scm_is_renewal(&old, &empty, kept, "p11e-ours"));
}

static void test_our_mark_settles_it(void **state UNUSED)
{
    struct ca_record old = record(cn, names, kept);
    struct ca_record marked = record(NULL, NULL, ours);

    assert_true(scm_is_renewal(&old, &marked, kept, "p11e-ours"));
}

static void test_record_with_other_comments_is_somebody_elses(void **state UNUSED)
{
    struct ca_record old = record(cn, names, kept);
    struct ca_record foreign = record(cn, names, other);

    assert_false(scm_is_renewal(&old, &foreign, kept, "p11e-ours"));
    assert_false(scm_is_renewal(&old, &foreign, "", "p11e-ours"));
}

static void test_record_of_something_else_is_none(void **state UNUSED)
{
    struct ca_record old = record(cn, names, NULL);
    struct ca_record product = record(cn, names, NULL);
    struct ca_record org = record(cn, names, NULL);
    struct ca_record fewer = record(cn, cn, NULL);
    struct ca_record nameless = record(cn, NULL, NULL);
    struct ca_record renamed = record(turned, names, NULL);

    product.product_id = 1014;
    org.org_id = 203;
    assert_false(scm_is_renewal(&old, &product, "", "m"));
    assert_false(scm_is_renewal(&old, &org, "", "m"));
    assert_false(scm_is_renewal(&old, &fewer, "", "m"));
    assert_false(scm_is_renewal(&fewer, &old, "", "m"));
    assert_false(scm_is_renewal(&old, &nameless, "", "m"));
    assert_false(scm_is_renewal(&old, &renamed, "", "m"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_fields_at_all),
        cmocka_unit_test(test_mandatory_for_orders_over_the_api),
        cmocka_unit_test(test_older_resource_has_one_word),
        cmocka_unit_test(test_field_that_is_not_in_use),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_all_that_is_wrong_is_told),
        cmocka_unit_test(test_items_that_are_no_fields_are_passed_over),
        cmocka_unit_test(test_renewal_is_like_what_it_renews),
        cmocka_unit_test(test_our_mark_settles_it),
        cmocka_unit_test(test_record_with_other_comments_is_somebody_elses),
        cmocka_unit_test(test_record_of_something_else_is_none),
    };

    return UNIT_RUN(tests);
}
