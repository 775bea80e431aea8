#include "cli/cli.h"

#include "base/str.h"
#include "cli/token.h"
#include "hsm/alg.h"

#include <stdio.h>
#include <stdlib.h>

bool cli_token_uri_text(const struct hsm_token_info *info, struct buf *out, struct err *err)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};

    if (!hsm_token_uri(info, &uri, err)) {
        return false;
    }
    hsm_uri_format(&uri, out);
    return buf_ok(out) || err_nomem(err);
}

void cli_show_module(struct cli *cli, const struct hsm_module *module, bool labels)
{
    AUTO(buf) struct buf quirks = BUF_INIT(256);

    hsm_quirks_format(hsm_module_quirks(module), &quirks);
    out_text(&cli->out, "module", labels ? "Module" : NULL, hsm_module_path(module));
    out_text(&cli->out, "module_description", labels ? "Module says" : NULL,
             hsm_module_description(module));
    out_text(&cli->out, "module_quirks", labels ? "Module quirks" : NULL,
             hsm_module_quirks(module) != 0 ? buf_str(&quirks) : NULL);
}

/* The flags go from worst to best. "Count low" says that a wrong PIN was sent since the last right
 * one, and not how many tries are left. */
const char *cli_pin_state(const struct hsm_token_info *info)
{
    return !info->user_pin_set            ? "not set"
           : info->user_pin_locked        ? "locked"
           : info->user_pin_final         ? "one try left"
           : info->user_pin_low           ? "a wrong PIN was sent"
           : info->user_pin_to_be_changed ? "must be changed"
                                          : "ok";
}

static const char *so_pin_state(const struct hsm_token_info *info)
{
    return info->so_pin_locked          ? "locked"
           : info->so_pin_final         ? "one try left"
           : info->so_pin_low           ? "a wrong PIN was sent"
           : info->so_pin_to_be_changed ? "must be changed"
                                        : "ok";
}

static const struct out_column mechanism_columns[] = {
    {"uses", "FOR", 20, false},       {"mechanism", "MECHANISM", 34, false},
    {"key_sizes", "KEYS", 18, false}, {"hardware", "HARDWARE", 8, false},
    {"id", "ID", 12, false},
};

/* What a mechanism is listed under: the first of these that it is for. */
enum purpose { GENERATE, SIGN, DECRYPT, DERIVE, NOTHING_KNOWN, PURPOSES };

static enum purpose purpose_of(const struct hsm_mechanism *m)
{
    return m->generates  ? GENERATE
           : m->signs    ? SIGN
           : m->decrypts ? DECRYPT
           : m->derives  ? DERIVE
                         : NOTHING_KNOWN;
}

static void add_use(struct buf *out, bool is_so, const char *word)
{
    if (is_so) {
        buf_addf(out, "%s%s", out->len > 0 ? ", " : "", word);
    }
}

static void print_mechanism(struct cli *cli, const struct hsm_mechanism *m, const char *name)
{
    AUTO(buf) struct buf uses = BUF_INIT(64);
    char sizes[48] = "";
    char id[24];

    add_use(&uses, m->generates, "generate");
    add_use(&uses, m->signs, "sign");
    add_use(&uses, m->decrypts, "decrypt");
    add_use(&uses, m->derives, "derive");
    if (m->max_size > 0) {
        (void)snprintf(sizes, sizeof(sizes), "%lu to %lu", m->min_size, m->max_size);
    }
    (void)snprintf(id, sizeof(id), "0x%lx", (unsigned long)m->type);
    const char *hardware = m->in_hardware ? "yes" : "no";
    const char *cells[] = {uses.len > 0 ? buf_str(&uses) : NULL, name,
                           sizes[0] != '\0' ? sizes : NULL, m->known ? hardware : NULL, id};
    out_row(&cli->out, cells);
}

static bool print_mechanisms(struct cli *cli, const struct hsm_token *token, struct err *err)
{
    CK_MECHANISM_TYPE *list = NULL;
    size_t count = 0;
    size_t others = 0;

    if (!hsm_token_mechanisms(token, &list, &count, err)) {
        return false;
    }
    struct hsm_mechanism *all = calloc(count + 1, sizeof(*all));
    if (all == NULL) {
        free(list);
        return err_nomem(err);
    }
    for (size_t i = 0; i < count; i++) {
        bool is_named = hsm_mechanism_name(list[i]) != NULL;
        others += is_named ? 0 : 1;
        if (is_named) {
            hsm_token_mechanism(token, list[i], &all[i]);
        }
    }
    out_table(&cli->out, "mechanisms", mechanism_columns, ARRAY_LEN(mechanism_columns), NULL);
    for (int purpose = 0; purpose < PURPOSES; purpose++) {
        for (size_t i = 0; i < count; i++) {
            const char *name = hsm_mechanism_name(list[i]);
            if (name != NULL && (int)purpose_of(&all[i]) == purpose) {
                print_mechanism(cli, &all[i], name);
            }
        }
    }
    out_table_end(&cli->out);
    out_number(&cli->out, "other_mechanisms", "Other mechanisms", (int64_t)others);
    free(all);
    free(list);
    return true;
}

static void print_limits(struct cli *cli, const struct hsm_token_limits *limits)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "%u.%u", limits->hardware.major, limits->hardware.minor);
    out_text(&cli->out, "hardware_version", "Hardware", text);
    (void)snprintf(text, sizeof(text), "%u.%u", limits->firmware.major, limits->firmware.minor);
    out_text(&cli->out, "firmware_version", "Firmware", text);
    (void)snprintf(text, sizeof(text), "%lu to %lu characters", limits->min_pin, limits->max_pin);
    out_text(&cli->out, "pin_length", "PIN length", text);
    if (limits->max_sessions >= 0) {
        out_number(&cli->out, "max_sessions", "Sessions at most", limits->max_sessions);
    }
    if (limits->open_sessions >= 0) {
        out_number(&cli->out, "open_sessions", "Sessions open", limits->open_sessions);
    }
    if (limits->free_public_memory >= 0) {
        out_number(&cli->out, "free_public_memory", "Free memory", limits->free_public_memory);
    }
}

bool cmd_token_info(struct cli *cli, struct err *err)
{
    AUTO(hsm_opened) struct hsm_opened opened = {.token = NULL};
    AUTO(buf) struct buf uri = BUF_INIT(HSM_URI_MAX);
    struct hsm_token_limits limits;

    if (!cli_token_open(cli, NULL, false, &opened, err) || !hsm_token_refresh(opened.token, err) ||
        !hsm_token_limits(opened.token, &limits, err) ||
        !cli_token_uri_text(&opened.token->info, &uri, err)) {
        return false;
    }
    const struct hsm_token_info *info = &opened.token->info;
    out_text(&cli->out, "label", "Label", info->label);
    out_text(&cli->out, "serial", "Serial", info->serial);
    out_text(&cli->out, "manufacturer", "Manufacturer", info->manufacturer);
    out_text(&cli->out, "model", "Model", info->model);
    out_text(&cli->out, "uri", "URI", buf_str(&uri));
    cli_show_module(cli, opened.token->module, true);
    out_text(&cli->out, "pin", "User PIN", cli_pin_state(info));
    out_text(&cli->out, "so_pin", "PIN of the SO", so_pin_state(info));
    out_bool(&cli->out, "pin_pad", "PIN pad", info->pin_pad);
    out_bool(&cli->out, "login_required", "Login required", info->login_required);
    out_bool(&cli->out, "write_protected", "Write-protected", info->write_protected);
    print_limits(cli, &limits);
    return print_mechanisms(cli, opened.token, err);
}
