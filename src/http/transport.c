#include "http/transport.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

enum { POLL_MS = 100 };

/* Marks what has come to its end. */
static void read_messages(struct http_client *client)
{
    CURLMsg *msg = NULL;
    int left = 0;

    while ((msg = curl_multi_info_read(client->multi, &left)) != NULL) {
        char *mine = NULL;
        if (msg->msg == CURLMSG_DONE &&
            curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &mine) == CURLE_OK &&
            mine != NULL) {
            struct http_transfer *transfer = (struct http_transfer *)(void *)mine;
            transfer->done = true;
            transfer->result = msg->data.result;
        }
    }
}

/* Lets all transfers go on; waits at most so long for something to happen. */
static bool go_on(struct http_client *client, int64_t wait_ms)
{
    int running = 0;

    if (curl_multi_perform(client->multi, &running) != CURLM_OK) {
        return false;
    }
    read_messages(client);
    if (wait_ms == 0 || running == 0) {
        return true;
    }
    int wait = wait_ms < POLL_MS ? (int)wait_ms : POLL_MS;
    return curl_multi_poll(client->multi, NULL, 0, wait, NULL) == CURLM_OK;
}

static bool is_stopped(const struct http_client *client)
{
    return client->stop != NULL && *client->stop;
}

static void read_answer_info(struct http_transfer *transfer)
{
    struct http_response *response = transfer->response;
    long status = 0;
    char *type = NULL;

    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_TYPE, &type);
    response->status = (int)status;
    size_t n = 0;
    for (; type != NULL && type[n] != '\0' && type[n] != ';' &&
           n + 1 < sizeof(response->content_type);
         n++) {
        char c = type[n];
        response->content_type[n] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    response->content_type[n] = '\0';
}

static void trace_headers(const struct http_transfer *transfer, const struct http_request *request)
{
    for (size_t i = 0; log_enabled(LOG_TRACE) && i < request->header_count; i++) {
        const struct http_header *h = &request->headers[i];
        bool shown = h->value != NULL && http_header_is_public(h->name);
        log_line(LOG_TRACE, "http", "#%lu > %s: %s", transfer->number, h->name,
                 shown ? h->value : "(not shown)");
    }
}

static long ms_of(const struct http_transfer *transfer, CURLINFO what)
{
    curl_off_t us = 0;

    (void)curl_easy_getinfo(transfer->easy, what, &us);
    return (long)(us / 1000);
}

/* Milliseconds from the beginning: name, connection, TLS, first byte, end. */
static void trace_times(const struct http_transfer *transfer)
{
    long version = 0;
    long fresh = 0;

    (void)curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_VERSION, &version);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &fresh);
    log_line(LOG_DEBUG, "http",
             "#%lu HTTP/%s on a %s connection; ms: name %ld, connection %ld, TLS %ld, first byte "
             "%ld, end %ld",
             transfer->number, version == CURL_HTTP_VERSION_2_0 ? "2" : "1.1",
             fresh > 0 ? "new" : "kept", ms_of(transfer, CURLINFO_NAMELOOKUP_TIME_T),
             ms_of(transfer, CURLINFO_CONNECT_TIME_T), ms_of(transfer, CURLINFO_APPCONNECT_TIME_T),
             ms_of(transfer, CURLINFO_STARTTRANSFER_TIME_T),
             ms_of(transfer, CURLINFO_TOTAL_TIME_T));
}

static void trace(const struct http_transfer *transfer, const struct err *err)
{
    const struct http_response *response = transfer->response;
    bool named = response->request_id[0] != '\0';

    if (!log_enabled(LOG_DEBUG)) {
        return;
    }
    if (err->code != E_NONE) {
        log_line(LOG_DEBUG, "http", "#%lu %s %s -> no answer: %s", transfer->number,
                 transfer->method, transfer->path, err->msg);
    } else {
        log_line(LOG_DEBUG, "http", "#%lu %s %s (%zu bytes) -> %d %s (%zu bytes)%s%s",
                 transfer->number, transfer->method, transfer->path, transfer->body_len,
                 response->status, response->content_type, response->body.len,
                 named ? ", their id " : "", response->request_id);
    }
    trace_times(transfer);
}

