/*
 * The child of the application's library context, which may outlive that: a garbage collector frees
 * a library context before the keys that were loaded in it, and we end with the last key.
 */
#ifndef PROVIDER_CHILD_H
#define PROVIDER_CHILD_H

#include <openssl/core.h>
#include <openssl/types.h>

struct prov_child;

/* NULL if it cannot be made; prov_child_free() it. */
struct prov_child *prov_child_new(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in);
void prov_child_free(struct prov_child *child);

OSSL_LIB_CTX *prov_child_libctx(const struct prov_child *child);

#endif
