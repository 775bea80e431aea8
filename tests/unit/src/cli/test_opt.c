/* The option parser over the program's own tables, and the help that comes from them. */
#include "cli/cli.h"

#include "base/str.h"
#include "unit/unit.h"

#include <stdlib.h>

/* A command line that is parsed; cli_parse() is called as cli.c calls it. */
struct line {
    struct cli cli;
    char *argv[16];
    int argc;
};

static void line_done(struct line *line)
{
    struct cli *cli = &line->cli;

    for (size_t i = 0; cli->opts != NULL && i < cli->cmd->opt_count; i++) {
        if (cli->cmd->opts[i].kind == OPT_LIST) {
            struct cli_list *list = (void *)((char *)cli->opts + cli->cmd->opts[i].offset);
            free(list->items);
        }
    }
    config_free(cli->config);
    free(cli->opts);
    free(cli->operands);
    for (int i = 0; i < line->argc; i++) {
        free(line->argv[i]);
    }
}

DEFINE_AUTO_DONE(line, struct line, line_done)

/* Words separated by blanks; '~' stands for an empty word. */
static bool parse(struct line *line, const char *noun, const char *verb, const char *words,
                  struct err *err)
{
    AUTO(str) char *copy = strdup(words);
    char *save = NULL;

    *line = (struct line){.argc = 0};
    line->cli.cmd = cli_find(noun, verb);
    assert_non_null(line->cli.cmd);
    line->cli.opts = calloc(1, line->cli.cmd->opts_size + 1);
    assert_ok(config_parse("(options)", "", &line->cli.config, err), err);
    for (char *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        line->argv[line->argc++] = strdup(strcmp(word, "~") == 0 ? "" : word);
    }
    return cli_parse(&line->cli, line->argc, line->argv, err);
}

static void parses(struct line *line, const char *noun, const char *verb, const char *words)
{
    struct err err = ERR_INIT;

    assert_ok(parse(line, noun, verb, words, &err), &err);
}

static void refuses(const char *noun, const char *verb, const char *words, const char *message)
{
    AUTO(line) struct line line;
    struct err err = ERR_INIT;

    assert_fails(parse(&line, noun, verb, words, &err), &err, E_USAGE, message);
}

/* Forms */

static void test_nothing_is_nothing(void **state UNUSED)
{
    AUTO(line) struct line line;

    parses(&line, "key", "list", "");
    assert_false(line.cli.common.json);
    assert_null(line.cli.common.config_path);
    assert_int_equal(line.cli.operand_count, 0);
}

static void test_long_flag(void **state UNUSED)
{
    AUTO(line) struct line line;

    parses(&line, "key", "list", "--json --quiet");
    assert_true(line.cli.common.json);
    assert_true(line.cli.common.quiet);
    assert_false(line.cli.common.verbose);
}

static void test_long_option_with_its_value_behind(void **state UNUSED)
{
    AUTO(line) struct line line;

    parses(&line, "key", "list", "--config /x.conf --profile web");
    assert_string_equal(line.cli.common.config_path, "/x.conf");
    assert_string_equal(line.cli.common.profile, "web");
}

static void test_long_option_with_an_equals_sign(void **state UNUSED)
{
    AUTO(line) struct line line;

    parses(&line, "key", "list", "--config=/x=y.conf --profile=");
    assert_string_equal(line.cli.common.config_path, "/x=y.conf");
    assert_string_equal(line.cli.common.profile, "");
}

static void test_short_options(void **state UNUSED)
{
    AUTO(line) struct line line;

    parses(&line, "key", "list", "-jq -p web -tcard");
    assert_true(line.cli.common.json);
    assert_true(line.cli.common.quiet);
    assert_string_equal(line.cli.common.profile, "web");
    assert_string_equal(line.cli.common.token, "card");
}

