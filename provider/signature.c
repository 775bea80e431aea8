#include "provider/signature.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "provider/prov_err.h"

#include <openssl/core_names.h>
#include <openssl/objects.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

DEFINE_AUTO(md, EVP_MD *, EVP_MD_free)
DEFINE_AUTO(pkey_ctx, EVP_PKEY_CTX *, EVP_PKEY_CTX_free)
DEFINE_AUTO(algor, X509_ALGOR *, X509_ALGOR_free)

void *prov_sig_new(void *provctx, const char *propq)
{
    struct prov_sig *sig = calloc(1, sizeof(*sig));

    if (sig == NULL) {
        return NULL;
    }
    sig->ctx = provctx;
    sig->padding = RSA_PKCS1_PADDING;
    sig->salt_len = PROV_SALT_AUTO;
    sig->propq = str_dup(propq);
    if (propq != NULL && sig->propq == NULL) {
        free(sig);
        return NULL;
    }
    return sig;
}

void prov_sig_free(void *vsig)
{
    struct prov_sig *sig = vsig;

    if (sig == NULL) {
        return;
    }
    EVP_MD_CTX_free(sig->md_ctx);
    EVP_MD_free(sig->md);
    EVP_MD_free(sig->mgf1_md);
    EVP_PKEY_free(sig->software);
    prov_message_done(&sig->message); /* before its key */
    prov_key_free(sig->key);
    free(sig->propq);
    free(sig);
}

DEFINE_AUTO(sig, struct prov_sig *, prov_sig_free)

void *prov_sig_dup(void *vsig)
{
    const struct prov_sig *from = vsig;
    struct err err = ERR_INIT;
    AUTO(sig) struct prov_sig *to = prov_sig_new(from->ctx, from->propq);

    if (to == NULL) {
        return NULL;
    }
    to->padding = from->padding;
    to->salt_len = from->salt_len;
    to->key = from->key != NULL ? prov_key_ref(from->key) : NULL;
    if (from->md != NULL && EVP_MD_up_ref(from->md) == 1) {
        to->md = from->md;
    }
    if (from->mgf1_md != NULL && EVP_MD_up_ref(from->mgf1_md) == 1) {
        to->mgf1_md = from->mgf1_md;
    }
    if (from->software != NULL && EVP_PKEY_up_ref(from->software) == 1) {
        to->software = from->software;
    }
    to->hashing = from->hashing;
    to->fed = from->fed;
    to->spent = from->spent;
    if (from->hashing) {
        to->md_ctx = EVP_MD_CTX_new();
        if (to->md_ctx == NULL || EVP_MD_CTX_copy_ex(to->md_ctx, from->md_ctx) != 1) {
            return NULL;
        }
    }
    if (!prov_message_dup(&from->message, &to->message, &err)) {
        prov_raise(from->ctx, &err);
        return NULL;
    }
    return TAKE(to);
}

bool prov_sig_start(struct prov_sig *sig, void *vkey, struct err *err)
{
    struct prov_key *key = vkey;

    prov_message_done(&sig->message);
    if (key != NULL && key != sig->key) {
        prov_key_free(sig->key);
        sig->key = prov_key_ref(key);
        EVP_PKEY_free(sig->software);
        sig->software = NULL;
    }
    sig->hashing = false;
    sig->spent = false;
    if (sig->key == NULL) {
        return err_set(err, E_OBJECT_MISSING, "no key was given for the signature");
    }
    if (prov_key_is_empty(sig->key)) {
        return err_set(err, E_OBJECT_MISSING, "the key for the signature has no content");
    }
    return true;
}

EVP_MD *prov_sig_fetch_digest(struct prov_sig *sig, const char *name, const char *propq,
                              struct err *err)
{
    return prov_ctx_fetch_digest(sig->ctx, name, propq, sig->propq, err);
}

bool prov_sig_set_digest(struct prov_sig *sig, const char *name, const char *propq, struct err *err)
{
    AUTO(md) EVP_MD *md = prov_sig_fetch_digest(sig, name, propq, err);

    if (md == NULL) {
        return false;
    }
    if ((EVP_MD_get_flags(md) & EVP_MD_FLAG_XOF) != 0) {
        return err_set(err, E_USAGE, "'%.40s' is no digest for signatures", name);
    }
    EVP_MD_free(sig->md);
    sig->md = TAKE(md);
    return true;
}

