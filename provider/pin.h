/*
 * Where the PIN of a token comes from, in other people's programs: the URI's own value, its source,
 * the configured source, and the application's passphrase callback, in that order.
 */
#ifndef PROVIDER_PIN_H
#define PROVIDER_PIN_H

#include "hsm/session.h"
#include "hsm/uri.h"
#include "provider/ctx.h"

#include <openssl/core.h>
#include <openssl/core_dispatch.h>

/* What the rules look at; all borrowed. It must outlive the struct hsm_pin made of it. */
struct prov_pin {
    struct prov_ctx *prov;
    const struct hsm_uri *uri;
    OSSL_PASSPHRASE_CALLBACK *callback; /* NULL: the application cannot be asked */
    void *callback_arg;
};

/*
 * The PIN for one login to that token. The configured one goes to the configured token alone
 * ("token" in openssl.cnf); where no token is configured, to the one that is named. E_PIN_NEEDED,
 * and what reading a source fails with.
 */
bool prov_pin_get(struct prov_pin *asking, const struct hsm_token_info *token, struct secret *pin,
                  struct err *err) NODISCARD;

/* The rules in the form that hsm_login() takes. */
struct hsm_pin prov_pin_rules(struct prov_pin *pin);

#endif
