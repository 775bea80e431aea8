/*
 * What a key must be, as a template to ask for and a check of what came back.
 *
 * "OK" from C_GenerateKeyPair says little: modules drop attributes they do not like. So the same
 * table that writes the template reads the finished key, attribute by attribute.
 */
#ifndef HSM_POLICY_H
#define HSM_POLICY_H

#include "base/buf.h"
#include "base/compiler.h"
#include "hsm/alg.h"
#include "hsm/attr.h"
#include "hsm/uri.h"

#include <stdbool.h>
#include <stddef.h>

/* What a key may do; several together. */
enum hsm_usage { HSM_USE_SIGN = 1, HSM_USE_DECRYPT = 2, HSM_USE_DERIVE = 4 };

struct hsm_policy {
    struct hsm_key_spec spec;
    unsigned usage;           /* enum hsm_usage */
    bool always_authenticate; /* ask the token for a PIN at every signature */
    bool curve_by_name;       /* name the curve by its name and not by its OID */
};

/* A signing key as public CAs want it: sensitive, not extractable, for signatures alone. */
struct hsm_policy hsm_policy_signing(struct hsm_key_spec spec);

/* Appends the attributes of the private and of the public object. id and label are borrowed. */
void hsm_policy_private_template(const struct hsm_policy *policy, const struct hsm_id *id,
                                 const char *label, struct attrs *out);
void hsm_policy_public_template(const struct hsm_policy *policy, const struct hsm_id *id,
                                const char *label, struct attrs *out);

/* The attributes that hsm_policy_check() wants to see. */
const CK_ATTRIBUTE_TYPE *hsm_policy_attributes(size_t *count);

struct hsm_verdict {
    bool ok;
    char violations[512]; /* "CKA_EXTRACTABLE is true, CKA_SENSITIVE is not shown"; "" if ok */
    /* what the module claims, for evidence and display */
    bool sensitive, extractable, always_sensitive, never_extractable, local;
};

/* Compares the attributes of a private key with the policy. `found` is the kind of key that was
 * read. */
void hsm_policy_check(const struct hsm_policy *policy, const struct hsm_key_spec *found,
                      const struct attr_values *values, struct hsm_verdict *verdict);

#endif
