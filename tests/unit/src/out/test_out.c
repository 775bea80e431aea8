/* What commands print: the same calls, for people and as JSON. */
#include "out/out.h"

#include "base/str.h"
#include "unit/unit.h"
#include "json/json.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static const struct out_column columns[] = {
    {"id", "ID", 4, true},
    {"name", "NAME", 10, false},
    {"hidden", NULL, 0, false},
    {"note", "NOTE", 0, false},
};

typedef void print_fn(struct out *out);

/* The text that a function prints. */
static const char *printed(bool as_json, print_fn *print)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    struct out out;
    struct err err = ERR_INIT;

    assert_non_null(file);
    if (as_json) {
        out_init_json(&out, file);
    } else {
        out_init_human(&out, file);
    }
    out_begin(&out, "key list");
    print(&out);
    assert_ok(out_end(&out, &err), &err);
    (void)fclose(file);
    const char *kept = tmp_printf("%s", text);
    free(text);
    return kept;
}

static json *parsed(print_fn *print)
{
    const char *text = printed(true, print);
    struct err err = ERR_INIT;
    json *doc = NULL;

    assert_ok(json_parse((const uint8_t *)text, strlen(text), &doc, &err), &err);
    return doc;
}

/* Fields */

static void print_fields(struct out *out)
{
    out_text(out, "label", "Label", "www");
    out_text(out, "nothing", "Nothing", NULL);
    out_text(out, "internal", NULL, "for programs");
    out_number(out, "count", "Count", -5);
    out_bool(out, "local", "Local", true);
    out_bool(out, "extractable", "Extractable", false);
    out_time(out, "until", "Until", 1795248900);
    out_time(out, "never", "Never", 0);
}

/* Where the values of a listing begin; they are aligned. */
static size_t value_column(const char *line, const char *value)
{
    const char *at = strstr(line, value);

    assert_non_null(at);
    const char *start = at;
    while (start > line && start[-1] != '\n') {
        start--;
    }
    return (size_t)(at - start);
}

static void test_fields_for_people(void **state UNUSED)
{
    const char *text = printed(false, print_fields);

    assert_contains(text, "Label: ");
    assert_contains(text, " www\n");
    assert_contains(text, " -5\n");
    assert_contains(text, " yes\n");
    assert_contains(text, " no\n");
    assert_contains(text, " 2026-11-21T08:15:00Z\n");
    assert_lacks(text, "Nothing");
    assert_lacks(text, "Never");
    assert_lacks(text, "for programs");
}

static void test_values_are_aligned(void **state UNUSED)
{
    const char *text = printed(false, print_fields);
    size_t column = value_column(text, "www\n");

    assert_int_equal(value_column(text, "-5\n"), column);
    assert_int_equal(value_column(text, "yes\n"), column);
    assert_int_equal(value_column(text, "2026"), column);
}

static void test_fields_as_json(void **state UNUSED)
{
    assert_string_equal(printed(true, print_fields),
                        "{\"schema\":1,\"command\":\"key list\",\"label\":\"www\",\"nothing\":null,"
                        "\"internal\":\"for programs\",\"count\":-5,\"local\":true,"
                        "\"extractable\":false,\"until\":\"2026-11-21T08:15:00Z\",\"never\":null}"
                        "\n");
}

static void print_long_label(struct out *out)
{
    out_text(out, "a", "A label that is longer than the column", "x");
    out_text(out, "b", "B", "y");
}

static void test_long_label_is_followed_by_a_space(void **state UNUSED)
{
    assert_contains(printed(false, print_long_label),
                    "A label that is longer than the column: x\n");
}

static void print_nothing(struct out *out UNUSED)
{
}

static void test_command_without_a_result(void **state UNUSED)
{
    assert_string_equal(printed(false, print_nothing), "");
    assert_string_equal(printed(true, print_nothing), "{\"schema\":1,\"command\":\"key list\"}\n");
}

/* Texts from outside */

static const char nasty[] = "a\x1b[2J\"\\\n\t\x01\x7f";

static void print_nasty(struct out *out)
{
    out_text(out, "label", "Label", nasty);
}

