#include "cli/cli.h"

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void cli_done(struct cli *cli)
{
    keystore_free(cli->keystore);
    config_free(cli->config);
    free(cli->state_dir);
    if (cli->opts != NULL) {
        for (size_t i = 0; i < cli->cmd->opt_count; i++) {
            if (cli->cmd->opts[i].kind == OPT_LIST) {
                struct cli_list *list = (void *)((char *)cli->opts + cli->cmd->opts[i].offset);
                free(list->items);
            }
        }
    }
    free(cli->opts);
    free(cli->operands);
}

DEFINE_AUTO_DONE(cli, struct cli, cli_done)

/* Messages quote CAs, tokens and files: nothing in them may move the cursor. Our own line ends
 * stay.
 */
static void print_safe(FILE *file, const char *text)
{
    AUTO(buf) struct buf safe = BUF_INIT(5 * sizeof(((struct err *)NULL)->msg));

    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        str_add_quotable(&safe, text, len, len);
        text += len;
        if (*text == '\n') {
            buf_add_byte(&safe, '\n');
            text++;
        }
    }
    (void)fputs(buf_str(&safe), file);
}

enum { HINT_SIZE = 256 };

/* What to do next; with the number of the order where it is about one. */
static void hint_of(const struct cli *cli, const struct err *err, char out[static HINT_SIZE])
{
    static const char words[] = "'p11enroll order wait";
    const char *hint = err_code_hint(err->code);
    const char *at = cli->order_id != 0 ? strstr(hint, words) : NULL;

    if (at == NULL) {
        (void)snprintf(out, HINT_SIZE, "%s", hint);
        return;
    }
    size_t before = (size_t)(at - hint) + strlen(words);
    (void)snprintf(out, HINT_SIZE, "%.*s %lld%s", (int)before, hint, (long long)cli->order_id,
                   hint + before);
}

static void report(const struct err *err, const char *hint)
{
    (void)fputs("p11enroll: ", stderr);
    print_safe(stderr, err->msg);
    (void)fputc('\n', stderr);
    if (hint[0] != '\0') {
        (void)fprintf(stderr, "  %s\n", hint);
    }
}

static bool choose_log(const struct cli_common *common, struct err *err)
{
    enum log_level level = common->verbose ? LOG_DEBUG : LOG_WARN;

    if (common->log_level != NULL && !log_level_parse(common->log_level, &level)) {
        return err_set(err, E_USAGE,
                       "--log-level: '%.40s' is none of error, warn, info, debug, trace",
                       common->log_level);
    }
    log_set_level(level);
    return common->log_file == NULL || log_open_file(common->log_file, err);
}

/* The home directory: the environment's, else the user database's. NULL: there is none. */
static char *home_dir(void)
{
    char text[4096];
    struct passwd entry;
    struct passwd *found = NULL;
    const char *home = getenv("HOME");

    if (home == NULL || home[0] != '/') {
        bool there =
            getpwuid_r(geteuid(), &entry, text, sizeof(text), &found) == 0 && found != NULL;
        home = there ? entry.pw_dir : NULL;
    }
    return home != NULL && home[0] == '/' ? str_dup(home) : NULL;
}

/* NULL if there is no place that would be found again. */
static char *default_state_dir(void)
{
    const char *base = getenv("XDG_STATE_HOME");

    if (geteuid() == 0) {
        return str_dup("/var/lib/p11enroll");
    }
    if (base != NULL && base[0] == '/') {
        return file_join(base, "p11enroll");
    }
    AUTO(str) char *home = home_dir();
    return home != NULL ? file_join(home, ".local/state/p11enroll") : NULL;
}

/*
 * The options were parsed with an empty configuration, which remembered the settings among them;
 * the real one is read now and takes them over.
 */