static void test_short_option_behind_flags_takes_the_rest(void **state UNUSED)
{
    AUTO(line) struct line line;

    parses(&line, "key", "list", "-jpweb");
    assert_true(line.cli.common.json);
    assert_string_equal(line.cli.common.profile, "web");
}

static void test_value_may_begin_with_a_dash(void **state UNUSED)
{
    AUTO(line) struct line line;

    parses(&line, "key", "list", "--profile --json -t -q");
    assert_string_equal(line.cli.common.profile, "--json");
    assert_string_equal(line.cli.common.token, "-q");
    assert_false(line.cli.common.json);
}

static void test_value_may_be_empty(void **state UNUSED)
{
    AUTO(line) struct line line;

    parses(&line, "key", "list", "--profile ~");
    assert_string_equal(line.cli.common.profile, "");
}

static void test_last_of_several_values_counts(void **state UNUSED)
{
    AUTO(line) struct line line;

    parses(&line, "key", "list", "--profile a -p b");
    assert_string_equal(line.cli.common.profile, "b");
}

static void test_lists_keep_every_value(void **state UNUSED)
{
    AUTO(line) struct line line;

    parses(&line, "enroll", NULL, "--name a.b -n c.d --name=e.f -ng.h");
    const struct opts_enroll *opts = line.cli.opts;
    assert_int_equal(opts->names.count, 4);
    assert_string_equal(opts->names.items[0], "a.b");
    assert_string_equal(opts->names.items[1], "c.d");
    assert_string_equal(opts->names.items[2], "e.f");
    assert_string_equal(opts->names.items[3], "g.h");
}

static void test_options_of_the_command(void **state UNUSED)
{
    AUTO(line) struct line line;

    parses(&line, "enroll", NULL, "--again --key pkcs11:object=x --cert-out c.pem");
    const struct opts_enroll *opts = line.cli.opts;
    assert_true(opts->again);
    assert_string_equal(opts->key, "pkcs11:object=x");
    assert_string_equal(opts->cert_out, "c.pem");
    assert_null(opts->chain_out);
}

static void test_settings_are_options_too(void **state UNUSED)
{
    AUTO(line) struct line line;
    struct config_choice choice = {.profile = NULL};
    struct config_selection selection;
    struct err err = ERR_INIT;

    parses(&line, "enroll", NULL, "--module /m.so --org-id=7 --deadline 5m --key-type p256");
    assert_ok(config_select(line.cli.config, &choice, 0, &selection, &err), &err);
    assert_string_equal(selection.token->module, "/m.so");
    assert_int_equal(selection.ca->org_id, 7);
    assert_int_equal(selection.ca->poll_deadline_s, 300);
    assert_string_equal(selection.profile->key_type, "p256");
}

static void test_operands(void **state UNUSED)
{
    AUTO(line) struct line line;

    parses(&line, "key", "show", "--json pkcs11:object=x");
    assert_int_equal(line.cli.operand_count, 1);
    assert_string_equal(line.cli.operands[0], "pkcs11:object=x");
}

static void test_dash_alone_is_an_operand(void **state UNUSED)
{
    AUTO(line) struct line line;

    parses(&line, "key", "show", "-");
    assert_string_equal(line.cli.operands[0], "-");
}

static void test_empty_word_is_an_operand(void **state UNUSED)
{
    AUTO(line) struct line line;

    parses(&line, "key", "show", "~");
    assert_string_equal(line.cli.operands[0], "");
}

static void test_two_dashes_end_the_options(void **state UNUSED)
{
    AUTO(line) struct line line;

    parses(&line, "key", "show", "-j -- --json");
    assert_true(line.cli.common.json);
    assert_int_equal(line.cli.operand_count, 1);
    assert_string_equal(line.cli.operands[0], "--json");
}

static void test_help_needs_no_operands(void **state UNUSED)
{
    AUTO(line) struct line line;

    parses(&line, "key", "show", "--help");
    assert_true(line.cli.common.help);
}

/* What is refused */

