#include "hsm/cert_impl.h"

#include "base/str.h"
#include "hsm/ckr.h"
#include "hsm/object.h"
#include "hsm/revive.h"

#include <openssl/x509.h>
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

/* What refusals mean here, as far as tokens were seen to give them. */
static const char *reason_of(CK_RV rv)
{
    static const struct {
        CK_RV rv;
        const char *why;
    } reasons[] = {
        {CKR_DEVICE_MEMORY, "the token has no room for it"},
        {CKR_GENERAL_ERROR, "some cards say so when a certificate is too large for them"},
        {CKR_FUNCTION_FAILED, "some cards say so when a certificate is too large for them"},
        {CKR_DATA_LEN_RANGE, "it is too large for the token"},
        {CKR_TOKEN_WRITE_PROTECTED, "the token is write-protected"},
        {CKR_SESSION_READ_ONLY, "the token is write-protected"},
        {CKR_FUNCTION_NOT_SUPPORTED, "the token keeps no certificates"},
        {CKR_ATTRIBUTE_VALUE_INVALID, "the token keeps no certificates, or none of this kind"},
        {CKR_TEMPLATE_INCONSISTENT, "the token keeps no certificates, or none of this kind"},
        {CKR_USER_TYPE_INVALID, "on this token only the security officer writes certificates"},
    };

    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (reasons[i].rv == rv) {
            return reasons[i].why;
        }
    }
    return NULL;
}

/* A card may end the login over a write that failed; then it is no longer ours to use. */
static bool has_lost_login(struct hsm_session *session)
{
    return hsm_session_has_lost_login(session) &&
           hsm_token_note(session->token, session->epoch, CKR_USER_NOT_LOGGED_IN);
}

static bool write_failed(struct hsm_session *session, CK_RV rv, size_t size, struct err *err)
{
    const char *why = reason_of(rv);
    struct err cause = ERR_INIT;

    (void)ckr_set(&cause, rv, "C_CreateObject");
    bool lost = !hsm_token_note(session->token, session->epoch, rv) && has_lost_login(session);
    if (why == NULL && !lost) {
        *err = cause;
        return err_wrap(err, "writing a certificate to %s", hsm_token_name(&session->token->info));
    }
    return err_set_native(
        err, E_TOKEN, rv,
        "writing a certificate to %s: %.200s: %s (it has %zu bytes)%s; 'cert bind --detached' puts "
        "it into files instead",
        hsm_token_name(&session->token->info), cause.msg,
        why != NULL ? why : "the token does not say why", size,
        lost ? ", and the token has ended the login over it: the PIN was right, and the next "
               "command logs in again"
             : "");
}

bool hsm_cert_write(struct hsm_session *session, X509 *cert, const struct hsm_id *id,
                    const char *label, CK_OBJECT_HANDLE *handle, struct err *err)
{
    AUTO(encoded) struct encoded e = {0};
    struct attrs template = ATTRS_INIT;

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
                                template.count, handle);
    return rv == CKR_OK || write_failed(session, rv, e.value_len, err);
}

bool hsm_cert_fits(const struct hsm_token *token, X509 *cert, size_t max_size, struct err *err)
{
    int len = i2d_X509(cert, NULL);

    if (len <= 0) {
        return err_set_ssl(err, E_INTERNAL, "a certificate cannot be encoded");
    }
    return max_size == 0 || (size_t)len <= max_size ||
           err_set(err, E_TOKEN,
                   "the certificate has %d bytes, and %s takes %zu ('max_certificate_size'); "
                   "nothing was written; 'cert bind --detached' puts it into files instead",
                   len, hsm_token_name(&token->info), max_size);
}

static bool is_same(X509 *a, X509 *b)
{
    return a != NULL && b != NULL && X509_cmp(a, b) == 0;
}

const struct hsm_cert *hsm_certs_same(const struct hsm_certs *certs, X509 *cert, const char *label)
{
    for (size_t i = 0; i < certs->count; i++) {
        if (is_same(certs->list[i].x509, cert) &&
            (label == NULL || str_equal(certs->list[i].label, label))) {
            return &certs->list[i];
        }
    }
    return NULL;
}