static bool load_config(struct cli *cli, struct err *err)
{
    struct config *given = cli->config;
    struct config_choice choice = {.profile = cli->common.profile,
                                   .ca = cli->common.ca,
                                   .token = cli->common.token,
                                   .try_pin_again = cli->common.try_pin_again};

    cli->config = NULL;
    bool ok = config_read(cli->common.config_path, &cli->config, err);
    if (ok) {
        config_move_overrides(cli->config, given);
    }
    config_free(given);
    if (!ok || !config_select(cli->config, &choice, cli->cmd->need, &cli->selection, err)) {
        return false;
    }
    const char *dir = cli->selection.general->state_dir;
    cli->state_dir = dir != NULL ? str_dup(dir) : default_state_dir();
    cli->secrets.allow_env = cli->selection.general->allow_env_secrets;
    return dir == NULL || cli->state_dir != NULL || err_nomem(err);
}

bool cli_journal(struct cli *cli, struct journal **out, struct err *err)
{
    if (cli->state_dir == NULL) {
        return err_set(err, E_CONFIG,
                       "there is no place for the order journal; name one with 'state_dir'");
    }
    return out == NULL || journal_open(cli->state_dir, &cli->clock, out, err);
}

bool cli_app(struct cli *cli, struct err *err)
{
    if (cli->keystore == NULL) {
        struct keystore_settings settings = {.provider_init = cli->env->provider_init,
                                             .secrets = cli->secrets};
        if (!keystore_new(&settings, &cli->keystore, err)) {
            return false;
        }
    }
    cli->app = (struct app){.config = cli->config,
                            .selection = cli->selection,
                            .keystore = cli->keystore,
                            .secrets = cli->secrets,
                            .clock = &cli->clock,
                            .stop = cli->env->stop,
                            .state_dir = cli->state_dir,
                            .progress = cli_progress,
                            .progress_ctx = cli};
    return true;
}

static void full_name(const struct cmd *cmd, char out[static 64])
{
    (void)snprintf(out, 64, "%s%s%s", cmd->noun, cmd->verb != NULL ? " " : "",
                   cmd->verb != NULL ? cmd->verb : "");
}

static bool prepare(struct cli *cli, int argc, char **argv, struct err *err)
{
    cli->opts = calloc(1, cli->cmd->opts_size + 1);
    if (cli->opts == NULL) {
        return err_nomem(err);
    }
    return config_parse("(options)", "", &cli->config, err) && cli_parse(cli, argc, argv, err);
}

/* What is missing in a configuration that is not there is missing for that reason. */
static bool no_file(const struct cli *cli, struct err *err)
{
    AUTO(str) char *places = NULL;

    if (err->code == E_CONFIG && cli->config != NULL && config_path(cli->config) == NULL) {
        places = config_places();
    }
    return places == NULL ? false
                          : err_wrap(err, "no configuration file was read (there is %s)", places);
}

/* Everything between the parsed options and the command's own work. */
static bool run(struct cli *cli, struct err *err)
{
    if (!choose_log(&cli->common, err)) {
        return false;
    }
    return (load_config(cli, err) &&
            cli->env->setup_tokens(cli->selection.general, cli->state_dir, err) &&
            cli->cmd->run(cli, err)) ||
           no_file(cli, err);
}

/* Prints result and failure; the exit status is the failure's. */
static int finish(struct cli *cli, bool ok, struct err *err)
{
    struct err writing = ERR_INIT;
    char hint[HINT_SIZE];

    if (!ok && cli_is_plugin(cli->cmd)) {
        cli_plugin_failed(&cli->out, err);
    }
    if (!ok) {
        hint_of(cli, err, hint);
        out_error(&cli->out, err, hint);
    }
    if (!out_end(&cli->out, &writing) && ok) {
        *err = writing;
        ok = false;
    }
    if (ok) {
        return cli->plugin_status;
    }
    hint_of(cli, err, hint);
    report(err, hint);
    return cli_is_plugin(cli->cmd) ? (int)ALERT_UNKNOWN : err_code_exit_status(err->code);
}

/* Whether JSON is asked for, also if the rest of the command line is not understood. */
static bool wants_json(int argc, char **argv)
{
    for (int i = 0; i < argc && !str_equal(argv[i], "--"); i++) {
        if (str_equal(argv[i], "--json") || str_equal(argv[i], "-j")) {
            return true;
        }
    }
    return false;
}

