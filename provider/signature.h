/*
 * Signatures with token keys. Hashing is done in software, in the child library context; the token
 * signs the digest (EdDSA, and tokens that hash by themselves: the message). Verification needs no
 * token: it goes to a software copy of the public half.
 */
#ifndef PROVIDER_SIGNATURE_H
#define PROVIDER_SIGNATURE_H

#include "provider/key.h"
#include "provider/message.h"

#include <openssl/core_dispatch.h>
#include <openssl/evp.h>

extern const OSSL_DISPATCH prov_signature_rsa[];
extern const OSSL_DISPATCH prov_signature_ecdsa[];
extern const OSSL_DISPATCH prov_signature_ed[];

/* Salt lengths as OpenSSL numbers them (EVP_PKEY_CTX_set_rsa_pss_saltlen(3)). */
enum { PROV_SALT_DIGEST = -1, PROV_SALT_AUTO = -2, PROV_SALT_MAX = -3 };

/* One signature operation. */
struct prov_sig {
    struct prov_ctx *ctx;
    struct prov_key *key;
    char *propq;
    EVP_MD *md;         /* NULL: the input is signed as it is */
    EVP_MD_CTX *md_ctx; /* kept for the next operation */
    bool hashing;       /* data goes into md_ctx */
    bool fed;           /* and some went there piece by piece */
    bool spent;         /* one message was signed in one go; the next begins anew */
    struct prov_message message;
    EVP_PKEY *software; /* public half, for verification */
    /* RSA */
    int padding; /* RSA_PKCS1_PADDING, ... */
    EVP_MD *mgf1_md;
    int salt_len;
};

/* Signs a digest (or, without md, the input itself). *out_len: room on entry, length on return. */
typedef bool prov_sign_fn(struct prov_sig *sig, const uint8_t *in, size_t in_len, uint8_t *out,
                          size_t *out_len, struct err *err);

prov_sign_fn prov_eddsa_sign;

/* A kind of signature that begins with a digest. */
struct prov_sig_kind {
    prov_sign_fn *sign;
    /* What a token that hashes is asked for. False if PKCS#11 has no such thing. */
    bool (*how)(struct prov_sig *sig, struct hsm_sign *how, struct err *err);
    /* The token's signature in OpenSSL's form; *out_len: room on entry, length on return. */
    bool (*encode)(struct prov_sig *sig, const uint8_t *raw, size_t raw_len, uint8_t *out,
                   size_t *out_len, struct err *err);
};

extern const struct prov_sig_kind prov_sig_ecdsa; /* output: ECDSA-Sig-Value */

/* Applies padding and the like to the software context that verifies. */
typedef bool prov_verify_setup_fn(struct prov_sig *sig, EVP_PKEY_CTX *verify);

/* Shared by the dispatch tables; each algorithm file wraps what depends on it. */
void *prov_sig_new(void *provctx, const char *propq);
void prov_sig_free(void *vsig);
void *prov_sig_dup(void *vsig);

/* Starts an operation with a key (NULL: the one that is set already). E_OBJECT_MISSING if there is
 * none. */
bool prov_sig_start(struct prov_sig *sig, void *vkey, struct err *err) NODISCARD;

/* PKCS#11's number of the digest, 0 if it has none; where no digest is set, that of SHA-256. */
CK_MECHANISM_TYPE prov_sig_hash(const struct prov_sig *sig);

/* prov_ctx_fetch_digest() with the property query of the signature. */
EVP_MD *prov_sig_fetch_digest(struct prov_sig *sig, const char *name, const char *propq,
                              struct err *err) NODISCARD;
bool prov_sig_set_digest(struct prov_sig *sig, const char *name, const char *propq,
                         struct err *err) NODISCARD;
bool prov_sig_digest_start(struct prov_sig *sig, const char *md_name, struct err *err) NODISCARD;
int prov_sig_digest_update(void *vsig, const unsigned char *data, size_t len);

/* The digest of what was hashed so far; nothing can be added after that. */
bool prov_sig_finish(struct prov_sig *sig, uint8_t digest[static EVP_MAX_MD_SIZE], unsigned *len,
                     struct err *err) NODISCARD;

/*
 * Signing (signature_sign.c). prov_sig_sign_start() comes after prov_sig_digest_start() and says
 * that the message is to be signed, not verified; the token gets the digest or, if it wants that,
 * the message.
 */
void prov_sig_sign_start(struct prov_sig *sig);
bool prov_sig_sign_update(struct prov_sig *sig, const struct prov_sig_kind *kind,
                          const uint8_t *data, size_t len, struct err *err) NODISCARD;
bool prov_sig_sign_final(struct prov_sig *sig, const struct prov_sig_kind *kind, uint8_t *out,
                         size_t *out_len, struct err *err) NODISCARD;

/* What dispatch functions do: with a message that is signed as it is, with a digest (or whatever
 * else comes without a message), and with a message to be hashed. */
int prov_sig_op_sign(struct prov_sig *sig, prov_sign_fn *sign, unsigned char *out, size_t *out_len,
                     size_t room, const unsigned char *in, size_t in_len);
int prov_sig_op_sign_digest(struct prov_sig *sig, const struct prov_sig_kind *kind,
                            unsigned char *out, size_t *out_len, size_t room,
                            const unsigned char *in, size_t in_len);
int prov_sig_op_update(struct prov_sig *sig, const struct prov_sig_kind *kind,
                       const unsigned char *data, size_t len);
