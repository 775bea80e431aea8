#include "hsm/access.h"

#include "base/log.h"
#include "base/str.h"
#include "hsm/quirks.h"
#include "hsm/role.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void hsm_opened_done(struct hsm_opened *opened)
{
    hsm_uri_done(&opened->uri);
    opened->token = NULL;
}

struct pin_request {
    const struct secret_policy *secrets;
    const char *source;
    bool is_other_token; /* the configured source is for another one */
};

static bool get_pin(void *ctx, const struct hsm_token_info *token, struct secret *pin,
                    struct err *err)
{
    const struct pin_request *request = ctx;
    char what[128];

    (void)snprintf(what, sizeof(what), "PIN of %s", hsm_token_name(token));
    if (secret_source_read(request->source, what, request->secrets, pin, err)) {
        return true;
    }
    return request->is_other_token
               ? err_wrap(err,
                          "the configured PIN source is for another token, and is not used for "
                          "this one (name a source with --pin-source, or with pin-source= in "
                          "the URI)")
               : false;
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

static bool is_configured_module(const struct hsm_access *access, const struct hsm_uri *uri)
{
    if (uri->module_path == NULL || access->module_path == NULL) {
        return true;
    }
    AUTO(str) char *wanted = realpath(uri->module_path, NULL);
    AUTO(str) char *configured = realpath(access->module_path, NULL);
    return wanted != NULL && str_equal(wanted, configured);
}

static bool target_of(const struct hsm_access *access, const struct hsm_uri *uri,
                      struct hsm_target *out, struct err *err)
{
    bool is_configured = is_configured_module(access, uri);
    unsigned quirks = 0;

    if (!hsm_quirks_parse(access->quirks, &quirks, err)) {
        return err_wrap(err, "the token's section");
    }
    *out = (struct hsm_target){
        .module_path = uri->module_path != NULL ? uri->module_path : access->module_path,
        .init_args = is_configured ? access->init_args : NULL,
        .quirks = is_configured ? quirks : 0,
        .uri = uri,
    };
    return true;
}

static bool is_configured_token(const struct hsm_access *access, const struct hsm_opened *opened)
{
    AUTO(hsm_uri) struct hsm_uri configured = {0};
    struct err ignored = ERR_INIT;

    if (!is_configured_module(access, &opened->uri)) {
        return false;
    }
    return access->token_uri == NULL || (parse(access->token_uri, "", &configured, &ignored) &&
                                         hsm_token_matches(opened->token, &configured));
}

/* Which PIN source is in force: the URI's own, else the configured one if this is its token. */
static void choose_pin_source(const struct hsm_access *access, struct hsm_opened *out,
                              bool *is_other_token)
{
    out->pin_source = "prompt";
    *is_other_token = false;
    if (out->uri.pin_source != NULL) {
        out->pin_source = out->uri.pin_source;
    } else if (access->pin_source != NULL) {
        *is_other_token = !access->pin_source_is_deliberate && !is_configured_token(access, out);
        out->pin_source = *is_other_token ? "prompt" : access->pin_source;
    }
}

struct hsm_section hsm_access_section(const struct hsm_access *access)
{
    return (struct hsm_section){.name = access->section, .uri = access->token_uri};
}

bool hsm_access_check_identity(const struct hsm_access *access, const struct hsm_opened *opened,
                               struct err *err)
{
    struct hsm_section section = hsm_access_section(access);
    bool known = false;

    return access->section == NULL || !is_configured_token(access, opened) ||
           hsm_identity_check(&section, &opened->token->info, &known, err);
}

/* After a login, which showed that it is the right token. A memory that cannot be written is no
 * reason to stop: the next login asks again. */
static bool remember_identity(const struct hsm_access *access, const struct hsm_opened *opened)
{
    struct hsm_section section = hsm_access_section(access);
    struct err err = ERR_INIT;
    bool known = false;

    if (access->section == NULL || !is_configured_token(access, opened)) {
        return true;
    }
    if (!hsm_identity_check(&section, &opened->token->info, &known, &err) ||
        (!known && !hsm_identity_remember(&section, &opened->token->info, &err))) {
        log_line(LOG_WARN, "hsm", "%s is not remembered: %s", hsm_token_name(&opened->token->info),
                 err.msg);
    }
    return true;
}

void hsm_access_initialised(const struct hsm_access *access, struct hsm_token *token)
{
    struct hsm_section section = hsm_access_section(access);
    struct hsm_opened opened = {.token = token};
    struct err err = ERR_INIT;

    if (access->section != NULL && is_configured_token(access, &opened) &&
        !hsm_identity_remember(&section, &token->info, &err)) {
        log_line(LOG_WARN, "hsm", "%s is not remembered: %s", hsm_token_name(&token->info),
                 err.msg);
    }
}

bool hsm_access_accept(const struct hsm_access *access, const struct hsm_opened *opened,
                       struct hsm_identity *before, struct err *err)
{
    struct hsm_section section = hsm_access_section(access);

