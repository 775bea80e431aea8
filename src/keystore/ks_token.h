/* Inside the keystore folder: what the files that see hsm share. */
#ifndef KEYSTORE_KS_TOKEN_H
#define KEYSTORE_KS_TOKEN_H

#include "hsm/access.h"
#include "hsm/key.h"
#include "keystore/ks.h"

/* Opens the token that the URI and the configuration mean, and logs in. */
bool ks_connect_token(struct keystore *keystore, const struct keystore_token *token,
                      const char *uri, struct hsm_opened *out, struct err *err) NODISCARD;

/* As ks_connect_token(), in the role that the token's section has for the purpose. */
bool ks_connect_token_to(struct keystore *keystore, const struct keystore_token *token,
                         const char *uri, enum hsm_purpose purpose, struct hsm_opened *out,
                         struct err *err) NODISCARD;

/* Says which role a token wants, after something failed; hsm_access_explain_role(). False. */
bool ks_explain_role(const struct keystore *keystore, const struct keystore_token *token,
                     enum hsm_purpose purpose, struct err *err);

/* The one private key that is meant; a URI that names only a token means its only one. */
bool ks_find_private(struct hsm_opened *target, bool want_public, struct hsm_key *key,
                     struct err *err) NODISCARD;

/* The text of a URI for the key, or for its certificate; free() it. */
bool ks_public_uri(const struct hsm_key *key, enum hsm_uri_type type, char **out,
                   struct err *err) NODISCARD;

/* Fills a keystore_key from a key that was found or made. */
bool ks_describe(struct keystore *keystore, const struct hsm_opened *target,
                 const struct hsm_key *key, struct keystore_key *out, struct err *err) NODISCARD;

#endif
