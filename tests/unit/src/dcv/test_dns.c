/* DNS messages: the question that is sent, and what is believed of an answer. */
#include "dcv/dns.h"

#include "base/str.h"

#include "unit/unit.h"

enum { ID = 0x1234 };

/* header: id, flags, counts */
#define HEADER(flags, answers)                                                                     \
    "1234" flags "0001" answers "0000"                                                             \
    "0000"
#define QUESTION_TXT                                                                               \
    "025f7001610365787a00"                                                                         \
    "0010"                                                                                         \
    "0001" /* _p.a.exz TXT IN */
#define QUESTION_CNAME                                                                             \
    "025f7001610365787a00"                                                                         \
    "0005"                                                                                         \
    "0001"
#define NAME "c00c"
#define TTL "0000003c"

struct seen {
    char text[256];
    size_t count;
};

static bool take(void *ctx, const char *value, size_t len)
{
    struct seen *seen = ctx;

    assert_true(len < sizeof(seen->text));
    memcpy(seen->text, value, len);
    seen->text[len] = '\0';
    seen->count++;
    return true;
}

static bool parse(const char *hex, const char *name, enum dns_type type, struct seen *seen,
                  struct dns_answer *out)
{
    AUTO(buf) struct buf bytes = BUF_INIT(4096);

    *seen = (struct seen){.count = 0};
    assert_true(str_from_hex(hex, &bytes));
    return dns_parse(bytes.data, bytes.len, ID, name, type, take, seen, out);
}

static void test_question(void **state UNUSED)
{
    AUTO(buf) struct buf out = BUF_INIT(512);
    AUTO(buf) struct buf hex = BUF_INIT(1024);
    struct err err = ERR_INIT;

    assert_ok(dns_build("_p.a.exz", DNS_TXT, ID, false, &out, &err), &err);
    str_add_hex(&hex, out.data, out.len, '\0');
    assert_string_equal(buf_str(&hex), "123400000001000000000000" QUESTION_TXT);
    buf_reset(&out);
    assert_ok(dns_build("exz", DNS_NS, ID, true, &out, &err), &err);
    assert_int_equal(out.data[2], 1); /* RD */
    assert_fails(dns_build(tmp_printf("%064d.exz", 1), DNS_TXT, ID, false, &out, &err), &err,
                 E_USAGE, "cannot be asked");
}

static void test_txt_strings_are_joined(void **state UNUSED)
{
    struct seen seen;
    struct dns_answer answer;

    assert_true(parse(HEADER("8400", "0001") QUESTION_TXT NAME "0010"
                                                               "0001" TTL "0006"
                                                               "026162"
                                                               "026364",
                      "_p.A.exz", DNS_TXT, &seen, &answer));
    assert_true(answer.found && answer.authoritative && !answer.truncated);
    assert_string_equal(seen.text, "abcd");
}

static void test_cname_is_a_name(void **state UNUSED)
{
    struct seen seen;
    struct dns_answer answer;

    assert_true(parse(HEADER("8400", "0001") QUESTION_CNAME NAME "0005"
                                                                 "0001" TTL "0004"
                                                                 "0178"
                                                                 "c011",
                      "_p.a.exz", DNS_CNAME, &seen, &answer));
    assert_string_equal(seen.text, "x.exz");
}

static void test_records_of_other_names_and_types_do_not_count(void **state UNUSED)
{
    struct seen seen;
    struct dns_answer answer;

    /* the first is a.exz's, the second an A record */
    assert_true(parse(HEADER("8400", "0002") QUESTION_TXT "c00f"
                                                          "0010"
                                                          "0001" TTL "0002"
                                                          "0161" NAME "0001"
                                                          "0001" TTL "0004"
                                                          "7f000001",
                      "_p.a.exz", DNS_TXT, &seen, &answer));
    assert_false(answer.found);
    assert_int_equal(seen.count, 0);
}

/* "_p.a.exz CNAME _q.a.exz", with a pointer to "a.exz" at its end */
#define ALIAS                                                                                      \
    NAME "0005"                                                                                    \
         "0001" TTL "0005"                                                                         \
         "025f71"                                                                                  \
         "c00f"

