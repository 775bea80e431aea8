#include "cli/cli.h"

#include "base/str.h"
#include "cli/token.h"
#include "hsm/admin.h"

#include <stdio.h>
#include <string.h>

bool cli_present_pin(struct cli *cli, const char *source, const char *option, const char *what,
                     struct secret *out, struct err *err)
{
    if (secret_source_read(source != NULL ? source : "prompt", what, &cli->secrets, out, err)) {
        return out->len > 0 || err_set(err, E_PIN_NEEDED, "the %s is empty (--%s)", what, option);
    }
    return source != NULL || err->code != E_PIN_NEEDED ? false : err_wrap(err, "give --%s", option);
}

bool cli_new_pin(struct cli *cli, const char *source, const char *option, const char *what,
                 struct secret *out, struct err *err)
{
    AUTO(secret) struct secret again = SECRET_INIT;
    char repeat[96];

    if (!cli_present_pin(cli, source, option, what, out, err)) {
        return false;
    }
    if (memchr(out->data, '\0', out->len) != NULL) {
        return err_set(err, E_USAGE, "the %s contains a NUL byte", what);
    }
    if (source != NULL && !secret_source_is_prompt(source)) {
        return true;
    }
    (void)snprintf(repeat, sizeof(repeat), "%s, again", what);
    if (!cli_present_pin(cli, source, option, repeat, &again, err)) {
        return false;
    }
    return secret_equal(out, &again) || err_set(err, E_USAGE, "the two entries differ");
}

/* The actions of 'token pin': whose PIN is sent, whose is set. */
static const struct pin_action {
    const char *name;
    enum hsm_pin_work_kind kind;
    const char *done; /* what the result says */
} actions[] = {
    {"change", HSM_PIN_CHANGE, "changed"},
    {"set", HSM_PIN_SET, "set"},
    {"unblock", HSM_PIN_SET, "unblocked"},
    {"change-so", HSM_PIN_CHANGE_SO, "changed"},
};

static const struct pin_action *find_action(const char *name, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (str_equal(actions[i].name, name)) {
            return &actions[i];
        }
    }
    (void)err_set(err, E_USAGE, "'%.40s' is none of change, set, unblock, change-so", name);
    return NULL;
}

/* Where the present PIN comes from, and whether somebody means it. */
static struct hsm_pin source_of(const struct cli *cli, const struct pin_action *action,
                                const struct hsm_opened *opened)
{
    const struct opts_token_pin *opts = cli->opts;
    bool of_so = action->kind != HSM_PIN_CHANGE;
    const char *so_source = opts->so_pin_source != NULL ? opts->so_pin_source : "prompt";
    const char *source = of_so ? so_source : opened->pin_source;

    return (struct hsm_pin){
        .interactive = secret_source_is_prompt(source),
        .deliberate = of_so || cli->selection.token->pin_source_is_option,
        .again = cli->common.try_pin_again,
        .source = source,
    };
}

static bool read_pins(struct cli *cli, const struct pin_action *action,
                      const struct hsm_token *token, const struct hsm_pin *how,
                      struct secret *present, struct secret *fresh, struct err *err)
{
    const struct opts_token_pin *opts = cli->opts;
    bool of_so = action->kind != HSM_PIN_CHANGE;
    bool for_so = action->kind == HSM_PIN_CHANGE_SO;

    if (token->info.pin_pad) {
        return true; /* they are typed there */
    }
    return cli_present_pin(
               cli, how->interactive ? NULL : how->source, of_so ? "so-pin-source" : "pin-source",
               of_so ? "present PIN of the security officer" : "present user PIN", present, err) &&
           cli_new_pin(cli, for_so ? opts->new_so_pin_source : opts->new_pin_source,
                       for_so ? "new-so-pin-source" : "new-pin-source",
                       for_so ? "new PIN of the security officer" : "new user PIN", fresh, err) &&
           hsm_pin_check_length(token, fresh, for_so, err);
}

bool cmd_token_pin(struct cli *cli, struct err *err)
{
    const struct pin_action *action = find_action(cli->operands[0], err);
    AUTO(hsm_opened) struct hsm_opened opened = {.token = NULL};
    AUTO(secret) struct secret present = SECRET_INIT;
    AUTO(secret) struct secret fresh = SECRET_INIT;

    if (action == NULL || !cli_token_open(cli, NULL, false, &opened, err)) {
        return false;
    }
    struct hsm_pin how = source_of(cli, action, &opened);
    struct hsm_pin_work work = {
        .kind = action->kind, .how = &how, .present = &present, .fresh = &fresh};
    struct hsm_access access = cli_access(cli);
    if (!hsm_access_check_identity(&access, &opened, err) ||
        !hsm_pin_work_ready(opened.token, action->kind, &how, err) ||
        !read_pins(cli, action, opened.token, &how, &present, &fresh, err) ||
        !hsm_pin_do(opened.token, &work, err)) {
        return false;
    }
    out_text(&cli->out, "label", "Label", opened.token->info.label);
    out_text(&cli->out, "serial", "Serial", opened.token->info.serial);
    out_text(&cli->out, "pin_of", "PIN of",
             action->kind == HSM_PIN_CHANGE_SO ? "security officer" : "user");
    out_text(&cli->out, "result", "It was", action->done);
    out_bool(&cli->out, "verified", "Verified by login", true);
    return true;
}
