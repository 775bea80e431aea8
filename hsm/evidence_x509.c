#include "hsm/evidence.h"

#include "base/str.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

DEFINE_AUTO(bio, BIO *, BIO_free_all)

void hsm_attested_done(struct hsm_attested *attested)
{
    for (size_t i = 0; i < attested->count; i++) {
        X509_free(attested->certs[i]);
    }
    memset(attested, 0, sizeof(*attested));
}

void hsm_attested_fact(struct hsm_attested *attested, const char *name, const char *fmt, ...)
{
    va_list args;

    if (attested->fact_count == HSM_ATTESTED_FACTS) {
        return;
    }
    struct hsm_fact *fact = &attested->facts[attested->fact_count++];
    fact->name = name;
    va_start(args, fmt);
    (void)vsnprintf(fact->value, sizeof(fact->value), fmt, args);
    va_end(args);
}

/* The error queue is the application's. */
static bool add_all(BIO *bio, struct hsm_attested *out, struct err *err)
{
    for (;;) {
        X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (cert == NULL) {
            return true;
        }
        if (out->count == HSM_ATTESTED_CERTS) {
            X509_free(cert);
            return err_set(err, E_EVIDENCE, "the attestation has more than %d certificates",
                           HSM_ATTESTED_CERTS);
        }
        out->certs[out->count++] = cert;
    }
}

static bool add_der(const uint8_t *data, size_t len, struct hsm_attested *out)
{
    const unsigned char *p = data;
    X509 *cert = d2i_X509(NULL, &p, (long)len);

    if (cert == NULL || p != data + len) {
        X509_free(cert);
        return false;
    }
    out->certs[out->count++] = cert;
    return true;
}

bool hsm_attested_certs(const uint8_t *data, size_t len, struct hsm_attested *out, struct err *err)
{
    AUTO(bio) BIO *bio = NULL;

    if (len == 0 || len > HSM_ATTESTATION_MAX) {
        return err_set(err, E_EVIDENCE, "an attestation of %zu bytes", len);
    }
    bio = BIO_new_mem_buf(data, (int)len);
    if (bio == NULL) {
        return err_nomem(err);
    }
    (void)ERR_set_mark();
    bool ok = add_all(bio, out, err);
    if (ok && out->count == 0) {
        ok = add_der(data, len, out) ||
             err_set(err, E_EVIDENCE, "there is no certificate in the attestation");
    }
    (void)ERR_pop_to_mark();
    return ok;
}

bool hsm_has_extension_below(X509 *cert, const char *arc)
{
    char oid[80];

    for (int i = 0; i < X509_get_ext_count(cert); i++) {
        const ASN1_OBJECT *object = X509_EXTENSION_get_object(X509_get_ext(cert, i));
        if (OBJ_obj2txt(oid, sizeof(oid), object, 1) > 0 && str_starts_with(oid, arc)) {
            return true;
        }
    }
    return false;
}

/* The key as libcrypto writes it, so that two ways to encode one key are equal. */
static bool has_key(X509 *cert, const uint8_t *spki, size_t len)
{
    EVP_PKEY *key = X509_get0_pubkey(cert);
    unsigned char *der = NULL;
    int der_len = key != NULL ? i2d_PUBKEY(key, &der) : 0;
    bool same = der_len > 0 && (size_t)der_len == len && memcmp(der, spki, len) == 0;

    OPENSSL_free(der);
    return same;
}

bool hsm_attested_is_of(struct hsm_attested *attested, const uint8_t *spki, size_t len)
{
    bool found = false;

    (void)ERR_set_mark();
    if (attested->about != NULL) {
        found = has_key(attested->about, spki, len);
    }
    for (size_t i = 0; attested->about == NULL && i < attested->count; i++) {
        if (has_key(attested->certs[i], spki, len)) {
            attested->about = attested->certs[i];
            found = true;
        }
    }
    (void)ERR_pop_to_mark();
    return found;
}

bool hsm_add_pem(X509 *cert, struct buf *out, struct err *err)
{
    AUTO(bio) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;

    if (bio == NULL || PEM_write_bio_X509(bio, cert) != 1) {
        return err_set_ssl(err, E_INTERNAL, "a certificate cannot be written");
    }
    long len = BIO_get_mem_data(bio, &text);
    buf_add(out, text, (size_t)len);
    return buf_ok(out) || err_nomem(err);
}

bool hsm_add_base64(const uint8_t *data, size_t len, struct buf *out, struct err *err)
{
    if (len > HSM_ATTESTATION_MAX) {
        return err_set(err, E_EVIDENCE, "%zu bytes are too many", len);
    }
    AUTO(mem) void *text = malloc(4 * ((len + 2) / 3) + 1);
    if (text == NULL) {
        return err_nomem(err);
    }
    int written = EVP_EncodeBlock(text, data, (int)len);
    buf_add(out, text, (size_t)written);
    return buf_ok(out) || err_nomem(err);
}