bool prov_sig_digest_start(struct prov_sig *sig, const char *md_name, struct err *err)
{
    const char *name = md_name != NULL && md_name[0] != '\0' ? md_name : NULL;

    if (name == NULL && sig->md == NULL) {
        name = "SHA256";
    }
    if (name != NULL && !prov_sig_set_digest(sig, name, NULL, err)) {
        return false;
    }
    if (sig->md_ctx == NULL) {
        sig->md_ctx = EVP_MD_CTX_new();
    }
    if (sig->md_ctx == NULL || EVP_DigestInit_ex2(sig->md_ctx, sig->md, NULL) != 1) {
        return err_set(err, E_INTERNAL, "the digest '%s' does not start",
                       EVP_MD_get0_name(sig->md));
    }
    sig->hashing = true;
    sig->fed = false;
    sig->spent = false;
    return true;
}

int prov_sig_digest_update(void *vsig, const unsigned char *data, size_t len)
{
    struct prov_sig *sig = vsig;

    return sig->hashing && EVP_DigestUpdate(sig->md_ctx, data, len) == 1;
}

bool prov_sig_finish(struct prov_sig *sig, uint8_t digest[static EVP_MAX_MD_SIZE], unsigned *len,
                     struct err *err)
{
    bool ok = sig->hashing && EVP_DigestFinal_ex(sig->md_ctx, digest, len) == 1;

    sig->hashing = false;
    return ok || err_set(err, E_USAGE, "no data is being hashed for this signature");
}

bool prov_sig_need_software(struct prov_sig *sig)
{
    struct err err = ERR_INIT;

    if (sig->software == NULL && !prov_key_software_public(sig->key, &sig->software, &err)) {
        prov_raise(sig->ctx, &err);
        return false;
    }
    return true;
}

int prov_sig_verify(struct prov_sig *sig, prov_verify_setup_fn *setup, const unsigned char *value,
                    size_t value_len, const unsigned char *in, size_t in_len)
{
    if (!prov_sig_need_software(sig)) {
        return 0;
    }
    AUTO(pkey_ctx)
    EVP_PKEY_CTX *verify =
        EVP_PKEY_CTX_new_from_pkey(prov_ctx_libctx(sig->ctx), sig->software, "provider!=p11enroll");
    if (verify == NULL || EVP_PKEY_verify_init(verify) != 1 ||
        (sig->md != NULL && EVP_PKEY_CTX_set_signature_md(verify, sig->md) != 1) ||
        (setup != NULL && !setup(sig, verify))) {
        return 0;
    }
    return EVP_PKEY_verify(verify, value, value_len, in, in_len);
}

int prov_sig_digest_verify_final(struct prov_sig *sig, prov_verify_setup_fn *setup,
                                 const unsigned char *value, size_t value_len)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    struct err err = ERR_INIT;
    unsigned len = 0;

    if (!prov_sig_finish(sig, digest, &len, &err)) {
        prov_raise(sig->ctx, &err);
        return 0;
    }
    return prov_sig_verify(sig, setup, value, value_len, digest, len);
}

int prov_sig_algorithm_der(int md_nid, int key_nid, bool null_parameter, unsigned char **der)
{
    int signature_nid = md_nid == NID_undef ? key_nid : NID_undef;
    AUTO(algor) X509_ALGOR *algor = X509_ALGOR_new();

    if (algor == NULL ||
        (md_nid != NID_undef && OBJ_find_sigid_by_algs(&signature_nid, md_nid, key_nid) != 1) ||
        signature_nid == NID_undef ||
        X509_ALGOR_set0(algor, OBJ_nid2obj(signature_nid),
                        null_parameter ? V_ASN1_NULL : V_ASN1_UNDEF, NULL) != 1) {
        return 0;
    }
    return i2d_X509_ALGOR(algor, der);
}

bool prov_sig_set_digest_param(struct prov_sig *sig, const OSSL_PARAM params[], struct err *err)
{
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_DIGEST);
    const OSSL_PARAM *q = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PROPERTIES);
    const char *name = NULL;
    const char *propq = NULL;

    if (p == NULL) {
        return true;
    }
    if (OSSL_PARAM_get_utf8_string_ptr(p, &name) != 1 || name == NULL ||
        (q != NULL && OSSL_PARAM_get_utf8_string_ptr(q, &propq) != 1)) {
        return err_set(err, E_USAGE, "the digest parameter is not a string");
    }
    if (sig->hashing) {
        /* The data is being hashed already; only the same digest may be named again. */
        return EVP_MD_is_a(sig->md, name) ||
               err_set(err, E_USAGE, "the digest cannot change while data is being signed");
    }
    return prov_sig_set_digest(sig, name, propq, err);
}

bool prov_sig_get_digest_param(struct prov_sig *sig, OSSL_PARAM params[])
{
    OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_DIGEST);
    const char *name = sig->md != NULL ? EVP_MD_get0_name(sig->md) : "";

    return p == NULL || OSSL_PARAM_set_utf8_string(p, name) == 1;
}
