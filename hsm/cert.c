#include "hsm/cert.h"

#include "base/str.h"
#include "hsm/ckr.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

/* A certificate as the attributes of its object; the DER strings live in OpenSSL's allocator. */
struct encoded {
    unsigned char *value, *subject, *issuer, *serial;
    size_t value_len, subject_len, issuer_len, serial_len;
};

static void encoded_done(struct encoded *e)
{
    OPENSSL_free(e->value);
    OPENSSL_free(e->subject);
    OPENSSL_free(e->issuer);
    OPENSSL_free(e->serial);
}

DEFINE_AUTO_DONE(encoded, struct encoded, encoded_done)

static bool encode(X509 *cert, struct encoded *out, struct err *err)
{
    int value = i2d_X509(cert, &out->value);
    int subject = i2d_X509_NAME(X509_get_subject_name(cert), &out->subject);
    int issuer = i2d_X509_NAME(X509_get_issuer_name(cert), &out->issuer);
    int serial = i2d_ASN1_INTEGER(X509_get_serialNumber(cert), &out->serial);

    if (value <= 0 || subject <= 0 || issuer <= 0 || serial <= 0) {
        return err_set_ssl(err, E_INTERNAL, "a certificate cannot be encoded");
    }
    out->value_len = (size_t)value;
    out->subject_len = (size_t)subject;
    out->issuer_len = (size_t)issuer;
    out->serial_len = (size_t)serial;
    return true;
}

void hsm_cert_done(struct hsm_cert *cert)
{
    free(cert->label);
    X509_free(cert->x509);
    memset(cert, 0, sizeof(*cert));
}

void hsm_certs_done(struct hsm_certs *certs)
{
    for (size_t i = 0; i < certs->count; i++) {
        hsm_cert_done(&certs->list[i]);
    }
    free(certs->list);
    *certs = (struct hsm_certs)HSM_CERTS_INIT;
}

bool hsm_cert_load(struct hsm_session *session, CK_OBJECT_HANDLE handle, struct hsm_cert *cert,
                   struct err *err)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_ID, CKA_LABEL, CKA_VALUE};
    AUTO(attr_values) struct attr_values values = {.count = 0};

    memset(cert, 0, sizeof(*cert));
    cert->handle = handle;
    if (!hsm_read(session, handle, types, ARRAY_LEN(types), &values, err) ||
        !hsm_object_name(&values, &cert->id, &cert->label, err)) {
        return false;
    }
    const struct attr_value *v = attr_values_find(&values, CKA_VALUE);
    if (v != NULL && v->len > 0) {
        const unsigned char *p = v->data;
        (void)ERR_set_mark(); /* the error queue is the application's */
        cert->x509 = d2i_X509(NULL, &p, (long)v->len);
        (void)ERR_pop_to_mark();
        if (cert->x509 != NULL && p != v->data + v->len) {
            X509_free(TAKE(cert->x509)); /* something follows the certificate: not one */
        }
    }
    return true;
}

bool hsm_certs_find(struct hsm_session *session, const struct hsm_uri *uri, struct hsm_certs *out,
                    struct err *err)
{
    struct attrs template = ATTRS_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;
    AUTO(hsm_certs) struct hsm_certs certs = HSM_CERTS_INIT;

    hsm_uri_to_template(uri, CKO_CERTIFICATE, &template);
    if (!hsm_find(session, &template, &found, err)) {
        return false;
    }
    certs.list = found.count > 0 ? calloc(found.count, sizeof(*certs.list)) : NULL;
    if (found.count > 0 && certs.list == NULL) {
        return err_nomem(err);
    }
    for (size_t i = 0; i < found.count; i++) {
        if (!hsm_cert_load(session, found.list[i], &certs.list[i], err)) {
            return false;
        }
        certs.count++;
    }
    *out = certs;
    certs = (struct hsm_certs)HSM_CERTS_INIT;
    return true;
}

bool hsm_cert_is_attestation(const struct hsm_cert *cert)
{
    /* Yubico's arc for attestation extensions; ykcs11 gives its objects a fixed label as well. */
    static const char yubico_arc[] = "1.3.6.1.4.1.41482.3.";
    static const char yubico_label[] = "X.509 Certificate for PIV Attestation";
    char oid[80];

    if (str_starts_with(cert->label, yubico_label)) {
        return true;
    }
    for (int i = 0; cert->x509 != NULL && i < X509_get_ext_count(cert->x509); i++) {
        const ASN1_OBJECT *object = X509_EXTENSION_get_object(X509_get_ext(cert->x509, i));
        if (OBJ_obj2txt(oid, sizeof(oid), object, 1) > 0 && str_starts_with(oid, yubico_arc)) {
            return true;
        }
    }
    return false;
}

