/* The provider context: what the core gave us, and what the configuration says. One per library
 * context. */
#ifndef PROVIDER_CTX_H
#define PROVIDER_CTX_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"
#include "hsm/uri.h"
#include "provider/child.h"

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/types.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Digests that are fetched once: nearly every signature wants one of them. */
enum { PROV_DIGESTS = 3, PROV_REJECTION_BYTES = 32 };

struct prov_ctx {
    const OSSL_CORE_HANDLE *handle;
    struct prov_child *child; /* of the application's library context; see prov_ctx_libctx() */
    enum { PROV_WHERE_UNKNOWN, PROV_WHERE_DEFAULT, PROV_WHERE_ELSEWHERE } _Atomic where;

    OSSL_FUNC_core_get_params_fn *core_get_params;
    OSSL_FUNC_core_new_error_fn *core_new_error;
    OSSL_FUNC_core_set_error_debug_fn *core_set_error_debug;
    OSSL_FUNC_core_vset_error_fn *core_vset_error;
    OSSL_FUNC_BIO_read_ex_fn *core_bio_read;

    /* from the provider's section of openssl.cnf; owned */
    char *module_path;
    char *init_args;
    char *pin_source;
    struct secret pin;      /* the PIN itself, where somebody wrote that down */
    struct hsm_uri *token;  /* the one that the configured PIN is for; NULL: whichever is named */
    struct err bad_setting; /* the last one that could not be read */
    bool allow_env_secrets;
    bool keeps_pin;        /* for logins after a restart or in a forked child */
    bool copies_keys;      /* into session objects, for speed */
    unsigned max_sessions; /* at a time and token; 0: as many as the token gives */
    unsigned quirks;       /* of the module, beside those that it is known for (hsm/quirks.h) */

    _Atomic(EVP_MD *) digests[PROV_DIGESTS]; /* see prov_ctx_digest(); owned */
    pthread_mutex_t first_key; /* held while the first key is handed over; see store.c */
    atomic_int process;        /* that the lock belongs to */
    bool default_came_first;   /* "default" was active before us */
    bool introduced;           /* the first key was handed over */
    atomic_bool shows_keymgmt; /* key management is offered; see query_keymgmt() in provider.c */

    atomic_int agreements; /* key agreements that go on: peers are imported while there are some */

    /* what wrong RSA padding is answered with depends on it; see prov_ctx_rejection_secret() */
    _Atomic(uint8_t *) rejection; /* PROV_REJECTION_BYTES; owned */
};

bool prov_ctx_new(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, struct prov_ctx **out);
void prov_ctx_free(struct prov_ctx *ctx);

/* Whether key management is offered; waits while another thread hands over the first key. */
bool prov_ctx_shows_keymgmt(struct prov_ctx *ctx);

/* The lock that this waits for. A forked child gets a free one. */
void prov_ctx_lock_first_key(struct prov_ctx *ctx);
void prov_ctx_unlock_first_key(struct prov_ctx *ctx);

/*
 * Whether a URI with that module-path (NULL: it has none) means the module of the configuration,
 * whose PIN and initialisation argument nobody else gets. They are compared as files. Without a
 * configured module every one will do.
 */
bool prov_ctx_is_configured_module(const struct prov_ctx *ctx, const char *module_path);

/*
 * The library context for hashing and verification: the default one where that is the application's
 * own, and otherwise the child of the application's. The child would always do, but all that it
 * fetches is fetched twice in the process, which takes longer than a signature.
 */
OSSL_LIB_CTX *prov_ctx_libctx(struct prov_ctx *ctx);

/*
 * A digest of the library context, whatever its provider. SHA-256, -384 and -512 are fetched once
 * and kept. EVP_MD_free() it. NULL if there is none; the error queue tells why.
 */
EVP_MD *prov_ctx_digest(struct prov_ctx *ctx, const char *name);

/*
 * True if the configuration could be read, and the default provider (or another one with ordinary
 * digests) is active where the module will look for it. Without it SoftHSM answers "wrong PIN" to a
 * right one, so this is asked before a PIN is sent. E_CONFIG.
 */
bool prov_ctx_check(struct prov_ctx *ctx, struct err *err) NODISCARD;

/*
 * Fetches a digest under a property query of its own or, without one,
 * that of the operation. The latter is meant for the key ("provider=p11enroll") and we have no
 * digests: if nothing fits, any will do. Both may be NULL. EVP_MD_free() it. NULL with E_USAGE if
 * there is none.
 */
EVP_MD *prov_ctx_fetch_digest(struct prov_ctx *ctx, const char *name, const char *propq,
                              const char *operation_propq, struct err *err) NODISCARD;

/*
 * A random secret of this process (and of its later children), made when first asked for: the same
 * wrong ciphertext has to be answered with the same bytes. E_INTERNAL.
 */
bool prov_ctx_rejection_secret(struct prov_ctx *ctx, uint8_t out[static PROV_REJECTION_BYTES],
                               struct err *err) NODISCARD;

#endif
