#include "ca/scm/call.h"

#include "base/log.h"
#include "base/str.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

enum { TRIES = 3 };

void scm_answer_init(struct scm_answer *answer)
{
    *answer = (struct scm_answer){.class = SCM_PERMANENT};
    http_response_init(&answer->response);
}

void scm_answer_done(struct scm_answer *answer)
{
    http_response_done(&answer->response);
}

bool scm_is_unclear(const struct scm_answer *answer)
{
    return answer->complete ? !scm_is_refusal(&answer->response, answer->class, &answer->error)
                            : answer->sent;
}

/* Fills {version}, {id} and {serial} of a path template. */
static void add_path(struct buf *out, const struct scm *scm, const char *template,
                     const struct scm_call *call)
{
    static const char version[] = "{version}";
    static const char number[] = "{id}";
    static const char serial[] = "{serial}";
    static const char word[] = "{word}";
    static const char format[] = "{format}";

    buf_add_str(out, scm->prefix);
    while (*template != '\0') {
        if (str_starts_with(template, version)) {
            buf_add_str(out, scm->settings.api_version);
            template += strlen(version);
        } else if (str_starts_with(template, number)) {
            buf_addf(out, "%lld", (long long)call->id);
            template += strlen(number);
        } else if (str_starts_with(template, serial)) {
            str_percent_encode(out, (const uint8_t *)call->serial, strlen(call->serial), "");
            template += strlen(serial);
        } else if (str_starts_with(template, word)) {
            str_percent_encode(out, (const uint8_t *)call->word, strlen(call->word), "");
            template += strlen(word);
        } else if (str_starts_with(template, format)) {
            buf_add_str(out, call->format);
            template += strlen(format);
        } else {
            buf_add_byte(out, (uint8_t) * template ++);
        }
    }
}

void scm_call_path(const struct scm *scm, const struct scm_call *call, struct buf *out)
{
    add_path(out, scm, scm_endpoint(call->endpoint)->path, call);
}

static void add_login(struct http_request *request, const struct scm *scm)
{
    const struct ca_settings *settings = &scm->settings;

    /* With OAuth these two are extras that some installations want. */
    if (settings->customer_uri != NULL) {
        http_request_header(request, "customerUri", settings->customer_uri);
    }
    if (settings->login != NULL) {
        http_request_header(request, "login", settings->login);
    }
    /* With a client certificate there is no password header (D255, Authorization). */
    if (settings->login_kind == CA_LOGIN_PASSWORD) {
        http_request_secret(request, "password", settings->password);
    } else if (settings->login_kind == CA_LOGIN_OAUTH) {
        http_request_secret(request, "Authorization", &scm->oauth.header);
    }
}

/* Answers about ACME accounts hold keys. */
static bool tells_keys(const struct scm_endpoint *endpoint)
{
    return str_starts_with(endpoint->path, "/acme/");
}

/* One request, without repetition. False if there was no answer; err is set then. */
static bool send_request(struct scm *scm, const struct scm_call *call, const char *path,
                         struct scm_answer *answer, struct err *err)
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
        .secret = tells_keys(endpoint),
    };

    add_login(&request, scm);
    http_request_header(&request, "Accept",
                        call->accept != NULL ? call->accept : "application/json, */*;q=0.5");
    if (call->body != NULL) {
        http_request_header(&request, "Content-Type", "application/json;charset=utf-8");
    }
    http_response_done(&answer->response);
    http_response_init(&answer->response);
    answer->complete =
        scm->aside.user != NULL && endpoint->idempotent && call->body == NULL
            ? scm_aside_send(scm, &request, &answer->response, &reach, err)
            : http_send(scm->settings.http, &request, &answer->response, &reach, err);
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

/*
 * With OAuth, a token may be taken back before its time: a request that was refused for its login
 * is sent once more with a new one. One that must not be done twice only if the answer proves that
 * it was refused.
 */
static bool send_once(struct scm *scm, const struct scm_call *call, const char *path,
                      struct scm_answer *answer, struct err *err)
{
    if (scm->settings.login_kind != CA_LOGIN_OAUTH) {
        return send_request(scm, call, path, answer, err);
    }
    if (!scm_oauth_login(scm, false, err)) {
        bool passes = err->code == E_NETWORK || err->code == E_CA_UNAVAILABLE;
        answer->class = passes ? SCM_TRANSIENT : SCM_PERMANENT;
        return false;
    }
    if (!send_request(scm, call, path, answer, err)) {
        return false;
    }
    bool refused = scm_endpoint(call->endpoint)->idempotent || !scm_is_unclear(answer);
    if (answer->response.status != 401 || !refused) {
        return true;
    }
    bool anew = true;
    if (scm->aside.user != NULL && !scm_aside_may_relog(scm, &anew)) {
        return true;
    }
    log_line(LOG_DEBUG, "scm", "the token was refused; another one is fetched");
    if (!scm_oauth_discover(scm, &answer->response, err) || !scm_oauth_login(scm, anew, err)) {
        answer->complete = false;
        answer->sent = false; /* it was refused: nothing can have happened */
        answer->class = SCM_PERMANENT;
        return false;
    }
    return send_request(scm, call, path, answer, err);
}