static bool is_value(const struct attr_values *values, CK_ATTRIBUTE_TYPE type,
                     const unsigned char *wanted, size_t len, bool strict)
{
    const struct attr_value *v = attr_values_find(values, type);

    /* A token that keeps none derives it from the certificate, or nobody asks it. */
    if (v == NULL || v->len == 0) {
        return !strict;
    }
    return v->len == len && memcmp(v->data, wanted, len) == 0;
}

bool hsm_cert_has_names(struct hsm_session *session, const struct hsm_cert *cert, bool strict,
                        bool *same, struct err *err)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_SUBJECT, CKA_ISSUER, CKA_SERIAL_NUMBER};
    AUTO(attr_values) struct attr_values values = {.count = 0};
    AUTO(encoded) struct encoded e = {0};

    if (!encode(cert->x509, &e, err) ||
        !hsm_read(session, cert->handle, types, ARRAY_LEN(types), &values, err)) {
        return false;
    }
    *same = is_value(&values, CKA_SUBJECT, e.subject, e.subject_len, strict) &&
            is_value(&values, CKA_ISSUER, e.issuer, e.issuer_len, strict) &&
            is_value(&values, CKA_SERIAL_NUMBER, e.serial, e.serial_len, strict);
    return true;
}

bool hsm_cert_read_back(struct hsm_token *token, const struct hsm_id *id, const char *label,
                        X509 *cert, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_certs) struct hsm_certs certs = HSM_CERTS_INIT;
    struct hsm_uri uri = {.id = *id};

    if (!hsm_session_take_fresh(token, false, &session, err) ||
        !hsm_certs_find(&session, &uri, &certs, err)) {
        return err_wrap(err, "reading the new certificate back");
    }
    const struct hsm_cert *found = hsm_certs_same(&certs, cert, label);
    if (found == NULL) {
        return err_set(err, E_TOKEN,
                       "%s accepted the certificate and does not have it; what was "
                       "there before is untouched",
                       hsm_token_name(&token->info));
    }
    /* Who searches by other names does not find it, or takes it for another's. */
    bool same = true;
    if (!hsm_cert_has_names(&session, found, false, &same, err)) {
        return false;
    }
    return same || err_set(err, E_TOKEN,
                           "%s keeps the certificate under another subject, issuer or serial "
                           "number than it has; what was there before is untouched",
                           hsm_token_name(&token->info));
}

/* How many objects have that id, label and content. */
static bool count_same(struct hsm_session *session, const struct hsm_cert *cert, size_t *count,
                       struct err *err)
{
    AUTO(hsm_certs) struct hsm_certs found = HSM_CERTS_INIT;
    struct hsm_uri uri = {.id = cert->id};

    *count = 0;
    if (!hsm_certs_find(session, &uri, &found, err)) {
        return false;
    }
    for (size_t i = 0; i < found.count; i++) {
        const struct hsm_cert *it = &found.list[i];
        bool same = cert->x509 != NULL ? is_same(it->x509, cert->x509) : it->x509 == NULL;
        *count += same && str_equal(it->label, cert->label) ? 1 : 0;
    }
    return true;
}

bool hsm_cert_remove(struct hsm_token *token, const struct hsm_cert *cert, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_session) struct hsm_session fresh = HSM_SESSION_INIT;
    size_t before = 0;
    size_t after = 0;

    if (!hsm_session_take(token, true, &session, err) ||
        !count_same(&session, cert, &before, err) || !hsm_destroy(&session, cert->handle, err)) {
        return err_wrap(err, "removing a certificate");
    }
    if (!hsm_session_take_fresh(token, false, &fresh, err) ||
        !count_same(&fresh, cert, &after, err)) {
        return err_wrap(err, "looking whether the certificate is gone");
    }
    return after < before ||
           err_set(err, E_TOKEN, "%s says that it removed the certificate, and still has it",
                   hsm_token_name(&token->info));
}
