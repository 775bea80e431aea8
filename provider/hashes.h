/* The digests that signatures are made with, as OpenSSL and as PKCS#11 number them. */
#ifndef PROVIDER_HASHES_H
#define PROVIDER_HASHES_H

#include "hsm/cryptoki.h"

#include <openssl/types.h>

enum { PROV_MGF1_NONE = 0 }; /* PKCS#11 knows no MGF1 with this hash */

struct prov_hash {
    int nid;
    CK_MECHANISM_TYPE hash;
    CK_RSA_PKCS_MGF_TYPE mgf;
};

/* The row of a digest; NULL if PKCS#11 has none like it, and for NULL. */
const struct prov_hash *prov_hash_of(const EVP_MD *md);

#endif
