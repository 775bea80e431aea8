/* What is ordered, renewed and replaced. */
#include "ca/enrollment/enrollment.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 128 * 1024 };

/* Renewals keep the request that the API has, so the key as well. */
static bool check_key(const struct ca_request *request, struct err *err)
{
    return request->how != CA_RENEW || request->same_key ||
           err_set(err, E_USAGE,
                   "the Enrollment API renews with the request that it has, and so with the same "
                   "key: for another key, "
                   "'p11enroll order replace' or 'p11enroll enroll --again'");
}

bool enrollment_check_request(void *impl, const struct ca_request *request, struct err *err)
{
    struct enrollment *e = impl;
    AUTO(buf) struct buf body = BUF_INIT(BODY_MAX);

    return check_key(request, err) && enrollment_build(request, e->fields, &body, err);
}

static enum ca_submit ambiguous(struct err *err)
{
    err->code = E_ORDER_AMBIGUOUS;
    (void)err_wrap(err, "it is not known whether the CA took the order");
    return CA_AMBIGUOUS;
}

/* Codes of a body that the API does not understand: which fields it takes is not documented. */
static void add_hint(const struct scm_answer *answer, struct err *err)
{
    static const int64_t codes[] = {-64, -1002, -1601};
    size_t used = strlen(err->msg);

    for (size_t i = 0; answer->complete && answer->error.has_code && i < ARRAY_LEN(codes); i++) {
        if (codes[i] == answer->error.code) {
            (void)snprintf(err->msg + used, sizeof(err->msg) - used,
                           "; nothing was ordered, and 'order_fields' of the CA section says what "
                           "is sent beside the "
                           "request");
        }
    }
}

/* Renewing and replacing are not documented; that they are not there is likely, and no proof. */
static void add_absence(enum ca_how how, const struct scm_answer *answer, struct err *err)
{
    size_t used = strlen(err->msg);

    if (how != CA_ENROLL && enrollment_is_absent(answer)) {
        (void)snprintf(err->msg + used, sizeof(err->msg) - used,
                       "; perhaps this installation does not offer that at all: 'p11enroll enroll "
                       "--again' orders anew");
    }
}

static enum scm_endpoint_id endpoint_of(enum ca_how how)
{
    switch (how) {
    case CA_RENEW:
        return ENROLLMENT_RENEW;
    case CA_REPLACE:
        return ENROLLMENT_REPLACE;
    case CA_ENROLL:
        break;
    }
    return ENROLLMENT_ORDER;
}

/* The id in the answer. A replacement may say nothing: it keeps the id that it had. */
static bool take_answer(const struct ca_request *request, const struct scm_answer *answer,
                        struct enrollment_id *id, struct err *err)
{
    AUTO(json) json *doc = NULL;
    const struct buf *body = &answer->response.body;
    struct err why = ERR_INIT;

    if (body->len > 0 && json_parse((const uint8_t *)buf_str(body), body->len, &doc, &why) &&
        enrollment_parse_id(doc, id, &why)) {
        return true;
    }
    bool silent = body->len == 0 || (doc != NULL && json_is_object(doc));
    if (request->how == CA_REPLACE && silent) {
        (void)snprintf(id->text, sizeof(id->text), "%lld", (long long)request->parent);
        return true;
    }
    return err_set(err, E_PROTOCOL, "%s: HTTP %d, but %s",
                   scm_endpoint(endpoint_of(request->how))->name, answer->response.status,
                   body->len > 0 ? why.msg : "the answer is empty");
}

enum ca_submit enrollment_submit(void *impl, const struct ca_request *request, char **state,
                                 struct err *err)
{
    struct enrollment *e = impl;
    AUTO(answer) struct scm_answer answer;
    AUTO(buf) struct buf body = BUF_INIT(BODY_MAX);
    struct enrollment_id id;
    char parent[24];

    scm_answer_init(&answer);
    if (!check_key(request, err) || !enrollment_build(request, e->fields, &body, err)) {
        return CA_REFUSED;
    }
    (void)snprintf(parent, sizeof(parent), "%lld", (long long)request->parent);
    struct scm_call call = {
        .endpoint = endpoint_of(request->how), .word = parent, .body = buf_str(&body)};
    if (scm_call(&e->scm, &call, &answer, err) && take_answer(request, &answer, &id, err)) {
        *state = enrollment_make_state(&id, request->how == CA_REPLACE);
        if (*state != NULL) {
            return CA_SUBMITTED;
        }
        (void)err_nomem(err);
        return ambiguous(err);
    }
    if (scm_is_unclear(&answer)) {
        add_absence(request->how, &answer, err);
        return ambiguous(err);
    }
    add_hint(&answer, err);
    return CA_REFUSED;
}

/* What administrators do, this API does not. */
enum ca_outcome enrollment_decide(void *impl UNUSED, const struct ca_decision *decision UNUSED,
                                  struct err *err)
{
    (void)err_set(
        err, E_USAGE,
        "at the Enrollment API nothing can be approved or declined: an administrator of the CA "
        "account does that in SCM");
    return CA_NOT_DONE;
}

enum ca_outcome enrollment_update(void *impl UNUSED, const struct ca_update *update UNUSED,
                                  struct err *err)
{
    (void)err_set(err, E_USAGE, "the Enrollment API changes no records");
    return CA_NOT_DONE;
}

/* Which fields there are, it does not tell. */
bool enrollment_check_fields(void *impl UNUSED, enum ca_kind kind UNUSED,
                             const char *custom_fields UNUSED, struct err *err UNUSED)
{
    return true;
}
