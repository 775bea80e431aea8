/* What people do with requests that wait at the CA: approve, decline, correct. */
#include "ca/scm/call.h"

#include <string.h>

static enum ca_outcome unclear(struct err *err, const char *what)
{
    err->code = E_ORDER_AMBIGUOUS;
    (void)err_wrap(err, "it is not known whether the CA %s (asking again does no harm)", what);
    return CA_UNCLEAR;
}

/* After a lost answer: what the record says. Only a request that still waits was not decided. */
static enum ca_outcome look(struct scm *scm, const struct ca_decision *decision, struct err *err)
{
    AUTO(ca_record) struct ca_record record = {.id = decision->id};
    struct err why = ERR_INIT;
    bool known = scm_record(scm, decision->kind, decision->id, &record, &why);

    if (known && record.phase != CA_WAITING &&
        (decision->approve ? record.phase != CA_FAILED : record.phase == CA_FAILED)) {
        err_clear(err);
        return CA_DONE;
    }
    return unclear(err, decision->approve ? "approved the request" : "declined the request");
}

enum ca_outcome scm_decide(void *impl, const struct ca_decision *decision, struct err *err)
{
    struct scm *scm = impl;
    const struct scm_kind *kind = scm_kind(decision->kind);
    AUTO(answer) struct scm_answer answer;
    AUTO(buf) struct buf body = BUF_INIT(8 * CA_REASON_TEXT_MAX);
    struct scm_call call = {.endpoint = decision->approve ? kind->approve : kind->decline,
                            .id = decision->id};

    scm_answer_init(&answer);
    if (!scm_kind_has(decision->kind, call.endpoint, decision->approve ? "approved" : "declined",
                      err) ||
        !scm_build_decision(decision, &body, err)) {
        return CA_NOT_DONE;
    }
    call.body = buf_str(&body);
    if (scm_call(scm, &call, &answer, err)) {
        return CA_DONE;
    }
    if (answer.complete && answer.response.status == 404) {
        err->code = E_ORDER_MISSING;
    }
    return scm_is_unclear(&answer) ? look(scm, decision, err) : CA_NOT_DONE;
}

enum ca_outcome scm_update(void *impl, const struct ca_update *update, struct err *err)
{
    struct scm *scm = impl;
    AUTO(answer) struct scm_answer answer;
    AUTO(buf) struct buf body = BUF_INIT(256 * 1024);
    struct scm_call call = {.endpoint = scm_kind(update->kind)->update, .id = update->id};

    scm_answer_init(&answer);
    if (!scm_kind_has(update->kind, call.endpoint, "changed", err) ||
        !scm_build_update(update, &body, err) ||
        (update->kind == CA_KIND_SMIME && !scm_smime_number(scm, update->id, &call.id, err))) {
        return CA_NOT_DONE;
    }
    call.body = buf_str(&body);
    if (scm_call(scm, &call, &answer, err)) {
        return CA_DONE;
    }
    if (answer.complete && answer.response.status == 404) {
        err->code = E_ORDER_MISSING;
    }
    return scm_is_unclear(&answer) ? unclear(err, "changed its record") : CA_NOT_DONE;
}
