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
    if (asking->callback(buffer, sizeof(buffer), &len, params, asking->callback_arg) != 1) {
        return err_set(err, E_PIN_NEEDED, "the application gave no %s", what);
    }
    bool ok = secret_set(pin, buffer, len, err);
    explicit_bzero(buffer, sizeof(buffer));
    return ok;
}

static bool prompt_application(void *ctx, const char *what, struct secret *out, struct err *err)
{
    return ask_application(ctx, what, out, err);
}

/* Whether the configured PIN is for this token. */
static bool is_configured_token(const struct prov_ctx *prov, const struct hsm_token_info *token)
{
    return prov->token == NULL || hsm_token_info_matches(token, prov->token);
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
    char what[128];

    (void)snprintf(what, sizeof(what), "PIN of %s", hsm_token_name(token));
    if (secret_is_set(&asking->uri->pin_value)) {
        return secret_copy(pin, &asking->uri->pin_value, err);
    }
    if (asking->uri->pin_source != NULL) {
        return secret_source_read(asking->uri->pin_source, what, &policy, pin, err);
    }
    if (has_configured(prov) && is_configured_token(prov, token)) {
        return read_configured(asking, what, pin, err);
    }
    return ask_application(asking, what, pin, err) ||
           (has_configured(prov) &&
            err_wrap(err, "the configured PIN is for another token, and is not sent to this one"));
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
    const char *source = uri->pin_source != NULL ? uri->pin_source : pin->prov->pin_source;

    if (pin->callback == NULL || secret_is_set(&uri->pin_value) ||
        (uri->pin_source == NULL && secret_is_set(&pin->prov->pin))) {
        return false;
    }
    return source == NULL || secret_source_is_prompt(source);
}

struct hsm_pin prov_pin_rules(struct prov_pin *pin)
{
    return (struct hsm_pin){.get = get_pin,
                            .ctx = pin,
                            .interactive = asks_a_person(pin),
                            .keep = pin->prov->keeps_pin};
}
