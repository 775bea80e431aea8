/*
 * Renewals and replacements: what is noted before they are sent, and what tells afterwards that
 * they arrived, although their answer was lost. Neither can carry a mark of ours
 * (docs/design/005-renewals.md).
 */
#include "ca/scm/call.h"

#include "base/log.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

static bool read_parent(struct scm *scm, const struct ca_request *request, struct ca_record *out,
                        struct err *err)
{
    out->id = request->parent;
    return scm_record(scm, request->kind, request->parent, out, err);
}

static bool check_replaceable(const struct ca_request *request, const struct ca_record *old,
                              struct err *err)
{
    if (old->phase != CA_ISSUED) {
        return err_set(err, E_CA_REFUSED,
                       "number %lld at the CA is in the state '%.40s', and only a certificate that "
                       "is issued can be replaced",
                       (long long)old->id, old->status);
    }
    return ca_same_serial(old->serial, request->parent_serial) ||
           err_set(err, E_CA_REFUSED,
                   "number %lld at the CA is a certificate with the serial number %.80s now, and "
                   "not %.80s: it was replaced there already",
                   (long long)old->id, old->serial != NULL ? old->serial : "(none)",
                   request->parent_serial);
}

/* An order can have waited for days since it was planned. */
static bool check_renewable(const struct ca_request *request, const struct ca_record *old,
                            struct err *err)
{
    if (old->phase != CA_ISSUED && !str_equal_nocase(old->status, "expired")) {
        return err_set(err, E_CA_REFUSED,
                       "number %lld at the CA is in the state '%.40s', and only a certificate that "
                       "is issued can be renewed",
                       (long long)old->id, old->status != NULL ? old->status : "");
    }
    return request->parent_serial == NULL || ca_same_serial(old->serial, request->parent_serial) ||
           err_set(err, E_CA_REFUSED,
                   "number %lld at the CA is a certificate with the serial number %.80s now, and "
                   "not %.80s, for which the renewal was ordered: it was replaced there",
                   (long long)old->id, old->serial != NULL ? old->serial : "(none)",
                   request->parent_serial);
}

static bool same_names(const char *a, const char *b)
{
    AUTO(x509_names) struct x509_names x = X509_NAMES_INIT;
    AUTO(x509_names) struct x509_names y = X509_NAMES_INIT;
    AUTO(buf) struct buf missing = BUF_INIT(256 * 1024);
    struct err ignored = ERR_INIT;

    if (a == NULL || b == NULL) {
        return a == b;
    }
    return x509_names_add_list(&x, a, &ignored) && x509_names_add_list(&y, b, &ignored) &&
           x509_names_cover(&x, &y, &missing) && x509_names_cover(&y, &x, &missing);
}

static bool same_text(const char *a, const char *b)
{
    return str_equal(a != NULL ? a : "", b != NULL ? b : "");
}

/* Whether a record is for the same thing as another one. */
static bool is_like(const struct ca_record *old, const struct ca_record *candidate)
{
    return candidate->product_id == old->product_id && candidate->org_id == old->org_id &&
           same_text(candidate->common_name, old->common_name) &&
           same_names(candidate->names, old->names);
}

bool scm_is_renewal(const struct ca_record *old, const struct ca_record *candidate,
                    const char *old_comments, const char *mark)
{
    const char *comments = candidate->comments;

    if (comments != NULL && strstr(comments, mark) != NULL) {
        return true;
    }
    /* Whoever wrote something else there had another order in mind. */
    bool untouched = comments == NULL || same_text(comments, old_comments);
    return untouched && is_like(old, candidate);
}

/* Whether a number cannot be read for a reason of its own. */
static bool may_pass_over(struct err *err)
{
    bool passes =
        err->code == E_ORDER_MISSING || err->code == E_FORBIDDEN || err->code == E_CA_REFUSED;

    if (passes) {
        err_clear(err);
    }
    return passes;
}

bool scm_is_other(const struct ca_request *request, int64_t id)
{
    char number[24];

    (void)snprintf(number, sizeof(number), "%lld", (long long)id);
    return request->is_other != NULL && request->is_other(request->other_ctx, number);
}

