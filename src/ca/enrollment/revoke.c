#include "ca/enrollment/enrollment.h"

#include "base/str.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

/* The first CN of a subject. */
static char *common_name(X509 *cert)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    unsigned char *text = NULL;

    if (at < 0) {
        return NULL;
    }
    int len =
        ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    char *copy = len > 0 && memchr(text, '\0', (size_t)len) == NULL
                     ? str_ndup((const char *)text, (size_t)len)
                     : NULL;
    OPENSSL_free(text);
    ERR_clear_error();
    return copy;
}

static char *time_text(int64_t seconds)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format(seconds, text);
    return str_dup(text);
}

/* What the API does not tell, its certificate does. */
static bool describe(X509 *leaf, struct ca_record *out, struct err *err)
{
    AUTO(x509_info) struct x509_info info = {.subject = NULL};
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;

    if (!x509_info(leaf, &info, err) || !x509_names_of_cert(leaf, &names, err)) {
        return false;
    }
    out->common_name = common_name(leaf);
    out->names = x509_names_join(&names, ',');
    out->serial = str_dup(info.serial);
    out->issued = time_text(info.not_before_s);
    out->expires = time_text(info.not_after_s);
    return (out->names != NULL && out->serial != NULL && out->issued != NULL &&
            out->expires != NULL) ||
           err_nomem(err);
}

static bool add_certificate(struct enrollment *e, const struct enrollment_id *id,
                            struct ca_record *out, struct err *err)
{
    AUTO(buf) struct buf answer = BUF_INIT(HTTP_BODY_MAX);
    AUTO(x509_stack) STACK_OF(X509) *certs = NULL;
    X509 *leaf = NULL;
    bool ready = false;

    if (!enrollment_fetch(e, id, &ready, &out->revoked, &answer, err)) {
        if (out->revoked) {
            err_clear(err);
        }
        return out->revoked;
    }
    return !ready ||
           (enrollment_pick(&answer, NULL, &certs, &leaf, err) && describe(leaf, out, err));
}

bool enrollment_record(void *impl, enum ca_kind kind UNUSED, int64_t id, struct ca_record *out,
                       struct err *err)
{
    struct enrollment *e = impl;
    struct enrollment_id number;
    struct enrollment_status status;

    (void)snprintf(number.text, sizeof(number.text), "%lld", (long long)id);
    if (!enrollment_ask(e, &number, &status, err)) {
        return false;
    }
    out->phase = status.phase;
    out->revoked = status.revoked;
    out->status = str_dup(status.word);
    if (out->status == NULL) {
        return err_nomem(err);
    }
    bool expired = str_equal_nocase(status.word, "expired");
    return (status.phase != CA_ISSUED && !expired) || add_certificate(e, &number, out, err) ||
           err_wrap(err, "status");
}

/* What the CA says after an answer was lost. */
static enum ca_revoke look(struct enrollment *e, const struct ca_revocation *revocation,
                           struct err *err)
{
    AUTO(ca_record) struct ca_record record = {.id = revocation->id};
    struct err why = ERR_INIT;

    if (enrollment_record(e, revocation->kind, revocation->id, &record, &why) && record.revoked) {
        err_clear(err);
        return CA_REVOKED;
    }
    err->code = E_ORDER_AMBIGUOUS;
    (void)err_wrap(
        err, "it is not known whether the CA revoked the certificate (asking again does no harm)");
    return CA_REVOKE_AMBIGUOUS;
}

enum ca_revoke enrollment_revoke(void *impl, const struct ca_revocation *revocation,
                                 struct err *err)
{
    struct enrollment *e = impl;
    AUTO(answer) struct scm_answer answer;
    AUTO(buf) struct buf body = BUF_INIT(8 * CA_REASON_TEXT_MAX);
    char id[24];

    scm_answer_init(&answer);
    if (!enrollment_build_revoke(revocation, &body, err)) {
        return CA_REVOKE_REFUSED;
    }
    (void)snprintf(id, sizeof(id), "%lld", (long long)revocation->id);
    struct scm_call call = {.endpoint = ENROLLMENT_REVOKE, .word = id, .body = buf_str(&body)};
    if (scm_call(&e->scm, &call, &answer, err)) {
        return CA_REVOKED;
    }
    if (answer.complete && scm_was_revoked(&answer.error)) {
        err_clear(err);
        return CA_WAS_REVOKED;
    }
    return scm_is_unclear(&answer) ? look(e, revocation, err) : CA_REVOKE_REFUSED;
}
