/*
 * Decoders for PEM files that carry a PKCS#11 URI (hsm/pem_uri.h), so that a program that knows
 * nothing but file names can use a token key.
 *
 * OpenSSL chains decoders: the first unwraps PEM, the second makes a key of what was in it. Both
 * are asked about each PEM block and each piece of DER that the process reads, so they look at the
 * first bytes and leave foreign data alone, without an error.
 */
#ifndef PROVIDER_DECODER_H
#define PROVIDER_DECODER_H

#include <openssl/core_dispatch.h>

/* What OpenSSL calls the structure between the two. */
#define PROV_DECODER_STRUCTURE "pkcs11-provider-uri"

extern const OSSL_DISPATCH prov_decoder_pem[]; /* PEM to DER */
extern const OSSL_DISPATCH prov_decoder_key[]; /* DER to a key of any kind */

#endif