static void test_unknown_long_option(void **state UNUSED)
{
    refuses("key", "list", "--jsn", "'key list' has no option --jsn");
    refuses("key", "list", "--js", "'key list' has no option --js");
    refuses("key", "list", "--json2", "has no option --json2");
    refuses("enroll", NULL, "--foo=bar", "'enroll' has no option --foo");
    refuses("key", "list", "--=x", "has no option --");
}

static void test_option_of_another_command(void **state UNUSED)
{
    refuses("key", "list", "--again", "'key list' has no option --again");
    refuses("key", "list", "--org-id 7", "'key list' has no option --org-id");
    refuses("version", NULL, "--module /m.so", "'version' has no option --module");
}

static void test_setting_by_the_name_in_the_file(void **state UNUSED)
{
    refuses("enroll", NULL, "--org_id 7", "has no option --org_id");
    refuses("enroll", NULL, "--state_dir x", "has no option --state_dir");
}

static void test_unknown_short_option(void **state UNUSED)
{
    refuses("key", "list", "-x", "there is no option -x");
    refuses("key", "list", "-jx", "there is no option -x");
    refuses("key", "list", "-n a", "there is no option -n");
}

static void test_missing_value(void **state UNUSED)
{
    refuses("key", "list", "--profile", "--profile needs a value");
    refuses("key", "list", "-jp", "-p needs a value");
    refuses("enroll", NULL, "--org-id", "--org-id needs a value");
    refuses("enroll", NULL, "--name", "--name needs a value");
}

static void test_value_for_a_flag(void **state UNUSED)
{
    refuses("key", "list", "--json=yes", "--json takes no value");
    refuses("key", "list", "--json=", "--json takes no value");
}

static void test_too_many_operands(void **state UNUSED)
{
    refuses("key", "list", "x", "'x' is not expected here");
    refuses("key", "show", "a b", "'b' is not expected here");
}

static void test_missing_operand(void **state UNUSED)
{
    refuses("key", "show", "", "URI is missing");
    refuses("order", "show", "--json", "ORDER is missing");
}

static void test_long_words_are_cut_in_messages(void **state UNUSED)
{
    refuses("key", "list", tmp_printf("--%0900d", 7), "has no option --000");
    refuses("key", "list", tmp_printf("%0900d", 7), "' is not expected here");
}

static void test_too_many_settings_are_refused(void **state UNUSED)
{
    AUTO(line) struct line line;
    struct err err = ERR_INIT;
    bool ok = true;

    parses(&line, "enroll", NULL, "");
    for (int i = 0; ok && i < 100; i++) {
        ok = config_override(line.cli.config, "org-id", "1", &err);
    }
    assert_false(ok);
    assert_contains(err.msg, "more than 64 options");
}

/* Tables */

static void test_commands_are_found(void **state UNUSED)
{
    assert_string_equal(cli_find("key", "list")->verb, "list");
    assert_null(cli_find("enroll", NULL)->verb);
    assert_null(cli_find("key", NULL));
    assert_null(cli_find("key", "lst"));
    assert_null(cli_find("keys", "list"));
    assert_null(cli_find("enroll", "x"));
    assert_true(cli_is_noun("order"));
    assert_true(cli_is_noun("enroll"));
    assert_false(cli_is_noun("list"));
}

static void test_commands_are_unique_and_complete(void **state UNUSED)
{
    for (size_t i = 0; i < cli_cmd_count; i++) {
        const struct cmd *cmd = &cli_cmds[i];
        assert_ptr_equal(cli_find(cmd->noun, cmd->verb), cmd);
        assert_true(strlen(cmd->summary) > 0);
        assert_non_null(cmd->run);
        assert_int_equal(cmd->operands == NULL, cmd->operands_max == 0);
        assert_true(cmd->operands_min <= cmd->operands_max);
        /* What must be chosen can be set. */
        assert_int_equal(cmd->need & ~cmd->settings, 0);
    }
}