/* After text on stdout that is not a command's result: a full disk must not look like success. */
static int printed(void)
{
    struct err err = ERR_INIT;

    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        return 0;
    }
    (void)err_set_errno(&err, E_IO, errno, "writing the result");
    report(&err, err_code_hint(err.code));
    return err_code_exit_status(err.code);
}

static int run_command(const struct cli_env *env, const struct cmd *cmd, int argc, char **argv)
{
    AUTO(cli)
    struct cli cli = {.env = env, .cmd = cmd, .clock = clock_system(env->stop), .shown_state = -1};
    struct err err = ERR_INIT;
    char name[64];

    cli.secrets.prompt = cli_prompt;
    cli.secrets.prompt_ctx = (void *)(uintptr_t)env->stop;
    cli.tty = isatty(STDERR_FILENO) == 1;
    bool parsed = prepare(&cli, argc, argv, &err);
    if (parsed && cli.common.help) {
        cli_help_cmd(stdout, cmd);
        return printed();
    }
    if (cli.common.json || (!parsed && wants_json(argc, argv))) {
        out_init_json(&cli.out, stdout);
    } else {
        out_init_human(&cli.out, stdout);
    }
    full_name(cmd, name);
    out_begin(&cli.out, name);
    return finish(&cli, parsed && run(&cli, &err), &err);
}

static int usage(const char *fmt, const char *word)
{
    struct err err = ERR_INIT;

    (void)err_set(&err, E_USAGE, "%s '%.60s'", fmt, word);
    report(&err, err_code_hint(err.code));
    return err_code_exit_status(err.code);
}

static bool is_help(const char *word)
{
    return str_equal(word, "help") || str_equal(word, "--help") || str_equal(word, "-h");
}

/* "help", "help key", "help key list", "key --help" */
static int help(const char *noun, const char *verb)
{
    const struct cmd *cmd = noun != NULL ? cli_find(noun, verb) : NULL;

    if (noun == NULL) {
        cli_help_all(stdout);
    } else if (cmd != NULL) {
        cli_help_cmd(stdout, cmd);
    } else if (cli_is_noun(noun) && verb == NULL) {
        cli_help_noun(stdout, noun);
    } else if (verb != NULL || !cli_help_own(stdout, noun)) {
        return usage("there is no command", verb != NULL ? verb : noun);
    }
    return printed();
}

int cli_main(const struct cli_env *env, int argc, char **argv)
{
    const char *noun = argc > 1 ? argv[1] : NULL;
    const char *verb = argc > 2 && argv[2][0] != '-' ? argv[2] : NULL;

    if (noun == NULL) {
        cli_help_all(stderr);
        return err_code_exit_status(E_USAGE);
    }
    if (is_help(noun)) {
        return help(verb, verb != NULL && argc > 3 ? argv[3] : NULL);
    }
    if (str_equal(noun, "--version")) {
        noun = "version";
    }
    if (str_equal(noun, "completion")) {
        if (argc > 2 && is_help(argv[2])) {
            return help(noun, NULL);
        }
        cli_completion(stdout);
        return printed();
    }
    const struct cmd *cmd = cli_find(noun, NULL);
    if (cmd != NULL) {
        return run_command(env, cmd, argc - 2, argv + 2);
    }
    if (!cli_is_noun(noun)) {
        return usage("there is no command", noun);
    }
    if (argc > 2 && is_help(argv[2])) {
        return help(noun, NULL);
    }
    if (verb == NULL) {
        cli_help_noun(stderr, noun);
        return err_code_exit_status(E_USAGE);
    }
    cmd = cli_find(noun, verb);
    if (cmd == NULL) {
        char both[128];
        (void)snprintf(both, sizeof(both), "%.60s %.60s", noun, verb);
        return usage("there is no command", both);
    }
    return run_command(env, cmd, argc - 3, argv + 3);
}
