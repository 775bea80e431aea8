/*
 * What OSSL_STORE_find() asks for: a certificate by its subject, by issuer and serial number, or
 * anything by its label, which OpenSSL calls an alias.
 */
#ifndef PROVIDER_SEARCH_H
#define PROVIDER_SEARCH_H

#include "base/cleanup.h"
#include "base/compiler.h"
#include "hsm/attr.h"

#include <openssl/core.h>
#include <openssl/types.h>
#include <stdbool.h>

/* All owned; NULL where it is not asked for. */
struct prov_search {
    X509_NAME *subject;
    X509_NAME *issuer;
    BIGNUM *serial;
    char *alias;
};

void prov_search_done(struct prov_search *search);

/* The parameters that prov_search_set() takes, for a loader's settable parameters. */
#define PROV_SEARCH_PARAMS                                                                         \
    OSSL_PARAM_octet_string(OSSL_STORE_PARAM_SUBJECT, NULL, 0),                                    \
        OSSL_PARAM_octet_string(OSSL_STORE_PARAM_ISSUER, NULL, 0),                                 \
        OSSL_PARAM_BN(OSSL_STORE_PARAM_SERIAL, NULL, 0),                                           \
        OSSL_PARAM_utf8_string(OSSL_STORE_PARAM_ALIAS, NULL, 0)

/* Takes over what is among params. False if it cannot be understood. */
bool prov_search_set(struct prov_search *search, const OSSL_PARAM params[]) NODISCARD;

bool prov_search_is_set(const struct prov_search *search);

/* True if only certificates can match. */
bool prov_search_is_for_certs(const struct prov_search *search);

/* Adds the names that the token can look for. The values are borrowed. An alias is for the caller
 * to compare with what else it knows of the label. */
void prov_search_to_template(const struct prov_search *search, struct attrs *template);

/* True if that is what is searched. Names are compared as X.509 does, not byte by byte. */
bool prov_search_matches(const struct prov_search *search, X509 *cert);

DEFINE_AUTO_DONE(prov_search, struct prov_search, prov_search_done)

#endif
