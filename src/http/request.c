#include "http/transport.h"

#include "base/str.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { URL_MAX = 4096 };

static void init_curl(void)
{
    (void)curl_global_init(CURL_GLOBAL_ALL);
}

void http_global_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, init_curl);
}

void http_request_header(struct http_request *request, const char *name, const char *value)
{
    request->headers[request->header_count++] = (struct http_header){.name = name, .value = value};
}

void http_request_secret(struct http_request *request, const char *name, const struct secret *value)
{
    request->headers[request->header_count++] = (struct http_header){.name = name, .secret = value};
}

void http_response_init(struct http_response *response)
{
    *response = (struct http_response){.retry_after_s = -1, .total_count = -1};
    buf_init_wiped(&response->body, HTTP_BODY_MAX);
}

void http_response_done(struct http_response *response)
{
    buf_done(&response->body);
}

static bool add_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);

    if (longer == NULL) {
        return false;
    }
    *list = longer;
    return true;
}

static bool is_header_value(const char *value, size_t len)
{
    return memchr(value, '\r', len) == NULL && memchr(value, '\n', len) == NULL &&
           memchr(value, '\0', len) == NULL;
}

static bool add_header(struct curl_slist **list, const struct http_header *header, struct err *err)
{
    const char *value = header->value != NULL ? header->value : secret_expose(header->secret);
    size_t value_len = header->value != NULL ? strlen(value) : header->secret->len;
    AUTO(secret) struct secret line = SECRET_INIT;

    if (!is_header_value(value, value_len)) {
        return err_set(err, E_CONFIG, "the value for the header '%s' contains a line end",
                       header->name);
    }
    if (!secret_append(&line, header->name, strlen(header->name), err) ||
        !secret_append(&line, ": ", 2, err) || !secret_append(&line, value, value_len, err)) {
        return false;
    }
    return add_line(list, secret_expose(&line)) || err_nomem(err);
}

static bool build_headers(const struct http_request *request, struct curl_slist **list,
                          struct err *err)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (!add_header(list, &request->headers[i], err)) {
            return false;
        }
    }
    return add_line(list, "Expect:") || err_nomem(err);
}

/* What is unpacked counts, so that a small answer cannot become a big one. */
static size_t take_body(char *data, size_t size, size_t count, void *user)
{
    struct http_response *response = user;

    buf_add(&response->body, data, size * count);
    return buf_ok(&response->body) ? size * count : 0;
}

/* The value behind a header's name; false if it is another header or does not fit. */
static bool header_value(const char *data, size_t len, const char *name, char *out, size_t size)
{
    size_t skip = strlen(name);

    if (len <= skip || len - skip >= size || strncasecmp(data, name, skip) != 0) {
        return false;
    }
    memcpy(out, data + skip, len - skip);
    out[len - skip] = '\0';
    return true;
}

static void take_authenticate(struct http_response *response, char *line)
{
    /* There may be several; the one that names a server for tokens counts. */
    if (response->authenticate[0] == '\0' || strcasestr(line, "authorization_uri=") != NULL) {
        (void)snprintf(response->authenticate, sizeof(response->authenticate), "%s",
                       str_trim(line));
    }
}

static void take_request_id(struct http_response *response, char *line)
{
    const char *id = str_trim(line);

    if (str_is_printable((const uint8_t *)id, strlen(id))) {
        (void)snprintf(response->request_id, sizeof(response->request_id), "%.*s",
                       (int)sizeof(response->request_id) - 1, id);
    }
}

static size_t take_header(char *data, size_t size, size_t count, void *user)
{
    struct http_response *response = user;
    size_t len = size * count;
    char line[512];
    uint64_t value = 0;

    if (header_value(data, len, "x-total-count:", line, sizeof(line)) &&
        str_to_u64(str_trim(line), INT32_MAX, &value)) {
        response->total_count = (int64_t)value;
    } else if (header_value(data, len, "retry-after:", line, sizeof(line))) {
        response->retry_after_s = http_retry_after_s(str_trim(line), (int64_t)time(NULL));
    } else if (header_value(data, len, "www-authenticate:", line, sizeof(line))) {
        take_authenticate(response, line);
    } else if (header_value(data, len, "location:", line, sizeof(line))) {
        (void)snprintf(response->location, sizeof(response->location), "%s", str_trim(line));
    } else if (header_value(data, len, "x-request-id:", line, sizeof(line))) {
        take_request_id(response, line);
    }
    return len;
}

#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (rc == CURLE_OK) {                                                                      \
            rc = curl_easy_setopt(easy, (option), (value));                                        \
        }                                                                                          \
    } while (0)

static unsigned long auth_mask(enum http_proxy_auth auth)
{
    switch (auth) {
    case HTTP_PROXY_BASIC:
        return CURLAUTH_BASIC;
    case HTTP_PROXY_DIGEST:
        return CURLAUTH_DIGEST;
    case HTTP_PROXY_ANY:
        break;
    }
    return CURLAUTH_BASIC | CURLAUTH_DIGEST;
}

static int close_socket(void *user, curl_socket_t fd)
{
    struct http_client *client = user;
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);

    if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0) {
        client->met_peer = true;
    }
    return close(fd);
}

