/* The provider context: what the core gave us, and what the configuration says. One per library
 * context. */
#ifndef PROVIDER_CTX_H
#define PROVIDER_CTX_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/types.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { PROV_REJECTION_BYTES = 32 };

struct prov_ctx {
    const OSSL_CORE_HANDLE *handle;
    OSSL_LIB_CTX *libctx; /* a child of the application's: hashing and verification happen there */

    OSSL_FUNC_core_get_params_fn *core_get_params;
    OSSL_FUNC_core_new_error_fn *core_new_error;
    OSSL_FUNC_core_set_error_debug_fn *core_set_error_debug;
    OSSL_FUNC_core_vset_error_fn *core_vset_error;

    /* from the provider's section of openssl.cnf; owned */
    char *module_path;
    char *init_args;
    char *pin_source;
    bool allow_env_secrets;

    bool default_came_first;   /* "default" was active before us */
    atomic_bool shows_keymgmt; /* key management is offered; see query_keymgmt() in provider.c */

    atomic_int agreements; /* key agreements that go on: peers are imported while there are some */

    /* what wrong RSA padding is answered with depends on it; see prov_ctx_rejection_secret() */
    pthread_mutex_t lock;
    bool has_rejection;
    uint8_t rejection[PROV_REJECTION_BYTES];
};

bool prov_ctx_new(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, struct prov_ctx **out);
void prov_ctx_free(struct prov_ctx *ctx);

/*
 * True if the default provider (or another one with ordinary digests) is active where the module
 * will look for it. Without it SoftHSM answers "wrong PIN" to a right one, so this is asked before
 * a PIN is sent. E_CONFIG.
 */
bool prov_ctx_check_default(struct prov_ctx *ctx, struct err *err) NODISCARD;

/*
 * Fetches a digest in the child library context under a property query of its own or, without one,
 * that of the operation. The latter is meant for the key ("provider=p11enroll") and we have no
 * digests: if nothing fits, any will do. Both may be NULL. EVP_MD_free() it. NULL with E_USAGE if
 * there is none.
 */
EVP_MD *prov_ctx_fetch_digest(const struct prov_ctx *ctx, const char *name, const char *propq,
                              const char *operation_propq, struct err *err) NODISCARD;

/*
 * A random secret of this process (and of its later children), made when first asked for: the same
 * wrong ciphertext has to be answered with the same bytes. E_INTERNAL.
 */
bool prov_ctx_rejection_secret(struct prov_ctx *ctx, uint8_t out[static PROV_REJECTION_BYTES],
                               struct err *err) NODISCARD;

#endif