int prov_sig_op_final(struct prov_sig *sig, const struct prov_sig_kind *kind, unsigned char *out,
                      size_t *out_len, size_t room);

/* The last two in one, EVP_DigestSign(3): OpenSSL makes no copy of the operation then. It may be
 * called again, after a failure as well, and signs that message alone; what was fed before goes in
 * front of it, once. */
int prov_sig_op_message(struct prov_sig *sig, const struct prov_sig_kind *kind, unsigned char *out,
                        size_t *out_len, size_t room, const unsigned char *in, size_t in_len);

/* Makes sig->software, if it is not there yet. False, with an error raised, if there is no public
 * half. */
bool prov_sig_need_software(struct prov_sig *sig) NODISCARD;

int prov_sig_verify(struct prov_sig *sig, prov_verify_setup_fn *setup, const unsigned char *value,
                    size_t value_len, const unsigned char *in, size_t in_len);
int prov_sig_digest_verify_final(struct prov_sig *sig, prov_verify_setup_fn *setup,
                                 const unsigned char *value, size_t value_len);

/* Sets *der to the AlgorithmIdentifier that goes with a signature of digest and key kind (without a
 * digest, the key kind's own); OPENSSL_free() it. Returns its length, 0 if there is none. */
int prov_sig_algorithm_der(int md_nid, int key_nid, bool null_parameter, unsigned char **der);

/* The parameters "digest" and "algorithm-id" that both have. */
bool prov_sig_set_digest_param(struct prov_sig *sig, const OSSL_PARAM params[],
                               struct err *err) NODISCARD;
bool prov_sig_get_digest_param(struct prov_sig *sig, OSSL_PARAM params[]);

/*
 * The entry points of a kind whose signatures are of digests, and their place in its table. Before
 * the first stands digest_start(), which begins with a digest; before the second start() as well,
 * and the functions about parameters. `kind` is a struct prov_sig_kind, `setup` what a verification
 * wants set (NULL: nothing).
 */
#define PROV_SIG_HASHING(kind, setup)                                                              \
    static int digest_sign_start(void *vsig, const char *md_name, void *key,                       \
                                 const OSSL_PARAM params[])                                        \
    {                                                                                              \
        if (digest_start(vsig, md_name, key, params) != 1) {                                       \
            return 0;                                                                              \
        }                                                                                          \
        prov_sig_sign_start(vsig);                                                                 \
        return 1;                                                                                  \
    }                                                                                              \
    static int op_digest_update(void *vsig, const unsigned char *data, size_t len)                 \
    {                                                                                              \
        return prov_sig_op_update(vsig, &(kind), data, len);                                       \
    }                                                                                              \
    static int op_sign(void *vsig, unsigned char *out, size_t *out_len, size_t room,               \
                       const unsigned char *in, size_t in_len)                                     \
    {                                                                                              \
        return prov_sig_op_sign_digest(vsig, &(kind), out, out_len, room, in, in_len);             \
    }                                                                                              \
    static int op_digest_final(void *vsig, unsigned char *out, size_t *out_len, size_t room)       \
    {                                                                                              \
        return prov_sig_op_final(vsig, &(kind), out, out_len, room);                               \
    }                                                                                              \
    static int op_message(void *vsig, unsigned char *out, size_t *out_len, size_t room,            \
                          const unsigned char *in, size_t in_len)                                  \
    {                                                                                              \
        return prov_sig_op_message(vsig, &(kind), out, out_len, room, in, in_len);                 \
    }                                                                                              \
    static int op_verify(void *vsig, const unsigned char *value, size_t value_len,                 \
                         const unsigned char *in, size_t in_len)                                   \
    {                                                                                              \
        return prov_sig_verify(vsig, setup, value, value_len, in, in_len);                         \
    }                                                                                              \
    static int op_digest_verify_final(void *vsig, const unsigned char *value, size_t value_len)    \
    {                                                                                              \
        return prov_sig_digest_verify_final(vsig, setup, value, value_len);                        \
    }

/* clang-format off */
#define PROV_SIG_HASHING_TABLE                                                                     \
    {OSSL_FUNC_SIGNATURE_NEWCTX, (void (*)(void))prov_sig_new},                                    \
    {OSSL_FUNC_SIGNATURE_FREECTX, (void (*)(void))prov_sig_free},                                  \
    {OSSL_FUNC_SIGNATURE_DUPCTX, (void (*)(void))prov_sig_dup},                                    \
    {OSSL_FUNC_SIGNATURE_SIGN_INIT, (void (*)(void))start},                                        \
    {OSSL_FUNC_SIGNATURE_SIGN, (void (*)(void))op_sign},                                           \
    {OSSL_FUNC_SIGNATURE_VERIFY_INIT, (void (*)(void))start},                                      \
    {OSSL_FUNC_SIGNATURE_VERIFY, (void (*)(void))op_verify},                                       \
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (void (*)(void))digest_sign_start},                     \
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, (void (*)(void))op_digest_update},                    \
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, (void (*)(void))op_digest_final},                      \
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN, (void (*)(void))op_message},                                 \
    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_INIT, (void (*)(void))digest_start},                        \
    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_UPDATE, (void (*)(void))prov_sig_digest_update},            \
    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_FINAL, (void (*)(void))op_digest_verify_final},             \
    {OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, (void (*)(void))set_ctx_params},                          \
    {OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, (void (*)(void))settable_ctx_params},                \
    {OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, (void (*)(void))get_ctx_params},                          \
    {OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, (void (*)(void))gettable_ctx_params},                \
    {0, NULL}
/* clang-format on */

#endif
