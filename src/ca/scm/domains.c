#include "ca/scm/domains.h"
#include "ca/scm/pages.h"

#include "base/str.h"

enum { FILTER_MAX = 4096, BODY_MAX = 4096, NO_SUCH_DOMAIN = -727 };

/* Lists */

static bool domain_key(const json *item, uint64_t *key)
{
    struct ca_domain_row row;

    if (!scm_parse_domain_row(item, &row)) {
        return false;
    }
    *key = (uint64_t)row.id;
    return true;
}

struct visitor {
    ca_domain_fn *domain;
    ca_dcv_fn *dcv;
    void *ctx;
};

static bool visit_domain(void *ctx, const json *item, struct err *err)
{
    const struct visitor *visitor = ctx;
    struct ca_domain_row row;

    return !scm_parse_domain_row(item, &row) || visitor->domain(visitor->ctx, &row, err);
}

static bool domain_list(void *impl, const struct ca_domain_filter *filter, ca_domain_fn *visit,
                        void *ctx, struct err *err)
{
    AUTO(buf) struct buf query = BUF_INIT(FILTER_MAX);
    struct visitor visitor = {.domain = visit, .ctx = ctx};

    scm_build_domain_filter(filter, &query);
    struct scm_list list = {.endpoint = SCM_DOMAINS,
                            .filter = buf_str(&query),
                            .key = domain_key,
                            .visit = visit_domain,
                            .ctx = &visitor};
    return buf_ok(&query) ? scm_read_list(impl, &list, err)
                          : err_set(err, E_USAGE, "domains: what is looked for is too long");
}

static bool dcv_key(const json *item, uint64_t *key)
{
    struct ca_dcv_row row;

    if (!scm_parse_dcv_row(item, &row)) {
        return false;
    }
    *key = scm_text_key(row.domain);
    return true;
}

static bool visit_dcv(void *ctx, const json *item, struct err *err)
{
    const struct visitor *visitor = ctx;
    struct ca_dcv_row row;

    return !scm_parse_dcv_row(item, &row) || visitor->dcv(visitor->ctx, &row, err);
}

static bool dcv_list(void *impl, const struct ca_dcv_filter *filter, ca_dcv_fn *visit, void *ctx,
                     struct err *err)
{
    AUTO(buf) struct buf query = BUF_INIT(FILTER_MAX);
    struct visitor visitor = {.dcv = visit, .ctx = ctx};

    scm_build_dcv_filter(filter, &query);
    struct scm_list list = {.endpoint = SCM_DCV_LIST,
                            .filter = buf_str(&query),
                            .key = dcv_key,
                            .visit = visit_dcv,
                            .ctx = &visitor};
    return buf_ok(&query) ? scm_read_list(impl, &list, err)
                          : err_set(err, E_USAGE, "validations: what is looked for is too long");
}

static bool domain_show(void *impl, int64_t id, struct ca_domain *out, struct err *err)
{
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    struct scm_call call = {.endpoint = SCM_DOMAIN, .id = id};

    scm_answer_init(&answer);
    if (!scm_call_json(impl, &call, &answer, &doc, err)) {
        if (answer.complete && answer.response.status == 404) {
            err->code = E_DOMAIN_MISSING;
        }
        return false;
    }
    return scm_parse_domain(doc, out, err) || err_wrap(err, "domain");
}

/* Validation: every call has the domain in its body. */

struct posted {
    struct scm_answer answer;
    json *doc;
};

static void posted_done(struct posted *posted)
{
    scm_answer_done(&posted->answer);
    json_free(posted->doc);
}

DEFINE_AUTO_DONE(posted, struct posted, posted_done)

/* What the details of a domain say by their status, validation says by a code. */
static bool refused(const struct scm_answer *answer, struct err *err)
{
    if (answer->complete && answer->class == SCM_PERMANENT &&
        answer->error.code == NO_SUCH_DOMAIN) {
        err->code = E_DOMAIN_MISSING;
    }
    return false;
}

static bool post(struct scm *scm, struct scm_call *call, const char *domain, const char *email,
                 struct posted *out, struct err *err)
{
    AUTO(buf) struct buf body = BUF_INIT(BODY_MAX);

    scm_answer_init(&out->answer);
    if (!scm_build_domain_body(domain, email, &body, err)) {
        return false;
    }
    call->body = buf_str(&body);
    return scm_call_json(scm, call, &out->answer, &out->doc, err) || refused(&out->answer, err);
}

static bool ask_status(struct scm *scm, struct scm_call call, const char *domain,
                       struct ca_dcv_status *out, struct err *err)
{
    AUTO(posted) struct posted posted = {.doc = NULL};

    return post(scm, &call, domain, NULL, &posted, err) &&
           (scm_parse_dcv_status(posted.doc, out, err) ||
            err_wrap(err, "%s", scm_endpoint(call.endpoint)->name));
}