static bool may_repeat(const struct scm *scm, const struct scm_endpoint *endpoint,
                       const struct scm_answer *answer)
{
    if (!endpoint->idempotent || scm->aside.user != NULL) {
        return false; /* whoever asks beside others has a schedule of his own */
    }
    return answer->class == SCM_TRANSIENT || answer->class == SCM_UNCERTAIN;
}

static int64_t pause_ms(int attempt, const struct scm_answer *answer)
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
static bool refused(enum scm_endpoint_id operation, const struct scm_answer *answer,
                    struct err *err)
{
    AUTO(buf) struct buf sentence = BUF_INIT(2 * sizeof(err->msg));
    unsigned long status = (unsigned long)answer->response.status;
    enum err_code code = code_of(answer->class);

    if (answer->response.status >= 300 && answer->response.status < 400) {
        return err_set_native(err, E_PROTOCOL, status,
                              "HTTP %lu: the server wants to send us elsewhere, and credentials do "
                              "not follow redirects; correct the CA's 'url'",
                              status);
    }
    scm_error_sentence(operation, answer->response.status, &answer->error, &sentence);
    if (answer->response.retry_after_s >= 0) {
        buf_addf(&sentence, "; it asks to wait %lld s", (long long)answer->response.retry_after_s);
    }
    return err_set_native(err, code, status, "%s", buf_str(&sentence));
}

static bool wrap(const struct scm_call *call, const char *path, struct err *err)
{
    const struct scm_endpoint *endpoint = scm_endpoint(call->endpoint);

    return err_wrap(err, "%s: %s %s", endpoint->name, endpoint->method, path);
}

/* A text in place of JSON, as it may be shown. Answers about ACME accounts hold keys: they are
 * neither quoted nor left in memory. */
static bool not_the_api(const struct scm_call *call, struct scm_answer *answer, struct err *err)
{
    struct scm_error what = {.text = "no JSON that can be read"};

    if (!tells_keys(scm_endpoint(call->endpoint))) { /* they are not quoted */
        scm_parse_error(&answer->response, &what);
    }
    return err_set(err, E_PROTOCOL, "HTTP %d, but the answer is not the API's: %s",
                   answer->response.status, what.text);
}

/* Whether a success may be believed: a page of somebody on the way, and an error object, say
 * nothing about what was to be done once. */
static bool is_believable(const struct scm_call *call, struct scm_answer *answer, struct err *err)
{
    AUTO(json) json *doc = NULL;
    const struct buf *body = &answer->response.body;
    struct err unreadable = ERR_INIT;

    if (scm_endpoint(call->endpoint)->idempotent || body->len == 0) {
        return true;
    }
    if (!json_parse((const uint8_t *)buf_str(body), body->len, &doc, &unreadable)) {
        return not_the_api(call, answer, err);
    }
    if (json_is_object(doc)) {
        scm_parse_error(&answer->response, &answer->error);
    }
    return !answer->error.own || err_set(err, E_PROTOCOL, "HTTP %d, but with an error: %s",
                                         answer->response.status, answer->error.text);
}

bool scm_call(struct scm *scm, const struct scm_call *call, struct scm_answer *answer,
              struct err *err)
{
    const struct scm_endpoint *endpoint = scm_endpoint(call->endpoint);
    AUTO(buf) struct buf path = BUF_INIT(2048);

    scm_call_path(scm, call, &path);
    if (call->query != NULL) {
        buf_addf(&path, "?%s", call->query);
    }
    if (!buf_ok(&path)) {
        return err_set(err, E_USAGE, "%s: the request is too long", endpoint->name);
    }
    for (int attempt = 1;; attempt++) {
        bool answered = send_once(scm, call, buf_str(&path), answer, err);
        if (answered && (answer->class == SCM_OK || answer->class == SCM_NOT_READY)) {
            return is_believable(call, answer, err) || wrap(call, buf_str(&path), err);
        }
        if (answered) {
            (void)refused(call->endpoint, answer, err);
        }
        if (scm->aside.under_way) {
            return false;
        }
        int64_t pause = pause_ms(attempt, answer);
        if (attempt == TRIES || !may_repeat(scm, endpoint, answer) || is_too_long(scm, pause)) {
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

bool scm_call_json(struct scm *scm, const struct scm_call *call, struct scm_answer *answer,
                   json **doc, struct err *err)
{
    if (!scm_call(scm, call, answer, err)) {
        return false;
    }
    const struct buf *body = &answer->response.body;
    if (body->len == 0 || !json_parse((const uint8_t *)buf_str(body), body->len, doc, err)) {
        (void)not_the_api(call, answer, err);
        return err_wrap(err, "%s", scm_endpoint(call->endpoint)->name);
    }
    return true;
}
