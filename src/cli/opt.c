#include "cli/cli.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

enum { HELP_COLUMN = 28, HELP_WIDTH = 78 };

#define COMMON(field) offsetof(struct cli_common, field)

/* clang-format off */
static const struct opt common_opts[] = {
    {"config", 0, OPT_TEXT, "FILE", COMMON(config_path), "configuration file (default: see p11enroll.conf(5))"},
    {"profile", 'p', OPT_TEXT, "NAME", COMMON(profile), "profile of the configuration"},
    {"ca", 0, OPT_TEXT, "NAME", COMMON(ca), "CA section of the configuration"},
    {"token", 't', OPT_TEXT, "NAME", COMMON(token), "token section of the configuration"},
    {"json", 'j', OPT_FLAG, NULL, COMMON(json), "print the result as JSON"},
    {"quiet", 'q', OPT_FLAG, NULL, COMMON(quiet), "no progress on stderr"},
    {"verbose", 'v', OPT_FLAG, NULL, COMMON(verbose), "log what is done (level debug)"},
    {"log-level", 0, OPT_TEXT, "LEVEL", COMMON(log_level), "error, warn, info, debug or trace (default: warn)"},
    {"log-file", 0, OPT_TEXT, "FILE", COMMON(log_file), "append the log to a file as well"},
    {"try-pin-again", 0, OPT_FLAG, NULL, COMMON(try_pin_again), "send a PIN although the last one was wrong"},
    {"help", 'h', OPT_FLAG, NULL, COMMON(help), "show this help"},
};
/* clang-format on */

const struct opt *cli_common_opts(size_t *count)
{
    *count = ARRAY_LEN(common_opts);
    return common_opts;
}

bool cli_is_noun(const char *noun)
{
    for (size_t i = 0; i < cli_cmd_count; i++) {
        if (str_equal(cli_cmds[i].noun, noun)) {
            return true;
        }
    }
    return false;
}

const struct cmd *cli_find(const char *noun, const char *verb)
{
    for (size_t i = 0; i < cli_cmd_count; i++) {
        if (str_equal(cli_cmds[i].noun, noun) && str_equal(cli_cmds[i].verb, verb)) {
            return &cli_cmds[i];
        }
    }
    return NULL;
}

/* Parsing */

/* An option of one of the two tables, or a setting of the configuration. */
struct found {
    const struct opt *opt;
    void *base;
    const char *setting; /* name of a setting's option */
};

static const struct opt *by_name(const struct opt *opts, size_t count, const char *name, size_t len)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(opts[i].name) == len && strncmp(opts[i].name, name, len) == 0) {
            return &opts[i];
        }
    }
    return NULL;
}

static const struct opt *by_letter(const struct opt *opts, size_t count, char letter)
{
    for (size_t i = 0; i < count; i++) {
        if (opts[i].letter == letter) {
            return &opts[i];
        }
    }
    return NULL;
}

static const char *setting_of(const struct cmd *cmd, const char *name, size_t len)
{
    const struct config_key *key;

    for (size_t i = 0; (key = config_key_at(i)) != NULL; i++) {
        bool ours = (cmd->settings & CONFIG_NEED(key->section)) != 0 && key->option != NULL;
        if (ours && strlen(key->option) == len && strncmp(key->option, name, len) == 0) {
            return key->option;
        }
    }
    return NULL;
}

static bool find_long(struct cli *cli, const char *name, size_t len, struct found *out,
                      struct err *err)
{
    *out = (struct found){.opt = by_name(cli->cmd->opts, cli->cmd->opt_count, name, len),
                          .base = cli->opts};
    if (out->opt == NULL) {
        out->opt = by_name(common_opts, ARRAY_LEN(common_opts), name, len);
        out->base = &cli->common;
    }
    if (out->opt == NULL) {
        out->setting = setting_of(cli->cmd, name, len);
    }
    if (out->opt != NULL || out->setting != NULL) {
        return true;
    }
    return err_set(err, E_USAGE, "'%s%s%s' has no option --%.*s", cli->cmd->noun,
                   cli->cmd->verb != NULL ? " " : "", cli->cmd->verb != NULL ? cli->cmd->verb : "",
                   len < 60 ? (int)len : 60, name);
}

