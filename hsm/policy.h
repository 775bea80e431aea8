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

/* Whether something is demanded at all, and then which way. */
enum hsm_choice { HSM_UNSAID, HSM_NO, HSM_YES };

/* Attributes that a template may leave out together, where a token refuses them; hsm/ladder.h. */
enum hsm_group {
    HSM_GROUP_CHANGES = 1,     /* CKA_MODIFIABLE, CKA_COPYABLE */
    HSM_GROUP_MECHANISMS = 2,  /* CKA_ALLOWED_MECHANISMS */
    HSM_GROUP_ZEROS = 4,       /* usages that are denied */
    HSM_GROUP_EXTRACTABLE = 8, /* CKA_EXTRACTABLE, if it is to be false */
};

enum { HSM_POLICY_MECHANISMS_MAX = 16 };

struct hsm_policy {
    struct hsm_key_spec spec;
    unsigned usage;           /* enum hsm_usage */
    bool extractable;         /* weaker than any policy of ours: the key may be taken out ... */
    bool readable;            /* ... and in the clear (CKA_SENSITIVE false) */
    bool always_authenticate; /* ask the token for a PIN at every signature */
    enum hsm_choice modifiable, copyable;
    CK_MECHANISM_TYPE mechanisms[HSM_POLICY_MECHANISMS_MAX]; /* that alone are allowed */
    size_t mechanism_count;                                  /* 0: not demanded */
    bool tolerate_usage; /* a token that allows more than was asked for is no violation */
    bool tolerate_local; /* nor one that does not tell its own keys from imported ones */

    /* how the template is written, not what the key must be */
    bool curve_by_name; /* name the curve by its name and not by its OID */
    unsigned left_out;  /* enum hsm_group */
};

/* A signing key as public CAs want it: sensitive, not extractable, for signatures alone. */
struct hsm_policy hsm_policy_signing(struct hsm_key_spec spec);

/* Whether a key of that policy could leave the token: then it has to be said out loud. */
bool hsm_policy_is_weak(const struct hsm_policy *policy);

/* Those of the groups that the policy's template has attributes of. */
unsigned hsm_policy_groups(const struct hsm_policy *policy);

/* Appends the names of the attributes that the groups stand for in this policy: "CKA_UNWRAP, ..."
 */
void hsm_policy_group_names(const struct hsm_policy *policy, unsigned groups, struct buf *out);

/* Appends the attributes of the private and of the public object. id and label are borrowed. */
void hsm_policy_private_template(const struct hsm_policy *policy, const struct hsm_id *id,
                                 const char *label, struct attrs *out);
void hsm_policy_public_template(const struct hsm_policy *policy, const struct hsm_id *id,
                                const char *label, struct attrs *out);

/* The attributes that hsm_policy_check() wants to see. */
const CK_ATTRIBUTE_TYPE *hsm_policy_attributes(size_t *count);

struct hsm_verdict {
    bool ok;
    char violations[768]; /* "CKA_EXTRACTABLE is true, CKA_SENSITIVE is not shown"; "" if ok */
    char notes[512];      /* what was tolerated, or asked for and is not shown; "" if nothing */
    bool only_more_usage; /* all violations are usages that nobody asked for */
    /* what the module claims, for evidence and display */
    bool sensitive, extractable, always_sensitive, never_extractable, local;
};

/* Compares the attributes of a private key with the policy. `found` is the kind of key that was
 * read. */
void hsm_policy_check(const struct hsm_policy *policy, const struct hsm_key_spec *found,
                      const struct attr_values *values, struct hsm_verdict *verdict);

#endif
