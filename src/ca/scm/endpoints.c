#include "ca/scm/scm.h"

#include <assert.h>

enum { NORMAL_MS = 0, LONG_MS = 120000 };

/* clang-format off */
static const struct scm_endpoint endpoints[SCM_ENDPOINTS] = {
    [SCM_TYPES]         = {SCM_TYPES,         "products",      "GET",  "/ssl/{version}/types",
                           true,  NORMAL_MS, "REST API, SSL certificates, Listing SSL types"},
    [SCM_ENROLL]        = {SCM_ENROLL,        "enroll",        "POST", "/ssl/{version}/enroll",
                           false, LONG_MS,   "REST API, SSL certificates, Enrolling"},
    [SCM_DETAILS]       = {SCM_DETAILS,       "status",        "GET",  "/ssl/{version}/{id}",
                           true,  NORMAL_MS, "REST API, SSL certificates, Details"},
    [SCM_COLLECT_QUERY] = {SCM_COLLECT_QUERY, "collect",       "GET",  "/ssl/{version}/collect/{id}",
                           true,  NORMAL_MS, "REST API, SSL certificates, Collecting"},
    [SCM_COLLECT_PATH]  = {SCM_COLLECT_PATH,  "collect",       "GET",  "/ssl/{version}/collect/{id}/x509",
                           true,  NORMAL_MS, "undocumented form, used by several clients"},
    [SCM_LIST]          = {SCM_LIST,          "list",          "GET",  "/ssl/{version}",
                           true,  NORMAL_MS, "REST API, SSL certificates, Listing"},
    [SCM_REVOKE]        = {SCM_REVOKE,        "revoke",        "POST", "/ssl/{version}/revoke/{id}",
                           false, LONG_MS,   "REST API, SSL certificates, Revoking by id"},
    [SCM_REVOKE_SERIAL] = {SCM_REVOKE_SERIAL, "revoke",        "POST", "/ssl/{version}/revoke/serial/{serial}",
                           false, LONG_MS,   "REST API, SSL certificates, Revoking by serial number"},
    [SCM_ORGANIZATIONS] = {SCM_ORGANIZATIONS, "organizations", "GET",  "/organization/v1",
                           true,  NORMAL_MS, "REST API, Organizations, Listing"},
    [SCM_DOMAINS]       = {SCM_DOMAINS,       "domains",       "GET",  "/domain/v1",
                           true,  NORMAL_MS, "REST API, Domains, Listing"},
    [SCM_DOMAIN]        = {SCM_DOMAIN,        "domain",        "GET",  "/domain/v1/{id}",
                           true,  NORMAL_MS, "REST API, Domains, Details"},
    [SCM_DCV_LIST]      = {SCM_DCV_LIST,      "validations",   "GET",  "/dcv/v2/validation",
                           true,  NORMAL_MS, "REST API, DCV, Searching"},
    [SCM_DCV_STATUS]    = {SCM_DCV_STATUS,    "validation status", "POST", "/dcv/v2/validation/status",
                           true,  NORMAL_MS, "REST API, DCV, Status"},
    [SCM_DCV_SYNC]      = {SCM_DCV_SYNC,      "recheck",       "POST", "/dcv/v2/validation/sync",
                           true,  LONG_MS,   "REST API, DCV, Synchronising"},
    [SCM_DCV_CLEAR]     = {SCM_DCV_CLEAR,     "clear validation", "POST", "/dcv/v2/validation/clear",
                           false, LONG_MS,   "REST API, DCV, Clearing"},
    [SCM_DCV_START]     = {SCM_DCV_START,     "start validation", "POST", "/dcv/v2/validation/start/domain/{word}",
                           false, LONG_MS,   "REST API, DCV, Starting"},
    [SCM_DCV_SUBMIT]    = {SCM_DCV_SUBMIT,    "submit validation", "POST", "/dcv/v2/validation/submit/domain/{word}",
                           false, LONG_MS,   "REST API, DCV, Submitting"},
    [SCM_ORDER_DCV]     = {SCM_ORDER_DCV,     "order's validation", "GET",  "/ssl/{version}/{id}/dcv",
                           true,  NORMAL_MS, "REST API, SSL certificates, DCV information"},
    [SCM_ORDER_RECHECK] = {SCM_ORDER_RECHECK, "recheck order", "POST", "/ssl/{version}/{id}/dcv/recheck",
                           false, LONG_MS,   "REST API, SSL certificates, DCV recheck"},
};
/* clang-format on */

const struct scm_endpoint *scm_endpoint(enum scm_endpoint_id id)
{
    assert(endpoints[id].id == id);
    return &endpoints[id];
}