static size_t times_named(const struct cmd *cmd, const char *name)
{
    const struct config_key *key;
    size_t common_count = 0;
    const struct opt *common = cli_common_opts(&common_count);
    size_t count = 0;

    for (size_t i = 0; i < cmd->opt_count; i++) {
        count += strcmp(cmd->opts[i].name, name) == 0 ? 1 : 0;
    }
    for (size_t i = 0; i < common_count; i++) {
        count += strcmp(common[i].name, name) == 0 ? 1 : 0;
    }
    for (size_t i = 0; (key = config_key_at(i)) != NULL; i++) {
        bool ours = (cmd->settings & CONFIG_NEED(key->section)) != 0;
        count += ours && str_equal(key->option, name) ? 1 : 0;
    }
    return count;
}

/* An option of a command that hides a setting could never be given. */
static void test_every_option_of_a_command_is_unique(void **state UNUSED)
{
    const struct config_key *key;
    size_t common_count = 0;
    const struct opt *common = cli_common_opts(&common_count);

    for (size_t c = 0; c < cli_cmd_count; c++) {
        const struct cmd *cmd = &cli_cmds[c];
        for (size_t i = 0; i < cmd->opt_count; i++) {
            assert_int_equal(times_named(cmd, cmd->opts[i].name), 1);
        }
        for (size_t i = 0; i < common_count; i++) {
            assert_int_equal(times_named(cmd, common[i].name), 1);
        }
        for (size_t i = 0; (key = config_key_at(i)) != NULL; i++) {
            bool ours = (cmd->settings & CONFIG_NEED(key->section)) != 0 && key->option != NULL;
            assert_true(!ours || times_named(cmd, key->option) == 1);
        }
    }
}

static void test_every_option_fits_its_struct(void **state UNUSED)
{
    for (size_t c = 0; c < cli_cmd_count; c++) {
        for (size_t i = 0; i < cli_cmds[c].opt_count; i++) {
            const struct opt *opt = &cli_cmds[c].opts[i];
            size_t size = opt->kind == OPT_FLAG   ? sizeof(bool)
                          : opt->kind == OPT_TEXT ? sizeof(char *)
                                                  : sizeof(struct cli_list);
            assert_true(opt->offset + size <= cli_cmds[c].opts_size);
            assert_int_equal(opt->argument == NULL, opt->kind == OPT_FLAG);
            assert_true(strlen(opt->help) > 0);
        }
    }
}

/* Help */

static const char *help_of(const struct cmd *cmd)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);

    if (cmd != NULL) {
        cli_help_cmd(file, cmd);
    } else {
        cli_help_all(file);
    }
    (void)fclose(file);
    const char *kept = tmp_printf("%s", text);
    free(text);
    return kept;
}

static void test_help_of_a_command_names_every_option(void **state UNUSED)
{
    const struct config_key *key;

    for (size_t c = 0; c < cli_cmd_count; c++) {
        const struct cmd *cmd = &cli_cmds[c];
        const char *help = help_of(cmd);
        assert_contains(help, "Usage: p11enroll ");
        for (size_t i = 0; i < cmd->opt_count; i++) {
            assert_contains(help, tmp_printf("--%s", cmd->opts[i].name));
        }
        for (size_t i = 0; (key = config_key_at(i)) != NULL; i++) {
            if (key->option != NULL && (cmd->settings & CONFIG_NEED(key->section)) != 0) {
                assert_contains(help, tmp_printf("--%s %s", key->option, key->argument));
            }
        }
    }
}

static void test_help_fits_a_terminal(void **state UNUSED)
{
    for (size_t c = 0; c <= cli_cmd_count; c++) {
        const char *line = help_of(c < cli_cmd_count ? &cli_cmds[c] : NULL);
        while (*line != '\0') {
            size_t len = strcspn(line, "\n");
            assert_true(len <= 80);
            line += len + (line[len] == '\n' ? 1 : 0);
        }
    }
}