static CURLcode set_proxy(const struct http_client *client, CURL *easy)
{
    CURLcode rc = CURLE_OK;

    /* Empty texts keep curl from asking the environment (http_proxy, NO_PROXY). */
    SET(CURLOPT_PROXY, client->proxy != NULL ? client->proxy : "");
    SET(CURLOPT_NOPROXY, "");
    /* what a proxy says when it connects is not the CA's answer */
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (client->proxy != NULL && client->proxy_user != NULL) {
        SET(CURLOPT_PROXYAUTH, (long)auth_mask(client->proxy_auth));
        SET(CURLOPT_PROXYUSERNAME, client->proxy_user);
        SET(CURLOPT_PROXYPASSWORD,
            client->proxy_password != NULL ? secret_expose(client->proxy_password) : "");
    }
    return rc;
}

/*
 * HTTP/2 keeps what was said as long as the connection lasts: nghttp2 the last frames, and, in its
 * table for the compression of headers, the headers themselves; but for Authorization, which is
 * never put there (RFC 7541 section 7.1.3).
 */
static bool must_be_forgotten(const struct http_request *request)
{
    for (size_t i = 0; i < request->header_count; i++) {
        const struct http_header *h = &request->headers[i];
        if (h->secret != NULL && strcasecmp(h->name, "Authorization") != 0) {
            return true;
        }
    }
    return request->secret;
}

static CURLcode set_method(const struct http_client *client, const struct http_request *request,
                           CURL *easy)
{
    bool http1 = request->once || client->http1_only || must_be_forgotten(request);
    CURLcode rc = CURLE_OK;

    if (request->body != NULL) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE, (long)request->body_len);
        SET(CURLOPT_POSTFIELDS, request->body);
    }
    if (request->once) {
        /* When a reused connection ends without an answer, libcurl sends again by itself: a second
         * order. It does so in HTTP/2 as well, where a server refuses a stream. */
        SET(CURLOPT_FRESH_CONNECT, 1L);
        SET(CURLOPT_FORBID_REUSE, 1L);
    }
    SET(CURLOPT_HTTP_VERSION, http1 ? (long)CURL_HTTP_VERSION_1_1 : (long)CURL_HTTP_VERSION_2TLS);
    SET(CURLOPT_CUSTOMREQUEST, request->method);
    if (str_equal(request->method, "HEAD")) {
        SET(CURLOPT_NOBODY, 1L);
    }
    return rc;
}

static CURLcode set_transfer(struct http_transfer *transfer, int64_t timeout_ms)
{
    CURL *easy = transfer->easy;
    CURLcode rc = CURLE_OK;

    SET(CURLOPT_PROTOCOLS_STR, "https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PRIVATE, transfer);
    SET(CURLOPT_ERRORBUFFER, transfer->text);
    SET(CURLOPT_USERAGENT, "p11enroll");
    SET(CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
    SET(CURLOPT_PIPEWAIT, 1L);
    SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    SET(CURLOPT_CLOSESOCKETDATA, transfer->client);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)transfer->client->connect_timeout_ms);
    SET(CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    SET(CURLOPT_HTTPHEADER, transfer->headers);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, transfer->response);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_HEADERDATA, transfer->response);
    return rc;
}

static bool set_options(struct http_transfer *transfer, const struct http_request *request,
                        struct err *err)
{
    const struct http_client *client = transfer->client;
    AUTO(buf) struct buf url = BUF_INIT(URL_MAX);
    int64_t timeout = request->timeout_ms > 0 ? request->timeout_ms : client->timeout_ms;

    buf_addf(&url, "%s%s", client->base_url, request->path);
    if (!buf_ok(&url)) {
        return err_set(err, E_USAGE, "the request's path is too long");
    }
    CURLcode rc = curl_easy_setopt(transfer->easy, CURLOPT_URL, buf_str(&url));
    rc = rc == CURLE_OK ? set_transfer(transfer, timeout) : rc;
    rc = rc == CURLE_OK ? set_proxy(client, transfer->easy) : rc;
    rc = rc == CURLE_OK ? set_method(client, request, transfer->easy) : rc;
    if (rc != CURLE_OK) {
        return err_set(err, E_INTERNAL, "libcurl refuses a setting: %s", curl_easy_strerror(rc));
    }
    return http_tls_setup(transfer, err);
}

/*
 * A handle keeps the proxy's password and the buffer that the request was sent from until it is
 * freed; the program's free() wipes them (wiping.c). The connection stays: it belongs to the multi
 * handle.
 */
void http_transfer_done(struct http_transfer *transfer)
{
    if (transfer->easy != NULL) {
        (void)curl_multi_remove_handle(transfer->client->multi, transfer->easy);
        curl_easy_cleanup(transfer->easy);
    }
    curl_slist_free_all(transfer->headers);
    free(transfer->path);
    http_response_done(&transfer->own);
    transfer->easy = NULL;
    transfer->headers = NULL;
    transfer->path = NULL;
}

bool http_transfer_prepare(struct http_transfer *transfer, const struct http_request *request,
                           struct err *err)
{
    transfer->number = ++transfer->client->requests;
    transfer->easy = curl_easy_init();
    transfer->path = str_dup(request->path);
    transfer->body_len = request->body_len;
    transfer->result = CURLE_FAILED_INIT;
    transfer->client->met_peer = false;
    (void)snprintf(transfer->method, sizeof(transfer->method), "%s", request->method);
    if (transfer->easy == NULL || transfer->path == NULL) {
        return err_nomem(err);
    }
    return build_headers(request, &transfer->headers, err) && set_options(transfer, request, err);
}