static void test_control_characters_are_shown_to_people(void **state UNUSED)
{
    const char *text = printed(false, print_nasty);

    assert_contains(text, "a\\x1b[2J\"\\\\x0a\\x09\\x01\\x7f\n");
    for (const char *p = text; *p != '\0'; p++) {
        assert_true((unsigned char)*p >= 0x20 || *p == '\n');
    }
}

static void test_control_characters_are_escaped_in_json(void **state UNUSED)
{
    AUTO(json) json *doc = parsed(print_nasty);
    const char *value = NULL;

    assert_true(json_find_string(doc, "label", &value));
    assert_string_equal(value, nasty);
    assert_contains(printed(true, print_nasty), "a\\u001b[2J\\\"\\\\\\n\\u0009\\u0001\\u007f");
}

static void print_utf8(struct out *out)
{
    out_text(out, "good", "Good", "W\xc3\xa4hler \xf0\x9f\x94\x91");
    out_text(out, "bad", "Bad", "W\xe4hler");
}

static void test_utf8_is_kept(void **state UNUSED)
{
    AUTO(json) json *doc = parsed(print_utf8);
    const char *value = NULL;

    assert_true(json_find_string(doc, "good", &value));
    assert_string_equal(value, "W\xc3\xa4hler \xf0\x9f\x94\x91");
    assert_contains(printed(false, print_utf8), "W\xc3\xa4hler \xf0\x9f\x94\x91\n");
}

static void test_invalid_utf8_becomes_valid(void **state UNUSED)
{
    const char *text = printed(true, print_utf8);

    assert_true(str_is_utf8((const uint8_t *)text, strlen(text)));
    assert_contains(text, "\"bad\":\"W\\ufffdhler\"");
    assert_contains(printed(false, print_utf8), "W\\xe4hler\n");
}

/* Tables */

static void print_table(struct out *out)
{
    const char *first[] = {"1", "www", "x", "a note"};
    const char *second[] = {"22", "a-long-name-here", NULL, NULL};

    out_table(out, "keys", columns, ARRAY_LEN(columns), "no keys");
    out_row(out, first);
    out_row(out, second);
    out_table_end(out);
}

static void test_table_for_people(void **state UNUSED)
{
    assert_golden(printed(false, print_table), "ID    NAME        NOTE\n"
                                               "1     www         a note\n"
                                               "22    a-long-name-here  -\n");
}

static void test_table_as_json(void **state UNUSED)
{
    AUTO(json) json *doc = parsed(print_table);
    const json *keys = json_member(doc, "keys");
    int64_t id = 0;
    const char *text = NULL;

    assert_int_equal(json_count(keys), 2);
    const json *row = json_first(keys);
    assert_true(json_find_int(row, "id", &id));
    assert_int_equal(id, 1);
    assert_true(json_find_string(row, "hidden", &text));
    assert_string_equal(text, "x");
    row = json_next(row);
    assert_null(json_member(row, "note"));
    assert_true(json_find_string(row, "name", &text));
    assert_string_equal(text, "a-long-name-here");
}

static void print_empty_table(struct out *out)
{
    out_table(out, "keys", columns, ARRAY_LEN(columns), "no keys");
    out_table_end(out);
}

static void test_empty_table(void **state UNUSED)
{
    assert_string_equal(printed(false, print_empty_table), "no keys\n");
    assert_contains(printed(true, print_empty_table), "\"keys\":[]}");
}

static void print_silent_table(struct out *out)
{
    out_table(out, "keys", columns, ARRAY_LEN(columns), NULL);
    out_table_end(out);
}

static void test_empty_table_may_be_silent(void **state UNUSED)
{
    assert_string_equal(printed(false, print_silent_table), "");
}

static void print_two_tables(struct out *out)
{
    const char *cells[] = {"1", "a", NULL, NULL};

    out_table(out, "first", columns, ARRAY_LEN(columns), "none");
    out_row(out, cells);
    out_table_end(out);
    out_table(out, "second", columns, ARRAY_LEN(columns), "none");
    out_row(out, cells);
    out_table_end(out);
    out_number(out, "after", "After", 1);
}

static void test_second_table_has_its_own_titles(void **state UNUSED)
{
    AUTO(json) json *doc = parsed(print_two_tables);
    const char *text = printed(false, print_two_tables);

    assert_int_equal(json_count(json_member(doc, "first")), 1);
    assert_int_equal(json_count(json_member(doc, "second")), 1);
    assert_non_null(json_member(doc, "after"));
    assert_non_null(strstr(strstr(text, "ID") + 2, "ID"));
}

