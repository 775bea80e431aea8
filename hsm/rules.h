/*
 * Named policies: which keys may be made for a purpose, and what they are called.
 *
 * A policy is a text of settings, one `key = value` a line, as a [policy:NAME] section of
 * p11enroll.conf has them; those that are built in are such texts as well. The table in rules.c is
 * the only place that knows the settings. A setting that is not there is as in
 * hsm_policy_signing().
 */
#ifndef HSM_RULES_H
#define HSM_RULES_H

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "hsm/policy.h"
#include "hsm/uri.h"

#include <stdbool.h>
#include <stddef.h>

enum { HSM_RULES_NAME_MAX = 64, HSM_RULES_TYPES_MAX = 16, HSM_LABEL_MAX = 255 };

/* Where a new key's CKA_ID comes from. */
enum hsm_id_rule {
    HSM_ID_ANY,    /* random, unless somebody gives one */
    HSM_ID_RANDOM, /* random, and nothing else */
    HSM_ID_SHA1,   /* SHA-1 of the modulus, or of the point in its OCTET STRING */
    HSM_ID_SKI,    /* RFC 5280's key identifier: SHA-1 of the public key's bits */
    HSM_ID_GIVEN,  /* always given by somebody */
};

struct hsm_rules {
    char name[HSM_RULES_NAME_MAX];
    struct {
        struct hsm_key_spec spec;
        bool or_more; /* RSA: at least that many bits */
    } types[HSM_RULES_TYPES_MAX];
    size_t type_count;        /* 0: any */
    struct hsm_policy policy; /* all but the kind of key */
    enum hsm_id_rule id;
    char label[HSM_LABEL_MAX + 1]; /* pattern; "": any label */
};

/* The text of the i-th policy that is built in, and its name; NULL past the end. */
const char *hsm_rules_builtin(size_t i, const char **name);

/*
 * Reads a policy. text NULL: the built-in one of that name; name NULL as well: what is asked of a
 * key when no policy is named. E_CONFIG says what is not understood, or which policies there are.
 */
bool hsm_rules_read(const char *name, const char *text, struct hsm_rules *out,
                    struct err *err) NODISCARD;

/* The policy for a key of that type ("rsa:3072"; NULL: the first that the rules have, or rsa:3072).
 * E_USAGE, E_POLICY for a type that the rules do not allow. */
bool hsm_rules_policy(const struct hsm_rules *rules, const char *type, struct hsm_policy *out,
                      struct err *err) NODISCARD;

/* The policy for a key that is there. Of a kind that is not allowed: the first that is, so that the
 * check finds it wanting. */
struct hsm_policy hsm_rules_policy_of(const struct hsm_rules *rules,
                                      const struct hsm_key_spec *found);

/* "policy 'web'", or "the signing-key policy". A per-thread buffer. */
const char *hsm_rules_title(const struct hsm_rules *rules);

/* Labels. {name}, {date}, {id} and {order} stand for something; NULL values are not known. */
struct hsm_label_values {
    const char *name;  /* the first name of the certificate */
    const char *date;  /* YYYY-MM-DD */
    const char *order; /* number of the order */
    const struct hsm_id *id;
};

/* E_USAGE for a value that is needed and not known. */
bool hsm_label_expand(const char *pattern, const struct hsm_label_values *values, struct buf *out,
                      struct err *err) NODISCARD;

/* Whether a label could have come from the pattern: {name} is any text, {date} a day, {id} six
 * hexadecimal digits, {order} a number. */
bool hsm_label_fits(const char *pattern, const char *label);

/* E_POLICY if the rules have a pattern that the label does not fit. */
bool hsm_rules_check_label(const struct hsm_rules *rules, const char *label,
                           struct err *err) NODISCARD;

#endif
