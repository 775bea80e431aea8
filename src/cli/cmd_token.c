#include "cli/cli.h"

#include "base/log.h"
#include "base/str.h"
#include "cli/token.h"
#include "hsm/admin.h"
#include "hsm/ckr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hsm_access cli_access(const struct cli *cli)
{
    struct keystore_token token = app_token(cli->selection.token);
    struct hsm_access access;

    keystore_access(&token, &cli->secrets, &access);
    return access;
}

bool cli_token_open(const struct cli *cli, const char *uri, bool login, struct hsm_opened *out,
                    struct err *err)
{
    struct hsm_access access = cli_access(cli);

    return hsm_access_open(&access, uri, login, out, err);
}

bool cli_token_open_to(const struct cli *cli, enum hsm_purpose purpose, struct hsm_opened *out,
                       struct err *err)
{
    struct hsm_access access = cli_access(cli);

    return hsm_access_open_to(&access, NULL, purpose, out, err);
}

static const char *yes(bool value)
{
    return value ? "yes" : "no";
}

static const struct out_column token_columns[] = {
    {"label", "LABEL", 20, false},
    {"serial", "SERIAL", 16, false},
    {"manufacturer", "MANUFACTURER", 20, false},
    {"model", "MODEL", 16, false},
    {"initialized", "INIT", 4, false},
    {"pin", "PIN", 20, false},
    {"uri", NULL, 0, false},
};

struct listing {
    struct cli *cli;
    struct err *err;
};

static bool list_one(void *ctx, const struct hsm_token *token)
{
    struct listing *listing = ctx;
    const struct hsm_token_info *info = &token->info;
    AUTO(buf) struct buf uri = BUF_INIT(HSM_URI_MAX);

    if (info->initialized && !cli_token_uri_text(info, &uri, listing->err)) {
        return false;
    }
    const char *cells[] = {
        info->initialized ? info->label : NULL,
        info->serial,
        info->manufacturer,
        info->model,
        yes(info->initialized),
        info->initialized ? cli_pin_state(info) : NULL,
        info->initialized ? buf_str(&uri) : NULL,
    };
    out_row(&listing->cli->out, cells);
    return true;
}

static const struct out_column failed_columns[] = {
    {"slot", "SLOT THAT CANNOT BE READ", 40, false},
    {"call", "CALL", 16, false},
    {"reason", "REASON", 30, false},
    {"slot_id", NULL, 0, false},
};

static void list_failed(void *ctx, const struct hsm_failed_slot *slot)
{
    struct cli *cli = ctx;
    char id[24];

    (void)snprintf(id, sizeof(id), "%lu", (unsigned long)slot->slot_id);
    const char *cells[] = {slot->description[0] != '\0' ? slot->description : id, slot->call,
                           ckr_name(slot->rv), id};
    out_row(&cli->out, cells);
}

/* People see the table only if there is something in it. */
static void print_failed(struct cli *cli, struct hsm_module *module)
{
    if (!cli->common.json && hsm_module_failed_slots(module) == 0) {
        return;
    }
    out_table(&cli->out, "failed_slots", failed_columns, ARRAY_LEN(failed_columns), NULL);
    hsm_module_visit_failed_slots(module, list_failed, cli);
    out_table_end(&cli->out);
}

bool cmd_token_list(struct cli *cli, struct err *err)
{
    struct hsm_access access = cli_access(cli);
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct hsm_target target;
    struct hsm_module *module = NULL;
    struct listing listing = {.cli = cli, .err = err};

    if (!hsm_access_target(&access, &uri, &target, err) ||
        !hsm_target_module(&target, &module, err)) {
        return false;
    }
    cli_show_module(cli, module, false);
    out_table(&cli->out, "tokens", token_columns, ARRAY_LEN(token_columns),
              "The module has no token.");
    bool ok = hsm_module_visit_tokens(module, list_one, &listing, err);
    if (ok) {
        out_table_end(&cli->out);
        print_failed(cli, module);
    }
    return ok && err->code == E_NONE;
}

/* A token that is to be erased wants the security officer's PIN that it has. */
static bool get_so_pin(struct cli *cli, const struct opts_token_init *opts, struct secret *out,
                       struct err *err)
{
    if (!opts->erase) {
        return cli_new_pin(cli, opts->so_pin_source, "so-pin-source",
                           "new PIN of the security officer", out, err);
    }
    return cli_present_pin(cli, opts->so_pin_source, "so-pin-source",
                           "present PIN of the security officer", out, err);
}

bool cmd_token_init(struct cli *cli, struct err *err)
{
    const struct opts_token_init *opts = cli->opts;
    struct hsm_access access = cli_access(cli);
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    AUTO(secret) struct secret so_pin = SECRET_INIT;
    AUTO(secret) struct secret user_pin = SECRET_INIT;
    AUTO(buf) struct buf text = BUF_INIT(HSM_URI_MAX);
    char when[CLOCK_TEXT_SIZE];
    struct hsm_target target;
    struct hsm_token *token = NULL;
    const struct hsm_access configured = access;
    struct hsm_section section = hsm_access_section(&configured);

    if (opts->label == NULL) {
        return err_set(err, E_USAGE, "--label is missing");
    }
    if (!opts->erase) {
        /* The configured token is the one to come; only --erase names one that is there. */
        access.token_uri = NULL;
    }
    if (!hsm_access_target(&access, &uri, &target, err) || !get_so_pin(cli, opts, &so_pin, err) ||
        !cli_new_pin(cli, cli->selection.token->pin_source, "pin-source", "new user PIN", &user_pin,
                     err)) {
        return false;
    }
    struct hsm_token_init init = {
        .label = opts->label,
        .so_pin = &so_pin,
        .user_pin = &user_pin,
        .erase = opts->erase,
        .so_source = opts->so_pin_source != NULL ? opts->so_pin_source : "prompt",
        .try_again = cli->common.try_pin_again || opts->so_pin_source == NULL,
        .section = opts->erase && section.name != NULL ? &section : NULL,
    };
    int64_t earlier_s = 0;
    if (!hsm_token_initialise(&target, &init, &token, &earlier_s, err) ||
        !cli_token_uri_text(&token->info, &text, err)) {
        return false;
    }
    hsm_access_initialised(&configured, token);
    out_text(&cli->out, "label", "Label", token->info.label);
    out_text(&cli->out, "serial", "Serial", token->info.serial);
    out_text(&cli->out, "uri", "URI", buf_str(&text));
    if (earlier_s != 0) {
        clock_format(earlier_s, when);
        log_line(LOG_WARN, "token",
                 "the token was initialised at %s by a run that did not come to its end; what was "
                 "left is done now, and nothing was erased",
                 when);
    }
    out_time(&cli->out, "erased_earlier", NULL, earlier_s);
    return true;
}