ANALYZER_LOSES_OWNER
static bool add_to_list(struct cli_list *list, const char *value, struct err *err)
{
    const char **grown = reallocarray(list->items, list->count + 1, sizeof(*grown));

    if (grown == NULL) {
        return err_nomem(err);
    }
    list->items = grown;
    list->items[list->count++] = value;
    return true;
}
ANALYZER_LOSES_OWNER_END

static bool store(struct cli *cli, const struct found *found, const char *value, struct err *err)
{
    if (found->setting != NULL) {
        return config_override(cli->config, found->setting, value, err);
    }
    void *field = (char *)found->base + found->opt->offset;
    switch (found->opt->kind) {
    case OPT_FLAG:
        *(bool *)field = true;
        break;
    case OPT_TEXT:
        *(const char **)field = value;
        break;
    case OPT_LIST:
        return add_to_list(field, value, err);
    }
    return true;
}

static bool wants_value(const struct found *found)
{
    return found->setting != NULL || found->opt->kind != OPT_FLAG;
}

/* --name value, --name=value */
static bool parse_long(struct cli *cli, int argc, char **argv, int *at, struct err *err)
{
    const char *name = argv[*at] + 2;
    const char *equals = strchr(name, '=');
    size_t len = equals != NULL ? (size_t)(equals - name) : strlen(name);
    struct found found;

    if (!find_long(cli, name, len, &found, err)) {
        return false;
    }
    if (!wants_value(&found)) {
        return equals == NULL ? store(cli, &found, NULL, err)
                              : err_set(err, E_USAGE, "--%.*s takes no value", (int)len, name);
    }
    if (equals != NULL) {
        return store(cli, &found, equals + 1, err);
    }
    if (*at + 1 >= argc) {
        return err_set(err, E_USAGE, "--%s needs a value", name);
    }
    (*at)++;
    return store(cli, &found, argv[*at], err);
}

/* -n VALUE, -nVALUE, -jq */
static bool parse_short(struct cli *cli, int argc, char **argv, int *at, struct err *err)
{
    for (const char *p = argv[*at] + 1; *p != '\0'; p++) {
        struct found found = {.opt = by_letter(cli->cmd->opts, cli->cmd->opt_count, *p),
                              .base = cli->opts};
        if (found.opt == NULL) {
            found.opt = by_letter(common_opts, ARRAY_LEN(common_opts), *p);
            found.base = &cli->common;
        }
        if (found.opt == NULL) {
            return err_set(err, E_USAGE, "there is no option -%c", *p);
        }
        if (!wants_value(&found)) {
            if (!store(cli, &found, NULL, err)) {
                return false;
            }
            continue;
        }
        if (p[1] != '\0') {
            return store(cli, &found, p + 1, err);
        }
        if (*at + 1 >= argc) {
            return err_set(err, E_USAGE, "-%c needs a value", *p);
        }
        (*at)++;
        return store(cli, &found, argv[*at], err);
    }
    return true;
}

static bool check_operands(const struct cli *cli, struct err *err)
{
    const struct cmd *cmd = cli->cmd;

    if (cli->common.help ||
        (cli->operand_count >= cmd->operands_min && cli->operand_count <= cmd->operands_max)) {
        return true;
    }
    if (cli->operand_count < cmd->operands_min) {
        return err_set(err, E_USAGE, "%s is missing", cmd->operands);
    }
    return err_set(err, E_USAGE, "'%.60s' is not expected here", cli->operands[cmd->operands_max]);
}

bool cli_parse(struct cli *cli, int argc, char **argv, struct err *err)
{
    bool only_operands = false;

    cli->operands = calloc((size_t)argc + 1, sizeof(*cli->operands));
    if (cli->operands == NULL) {
        return err_nomem(err);
    }
    for (int at = 0; at < argc; at++) {
        const char *arg = argv[at];
        bool ok = true;
        if (only_operands || arg[0] != '-' || arg[1] == '\0') {
            cli->operands[cli->operand_count++] = arg;
        } else if (str_equal(arg, "--")) {
            only_operands = true;
        } else if (arg[1] == '-') {
            ok = parse_long(cli, argc, argv, &at, err);
        } else {
            ok = parse_short(cli, argc, argv, &at, err);
        }
        if (!ok) {
            return false;
        }
    }
    return check_operands(cli, err);
}