static void test_txt_of_an_alias_in_the_answer_counts(void **state UNUSED)
{
    struct seen seen;
    struct dns_answer answer;

    assert_true(parse(HEADER("8400", "0002") QUESTION_TXT ALIAS "025f71"
                                                                "c00f"
                                                                "0010"
                                                                "0001" TTL "0002"
                                                                "0161",
                      "_p.a.exz", DNS_TXT, &seen, &answer));
    assert_true(answer.found);
    assert_string_equal(seen.text, "a");
    assert_string_equal(answer.alias, "");
}

static void test_an_alias_out_of_the_answer_is_named(void **state UNUSED)
{
    struct seen seen;
    struct dns_answer answer;

    assert_true(
        parse(HEADER("8400", "0001") QUESTION_TXT ALIAS, "_p.a.exz", DNS_TXT, &seen, &answer));
    assert_false(answer.found);
    assert_string_equal(answer.alias, "_q.a.exz");
    /* whoever asks for a CNAME wants to see it, and not where it leads */
    assert_true(
        parse(HEADER("8400", "0001") QUESTION_CNAME ALIAS, "_p.a.exz", DNS_CNAME, &seen, &answer));
    assert_true(answer.found);
    assert_string_equal(seen.text, "_q.a.exz");
}

static void test_no_such_name(void **state UNUSED)
{
    struct seen seen;
    struct dns_answer answer;

    assert_true(parse(HEADER("8403", "0000") QUESTION_TXT, "_p.a.exz", DNS_TXT, &seen, &answer));
    assert_int_equal(answer.rcode, 3);
    assert_false(answer.found);
}

static void test_truncated_answers_are_told(void **state UNUSED)
{
    struct seen seen;
    struct dns_answer answer;

    assert_true(parse(HEADER("8600", "0000") QUESTION_TXT, "_p.a.exz", DNS_TXT, &seen, &answer));
    assert_true(answer.truncated);
}

static void test_what_is_no_answer_is_passed_over(void **state UNUSED)
{
    static const char *const bad[] = {
        "",
        "1234",
        "1235840000010000"
        "00000000" QUESTION_TXT,             /* another id */
        HEADER("0400", "0000") QUESTION_TXT, /* a question */
        "123484000000"
        "0000"
        "0000"
        "0000", /* without question */
        HEADER("8400", "0000") "025f7101610365787a00"
                               "0010"
                               "0001",         /* another name */
        HEADER("8400", "0000") QUESTION_CNAME, /* another type */
        HEADER("8400", "0000") "025f7001610365787a00"
                               "0010"
                               "0003", /* another class */
        HEADER("8400", "0001") QUESTION_TXT NAME "0010"
                                                 "0001" TTL "0003"
                                                 "056162", /* a string that is cut */
        HEADER("8400", "0001") QUESTION_TXT NAME "0010"
                                                 "0001" TTL "00ff"
                                                 "0161", /* a record that is cut */
        HEADER("8400", "0001") QUESTION_TXT "c016"
                                            "0010"
                                            "0001", /* a name that leads to itself */
        HEADER("8400", "ffff") QUESTION_TXT,        /* more than there is */
    };
    struct seen seen;
    struct dns_answer answer;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (parse(bad[i], "_p.a.exz", DNS_TXT, &seen, &answer)) {
            fail_msg("number %zu was taken for an answer", i);
        }
    }
}

static void test_names_of_servers(void **state UNUSED)
{
    AUTO(dns_servers) struct dns_servers *servers = calloc(1, sizeof(*servers));
    struct err err = ERR_INIT;

    assert_non_null(servers);
    assert_ok(dns_servers_parse(" 192.0.2.1 ,[2001:db8::1]:5353", servers, &err), &err);
    assert_int_equal(servers->count, 2);
    assert_string_equal(servers->list[0].name, "192.0.2.1:53");
    assert_string_equal(servers->list[1].name, "[2001:db8::1]:5353");
    assert_int_equal(servers->list[1].address.ss_family, AF_INET6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_question),
        cmocka_unit_test(test_txt_strings_are_joined),
        cmocka_unit_test(test_cname_is_a_name),
        cmocka_unit_test(test_records_of_other_names_and_types_do_not_count),
        cmocka_unit_test(test_txt_of_an_alias_in_the_answer_counts),
        cmocka_unit_test(test_an_alias_out_of_the_answer_is_named),
        cmocka_unit_test(test_no_such_name),
        cmocka_unit_test(test_truncated_answers_are_told),
        cmocka_unit_test(test_what_is_no_answer_is_passed_over),
        cmocka_unit_test(test_names_of_servers),
    };

    return UNIT_RUN(tests);
}
