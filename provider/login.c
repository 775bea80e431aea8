#include "provider/login.h"

#include "base/secret_source.h"
#include "hsm/slot.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <stdio.h>
#include <string.h>

static bool ask_application(void *ctx, const char *what, struct secret *pin, struct err *err)
{
    const struct prov_login *login = ctx;
    char buffer[SECRET_MAX];
    size_t len = 0;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PASSPHRASE_PARAM_INFO, (char *)(uintptr_t)what, 0),
        OSSL_PARAM_END,
    };

    if (login->callback == NULL) {
        return err_set(err, E_PIN_NEEDED,
                       "there is no %s: name where it comes from with pin-source", what);
    }
    if (login->callback(buffer, sizeof(buffer), &len, params, login->callback_arg) != 1) {
        return err_set(err, E_PIN_NEEDED, "the application gave no %s", what);
    }
    bool ok = secret_set(pin, buffer, len, err);
    explicit_bzero(buffer, sizeof(buffer));
    return ok;
}

const char *prov_login_pin_source(const struct prov_ctx *ctx, const struct hsm_uri *uri)
{
    return uri->pin_source != NULL ? uri->pin_source : ctx->pin_source;
}

/* An hsm_pin_fn. */
static bool get_pin(void *ctx, const struct hsm_token_info *token, struct secret *pin,
                    struct err *err)
{
    struct prov_login *login = ctx;
    const char *source = prov_login_pin_source(login->ctx, login->uri);
    struct secret_policy policy = {
        .allow_env = login->ctx->allow_env_secrets, .prompt = ask_application, .prompt_ctx = login};
    char what[128];

    (void)snprintf(what, sizeof(what), "PIN of %s", hsm_token_name(token));
    if (secret_is_set(&login->uri->pin_value)) {
        return secret_copy(pin, &login->uri->pin_value, err);
    }
    if (source != NULL) {
        return secret_source_read(source, what, &policy, pin, err);
    }
    return ask_application(login, what, pin, err);
}

static bool asks_a_person(const struct prov_login *login)
{
    const char *source = prov_login_pin_source(login->ctx, login->uri);

    return login->callback != NULL && !secret_is_set(&login->uri->pin_value) &&
           (source == NULL || secret_source_is_prompt(source));
}

bool prov_login_open(const struct prov_login *login, struct hsm_token **token, struct err *err)
{
    const char *module = login->uri->module_path;
    struct hsm_target target = {
        .module_path = module != NULL ? module : login->ctx->module_path,
        .init_args = login->ctx->init_args,
        .uri = login->uri,
    };

    return prov_ctx_check_default(login->ctx, err) && hsm_token_open(&target, token, err);
}

bool prov_login(struct prov_login *login, struct hsm_token *token, struct err *err)
{
    struct hsm_pin pin = {.get = get_pin, .ctx = login, .interactive = asks_a_person(login)};

    return hsm_login(token, &pin, err);
}
