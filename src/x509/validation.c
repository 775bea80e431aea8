#include "x509/x509.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

static enum x509_validation of_policy(const char *oid)
{
    static const struct {
        const char *oid;
        enum x509_validation validation;
    } rows[] = {
        {"2.23.140.1.1", X509_VALIDATION_EV},
        {"2.23.140.1.2.1", X509_VALIDATION_DV},
        {"2.23.140.1.2.2", X509_VALIDATION_OV},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].oid, oid) == 0) {
            return rows[i].validation;
        }
    }
    return X509_VALIDATION_UNKNOWN;
}

enum x509_validation x509_validation(X509 *cert)
{
    enum x509_validation most = X509_VALIDATION_UNKNOWN;
    char oid[80];

    (void)ERR_set_mark(); /* policies that cannot be read are none */
    CERTIFICATEPOLICIES *policies = X509_get_ext_d2i(cert, NID_certificate_policies, NULL, NULL);
    (void)ERR_pop_to_mark();
    for (int i = 0; i < sk_POLICYINFO_num(policies); i++) {
        const POLICYINFO *policy = sk_POLICYINFO_value(policies, i);
        int len = OBJ_obj2txt(oid, sizeof(oid), policy->policyid, 1);
        enum x509_validation validation =
            len > 0 && len < (int)sizeof(oid) ? of_policy(oid) : X509_VALIDATION_UNKNOWN;
        most = validation > most ? validation : most;
    }
    CERTIFICATEPOLICIES_free(policies);
    return most;
}
