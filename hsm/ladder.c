#include "hsm/ladder.h"

/* From the strict template downwards; each rung leaves out what those above it do, and more. */
static const unsigned rungs[HSM_RUNGS_MAX] = {
    0,
    HSM_GROUP_CHANGES,
    HSM_GROUP_CHANGES | HSM_GROUP_MECHANISMS,
    HSM_GROUP_CHANGES | HSM_GROUP_MECHANISMS | HSM_GROUP_ZEROS,
    HSM_GROUP_CHANGES | HSM_GROUP_MECHANISMS | HSM_GROUP_ZEROS | HSM_GROUP_EXTRACTABLE,
};

bool hsm_is_template_fault(CK_RV rv, bool general_error_counts)
{
    static const CK_RV faults[] = {
        CKR_TEMPLATE_INCOMPLETE,     CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_TYPE_INVALID,
        CKR_ATTRIBUTE_VALUE_INVALID, CKR_ATTRIBUTE_READ_ONLY,   CKR_ATTRIBUTE_SENSITIVE,
    };

    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        if (faults[i] == rv) {
            return true;
        }
    }
    return rv == CKR_GENERAL_ERROR && general_error_counts;
}

bool hsm_ladder_next(const struct hsm_policy *policy, unsigned *left_out)
{
    unsigned has = hsm_policy_groups(policy);

    for (size_t i = 0; i < ARRAY_LEN(rungs); i++) {
        unsigned effective = rungs[i] & has;
        if ((effective & ~policy->left_out) != 0) {
            *left_out = effective;
            return true;
        }
    }
    return false;
}
