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
    [SCM_REPORT]        = {SCM_REPORT,        "report",        "POST", "/report/v1/ssl-certificates",
                           true,  LONG_MS,   "REST API, Reports, SSL certificates"},
    [SCM_ORGANIZATION]  = {SCM_ORGANIZATION,  "organization",  "GET",  "/organization/v1/{id}",
                           true,  NORMAL_MS, "REST API, Organizations, Details"},
    [SCM_ACME_LIST]     = {SCM_ACME_LIST,     "ACME accounts", "GET",  "/acme/v2/account",
                           true,  NORMAL_MS, "REST API, ACME accounts, Listing"},
    [SCM_ACME_CREATE]   = {SCM_ACME_CREATE,   "making an ACME account", "POST", "/acme/v2/account",
                           false, LONG_MS,   "REST API, ACME accounts, Creating"},
    [SCM_ACME_ACCOUNT]  = {SCM_ACME_ACCOUNT,  "ACME account",  "GET",  "/acme/v2/account/{id}",
                           true,  NORMAL_MS, "REST API, ACME accounts, Details"},
    [SCM_ACME_RENAME]   = {SCM_ACME_RENAME,   "renaming an ACME account", "PUT", "/acme/v2/account/{id}",
                           false, NORMAL_MS, "REST API, ACME accounts, Updating"},
    [SCM_ACME_DELETE]   = {SCM_ACME_DELETE,   "deleting an ACME account", "DELETE", "/acme/v2/account/{id}",
                           false, LONG_MS,   "REST API, ACME accounts, Deleting"},
    [SCM_ACME_DOMAINS]  = {SCM_ACME_DOMAINS,  "domains of an ACME account", "GET", "/acme/v2/account/{id}/domain",
                           true,  NORMAL_MS, "REST API, ACME accounts, Listing domains"},
    [SCM_ACME_ADD]      = {SCM_ACME_ADD,      "adding domains", "POST", "/acme/v2/account/{id}/domain",
                           false, LONG_MS,   "REST API, ACME accounts, Adding domains"},
    [SCM_ACME_REMOVE]   = {SCM_ACME_REMOVE,   "removing domains", "DELETE", "/acme/v2/account/{id}/domain",
                           false, LONG_MS,   "REST API, ACME accounts, Removing domains"},
    [SCM_ACME_CLIENTS]  = {SCM_ACME_CLIENTS,  "ACME clients",  "GET",  "/acme/v2/account/{id}/client",
                           true,  NORMAL_MS, "REST API, ACME accounts, Listing clients"},
    [SCM_ACME_DEACTIVATE] = {SCM_ACME_DEACTIVATE, "deactivating an ACME client", "PUT",
                           "/acme/v2/account/{id}/client/{serial}",
                           false, LONG_MS,   "REST API, ACME accounts, Deactivating a client"},
};
/* clang-format on */

const struct scm_endpoint *scm_endpoint(enum scm_endpoint_id id)
{
    assert(endpoints[id].id == id);
    return &endpoints[id];
}
