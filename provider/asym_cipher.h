/* Decryption with RSA keys in a token. Encryption needs no token: it goes to a software copy of the
 * public half. */
#ifndef PROVIDER_ASYM_CIPHER_H
#define PROVIDER_ASYM_CIPHER_H

#include <openssl/core_dispatch.h>

extern const OSSL_DISPATCH prov_asym_cipher_rsa[];

#endif
