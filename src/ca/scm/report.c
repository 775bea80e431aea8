/*
 * The report of an account's certificates: the same rows as the list, with what only details say
 * otherwise, and no pages. An account that is too large for one answer is asked for by the days of
 * the requests; certificates without such a day are in the undivided report alone.
 */
#include "ca/scm/call.h"

#include "base/log.h"
#include "base/str.h"

#include <string.h>
#include <time.h>

enum {
    DAY_S = 86400,
    FIRST_DAY = 10957, /* 2000-01-01 */
    NAMES_MAX = 256 * 1024,
};

struct report {
    struct scm *scm;
    const struct ca_filter *filter;
    ca_row_fn *visit;
    void *ctx;
    struct scm_seen seen;
    bool stop;      /* visit wants no more */
    bool *visited;  /* a report was there */
    bool too_large; /* the last answer did not fit */
};

/* Its rows, or the reason why there are none. */
static bool find_rows(const json *doc, const json **rows, struct err *err)
{
    const char *message = "no reason";
    int64_t code = 0;

    (void)json_find_int(doc, "statusCode", &code);
    (void)json_find_string(doc, "message", &message);
    *rows = json_member(doc, "reports");
    if (code != 0) {
        return err_set(err, E_CA_REFUSED, "report: the CA gives none: status %lld, %.200s",
                       (long long)code, message);
    }
    return *rows == NULL || json_is_array(*rows) ||
           err_set(err, E_PROTOCOL, "report: 'reports' is not an array");
}

static bool parse_row(const struct report *report, const json *item, struct buf *names,
                      struct ca_row *row)
{
    return report->filter->kind == CA_KIND_DEVICE ? scm_parse_device_report_row(item, row)
                                                  : scm_parse_report_row(item, names, row);
}

static bool visit_rows(struct report *report, const json *rows, struct err *err)
{
    AUTO(buf) struct buf names = BUF_INIT(NAMES_MAX);

    for (const json *item = json_first(rows); item != NULL && !report->stop;
         item = json_next(item)) {
        struct ca_row row;
        bool is_new = false;
        if (!parse_row(report, item, &names, &row)) {
            continue;
        }
        if (!scm_seen_is_new(&report->seen, row.id, &is_new, err)) {
            return false;
        }
        if (is_new && scm_row_fits(&row, report->filter) &&
            !report->visit(report->ctx, &row, err)) {
            report->stop = true;
            return err->code == E_NONE;
        }
    }
    return true;
}

/* One request; days NULL: for all. */
static bool ask(struct report *report, const struct scm_days *days, struct err *err)
{
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    AUTO(buf) struct buf body = BUF_INIT(8192);
    const json *rows = NULL;

    scm_answer_init(&answer);
    report->too_large = false;
    if (!scm_build_report(report->filter, days, &body, err)) {
        return false;
    }
    struct scm_call call = {.endpoint = scm_kind(report->filter->kind)->report,
                            .body = buf_str(&body)};
    if (!scm_call_json(report->scm, &call, &answer, &doc, err)) {
        /* There was an answer, and it was longer than one that is read. */
        report->too_large = !answer.complete && err->code == E_PROTOCOL;
        return false;
    }
    if (!find_rows(doc, &rows, err)) {
        return false;
    }
    *report->visited = true;
    return visit_rows(report, rows, err);
}

static int64_t day_after_tomorrow(const struct scm *scm)
{
    return clock_wall_s(scm->settings.clock) / DAY_S + 2;
}

/* By days, as many at a time as fit. Neighbours share a day: whether the last one counts whole is
 * not documented. */
static bool ask_by_days(struct report *report, int64_t first, struct err *err)
{
    int64_t end = day_after_tomorrow(report->scm);
    int64_t span = end - first;

    for (int64_t at = first; at < end && !report->stop;) {
        struct scm_days days = {.first = at, .last = at + span < end ? at + span : end};
        if (ask(report, &days, err)) {
            at = days.last;
            span *= 2;
        } else if (report->too_large && span > 1) {
            err_clear(err);
            span /= 2;
        } else {
            return false;
        }
    }
    return true;
}

static bool check_report(enum ca_kind kind, struct err *err)
{
    return scm_kind(kind)->report != SCM_ENDPOINTS ||
           err_set(err, E_USAGE,
                   "the CA's report of certificates of the kind '%s' says neither their state nor "
                   "their serial number; their list has both, so that is read ('list')",
                   ca_kind_name(kind));
}

bool scm_report(struct scm *scm, const struct ca_filter *filter, ca_row_fn *visit, void *ctx,
                bool *visited, struct err *err)
{
    struct report report = {
        .scm = scm, .filter = filter, .visit = visit, .ctx = ctx, .visited = visited};

    if (!check_report(filter->kind, err)) {
        return false;
    }
    bool ok = ask(&report, NULL, err);
    if (!ok && report.too_large) {
        err_clear(err);
        *visited = true;
        log_line(LOG_INFO, "scm",
                 "the report is too large for one answer; it is asked for by days");
        ok = ask_by_days(&report, FIRST_DAY, err);
    }
    scm_seen_done(&report.seen);
    return ok;
}

struct looking {
    const char *mark;
    int64_t id;
};

/* The newest one. */
static bool look_at_row(void *ctx, const struct ca_row *row, struct err *err UNUSED)
{
    struct looking *looking = ctx;

    if (strstr(row->comments, looking->mark) != NULL && row->id > looking->id) {
        looking->id = row->id;
    }
    return true;
}

bool scm_find_in_report(struct scm *scm, const struct ca_request *request, int64_t *id,
                        struct err *err)
{
    struct ca_filter filter = {.kind = request->kind, .source = CA_SOURCE_REPORT};
    struct looking looking = {.mark = request->mark};
    bool visited = false;
    struct report report = {
        .scm = scm, .filter = &filter, .visit = look_at_row, .ctx = &looking, .visited = &visited};
    int64_t first = request->created_s / DAY_S - 1;

    if (scm_kind(request->kind)->report == SCM_ENDPOINTS || request->created_s <= 0) {
        return true;
    }
    bool asked = ask_by_days(&report, first < FIRST_DAY ? FIRST_DAY : first, err);
    scm_seen_done(&report.seen);
    bool none = err->code == E_FORBIDDEN || err->code == E_CA_REFUSED || err->code == E_PROTOCOL;
    if (!asked && (scm_is_under_way(scm) || !none)) {
        return false;
    }
    if (!asked) { /* this account has no report */
        log_line(LOG_DEBUG, "scm", "looking for the order: no report tells more: %s", err->msg);
        err_clear(err);
    }
    *id = looking.id;
    return true;
}
