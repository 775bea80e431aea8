#include "ca/scm/scm.h"

#include "base/log.h"
#include "base/str.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRIES = 3, PAGE = 200, PAGES_MAX = 500 };

struct scm {
    struct ca_settings settings; /* borrowed */
    char *prefix;                /* "/private/api" or "/api" */
    int64_t deadline_ms;         /* no pause goes past it; 0: none */
};

/* One call of an endpoint. */
struct call {
    enum scm_endpoint_id endpoint;
    int64_t id;        /* for {id} */
    const char *query; /* without '?'; NULL: none */
    const char *body;  /* JSON; NULL: none */
};

/* The answer, sorted. */
struct answer {
    struct http_response response;
    enum scm_class class;
    struct scm_error error; /* unless SCM_OK */
    bool sent;              /* the CA may have seen the request */
    bool complete;          /* there was an answer at all */
};

static void answer_init(struct answer *answer)
{
    *answer = (struct answer){.class = SCM_PERMANENT};
    http_response_init(&answer->response);
}

static void answer_done(struct answer *answer)
{
    http_response_done(&answer->response);
}

DEFINE_AUTO_DONE(answer, struct answer, answer_done)

static void scm_close(void *impl)
{
    struct scm *scm = impl;

    if (scm != NULL) {
        free(scm->prefix);
        free(scm);
    }
}

DEFINE_AUTO(scm, struct scm *, scm_close)

static bool check_settings(const struct ca_settings *s, struct err *err)
{
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
    *impl = TAKE(scm);
    return true;
}

/* Fills {version} and {id} of a path template. */
static void add_path(struct buf *out, const struct scm *scm, const char *template, int64_t id)
{
    static const char version[] = "{version}";
    static const char number[] = "{id}";

    buf_add_str(out, scm->prefix);
    while (*template != '\0') {
        if (str_starts_with(template, version)) {
            buf_add_str(out, scm->settings.api_version);
            template += strlen(version);
        } else if (str_starts_with(template, number)) {
            buf_addf(out, "%lld", (long long)id);
            template += strlen(number);
        } else {
            buf_add_byte(out, (uint8_t) * template ++);
        }
    }
}

static void add_login(struct http_request *request, const struct scm *scm)
{
    http_request_header(request, "customerUri", scm->settings.customer_uri);
    http_request_header(request, "login", scm->settings.login);
    /* With a client certificate there is no password header (D255, Authorization). */
    if (scm->settings.login_kind == CA_LOGIN_PASSWORD) {
        http_request_secret(request, "password", scm->settings.password);
    }
}

/* One request, without repetition. False if there was no answer; err is set then. */
static bool send_once(struct scm *scm, const struct call *call, const char *path,
                      struct answer *answer, struct err *err)
{
    const struct scm_endpoint *endpoint = scm_endpoint(call->endpoint);
    enum http_reach reach = HTTP_NOT_SENT;
    struct http_request request = {
        .method = endpoint->method,
        .path = path,
        .operation = endpoint->name,
        .body = call->body,
        .body_len = call->body != NULL ? strlen(call->body) : 0,
        .timeout_ms = endpoint->timeout_ms,
        .once = !endpoint->idempotent,
    };

    add_login(&request, scm);
    http_request_header(&request, "Accept", "application/json, */*;q=0.5");
    if (call->body != NULL) {
        http_request_header(&request, "Content-Type", "application/json;charset=utf-8");
    }
    http_response_done(&answer->response);
    http_response_init(&answer->response);
    answer->complete = http_send(scm->settings.http, &request, &answer->response, &reach, err);
    answer->sent = reach == HTTP_MAYBE_SENT;
    if (!answer->complete) {
        answer->class = err->code == E_NETWORK ? SCM_TRANSIENT : SCM_PERMANENT;
        return false;
    }
    if (answer->response.status < 200 || answer->response.status >= 300) {
        scm_parse_error(&answer->response, &answer->error);
    }
    answer->class = scm_classify(call->endpoint, answer->response.status, &answer->error);
    return true;
}

static bool may_repeat(const struct scm_endpoint *endpoint, const struct answer *answer)
{
    if (!endpoint->idempotent) {
        return false;
    }
    return answer->class == SCM_TRANSIENT || answer->class == SCM_UNCERTAIN;
}

