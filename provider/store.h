/* The OSSL_STORE loader for "pkcs11:" URIs: private keys, public keys and certificates. */
#ifndef PROVIDER_STORE_H
#define PROVIDER_STORE_H

#include <openssl/core_dispatch.h>

extern const OSSL_DISPATCH prov_store[];

#endif
