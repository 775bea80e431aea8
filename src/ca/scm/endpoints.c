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
    [SCM_ORGANIZATION]  = {SCM_ORGANIZATION,  "organization",  "GET",  "/organization/v1/{id}",
                           true,  NORMAL_MS, "REST API, Organizations, Details"},
    [SCM_PASSWORD]      = {SCM_PASSWORD,      "password",      "GET",  "/admin/v1/password",
                           true,  NORMAL_MS, "Admin Operations API, Password state"},
};
/* clang-format on */

const struct scm_endpoint *scm_endpoint(enum scm_endpoint_id id)
{
    assert(endpoints[id].id == id);
    return &endpoints[id];
}