/* A number that is for the same thing as the old one, and was not there before. Its comments do not
 * matter: another program's renewals have a mark of its own. *id 0: there is none. */
static bool find_newer(struct scm *scm, const struct ca_request *request,
                       const struct ca_record *old, const struct scm_state *before,
                       const struct scm_ids *now, int64_t *id, struct err *err)
{
    *id = 0;
    for (size_t i = 0; i < now->count && *id == 0; i++) {
        AUTO(ca_record) struct ca_record candidate = {.id = now->list[i]};
        if (candidate.id <= before->renews || !scm_ids_is_new(&before->known, candidate.id) ||
            scm_is_other(request, candidate.id)) {
            continue;
        }
        if (scm_record(scm, request->kind, now->list[i], &candidate, err)) {
            *id = candidate.phase != CA_FAILED && is_like(old, &candidate) ? now->list[i] : 0;
        } else if (!may_pass_over(err)) {
            return false;
        }
    }
    return true;
}

bool scm_was_renewed(int64_t old, const char *newer, struct err *err)
{
    return err_set(err, E_ORDER_EXISTS,
                   "somebody else has renewed number %lld at the CA since this renewal was "
                   "planned%s%.60s%s; nothing was sent, and to renew it once more nevertheless, "
                   "begin anew with --again",
                   (long long)old, newer != NULL ? " (" : "", newer != NULL ? newer : "",
                   newer != NULL ? " is new)" : "");
}

bool scm_has_newer(int64_t old, int64_t newer, struct err *err)
{
    char number[24];

    (void)snprintf(number, sizeof(number), "%lld", (long long)newer);
    return scm_was_renewed(old, newer != 0 ? number : NULL, err);
}

/* Whether somebody renewed it since the order was planned, by what was noted then. */
static bool check_since(struct scm *scm, const struct ca_request *request,
                        const struct ca_record *old, const struct scm_ids *now, struct err *err)
{
    AUTO(json) json *kept = NULL;
    struct scm_state before;
    bool told = request->kind == CA_KIND_TLS; /* records of devices do not say it */
    int64_t newer = 0;

    if (request->before == NULL) { /* just planned, or by a version that noted nothing */
        return !old->renewed || request->again || scm_was_renewed(old->id, NULL, err);
    }
    if (!scm_state_read(request->before, &kept, &before, err)) {
        return false;
    }
    if (told && !old->renewed) {
        return true;
    }
    if (!find_newer(scm, request, old, &before, now, &newer, err)) {
        return false;
    }
    bool anew = told && !before.renewed;
    return (!anew && newer == 0) || scm_has_newer(old->id, newer, err);
}

bool scm_check_old(const struct ca_request *request, const struct ca_record *old, struct err *err)
{
    bool needed = request->how == CA_REPLACE || request->parent_serial != NULL;

    if (old->phase == CA_ISSUED && needed &&
        (old->serial == NULL || (request->how == CA_REPLACE && request->parent_serial == NULL))) {
        return err_set(err, E_CA_REFUSED,
                       "the CA says no serial number of number %lld, so nobody can tell whether it "
                       "was replaced; try again when it does",
                       (long long)old->id);
    }
    return request->how == CA_REPLACE ? check_replaceable(request, old, err)
                                      : check_renewable(request, old, err);
}

/* The numbers under the name that the renewal will have, too. */
static bool note_renewal(struct scm *scm, const struct ca_request *request,
                         const struct ca_record *old, char **before, struct err *err)
{
    struct scm_state state = {.kind = request->kind,
                              .renews = old->id,
                              .comments = old->comments,
                              .renewed = old->renewed};

    if (!scm_list_ids(scm, request->kind, old->common_name, &state.known, err) ||
        !check_since(scm, request, old, &state.known, err)) {
        return false;
    }
    scm_ids_add(&state.known, old->id);
    *before = scm_state_text(&state);
    return *before != NULL || err_nomem(err);
}

