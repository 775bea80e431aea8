/* From a URI to a token that is logged in, for the store and for key generation: which module, and
 * where the PIN comes from. */
#ifndef PROVIDER_LOGIN_H
#define PROVIDER_LOGIN_H

#include "base/compiler.h"
#include "base/err.h"
#include "hsm/session.h"
#include "hsm/uri.h"
#include "provider/ctx.h"

#include <openssl/core.h>
#include <openssl/core_dispatch.h>

struct prov_login {
    struct prov_ctx *ctx;
    const struct hsm_uri *uri;
    OSSL_PASSPHRASE_CALLBACK *callback; /* how the application asks for a PIN; NULL: it does not */
    void *callback_arg;
};

/* The source of the PIN: the URI's own, else the configured one, else NULL. */
const char *prov_login_pin_source(const struct prov_ctx *ctx, const struct hsm_uri *uri);

/* The token that the URI means, not logged in. Fails as prov_ctx_check_default() and
 * hsm_token_open() do. */
bool prov_login_open(const struct prov_login *login, struct hsm_token **token,
                     struct err *err) NODISCARD;

/* Logs in, with a PIN from the URI's own value, its source, the configured source, or the
 * application, in that order. Fails as hsm_login() does. */
bool prov_login(struct prov_login *login, struct hsm_token *token, struct err *err) NODISCARD;

#endif
