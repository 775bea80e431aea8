/* Orders on their way: sent once, and found again if the answer is lost. */
#include "ca/scm/call.h"

#include "base/log.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

enum { PAGE = 200, PAGES_MAX = 500, BODY_MAX = 128 * 1024 };

static enum ca_submit ambiguous(struct err *err)
{
    err->code = E_ORDER_AMBIGUOUS;
    (void)err_wrap(err, "it is not known whether the CA took the order");
    return CA_AMBIGUOUS;
}

static bool build_enroll(const struct scm *scm, const struct ca_request *request, struct buf *body,
                         struct err *err)
{
    int64_t org_id = scm->settings.org_id;

    if (request->optional_fields != NULL && request->kind != CA_KIND_DEVICE) {
        return err_set(err, E_CONFIG,
                       "'optional_fields' are sent with orders for devices alone, and this one is "
                       "of the kind '%s'; the certificate request has 'subject' and the names",
                       ca_kind_name(request->kind));
    }
    switch (request->kind) {
    case CA_KIND_DEVICE:
        return scm_build_device(request, org_id, body, err);
    case CA_KIND_SMIME:
        return scm_build_smime(request, org_id, body, err);
    case CA_KIND_TLS:
    case CA_KINDS:
        break;
    }
    return scm_build_enroll(request, org_id, body, err);
}

/* Of devices and persons the API renews with the same request alone, and takes no body. */
static bool build_renew(const struct ca_request *request, struct buf *body, struct err *err)
{
    if (request->kind == CA_KIND_TLS) {
        return scm_build_renew(request, body, err);
    }
    return request->same_key ||
           err_set(err, E_USAGE,
                   "certificates of the kind '%s' are renewed with the key they have; for another "
                   "key they are replaced, or enrolled again",
                   ca_kind_name(request->kind));
}

/* Resource and body of what is asked for. */
static bool build(const struct scm *scm, const struct ca_request *request, struct scm_call *call,
                  struct buf *body, struct err *err)
{
    const struct scm_kind *kind = scm_kind(request->kind);
    bool ok = false;

    call->id = request->parent;
    switch (request->how) {
    case CA_ENROLL:
        call->endpoint = kind->enroll;
        ok = build_enroll(scm, request, body, err);
        break;
    case CA_RENEW:
        call->endpoint = kind->renew;
        ok = scm_kind_has(request->kind, kind->renew, "renewed", err) &&
             build_renew(request, body, err);
        break;
    case CA_REPLACE:
        call->endpoint = kind->replace;
        ok = scm_kind_has(request->kind, kind->replace, "replaced", err) &&
             scm_build_replace(request, body, err);
        break;
    }
    call->body = body->len > 0 ? buf_str(body) : NULL;
    return ok;
}

bool scm_check_request(void *impl, const struct ca_request *request, struct err *err)
{
    AUTO(buf) struct buf body = BUF_INIT(BODY_MAX);
    struct scm_call call = {.endpoint = SCM_ENROLL};

    return build(impl, request, &call, &body, err);
}

/* Sends it; *state of what the CA answers. False: err says why, and the answer how sure that is. */
static bool send_order(struct scm *scm, const struct ca_request *request,
                       const struct scm_call *call, struct scm_answer *answer, char **state,
                       struct err *err)
{
    AUTO(json) json *doc = NULL;
    struct scm_state made = {.kind = request->kind};

    if (request->how == CA_REPLACE) {
        made.id = request->parent;
        made.replaces = true;
        if (!scm_call(scm, call, answer, err)) {
            return false;
        }
    } else if (!scm_call_json(scm, call, answer, &doc, err) ||
               !scm_parse_number(doc, scm_kind(request->kind)->id_member, &made.id, err)) {
        return false;
    }
    *state = scm_state_text(&made);
    if (*state == NULL) {
        (void)err_nomem(err);
        return err_wrap(err, "the CA took it as order %lld", (long long)made.id);
    }
    return true;
}

enum ca_submit scm_submit(void *impl, const struct ca_request *request, char **state,
                          struct err *err)
{
    struct scm *scm = impl;
    AUTO(answer) struct scm_answer answer;
    AUTO(buf) struct buf body = BUF_INIT(BODY_MAX);
    struct scm_call call = {.endpoint = SCM_ENROLL};

