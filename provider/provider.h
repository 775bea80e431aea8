/*
 * The door to the provider: one function. p11enroll.so exports it as OSSL_provider_init; the client
 * registers the same objects in-process with OSSL_PROVIDER_add_builtin(), so that a process has one
 * copy of the token state.
 */
#ifndef PROVIDER_PROVIDER_H
#define PROVIDER_PROVIDER_H

#include <openssl/core.h>

#define PROV_NAME "p11enroll"

/* OSSL_provider_init_fn (provider-base(7)): fills *out with the provider's functions. 1 for
 * success. */
int prov_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
              void **provctx);

#endif
