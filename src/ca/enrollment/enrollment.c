#include "ca/enrollment/enrollment.h"

#include "base/log.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char other_api[] = "https://cert-manager.com";
static const char pem_chain[] = "application/pem-certificate-chain";

enum { CODE_REVOKED = -110, CODE_NOT_FOUND = -5101 };

static void enrollment_close(void *impl)
{
    struct enrollment *e = impl;

    if (e != NULL) {
        free(e->scm.prefix);
        scm_aside_done(&e->scm);
        scm_oauth_done(&e->scm.oauth);
        free(e);
    }
}

DEFINE_AUTO(enrollment, struct enrollment *, enrollment_close)

static bool enrollment_check_type(enum ca_login login, const char *url, struct err *err)
{
    if (login != CA_LOGIN_OAUTH) {
        return err_set(err, E_CONFIG,
                       "the Enrollment API is logged in to with a client id and secret alone: set "
                       "'auth = oauth'");
    }
    return !str_equal(url, other_api) ||
           err_set(err, E_CONFIG,
                   "the Enrollment API has a host for each customer, and none is configured "
                   "('url = https://CUSTOMER.enroll.enterprise.sectigo.com')");
}

static bool enrollment_open(const struct ca_settings *settings, void **impl, struct err *err)
{
    AUTO(enrollment) struct enrollment *e = calloc(1, sizeof(*e));

    if (e == NULL) {
        return err_nomem(err);
    }
    if (!scm_oauth_check(settings, err) ||
        !enrollment_parse_fields(settings->order_fields, &e->fields, err)) {
        return false;
    }
    e->scm.settings = *settings;
    e->scm.probe = ENROLLMENT_LIST;
    e->scm.prefix = str_dup(settings->api_path);
    e->no_status = settings->status_form == CA_STATUS_COLLECT;
    if (e->scm.prefix == NULL) {
        return err_nomem(err);
    }
    *impl = TAKE(e);
    return true;
}

static void enrollment_set_deadline(void *impl, int64_t mono_ms)
{
    struct enrollment *e = impl;

    e->scm.deadline_ms = mono_ms;
}

bool enrollment_is_absent(const struct scm_answer *answer)
{
    int status = answer->response.status;

    if (!answer->complete || (answer->error.has_code && answer->error.code == CODE_NOT_FOUND)) {
        return false;
    }
    return status == 404 || status == 405 || status == 501;
}

/* The API itself says that it has nothing of that id. */
static void note_missing(const struct scm_answer *answer, struct err *err)
{
    if (answer->complete && answer->response.status == 404 && answer->error.understood) {
        err->code = E_ORDER_MISSING;
    }
}

/* What an account got to see that knocked. */
enum welcome { LISTED, NO_LIST, NO_RIGHT };

/* The least that an account can be asked for. Whether there is a list is not documented, so only
 * who is refused as such is not let in. */
static bool knock(struct enrollment *e, enum welcome *welcome, struct err *err)
{
    AUTO(answer) struct scm_answer answer;
    struct scm_call call = {.endpoint = ENROLLMENT_LIST, .query = "size=1&position=0"};

    scm_answer_init(&answer);
    if (scm_call(&e->scm, &call, &answer, err)) {
        *welcome = LISTED;
        return true;
    }
    int status = answer.complete ? answer.response.status : 0;
    if (status < 400 || status >= 500 || answer.class == SCM_BAD_LOGIN ||
        answer.class == SCM_TRANSIENT) {
        return false;
    }
    *welcome = answer.class == SCM_NOT_ALLOWED ? NO_RIGHT : NO_LIST;
    return true;
}

/* None can be chosen, but whether the account is let in is worth knowing before a key is made. */
static bool enrollment_products(void *impl, enum ca_kind kind UNUSED, struct ca_products *out,
                                struct err *err)
{
    struct enrollment *e = impl;
    enum welcome welcome = NO_LIST;

    *out = (struct ca_products){.list = NULL};
    if (!knock(e, &welcome, err)) {
        return false;
    }
    err_clear(err);
    return true;
}