    scm_answer_init(&answer);
    if (!build(scm, request, &call, &body, err)) {
        return CA_REFUSED;
    }
    if (send_order(scm, request, &call, &answer, state, err)) {
        return CA_SUBMITTED;
    }
    return scm_is_unclear(&answer) ? ambiguous(err) : CA_REFUSED;
}

bool scm_get_details(struct scm *scm, enum ca_kind kind, int64_t id, struct scm_answer *answer,
                     json **doc, struct scm_details *out, struct err *err)
{
    struct scm_call call = {
        .endpoint = scm_kind(kind)->details, .id = id, .query = "dateFormat=ISO_HMS"};

    if (!scm_call_json(scm, &call, answer, doc, err)) {
        return false;
    }
    return scm_parse_details(*doc, out, err) || err_wrap(err, "status");
}

/* One page of the list; cn NULL: of all orders. */
static bool list_page(struct scm *scm, enum ca_kind kind, const char *cn, int64_t position,
                      struct scm_ids *ids, size_t *rows, int64_t *total, struct err *err)
{
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    AUTO(buf) struct buf query = BUF_INIT(4096);

    scm_answer_init(&answer);
    buf_addf(&query, "size=%d&position=%lld", PAGE, (long long)position);
    if (cn != NULL) {
        buf_add_str(&query, "&commonName=");
        str_percent_encode(&query, (const uint8_t *)cn, strlen(cn), "");
    }
    struct scm_call call = {.endpoint = scm_kind(kind)->list, .query = buf_str(&query)};
    if (!scm_call_json(scm, &call, &answer, &doc, err)) {
        return false;
    }
    if (!json_is_array(doc)) {
        return err_set(err, E_PROTOCOL, "list: the answer is not a JSON array");
    }
    *rows = 0;
    *total = answer.response.total_count;
    for (const json *item = json_first(doc); item != NULL; item = json_next(item)) {
        int64_t id = 0;
        (*rows)++;
        if (json_find_int(item, "sslId", &id) || json_find_int(item, "id", &id)) {
            scm_ids_add(ids, id);
        }
    }
    return true;
}

bool scm_list_ids(struct scm *scm, enum ca_kind kind, const char *cn, struct scm_ids *ids,
                  struct err *err)
{
    int64_t position = 0;
    int64_t total = 0;
    size_t rows = PAGE;

    /* Somebody on the way may give shorter pages than were asked for. */
    for (int page = 0; page < PAGES_MAX && rows > 0 && (rows >= PAGE || position < total); page++) {
        if (!list_page(scm, kind, cn, position, ids, &rows, &total, err)) {
            return false;
        }
        position += (int64_t)rows;
    }
    ids->cut = ids->cut || (rows > 0 && (rows >= PAGE || position < total));
    scm_ids_sort(ids);
    return true;
}

bool scm_may_skip(const struct scm_answer *answer)
{
    if (!answer->complete) {
        return false;
    }
    return answer->class == SCM_OK || answer->class == SCM_PERMANENT ||
           answer->class == SCM_NOT_ALLOWED || answer->response.status == 404;
}

/* Whether one order has our mark. *unread: that could not be seen. */
static bool is_ours(struct scm *scm, enum ca_kind kind, int64_t id, const char *mark, bool *ours,
                    bool *unread, struct err *err)
{
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    struct scm_details details;

    *ours = false;
    scm_answer_init(&answer);
    if (scm_get_details(scm, kind, id, &answer, &doc, &details, err)) {
        *ours = strstr(details.comments, mark) != NULL;
        return true;
    }
    if (scm_may_skip(&answer)) {
        log_line(LOG_DEBUG, "scm", "looking for the order: %lld is passed over: %s", (long long)id,
                 err->msg);
        err_clear(err);
        *unread = true;
        return true;
    }
    return false;
}

/* It may be among what could not be looked at. */
static bool is_whole(const struct scm_ids *ids, int64_t unread, struct err *err)
{
    if (unread != 0) {
        return err_set(err, E_ORDER_AMBIGUOUS,
                       "the CA lists number %lld for the same name, and does not show what it is",
                       (long long)unread);
    }
    return !ids->cut ||
           err_set(err, E_ORDER_AMBIGUOUS,
                   "the CA lists more orders than are looked at, and the mark is in none "
                   "of the %zu newest",
                   ids->count);
}

