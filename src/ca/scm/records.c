#include "ca/scm/call.h"

#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

enum {
    PAGE = 200,
    ROWS_MAX = 10000000, /* a CA that never comes to an end */
    BARREN_MAX = 100,    /* pages of rows that moved; more is a list that begins again */
};

/* Of devices in the spelling that their rows get: one is compared with the other. */
static bool spell_status(enum ca_kind kind, struct ca_record *record, struct err *err)
{
    if (kind != CA_KIND_DEVICE) {
        return true;
    }
    char *word = str_dup(scm_device_status(record->status));
    free(record->status);
    record->status = word;
    return word != NULL || err_nomem(err);
}

bool scm_record(void *impl, enum ca_kind kind, int64_t id, struct ca_record *out, struct err *err)
{
    struct scm *scm = impl;
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    struct scm_call call = {
        .endpoint = scm_kind(kind)->details, .id = id, .query = "dateFormat=ISO_HMS"};

    scm_answer_init(&answer);
    out->id = id;
    if (kind == CA_KIND_SMIME) {
        return scm_smime_record(scm, id, out, err);
    }
    if (!scm_call_json(scm, &call, &answer, &doc, err)) {
        if (answer.complete && answer.response.status == 404) {
            err->code = E_ORDER_MISSING;
        }
        return false;
    }
    return (scm_parse_record(doc, out, err) && spell_status(kind, out, err)) ||
           err_wrap(err, "status");
}

struct listing {
    struct scm *scm;
    const struct ca_filter *filter;
    ca_row_fn *visit;
    void *ctx;
    struct scm_seen seen; /* rows move while somebody pages, and may come twice */
    int64_t position;
    bool more;
    bool progress;    /* the last page had something new */
    int barren;       /* pages without anything new, one after the other */
    int64_t first_id; /* of the last page */
    int64_t first_before;
};

static bool visit_rows(struct listing *listing, const json *doc, struct err *err)
{
    AUTO(scm_row_texts) struct scm_row_texts texts = SCM_ROW_TEXTS_INIT;

    for (const json *item = json_first(doc); item != NULL; item = json_next(item)) {
        struct ca_row row;
        bool is_new = false;
        int64_t position = listing->position++;
        if (!scm_parse_row_of(listing->filter->kind, item, &texts, &row)) {
            continue;
        }
        if (!scm_seen_is_new(&listing->seen, row.id, &is_new, err)) {
            return false;
        }
        listing->first_id = listing->first_id == 0 ? row.id : listing->first_id;
        if (!is_new) {
            continue;
        }
        row.position = position;
        listing->progress = true;
        if (!listing->visit(listing->ctx, &row, err)) {
            listing->more = false;
            return err->code == E_NONE;
        }
    }
    return true;
}

static bool visit_page(struct listing *listing, struct err *err)
{
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    AUTO(buf) struct buf query = BUF_INIT(8192);

    scm_answer_init(&answer);
    scm_build_list(listing->filter, PAGE, listing->position, &query);
    struct scm_call call = {.endpoint = scm_kind(listing->filter->kind)->list,
                            .query = buf_str(&query)};
    if (!buf_ok(&query)) {
        return err_set(err, E_USAGE, "list: what is looked for is too long");
    }
    if (!scm_call_json(listing->scm, &call, &answer, &doc, err)) {
        return false;
    }
    if (!json_is_array(doc)) {
        return err_set(err, E_PROTOCOL, "list: the answer is not a JSON array");
    }
    size_t rows = json_count(doc);
    int64_t total = answer.response.total_count;
    listing->more = true;
    listing->progress = rows == 0;
    listing->first_before = listing->first_id;
    listing->first_id = 0;
    if (!visit_rows(listing, doc, err)) {
        return false;
    }
    /* Somebody on the way may give shorter pages than were asked for. */
    listing->more = listing->more && rows > 0 && (rows >= PAGE || total > listing->position);
    listing->barren = listing->progress ? 0 : listing->barren + 1;
    bool in_circles = listing->barren > BARREN_MAX ||
                      (listing->barren > 0 && listing->first_id == listing->first_before);
    return !listing->more || !in_circles ||
           err_set(err, E_PROTOCOL,
                   "list: after %lld rows the CA gives the same ones again, so the list cannot be "
                   "read to its end",
                   (long long)listing->position);
}

