#include "hsm/cert_impl.h"

#include "base/log.h"
#include "base/str.h"
#include "hsm/object.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ISSUERS_MAX = 32 };

/* One bind under way. */
struct work {
    struct hsm_token *token;
    const struct hsm_key *key;
    const struct hsm_bind *bind;
    const char *label;
    struct hsm_session session;
    CK_OBJECT_HANDLE issuers[ISSUERS_MAX]; /* that this bind wrote */
    size_t issuer_count;
    struct hsm_bind_report *report;
};

static void work_done(struct work *work)
{
    hsm_session_give(&work->session);
}

DEFINE_AUTO_DONE(work, struct work, work_done)

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
    (void)ERR_set_mark();
    if (X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, label, 128) <= 0) {
        (void)snprintf(label, 128, "issuer");
    }
    (void)ERR_pop_to_mark();
    return true;
}

static bool bind_issuer(struct work *w, X509 *issuer, struct err *err)
{
    AUTO(hsm_certs) struct hsm_certs there = HSM_CERTS_INIT;
    struct hsm_uri uri = {.type = HSM_URI_CERT};
    CK_OBJECT_HANDLE handle = 0;
    char label[128];

    if (!issuer_name(issuer, &uri.id, label, err) ||
        !hsm_certs_find(&w->session, &uri, &there, err)) {
        return false;
    }
    if (hsm_certs_same(&there, issuer, NULL) != NULL) {
        return true;
    }
    if (!hsm_cert_write(&w->session, issuer, &uri.id, label, &handle, err)) {
        return false;
    }
    if (w->issuer_count < ISSUERS_MAX) {
        w->issuers[w->issuer_count++] = handle;
    }
    if (!hsm_cert_read_back(w->token, &uri.id, label, issuer, err)) {
        return false;
    }
    w->report->chain_written++;
    return true;
}

/* What a bind that failed wrote so far helps nobody, and takes room. The error is the first one. */
static bool take_back_issuers(struct work *w)
{
    for (size_t i = 0; i < w->issuer_count; i++) {
        struct err why = ERR_INIT;
        if (!hsm_destroy(&w->session, w->issuers[i], &why)) {
            log_line(LOG_DEBUG, "cert", "an issuer stays on the token: %s", why.msg);
        }
    }
    w->report->chain_written = 0;
    return false;
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
    if (!hsm_cert_is_of(&wrapped, key)) {
        return err_set(err, E_CERT_REJECTED, "the certificate is for another key than '%s' on %s",
                       key->label, hsm_token_name(&key->token->info));
    }
    return true;
}

/* Everything that can be told before something is written. */
static bool check(const struct work *w, struct err *err)
{
    const struct hsm_bind *bind = w->bind;

    if (!check_key(w->key, bind->cert, err)) {
        return false;
    }
    if (w->token->info.write_protected) {
        return err_set(err, E_TOKEN,
                       "%s is write-protected; 'cert bind --detached' puts the certificate into "
                       "files instead",
                       hsm_token_name(&w->token->info));
    }
    if (!hsm_cert_fits(w->token, bind->cert, bind->max_size, err)) {
        return false;
    }
    for (size_t i = 0; i < bind->chain_len; i++) {
        if (!hsm_cert_fits(w->token, bind->chain[i], bind->max_size, err)) {
            return err_wrap(err, "issuer %zu ('chain = none' leaves issuers out)", i + 1);
        }
    }
    return true;
}

/* Whether the bind replaces it: another certificate of this very key, under its id. */
static bool is_old(const struct work *w, const struct hsm_cert *cert)
{
    return !hsm_cert_is_attestation(cert) && hsm_cert_is_of(cert, w->key) &&
           X509_cmp(cert->x509, w->bind->cert) != 0;
}

static bool note_old(const struct work *w, const struct hsm_certs *there, struct err *err)
{
    size_t count = 0;

    if (w->bind->note == NULL || there->count == 0) {
        return true;
    }
    AUTO(mem) void *room = calloc(there->count, sizeof(const struct hsm_cert *));
    const struct hsm_cert **old = room;
    if (old == NULL) {
        return err_nomem(err);
    }
    for (size_t i = 0; i < there->count; i++) {
        if (is_old(w, &there->list[i])) {
            old[count++] = &there->list[i];
        }
    }
    return count == 0 || w->bind->note(w->bind->note_ctx, old, count, err) ||
           err_wrap(err, "writing down what will be replaced (nothing was changed)");
}

