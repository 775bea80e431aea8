/* Rows of the report, requests for it, and the memory for numbers (parse_report.c, seen.c). */
#include "ca/scm/scm.h"

#include "base/str.h"
#include "unit/unit.h"

static json *doc;
static struct buf names = BUF_INIT(4096);

static bool parse_row(const char *text, struct ca_row *row)
{
    struct err err = ERR_INIT;

    json_free(doc);
    doc = NULL;
    assert_ok(json_parse((const uint8_t *)text, strlen(text), &doc, &err), &err);
    return scm_parse_report_row(doc, &names, row);
}

static int forget(void **state UNUSED)
{
    json_free(doc);
    doc = NULL;
    buf_done(&names);
    names = (struct buf)BUF_INIT(4096);
    return 0;
}

static void test_row_has_what_the_report_says(void **state UNUSED)
{
    struct ca_row row;

    assert_true(parse_row("{\"id\":7,\"commonName\":\"a\",\"status\":\"Issued\",\"type\":\"OV\","
                          "\"subjAltNames\":\"a; b\",\"comments\":\"c\",\"revoked\":\"r\"}",
                          &row));
    assert_int_equal(row.id, 7);
    assert_true(row.full);
    assert_string_equal(row.common_name, "a");
    assert_string_equal(row.status, "Issued");
    assert_string_equal(row.product, "OV");
    assert_string_equal(row.names, "a,b");
    assert_string_equal(row.comments, "c");
    assert_string_equal(row.revoked_at, "r");
}

static void test_row_may_lack_everything_but_its_number(void **state UNUSED)
{
    struct ca_row row;

    assert_true(parse_row("{\"id\":\"5000000000\",\"serialNumber\":null,\"status\":5}", &row));
    assert_true(row.id == 5000000000);
    assert_string_equal(row.serial, "");
    assert_string_equal(row.status, "");
    assert_string_equal(row.names, "");
    assert_false(parse_row("{\"commonName\":\"a\"}", &row));
    assert_false(parse_row("{\"id\":0}", &row));
    assert_false(parse_row("{\"id\":-1}", &row));
}

static void test_names_are_split_as_they_come(void **state UNUSED)
{
    struct ca_row row;

    assert_true(parse_row("{\"id\":1,\"subjAltNames\":\" a ;b,c;; ; d e \"}", &row));
    assert_string_equal(row.names, "a,b,c,d e");
}

/* Requests */

static const char *body_of(const struct ca_filter *filter, const struct scm_days *days)
{
    static char text[4096];
    AUTO(buf) struct buf out = BUF_INIT(sizeof(text) - 1);
    struct err err = ERR_INIT;

    assert_ok(scm_build_report(filter, days, &out, &err), &err);
    (void)snprintf(text, sizeof(text), "%s", buf_str(&out));
    return text;
}

static void test_report_of_everything(void **state UNUSED)
{
    struct ca_filter filter = {.common_name = NULL};

    assert_string_equal(body_of(&filter, NULL), "{}");
}

static void test_report_is_narrowed(void **state UNUSED)
{
    struct ca_filter filter = {
        .common_name = "a", .external_requester = "x@y", .org_id = 103, .status = "revoked"};
    struct scm_days days = {.first = 0, .last = 365};

    assert_string_equal(body_of(&filter, &days),
                        "{\"organizationIds\":[103],\"commonName\":\"a\","
                        "\"externalRequester\":\"x@y\",\"certificateStatus\":3,"
                        "\"certificateDateAttribute\":4,\"from\":\"1970-01-01\","
                        "\"to\":\"1971-01-01\"}");
}

/* A pattern with these is refused by the CA, and its "Requested" is more than requested: such rows
 * are chosen here. */
static void test_what_the_report_cannot_be_narrowed_by(void **state UNUSED)
{
    struct ca_filter filter = {
        .common_name = "a<b", .status = "Requested", .serial = "AB", .name = "n"};

    assert_string_equal(body_of(&filter, NULL), "{}");
}

static void test_rows_are_chosen_by_the_filter(void **state UNUSED)
{
    struct ca_row row = {.common_name = "A.example",
                         .names = "a.example,b.example",
                         .serial = "0A:BC",
                         .status = "Issued",
                         .requester = "me",
                         .external_requester = "x@y"};
    const struct ca_filter fit[] = {
        {.common_name = "a.EXAMPLE"}, {.name = "B.example"}, {.serial = "abc"},
        {.status = "issued"},         {.requester = "me"},   {.external_requester = "X@Y"},
        {.common_name = NULL}};
    const struct ca_filter unfit[] = {
        {.common_name = "a"},  {.name = "example"},  {.name = "b.example,"},     {.serial = "ab"},
        {.status = "Revoked"}, {.requester = "you"}, {.external_requester = "x"}};

    for (size_t i = 0; i < ARRAY_LEN(fit); i++) {
        assert_true(scm_row_fits(&row, &fit[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(unfit); i++) {
        assert_false(scm_row_fits(&row, &unfit[i]));
    }
}

/* Numbers */

static bool is_new(struct scm_seen *seen, int64_t id)
{
    struct err err = ERR_INIT;
    bool new = false;

    assert_ok(scm_seen_is_new(seen, id, &new, &err), &err);
    return new;
}

static void test_each_number_is_new_once(void **state UNUSED)
{
    AUTO(scm_seen) struct scm_seen seen = {.now = NULL};

    for (int64_t id = 1; id <= 100000; id++) {
        assert_true(is_new(&seen, id * 7));
    }
    for (int64_t id = 1; id <= 100000; id++) {
        assert_false(is_new(&seen, id * 7));
    }
    assert_true(is_new(&seen, 5000000000));
    assert_true(is_new(&seen, INT64_MAX));
    assert_false(is_new(&seen, INT64_MAX));
}

/* Two million numbers: no more memory than two tables, and the last half million are known. */
static void test_memory_for_numbers_is_bounded(void **state UNUSED)
{
    AUTO(scm_seen) struct scm_seen seen = {.now = NULL};
    enum { ALL = 2000000, KNOWN = 500000 };

    for (int64_t id = 1; id <= ALL; id++) {
        assert_true(is_new(&seen, id));
    }
    assert_true(seen.slots == 1 << 20);
    for (int64_t id = ALL - KNOWN; id <= ALL; id++) {
        assert_false(is_new(&seen, id));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_row_has_what_the_report_says, forget),
        cmocka_unit_test_teardown(test_row_may_lack_everything_but_its_number, forget),
        cmocka_unit_test_teardown(test_names_are_split_as_they_come, forget),
        cmocka_unit_test(test_report_of_everything),
        cmocka_unit_test(test_report_is_narrowed),
        cmocka_unit_test(test_what_the_report_cannot_be_narrowed_by),
        cmocka_unit_test(test_rows_are_chosen_by_the_filter),
        cmocka_unit_test(test_each_number_is_new_once),
        cmocka_unit_test(test_memory_for_numbers_is_bounded),
    };

    return UNIT_RUN(tests);
}