static void print_nasty_cell(struct out *out)
{
    const char *cells[] = {"1", "a\x1b[2J\n", NULL, "\xff"};

    out_table(out, "keys", columns, ARRAY_LEN(columns), "none");
    out_row(out, cells);
    out_table_end(out);
}

static void test_cells_are_harmless(void **state UNUSED)
{
    const char *text = printed(false, print_nasty_cell);

    assert_contains(text, "a\\x1b[2J\\x0a");
    assert_contains(text, "\\xff\n");
    json_free(parsed(print_nasty_cell));
}

/* Groups and blocks */

static void print_groups(struct out *out)
{
    out_text(out, "a", "A", "1");
    out_group(out, "outer", "Outer:");
    out_text(out, "b", "B", "2");
    out_group(out, "inner", "Inner:");
    out_text(out, "c", "C", "3");
    out_group_end(out);
    out_group_end(out);
    out_text(out, "d", "D", "4");
}

static void test_groups(void **state UNUSED)
{
    AUTO(json) json *doc = parsed(print_groups);
    const json *inner = json_member(json_member(doc, "outer"), "inner");
    const char *text = printed(false, print_groups);
    const char *value = NULL;

    assert_true(json_find_string(inner, "c", &value));
    assert_string_equal(value, "3");
    assert_true(json_find_string(doc, "d", &value));
    assert_contains(text, "\nOuter:\n  B: ");
    assert_contains(text, "\n  Inner:\n    C: ");
    assert_contains(text, "\nD: ");
    assert_int_equal(value_column(text, "3\n"), value_column(text, "4\n"));
}

static void print_empty_group(struct out *out)
{
    out_group(out, "g", "G:");
    out_group_end(out);
    out_number(out, "n", "N", 1);
}

static void test_empty_group_as_json(void **state UNUSED)
{
    assert_contains(printed(true, print_empty_group), "\"g\":{},\"n\":1}");
}

static void print_block(struct out *out)
{
    out_block(out, "pem", "-----BEGIN\nx\n-----END\n");
    out_block(out, "none", NULL);
}

static void test_blocks(void **state UNUSED)
{
    assert_string_equal(printed(false, print_block), "-----BEGIN\nx\n-----END\n");
    assert_contains(printed(true, print_block),
                    "\"pem\":\"-----BEGIN\\nx\\n-----END\\n\",\"none\":null}");
}

/* Failures */

static void fail_with(struct out *out)
{
    struct err err = ERR_INIT;

    (void)err_set(&err, E_TOKEN_BUSY, "the \"lock\" is taken");
    out_error(out, &err, err_code_hint(err.code));
}

static void test_error_as_json(void **state UNUSED)
{
    AUTO(json) json *doc = parsed(fail_with);
    const json *error = json_member(doc, "error");
    const char *text = NULL;
    int64_t status = 0;
    bool retryable = false;

    assert_true(json_find_string(error, "code", &text));
    assert_string_equal(text, "token-busy");
    assert_true(json_find_string(error, "message", &text));
    assert_string_equal(text, "the \"lock\" is taken");
    assert_true(json_find_string(error, "hint", &text));
    assert_true(json_find_int(error, "exit_status", &status));
    assert_int_equal(status, 31);
    assert_true(json_find_bool(error, "retryable", &retryable) && retryable);
}

static void test_error_is_not_for_stdout_of_people(void **state UNUSED)
{
    assert_string_equal(printed(false, fail_with), "");
}

static void fail_in_a_table(struct out *out)
{
    const char *cells[] = {"1", "a", NULL, NULL};

    out_table(out, "keys", columns, ARRAY_LEN(columns), "none");
    out_row(out, cells);
    fail_with(out);
}

static void test_error_inside_a_table_closes_it(void **state UNUSED)
{
    AUTO(json) json *doc = parsed(fail_in_a_table);

    assert_int_equal(json_count(json_member(doc, "keys")), 1);
    assert_non_null(json_member(doc, "error"));
}

static void fail_in_an_empty_table(struct out *out)
{
    out_table(out, "keys", columns, ARRAY_LEN(columns), "none");
    fail_with(out);
}

