/*
 * Signatures with token keys. Hashing is done in software, in the child library context; the token
 * signs the digest (EdDSA: the message). Verification needs no token: it goes to a software copy of
 * the public half.
 */
#ifndef PROVIDER_SIGNATURE_H
#define PROVIDER_SIGNATURE_H

#include "provider/key.h"

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
    EVP_PKEY *software; /* public half, for verification */
    /* RSA */
    int padding; /* RSA_PKCS1_PADDING, ... */
    EVP_MD *mgf1_md;
    int salt_len;
};

/* Signs a digest (or, without md, the input itself). *out_len: room on entry, length on return. */
typedef bool prov_sign_fn(struct prov_sig *sig, const uint8_t *in, size_t in_len, uint8_t *out,
                          size_t *out_len, struct err *err);

prov_sign_fn prov_ecdsa_sign; /* output: ECDSA-Sig-Value */
prov_sign_fn prov_eddsa_sign;

/* Applies padding and the like to the software context that verifies. */
typedef bool prov_verify_setup_fn(struct prov_sig *sig, EVP_PKEY_CTX *verify);

/* Shared by the dispatch tables; each algorithm file wraps what depends on it. */
void *prov_sig_new(void *provctx, const char *propq);
void prov_sig_free(void *vsig);
void *prov_sig_dup(void *vsig);

/* Starts an operation with a key (NULL: the one that is set already). E_OBJECT_MISSING if there is
 * none. */
bool prov_sig_start(struct prov_sig *sig, void *vkey, struct err *err) NODISCARD;

/* prov_ctx_fetch_digest() with the property query of the signature. */
EVP_MD *prov_sig_fetch_digest(struct prov_sig *sig, const char *name, const char *propq,
                              struct err *err) NODISCARD;
bool prov_sig_set_digest(struct prov_sig *sig, const char *name, const char *propq,
                         struct err *err) NODISCARD;
bool prov_sig_digest_start(struct prov_sig *sig, const char *md_name, struct err *err) NODISCARD;
int prov_sig_digest_update(void *vsig, const unsigned char *data, size_t len);

int prov_sig_sign(struct prov_sig *sig, prov_sign_fn *sign, unsigned char *out, size_t *out_len,
                  size_t room, const unsigned char *in, size_t in_len);
int prov_sig_digest_final(struct prov_sig *sig, prov_sign_fn *sign, unsigned char *out,
                          size_t *out_len, size_t room);

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

#endif
