#include "hsm/cert.h"

#include "base/str.h"
#include "hsm/ckr.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

enum { CANDIDATES_SHOWN = 8 };

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

bool hsm_cert_serial(const struct hsm_cert *cert, struct buf *out)
{
    const ASN1_INTEGER *serial = cert->x509 != NULL ? X509_get0_serialNumber(cert->x509) : NULL;

    if (serial == NULL) {
        return false;
    }
    str_add_hex(out, ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial), '\0');
    return buf_ok(out);
}

bool hsm_cert_uri(const struct hsm_token *token, const struct hsm_cert *cert, struct hsm_uri *uri,
                  struct err *err)
{
    if (!hsm_token_uri(&token->info, uri, err)) {
        return false;
    }
    uri->id = cert->id;
    uri->type = HSM_URI_CERT;
    return cert->label[0] == '\0' || hsm_uri_set(&uri->object, cert->label, err);
}

/* Arcs of extensions and purposes that vendors use in attestations alone: Yubico's for PIV and
 * YubiHSM 2, the TCG's purposes of endorsement and attestation keys. */
static bool is_attestation_oid(const ASN1_OBJECT *object)
{
    static const char *const arcs[] = {"1.3.6.1.4.1.41482.3.", "1.3.6.1.4.1.41482.4."};
    char oid[80];

    if (OBJ_obj2txt(oid, sizeof(oid), object, 1) <= 0) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(arcs); i++) {
        if (str_starts_with(oid, arcs[i])) {
            return true;
        }
    }
    return str_equal(oid, "2.23.133.8.1") || str_equal(oid, "2.23.133.8.3");
}

static bool has_attestation_purpose(X509 *cert)
{
    EXTENDED_KEY_USAGE *usage = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
    bool found = false;

    for (int i = 0; usage != NULL && i < sk_ASN1_OBJECT_num(usage); i++) {
        found = found || is_attestation_oid(sk_ASN1_OBJECT_value(usage, i));
    }
    EXTENDED_KEY_USAGE_free(usage);
    return found;
}

/* What signs a YubiKey's attestations is called so in its subject. */
static bool has_attestation_name(X509 *cert)
{
    char name[64] = "";

    (void)X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name,
                                    sizeof(name));
    return str_starts_with(name, "Yubico PIV Attestation") ||
           str_starts_with(name, "YubiKey PIV Attestation");
}

static bool has_attestation_extension(X509 *cert)
{
    for (int i = 0; i < X509_get_ext_count(cert); i++) {
        if (is_attestation_oid(X509_EXTENSION_get_object(X509_get_ext(cert, i)))) {
            return true;
        }
    }
    return false;
}

bool hsm_cert_is_attestation(const struct hsm_cert *cert)
{
    /* ykcs11 gives its objects a fixed label. */
    static const char yubico_label[] = "X.509 Certificate for PIV Attestation";

    if (str_starts_with(cert->label, yubico_label)) {
        return true;
    }
    if (cert->x509 == NULL) {
        return false;
    }
    (void)ERR_set_mark(); /* names and OIDs that libcrypto cannot print leave errors */
    bool is_one = has_attestation_extension(cert->x509) || has_attestation_name(cert->x509) ||
                  has_attestation_purpose(cert->x509);
    (void)ERR_pop_to_mark();
    return is_one;
}

bool hsm_cert_is_of(const struct hsm_cert *cert, const struct hsm_key *key)
{
    AUTO(hsm_public) struct hsm_public public = {.known = false};
    struct hsm_key_spec spec = {.type = HSM_KEY_OTHER};

    return cert->x509 != NULL && hsm_public_from_x509(cert->x509, &spec, &public) &&
           hsm_public_equal(&spec, &public, &key->spec, &key->public);
}

static bool has_serial(const struct hsm_cert *cert, const char *serial)
{
    AUTO(buf) struct buf text = BUF_INIT(128);

    if (serial == NULL) {
        return true;
    }
    if (!hsm_cert_serial(cert, &text)) {
        return false;
    }
    return str_equal_nocase(buf_str(&text), serial);
}

