#include "ca/scm/call.h"

#include "base/log.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void scm_close(void *impl)
{
    struct scm *scm = impl;

    if (scm != NULL) {
        free(scm->prefix);
        scm_aside_done(scm);
        scm_oauth_done(&scm->oauth);
        free(scm);
    }
}

DEFINE_AUTO(scm, struct scm *, scm_close)

static bool check_settings(const struct ca_settings *s, struct err *err)
{
    if (s->login_kind == CA_LOGIN_OAUTH) {
        return scm_oauth_check(s, err);
    }
    if (s->login == NULL || s->login[0] == '\0') {
        return err_set(err, E_CONFIG, "no login name is configured for the CA ('login')");
    }
    if (s->customer_uri == NULL || s->customer_uri[0] == '\0') {
        return err_set(err, E_CONFIG, "no customer URI is configured for the CA ('customer_uri')");
    }
    if (s->login_kind == CA_LOGIN_PASSWORD &&
        (s->password == NULL || !secret_is_set(s->password))) {
        return err_set(err, E_CONFIG, "no password is configured for the CA ('password_source')");
    }
    return true;
}

static bool scm_open(const struct ca_settings *settings, void **impl, struct err *err)
{
    AUTO(scm) struct scm *scm = calloc(1, sizeof(*scm));
    bool private = settings->login_kind == CA_LOGIN_CERT;

    if (!check_settings(settings, err)) {
        return false;
    }
    if (scm == NULL || asprintf(&scm->prefix, "%s%s", private ? settings->private_prefix : "",
                                settings->api_path) < 0) {
        return err_nomem(err);
    }
    scm->settings = *settings;
    scm->probe = SCM_TYPES;
    *impl = TAKE(scm);
    return true;
}

static void scm_set_deadline(void *impl, int64_t mono_ms)
{
    struct scm *scm = impl;

    scm->deadline_ms = mono_ms;
}

bool scm_products(void *impl, enum ca_kind kind, struct ca_products *out, struct err *err)
{
    struct scm *scm = impl;
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    char query[48];
    struct scm_call call = {.endpoint = scm_kind(kind)->types};

    scm_answer_init(&answer);
    if (scm->settings.org_id > 0) {
        (void)snprintf(query, sizeof(query), "organizationId=%lld",
                       (long long)scm->settings.org_id);
        call.query = query;
    }
    if (!scm_call_json(scm, &call, &answer, &doc, err)) {
        return false;
    }
    return scm_parse_types(doc, out, err) || err_wrap(err, "products");
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

/* What stands behind a number; of S/MIME certificates the list alone tells it. */
static bool get_status(struct scm *scm, const struct scm_state *state, struct scm_answer *answer,
                       json **doc, struct scm_details *out, struct err *err)
{
    if (state->kind == CA_KIND_SMIME) {
        return scm_smime_details(scm, state->id, answer, doc, out, err);
    }
    if (!scm_get_details(scm, state->kind, state->id, answer, doc, out, err)) {
        return false;
    }
    /* The certificate that was replaced, it says; the new one is had under the same number. */
    if (state->replaces && str_equal_nocase(out->status, "replaced")) {
        out->phase = CA_ISSUED;
    }
    return true;
}

static bool read_state(const char *text, json **doc, struct scm_state *state, struct err *err)
{
    return scm_state_read(text, doc, state, err) &&
           (state->id > 0 ||
            err_set(err, E_JOURNAL, "the journal has no usable number for this order"));
}

static bool scm_poll(void *impl, const char *text, struct ca_status *out, struct err *err)
{
    struct scm *scm = impl;
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    AUTO(json) json *kept = NULL;
    AUTO(buf) struct buf word = BUF_INIT(256);
    struct scm_details details;
    struct scm_state state;

    scm_answer_init(&answer);
    if (!read_state(text, &kept, &state, err) ||
        !get_status(scm, &state, &answer, &doc, &details, err)) {
        return false;
    }
    *out = (struct ca_status){.phase = details.phase};
    str_add_quotable(&word, details.status, strlen(details.status), 40);
    (void)snprintf(out->text, sizeof(out->text), "%.60s", buf_str(&word));
    (void)snprintf(out->detail, sizeof(out->detail), "%s", sentence(details.phase));
    (void)snprintf(out->order_id, sizeof(out->order_id), "%lld", (long long)state.id);
    return true;
}

/* What collecting gives certificates in (D255, Collecting; the first is what we ask for). */
static const char *const formats[] = {"x509", "x509CO", "x509IO", "x509IOR", "x509R", "base64",
                                      "bin",  "pem",    "pemco",  "pemia",   NULL};

static bool scm_collect(void *impl, const char *text, const char *format, bool *ready,
                        struct buf *out, struct err *err)
{
    struct scm *scm = impl;
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *kept = NULL;
    AUTO(buf) struct buf query = BUF_INIT(64);
    struct scm_state state;

    *ready = false;
    scm_answer_init(&answer);
    if (!read_state(text, &kept, &state, err)) {
        return false;
    }
    struct scm_call call = {.endpoint = scm_kind(state.kind)->collect, .id = state.id};
    call.format = format != NULL ? format : formats[0];
    if (scm->settings.collect_by_path && state.kind == CA_KIND_TLS) {
        call.endpoint = SCM_COLLECT_PATH;
    } else {
        buf_addf(&query, "format=%s", call.format);
        call.query = buf_str(&query);
    }
    if (!scm_call(scm, &call, &answer, err)) {
        return false;
    }
    /* "Not yet" has six forms; an empty success is the sixth. */
    if (answer.class == SCM_NOT_READY || answer.response.body.len == 0) {
        return true;
    }
    buf_add(out, answer.response.body.data, answer.response.body.len);
    *ready = true;
    return buf_ok(out) || err_set(err, E_PROTOCOL, "collect: the answer is too long");
}

const struct ca_ops ca_scm_ops = {
    .type = "scm",
    .lists_orders = true,
    .open = scm_open,
    .close = scm_close,
    .set_deadline = scm_set_deadline,
    .products = scm_products,
    .check_request = scm_check_request,
    .before_submit = scm_before_submit,
    .submit = scm_submit,
    .poll = scm_poll,
    .collect = scm_collect,
    .formats = formats,
    .find_submitted = scm_find_submitted,
    .adopt = scm_adopt,
    .record = scm_record,
    .list = scm_list,
    .revoke = scm_revoke,
    .domains = &scm_domain_ops,
    .decide = scm_decide,
    .update = scm_update,
    .check_fields = scm_check_fields,
    .check = scm_check,
    .turn = scm_turn,
    .is_under_way = scm_is_under_way,
    .forget = scm_forget,
    .hear = scm_hear,
    .account = &scm_account_ops,
};
