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
    [ENROLLMENT_RENEW]   = {ENROLLMENT_RENEW,   "renew",   "POST",   "/{version}/certificates/{word}/renew",
                           false, LONG_MS,   "undocumented, used by a client"},
    [ENROLLMENT_REPLACE] = {ENROLLMENT_REPLACE, "replace", "POST",   "/{version}/certificates/{word}/replace",
                           false, LONG_MS,   "undocumented, used by a client"},
    [SCM_ENROLL]        = {SCM_ENROLL,        "enroll",        "POST", "/ssl/{version}/enroll",
                           false, LONG_MS,   "REST API, SSL certificates, Enrolling"},
    [SCM_DETAILS]       = {SCM_DETAILS,       "status",        "GET",  "/ssl/{version}/{id}",
                           true,  NORMAL_MS, "REST API, SSL certificates, Details"},
    [SCM_COLLECT_QUERY] = {SCM_COLLECT_QUERY, "collect",       "GET",  "/ssl/{version}/collect/{id}",
                           true,  NORMAL_MS, "REST API, SSL certificates, Collecting"},
    [SCM_COLLECT_PATH]  = {SCM_COLLECT_PATH,  "collect",       "GET",  "/ssl/{version}/collect/{id}/{format}",
                           true,  NORMAL_MS, "undocumented form, used by several clients"},
    [SCM_LIST]          = {SCM_LIST,          "list",          "GET",  "/ssl/{version}",
                           true,  NORMAL_MS, "REST API, SSL certificates, Listing"},
    [SCM_REVOKE]        = {SCM_REVOKE,        "revoke",        "POST", "/ssl/{version}/revoke/{id}",
                           false, LONG_MS,   "REST API, SSL certificates, Revoking by id"},
    [SCM_REVOKE_SERIAL] = {SCM_REVOKE_SERIAL, "revoke",        "POST", "/ssl/{version}/revoke/serial/{serial}",
                           false, LONG_MS,   "REST API, SSL certificates, Revoking by serial number"},
    [SCM_ORGANIZATIONS] = {SCM_ORGANIZATIONS, "organizations", "GET",  "/organization/v1",
                           true,  NORMAL_MS, "REST API, Organizations, Listing"},
    [SCM_RENEW]         = {SCM_RENEW,         "renew",         "POST", "/ssl/{version}/renewById/{id}",
                           false, LONG_MS,   "REST API, SSL certificates, Renewing by id"},
    [SCM_REPLACE]       = {SCM_REPLACE,       "replace",       "POST", "/ssl/{version}/replace/{id}",
                           false, LONG_MS,   "REST API, SSL certificates, Replacing"},
    [SCM_APPROVE]       = {SCM_APPROVE,       "approve",       "POST", "/ssl/{version}/approve/{id}",
                           false, LONG_MS,   "REST API, SSL certificates, Approving"},
    [SCM_DECLINE]       = {SCM_DECLINE,       "decline",       "POST", "/ssl/{version}/decline/{id}",
                           false, LONG_MS,   "REST API, SSL certificates, Declining"},
    [SCM_UPDATE]        = {SCM_UPDATE,        "update",        "PUT",  "/ssl/{version}",
                           false, LONG_MS,   "REST API, SSL certificates, Updating"},
    [SCM_FIELDS]        = {SCM_FIELDS,        "custom fields", "GET",  "/customField/v2",
                           true,  NORMAL_MS, "REST API, Custom fields, Listing"},
    [SCM_FIELDS_TLS]    = {SCM_FIELDS_TLS,    "custom fields", "GET",  "/ssl/{version}/customFields",
                           true,  NORMAL_MS, "REST API, SSL certificates, Listing custom fields"},
    [SCM_DEVICE_TYPES]  = {SCM_DEVICE_TYPES,  "products",      "GET",  "/device/v1/types",
                           true,  NORMAL_MS, "REST API, Device certificates, Listing types"},
    [SCM_DEVICE_ENROLL] = {SCM_DEVICE_ENROLL, "enroll",        "POST", "/device/v1/enroll",
                           false, LONG_MS,   "REST API, Device certificates, Enrolling"},
    [SCM_DEVICE_DETAILS] = {SCM_DEVICE_DETAILS, "status",      "GET",  "/device/v1/{id}",
                           true,  NORMAL_MS, "REST API, Device certificates, Details"},
    [SCM_DEVICE_COLLECT] = {SCM_DEVICE_COLLECT, "collect",     "GET",  "/device/v1/collect/{id}",
                           true,  NORMAL_MS, "REST API, Device certificates, Collecting"},
    [SCM_DEVICE_LIST]   = {SCM_DEVICE_LIST,   "list",          "GET",  "/device/v1",
                           true,  NORMAL_MS, "REST API, Device certificates, Listing"},
    [SCM_DEVICE_RENEW]  = {SCM_DEVICE_RENEW,  "renew",         "POST", "/device/v1/renew/order/{id}",
                           false, LONG_MS,   "REST API, Device certificates, Renewing by order"},
    [SCM_DEVICE_REPLACE] = {SCM_DEVICE_REPLACE, "replace",     "POST", "/device/v1/replace/order/{id}",
                           false, LONG_MS,   "REST API, Device certificates, Replacing by order"},
    [SCM_DEVICE_REVOKE] = {SCM_DEVICE_REVOKE, "revoke",        "POST", "/device/v1/revoke/order/{id}",
                           false, LONG_MS,   "REST API, Device certificates, Revoking by order"},
    [SCM_DEVICE_REVOKE_SERIAL] = {SCM_DEVICE_REVOKE_SERIAL, "revoke", "POST", "/device/v1/revoke/serial/{serial}",
                           false, LONG_MS,   "REST API, Device certificates, Revoking by serial number"},
    [SCM_DEVICE_APPROVE] = {SCM_DEVICE_APPROVE, "approve",     "POST", "/device/v1/approve/{id}",
                           false, LONG_MS,   "REST API, Device certificates, Approving"},
    [SCM_DEVICE_DECLINE] = {SCM_DEVICE_DECLINE, "decline",     "POST", "/device/v1/decline/{id}",
                           false, LONG_MS,   "REST API, Device certificates, Declining"},
    [SCM_DEVICE_UPDATE] = {SCM_DEVICE_UPDATE, "update",        "PUT",  "/device/v1/{id}",
                           false, LONG_MS,   "REST API, Device certificates, Updating"},
    [SCM_SMIME_TYPES]   = {SCM_SMIME_TYPES,   "products",      "GET",  "/smime/v1/types",
                           true,  NORMAL_MS, "REST API, Client certificates, Listing types"},
    [SCM_SMIME_ENROLL]  = {SCM_SMIME_ENROLL,  "enroll",        "POST", "/smime/v1/enroll",
                           false, LONG_MS,   "REST API, Client certificates, Enrolling"},
    [SCM_SMIME_COLLECT] = {SCM_SMIME_COLLECT, "collect",       "GET",  "/smime/v1/collect/{id}",
                           true,  NORMAL_MS, "REST API, Client certificates, Collecting"},
    [SCM_SMIME_LIST]    = {SCM_SMIME_LIST,    "list",          "GET",  "/smime/v2",
                           true,  NORMAL_MS, "REST API, Client certificates, Listing"},
    [SCM_SMIME_RENEW]   = {SCM_SMIME_RENEW,   "renew",         "POST", "/smime/v2/renew/order/{id}",
                           false, LONG_MS,   "REST API, Client certificates, Renewing by order"},
    [SCM_SMIME_REVOKE]  = {SCM_SMIME_REVOKE,  "revoke",        "POST", "/smime/v1/revoke/order/{id}",
                           false, LONG_MS,   "REST API, Client certificates, Revoking by order"},
    [SCM_SMIME_REVOKE_SERIAL] = {SCM_SMIME_REVOKE_SERIAL, "revoke", "POST", "/smime/v1/revoke/serial/{serial}",
                           false, LONG_MS,   "REST API, Client certificates, Revoking by serial number"},
};
/* clang-format on */

const struct scm_endpoint *scm_endpoint(enum scm_endpoint_id id)
{
    assert(endpoints[id].id == id);
    return &endpoints[id];
}

bool scm_endpoint_orders(enum scm_endpoint_id id)
{
    static const enum scm_endpoint_id orders[] = {
        SCM_ENROLL,       SCM_RENEW,          SCM_REPLACE,       SCM_DEVICE_ENROLL,
        SCM_DEVICE_RENEW, SCM_DEVICE_REPLACE, SCM_SMIME_ENROLL,  SCM_SMIME_RENEW,
        ENROLLMENT_ORDER, ENROLLMENT_RENEW,   ENROLLMENT_REPLACE};

    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        if (orders[i] == id) {
            return true;
        }
    }
    return false;
}
