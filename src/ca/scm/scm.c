#include "ca/scm/call.h"

#include "base/log.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 200, PAGES_MAX = 500 };

static void scm_close(void *impl)
{
    struct scm *scm = impl;

    if (scm != NULL) {
        free(scm->prefix);
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

static bool scm_products(void *impl, struct ca_products *out, struct err *err)
{
    struct scm *scm = impl;
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    char query[48];
    struct scm_call call = {.endpoint = SCM_TYPES};

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

static char *make_state(int64_t id)
{
    char *text = NULL;

    return asprintf(&text, "{\"id\":%lld}", (long long)id) < 0 ? NULL : text;
}

static bool read_state(const char *state, int64_t *id, struct err *err)
{
    AUTO(json) json *doc = NULL;

    if (state == NULL || !json_parse((const uint8_t *)state, strlen(state), &doc, err) ||
        !json_get_int(doc, "id", id, err)) {
        return err_set(err, E_JOURNAL, "the journal has no usable number for this order");
    }
    return true;
}

static enum ca_submit ambiguous(struct err *err)
{
    err->code = E_ORDER_AMBIGUOUS;
    (void)err_wrap(err, "it is not known whether the CA took the order");
    return CA_AMBIGUOUS;
}

static bool scm_check_request(void *impl, const struct ca_request *request, struct err *err)
{
    struct scm *scm = impl;
    AUTO(buf) struct buf body = BUF_INIT(128 * 1024);

    return scm_build_enroll(request, scm->settings.org_id, &body, err);
}

static enum ca_submit scm_submit(void *impl, const struct ca_request *request, char **state,
                                 struct err *err)
{
    struct scm *scm = impl;
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    AUTO(buf) struct buf body = BUF_INIT(128 * 1024);
    int64_t id = 0;

    scm_answer_init(&answer);
    if (!scm_build_enroll(request, scm->settings.org_id, &body, err)) {
        return CA_REFUSED;
    }
    struct scm_call call = {.endpoint = SCM_ENROLL, .body = buf_str(&body)};
    if (scm_call_json(scm, &call, &answer, &doc, err) && scm_parse_enroll(doc, &id, err)) {
        *state = make_state(id);
        if (*state != NULL) {
            return CA_SUBMITTED;
        }
        (void)err_nomem(err);
        return ambiguous(err);
    }
    return scm_is_unclear(&answer) ? ambiguous(err) : CA_REFUSED;
}

static bool get_details(struct scm *scm, int64_t id, struct scm_answer *answer, json **doc,
                        struct scm_details *out, struct err *err)
{
    struct scm_call call = {.endpoint = SCM_DETAILS, .id = id, .query = "dateFormat=ISO_HMS"};

    if (!scm_call_json(scm, &call, answer, doc, err)) {
        return false;
    }
    return scm_parse_details(*doc, out, err) || err_wrap(err, "status");
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

static bool scm_poll(void *impl, const char *state, struct ca_status *out, struct err *err)
{
    struct scm *scm = impl;
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    AUTO(buf) struct buf word = BUF_INIT(256);
    struct scm_details details;
    int64_t id = 0;

    scm_answer_init(&answer);
    if (!read_state(state, &id, err) || !get_details(scm, id, &answer, &doc, &details, err)) {
        return false;
    }
    *out = (struct ca_status){.phase = details.phase};
    str_add_quotable(&word, details.status, strlen(details.status), 40);
    (void)snprintf(out->text, sizeof(out->text), "%.60s", buf_str(&word));
    (void)snprintf(out->detail, sizeof(out->detail), "%s", sentence(details.phase));
    (void)snprintf(out->order_id, sizeof(out->order_id), "%lld", (long long)id);
    return true;
}

static bool scm_collect(void *impl, const char *state, bool *ready, struct buf *out,
                        struct err *err)
{
    struct scm *scm = impl;
    AUTO(answer) struct scm_answer answer;
    struct scm_call call = {.endpoint = SCM_COLLECT_QUERY, .query = "format=x509"};

    *ready = false;
    scm_answer_init(&answer);
    if (scm->settings.collect_by_path) {
        call = (struct scm_call){.endpoint = SCM_COLLECT_PATH};
    }
    if (!read_state(state, &call.id, err) || !scm_call(scm, &call, &answer, err)) {
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

/* One page of the list; cn NULL: of all orders. */
static bool list_page(struct scm *scm, const char *cn, int64_t position, struct scm_ids *ids,
                      size_t *rows, struct err *err)
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
    struct scm_call call = {.endpoint = SCM_LIST, .query = buf_str(&query)};
    if (!scm_call_json(scm, &call, &answer, &doc, err)) {
        return false;
    }
    if (!json_is_array(doc)) {
        return err_set(err, E_PROTOCOL, "list: the answer is not a JSON array");
    }
    *rows = 0;
    for (const json *item = json_first(doc); item != NULL; item = json_next(item)) {
        int64_t id = 0;
        (*rows)++;
        if (json_find_int(item, "sslId", &id)) {
            scm_ids_add(ids, id);
        }
    }
    return true;
}

static bool list_candidates(struct scm *scm, const struct ca_request *request, struct scm_ids *ids,
                            struct err *err)
{
    AUTO(buf) struct buf cn = BUF_INIT(1024);
    bool has_cn = scm_csr_cn(request->csr_pem, &cn);
    size_t rows = PAGE;

    for (int page = 0; page < PAGES_MAX && rows >= PAGE; page++) {
        if (!list_page(scm, has_cn ? buf_str(&cn) : NULL, (int64_t)page * PAGE, ids, &rows, err)) {
            return false;
        }
    }
    scm_ids_sort(ids);
    return true;
}

/* True if the failure is this candidate's own: gone, another organization's, unreadable. */
static bool may_skip(const struct scm_answer *answer)
{
    if (!answer->complete) {
        return false;
    }
    return answer->class == SCM_OK || answer->class == SCM_PERMANENT ||
           answer->class == SCM_NOT_ALLOWED || answer->response.status == 404;
}

/* Whether one order has our mark. */
static bool is_ours(struct scm *scm, int64_t id, const char *mark, bool *ours, struct err *err)
{
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    struct scm_details details;

    *ours = false;
    scm_answer_init(&answer);
    if (get_details(scm, id, &answer, &doc, &details, err)) {
        *ours = strstr(details.comments, mark) != NULL;
        return true;
    }
    if (may_skip(&answer)) {
        log_line(LOG_DEBUG, "scm", "looking for the order: %lld is passed over: %s", (long long)id,
                 err->msg);
        err_clear(err);
        return true;
    }
    return false;
}

/* The list does not show comments, so each candidate's details are read until our mark is found. */
static bool scm_find_submitted(void *impl, const struct ca_request *request, bool *found,
                               char **state, struct err *err)
{
    struct scm *scm = impl;
    struct scm_ids ids = {.count = 0};

    *found = false;
    if (!list_candidates(scm, request, &ids, err)) {
        return err_wrap(err, "looking for the order");
    }
    for (size_t i = 0; i < ids.count; i++) {
        bool ours = false;
        if (!is_ours(scm, ids.list[i], request->mark, &ours, err)) {
            return err_wrap(err, "looking for the order");
        }
        if (ours) {
            *state = make_state(ids.list[i]);
            *found = true;
            return *state != NULL || err_nomem(err);
        }
    }
    return true;
}

static void check_failed(struct ca_checks *out, const char *step, const struct err *err)
{
    ca_checks_add(out, step, false, "%s", err->msg);
    out->worst = err->code;
}

static bool check_organization(struct scm *scm, struct ca_checks *out)
{
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    struct scm_call call = {.endpoint = SCM_ORGANIZATIONS};
    struct err err = ERR_INIT;
    const char *name = "";
    long long id = (long long)scm->settings.org_id;

    scm_answer_init(&answer);
    if (id < 1) {
        ca_checks_add(out, "organization", false, "none is configured ('org_id')");
        out->worst = E_CONFIG;
    } else if (!scm_call_json(scm, &call, &answer, &doc, &err)) {
        check_failed(out, "organization", &err);
    } else if (scm_has_organization(doc, scm->settings.org_id, &name)) {
        ca_checks_add(out, "organization", true, "%lld '%s'", id, name);
        return true;
    } else {
        ca_checks_add(out, "organization", false,
                      "this account sees %zu organizations, and %lld is not among them",
                      json_count(doc), id);
        out->worst = E_FORBIDDEN;
    }
    return false;
}

static void scm_check(void *impl, struct ca_checks *out)
{
    struct scm *scm = impl;
    AUTO(ca_products) struct ca_products products = {.list = NULL};
    struct err err = ERR_INIT;
    bool ok = scm_products(scm, &products, &err);

    if (!ok && err.code != E_CA_REFUSED) {
        check_failed(out, err.code == E_PROTOCOL ? "API" : "credentials", &err);
        return;
    }
    const struct ca_settings *settings = &scm->settings;
    ca_checks_add(out, "credentials", true, "logged in as '%s' with %s",
                  settings->login_kind == CA_LOGIN_OAUTH ? settings->client_id : settings->login,
                  settings->login_kind == CA_LOGIN_OAUTH  ? "an OAuth token"
                  : settings->login_kind == CA_LOGIN_CERT ? "a client certificate"
                                                          : "a password");
    if (!check_organization(scm, out)) {
        return;
    }
    if (!ok) {
        check_failed(out, "products", &err);
        return;
    }
    ca_checks_add(out, "products", products.count > 0, "%zu can be ordered", products.count);
    if (products.count == 0) {
        out->worst = E_FORBIDDEN;
    }
}

const struct ca_ops ca_scm_ops = {
    .type = "scm",
    .open = scm_open,
    .close = scm_close,
    .set_deadline = scm_set_deadline,
    .products = scm_products,
    .check_request = scm_check_request,
    .submit = scm_submit,
    .poll = scm_poll,
    .collect = scm_collect,
    .find_submitted = scm_find_submitted,
    .record = scm_record,
    .list = scm_list,
    .revoke = scm_revoke,
    .check = scm_check,
};