static bool list_pages(struct scm *scm, const struct ca_filter *filter, ca_row_fn *visit, void *ctx,
                       struct err *err)
{
    struct listing listing = {.scm = scm,
                              .filter = filter,
                              .visit = visit,
                              .ctx = ctx,
                              .position = filter->position,
                              .more = true};
    bool ok = true;

    while (ok && listing.more && listing.position < ROWS_MAX) {
        ok = visit_page(&listing, err);
    }
    scm_seen_done(&listing.seen);
    return ok && (!listing.more ||
                  err_set(err, E_PROTOCOL, "list: more than %d rows, and no end", ROWS_MAX));
}

/* Whether an account that is refused its report may have the list all the same. */
static bool list_may_do(const struct err *err)
{
    return err->code == E_FORBIDDEN || err->code == E_CA_REFUSED || err->code == E_PROTOCOL;
}

bool scm_list(void *impl, const struct ca_filter *filter, ca_row_fn *visit, void *ctx,
              struct err *err)
{
    struct scm *scm = impl;
    bool visited = false;
    bool none = scm_kind(filter->kind)->report == SCM_ENDPOINTS;

    if (!scm_check_filter(filter, err)) {
        return false;
    }
    if (filter->source == CA_SOURCE_LIST || (filter->source == CA_SOURCE_AUTO && none)) {
        return list_pages(scm, filter, visit, ctx, err);
    }
    if (scm_report(scm, filter, visit, ctx, &visited, err)) {
        return true;
    }
    if (filter->source == CA_SOURCE_REPORT || visited || !list_may_do(err)) {
        return false;
    }
    log_line(LOG_INFO, "scm", "the list is read instead: %s", err->msg);
    err_clear(err);
    return list_pages(scm, filter, visit, ctx, err);
}

/* What the CA's record says after an answer was lost. */
static enum ca_revoke look(struct scm *scm, const struct ca_revocation *revocation, struct err *err)
{
    AUTO(ca_record) struct ca_record record = {.id = revocation->id};
    struct err why = ERR_INIT;

    if (scm_record(scm, revocation->kind, revocation->id, &record, &why) && record.revoked) {
        err_clear(err);
        return CA_REVOKED;
    }
    err->code = E_ORDER_AMBIGUOUS;
    (void)err_wrap(err, "it is not known whether the CA revoked the certificate (asking again does "
                        "no harm)");
    return CA_REVOKE_AMBIGUOUS;
}

enum ca_revoke scm_revoke(void *impl, const struct ca_revocation *revocation, struct err *err)
{
    struct scm *scm = impl;
    AUTO(answer) struct scm_answer answer;
    AUTO(buf) struct buf body = BUF_INIT(8 * CA_REASON_TEXT_MAX);
    AUTO(buf) struct buf serial = BUF_INIT(CA_SERIAL_TEXT_MAX);
    const struct scm_kind *kind = scm_kind(revocation->kind);
    struct scm_call call = {.endpoint = kind->revoke, .id = revocation->id};

    scm_answer_init(&answer);
    if (!scm_build_revoke(revocation, &body, err)) {
        return CA_REVOKE_REFUSED;
    }
    if (revocation->serial != NULL) {
        if (!ca_serial_text(revocation->serial, &serial)) {
            (void)err_set(err, E_USAGE, "'%.80s' is no serial number", revocation->serial);
            return CA_REVOKE_REFUSED;
        }
        call = (struct scm_call){.endpoint = kind->revoke_serial, .serial = buf_str(&serial)};
    }
    call.body = buf_str(&body);
    if (scm_call(scm, &call, &answer, err)) {
        return CA_REVOKED;
    }
    if (answer.complete && scm_was_revoked(&answer.error)) {
        err_clear(err);
        return CA_WAS_REVOKED;
    }
    return scm_is_unclear(&answer) ? look(scm, revocation, err) : CA_REVOKE_REFUSED;
}