static int64_t pause_ms(int attempt, const struct answer *answer)
{
    uint32_t random = 0;

    (void)RAND_bytes((unsigned char *)&random, sizeof(random));
    return http_retry_delay_ms(attempt, answer->response.retry_after_s, random);
}

static bool is_too_long(const struct scm *scm, int64_t pause)
{
    return scm->deadline_ms != 0 && clock_mono_ms(scm->settings.clock) + pause > scm->deadline_ms;
}

static bool pause_before(struct scm *scm, int64_t delay, struct err *err)
{
    return clock_sleep_ms(scm->settings.clock, delay) || err_set(err, E_INTERRUPTED, "interrupted");
}

static enum err_code code_of(enum scm_class class)
{
    switch (class) {
    case SCM_BAD_LOGIN:
        return E_AUTH;
    case SCM_NOT_ALLOWED:
        return E_FORBIDDEN;
    case SCM_TRANSIENT:
    case SCM_UNCERTAIN:
        return E_CA_UNAVAILABLE;
    case SCM_NONSENSE:
        return E_PROTOCOL;
    case SCM_OK:
    case SCM_NOT_READY:
    case SCM_PERMANENT:
        break;
    }
    return E_CA_REFUSED;
}

/* The sentence for an answer that is not a success. */
static bool refused(const struct answer *answer, struct err *err)
{
    unsigned long status = (unsigned long)answer->response.status;
    enum err_code code = code_of(answer->class);

    if (answer->response.status >= 300 && answer->response.status < 400) {
        return err_set_native(err, E_PROTOCOL, status,
                              "HTTP %lu: the server wants to send us elsewhere, and credentials do "
                              "not follow redirects; correct the CA's 'url'",
                              status);
    }
    if (answer->error.has_code) {
        return err_set_native(err, code, status, "HTTP %lu: %s (code %lld)", status,
                              answer->error.text, (long long)answer->error.code);
    }
    return err_set_native(err, code, status, "HTTP %lu: %s", status, answer->error.text);
}

static bool wrap(const struct call *call, const char *path, struct err *err)
{
    const struct scm_endpoint *endpoint = scm_endpoint(call->endpoint);

    return err_wrap(err, "%s: %s %s", endpoint->name, endpoint->method, path);
}

/*
 * Calls an endpoint; idempotent ones are repeated when that may help. True for any answer that the
 * caller has to look at (SCM_OK, SCM_NOT_READY); false with err otherwise.
 */
static bool call_endpoint(struct scm *scm, const struct call *call, struct answer *answer,
                          struct err *err)
{
    const struct scm_endpoint *endpoint = scm_endpoint(call->endpoint);
    AUTO(buf) struct buf path = BUF_INIT(2048);

    add_path(&path, scm, endpoint->path, call->id);
    if (call->query != NULL) {
        buf_addf(&path, "?%s", call->query);
    }
    if (!buf_ok(&path)) {
        return err_set(err, E_USAGE, "%s: the request is too long", endpoint->name);
    }
    for (int attempt = 1;; attempt++) {
        bool answered = send_once(scm, call, buf_str(&path), answer, err);
        if (answered && (answer->class == SCM_OK || answer->class == SCM_NOT_READY)) {
            return true;
        }
        if (answered) {
            (void)refused(answer, err);
        }
        int64_t pause = pause_ms(attempt, answer);
        if (attempt == TRIES || !may_repeat(endpoint, answer) || is_too_long(scm, pause)) {
            if (attempt > 1) {
                (void)err_wrap(err, "after %d tries", attempt);
            }
            return wrap(call, buf_str(&path), err);
        }
        log_line(LOG_DEBUG, "scm", "%s: try %d failed: %s", endpoint->name, attempt, err->msg);
        struct err stopped = ERR_INIT;
        if (!pause_before(scm, pause, &stopped)) {
            *err = stopped;
            return wrap(call, buf_str(&path), err);
        }
    }
}

