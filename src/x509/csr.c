#include "x509/x509.h"

#include "base/str.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

DEFINE_AUTO(bio, BIO *, BIO_free_all)
DEFINE_AUTO(md_ctx, EVP_MD_CTX *, EVP_MD_CTX_free)
DEFINE_AUTO(extension, X509_EXTENSION *, X509_EXTENSION_free)
DEFINE_AUTO(general_names, GENERAL_NAMES *, GENERAL_NAMES_free)

enum { CN_MAX = 64 }; /* ub-common-name, RFC 5280 appendix A.1 */

/* NULL: EdDSA hashes as a part of the signature and takes no digest (RFC 8410, section 3). */
static const char *default_digest(EVP_PKEY *key)
{
    int bits = EVP_PKEY_get_bits(key);

    if (EVP_PKEY_is_a(key, "ED25519") == 1 || EVP_PKEY_is_a(key, "ED448") == 1) {
        return NULL;
    }
    if (EVP_PKEY_is_a(key, "EC") != 1) {
        return "SHA256";
    }
    return bits > 384 ? "SHA512" : bits > 256 ? "SHA384" : "SHA256";
}

static bool set_subject(X509_REQ *req, const struct x509_csr *request, struct err *err)
{
    AUTO(x509_name) X509_NAME *name = NULL;

    if (request->subject != NULL) {
        if (!x509_subject_parse(request->subject, &name, err)) {
            return false;
        }
    } else {
        name = X509_NAME_new();
        for (size_t i = 0; name != NULL && i < request->names->count; i++) {
            const char *first = request->names->list[i];
            if (x509_name_kind(first) == X509_NAME_DNS && strlen(first) <= CN_MAX) {
                X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)first,
                                           -1, -1, 0);
                break;
            }
        }
    }
    if (name == NULL || X509_REQ_set_subject_name(req, name) != 1) {
        return err_set_ssl(err, E_MEMORY, "setting the subject of the request");
    }
    return true;
}

static bool push_name(GENERAL_NAMES *list, const char *text)
{
    enum x509_name_kind kind = x509_name_kind(text);
    int type = kind == X509_NAME_IP ? GEN_IPADD : kind == X509_NAME_EMAIL ? GEN_EMAIL : GEN_DNS;
    GENERAL_NAME *name = a2i_GENERAL_NAME(NULL, NULL, NULL, type, (char *)(uintptr_t)text, 0);

    if (name == NULL || sk_GENERAL_NAME_push(list, name) <= 0) {
        GENERAL_NAME_free(name);
        return false;
    }
    return true;
}

static bool set_names(X509_REQ *req, const struct x509_names *names, struct err *err)
{
    AUTO(general_names) GENERAL_NAMES *list = sk_GENERAL_NAME_new_null();

    if (names->count == 0) {
        return true;
    }
    for (size_t i = 0; list != NULL && i < names->count; i++) {
        if (!push_name(list, names->list[i])) {
            return err_set_ssl(err, E_USAGE, "the name '%s'", names->list[i]);
        }
    }
    AUTO(extension)
    X509_EXTENSION *ext = list != NULL ? X509V3_EXT_i2d(NID_subject_alt_name, 0, list) : NULL;
    STACK_OF(X509_EXTENSION) *exts = sk_X509_EXTENSION_new_null();
    bool ok = ext != NULL && exts != NULL && sk_X509_EXTENSION_push(exts, ext) > 0 &&
              X509_REQ_add_extensions(req, exts) == 1;
    sk_X509_EXTENSION_free(exts);
    return ok || err_set_ssl(err, E_MEMORY, "adding the names to the request");
}

static bool sign(X509_REQ *req, const struct x509_csr *request, EVP_PKEY *key, struct err *err)
{
    const char *digest = request->digest != NULL ? request->digest : default_digest(key);
    AUTO(md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (ctx == NULL) {
        return err_nomem(err);
    }
    if (EVP_DigestSignInit_ex(ctx, NULL, digest, NULL, NULL, key, NULL) != 1 ||
        X509_REQ_sign_ctx(req, ctx) <= 0) {
        return err_set_ssl(err, E_TOKEN, "signing the certificate request");
    }
    EVP_PKEY *public = X509_REQ_get0_pubkey(req);
    if (public == NULL || X509_REQ_verify(req, public) != 1) {
        return err_set_ssl(err, E_TOKEN,
                           "the signature that the key made does not verify with its public half; "
                           "what stands under the key's id on the token may be another key's "
                           "('p11enroll cert check' tells)");
    }
    return true;
}

static bool to_pem(X509_REQ *req, struct buf *out, struct err *err)
{
    AUTO(bio) BIO *mem = BIO_new(BIO_s_mem());
    char *data = NULL;

    if (mem == NULL || PEM_write_bio_X509_REQ(mem, req) != 1) {
        return err_set_ssl(err, E_MEMORY, "encoding the certificate request");
    }
    long len = BIO_get_mem_data(mem, &data);
    buf_add(out, data, (size_t)len);
    return buf_ok(out) || err_nomem(err);
}

bool x509_csr_create(const struct x509_csr *request, EVP_PKEY *key, struct buf *out,
                     struct err *err)
{
    AUTO(x509_req) X509_REQ *req = X509_REQ_new();

    if (req == NULL) {
        return err_nomem(err);
    }
    if (X509_REQ_set_version(req, X509_REQ_VERSION_1) != 1 || X509_REQ_set_pubkey(req, key) != 1) {
        return err_set_ssl(err, E_TOKEN, "putting the public key into the request");
    }
    return set_subject(req, request, err) && set_names(req, request->names, err) &&
           sign(req, request, key, err) && to_pem(req, out, err);
}

bool x509_csr_parse(const char *pem, X509_REQ **out, struct err *err)
{
    AUTO(bio) BIO *mem = BIO_new_mem_buf(pem, -1);

    *out = mem != NULL ? PEM_read_bio_X509_REQ(mem, NULL, NULL, NULL) : NULL;
    return *out != NULL || err_set_ssl(err, E_USAGE, "this is no PEM certificate request");
}

static bool hash_spki(X509_PUBKEY *pubkey, uint8_t *out, struct err *err)
{
    unsigned char *der = NULL;
    unsigned len = 0;
    int der_len = pubkey != NULL ? i2d_X509_PUBKEY(pubkey, &der) : 0;
    bool ok = der_len > 0 && EVP_Digest(der, (size_t)der_len, out, &len, EVP_sha256(), NULL) == 1;

    OPENSSL_free(der);
    return ok || err_set_ssl(err, E_INTERNAL, "hashing a public key");
}

bool x509_spki_hash(EVP_PKEY *key, uint8_t out[static X509_SPKI_HASH_LEN], struct err *err)
{
    X509_PUBKEY *pubkey = NULL;

    if (X509_PUBKEY_set(&pubkey, key) != 1) {
        return err_set_ssl(err, E_TOKEN, "the public half of the key cannot be encoded");
    }
    bool ok = hash_spki(pubkey, out, err);
    X509_PUBKEY_free(pubkey);
    return ok;
}

bool x509_cert_spki_hash(X509 *cert, uint8_t out[static X509_SPKI_HASH_LEN], struct err *err)
{
    return hash_spki(X509_get_X509_PUBKEY(cert), out, err);
}

bool x509_csr_spki_hash(X509_REQ *csr, uint8_t out[static X509_SPKI_HASH_LEN], struct err *err)
{
    return hash_spki(X509_REQ_get_X509_PUBKEY(csr), out, err);
}
