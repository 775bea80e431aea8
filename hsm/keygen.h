/* Generating a key pair under a policy, and proving that the policy was kept. */
#ifndef HSM_KEYGEN_H
#define HSM_KEYGEN_H

#include "base/compiler.h"
#include "base/err.h"
#include "hsm/key.h"
#include "hsm/ladder.h"
#include "hsm/names.h"
#include "hsm/policy.h"
#include "hsm/rules.h"

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

/* What is to be made, and who wants to know how it goes. All borrowed. */
struct hsm_keygen_request {
    const struct hsm_policy *policy;
    const struct hsm_key_name *name;
    enum hsm_id_rule id_rule; /* HSM_ID_SHA1, HSM_ID_SKI: the id is changed when the key is there */
    struct hsm_names *names;  /* the token's names, read before; NULL: they are searched for */
    /* May be NULL. Told before the token is asked again with a lower rung, in a sentence. */
    void (*on_rung)(void *ctx, const char *left_out, const char *sentence);
    void *ctx;
};

struct hsm_keygen_report {
    struct hsm_verdict verdict;
    struct {
        CK_RV rv;          /* the token's answer to the template before */
        unsigned left_out; /* what is left out from then on: enum hsm_group */
    } rungs[HSM_RUNGS_MAX];
    size_t rung_count;
    char left_out[256]; /* the attributes that were not asked for in the end; "" if none */
};

/*
 * Generates a key pair with that id and label; the user is logged in. Refuses an id or a private
 * key's label that the token has already. Where the token refuses the template, less is asked for,
 * rung by rung (hsm/ladder.h), after a look that nothing was made under the id. Reads the key back
 * in a new session and compares it with the policy; an RSA modulus is looked at for known
 * weaknesses (hsm/weak.h).
 *
 * When the policy was not kept, the two objects that this call made are destroyed, and nothing
 * else. When the token reported a failure and left a key all the same, what carries a random id is
 * destroyed: it was unused before and made by us. Under an id that somebody chose, another process
 * may have made a key meanwhile, so nothing is touched. If something is left the error says so and
 * names it. The report is filled as far as things went, also after a failure.
 *
 * May block for minutes (RSA on a smartcard). E_OBJECT_EXISTS, E_POLICY, E_TOKEN.
 */
bool hsm_keygen_with(struct hsm_token *token, const struct hsm_keygen_request *request,
                     struct hsm_key *key, struct hsm_keygen_report *report,
                     struct err *err) NODISCARD;

/* The same, for whoever wants to know the verdict alone. */
bool hsm_keygen(struct hsm_token *token, const struct hsm_policy *policy,
                const struct hsm_key_name *name, struct hsm_key *key, struct hsm_verdict *verdict,
                struct err *err) NODISCARD;

/* Reads the policy's attributes of an existing private key and judges them. */
bool hsm_key_verdict(struct hsm_session *session, const struct hsm_key *key,
                     const struct hsm_policy *policy, struct hsm_verdict *verdict,
                     struct err *err) NODISCARD;

/* The id that a rule computes from the public half of a key. E_TOKEN if it is not known. */
bool hsm_key_id_by_rule(const struct hsm_key *key, enum hsm_id_rule rule, struct hsm_id *out,
                        struct err *err) NODISCARD;

#endif
