/*
 * From a URI to what it means on a token: for the store, which yields all of it, and for everybody
 * who wants one key.
 */
#ifndef PROVIDER_LOCATE_H
#define PROVIDER_LOCATE_H

#include "base/compiler.h"
#include "base/err.h"
#include "hsm/object.h"
#include "provider/key.h"
#include "provider/pin.h"

#include <stdbool.h>

/* "private key", "public key", "certificate". */
const char *prov_class_word(CK_OBJECT_CLASS class);

/* The token that the URI means, in the module that the URI or the configuration names. Fails as
 * prov_ctx_check() and hsm_token_open() do. */
bool prov_locate_token(const struct prov_pin *pin, struct hsm_token **out,
                       struct err *err) NODISCARD;

/* The one private key that the URI names by label or id, in one search. As prov_locate_load(). */
bool prov_locate_private(struct hsm_session *session, const struct prov_pin *pin,
                         struct prov_key **out, struct err *err) NODISCARD;

/* Runs a search that logs in and takes its own session. Where it failed because something ended (a
 * server that was restarted since the last time, say), once more. */
typedef bool prov_locate_fn(void *ctx, struct hsm_token *token, struct err *err);
bool prov_locate_with(struct hsm_token *token, prov_locate_fn *find, void *ctx,
                      struct err *err) NODISCARD;

/*
 * All objects of a class that the URI means; none is no error. Whoever names an object means one:
 * two keys are E_OBJECT_AMBIGUOUS, but certificates of one key may be several during a renewal.
 */
bool prov_locate_objects(struct hsm_session *session, const struct hsm_uri *uri,
                         CK_OBJECT_CLASS class, struct hsm_handles *out, struct err *err) NODISCARD;

/* Reads the key behind a handle. *out is NULL if it is of a kind that we do not know; else
 * prov_key_free() it. */
bool prov_locate_load(struct hsm_session *session, const struct prov_pin *pin,
                      CK_OBJECT_CLASS class, CK_OBJECT_HANDLE handle, struct prov_key **out,
                      struct err *err) NODISCARD;

/* The error of a URI that names a key of a kind that we do not know. */
bool prov_locate_no_kind(const struct hsm_token *token, const struct hsm_uri *uri,
                         CK_OBJECT_CLASS class, struct err *err);

/*
 * The one key of that class that the URI means: opens the token, logs in for a private key, finds
 * it. prov_key_free() it. E_OBJECT_MISSING, E_OBJECT_AMBIGUOUS with the candidates, and what
 * opening and login fail with.
 */
bool prov_locate_key(struct prov_pin *pin, CK_OBJECT_CLASS class, struct prov_key **out,
                     struct err *err) NODISCARD;

#endif
