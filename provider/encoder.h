/*
 * Encoders for token keys: the public half in the usual forms, text for people, and a private key
 * as a PEM file that carries its URI (hsm/pem_uri.h). The private half has no form outside of its
 * token.
 *
 * Forms that are not here are left to the encoders of the default provider, which ask keymgmt to
 * export: it gives the public half and refuses the private one.
 */
#ifndef PROVIDER_ENCODER_H
#define PROVIDER_ENCODER_H

#include <openssl/core_dispatch.h>

extern const OSSL_DISPATCH prov_encoder_spki_der[];
extern const OSSL_DISPATCH prov_encoder_spki_pem[];
extern const OSSL_DISPATCH prov_encoder_pkcs1_der[]; /* RSAPublicKey (RFC 8017 A.1.1) */
extern const OSSL_DISPATCH prov_encoder_pkcs1_pem[];
extern const OSSL_DISPATCH prov_encoder_uri_pem[];
extern const OSSL_DISPATCH prov_encoder_text[];

#endif
