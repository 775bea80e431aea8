/*
 * Thales Luna: a public-key confirmation, PKCS#7 with certificates from the key up to the maker.
 * It is made with the vendor's tool (cmu getpkc) and given as a file. Two forms are known by their
 * number of certificates; only the longer one contains the root.
 */
#include "hsm/evidence.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>

enum { TC_TRUSTCENTER_CERTS = 3, CHRYSALIS_CERTS = 5 };

DEFINE_AUTO(bio, BIO *, BIO_free_all)
DEFINE_AUTO(pkcs7, PKCS7 *, PKCS7_free)

/* DER, or PEM around it. NULL: it is no PKCS#7 with certificates. */
static PKCS7 *read_pkcs7(const uint8_t *data, size_t len)
{
    const unsigned char *p = data;

    if (len == 0 || len > HSM_ATTESTATION_MAX) {
        return NULL;
    }
    (void)ERR_set_mark();
    PKCS7 *found = d2i_PKCS7(NULL, &p, (long)len);
    if (found != NULL && p != data + len) { /* something follows */
        PKCS7_free(found);
        found = NULL;
    }
    if (found == NULL) {
        AUTO(bio) BIO *bio = BIO_new_mem_buf(data, (int)len);
        found = bio != NULL ? PEM_read_bio_PKCS7(bio, NULL, NULL, NULL) : NULL;
    }
    (void)ERR_pop_to_mark();
    if (found != NULL && (!PKCS7_type_is_signed(found) || found->d.sign == NULL ||
                          sk_X509_num(found->d.sign->cert) <= 0)) {
        PKCS7_free(found);
        found = NULL;
    }
    return found;
}

bool hsm_luna_recognise(const uint8_t *data, size_t len)
{
    AUTO(pkcs7) PKCS7 *pkcs7 = read_pkcs7(data, len);

    return pkcs7 != NULL;
}

static bool is_root(X509 *cert)
{
    return X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) == 0;
}

bool hsm_luna_parse(const uint8_t *data, size_t len, struct hsm_attested *out, struct err *err)
{
    AUTO(pkcs7) PKCS7 *pkcs7 = read_pkcs7(data, len);
    bool has_root = false;

    if (pkcs7 == NULL) {
        return err_set(err, E_EVIDENCE, "it is no PKCS#7 with certificates");
    }
    int count = sk_X509_num(pkcs7->d.sign->cert);
    if (count > HSM_ATTESTED_CERTS) {
        return err_set(err, E_EVIDENCE, "it has %d certificates; a confirmation has at most %d",
                       count, CHRYSALIS_CERTS);
    }
    for (int i = 0; i < count; i++) {
        X509 *cert = sk_X509_value(pkcs7->d.sign->cert, i);
        if (X509_up_ref(cert) != 1) {
            return err_nomem(err);
        }
        out->certs[out->count++] = cert;
        has_root = has_root || is_root(cert);
    }
    hsm_attested_fact(out, "variant", "%s",
                      count == TC_TRUSTCENTER_CERTS && !has_root ? "TC-TrustCenter"
                      : count == CHRYSALIS_CERTS                 ? "Chrysalis-ITS"
                                                                 : "unknown");
    hsm_attested_fact(out, "certificates", "%d", count);
    hsm_attested_fact(out, "root_included", "%s", has_root ? "yes" : "no");
    return true;
}

bool hsm_luna_payload(const uint8_t *data, size_t len, const struct hsm_attested *attested UNUSED,
                      struct buf *out, struct err *err)
{
    AUTO(pkcs7) PKCS7 *pkcs7 = read_pkcs7(data, len);
    unsigned char *der = NULL;
    int der_len = pkcs7 != NULL ? i2d_PKCS7(pkcs7, &der) : 0;

    if (der_len <= 0) {
        return err_set(err, E_EVIDENCE, "it is no PKCS#7 with certificates");
    }
    bool ok = hsm_add_base64(der, (size_t)der_len, out, err);
    OPENSSL_free(der);
    return ok;
}
