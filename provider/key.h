/*
 * The key object that keymgmt, signature and store share, reference-counted: a token key, or the
 * public half of a software key that was imported as the peer of a key agreement, or to be
 * compared.
 */
#ifndef PROVIDER_KEY_H
#define PROVIDER_KEY_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"
#include "hsm/key.h"
#include "provider/ctx.h"

#include <openssl/core.h>
#include <stdatomic.h>
#include <stdbool.h>

struct prov_key {
    atomic_int refs;
    struct prov_ctx *ctx;
    struct hsm_key hsm;

    /* what the URI said that it was found with; owned, may be NULL */
    char *uri_module_path;
    char *uri_pin_source; /* also for CKA_ALWAYS_AUTHENTICATE */

    atomic_bool public_asked; /* the token has no more to tell than hsm.public and learned */
    atomic_uint refused; /* what the token lists and does not do with this key; see decrypt.c */
    /* The public half that a later search or a trial (trial.h) found; owned. It is set once,
     * without a lock: a thread that held one while it asks the token would leave it held in a
     * forked child. */
    _Atomic(struct hsm_public *) learned;
};

/* Takes over *hsm (which is empty afterwards). NULL when out of memory. */
struct prov_key *prov_key_new(struct prov_ctx *ctx, struct hsm_key *hsm);

/* A key without content; see prov_keymgmt_new(). NULL when out of memory. */
struct prov_key *prov_key_new_empty(struct prov_ctx *ctx);

static inline bool prov_key_is_empty(const struct prov_key *key)
{
    return key->hsm.token == NULL && !key->hsm.public.known;
}

/* Makes an empty key that of a public half, for comparing; takes *public over. False when out of
 * memory. */
bool prov_key_set_public(struct prov_key *key, const struct hsm_key_spec *spec,
                         struct hsm_public *public);

/* The public half, as long as the key lives; NULL if it is not known. */
const struct hsm_public *prov_key_public(const struct prov_key *key);

/* The public half that the token does not have, found otherwise (EC, Ed and X keys). False when out
 * of memory. */
bool prov_key_adopt_public(struct prov_key *key, const struct hsm_public *public);
/* Remembers what else a URI must say to find the key again. False when out of memory. */
bool prov_key_set_origin(struct prov_key *key, const struct hsm_uri *uri) NODISCARD;

/* The name of its kind in names.def: "RSA", "EC". */
const char *prov_key_type(const struct prov_key *key);

/* Hands the key to libcrypto's callback, by a reference that keymgmt's load function takes over:
 * then *key is NULL. True if the callback was content. */
bool prov_key_hand_over(struct prov_key **key, const char *data_type, OSSL_CALLBACK *cb,
                        void *cb_arg);
/* A public key from elsewhere: it has no token, handle or label. */
static inline bool prov_key_is_foreign(const struct prov_key *key)
{
    return key->hsm.token == NULL && key->hsm.public.known;
}

/* Makes an empty key a foreign EC key. `point` is in any form, and has to be on the curve. */
bool prov_key_set_foreign_point(struct prov_key *key, const struct hsm_curve *curve,
                                const uint8_t *point, size_t len) NODISCARD;

/* "key 'www' on token 'prod' (serial 12af)": how errors name it. Borrowed per-thread buffer. */
const char *prov_key_name(const struct prov_key *key);

/*
 * Shows our key management where it was hidden (provider.c: we come before "default"), through a
 * callback that takes keys of ours. OpenSSL must have met the default provider's by then. Asked for
 * a kind that nobody has, it reads all there is; asked for each of our kinds, it chooses the one it
 * met first, and remembers that. Had it met ours while it looked for ours alone, or did it remember
 * nothing when a software key signs, it would from then on take ours for software keys as well: its
 * memory does not tell the two questions apart. Leaves the error queue as it was.
 */
void prov_key_introduce(struct prov_ctx *ctx, OSSL_CALLBACK *cb, void *cb_arg);

struct prov_key *prov_key_ref(struct prov_key *key);
void prov_key_free(struct prov_key *key);

static inline bool prov_key_is_private(const struct prov_key *key)
{
    return key->hsm.class == CKO_PRIVATE_KEY;
}

/* Largest signature in bytes; 0 for a key without content. */
size_t prov_key_max_size(const struct prov_key *key);

/*
 * The public half of a private key may be elsewhere on the token than the key; it is searched when
 * somebody asks for it, once. It is read through prov_key_public(), which asks as well.
 * E_TOKEN, naming the key, if its public half is not known.
 */
bool prov_key_check_public(const struct prov_key *key, struct err *err) NODISCARD;

static inline bool prov_key_has_public(const struct prov_key *key)
{
    struct err ignored = ERR_INIT;

    return prov_key_check_public(key, &ignored);
}

/* Calls cb with the public half as OSSL_PARAMs (keymgmt's export form). False if it is not known.
 */
bool prov_key_export_public(const struct prov_key *key, OSSL_CALLBACK *cb, void *cb_arg);

/* The public half as a software key in the child library context; EVP_PKEY_free() it. */
bool prov_key_software_public(const struct prov_key *key, EVP_PKEY **out,
                              struct err *err) NODISCARD;

/* Where the PIN for an operation with the key comes from, in the form that hsm/op.h takes: for keys
 * that want one for each, and for a login that has to be made again. As long as the key lives. */
struct hsm_pin prov_key_pin(struct prov_key *key);

#endif