/* Help */

static void wrapped(FILE *file, const char *text, size_t column)
{
    size_t at = column;

    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (at > column && at + 1 + word > HELP_WIDTH) {
            (void)fprintf(file, "\n%*s", (int)column, "");
            at = column;
        } else if (at > column) {
            (void)fputc(' ', file);
            at++;
        }
        (void)fprintf(file, "%.*s", (int)word, text);
        at += word;
        text += word;
        text += strspn(text, " ");
    }
    (void)fputc('\n', file);
}

static void help_line(FILE *file, const char *left, const char *right)
{
    int used = fprintf(file, "  %s", left);

    if (used >= HELP_COLUMN) {
        (void)fprintf(file, "\n");
        used = 0;
    }
    (void)fprintf(file, "%*s", HELP_COLUMN - used, "");
    wrapped(file, right, HELP_COLUMN);
}

static void help_opt(FILE *file, const struct opt *opt)
{
    char left[96];
    char letter[8] = "    ";

    if (opt->letter != '\0') {
        (void)snprintf(letter, sizeof(letter), "-%c, ", opt->letter);
    }
    (void)snprintf(left, sizeof(left), "%s--%s%s%s", letter, opt->name,
                   opt->argument != NULL ? " " : "", opt->argument != NULL ? opt->argument : "");
    help_line(file, left, opt->help);
}

static void help_settings(FILE *file, const struct cmd *cmd)
{
    const struct config_key *key;
    bool any = false;

    for (size_t i = 0; (key = config_key_at(i)) != NULL; i++) {
        char left[96];
        AUTO(buf) struct buf text = BUF_INIT(1024);
        if (key->option == NULL || (cmd->settings & CONFIG_NEED(key->section)) == 0) {
            continue;
        }
        if (!any) {
            (void)fprintf(file, "\nSettings of the configuration, for this run:\n");
            any = true;
        }
        (void)snprintf(left, sizeof(left), "    --%s %s", key->option, key->argument);
        buf_add_str(&text, key->help);
        if (key->preset != NULL) {
            buf_addf(&text, " (default: %s)", key->preset);
        }
        help_line(file, left, buf_str(&text));
    }
}

static void full_name(const struct cmd *cmd, char out[static 64])
{
    (void)snprintf(out, 64, "%s%s%s", cmd->noun, cmd->verb != NULL ? " " : "",
                   cmd->verb != NULL ? cmd->verb : "");
}

void cli_help_cmd(FILE *file, const struct cmd *cmd)
{
    char name[64];

    full_name(cmd, name);
    (void)fprintf(file, "Usage: p11enroll %s [OPTION]...%s%s\n\n", name,
                  cmd->operands != NULL ? " " : "", cmd->operands != NULL ? cmd->operands : "");
    wrapped(file, cmd->summary, 0);
    (void)fprintf(file, "\nOptions:\n");
    for (size_t i = 0; i < cmd->opt_count; i++) {
        help_opt(file, &cmd->opts[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(common_opts); i++) {
        help_opt(file, &common_opts[i]);
    }
    help_settings(file, cmd);
}

static void help_commands(FILE *file, const char *noun)
{
    for (size_t i = 0; i < cli_cmd_count; i++) {
        char name[64];
        if (noun == NULL || str_equal(noun, cli_cmds[i].noun)) {
            full_name(&cli_cmds[i], name);
            help_line(file, name, cli_cmds[i].summary);
        }
    }
}

void cli_help_noun(FILE *file, const char *noun)
{
    (void)fprintf(file, "Usage: p11enroll %s COMMAND [OPTION]...\n\nCommands:\n", noun);
    help_commands(file, noun);
    (void)fprintf(file, "\n'p11enroll %s COMMAND --help' shows the options of one.\n", noun);
}

/* What cli_main() does by itself. */
static const struct {
    const char *name, *operands, *summary;
} own[] = {{"help", " [COMMAND]", "show help"},
           {"completion", "", "print a completion script for bash"}};

bool cli_help_own(FILE *file, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        if (str_equal(own[i].name, name)) {
            (void)fprintf(file, "Usage: p11enroll %s%s\n\n%s\n", name, own[i].operands,
                          own[i].summary);
            return true;
        }
    }
    return false;
}

void cli_help_all(FILE *file)
{
    (void)fprintf(file, "Usage: p11enroll COMMAND [OPTION]...\n\n"
                        "Certificates for keys that live in PKCS#11 tokens.\n\nCommands:\n");
    help_commands(file, NULL);
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        char left[32];
        (void)snprintf(left, sizeof(left), "%s%s", own[i].name, own[i].operands);
        help_line(file, left, own[i].summary);
    }
    (void)fprintf(file,
                  "\n'p11enroll COMMAND --help' shows the options of one. See p11enroll(1).\n");
}

