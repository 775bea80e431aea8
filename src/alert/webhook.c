#include "alert/alert.h"

#include "base/clock.h"
#include "base/str.h"
#include "http/http.h"
#include "json/json.h"

#include <stdio.h>
#include <string.h>

enum { SCHEMA = 1, SAID_SHOWN = 200 };

/* "https://host:port" and "/path?query" */
static bool split_url(const char *url, char **base, char **path, struct err *err)
{
    static const char scheme[] = "https://";

    if (!str_starts_with_nocase(url, scheme)) {
        return err_set(err, E_CONFIG, "the webhook's URL ('alert_webhook') begins with https://");
    }
    size_t host = strcspn(url + strlen(scheme), "/?#");
    const char *rest = url + strlen(scheme) + host;
    if (strchr(rest, '#') != NULL || !str_is_printable((const uint8_t *)url, strlen(url)) ||
        strchr(url, ' ') != NULL) {
        return err_set(err, E_CONFIG,
                       "the webhook's URL ('alert_webhook') has a '#', a blank or a character "
                       "that must be written as %%XX");
    }
    *base = str_ndup(url, strlen(scheme) + host);
    if (*base == NULL) {
        return err_nomem(err);
    }
    if (asprintf(path, "%s%s", rest[0] == '/' ? "" : "/", rest) < 0) {
        *path = NULL;
        return err_nomem(err);
    }
    return true;
}

static bool open_client(const struct alert_webhook *webhook, const char *base,
                        struct http_client **out, struct err *err)
{
    struct http_settings settings = {
        .base_url = base,
        .trust_path = webhook->trust_path,
        .proxy = webhook->proxy,
        .connect_timeout_ms = webhook->timeout_ms,
        .timeout_ms = webhook->timeout_ms,
        .stop = webhook->stop,
        .http1_only = true,
    };

    if (http_client_new(&settings, out, err)) {
        return true;
    }
    return err_wrap(err, webhook->proxy != NULL ? "webhook ('alert_webhook', 'alert_webhook_proxy')"
                                                : "webhook ('alert_webhook')");
}

bool alert_webhook_check(const struct alert_webhook *webhook, struct err *err)
{
    AUTO(str) char *base = NULL;
    AUTO(str) char *path = NULL;
    AUTO(http_client) struct http_client *client = NULL;

    return split_url(webhook->url, &base, &path, err) && open_client(webhook, base, &client, err);
}

static bool add_text(json *object, const char *name, const char *value)
{
    AUTO(buf) struct buf safe = BUF_INIT(64 * 1024);

    if (value == NULL) {
        return true;
    }
    if (!str_is_utf8((const uint8_t *)value, strlen(value))) {
        str_add_quotable(&safe, value, strlen(value), 8 * 1024);
        value = buf_str(&safe);
    }
    return json_add_string(object, name, value);
}

static bool add_time(json *object, const char *name, int64_t at_s)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format(at_s, text);
    return json_add_string(object, name, text);
}

static json *item_json(const struct alert_item *item, int64_t now_s)
{
    AUTO(json) json *one = json_new_object();
    AUTO(buf) struct buf sentence = BUF_INIT(4096);
    AUTO(buf) struct buf sources = BUF_INIT(64);
    bool is_order = item->kind == ALERT_ORDER;

    alert_sentence(item, now_s, &sentence);
    alert_sources_text(item->sources, &sources);
    if (one == NULL || !json_add_string(one, "kind", is_order ? "order" : "certificate") ||
        !json_add_string(one, "severity", alert_severity_name(item->severity)) ||
        !json_add_string(one, "text", buf_str(&sentence)) ||
        !json_add_int(one, "level_seconds", item->level_s) || !add_text(one, "name", item->name) ||
        !add_text(one, "names", item->names) || !add_text(one, "serial", item->serial) ||
        !add_text(one, "ca", item->ca) ||
        !add_time(one, is_order ? "since" : "not_after", item->at_s) ||
        !json_add_string(one, "found_in", buf_str(&sources)) ||
        (item->order != 0 && !json_add_int(one, "order", item->order)) ||
        (item->ca_order != 0 && !json_add_int(one, "ca_order", item->ca_order))) {
        return NULL;
    }
    return TAKE(one);
}

static bool add_items(json *array, const struct alert_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        json *one = item_json(report->items[i], report->now_s);
        if (one == NULL || !json_append(array, one)) {
            return false;
        }
    }
    return true;
}

bool alert_webhook_json(const struct alert_report *report, struct buf *out, struct err *err)
{
    AUTO(json) json *doc = json_new_object();
    AUTO(json) json *items = json_new_array();
    struct alert_summary sum;

    alert_summarize(report, &sum);
    if (doc == NULL || items == NULL || !json_add_int(doc, "schema", SCHEMA) ||
        !json_add_string(doc, "program", "p11enroll") || !add_text(doc, "host", report->host) ||
        !add_time(doc, "at", report->now_s) ||
        !json_add_string(doc, "status", alert_severity_name(sum.severity)) ||
        !add_items(items, report) || !json_add(doc, "alerts", TAKE(items))) {
        return err_nomem(err);
    }
    return json_print(doc, out, err);
}

static bool add_token(const struct alert_webhook *webhook, struct secret *value,
                      struct http_request *request, struct err *err)
{
    static const char scheme[] = "Bearer ";

    if (webhook->token == NULL || webhook->token->len == 0) {
        return true;
    }
    if (!secret_append(value, scheme, strlen(scheme), err) ||
        !secret_append(value, secret_expose(webhook->token), webhook->token->len, err)) {
        return false;
    }
    http_request_secret(request, "Authorization", value);
    return true;
}

static bool judge(const struct http_response *response, const char *base, struct err *err)
{
    AUTO(buf) struct buf said = BUF_INIT(2048);

    if (response->status >= 200 && response->status < 300) {
        return true;
    }
    str_add_quotable(&said, buf_str(&response->body), response->body.len, SAID_SHOWN);
    return err_set_native(err, E_HOOK, (unsigned long)response->status,
                          "%s did not take it (HTTP %d): %s", base, response->status,
                          said.len > 0 ? buf_str(&said) : "no reason is given");
}

/* Once: what was lost on the way is due again the next time. */
bool alert_webhook_send(const struct alert_webhook *webhook, const struct buf *body,
                        struct err *err)
{
    AUTO(str) char *base = NULL;
    AUTO(str) char *path = NULL;
    AUTO(http_client) struct http_client *client = NULL;
    AUTO(secret) struct secret authorization = SECRET_INIT;
    AUTO(http_response) struct http_response response;
    enum http_reach reach = HTTP_NOT_SENT;

    http_response_init(&response);
    if (!split_url(webhook->url, &base, &path, err) || !open_client(webhook, base, &client, err)) {
        return false;
    }
    struct http_request request = {.method = "POST",
                                   .path = path,
                                   .operation = "webhook",
                                   .body = buf_str(body),
                                   .body_len = body->len,
                                   .once = true};
    http_request_header(&request, "Content-Type", "application/json");
    if (!add_token(webhook, &authorization, &request, err)) {
        return false;
    }
    return (http_send(client, &request, &response, &reach, err) && judge(&response, base, err)) ||
           err_wrap(err, "webhook");
}
