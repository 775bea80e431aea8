/* Generating a key pair under a policy, and proving that the policy was kept. */
#ifndef HSM_KEYGEN_H
#define HSM_KEYGEN_H

#include "base/compiler.h"
#include "base/err.h"
#include "hsm/key.h"
#include "hsm/policy.h"

#include <stdbool.h>

enum { HSM_NEW_ID_BYTES = 16 };

/* A fresh random CKA_ID. The caller writes it down before it generates: so a crash can be matched.
 * E_INTERNAL. */
bool hsm_new_id(struct hsm_id *id, struct err *err) NODISCARD;

/* What a new key pair is called. */
struct hsm_key_name {
    const struct hsm_id *id;
    const char *label;
    bool id_is_random; /* from hsm_new_id(): nobody else can have chosen it */
};

/*
 * Generates a key pair with that id and label; the user is logged in. Refuses an id or a private
 * key's label that the token has already. Reads the key back in a new session and compares it with
 * the policy.
 *
 * When the policy was not kept, the two objects that this call made are destroyed, and nothing
 * else. When the token reported a failure and left a key all the same, what carries a random id is
 * destroyed: it was unused before and made by us. Under an id that somebody chose, another process
 * may have made a key meanwhile, so nothing is touched. If something is left the error says so and
 * names it.
 *
 * May block for minutes (RSA on a smartcard). E_OBJECT_EXISTS, E_POLICY, E_TOKEN.
 */
bool hsm_keygen(struct hsm_token *token, const struct hsm_policy *policy,
                const struct hsm_key_name *name, struct hsm_key *key, struct hsm_verdict *verdict,
                struct err *err) NODISCARD;

/* Reads the policy's attributes of an existing private key and judges them. */
bool hsm_key_verdict(struct hsm_session *session, const struct hsm_key *key,
                     const struct hsm_policy *policy, struct hsm_verdict *verdict,
                     struct err *err) NODISCARD;

#endif