/* Calls an endpoint that answers with JSON. */
static bool call_json(struct scm *scm, const struct call *call, struct answer *answer, json **doc,
                      struct err *err)
{
    if (!call_endpoint(scm, call, answer, err)) {
        return false;
    }
    const struct buf *body = &answer->response.body;
    if (body->len == 0 || !json_parse((const uint8_t *)buf_str(body), body->len, doc, err)) {
        struct scm_error what;
        scm_parse_error(&answer->response, &what);
        (void)err_set(err, E_PROTOCOL, "HTTP %d, but the answer is not the API's: %s",
                      answer->response.status, what.text);
        return err_wrap(err, "%s", scm_endpoint(call->endpoint)->name);
    }
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
    AUTO(answer) struct answer answer;
    AUTO(json) json *doc = NULL;
    char query[48];
    struct call call = {.endpoint = SCM_TYPES};

    answer_init(&answer);
    if (scm->settings.org_id > 0) {
        (void)snprintf(query, sizeof(query), "organizationId=%lld",
                       (long long)scm->settings.org_id);
        call.query = query;
    }
    if (!call_json(scm, &call, &answer, &doc, err)) {
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
    AUTO(answer) struct answer answer;
    AUTO(json) json *doc = NULL;
    AUTO(buf) struct buf body = BUF_INIT(128 * 1024);
    int64_t id = 0;

    answer_init(&answer);
    if (!scm_build_enroll(request, scm->settings.org_id, &body, err)) {
        return CA_REFUSED;
    }
    struct call call = {.endpoint = SCM_ENROLL, .body = buf_str(&body)};
    if (call_json(scm, &call, &answer, &doc, err) && scm_parse_enroll(doc, &id, err)) {
        *state = make_state(id);
        if (*state != NULL) {
            return CA_SUBMITTED;
        }
        (void)err_nomem(err);
        return ambiguous(err);
    }
    /* A success that cannot be read, a 5xx, or no answer: the order may exist. */
    bool unclear =
        answer.complete ? answer.class == SCM_OK || answer.class == SCM_UNCERTAIN : answer.sent;
    return unclear ? ambiguous(err) : CA_REFUSED;
}

static bool get_details(struct scm *scm, int64_t id, struct answer *answer, json **doc,
                        struct scm_details *out, struct err *err)
{
    struct call call = {.endpoint = SCM_DETAILS, .id = id, .query = "dateFormat=ISO_HMS"};

    if (!call_json(scm, &call, answer, doc, err)) {
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
    AUTO(answer) struct answer answer;
    AUTO(json) json *doc = NULL;
    AUTO(buf) struct buf word = BUF_INIT(256);
    struct scm_details details;
    int64_t id = 0;

    answer_init(&answer);
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
    AUTO(answer) struct answer answer;
    struct call call = {.endpoint = SCM_COLLECT_QUERY, .query = "format=x509"};

    *ready = false;
    answer_init(&answer);
    if (scm->settings.collect_by_path) {
        call = (struct call){.endpoint = SCM_COLLECT_PATH};
    }
    if (!read_state(state, &call.id, err) || !call_endpoint(scm, &call, &answer, err)) {
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
    AUTO(answer) struct answer answer;
    AUTO(json) json *doc = NULL;
    AUTO(buf) struct buf query = BUF_INIT(4096);

    answer_init(&answer);
    buf_addf(&query, "size=%d&position=%lld", PAGE, (long long)position);
    if (cn != NULL) {
        buf_add_str(&query, "&commonName=");
        str_percent_encode(&query, (const uint8_t *)cn, strlen(cn), "");
    }
    struct call call = {.endpoint = SCM_LIST, .query = buf_str(&query)};
    if (!call_json(scm, &call, &answer, &doc, err)) {
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
static bool may_skip(const struct answer *answer)
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
    AUTO(answer) struct answer answer;
    AUTO(json) json *doc = NULL;
    struct scm_details details;

    *ours = false;
    answer_init(&answer);
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
    AUTO(answer) struct answer answer;
    AUTO(json) json *doc = NULL;
    struct call call = {.endpoint = SCM_ORGANIZATIONS};
    struct err err = ERR_INIT;
    const char *name = "";
    long long id = (long long)scm->settings.org_id;

    answer_init(&answer);
    if (id < 1) {
        ca_checks_add(out, "organization", false, "none is configured ('org_id')");
        out->worst = E_CONFIG;
    } else if (!call_json(scm, &call, &answer, &doc, &err)) {
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
    ca_checks_add(out, "credentials", true, "logged in as '%s' with %s", scm->settings.login,
                  scm->settings.login_kind == CA_LOGIN_CERT ? "a client certificate"
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
    .check = scm_check,
};
