#include "hsm/access.h"

#include <stdio.h>
#include <string.h>

void hsm_opened_done(struct hsm_opened *opened)
{
    hsm_uri_done(&opened->uri);
    opened->token = NULL;
}

struct pin_request {
    const struct secret_policy *secrets;
    const char *source;
};

static bool get_pin(void *ctx, const struct hsm_token_info *token, struct secret *pin,
                    struct err *err)
{
    const struct pin_request *request = ctx;
    char what[128];

    (void)snprintf(what, sizeof(what), "PIN of %s", hsm_token_name(token));
    return secret_source_read(request->source, what, request->secrets, pin, err);
}

static bool parse(const char *text, const char *what, struct hsm_uri *uri, struct err *err)
{
    if (!hsm_uri_parse(text, uri, err)) {
        return what[0] == '\0' ? false : err_wrap(err, "%s", what);
    }
    if (secret_is_set(&uri->pin_value)) {
        return err_set(err, E_USAGE,
                       "a PIN does not belong into a URI, where others can read it; "
                       "name its source instead ('pin_source', --pin-source or pin-source=)");
    }
    return true;
}

/* What the URI does not say about the token comes from the configuration's. */
static bool complete(struct hsm_uri *uri, const char *token_uri, struct err *err)
{
    AUTO(hsm_uri) struct hsm_uri configured = {0};

    if (token_uri == NULL) {
        return true;
    }
    if (!parse(token_uri, "the token's 'uri'", &configured, err)) {
        return false;
    }
    if (hsm_uri_names_token(uri)) {
        return true;
    }
    uri->token = TAKE(configured.token);
    uri->manufacturer = TAKE(configured.manufacturer);
    uri->serial = TAKE(configured.serial);
    uri->model = TAKE(configured.model);
    uri->slot_description = TAKE(configured.slot_description);
    uri->slot_manufacturer = TAKE(configured.slot_manufacturer);
    uri->has_slot_id = configured.has_slot_id;
    uri->slot_id = configured.slot_id;
    if (uri->module_path == NULL) {
        uri->module_path = TAKE(configured.module_path);
    }
    if (uri->pin_source == NULL) {
        uri->pin_source = TAKE(configured.pin_source);
    }
    return true;
}

static struct hsm_target target_of(const struct hsm_access *access, const struct hsm_uri *uri)
{
    return (struct hsm_target){
        .module_path = uri->module_path != NULL ? uri->module_path : access->module_path,
        .init_args = access->init_args,
        .uri = uri,
    };
}

bool hsm_access_target(const struct hsm_access *access, struct hsm_uri *uri,
                       struct hsm_target *target, struct err *err)
{
    memset(uri, 0, sizeof(*uri));
    if (!complete(uri, access->token_uri, err)) {
        return false;
    }
    *target = target_of(access, uri);
    return true;
}

bool hsm_access_open(const struct hsm_access *access, const char *uri, bool login,
                     struct hsm_opened *out, struct err *err)
{
    memset(out, 0, sizeof(*out));
    if (uri != NULL && !parse(uri, "", &out->uri, err)) {
        return false;
    }
    if (!complete(&out->uri, access->token_uri, err)) {
        return false;
    }
    struct hsm_target target = target_of(access, &out->uri);
    if (!hsm_token_open(&target, &out->token, err)) {
        return false;
    }
    out->pin_source = out->uri.pin_source != NULL  ? out->uri.pin_source
                      : access->pin_source != NULL ? access->pin_source
                                                   : "prompt";
    struct pin_request request = {.secrets = access->secrets, .source = out->pin_source};
    struct hsm_pin pin = {
        .get = get_pin, .ctx = &request, .interactive = secret_source_is_prompt(out->pin_source)};
    return !login || hsm_login(out->token, &pin, err);
}