/* The list does not show comments, so each candidate's details are read until our mark is found. */
static bool find_enrolled(struct scm *scm, const struct ca_request *request, int64_t *id,
                          struct err *err)
{
    AUTO(buf) struct buf cn = BUF_INIT(1024);
    struct scm_ids ids = {.count = 0};
    bool has_cn = scm_csr_cn(request->csr_pem, &cn);
    int64_t unread_id = 0;

    if (!scm_list_ids(scm, request->kind, has_cn ? buf_str(&cn) : NULL, &ids, err)) {
        return false;
    }
    for (size_t i = 0; i < ids.count; i++) {
        bool ours = false;
        bool unread = false;
        if (!is_ours(scm, request->kind, ids.list[i], request->mark, &ours, &unread, err)) {
            return false;
        }
        if (ours) {
            *id = ids.list[i];
            return true;
        }
        unread_id = unread ? ids.list[i] : unread_id;
    }
    return is_whole(&ids, unread_id, err);
}

/* In the list, and if that does not show it, or is not for this account, in the report. */
static bool find_ordered(struct scm *scm, const struct ca_request *request, int64_t *id,
                         struct err *err)
{
    struct err why = ERR_INIT;

    if (find_enrolled(scm, request, id, &why)) {
        return *id != 0 || scm_find_in_report(scm, request, id, err);
    }
    bool refused =
        why.code == E_FORBIDDEN || why.code == E_CA_REFUSED || why.code == E_ORDER_AMBIGUOUS;
    if (refused && !scm_find_in_report(scm, request, id, err)) {
        return false;
    }
    if (*id == 0) {
        *err = why;
    }
    return *id != 0;
}

static bool find(struct scm *scm, const struct ca_request *request, struct scm_state *state,
                 struct err *err)
{
    switch (request->how) {
    case CA_RENEW:
        return request->kind == CA_KIND_SMIME ? scm_smime_find(scm, request, &state->id, err)
                                              : scm_find_renewed(scm, request, &state->id, err);
    case CA_REPLACE:
        state->replaces = true;
        return scm_find_replaced(scm, request, &state->id, err);
    case CA_ENROLL:
        break;
    }
    return request->kind == CA_KIND_SMIME ? scm_smime_find(scm, request, &state->id, err)
                                          : find_ordered(scm, request, &state->id, err);
}

bool scm_find_submitted(void *impl, const struct ca_request *request, bool *found, char **state,
                        struct err *err)
{
    struct scm_state made = {.kind = request->kind};

    *found = false;
    if (!find(impl, request, &made, err)) {
        return err_wrap(err, "looking for the order");
    }
    if (made.id == 0) {
        return true;
    }
    *state = scm_state_text(&made);
    *found = *state != NULL;
    return *found || err_nomem(err);
}

bool scm_may_have_number(const struct ca_request *request, int64_t id, struct err *err)
{
    if (request->how == CA_RENEW && id == request->parent) {
        return err_set(err, E_USAGE,
                       "number %lld is what was to be renewed, and a renewal has a number of its "
                       "own",
                       (long long)id);
    }
    return true;
}

bool scm_adopt(const struct ca_request *request, const char *order_id, char **state,
               struct err *err)
{
    struct scm_state made = {.kind = request->kind, .replaces = request->how == CA_REPLACE};
    uint64_t number = 0;

    if (!str_to_u64(order_id, INT64_MAX, &number) || number == 0) {
        return err_set(err, E_USAGE, "'%.40s' is not a number of an order at the CA", order_id);
    }
    made.id = (int64_t)number;
    if (made.replaces && made.id != request->parent) {
        return err_set(err, E_USAGE,
                       "number %lld cannot be it: a replacement has the number of what it "
                       "replaces, which is %lld",
                       (long long)made.id, (long long)request->parent);
    }
    if (!scm_may_have_number(request, made.id, err)) {
        return false;
    }
    *state = scm_state_text(&made);
    return *state != NULL || err_nomem(err);
}