    if (access->section == NULL || !is_configured_token(access, opened)) {
        return err_set(err, E_USAGE, "no [token:NAME] section of the configuration means %s",
                       hsm_token_name(&opened->token->info));
    }
    return hsm_identity_read(&section, before, err) &&
           hsm_identity_remember(&section, &opened->token->info, err);
}

bool hsm_access_target(const struct hsm_access *access, struct hsm_uri *uri,
                       struct hsm_target *target, struct err *err)
{
    memset(uri, 0, sizeof(*uri));
    if (!complete(uri, access->token_uri, err)) {
        return false;
    }
    return target_of(access, uri, target, err);
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
    struct hsm_target target;
    if (!target_of(access, &out->uri, &target, err) || !hsm_token_open(&target, &out->token, err)) {
        return false;
    }
    struct pin_request request = {.secrets = access->secrets};
    choose_pin_source(access, out, &request.is_other_token);
    request.source = out->pin_source;
    struct hsm_pin pin = {.get = get_pin,
                          .ctx = &request,
                          .interactive = secret_source_is_prompt(out->pin_source),
                          .deliberate = access->pin_source_is_deliberate,
                          .again = access->try_pin_again,
                          .source = out->pin_source};
    if (!login) {
        return true;
    }
    return hsm_access_check_identity(access, out, err) && hsm_login(out->token, &pin, err) &&
           remember_identity(access, out);
}

static bool wants_so(const struct hsm_access *access, enum hsm_purpose purpose)
{
    switch (purpose) {
    case HSM_TO_GENERATE:
        return access->so_generates;
    case HSM_TO_WRITE_CERTIFICATES:
        return access->so_writes_certificates;
    case HSM_TO_USE:
        break;
    }
    return false;
}

static bool get_so_pin(void *ctx, const struct hsm_token_info *token, struct secret *pin,
                       struct err *err)
{
    const struct pin_request *request = ctx;
    char what[128];

    (void)snprintf(what, sizeof(what), "PIN of the security officer of %s", hsm_token_name(token));
    return secret_source_read(request->source, what, request->secrets, pin, err) ||
           err_wrap(err, "the configuration wants the security officer for this: name the PIN's "
                         "source with 'so_pin_source'");
}

bool hsm_access_open_to(const struct hsm_access *access, const char *uri, enum hsm_purpose purpose,
                        struct hsm_opened *out, struct err *err)
{
    struct pin_request request = {.secrets = access->secrets,
                                  .source = access->so_pin_source != NULL ? access->so_pin_source
                                                                          : "prompt"};

    if (!wants_so(access, purpose)) {
        return hsm_access_open(access, uri, true, out, err);
    }
    if (!hsm_access_open(access, uri, false, out, err)) {
        return false;
    }
    if (!is_configured_token(access, out)) {
        hsm_opened_done(out);
        return hsm_access_open(access, uri, true, out, err);
    }
    struct hsm_pin pin = {.get = get_so_pin,
                          .ctx = &request,
                          .interactive = secret_source_is_prompt(request.source),
                          .again = access->try_pin_again,
                          .source = request.source};
    return hsm_access_check_identity(access, out, err) && hsm_login_as_so(out->token, &pin, err) &&
           remember_identity(access, out);
}

bool hsm_access_explain_role(const struct hsm_access *access, enum hsm_purpose purpose,
                             struct err *err)
{
    const char *setting = purpose == HSM_TO_GENERATE ? "generate_as" : "write_certificates_as";

    if (purpose == HSM_TO_USE) {
        return false;
    }
    if (wants_so(access, purpose) &&
        (err->native == CKR_USER_NOT_LOGGED_IN || err->native == CKR_USER_TYPE_INVALID)) {
        (void)err_wrap(err,
                       "the security officer was logged in, as '%s = so' says, and this token "
                       "wants its user for it (leave the setting out)",
                       setting);
    } else if (err->native == CKR_USER_TYPE_INVALID) {
        (void)err_wrap(err,
                       "this token wants the security officer for it ('%s = so' and "
                       "'so_pin_source' in the token's section)",
                       setting);
    }
    return false;
}
