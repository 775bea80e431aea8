#include "base/log.h"

#include "unit/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a function writes to stderr. */
static const char *stderr_of(void (*work)(void))
{
    const char *path = tmp_join(tmp_dir(), "stderr");
    int saved = dup(STDERR_FILENO);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(saved >= 0 && fd >= 0);
    (void)fflush(stderr);
    assert_true(dup2(fd, STDERR_FILENO) >= 0);
    work();
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    (void)close(fd);
    (void)close(saved);
    return tmp_read(path);
}

static void every_level(void)
{
    log_line(LOG_ERROR, "a", "e");
    log_line(LOG_WARN, "a", "w");
    log_line(LOG_INFO, "a", "i");
    log_line(LOG_DEBUG, "a", "d");
    log_line(LOG_TRACE, "a", "t");
}

static size_t lines_of(const char *text)
{
    size_t count = 0;

    for (; *text != '\0'; text++) {
        count += *text == '\n' ? 1 : 0;
    }
    return count;
}

static void test_warnings_and_errors_are_shown_at_first(void **state UNUSED)
{
    const char *text = stderr_of(every_level);

    assert_int_equal(lines_of(text), 2);
    assert_contains(text, " error a: e\n");
    assert_contains(text, " warn  a: w\n");
}

static void test_level_says_what_is_shown(void **state UNUSED)
{
    static const enum log_level levels[] = {LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE};

    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        log_set_level(levels[i]);
        assert_int_equal(lines_of(stderr_of(every_level)), i + 1);
        assert_true(log_enabled(levels[i]));
        assert_true(i + 1 == ARRAY_LEN(levels) || !log_enabled(levels[i + 1]));
    }
    log_set_level(LOG_WARN);
}

static void one_line(void)
{
    log_line(LOG_ERROR, "http", "%s %d", "status", 200);
}

static void test_line_has_time_level_area(void **state UNUSED)
{
    const char *text = stderr_of(one_line);

    assert_int_equal(strlen(text), strlen("2026-01-01T00:00:00Z error http: status 200\n"));
    assert_int_equal(text[10], 'T');
    assert_string_equal(text + 20, " error http: status 200\n");
}

static void dirty_line(void)
{
    log_line(LOG_ERROR, "a", "%s", "one\ntwo\x1b[2J\r\x7f\x01");
}

static void test_control_characters_cannot_make_a_second_line(void **state UNUSED)
{
    const char *text = stderr_of(dirty_line);

    assert_int_equal(lines_of(text), 1);
    assert_contains(text, "one?two?[2J???\n");
}

static void deceiving_line(void)
{
    log_line(LOG_ERROR, "a", "%s",
             "1\xc2\x9b"
             "2J \x9b"
             "3 \xe2\x80\xae"
             "4 \xe2\x81\xa6 \xc3\xa4 \xff");
}

static void test_no_line_drives_a_terminal_or_shows_what_it_does_not_say(void **state UNUSED)
{
    assert_contains(stderr_of(deceiving_line), " error a: 1?2J ?3 ?4 ? \xc3\xa4 ?\n");
}

static void long_line(void)
{
    char text[10000];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    log_line(LOG_ERROR, "a", "%s", text);
}

static void test_long_line_is_cut_and_still_ends(void **state UNUSED)
{
    const char *text = stderr_of(long_line);

    assert_in_range(strlen(text), 4000, 4096);
    assert_int_equal(lines_of(text), 1);
    assert_int_equal(text[strlen(text) - 1], '\n');
}

static void test_order_number_is_carried_until_it_is_zero(void **state UNUSED)
{
    log_set_order(42);
    assert_contains(stderr_of(one_line), "http order=42: status");
    log_set_order(0);
    assert_lacks(stderr_of(one_line), "order=");
}

static void test_file_is_private_and_appended_to(void **state UNUSED)
{
    const char *dir = tmp_dir();
    const char *path = tmp_join(dir, "log");
    struct err err = ERR_INIT;
    struct stat st;

    (void)umask(0);
    assert_ok(log_open_file(path, &err), &err);
    (void)stderr_of(one_line);
    log_close();
    assert_ok(log_open_file(path, &err), &err);
    (void)stderr_of(one_line);
    log_close();
    (void)stderr_of(one_line);
    assert_int_equal(lines_of(tmp_read(path)), 2);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_file_through_a_link_is_refused(void **state UNUSED)
{
    const char *dir = tmp_dir();
    const char *path = tmp_join(dir, "link");
    struct err err = ERR_INIT;

    assert_int_equal(symlink(tmp_join(dir, "target"), path), 0);
    assert_fails(log_open_file(path, &err), &err, E_IO, path);
}

static void test_file_that_cannot_be_made_is_named(void **state UNUSED)
{
    struct err err = ERR_INIT;

    assert_fails(log_open_file("/nowhere/log", &err), &err, E_IO, "/nowhere/log");
}

static void test_second_file_replaces_the_first(void **state UNUSED)
{
    const char *dir = tmp_dir();
    struct err err = ERR_INIT;

    assert_ok(log_open_file(tmp_join(dir, "a"), &err), &err);
    assert_ok(log_open_file(tmp_join(dir, "b"), &err), &err);
    (void)stderr_of(one_line);
    log_close();
    assert_string_equal(tmp_read(tmp_join(dir, "a")), "");
    assert_int_equal(lines_of(tmp_read(tmp_join(dir, "b"))), 1);
}

static void test_level_names_round_trip(void **state UNUSED)
{
    static const char *const names[] = {"error", "warn", "info", "debug", "trace"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        enum log_level level = LOG_ERROR;
        assert_true(log_level_parse(names[i], &level));
        assert_int_equal(level, i);
        assert_string_equal(log_level_name(level), names[i]);
    }
}

static void test_level_parse_ignores_case_and_refuses_other_words(void **state UNUSED)
{
    enum log_level level = LOG_INFO;

    assert_true(log_level_parse("DEBUG", &level));
    assert_int_equal(level, LOG_DEBUG);
    assert_false(log_level_parse("verbose", &level));
    assert_false(log_level_parse("", &level));
    assert_int_equal(level, LOG_DEBUG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warnings_and_errors_are_shown_at_first),
        cmocka_unit_test(test_level_says_what_is_shown),
        cmocka_unit_test(test_line_has_time_level_area),
        cmocka_unit_test(test_control_characters_cannot_make_a_second_line),
        cmocka_unit_test(test_no_line_drives_a_terminal_or_shows_what_it_does_not_say),
        cmocka_unit_test(test_long_line_is_cut_and_still_ends),
        cmocka_unit_test(test_order_number_is_carried_until_it_is_zero),
        cmocka_unit_test(test_file_is_private_and_appended_to),
        cmocka_unit_test(test_file_through_a_link_is_refused),
        cmocka_unit_test(test_file_that_cannot_be_made_is_named),
        cmocka_unit_test(test_second_file_replaces_the_first),
        cmocka_unit_test(test_level_names_round_trip),
        cmocka_unit_test(test_level_parse_ignores_case_and_refuses_other_words),
    };

    return UNIT_RUN(tests);
}
