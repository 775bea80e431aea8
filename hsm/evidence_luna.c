/*
 * Thales Luna: a public-key confirmation, PKCS#7 with certificates from the key up to the maker.
 * It is made with the vendor's tool (cmu getpkc) and given as a file. Two variants are known by
 * their number of certificates; only the longer one contains the root. Nothing else tells what such
 * a file is: whether a Luna made it is known by its root alone.
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

/* PKCS#7 is what anybody's certificates can be put into: a YubiKey's attestation does not become a
 * confirmation in it. */
static bool is_anothers(const STACK_OF(X509) * certs)
{
    for (int i = 0; i < sk_X509_num(certs); i++) {
        if (hsm_has_extension_below(sk_X509_value(certs, i), HSM_YUBICO_ARC)) {
            return true;
        }
    }
    return false;
}

bool hsm_luna_recognise(const uint8_t *data, size_t len)
{
    AUTO(pkcs7) PKCS7 *pkcs7 = read_pkcs7(data, len);

    return pkcs7 != NULL && !is_anothers(pkcs7->d.sign->cert);
}

static bool is_issuer_of(X509 *issuer, X509 *cert)
{
    return X509_NAME_cmp(X509_get_subject_name(issuer), X509_get_issuer_name(cert)) == 0;
}

/* The confirmation itself is the one that issued none of the others. NULL: there is not one. */
static X509 *find_about(const struct hsm_attested *certs)
{
    X509 *found = NULL;

    for (size_t i = 0; i < certs->count; i++) {
        bool is_issuer = false;
        for (size_t k = 0; k < certs->count; k++) {
            is_issuer = is_issuer || is_issuer_of(certs->certs[i], certs->certs[k]);
        }
        if (!is_issuer && found != NULL) {
            return NULL;
        }
        found = is_issuer ? found : certs->certs[i];
    }
    return found;
}

/* What tells the variants apart is the number of certificates and whether a root is among them. */
static void judge(struct hsm_attested *out, bool has_root)
{
    const char *variant = NULL;

    out->about = find_about(out);
    if (out->about != NULL && out->count == TC_TRUSTCENTER_CERTS && !has_root) {
        variant = "TC-TrustCenter";
    } else if (out->about != NULL && out->count == CHRYSALIS_CERTS && has_root) {
        variant = "Chrysalis-ITS";
    } else {
        out->why_not = "its certificates are those of no known variant of a confirmation";
    }
    hsm_attested_fact(out, "variant", "%s", variant != NULL ? variant : "unknown");
    hsm_attested_fact(out, "certificates", "%zu", out->count);
    hsm_attested_fact(out, "root_included", "%s", has_root ? "yes" : "no");
}

bool hsm_luna_parse(const uint8_t *data, size_t len, struct hsm_attested *out, struct err *err)
{
    AUTO(pkcs7) PKCS7 *pkcs7 = read_pkcs7(data, len);
    bool has_root = false;

    if (pkcs7 == NULL) {
        return err_set(err, E_EVIDENCE, "it is no PKCS#7 with certificates");
    }
    if (is_anothers(pkcs7->d.sign->cert)) {
        return err_set(
            err, E_EVIDENCE,
            "a certificate in it is a YubiKey's or a YubiHSM's, so it is no confirmation "
            "by a Luna");
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
        has_root = has_root || is_issuer_of(cert, cert);
    }
    judge(out, has_root);
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