/* Issuers and certificate onto the token, each read back. */
static bool write_new(struct work *w, struct err *err)
{
    CK_OBJECT_HANDLE handle = 0;

    for (size_t i = 0; i < w->bind->chain_len; i++) {
        if (!bind_issuer(w, w->bind->chain[i], err)) {
            (void)take_back_issuers(w);
            return err_wrap(err, "writing the chain");
        }
    }
    if (w->report->already_there) {
        return true;
    }
    return hsm_cert_write(&w->session, w->bind->cert, &w->key->id, w->label, &handle, err)
               ? hsm_cert_read_back(w->token, &w->key->id, w->label, w->bind->cert, err)
               : take_back_issuers(w);
}

/*
 * Removes what the new certificate replaces: certificates of this very key, under its id, that were
 * there before and so were noted. `now` is what is there after the new one was written: a token
 * with one place per key may have put it where the old one was, under the old one's handle.
 */
static bool remove_old(struct work *w, const struct hsm_certs *before, const struct hsm_certs *now,
                       struct err *err)
{
    const struct hsm_cert *kept = hsm_certs_same(now, w->bind->cert, w->label);

    if (kept == NULL) {
        return err_set(err, E_TOKEN,
                       "the new certificate is not on %s any more, another program may have "
                       "removed it; earlier ones were left; bind it again",
                       hsm_token_name(&w->token->info));
    }
    for (size_t i = 0; i < now->count; i++) {
        const struct hsm_cert *cert = &now->list[i];
        if (cert == kept || hsm_cert_is_attestation(cert)) {
            continue;
        }
        if (!hsm_cert_is_of(cert, w->key)) {
            w->report->foreign_left++;
            continue;
        }
        if (hsm_certs_same(before, cert->x509, cert->label) == NULL) {
            w->report->newer_left++; /* another bind's, perhaps one that goes on now */
            continue;
        }
        if (w->bind->keep_old && is_old(w, cert)) {
            continue;
        }
        if (!hsm_destroy(&w->session, cert->handle, err)) {
            return err_wrap(err,
                            "the new certificate is bound, but an old one could not be removed");
        }
        w->report->old_removed++;
    }
    return true;
}

bool hsm_cert_bind(struct hsm_token *token, const struct hsm_key *key, const struct hsm_bind *bind,
                   struct hsm_bind_report *report, struct err *err)
{
    AUTO(work)
    struct work w = {.token = token,
                     .key = key,
                     .bind = bind,
                     .label = bind->label != NULL ? bind->label : key->label,
                     .session = HSM_SESSION_INIT,
                     .report = report};
    AUTO(hsm_certs) struct hsm_certs there = HSM_CERTS_INIT;
    AUTO(hsm_certs) struct hsm_certs now = HSM_CERTS_INIT;
    struct hsm_uri uri = {.type = HSM_URI_CERT, .id = key->id};

    *report = (struct hsm_bind_report){0};
    if (!check(&w, err) || !hsm_session_take(token, true, &w.session, err) ||
        !hsm_certs_find(&w.session, &uri, &there, err)) {
        return false;
    }
    report->already_there = hsm_certs_same(&there, bind->cert, w.label) != NULL;
    if (bind->attestation_missing && !report->already_there) {
        return err_set(err, E_POLICY,
                       "the device's attestation of key '%s' on %s was not collected, and binding "
                       "a certificate may destroy it; nothing was written",
                       key->label, hsm_token_name(&token->info));
    }
    if (!note_old(&w, &there, err) || !write_new(&w, err) ||
        !hsm_certs_find(&w.session, &uri, &now, err) || !remove_old(&w, &there, &now, err)) {
        return false;
    }
    return report->old_removed == 0 ||
           hsm_cert_read_back(token, &key->id, w.label, bind->cert, err) ||
           err_wrap(err, "after an old certificate was removed");
}

bool hsm_cert_unbind(struct hsm_token *token, const struct hsm_key *key, X509 *cert, bool *removed,
                     struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_certs) struct hsm_certs there = HSM_CERTS_INIT;
    struct hsm_uri uri = {.type = HSM_URI_CERT, .id = key->id};

    *removed = false;
    if (!hsm_session_take(token, false, &session, err) ||
        !hsm_certs_find(&session, &uri, &there, err)) {
        return false;
    }
    const struct hsm_cert *found = hsm_certs_same(&there, cert, NULL);
    if (found == NULL) {
        return true;
    }
    *removed = hsm_cert_remove(token, found, err);
    return *removed;
}