static bool dcv_status(void *impl, const char *domain, struct ca_dcv_status *out, struct err *err)
{
    return ask_status(impl, (struct scm_call){.endpoint = SCM_DCV_STATUS}, domain, out, err);
}

static bool dcv_start(void *impl, const char *domain, enum ca_dcv_method method,
                      struct ca_dcv_record *out, struct err *err)
{
    AUTO(posted) struct posted posted = {.doc = NULL};
    struct scm_call call = {.endpoint = SCM_DCV_START, .word = ca_dcv_method_name(method)};

    if (method == CA_DCV_TXT) {
        return err_set(err, E_USAGE,
                       "validation by TXT has no start: submitting it says what to publish "
                       "('p11enroll dcv submit %s --method txt')",
                       domain);
    }
    return post(impl, &call, domain, NULL, &posted, err) &&
           (scm_parse_dcv_start(posted.doc, method, out, err) || err_wrap(err, "start validation"));
}

/* Whether a lost submission or clearing took effect. */
static bool look(struct scm *scm, const char *domain, bool submitted, struct ca_dcv_status *out,
                 struct err *err)
{
    AUTO(ca_dcv_status) struct ca_dcv_status now = {.status = NULL};
    struct err why = ERR_INIT;

    if (dcv_status(scm, domain, &now, &why) &&
        (now.order == CA_DCV_SUBMITTED || now.order == CA_DCV_REJECTED) == submitted) {
        *out = now;
        now = (struct ca_dcv_status){.status = NULL};
        err_clear(err);
        return true;
    }
    return err_wrap(err, "it is not known whether the CA took it ('p11enroll dcv status' shows; "
                         "asking again does no harm)");
}

static bool dcv_submit(void *impl, const char *domain, enum ca_dcv_method method, const char *email,
                       struct ca_dcv_status *out, struct err *err)
{
    AUTO(posted) struct posted posted = {.doc = NULL};
    struct scm_call call = {.endpoint = SCM_DCV_SUBMIT, .word = ca_dcv_method_name(method)};

    if (post(impl, &call, domain, email, &posted, err)) {
        return scm_parse_dcv_status(posted.doc, out, err) || err_wrap(err, "submit validation");
    }
    return scm_is_unclear(&posted.answer) && look(impl, domain, true, out, err);
}

static bool dcv_recheck(void *impl, const char *domain, struct ca_dcv_status *out, struct err *err)
{
    struct scm_call call = {.endpoint = SCM_DCV_SYNC, .query = "force=true"};

    if (!ask_status(impl, call, domain, out, err)) {
        return false;
    }
    if (out->order_status != NULL) {
        return true;
    }
    /* by the newer description it says the state alone, and nothing of what is under way */
    ca_dcv_status_done(out);
    return dcv_status(impl, domain, out, err);
}

static bool dcv_clear(void *impl, const char *domain, struct ca_dcv_status *out, struct err *err)
{
    AUTO(posted) struct posted posted = {.doc = NULL};
    struct scm_call call = {.endpoint = SCM_DCV_CLEAR};

    if (post(impl, &call, domain, NULL, &posted, err)) {
        return scm_parse_dcv_status(posted.doc, out, err) || err_wrap(err, "clear validation");
    }
    return scm_is_unclear(&posted.answer) && look(impl, domain, false, out, err);
}

/* Of one order */

static bool missing_order(const struct scm_answer *answer, struct err *err)
{
    if (answer->complete && answer->response.status == 404) {
        err->code = E_ORDER_MISSING;
    }
    return false;
}

static bool order_dcv(void *impl, int64_t id, bool recheck, struct ca_order_dcv *out,
                      struct err *err)
{
    AUTO(answer) struct scm_answer answer;
    AUTO(answer) struct scm_answer rechecked;
    AUTO(json) json *doc = NULL;
    struct scm_call call = {.endpoint = SCM_ORDER_DCV, .id = id};
    struct scm_call again = {.endpoint = SCM_ORDER_RECHECK, .id = id};

    scm_answer_init(&answer);
    scm_answer_init(&rechecked);
    /* what it answers is the log alone; the instructions are wanted as well */
    if (recheck && !scm_call(impl, &again, &rechecked, err)) {
        return missing_order(&rechecked, err);
    }
    if (!scm_call_json(impl, &call, &answer, &doc, err)) {
        return missing_order(&answer, err);
    }
    return scm_parse_order_dcv(doc, out, err) || err_wrap(err, "order's validation");
}

const struct ca_domain_ops scm_domain_ops = {
    .list = domain_list,
    .show = domain_show,
    .dcv_list = dcv_list,
    .status = dcv_status,
    .start = dcv_start,
    .submit = dcv_submit,
    .recheck = dcv_recheck,
    .clear = dcv_clear,
    .order_dcv = order_dcv,
};