static void test_error_inside_an_empty_table_closes_it(void **state UNUSED)
{
    AUTO(json) json *doc = parsed(fail_in_an_empty_table);

    assert_non_null(json_member(doc, "error"));
}

static void fail_in_groups(struct out *out)
{
    out_group(out, "a", "A");
    out_group(out, "b", "B");
    out_text(out, "c", "C", "1");
    fail_with(out);
}

static void test_error_inside_groups_closes_them(void **state UNUSED)
{
    AUTO(json) json *doc = parsed(fail_in_groups);

    assert_non_null(json_member(doc, "error"));
    assert_null(json_member(json_member(json_member(doc, "a"), "b"), "error"));
}

static void fail_in_a_table_in_a_group(struct out *out)
{
    out_group(out, "a", "A");
    out_table(out, "keys", columns, ARRAY_LEN(columns), "none");
    fail_with(out);
}

static void test_error_inside_a_table_of_a_group_closes_both(void **state UNUSED)
{
    AUTO(json) json *doc = parsed(fail_in_a_table_in_a_group);

    assert_non_null(json_member(doc, "error"));
}

static void test_full_disk_is_a_failure(void **state UNUSED)
{
    static const bool as_json[] = {false, true};

    for (size_t i = 0; i < ARRAY_LEN(as_json); i++) {
        FILE *file = fopen("/dev/full", "w");
        struct out out;
        struct err err = ERR_INIT;
        if (file == NULL) {
            skip();
        }
        if (as_json[i]) {
            out_init_json(&out, file);
        } else {
            out_init_human(&out, file);
        }
        out_begin(&out, "x");
        print_fields(&out);
        assert_fails(out_end(&out, &err), &err, E_IO, "writing the result");
        (void)fclose(file);
    }
}

static void test_full_disk_is_noticed_behind_a_small_buffer(void **state UNUSED)
{
    FILE *file = fopen("/dev/full", "w");
    struct out out;
    struct err err = ERR_INIT;

    if (file == NULL) {
        skip();
    }
    assert_int_equal(setvbuf(file, NULL, _IONBF, 0), 0);
    out_init_json(&out, file);
    out_begin(&out, "x");
    print_fields(&out);
    assert_fails(out_end(&out, &err), &err, E_IO, "writing the result");
    (void)fclose(file);
}

/* Lines for other programs */

static const char *lines_of(void (*init)(struct out *, FILE *))
{
    static const char *const odd[] = {"1", "say \"hi\", you", NULL, "two\nlines"};
    static const char *const plain[] = {"2", "plain", "x", NULL};
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    struct out out;
    struct err err = ERR_INIT;
    struct err failure = ERR_INIT;

    assert_non_null(file);
    init(&out, file);
    out_begin(&out, "inventory list");
    out_text(&out, "a", "A", "left out");
    out_number(&out, "n", "N", 7);
    out_bool(&out, "b", "B", true);
    out_block(&out, "p", "left out");
    out_group(&out, "g", "G");
    out_group_end(&out);
    out_table(&out, "rows", columns, ARRAY_LEN(columns), "left out");
    out_row(&out, odd);
    out_row(&out, plain);
    out_table_end(&out);
    assert_false(err_set(&failure, E_NETWORK, "left out"));
    out_error(&out, &failure, err_code_hint(failure.code));
    assert_ok(out_end(&out, &err), &err);
    (void)fclose(file);
    const char *kept = tmp_printf("%s", text);
    free(text);
    return kept;
}

static void test_table_as_csv(void **state UNUSED)
{
    assert_string_equal(lines_of(out_init_csv), "id,name,hidden,note\r\n"
                                                "1,\"say \"\"hi\"\", you\",,\"two\nlines\"\r\n"
                                                "2,plain,x,\r\n");
}

/* U+009B, U+202E, U+2066, U+E0041 */
#define DECEIVING "a\xc2\x9b 1\xe2\x80\xae 2\xe2\x81\xa6 3\xf3\xa0\x81\x81 \xc3\xa9"

static void print_deceiving(struct out *out)
{
    static const char *const cells[] = {"1", DECEIVING, NULL, NULL};

    out_text(out, "label", "Label", DECEIVING);
    out_table(out, "rows", columns, ARRAY_LEN(columns), "");
    out_row(out, cells);
    out_table_end(out);
}