static bool write_certificate(struct hsm_session *session, X509 *cert, const struct hsm_id *id,
                              const char *label, struct err *err)
{
    AUTO(encoded) struct encoded e = {0};
    struct attrs template = ATTRS_INIT;
    CK_OBJECT_HANDLE handle = 0;

    if (!encode(cert, &e, err)) {
        return false;
    }
    attrs_add_ulong(&template, CKA_CLASS, CKO_CERTIFICATE);
    attrs_add_ulong(&template, CKA_CERTIFICATE_TYPE, CKC_X_509);
    attrs_add_bool(&template, CKA_TOKEN, true);
    attrs_add_bool(&template, CKA_PRIVATE, false);
    attrs_add_bytes(&template, CKA_ID, id->data, id->len);
    attrs_add_string(&template, CKA_LABEL, label);
    attrs_add_bytes(&template, CKA_SUBJECT, e.subject, e.subject_len);
    attrs_add_bytes(&template, CKA_ISSUER, e.issuer, e.issuer_len);
    attrs_add_bytes(&template, CKA_SERIAL_NUMBER, e.serial, e.serial_len);
    attrs_add_bytes(&template, CKA_VALUE, e.value, e.value_len);
    CK_RV rv = ck_create_object(hsm_session_cryptoki(session), session->handle, template.list,
                                template.count, &handle);
    if (rv != CKR_OK) {
        (void)ckr_set(err, rv, "C_CreateObject");
        return err_wrap(err, "writing a certificate to %s", hsm_token_name(&session->token->info));
    }
    return true;
}

static bool is_same(X509 *a, X509 *b)
{
    return a != NULL && b != NULL && X509_cmp(a, b) == 0;
}

/* The certificate of that content and name among those found; NULL if it is not there. */
static const struct hsm_cert *find_same(const struct hsm_certs *certs, X509 *cert,
                                        const char *label)
{
    for (size_t i = 0; i < certs->count; i++) {
        if (is_same(certs->list[i].x509, cert) &&
            (label == NULL || str_equal(certs->list[i].label, label))) {
            return &certs->list[i];
        }
    }
    return NULL;
}

/* Looks in a session that took no part in writing. */
static bool read_back(struct hsm_token *token, const struct hsm_id *id, const char *label,
                      X509 *cert, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_certs) struct hsm_certs certs = HSM_CERTS_INIT;
    struct hsm_uri uri = {.id = *id};

    if (!hsm_session_take_fresh(token, false, &session, err) ||
        !hsm_certs_find(&session, &uri, &certs, err)) {
        return err_wrap(err, "reading the new certificate back");
    }
    if (find_same(&certs, cert, label) == NULL) {
        return err_set(err, E_TOKEN,
                       "%s accepted the certificate and does not have it; what was "
                       "there before is untouched",
                       hsm_token_name(&token->info));
    }
    return true;
}

/* Issuers get the usual id, the SHA-1 of their public key bits, and their common name as label. */
static bool issuer_name(X509 *cert, struct hsm_id *id, char label[static 128], struct err *err)
{
    const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(cert);
    unsigned len = 0;

    memset(id, 0, sizeof(*id));
    if (bits == NULL || EVP_Digest(ASN1_STRING_get0_data(bits), (size_t)ASN1_STRING_length(bits),
                                   id->data, &len, EVP_sha1(), NULL) != 1) {
        return err_set_ssl(err, E_INTERNAL, "an issuer's key cannot be hashed");
    }
    id->len = len;
    id->set = true;
    if (X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, label, 128) <= 0) {
        (void)snprintf(label, 128, "issuer");
    }
    return true;
}

static bool bind_issuer(struct hsm_token *token, struct hsm_session *session, X509 *issuer,
                        struct hsm_bind_report *report, struct err *err)
{
    AUTO(hsm_certs) struct hsm_certs there = HSM_CERTS_INIT;
    struct hsm_uri uri = {.type = HSM_URI_CERT};
    char label[128];

