/* Key agreement (ECDH) with EC keys in a token; the peer's key is a software one, imported into our
 * key management for this. */
#ifndef PROVIDER_EXCHANGE_H
#define PROVIDER_EXCHANGE_H

#include <openssl/core_dispatch.h>

extern const OSSL_DISPATCH prov_exchange_ecdh[];

#endif
