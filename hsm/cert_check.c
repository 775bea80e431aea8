#include "hsm/cert_check.h"

#include "base/str.h"
#include "hsm/object.h"
#include "hsm/survey.h"

#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

enum { CHAIN_MAX = 10 };

static const struct {
    const char *name, *sentence;
} kinds[] = {
#define X(symbol, name, sentence) {name, sentence},
#include "hsm/findings.def"
#undef X
};

const char *hsm_finding_name(enum hsm_finding_kind kind)
{
    return kinds[kind].name;
}

const char *hsm_finding_sentence(enum hsm_finding_kind kind)
{
    return kinds[kind].sentence;
}

struct work {
    struct hsm_token *token;
    const struct hsm_check *check;
    struct hsm_check_report *report;
    struct hsm_survey survey;
    bool stopped;                       /* by the visitor */
    const struct hsm_item *last_issuer; /* most certificates of a token have the same one */
};

static void report_fix(struct work *w, enum hsm_finding_kind kind, const struct hsm_item *item,
                       bool fixed, const char *fix_failed)
{
    struct hsm_finding finding = {.kind = kind,
                                  .class = item->class,
                                  .label = item->label,
                                  .id = &item->id,
                                  .key_label = item->key != NULL ? item->key->label : NULL,
                                  .fixed = fixed,
                                  .fix_failed = fix_failed};

    w->report->findings++;
    w->report->fixed += fixed ? 1 : 0;
    w->stopped = w->stopped || !w->check->visit(w->check->ctx, &finding);
}

static void report(struct work *w, enum hsm_finding_kind kind, const struct hsm_item *item)
{
    report_fix(w, kind, item, false, NULL);
}

/* Certificates stand behind the keys. */
static size_t first_cert(const struct work *w)
{
    return w->survey.privates + w->survey.publics;
}

static bool is_issuer_of(const struct hsm_item *issuer, X509 *cert)
{
    return hsm_item_is_cert(issuer) && X509_check_issued(issuer->x509, cert) == X509_V_OK;
}

static bool is_self_issued(X509 *cert)
{
    return X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) == 0;
}

static X509 *issuer_of(struct work *w, X509 *cert)
{
    if (w->last_issuer != NULL && is_issuer_of(w->last_issuer, cert)) {
        return w->last_issuer->x509;
    }
    const struct hsm_item *item = NULL;
    size_t at = 0;
    while ((item = hsm_survey_by_subject(&w->survey, X509_get_issuer_name(cert), &at)) != NULL) {
        if (is_issuer_of(item, cert)) {
            w->last_issuer = item;
            return item->x509;
        }
    }
    return NULL;
}

static bool is_known_root(const struct work *w, X509 *cert)
{
    for (int i = 0; w->check->roots != NULL && i < sk_X509_num(w->check->roots); i++) {
        if (X509_check_issued(sk_X509_value(w->check->roots, i), cert) == X509_V_OK) {
            return true;
        }
    }
    return false;
}

/* Roots need not be on the token. Without a list of them, an issuer whose own issuer is missing is
 * taken for the last one below a root. */
static bool has_chain(struct work *w, X509 *leaf)
{
    X509 *at = leaf;

    for (int depth = 0; depth < CHAIN_MAX && !is_self_issued(at); depth++) {
        X509 *issuer = issuer_of(w, at);
        if (issuer == NULL) {
            return is_known_root(w, at) || (w->check->roots == NULL && at != leaf);
        }
        at = issuer;
    }
    return true;
}

static bool others_have_label(const struct work *w, const struct hsm_item *item, const char *label)
{
    const struct hsm_item *other = NULL;
    size_t at = 0;

    while ((other = hsm_survey_by_label(&w->survey, label, &at)) != NULL) {
        if (other != item) {
            return true;
        }
    }
    return false;
}

/* The object has changed, and what is checked after it is compared with what it is now. */
static void note_change(struct work *w, struct hsm_item *item, const struct hsm_id *id,
                        const char *label)
{
    char *copy = str_dup(label);

    item->id = *id;
    if (copy != NULL) {
        free(item->label);
        item->label = copy;
    }
    hsm_survey_note_change(&w->survey, item);
}

/* Ids, labels and names of what belongs to a private key, mended if asked. */
static void check_pairing(struct work *w, struct hsm_item *item)
{
    const struct hsm_item *key = item->key;
    bool is_public = item->class == CKO_PUBLIC_KEY;
    bool id_differs = !hsm_id_equal(&item->id, &key->id);
    bool label_differs = !is_public && !str_equal(item->label, key->label);
    bool label_is_safe = label_differs && !others_have_label(w, item, key->label);
    bool mends = w->check->fix && key->id.set;
    const char *label = label_is_safe ? key->label : item->label;
    struct err err = ERR_INIT;
    bool fixed = false;

    if (!id_differs && !label_differs && !item->names_differ) {
        return;
    }
    if (mends && (id_differs || label_is_safe || item->names_differ)) {
        fixed = hsm_item_fix(w->token, item, &key->id, label, &err);
    }
    const char *failed = err.code != E_NONE ? err.msg : NULL;
    if (id_differs) {
        report_fix(w, HSM_ID_DIFFERS, item, fixed, failed);
    }
    if (label_differs) {
        report_fix(w, HSM_LABEL_DIFFERS, item, fixed && label_is_safe,
                   failed == NULL && mends && !label_is_safe
                       ? "another certificate has the key's label"
                       : failed);
    }
    if (item->names_differ) {
        report_fix(w, HSM_NAMES_DIFFER, item, fixed, failed);
    }
    if (fixed) {
        note_change(w, item, &key->id, label);
    }
}