bool scm_before_submit(void *impl, const struct ca_request *request, char **before, struct err *err)
{
    AUTO(ca_record) struct ca_record old = {.id = 0};

    if (request->how == CA_ENROLL) {
        return true;
    }
    if (!read_parent(impl, request, &old, err)) {
        return false;
    }
    if (!scm_check_old(request, &old, err)) {
        return false;
    }
    if (request->how == CA_REPLACE) {
        return true; /* its serial number says enough */
    }
    return request->kind == CA_KIND_SMIME ? scm_smime_before(impl, request, before, err)
                                          : note_renewal(impl, request, &old, before, err);
}

/* What is known of the numbers that were looked at. */
struct pick {
    int64_t marked; /* by ours, or by somebody who knows (request update --set-comments) */
    int64_t found;
    size_t hits;
};

static bool judge(struct scm *scm, const struct ca_request *request, const struct ca_record *old,
                  const char *comments, int64_t id, struct pick *pick, struct err *err)
{
    AUTO(ca_record) struct ca_record candidate = {.id = id};

    if (!scm_record(scm, request->kind, id, &candidate, err)) {
        return may_pass_over(err);
    }
    if (candidate.comments != NULL && strstr(candidate.comments, request->mark) != NULL) {
        pick->marked = id;
    } else if (scm_is_renewal(old, &candidate, comments, request->mark)) {
        pick->found = id;
        pick->hits++;
    }
    return true;
}

/* The only one that it can be; two of them leave it open, and a person decides. */
static bool pick_one(struct scm *scm, const struct ca_request *request, const struct ca_record *old,
                     const struct scm_state *before, int64_t *id, struct err *err)
{
    struct scm_ids ids = {.count = 0};
    struct pick pick = {.hits = 0};

    if (!scm_list_ids(scm, request->kind, old->common_name, &ids, err)) {
        return false;
    }
    for (size_t i = 0; i < ids.count && pick.marked == 0; i++) {
        /* What was not listed before may have been there all the same: lists lag behind. */
        if (ids.list[i] > before->renews && scm_ids_is_new(&before->known, ids.list[i]) &&
            !judge(scm, request, old, before->comments, ids.list[i], &pick, err)) {
            return false;
        }
    }
    if (pick.marked == 0 && pick.hits > 1) {
        log_line(LOG_WARN, "scm",
                 "%zu orders at the CA could be the renewal of %lld; comments of the right one "
                 "that say %s settle it ('p11enroll request update')",
                 pick.hits, (long long)old->id, request->mark);
    }
    *id = pick.marked != 0 ? pick.marked : pick.hits == 1 ? pick.found : 0;
    return *id != 0 || !old->renewed || before->renewed ||
           err_set(
               err, E_ORDER_AMBIGUOUS,
               "the CA's record of number %lld says that it was renewed, and which record is the "
               "renewal is not seen",
               (long long)old->id);
}

bool scm_find_renewed(struct scm *scm, const struct ca_request *request, int64_t *id,
                      struct err *err)
{
    AUTO(ca_record) struct ca_record old = {.id = 0};
    AUTO(json) json *kept = NULL;
    struct scm_state before;

    *id = 0;
    if (!scm_state_read(request->before, &kept, &before, err) ||
        !read_parent(scm, request, &old, err)) {
        return false;
    }
    /* The records of devices do not say it. */
    if (request->kind == CA_KIND_TLS && !old.renewed) {
        return true;
    }
    return pick_one(scm, request, &old, &before, id, err);
}

bool scm_find_replaced(struct scm *scm, const struct ca_request *request, int64_t *id,
                       struct err *err)
{
    AUTO(ca_record) struct ca_record now = {.id = 0};

    *id = 0;
    if (!read_parent(scm, request, &now, err)) {
        return false;
    }
    /* It was issued, with that serial number, right before the request: one of them has changed. */
    if (now.phase != CA_ISSUED || !ca_same_serial(now.serial, request->parent_serial)) {
        *id = request->parent;
    }
    return true;
}