static void test_help_of_the_program_names_every_command(void **state UNUSED)
{
    const char *help = help_of(NULL);

    for (size_t i = 0; i < cli_cmd_count; i++) {
        const struct cmd *cmd = &cli_cmds[i];
        assert_contains(help, tmp_printf("  %s%s%s", cmd->noun, cmd->verb != NULL ? " " : "",
                                         cmd->verb != NULL ? cmd->verb : ""));
    }
}

static void test_help_of_a_noun_names_its_commands_alone(void **state UNUSED)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);

    cli_help_noun(file, "key");
    (void)fclose(file);
    assert_contains(text, "key generate");
    assert_lacks(text, "order list");
    free(text);
}

static void test_completion_knows_every_command(void **state UNUSED)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);

    cli_completion(file);
    (void)fclose(file);
    for (size_t i = 0; i < cli_cmd_count; i++) {
        const struct cmd *cmd = &cli_cmds[i];
        assert_contains(text, tmp_printf("    '%s%s%s'", cmd->noun, cmd->verb != NULL ? " " : "",
                                         cmd->verb != NULL ? cmd->verb : ""));
    }
    free(text);
}

static void test_commands_of_one_noun_stand_together(void **state UNUSED)
{
    for (size_t i = 1; i < cli_cmd_count; i++) {
        for (size_t k = 0; k + 1 < i; k++) {
            bool same = strcmp(cli_cmds[k].noun, cli_cmds[i].noun) == 0;
            assert_true(!same || strcmp(cli_cmds[i - 1].noun, cli_cmds[i].noun) == 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_nothing),
        cmocka_unit_test(test_long_flag),
        cmocka_unit_test(test_long_option_with_its_value_behind),
        cmocka_unit_test(test_long_option_with_an_equals_sign),
        cmocka_unit_test(test_short_options),
        cmocka_unit_test(test_short_option_behind_flags_takes_the_rest),
        cmocka_unit_test(test_value_may_begin_with_a_dash),
        cmocka_unit_test(test_value_may_be_empty),
        cmocka_unit_test(test_last_of_several_values_counts),
        cmocka_unit_test(test_lists_keep_every_value),
        cmocka_unit_test(test_options_of_the_command),
        cmocka_unit_test(test_settings_are_options_too),
        cmocka_unit_test(test_operands),
        cmocka_unit_test(test_dash_alone_is_an_operand),
        cmocka_unit_test(test_empty_word_is_an_operand),
        cmocka_unit_test(test_two_dashes_end_the_options),
        cmocka_unit_test(test_help_needs_no_operands),
        cmocka_unit_test(test_unknown_long_option),
        cmocka_unit_test(test_option_of_another_command),
        cmocka_unit_test(test_setting_by_the_name_in_the_file),
        cmocka_unit_test(test_unknown_short_option),
        cmocka_unit_test(test_missing_value),
        cmocka_unit_test(test_value_for_a_flag),
        cmocka_unit_test(test_too_many_operands),
        cmocka_unit_test(test_missing_operand),
        cmocka_unit_test(test_long_words_are_cut_in_messages),
        cmocka_unit_test(test_too_many_settings_are_refused),
        cmocka_unit_test(test_commands_are_found),
        cmocka_unit_test(test_commands_are_unique_and_complete),
        cmocka_unit_test(test_every_option_of_a_command_is_unique),
        cmocka_unit_test(test_every_option_fits_its_struct),
        cmocka_unit_test(test_help_of_a_command_names_every_option),
        cmocka_unit_test(test_help_fits_a_terminal),
        cmocka_unit_test(test_help_of_the_program_names_every_command),
        cmocka_unit_test(test_help_of_a_noun_names_its_commands_alone),
        cmocka_unit_test(test_completion_knows_every_command),
        cmocka_unit_test(test_commands_of_one_noun_stand_together),
    };

    return UNIT_RUN(tests);
}
