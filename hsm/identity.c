#include "hsm/identity.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "hsm/module.h"
#include "hsm/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char folder[] = "tokens";

static char *record_path(const struct hsm_section *section)
{
    const char *const parts[] = {section->name, section->uri};

    return hsm_record_path(folder, parts, ARRAY_LEN(parts), ".token");
}

static void copy_value(char *out, size_t size, const char *value)
{
    (void)snprintf(out, size, "%.*s", (int)(size - 1), value);
}

/* hsm_record_line_fn */
static void take_line(void *ctx, const char *name, const char *value)
{
    struct hsm_identity *out = ctx;

    if (str_equal(name, "label")) {
        copy_value(out->label, sizeof(out->label), value);
    } else if (str_equal(name, "manufacturer")) {
        copy_value(out->manufacturer, sizeof(out->manufacturer), value);
    } else if (str_equal(name, "model")) {
        copy_value(out->model, sizeof(out->model), value);
    } else if (str_equal(name, "serial")) {
        copy_value(out->serial, sizeof(out->serial), value);
    }
}

bool hsm_identity_read(const struct hsm_section *section, struct hsm_identity *out, struct err *err)
{
    AUTO(str) char *path = record_path(section);
    struct hsm_identity identity = {.known = false};

    if (path == NULL) {
        *out = identity;
        return hsm_process_state_dir() == NULL || err_nomem(err);
    }
    if (!hsm_record_read(path, take_line, &identity, &identity.known, err)) {
        return err_wrap(err, "what is remembered of the token of [token:%s]", section->name);
    }
    *out = identity;
    return true;
}

static bool is_same(const struct hsm_identity *known, const struct hsm_token_info *info)
{
    return str_equal(known->label, info->label) && str_equal(known->serial, info->serial) &&
           str_equal(known->model, info->model) &&
           str_equal(known->manufacturer, info->manufacturer);
}

bool hsm_identity_check(const struct hsm_section *section, const struct hsm_token_info *info,
                        bool *known, struct err *err)
{
    struct hsm_identity identity;

    if (!hsm_identity_read(section, &identity, err)) {
        return false;
    }
    *known = identity.known;
    if (!identity.known || is_same(&identity, info)) {
        return true;
    }
    return err_set(err, E_TOKEN_MISSING,
                   "[token:%s] was used with the token '%s' (serial %s, model %s, of %s), and in "
                   "its place is '%s' (serial %s, model %s, of %s): no PIN is sent to it; if that "
                   "is the right one, 'p11enroll token accept --token %s' says so",
                   section->name, identity.label, identity.serial, identity.model,
                   identity.manufacturer, info->label, info->serial, info->model,
                   info->manufacturer, section->name);
}

bool hsm_identity_remember(const struct hsm_section *section, const struct hsm_token_info *info,
                           struct err *err)
{
    AUTO(str) char *path = record_path(section);
    AUTO(buf) struct buf text = BUF_INIT(HSM_RECORD_MAX);

    if (path == NULL) {
        return hsm_process_state_dir() == NULL || err_nomem(err);
    }
    buf_add_str(&text, "# The token of this section; 'p11enroll token accept' replaces it.\n");
    hsm_record_add(&text, "section", section->name);
    hsm_record_add(&text, "uri", section->uri != NULL ? section->uri : "");
    hsm_record_add(&text, "label", info->label);
    hsm_record_add(&text, "manufacturer", info->manufacturer);
    hsm_record_add(&text, "model", info->model);
    hsm_record_add(&text, "serial", info->serial);
    return hsm_record_write(path, folder, &text, err);
}
