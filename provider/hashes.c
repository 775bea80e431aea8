#include "provider/hashes.h"

#include "base/compiler.h"

#include <openssl/evp.h>
#include <openssl/objects.h>

/* PKCS#11 3.0, sections 2.1.8 and 6.20; p11-kit's header has none of SHA-3. */
enum {
    SHA3_256 = 0x2b0,
    SHA3_224 = 0x2b5,
    SHA3_384 = 0x2c0,
    SHA3_512 = 0x2d0,
    MGF1_SHA3_224 = 6,
    MGF1_SHA3_256 = 7,
    MGF1_SHA3_384 = 8,
    MGF1_SHA3_512 = 9,
};

/* clang-format off */
static const struct prov_hash hashes[] = {
    {NID_sha1,       CKM_SHA_1,      CKG_MGF1_SHA1},
    {NID_sha224,     CKM_SHA224,     CKG_MGF1_SHA224},
    {NID_sha256,     CKM_SHA256,     CKG_MGF1_SHA256},
    {NID_sha384,     CKM_SHA384,     CKG_MGF1_SHA384},
    {NID_sha512,     CKM_SHA512,     CKG_MGF1_SHA512},
    {NID_sha512_224, CKM_SHA512_224, PROV_MGF1_NONE},
    {NID_sha512_256, CKM_SHA512_256, PROV_MGF1_NONE},
    {NID_sha3_224,   SHA3_224,       MGF1_SHA3_224},
    {NID_sha3_256,   SHA3_256,       MGF1_SHA3_256},
    {NID_sha3_384,   SHA3_384,       MGF1_SHA3_384},
    {NID_sha3_512,   SHA3_512,       MGF1_SHA3_512},
};
/* clang-format on */

const struct prov_hash *prov_hash_of(const EVP_MD *md)
{
    for (size_t i = 0; md != NULL && i < ARRAY_LEN(hashes); i++) {
        if (hashes[i].nid == EVP_MD_get_type(md)) {
            return &hashes[i];
        }
    }
    return NULL;
}
