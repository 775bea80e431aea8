#include "provider/pin.h"

#include "base/secret_source.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <stdio.h>
#include <string.h>

static bool ask_application(struct prov_pin *asking, const char *what, struct secret *pin,
                            struct err *err)
{
    char buffer[SECRET_MAX];
    size_t len = 0;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PASSPHRASE_PARAM_INFO, (char *)(uintptr_t)what, 0),
        OSSL_PARAM_END,
    };

    if (asking->callback == NULL) {
        return err_set(err, E_PIN_NEEDED,
                       "there is no %s: name where it comes from with pin-source", what);
    }
    bool given =
        asking->callback(buffer, sizeof(buffer), &len, params, asking->callback_arg) == 1 &&
        len > 0;
    bool ok = given ? secret_set(pin, buffer, len, err)
                    : err_set(err, E_PIN_NEEDED, "the application gave no %s", what);
    /* A callback that fails may have written something before. */
    explicit_bzero(buffer, sizeof(buffer));
    return ok;
}

static bool prompt_application(void *ctx, const char *what, struct secret *out, struct err *err)
{
    return ask_application(ctx, what, out, err);
}

/* Whom the configured PIN is for, if not for this token: "token", "module"; NULL: for this one. */
static const char *other_addressee(const struct prov_pin *asking,
                                   const struct hsm_token_info *token)
{
    const struct prov_ctx *prov = asking->prov;

    if (!prov_ctx_is_configured_module(prov, asking->uri->module_path)) {
        return "module"; /* which may say of itself that its token is the one */
    }
    return prov->token == NULL || hsm_token_info_matches(token, prov->token) ? NULL : "token";
}

static bool read_configured(struct prov_pin *asking, const char *what, struct secret *pin,
                            struct err *err)
{
    const struct prov_ctx *prov = asking->prov;
    struct secret_policy policy = {
        .allow_env = prov->allow_env_secrets, .prompt = prompt_application, .prompt_ctx = asking};

    return secret_is_set(&prov->pin)
               ? secret_copy(pin, &prov->pin, err)
               : secret_source_read(prov->pin_source, what, &policy, pin, err);
}

static bool has_configured(const struct prov_ctx *prov)
{
    return secret_is_set(&prov->pin) || prov->pin_source != NULL;
}

bool prov_pin_get(struct prov_pin *asking, const struct hsm_token_info *token, struct secret *pin,
                  struct err *err)
{
    const struct prov_ctx *prov = asking->prov;
    struct secret_policy policy = {
        .allow_env = prov->allow_env_secrets, .prompt = prompt_application, .prompt_ctx = asking};
    const char *other = has_configured(prov) ? other_addressee(asking, token) : NULL;
    char what[128];

    (void)snprintf(what, sizeof(what), "PIN of %s", hsm_token_name(token));
    if (secret_is_set(&asking->uri->pin_value)) {
        return secret_copy(pin, &asking->uri->pin_value, err);
    }
    if (asking->uri->pin_source != NULL) {
        return secret_source_read(asking->uri->pin_source, what, &policy, pin, err);
    }
    if (has_configured(prov) && other == NULL) {
        return read_configured(asking, what, pin, err);
    }
    return ask_application(asking, what, pin, err) ||
           (other != NULL &&
            err_wrap(err, "the configured PIN is for another %s, and is not sent to this one",
                     other));
}

/* hsm_pin_fn */
static bool get_pin(void *ctx, const struct hsm_token_info *token, struct secret *pin,
                    struct err *err)
{
    return prov_pin_get(ctx, token, pin, err);
}

static bool asks_a_person(const struct prov_pin *pin)
{
    const struct hsm_uri *uri = pin->uri;
    const struct prov_ctx *prov = pin->prov;
    bool ours = prov_ctx_is_configured_module(prov, uri->module_path);
    const char *configured = ours ? prov->pin_source : NULL;
    const char *source = uri->pin_source != NULL ? uri->pin_source : configured;

    if (pin->callback == NULL || secret_is_set(&uri->pin_value) ||
        (uri->pin_source == NULL && ours && secret_is_set(&prov->pin))) {
        return false;
    }
    return source == NULL || secret_source_is_prompt(source);
}

struct hsm_pin prov_pin_rules(struct prov_pin *pin)
{
    const char *source =
        pin->uri->pin_source != NULL ? pin->uri->pin_source : pin->prov->pin_source;

    return (struct hsm_pin){.get = get_pin,
                            .ctx = pin,
                            .source = source,
                            .interactive = asks_a_person(pin),
                            .keep = pin->prov->keeps_pin};
}