static bool several(const struct hsm_session *session, const struct hsm_uri *uri,
                    const struct hsm_certs *certs, struct err *err)
{
    AUTO(buf) struct buf list = BUF_INIT(1024);
    AUTO(buf) struct buf wanted = BUF_INIT(HSM_URI_MAX);

    hsm_uri_format(uri, &wanted);
    for (size_t i = 0; certs->list != NULL && i < certs->count && i < CANDIDATES_SHOWN; i++) {
        const struct hsm_cert *cert = &certs->list[i];
        buf_addf(&list, "%s'", i > 0 ? ", " : "");
        str_add_quotable(&list, cert->label, strlen(cert->label), 64);
        buf_add_str(&list, "' (id ");
        str_add_hex(&list, cert->id.data, cert->id.len, '\0');
        buf_add_str(&list, ", serial number ");
        if (!hsm_cert_serial(cert, &list)) {
            buf_add_str(&list, "unknown: it is no certificate");
        }
        buf_add_str(&list, ")");
    }
    return err_set(err, E_OBJECT_AMBIGUOUS,
                   "%s has %zu certificates that match %s: %s%s; --serial names one by its number",
                   hsm_token_name(&session->token->info), certs->count, buf_str(&wanted),
                   buf_str(&list), certs->count > CANDIDATES_SHOWN ? ", ..." : "");
}

/* The one that is meant among those that the URI matches; NULL: there are none, or several. */
static struct hsm_cert *choose(const struct hsm_certs *certs, const char *serial, size_t *matching)
{
    struct hsm_cert *chosen = NULL;
    struct hsm_cert *attestation = NULL;
    size_t usual = 0;
    size_t attestations = 0;

    for (size_t i = 0; i < certs->count; i++) {
        struct hsm_cert *cert = &certs->list[i];
        if (!has_serial(cert, serial)) {
            continue;
        }
        if (hsm_cert_is_attestation(cert)) {
            attestation = cert;
            attestations++;
        } else {
            chosen = cert;
            usual++;
        }
    }
    *matching = usual + attestations;
    if (usual > 0) {
        return usual == 1 ? chosen : NULL;
    }
    return attestations == 1 ? attestation : NULL;
}

bool hsm_cert_find(struct hsm_session *session, const struct hsm_uri *uri, const char *serial,
                   struct hsm_cert *out, struct err *err)
{
    AUTO(hsm_certs) struct hsm_certs certs = HSM_CERTS_INIT;
    size_t matching = 0;

    if (uri->type != HSM_URI_ANY && uri->type != HSM_URI_CERT) {
        return err_set(err, E_USAGE, "a certificate is wanted, and the URI has type=%s",
                       hsm_uri_type_name(uri->type));
    }
    if (!hsm_certs_find(session, uri, &certs, err)) {
        return false;
    }
    struct hsm_cert *cert = choose(&certs, serial, &matching);
    if (cert == NULL) {
        return matching == 0 ? hsm_key_none_found(session->token, uri, "certificate", err)
                             : several(session, uri, &certs, err);
    }
    *out = *cert;
    memset(cert, 0, sizeof(*cert));
    return true;
}

bool hsm_cert_find_issuer(struct hsm_session *session, X509 *cert, X509 **out, struct err *err)
{
    unsigned char *issuer = NULL;
    int len = i2d_X509_NAME(X509_get_issuer_name(cert), &issuer);
    struct attrs template = ATTRS_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;

    *out = NULL;
    if (len <= 0) {
        return true;
    }
    attrs_add_ulong(&template, CKA_CLASS, CKO_CERTIFICATE);
    attrs_add_bytes(&template, CKA_SUBJECT, issuer, (size_t)len);
    bool ok = hsm_find(session, &template, &found, err);
    OPENSSL_free(issuer);
    (void)ERR_set_mark();
    for (size_t i = 0; ok && *out == NULL && i < found.count; i++) {
        AUTO(hsm_cert) struct hsm_cert candidate = {0};
        ok = hsm_cert_load(session, found.list[i], &candidate, err);
        EVP_PKEY *key = ok && candidate.x509 != NULL ? X509_get0_pubkey(candidate.x509) : NULL;
        if (key != NULL && X509_verify(cert, key) == 1) {
            *out = TAKE(candidate.x509);
        }
    }
    (void)ERR_pop_to_mark();
    return ok;
}