/* Completion */

/* A line of a case statement: the words that complete one command. */
static void completion_case(FILE *file, const struct cmd *cmd)
{
    const struct config_key *key;
    char name[64];

    full_name(cmd, name);
    /* A command without a verb may already be followed by its first option. */
    (void)fprintf(file, "    '%s'%s) words='", name, cmd->verb == NULL ? "*" : "");
    for (size_t i = 0; i < cmd->opt_count; i++) {
        (void)fprintf(file, "--%s ", cmd->opts[i].name);
    }
    for (size_t i = 0; i < ARRAY_LEN(common_opts); i++) {
        (void)fprintf(file, "--%s ", common_opts[i].name);
    }
    for (size_t i = 0; (key = config_key_at(i)) != NULL; i++) {
        if (key->option != NULL && (cmd->settings & CONFIG_NEED(key->section)) != 0) {
            (void)fprintf(file, "--%s ", key->option);
        }
    }
    (void)fprintf(file, "' ;;\n");
}

static bool begins_noun(size_t i)
{
    return i == 0 || !str_equal(cli_cmds[i].noun, cli_cmds[i - 1].noun);
}

static void completion_nouns(FILE *file)
{
    (void)fprintf(file, "  if [ \"$COMP_CWORD\" -eq 1 ]; then words='help completion");
    for (size_t i = 0; i < cli_cmd_count; i++) {
        if (begins_noun(i)) {
            (void)fprintf(file, " %s", cli_cmds[i].noun);
        }
    }
    (void)fprintf(file, "'; fi\n");
}

static void completion_verbs(FILE *file)
{
    (void)fprintf(file, "  if [ \"$COMP_CWORD\" -eq 2 ]; then case \"${COMP_WORDS[1]}\" in\n");
    for (size_t i = 0; i < cli_cmd_count; i++) {
        if (cli_cmds[i].verb == NULL) {
            continue;
        }
        if (begins_noun(i)) {
            (void)fprintf(file, "    %s) words='", cli_cmds[i].noun);
        }
        (void)fprintf(file, "%s ", cli_cmds[i].verb);
        if (i + 1 == cli_cmd_count || begins_noun(i + 1)) {
            (void)fprintf(file, "' ;;\n");
        }
    }
    (void)fprintf(file, "  esac; fi\n");
}

void cli_completion(FILE *file)
{
    (void)fprintf(file, "# bash completion for p11enroll; printed by 'p11enroll completion'\n"
                        "_p11enroll() {\n"
                        "  local cur=${COMP_WORDS[COMP_CWORD]} words=\n"
                        "  case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n");
    for (size_t i = 0; i < cli_cmd_count; i++) {
        completion_case(file, &cli_cmds[i]);
    }
    (void)fprintf(file, "  esac\n");
    completion_nouns(file);
    completion_verbs(file);
    (void)fprintf(file, "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
                        "}\n"
                        "complete -o default -F _p11enroll p11enroll\n");
}
