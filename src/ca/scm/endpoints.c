#include "ca/scm/scm.h"

#include <assert.h>

enum { NORMAL_MS = 0, LONG_MS = 120000 };

/* clang-format off */
static const struct scm_endpoint endpoints[SCM_ENDPOINTS] = {
    [SCM_TYPES]         = {SCM_TYPES,         "products",      "GET",  "/ssl/{version}/types",
                           true,  NORMAL_MS, "REST API, SSL certificates, Listing SSL types"},
    [ENROLLMENT_ORDER]   = {ENROLLMENT_ORDER,   "enroll",  "POST",   "/{version}/certificates",
                           false, LONG_MS,   "Enrollment REST API, Enrolling a certificate"},
    [ENROLLMENT_COLLECT] = {ENROLLMENT_COLLECT, "collect", "GET",    "/{version}/certificates/{word}",
                           true,  NORMAL_MS, "Enrollment REST API, Collecting a certificate"},
    [ENROLLMENT_STATUS]  = {ENROLLMENT_STATUS,  "status",  "GET",    "/{version}/certificates/{word}/status",
                           true,  NORMAL_MS, "undocumented, used by a client"},
    [ENROLLMENT_LIST]    = {ENROLLMENT_LIST,    "list",    "GET",    "/{version}/certificates",
                           true,  NORMAL_MS, "undocumented, used by a client"},
    [ENROLLMENT_REVOKE]  = {ENROLLMENT_REVOKE,  "revoke",  "DELETE", "/{version}/certificates/{word}",
                           false, LONG_MS,   "Enrollment REST API, Revoking a certificate"},
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
};
/* clang-format on */

const struct scm_endpoint *scm_endpoint(enum scm_endpoint_id id)
{
    assert(endpoints[id].id == id);
    return &endpoints[id];
}
