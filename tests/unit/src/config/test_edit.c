/* Settings put into a file's text: what is there stays as it is. */
#include "config/config.h"

#include "unit/unit.h"

#include <sys/stat.h>
#include <unistd.h>

static const struct config_change changes[] = {{"eab_kid", "k1"},
                                               {"eab_key_source", "file:/etc/key"}};

static const char *edited(const char *text, const char *section, bool replace)
{
    AUTO(buf) struct buf out = BUF_INIT(10000);
    struct err err = ERR_INIT;

    assert_ok(config_edit(text, section, changes, ARRAY_LEN(changes), replace, &out, &err), &err);
    return tmp_printf("%s", buf_str(&out));
}

static void refuses(const char *text, enum err_code code, const char *words)
{
    AUTO(buf) struct buf out = BUF_INIT(10000);
    struct err err = ERR_INIT;

    assert_fails(config_edit(text, "ca:a", changes, ARRAY_LEN(changes), false, &out, &err), &err,
                 code, words);
}

#define PAIR "eab_kid = k1\neab_key_source = file:/etc/key\n"

static void test_settings_go_behind_the_last_of_the_section(void **state UNUSED)
{
    assert_string_equal(edited("# mine\n[ca:a]\nurl = https://a ; x\n\n# the next one\n[ca:b]\n"
                               "url = https://b\n",
                               "ca:a", false),
                        "# mine\n[ca:a]\nurl = https://a ; x\n" PAIR "\n# the next one\n[ca:b]\n"
                        "url = https://b\n");
}

static void test_section_may_be_empty_the_last_or_without_a_line_end(void **state UNUSED)
{
    assert_string_equal(edited("[ca:a]\n", "ca:a", false), "[ca:a]\n" PAIR);
    assert_string_equal(edited(" [ca:a] ", "ca:a", false), " [ca:a] \n" PAIR);
    assert_string_equal(edited("[ca:b]\n[ca:a]\nlogin=x", "ca:a", false),
                        "[ca:b]\n[ca:a]\nlogin=x\n" PAIR);
}

static void test_what_is_there_is_replaced_when_asked(void **state UNUSED)
{
    assert_string_equal(edited("[ca:a]\n eab_kid=old\n# eab_kid = comment\nlogin = x\n"
                               "eab_key_source : file:/old\n[ca:a]\neab_kid = older\n"
                               "[ca:b]\neab_kid = other\n",
                               "ca:a", true),
                        "[ca:a]\n# eab_kid = comment\nlogin = x\n[ca:a]\n" PAIR
                        "[ca:b]\neab_kid = other\n");
}

static void test_what_is_there_is_not_replaced_by_itself(void **state UNUSED)
{
    refuses("[ca:a]\neab_key_source=file:/x\n", E_OBJECT_EXISTS,
            "[ca:a] has the setting 'eab_key_source' already");
    assert_string_equal(edited("[ca:b]\neab_kid = x\n[ca:a]\n# eab_kid = x\n", "ca:a", false),
                        "[ca:b]\neab_kid = x\n[ca:a]\n" PAIR "# eab_kid = x\n");
}

static void test_section_is_not_made(void **state UNUSED)
{
    refuses("", E_CONFIG, "there is no section [ca:a]");
    refuses("[ca:ab]\nurl = x\n# [ca:a]\n", E_CONFIG, "there is no section [ca:a]");
}

static void test_result_is_a_configuration(void **state UNUSED)
{
    refuses("[ca:a]\nnonsense = x\n", E_CONFIG, "has no setting 'nonsense'");
}

static void test_value_is_one_printable_line(void **state UNUSED)
{
    static const char *const bad[] = {"", "a\nb = c", " a", "a ", "\xc3\xa4", "a\x1b"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct config_change change = {"eab_kid", bad[i]};
        AUTO(buf) struct buf out = BUF_INIT(10000);
        struct err err = ERR_INIT;
        assert_fails(config_edit("[ca:a]\n", "ca:a", &change, 1, false, &out, &err), &err, E_USAGE,
                     "eab_kid: what should stand there");
    }
}

static struct config *read_config(const char *path)
{
    struct config *config = NULL;
    struct err err = ERR_INIT;

    assert_ok(config_read(path, &config, &err), &err);
    return config;
}

static void test_file_is_changed_through_a_link_and_keeps_its_mode(void **state UNUSED)
{
    const char *dir = tmp_dir();
    const char *path = tmp_file(dir, "real.conf", "[ca:a]\n", 7, 0640);
    const char *link = tmp_join(dir, "link.conf");
    struct err err = ERR_INIT;
    struct stat st;

    assert_int_equal(symlink("real.conf", link), 0);
    AUTO(config) struct config *config = read_config(link);
    assert_ok(config_change_file(config, "ca:a", changes, ARRAY_LEN(changes), false, true, &err),
              &err);
    assert_string_equal(tmp_read(path), "[ca:a]\n");
    assert_ok(config_change_file(config, "ca:a", changes, ARRAY_LEN(changes), false, false, &err),
              &err);
    assert_string_equal(tmp_read(path), "[ca:a]\n" PAIR);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
}

static void test_file_that_failed_is_as_it_was(void **state UNUSED)
{
    const char *path = tmp_text(tmp_dir(), "a.conf", "[ca:a]\neab_kid = x\n");
    AUTO(config) struct config *config = read_config(path);
    struct err err = ERR_INIT;

    assert_fails(
        config_change_file(config, "ca:a", changes, ARRAY_LEN(changes), false, false, &err), &err,
        E_OBJECT_EXISTS, "a.conf: [ca:a] has the setting 'eab_kid' already");
    assert_string_equal(tmp_read(path), "[ca:a]\neab_kid = x\n");
}

static void test_without_a_file_there_is_nothing_to_change(void **state UNUSED)
{
    AUTO(config) struct config *config = NULL;
    struct err err = ERR_INIT;

    assert_ok(config_parse("(options)", "[ca:a]\n", &config, &err), &err);
    assert_fails(
        config_change_file(config, "ca:a", changes, ARRAY_LEN(changes), false, false, &err), &err,
        E_CONFIG, "there is no configuration file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings_go_behind_the_last_of_the_section),
        cmocka_unit_test(test_section_may_be_empty_the_last_or_without_a_line_end),
        cmocka_unit_test(test_what_is_there_is_replaced_when_asked),
        cmocka_unit_test(test_what_is_there_is_not_replaced_by_itself),
        cmocka_unit_test(test_section_is_not_made),
        cmocka_unit_test(test_result_is_a_configuration),
        cmocka_unit_test(test_value_is_one_printable_line),
        cmocka_unit_test(test_file_is_changed_through_a_link_and_keeps_its_mode),
        cmocka_unit_test(test_file_that_failed_is_as_it_was),
        cmocka_unit_test(test_without_a_file_there_is_nothing_to_change),
    };

    return UNIT_RUN(tests);
}