    if (!issuer_name(issuer, &uri.id, label, err) || !hsm_certs_find(session, &uri, &there, err)) {
        return false;
    }
    if (find_same(&there, issuer, NULL) != NULL) {
        return true;
    }
    if (!write_certificate(session, issuer, &uri.id, label, err) ||
        !read_back(token, &uri.id, label, issuer, err)) {
        return false;
    }
    report->chain_written++;
    return true;
}

static bool belongs_to(const struct hsm_cert *cert, const struct hsm_key *key)
{
    AUTO(hsm_public) struct hsm_public public = {.known = false};
    struct hsm_key_spec spec = {.type = HSM_KEY_OTHER};

    return cert->x509 != NULL && hsm_public_from_x509(cert->x509, &spec, &public) &&
           hsm_public_equal(&spec, &public, &key->spec, &key->public);
}

/*
 * Removes what the new certificate replaces: certificates of this very key, under its id. `now` is
 * what is there after the new one was written: a token with one place per key may have put it where
 * the old one was, under the old one's handle.
 */
static bool remove_old(struct hsm_session *session, const struct hsm_key *key,
                       const struct hsm_certs *now, const struct hsm_bind *bind,
                       struct hsm_bind_report *report, struct err *err)
{
    const struct hsm_cert *kept = find_same(now, bind->cert, key->label);

    for (size_t i = 0; i < now->count; i++) {
        const struct hsm_cert *cert = &now->list[i];
        bool same_again = is_same(cert->x509, bind->cert) && cert != kept;
        if (cert == kept || hsm_cert_is_attestation(cert)) {
            continue;
        }
        if (!belongs_to(cert, key)) {
            report->foreign_left++;
            continue;
        }
        if (bind->keep_old && !same_again) {
            continue;
        }
        if (!hsm_destroy(session, cert->handle, err)) {
            return err_wrap(err,
                            "the new certificate is bound, but an old one could not be removed");
        }
        report->old_removed++;
    }
    return true;
}

static bool check_key(const struct hsm_key *key, X509 *cert, struct err *err)
{
    struct hsm_cert wrapped = {.x509 = cert};

    if (!key->id.set) {
        return err_set(err, E_TOKEN,
                       "key '%s' on %s has no CKA_ID, so no certificate can be bound "
                       "to it",
                       key->label, hsm_token_name(&key->token->info));
    }
    if (!key->public.known) {
        return err_set(err, E_TOKEN,
                       "the public half of key '%s' is nowhere on %s, so the "
                       "certificate cannot be compared with it",
                       key->label, hsm_token_name(&key->token->info));
    }
    if (!belongs_to(&wrapped, key)) {
        return err_set(err, E_CERT_REJECTED, "the certificate is for another key than '%s' on %s",
                       key->label, hsm_token_name(&key->token->info));
    }
    return true;
}

bool hsm_cert_bind(struct hsm_token *token, const struct hsm_key *key, const struct hsm_bind *bind,
                   struct hsm_bind_report *report, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_certs) struct hsm_certs there = HSM_CERTS_INIT;
    AUTO(hsm_certs) struct hsm_certs now = HSM_CERTS_INIT;
    struct hsm_uri uri = {.type = HSM_URI_CERT, .id = key->id};

    *report = (struct hsm_bind_report){0};
    if (!check_key(key, bind->cert, err)) {
        return false;
    }
    if (token->info.write_protected) {
        return err_set(err, E_TOKEN, "%s is write-protected", hsm_token_name(&token->info));
    }
    if (!hsm_session_take(token, true, &session, err)) {
        return false;
    }
    for (size_t i = 0; i < bind->chain_len; i++) {
        if (!bind_issuer(token, &session, bind->chain[i], report, err)) {
            return err_wrap(err, "writing the chain");
        }
    }
    if (!hsm_certs_find(&session, &uri, &there, err)) {
        return false;
    }
    report->already_there = find_same(&there, bind->cert, key->label) != NULL;
    if (!report->already_there &&
        (!write_certificate(&session, bind->cert, &key->id, key->label, err) ||
         !read_back(token, &key->id, key->label, bind->cert, err))) {
        return false;
    }
    if (!hsm_certs_find(&session, &uri, &now, err) ||
        !remove_old(&session, key, &now, bind, report, err)) {
        return false;
    }
    return report->old_removed == 0 || read_back(token, &key->id, key->label, bind->cert, err) ||
           err_wrap(err, "after an old certificate was removed");
}