static void test_people_see_what_would_drive_the_terminal_or_deceive_them(void **state UNUSED)
{
    static const char shown[] =
        "a\\xc2\\x9b 1\\xe2\\x80\\xae 2\\xe2\\x81\\xa6 3\\xf3\\xa0\\x81\\x81 \xc3\xa9";
    const char *text = printed(false, print_deceiving);

    assert_contains(text, tmp_printf("%s\n", shown));
    assert_contains(text, tmp_printf("1     %s  -\n", shown));
}

static void test_json_escapes_what_would_drive_a_terminal_and_keeps_its_meaning(void **state UNUSED)
{
    static const char escaped[] = "\"a\\u009b 1\\u202e 2\\u2066 3\\udb40\\udc41 \xc3\xa9\"";
    const char *text = printed(true, print_deceiving);
    AUTO(json) json *doc = parsed(print_deceiving);
    const char *label = NULL;

    assert_contains(text, tmp_printf("\"label\":%s", escaped));
    assert_contains(text, tmp_printf("\"name\":%s", escaped));
    assert_true(json_find_string(doc, "label", &label));
    assert_string_equal(label, DECEIVING);
}

/* What is written into a terminal, as that gets it; it ends with these words. */
static const char *on_a_terminal(print_fn *print, const char *end)
{
    char got[1024] = "";
    size_t len = 0;
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct out out;

    assert_true(master >= 0);
    assert_int_equal(grantpt(master), 0);
    assert_int_equal(unlockpt(master), 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(slave >= 0);
    FILE *file = fdopen(slave, "w");
    assert_non_null(file);
    out_init_human(&out, file);
    print(&out);
    assert_int_equal(fflush(file), 0);
    while (!str_ends_with(got, end)) { /* it comes in pieces */
        ssize_t more = read(master, got + len, sizeof(got) - 1 - len);
        assert_true(more > 0);
        len += (size_t)more;
    }
    (void)fclose(file);
    (void)close(master);
    return tmp_printf("%s", got);
}

static void print_deceiving_block(struct out *out)
{
    out_block(out, "text", "one\n" DECEIVING "\nthree");
}

static void test_a_block_is_exact_but_for_terminals(void **state UNUSED)
{
    assert_string_equal(printed(false, print_deceiving_block), "one\n" DECEIVING "\nthree");
    const char *text = on_a_terminal(print_deceiving_block, "three");
    assert_contains(text, "one\r\na\\xc2\\x9b 1\\xe2\\x80\\xae 2");
    assert_contains(text, "\r\nthree");
}

/* Cells are written by others, and are opened in spreadsheets and shown on terminals. */
static void test_cells_of_csv_do_nothing(void **state UNUSED)
{
    static const char *const cells[] = {"=1+1", "+1", "@x",
                                        "a\x1b[2Jb\xc2\x9b"
                                        "c\xc3\xa9\xe2\x80\xae\xf3\xa0\x81\x81\x9b."};
    static const struct out_column four[] = {
        {"a", "A", 1, false}, {"b", "B", 1, false}, {"c", "C", 1, false}, {"d", "D", 1, false}};
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    struct out out;
    struct err err = ERR_INIT;

    assert_non_null(file);
    out_init_csv(&out, file);
    out_table(&out, "rows", four, ARRAY_LEN(four), "");
    out_row(&out, cells);
    out_table_end(&out);
    assert_ok(out_end(&out, &err), &err);
    (void)fclose(file);
    assert_string_equal(text, "a,b,c,d\r\n\"'=1+1\",\"'+1\",\"'@x\",a?[2Jb?c\xc3\xa9???.\r\n");
    free(text);
}

static void test_table_as_json_lines(void **state UNUSED)
{
    assert_string_equal(
        lines_of(out_init_jsonl),
        "{\"id\":1,\"name\":\"say \\\"hi\\\", you\",\"hidden\":null,\"note\":\"two\\nlines\"}\n"
        "{\"id\":2,\"name\":\"plain\",\"hidden\":\"x\",\"note\":null}\n");
}

/* Items with fields and tables of their own */

static void print_items(struct out *out)
{
    const char *const cells[] = {"1", "a", NULL, "b"};

    out_text(out, "outside", "Outside", "x");
    out_list(out, "things");
    for (int i = 0; i < 2; i++) {
        out_item(out);
        out_number(out, "n", NULL, i);
        out_table(out, "rows", columns, ARRAY_LEN(columns), NULL);
        if (i == 0) {
            out_row(out, cells);
        }
        out_table_end(out);
        out_bool(out, "last", NULL, i == 1);
        out_item_end(out);
    }
    out_list_end(out);
    out_number(out, "count", NULL, 2);
}

static void test_items_as_json(void **state UNUSED)
{
    assert_string_equal(
        printed(true, print_items),
        "{\"schema\":1,\"command\":\"key list\",\"outside\":\"x\",\"things\":[\n"
        "{\"n\":0,\"rows\":[\n{\"id\":1,\"name\":\"a\",\"hidden\":null,\"note\":\"b\"}],"
        "\"last\":false},\n{\"n\":1,\"rows\":[],\"last\":true}],\"count\":2}\n");
}

static void test_items_as_json_lines(void **state UNUSED)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    struct out out;
    struct err err = ERR_INIT;

    assert_non_null(file);
    out_init_jsonl(&out, file);
    print_items(&out);
    assert_ok(out_end(&out, &err), &err);
    (void)fclose(file);
    assert_string_equal(text, "{\"n\":0,\"rows\":[{\"id\":1,\"name\":\"a\",\"hidden\":null,"
                              "\"note\":\"b\"}],\"last\":false}\n"
                              "{\"n\":1,\"rows\":[],\"last\":true}\n");
    free(text);
}