static void check_dates(struct work *w, const struct hsm_item *item)
{
    time_t now = (time_t)w->check->now_s;
    time_t soon = (time_t)(w->check->now_s + w->check->soon_s);

    if (X509_cmp_time(X509_get0_notAfter(item->x509), &now) < 0) {
        report(w, HSM_EXPIRED, item);
    } else if (X509_cmp_time(X509_get0_notAfter(item->x509), &soon) < 0) {
        report(w, HSM_EXPIRES_SOON, item);
    }
    if (X509_cmp_time(X509_get0_notBefore(item->x509), &now) > 0) {
        report(w, HSM_NOT_YET_VALID, item);
    }
}

/* Certificates of CAs need no key here, and certificates that issued another one on the token. */
static bool is_issuer(const struct work *w, const struct hsm_item *item)
{
    if (X509_check_ca(item->x509) > 0) {
        return true;
    }
    const struct hsm_item *other = NULL;
    size_t at = 0;
    while ((other = hsm_survey_by_issuer(&w->survey, X509_get_subject_name(item->x509), &at)) !=
           NULL) {
        if (other != item && is_issuer_of(item, other->x509)) {
            return true;
        }
    }
    return false;
}

/* A private key with that id, other than that one. */
static const struct hsm_item *key_with_id(const struct work *w, const struct hsm_id *id,
                                          const struct hsm_item *except)
{
    const struct hsm_item *key = NULL;
    size_t at = 0;

    while ((key = hsm_survey_by_id(&w->survey, id, &at)) != NULL) {
        if (key->class == CKO_PRIVATE_KEY && key != except) {
            return key;
        }
    }
    return NULL;
}

/* What belongs to no private key, and stands under the id of one. */
static bool is_foreign(struct work *w, enum hsm_finding_kind kind, const struct hsm_item *item)
{
    struct hsm_item under = *item;

    under.key = key_with_id(w, &item->id, NULL);
    if (under.key == NULL) {
        return false;
    }
    report(w, kind, &under);
    return true;
}

static void check_alone(struct work *w, const struct hsm_item *item)
{
    if (!is_foreign(w, HSM_CERT_FOREIGN, item) && !is_issuer(w, item)) {
        report(w, HSM_CERT_ALONE, item);
    }
}

static void check_cert(struct work *w, struct hsm_item *item)
{
    if (item->attestation) {
        return;
    }
    if (item->x509 == NULL) {
        report(w, HSM_CERT_BROKEN, item);
        return;
    }
    if (item->key != NULL) {
        check_pairing(w, item);
    } else {
        check_alone(w, item);
    }
    if (item->key == NULL && item->names_differ) {
        report(w, HSM_NAMES_DIFFER, item);
    }
    check_dates(w, item);
    if (item->key != NULL && w->check->chains && !has_chain(w, item->x509)) {
        report(w, HSM_CHAIN_INCOMPLETE, item);
    }
    if (item->label[0] != '\0' && others_have_label(w, item, item->label)) {
        report(w, HSM_LABEL_TWICE, item);
    }
}

static void check_key(struct work *w, const struct hsm_item *key)
{
    if (!key->has_cert) {
        report(w, HSM_KEY_ALONE, key);
    }
    if (key_with_id(w, &key->id, key) != NULL) {
        report(w, HSM_ID_TWICE, key);
    }
}

static void check_all(struct work *w)
{
    for (size_t i = 0; i < w->survey.count && !w->stopped; i++) {
        struct hsm_item *item = &w->survey.list[i];
        if (i < w->survey.privates) {
            check_key(w, item);
        } else if (item->class == CKO_CERTIFICATE) {
            check_cert(w, item);
        } else if (item->key != NULL) {
            check_pairing(w, item);
        } else if (item->known) {
            (void)is_foreign(w, HSM_PUBLIC_FOREIGN, item);
        }
    }
}

bool hsm_cert_check(struct hsm_token *token, const struct hsm_check *check,
                    struct hsm_check_report *report, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    struct work w = {.token = token, .check = check, .report = report};

    *report = (struct hsm_check_report){0};
    if (!hsm_session_take(token, false, &session, err) || !hsm_survey(&session, &w.survey, err)) {
        return false;
    }
    report->keys = w.survey.privates;
    report->certificates = w.survey.count - first_cert(&w);
    check_all(&w);
    hsm_survey_done(&w.survey);
    return true;
}
