#include "ca/scm/domains.h"

/* Numbers are used for several things, so an entry holds for some operations alone. */
enum { ANY = 0, DOMAINS = 1 };

static bool is_about_domains(enum scm_endpoint_id operation)
{
    return operation >= SCM_DOMAINS && operation <= SCM_DCV_SUBMIT;
}

/* clang-format off */
static const struct {
    int64_t code;
    int scope;
    const char *advice;
} table[] = {
    {-3,    DOMAINS, "the administrator needs the privilege 'Allow DCV', for an organization that the domain is delegated to"},
    {-25,   DOMAINS, "the administrator needs the privilege 'Allow DCV', for an organization that the domain is delegated to"},
    {-107,  ANY,     "validate the domain first: 'p11enroll dcv publish'"},
    {-196,  DOMAINS, "the CA could not look up the addresses just now; ask again later"},
    {-705,  DOMAINS, "its delegation has to be requested and approved first: 'p11enroll domain show' tells how it stands"},
    {-707,  DOMAINS, "it was removed at the CA; have an administrator create and delegate it again"},
    {-709,  DOMAINS, "it has to be delegated to an organization first"},
    {-711,  DOMAINS, "the organization that it was delegated to is gone; have it delegated again"},
    {-715,  DOMAINS, "an administrator has to activate it at the CA"},
    {-723,  DOMAINS, "validate the registered domain above it: that holds for the names below as well"},
    {-724,  DOMAINS, "'p11enroll dcv status' tells how it stands; 'dcv clear' gives up a validation that is under way"},
    {-727,  DOMAINS, "an administrator has to create it at the CA, and delegate it; 'p11enroll domain list' shows those that there are"},
    {-728,  DOMAINS, "somebody else changed its delegation at this moment; look at it and try again"},
    {-731,  DOMAINS, "the administrator lacks the privilege for this domain"},
    {-737,  ANY,     "validate the domain first: 'p11enroll dcv publish'"},
    {-738,  DOMAINS, "the domain belongs to an organization that this administrator does not see"},
    {-1010, ANY,     "the domain has to be delegated to the organization that orders: 'p11enroll domain show'"},
    {-1137, ANY,     "validate the domain first: 'p11enroll dcv publish'"},
    {-1603, DOMAINS, "what has to be published is not there, or not yet: 'p11enroll dcv status' shows it, 'dcv recheck' has the CA look again"},
    {-1608, DOMAINS, "domain control validation is not switched on for this customer; Sectigo's support does that"},
};
/* clang-format on */

const char *scm_advice(enum scm_endpoint_id operation, const struct scm_error *error)
{
    for (size_t i = 0; error->has_code && i < ARRAY_LEN(table); i++) {
        if (table[i].code == error->code &&
            (table[i].scope == ANY || is_about_domains(operation))) {
            return table[i].advice;
        }
    }
    return NULL;
}