static void print_broken_items(struct out *out)
{
    struct err err = ERR_INIT;

    out_list(out, "things");
    out_item(out);
    out_number(out, "n", NULL, 1);
    out_table(out, "rows", columns, ARRAY_LEN(columns), NULL);
    (void)err_set(&err, E_IO, "no more");
    out_error(out, &err, err_code_hint(err.code));
}

static void test_error_inside_an_item_closes_everything(void **state UNUSED)
{
    AUTO(json) json *doc = parsed(print_broken_items);

    assert_non_null(doc);
    assert_non_null(strstr(printed(true, print_broken_items),
                           "\"things\":[\n{\"n\":1,\"rows\":[]}],\"error\":{\"code\":\"io\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_as_csv),
        cmocka_unit_test(test_cells_of_csv_do_nothing),
        cmocka_unit_test(test_people_see_what_would_drive_the_terminal_or_deceive_them),
        cmocka_unit_test(test_json_escapes_what_would_drive_a_terminal_and_keeps_its_meaning),
        cmocka_unit_test(test_a_block_is_exact_but_for_terminals),
        cmocka_unit_test(test_table_as_json_lines),
        cmocka_unit_test(test_items_as_json),
        cmocka_unit_test(test_items_as_json_lines),
        cmocka_unit_test(test_error_inside_an_item_closes_everything),
        cmocka_unit_test(test_fields_for_people),
        cmocka_unit_test(test_values_are_aligned),
        cmocka_unit_test(test_fields_as_json),
        cmocka_unit_test(test_long_label_is_followed_by_a_space),
        cmocka_unit_test(test_command_without_a_result),
        cmocka_unit_test(test_control_characters_are_shown_to_people),
        cmocka_unit_test(test_control_characters_are_escaped_in_json),
        cmocka_unit_test(test_utf8_is_kept),
        cmocka_unit_test(test_invalid_utf8_becomes_valid),
        cmocka_unit_test(test_table_for_people),
        cmocka_unit_test(test_table_as_json),
        cmocka_unit_test(test_empty_table),
        cmocka_unit_test(test_empty_table_may_be_silent),
        cmocka_unit_test(test_second_table_has_its_own_titles),
        cmocka_unit_test(test_cells_are_harmless),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_empty_group_as_json),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_error_as_json),
        cmocka_unit_test(test_error_is_not_for_stdout_of_people),
        cmocka_unit_test(test_error_inside_a_table_closes_it),
        cmocka_unit_test(test_error_inside_an_empty_table_closes_it),
        cmocka_unit_test(test_error_inside_groups_closes_them),
        cmocka_unit_test(test_error_inside_a_table_of_a_group_closes_both),
        cmocka_unit_test(test_full_disk_is_a_failure),
        cmocka_unit_test(test_full_disk_is_noticed_behind_a_small_buffer),
    };

    return UNIT_RUN(tests);
}