bool enrollment_fetch(struct enrollment *e, const struct enrollment_id *id, bool *ready,
                      bool *revoked, struct buf *out, struct err *err)
{
    AUTO(answer) struct scm_answer answer;
    struct scm_call call = {.endpoint = ENROLLMENT_COLLECT, .word = id->text, .accept = pem_chain};

    *ready = false;
    *revoked = false;
    scm_answer_init(&answer);
    if (!scm_call(&e->scm, &call, &answer, err)) {
        *revoked = answer.complete && answer.error.has_code && answer.error.code == CODE_REVOKED;
        note_missing(&answer, err);
        return false;
    }
    if (answer.class == SCM_NOT_READY || answer.response.body.len == 0) {
        return true;
    }
    buf_add(out, answer.response.body.data, answer.response.body.len);
    *ready = true;
    return buf_ok(out) || err_set(err, E_PROTOCOL, "collect: the answer is too long");
}

/* The status that collecting shows. */
static bool ask_by_collecting(struct enrollment *e, const struct enrollment_id *id,
                              struct enrollment_status *out, struct err *err)
{
    AUTO(buf) struct buf answer = BUF_INIT(HTTP_BODY_MAX);
    bool ready = false;
    bool revoked = false;

    if (!enrollment_fetch(e, id, &ready, &revoked, &answer, err) && !revoked) {
        return false;
    }
    err_clear(err);
    *out = (struct enrollment_status){.phase = revoked ? CA_FAILED
                                               : ready ? CA_ISSUED
                                                       : CA_PENDING,
                                      .revoked = revoked};
    (void)snprintf(out->word, sizeof(out->word), "%s",
                   revoked ? "revoked"
                   : ready ? "can be collected"
                           : "not ready");
    return true;
}

/* With `auto` a call that is not there is no failure; nor is one that says something else than a
 * status. */
static bool may_go_without(const struct enrollment *e, const struct scm_answer *answer,
                           const struct err *err)
{
    return e->scm.settings.status_form == CA_STATUS_AUTO && answer->complete &&
           (enrollment_is_absent(answer) || (answer->class == SCM_OK && err->code == E_PROTOCOL));
}

bool enrollment_ask(struct enrollment *e, const struct enrollment_id *id,
                    struct enrollment_status *out, struct err *err)
{
    AUTO(answer) struct scm_answer answer;
    struct scm_call call = {.endpoint = ENROLLMENT_STATUS, .word = id->text};

    scm_answer_init(&answer);
    if (e->no_status) {
        return ask_by_collecting(e, id, out, err);
    }
    if (scm_call(&e->scm, &call, &answer, err)) {
        AUTO(json) json *doc = NULL;
        const struct buf *body = &answer.response.body;
        if (answer.class == SCM_NOT_READY) {
            *out = (struct enrollment_status){.phase = CA_PENDING, .word = "not ready"};
            return true;
        }
        if (json_parse((const uint8_t *)buf_str(body), body->len, &doc, err) &&
            enrollment_parse_status(doc, out, err)) {
            return true;
        }
        (void)err_wrap(err, "status");
    }
    if (!may_go_without(e, &answer, err)) {
        note_missing(&answer, err);
        return false;
    }
    log_line(LOG_DEBUG, "enrollment",
             "there is no status to ask for, so it is collected instead: %s", err->msg);
    err_clear(err);
    /* (in a turn, what was asked is asked again in the same order) */
    e->no_status = e->scm.aside.user == NULL;
    return ask_by_collecting(e, id, out, err);
}

static const char *sentence(enum ca_phase phase)
{
    switch (phase) {
    case CA_PENDING:
        return "the CA is processing it";
    case CA_WAITING:
        return "an administrator of the CA account has to approve it";
    case CA_ISSUED:
        return "the certificate can be collected";
    case CA_FAILED:
        break;
    }
    return "it has ended without a certificate";
}

static bool enrollment_poll(void *impl, const char *state, struct ca_status *out, struct err *err)
{
    struct enrollment *e = impl;
    struct enrollment_id id;
    struct enrollment_status status;

    if (!enrollment_read_state(state, &id, err) || !enrollment_ask(e, &id, &status, err)) {
        return false;
    }
    /* It is the certificate that was replaced which it says; the new one is had under the same id.
     */
    bool was_replaced =
        enrollment_state_replaces(state) && str_equal_nocase(status.word, "replaced");
    *out = (struct ca_status){.phase = was_replaced ? CA_ISSUED : status.phase};
    (void)snprintf(out->text, sizeof(out->text), "%s", status.word);
    (void)snprintf(out->detail, sizeof(out->detail), "%s", sentence(status.phase));
    (void)snprintf(out->order_id, sizeof(out->order_id), "%s", id.text);
    return true;
}