/* Whether there is a whole answer; err says why not. */
static bool finish(struct http_transfer *transfer, enum http_reach *reach, struct err *err)
{
    bool ok = transfer->result == CURLE_OK;

    if (ok) {
        read_answer_info(transfer);
        *reach = HTTP_MAYBE_SENT;
        err_clear(err);
    } else {
        *reach = http_reach_of(transfer);
        http_failed(transfer, err);
    }
    trace(transfer, err);
    return ok;
}

/* A signal ends it within POLL_MS. */
bool http_transfer_run(struct http_transfer *transfer, enum http_reach *reach, struct err *err)
{
    struct http_client *client = transfer->client;
    bool going = curl_multi_add_handle(client->multi, transfer->easy) == CURLM_OK;

    while (going && !transfer->done) {
        if (is_stopped(client)) {
            transfer->result = CURLE_ABORTED_BY_CALLBACK;
            break;
        }
        going = go_on(client, POLL_MS);
    }
    return finish(transfer, reach, err);
}

bool http_send(struct http_client *client, const struct http_request *request,
               struct http_response *response, enum http_reach *reach, struct err *err)
{
    AUTO(http_transfer)
    struct http_transfer transfer = {.client = client, .response = response};

    *reach = HTTP_NOT_SENT;
    err_clear(&client->tls_err);
    if (!http_transfer_prepare(&transfer, request, err)) {
        return false;
    }
    trace_headers(&transfer, request);
    return http_transfer_run(&transfer, reach, err);
}

/* Requests beside each other */

static void free_flight(struct http_transfer *flight)
{
    if (flight != NULL) {
        http_transfer_done(flight);
        free(flight);
    }
}

DEFINE_AUTO(flight, struct http_transfer *, free_flight)

bool http_start(struct http_client *client, const struct http_request *request, void *user,
                struct err *err)
{
    AUTO(flight) struct http_transfer *flight = calloc(1, sizeof(*flight));

    if (flight == NULL) {
        return err_nomem(err);
    }
    flight->client = client;
    flight->response = &flight->own;
    flight->user = user;
    http_response_init(&flight->own);
    if (request->once || request->body != NULL) {
        return err_set(err, E_INTERNAL, "%s: only reads go beside each other", request->operation);
    }
    if (!http_transfer_prepare(flight, request, err)) {
        return false;
    }
    trace_headers(flight, request);
    if (curl_multi_add_handle(client->multi, flight->easy) != CURLM_OK) {
        return err_set(err, E_INTERNAL, "libcurl takes no further request");
    }
    flight->next = client->flights;
    client->flights = flight;
    client->flying++;
    flight = NULL;
    return true;
}

size_t http_flying(const struct http_client *client)
{
    return client->flying;
}

/* Takes a flight that has ended out of the list; NULL: none has. */
static struct http_transfer *take_ended(struct http_client *client)
{
    for (struct http_transfer **at = &client->flights; *at != NULL; at = &(*at)->next) {
        struct http_transfer *flight = *at;
        if (flight->done) {
            *at = flight->next;
            client->flying--;
            return flight;
        }
    }
    return NULL;
}

void http_arrival_done(struct http_arrival *arrival)
{
    http_response_done(&arrival->response);
}

bool http_next(struct http_client *client, int64_t wait_ms, struct http_arrival *out)
{
    AUTO(flight) struct http_transfer *flight = take_ended(client);

    if (flight == NULL && client->flying > 0 && !is_stopped(client)) {
        (void)go_on(client, wait_ms);
        read_messages(client);
        flight = take_ended(client);
    }
    if (flight == NULL) {
        return false;
    }
    *out = (struct http_arrival){.user = flight->user, .err = ERR_INIT};
    out->complete = finish(flight, &out->reach, &out->err);
    out->response = flight->own;
    http_response_init(&flight->own); /* the caller's now */
    return true;
}
