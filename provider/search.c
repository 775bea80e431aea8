#include "provider/search.h"

#include "base/str.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

DEFINE_AUTO(bn, BIGNUM *, BN_free)

void prov_search_done(struct prov_search *search)
{
    X509_NAME_free(search->subject);
    X509_NAME_free(search->issuer);
    BN_free(search->serial);
    free(search->alias);
    memset(search, 0, sizeof(*search));
}

static bool set_name(X509_NAME **name, const OSSL_PARAM params[], const char *key)
{
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, key);
    const void *data = NULL;
    size_t len = 0;

    if (p == NULL) {
        return true;
    }
    if (OSSL_PARAM_get_octet_string_ptr(p, &data, &len) != 1 || data == NULL) {
        return false;
    }
    const unsigned char *der = data;
    X509_NAME_free(*name);
    *name = d2i_X509_NAME(NULL, &der, (long)len);
    return *name != NULL;
}

bool prov_search_set(struct prov_search *search, const OSSL_PARAM params[])
{
    const OSSL_PARAM *serial = OSSL_PARAM_locate_const(params, OSSL_STORE_PARAM_SERIAL);
    const OSSL_PARAM *alias = OSSL_PARAM_locate_const(params, OSSL_STORE_PARAM_ALIAS);
    const char *text = NULL;

    if (!set_name(&search->subject, params, OSSL_STORE_PARAM_SUBJECT) ||
        !set_name(&search->issuer, params, OSSL_STORE_PARAM_ISSUER) ||
        (serial != NULL && OSSL_PARAM_get_BN(serial, &search->serial) != 1)) {
        return false;
    }
    if (alias != NULL) {
        if (OSSL_PARAM_get_utf8_string_ptr(alias, &text) != 1) {
            return false;
        }
        free(search->alias);
        search->alias = str_dup(text);
        return search->alias != NULL;
    }
    return true;
}

bool prov_search_is_set(const struct prov_search *search)
{
    return prov_search_is_for_certs(search) || search->alias != NULL;
}

bool prov_search_is_for_certs(const struct prov_search *search)
{
    return search->subject != NULL || search->issuer != NULL || search->serial != NULL;
}

static void add_name(struct attrs *template, CK_ATTRIBUTE_TYPE type, X509_NAME *name)
{
    const unsigned char *der = NULL;
    size_t len = 0;

    if (name != NULL && X509_NAME_get0_der(name, &der, &len) == 1) {
        attrs_add_bytes(template, type, der, len);
    }
}

void prov_search_to_template(const struct prov_search *search, struct attrs *template)
{
    add_name(template, CKA_SUBJECT, search->subject);
    add_name(template, CKA_ISSUER, search->issuer);
}

bool prov_search_matches(const struct prov_search *search, X509 *cert)
{
    AUTO(bn)
    BIGNUM *serial =
        search->serial != NULL ? ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL) : NULL;

    return (search->subject == NULL ||
            X509_NAME_cmp(search->subject, X509_get_subject_name(cert)) == 0) &&
           (search->issuer == NULL ||
            X509_NAME_cmp(search->issuer, X509_get_issuer_name(cert)) == 0) &&
           (search->serial == NULL || (serial != NULL && BN_cmp(search->serial, serial) == 0));
}