/* The only one that is documented. */
static const char *const formats[] = {"pem", NULL};

static bool enrollment_collect(void *impl, const char *state, const char *format UNUSED,
                               bool *ready, struct buf *out, struct err *err)
{
    struct enrollment *e = impl;
    struct enrollment_id id;
    bool revoked = false;

    *ready = false;
    return enrollment_read_state(state, &id, err) &&
           enrollment_fetch(e, &id, ready, &revoked, out, err);
}

static bool enrollment_adopt(const struct ca_request *request, const char *order_id, char **state,
                             struct err *err)
{
    struct enrollment_id id;
    uint64_t number = 0;

    if (!enrollment_take_id(order_id, &id)) {
        return err_set(err, E_USAGE, "'%.80s' is no id of a certificate", order_id);
    }
    if (str_to_u64(id.text, INT64_MAX, &number) &&
        !scm_may_have_number(request, (int64_t)number, err)) {
        return false;
    }
    *state = enrollment_make_state(&id, request->how == CA_REPLACE);
    return *state != NULL || err_nomem(err);
}

static void check_account(struct enrollment *e, struct ca_checks *out)
{
    struct err err = ERR_INIT;
    enum welcome welcome = NO_LIST;

    if (!knock(e, &welcome, &err)) {
        ca_checks_fail(out, "account", &err);
        if (err.code == E_AUTH) {
            ca_checks_remedy(
                out, "use the client id of an account of this endpoint (Enrollment, REST, the "
                     "endpoint, Accounts): keys of administrators are for the other API");
        }
        return;
    }
    if (welcome == NO_RIGHT) {
        ca_checks_add(out, "account", true,
                      "it may not list its certificates; whether it may order, an order shows: %s",
                      err.msg);
        ca_checks_warn(out);
        return;
    }
    ca_checks_add(out, "account", true, "%s; it orders with the one profile that it has",
                  welcome == LISTED ? "it is let in, and may list its certificates"
                                    : "it is let in (this API lists no certificates)");
}

static void enrollment_check(void *impl, struct ca_checks *out)
{
    struct enrollment *e = impl;

    if (scm_check_token(&e->scm, out)) {
        check_account(e, out);
    }
}

/* Reads beside each other are those of the connection. */
static void enrollment_turn(void *impl, void *user)
{
    struct enrollment *e = impl;

    scm_turn(&e->scm, user);
}

static bool enrollment_is_under_way(const void *impl)
{
    const struct enrollment *e = impl;

    return scm_is_under_way(&e->scm);
}

static void enrollment_forget(void *impl, const void *user)
{
    struct enrollment *e = impl;

    scm_forget(&e->scm, user);
}

static bool enrollment_hear(void *impl, int64_t wait_ms, struct ca_heard *out)
{
    struct enrollment *e = impl;

    return scm_hear(&e->scm, wait_ms, out);
}

const struct ca_ops ca_enrollment_ops = {
    .type = "scm-enrollment",
    .fixed_product = true,
    .check_type = enrollment_check_type,
    .open = enrollment_open,
    .close = enrollment_close,
    .set_deadline = enrollment_set_deadline,
    .products = enrollment_products,
    .check_request = enrollment_check_request,
    .before_submit = enrollment_before_submit,
    .submit = enrollment_submit,
    .poll = enrollment_poll,
    .collect = enrollment_collect,
    .formats = formats,
    .find_submitted = enrollment_find,
    .adopt = enrollment_adopt,
    .record = enrollment_record,
    .list = enrollment_list,
    .revoke = enrollment_revoke,
    .decide = enrollment_decide,
    .update = enrollment_update,
    .check_fields = enrollment_check_fields,
    .check = enrollment_check,
    .turn = enrollment_turn,
    .is_under_way = enrollment_is_under_way,
    .forget = enrollment_forget,
    .hear = enrollment_hear,
};
