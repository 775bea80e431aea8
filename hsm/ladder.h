/*
 * What is left out of a template, step by step, for tokens that refuse attributes.
 *
 * Leaving an attribute out only asks for less. Whether the key that comes of it is what the policy
 * demands is decided by reading it back.
 */
#ifndef HSM_LADDER_H
#define HSM_LADDER_H

#include "base/compiler.h"
#include "hsm/cryptoki.h"
#include "hsm/policy.h"

#include <stdbool.h>
#include <stddef.h>

enum { HSM_RUNGS_MAX = 5 };

/* True for an answer that is about the template, so that another template may be given. The general
 * error counts only for a module that is known to answer unknown attributes with it. */
bool hsm_is_template_fault(CK_RV rv, bool general_error_counts);

/*
 * The next lower rung for the policy: more is left out than policy->left_out says, and the template
 * is another one. False if there is none.
 */
bool hsm_ladder_next(const struct hsm_policy *policy, unsigned *left_out);

#endif
