#include "x509/x509.h"

#include "base/clock.h"

#include <openssl/pem.h> /* first: cms.h declares its PEM functions only then */

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

DEFINE_AUTO(cms, CMS_ContentInfo *, CMS_ContentInfo_free)
DEFINE_AUTO(bio, BIO *, BIO_free_all)

bool x509_cms_sign(X509 *cert, EVP_PKEY *key, const uint8_t *data, size_t len, struct buf *out,
                   struct err *err)
{
    const unsigned flags = CMS_DETACHED | CMS_BINARY | CMS_NOSMIMECAP;
    AUTO(bio) BIO *text = BIO_new_mem_buf(data, (int)len);
    AUTO(cms) CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, flags | CMS_PARTIAL);
    unsigned char *der = NULL;

    if (text == NULL || cms == NULL) {
        return err_nomem(err);
    }
    if (CMS_add1_signer(cms, cert, key, EVP_sha256(), flags) == NULL ||
        CMS_final(cms, text, NULL, flags) != 1) {
        return err_set_ssl(err, E_TOKEN, "signing the text");
    }
    int der_len = i2d_CMS_ContentInfo(cms, &der);
    if (der_len <= 0) {
        return err_set_ssl(err, E_INTERNAL, "a signature cannot be encoded");
    }
    buf_add(out, der, (size_t)der_len);
    OPENSSL_free(der);
    return buf_ok(out) || err_nomem(err);
}

/* PEM or DER, and nothing behind it. */
static CMS_ContentInfo *parse(const uint8_t *data, size_t len)
{
    static const char armour[] = "-----BEGIN ";
    const unsigned char *p = data;

    if (len > strlen(armour) && memcmp(data, armour, strlen(armour)) == 0) {
        AUTO(bio) BIO *in = BIO_new_mem_buf(data, (int)len);
        return in != NULL ? PEM_read_bio_CMS(in, NULL, NULL, NULL) : NULL;
    }
    AUTO(cms) CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &p, (long)len);
    return cms != NULL && p == data + len ? TAKE(cms) : NULL;
}

/* The certificate that the signature says it is by. */
static X509 *find_signer(CMS_SignerInfo *info, STACK_OF(X509) * known, STACK_OF(X509) * inside)
{
    const STACK_OF(X509) *const lists[] = {known, inside};

    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        for (int i = 0; i < sk_X509_num(lists[l]); i++) {
            X509 *cert = sk_X509_value(lists[l], i);
            if (CMS_SignerInfo_cert_cmp(info, cert) == 0) {
                return cert;
            }
        }
    }
    return NULL;
}

/* The hash must be one that nobody can find collisions of. */
static bool has_good_digest(CMS_SignerInfo *info)
{
    static const int good[] = {NID_sha256,   NID_sha384,   NID_sha512,
                               NID_sha3_256, NID_sha3_384, NID_sha3_512};
    X509_ALGOR *digest = NULL;
    const ASN1_OBJECT *object = NULL;

    CMS_SignerInfo_get0_algs(info, NULL, NULL, &digest, NULL);
    X509_ALGOR_get0(&object, NULL, NULL, digest);
    int nid = OBJ_obj2nid(object);
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        if (good[i] == nid) {
            return true;
        }
    }
    return false;
}

/* That it is a detached signature of one signer; *info is borrowed. */
static bool look_at(CMS_ContentInfo *cms, CMS_SignerInfo **info, struct err *err)
{
    if (OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_signed) {
        return err_set(err, E_EVIDENCE, "the file is CMS, but no signature");
    }
    if (CMS_is_detached(cms) != 1) {
        return err_set(err, E_EVIDENCE,
                       "the signature has a text of its own in it; it must stand beside the text "
                       "(openssl cms -sign without -nodetach)");
    }
    STACK_OF(CMS_SignerInfo) *infos = CMS_get0_SignerInfos(cms);
    if (sk_CMS_SignerInfo_num(infos) != 1) {
        return err_set(err, E_EVIDENCE, "the signature has %d signers instead of one",
                       sk_CMS_SignerInfo_num(infos));
    }
    *info = sk_CMS_SignerInfo_value(infos, 0);
    return has_good_digest(*info) ||
           err_set(err, E_EVIDENCE,
                   "the signature is made with a hash that is too weak; SHA-256 "
                   "is the least");
}

static bool check(CMS_ContentInfo *cms, const uint8_t *data, size_t len, STACK_OF(X509) * known,
                  X509 **signer, struct err *err)
{
    CMS_SignerInfo *info = NULL;

    if (!look_at(cms, &info, err)) {
        return false;
    }
    AUTO(x509_stack) STACK_OF(X509) *inside = CMS_get1_certs(cms);
    AUTO(bio) BIO *text = BIO_new_mem_buf(data, (int)len);
    X509 *cert = find_signer(info, known, inside);
    if (text == NULL) {
        return err_nomem(err);
    }
    if (cert == NULL) {
        return err_set(err, E_EVIDENCE,
                       "the certificate of the signer is neither listed nor in "
                       "the signature");
    }
    CMS_SignerInfo_set1_signer_cert(info, cert);
    if (CMS_verify(cms, NULL, NULL, text, NULL, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) != 1) {
        return err_set_ssl(err, E_EVIDENCE,
                           "the signature is not by that certificate's key over this text");
    }
    if (X509_up_ref(cert) != 1) {
        return err_nomem(err);
    }
    *signer = cert;
    return true;
}

bool x509_cms_verify(const uint8_t *signature, size_t signature_len, const uint8_t *data,
                     size_t len, STACK_OF(X509) * known, X509 **signer, struct err *err)
{
    if (signature_len == 0 || signature_len > X509_CMS_MAX || len > X509_CMS_MAX) {
        return err_set(err, E_EVIDENCE, "a signature of %zu bytes is none", signature_len);
    }
    AUTO(cms) CMS_ContentInfo *cms = parse(signature, signature_len);
    if (cms == NULL) {
        return err_set_ssl(err, E_EVIDENCE, "that is no CMS signature in PEM or DER");
    }
    bool ok = check(cms, data, len, known, signer, err);
    ERR_clear_error();
    return ok;
}

bool x509_may_sign(X509 *cert, int64_t now_s, struct err *err)
{
    const uint32_t wanted = KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION;
    int64_t from = 0;
    int64_t until = 0;
    char text[CLOCK_TEXT_SIZE];

    if (!x509_seconds(X509_get0_notBefore(cert), &from) ||
        !x509_seconds(X509_get0_notAfter(cert), &until)) {
        return err_set(err, E_FORBIDDEN, "the certificate has no dates that can be read");
    }
    if (now_s < from || now_s >= until) {
        clock_format(now_s < from ? from : until, text);
        return err_set(err, E_FORBIDDEN, "the certificate %s on %s",
                       now_s < from ? "only begins" : "expired", text);
    }
    return (X509_get_key_usage(cert) & wanted) != 0 ||
           err_set(err, E_FORBIDDEN, "the key usage of the certificate does not allow signatures");
}

bool x509_fingerprint(X509 *cert, uint8_t out[static X509_FINGERPRINT_LEN], struct err *err)
{
    unsigned len = 0;

    return (X509_digest(cert, EVP_sha256(), out, &len) == 1 && len == X509_FINGERPRINT_LEN) ||
           err_set_ssl(err, E_INTERNAL, "hashing a certificate");
}
