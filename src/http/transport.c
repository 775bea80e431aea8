#include "http/transport.h"

#include "base/log.h"
#include "base/str.h"

#include <malloc.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

DEFINE_AUTO(bio, BIO *, BIO_free_all)
DEFINE_AUTO(x509, X509 *, X509_free)

enum { USER_AGENT_MAX = 64, POLL_MS = 100, URL_MAX = 4096 };

/*
 * libcurl copies header lines, passwords included, into buffers of its own and frees them as they
 * are. Given these functions it cannot leave one behind.
 */
static void wiping_free(void *p)
{
    if (p != NULL) {
        explicit_bzero(p, malloc_usable_size(p));
        free(p);
    }
}

static void *wiping_realloc(void *old, size_t size)
{
    void *fresh = malloc(size);

    if (fresh != NULL && old != NULL) {
        size_t kept = malloc_usable_size(old);
        memcpy(fresh, old, kept < size ? kept : size);
        wiping_free(old);
    }
    return fresh;
}

static void init_curl(void)
{
    (void)curl_global_init_mem(CURL_GLOBAL_ALL, malloc, wiping_free, wiping_realloc, strdup,
                               calloc);
}

static void ensure_curl(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, init_curl);
}

static bool check_base_url(const char *url, struct err *err)
{
    static const char scheme[] = "https://";

    if (url == NULL || strncasecmp(url, scheme, strlen(scheme)) != 0) {
        return err_set(err, E_CONFIG, "the CA's URL must begin with https://");
    }
    const char *host = url + strlen(scheme);
    if (host[0] == '\0' || strpbrk(host, "/?#@ ") != NULL) {
        return err_set(err, E_CONFIG,
                       "the CA's URL is https://host[:port] and nothing behind it; "
                       "the paths have settings of their own");
    }
    return true;
}

/* libcurl takes 0 for "no limit". */
static bool check_limits(const struct http_settings *settings, struct err *err)
{
    if (settings->connect_timeout_ms <= 0) {
        return err_set(err, E_CONFIG,
                       "the time limit for a connection ('connect_timeout') is 0; "
                       "no request could end");
    }
    return settings->timeout_ms > 0 ||
           err_set(err, E_CONFIG,
                   "the time limit for a request ('timeout') is 0; no request "
                   "could end");
}

void http_client_free(struct http_client *client)
{
    if (client == NULL) {
        return;
    }
    if (client->easy != NULL) {
        curl_easy_cleanup(client->easy);
    }
    if (client->multi != NULL) {
        (void)curl_multi_cleanup(client->multi);
    }
    free(client->base_url);
    free(client->trust_path);
    free(client->proxy);
    free(client->proxy_user);
    free(client);
}

bool http_client_new(const struct http_settings *settings, struct http_client **out,
                     struct err *err)
{
    if (!check_base_url(settings->base_url, err) ||
        (settings->proxy != NULL && !http_proxy_check(settings->proxy, err)) ||
        !check_limits(settings, err)) {
        return false;
    }
    ensure_curl();
    AUTO(http_client) struct http_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return err_nomem(err);
    }
    client->base_url = str_dup(settings->base_url);
    client->trust_path = str_dup(settings->trust_path);
    client->proxy = str_dup(settings->proxy);
    client->proxy_user = str_dup(settings->proxy_user);
    client->proxy_password = settings->proxy_password;
    client->key = settings->key;
    client->cert = settings->cert;
    client->chain = settings->chain;
    client->connect_timeout_ms = settings->connect_timeout_ms;
    client->timeout_ms = settings->timeout_ms;
    client->stop = settings->stop;
    client->tls_max = settings->tls_max;
    client->easy = curl_easy_init();
    client->multi = curl_multi_init();
    if (client->base_url == NULL || client->easy == NULL || client->multi == NULL) {
        return err_nomem(err);
    }
    *out = TAKE(client);
    return true;
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
    buf_init(&response->body, HTTP_BODY_MAX);
}

void http_response_done(struct http_response *response)
{
    buf_done(&response->body);
}

/* Header lines, with the secret ones wiped before they are freed (curl's own free does it). */
static void slist_done(struct curl_slist *list)
{
    curl_slist_free_all(list);
}

DEFINE_AUTO(slist, struct curl_slist *, slist_done)

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

static size_t take_body(char *data, size_t size, size_t count, void *user)
{
    struct http_response *response = user;

    buf_add(&response->body, data, size * count);
    return buf_ok(&response->body) ? size * count : 0;
}

/* The value behind a header's name, trimmed; false if it is another header or does not fit. */
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

static size_t take_header(char *data, size_t size, size_t count, void *user)
{
    struct http_response *response = user;
    size_t len = size * count;
    char line[512];
    uint64_t value = 0;

    if (header_value(data, len, "x-total-count:", line, sizeof(line)) &&
        str_to_u64(str_trim(line), INT32_MAX, &value)) {
        response->total_count = (int64_t)value;
    }
    if (header_value(data, len, "location:", line, sizeof(line))) {
        (void)snprintf(response->location, sizeof(response->location), "%s", str_trim(line));
    }
    /* There may be several; the one that names a server for tokens counts. */
    if (header_value(data, len, "www-authenticate:", line, sizeof(line)) &&
        (response->authenticate[0] == '\0' || strcasestr(line, "authorization_uri=") != NULL)) {
        (void)snprintf(response->authenticate, sizeof(response->authenticate), "%s",
                       str_trim(line));
    }
    return len;
}

static bool set_options(struct http_client *client, const struct http_request *request,
                        struct http_response *response, struct curl_slist *headers,
                        char *error_text, struct err *err)
{
    CURL *easy = client->easy;
    AUTO(buf) struct buf url = BUF_INIT(URL_MAX);
    int64_t timeout = request->timeout_ms > 0 ? request->timeout_ms : client->timeout_ms;
    CURLcode rc = CURLE_OK;

    curl_easy_reset(easy);
    buf_addf(&url, "%s%s", client->base_url, request->path);
    if (!buf_ok(&url)) {
        return err_set(err, E_USAGE, "the request's path is too long");
    }
#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (rc == CURLE_OK) {                                                                      \
            rc = curl_easy_setopt(easy, (option), (value));                                        \
        }                                                                                          \
    } while (0)
    SET(CURLOPT_URL, buf_str(&url));
    SET(CURLOPT_PROTOCOLS_STR, "https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_ERRORBUFFER, error_text);
    SET(CURLOPT_USERAGENT, "p11enroll");
    SET(CURLOPT_ACCEPT_ENCODING, "");
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)client->connect_timeout_ms);
    SET(CURLOPT_TIMEOUT_MS, (long)timeout);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, response);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_HEADERDATA, response);
    /* Empty texts keep curl from asking the environment (http_proxy, NO_PROXY). */
    SET(CURLOPT_PROXY, client->proxy != NULL ? client->proxy : "");
    SET(CURLOPT_NOPROXY, "");
    if (client->proxy != NULL && client->proxy_user != NULL) {
        SET(CURLOPT_PROXYUSERNAME, client->proxy_user);
        SET(CURLOPT_PROXYPASSWORD,
            client->proxy_password != NULL ? secret_expose(client->proxy_password) : "");
    }
    if (request->body != NULL) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE, (long)request->body_len);
        SET(CURLOPT_POSTFIELDS, request->body);
    }
    if (request->once) {
        /* When a reused connection ends without an answer, libcurl sends again by itself: a second
         * order. */
        SET(CURLOPT_FRESH_CONNECT, 1L);
        SET(CURLOPT_FORBID_REUSE, 1L);
    }
    SET(CURLOPT_CUSTOMREQUEST, request->method);
    if (str_equal(request->method, "HEAD")) {
        SET(CURLOPT_NOBODY, 1L);
    }
#undef SET
    if (rc != CURLE_OK) {
        return err_set(err, E_INTERNAL, "libcurl refuses a setting: %s", curl_easy_strerror(rc));
    }
    return http_tls_setup(client, err);
}

/* Runs the transfer; a signal ends it within POLL_MS. */
static CURLcode run(struct http_client *client)
{
    CURLcode result = CURLE_FAILED_INIT;
    int running = 1;

    if (curl_multi_add_handle(client->multi, client->easy) != CURLM_OK) {
        return CURLE_FAILED_INIT;
    }
    while (running > 0) {
        if (client->stop != NULL && *client->stop) {
            result = CURLE_ABORTED_BY_CALLBACK;
            break;
        }
        if (curl_multi_perform(client->multi, &running) != CURLM_OK ||
            (running > 0 && curl_multi_poll(client->multi, NULL, 0, POLL_MS, NULL) != CURLM_OK)) {
            break;
        }
    }
    int left = 0;
    CURLMsg *msg = curl_multi_info_read(client->multi, &left);
    if (msg != NULL && msg->msg == CURLMSG_DONE) {
        result = msg->data.result;
    }
    (void)curl_multi_remove_handle(client->multi, client->easy);
    return result;
}

/* A server that turns the client certificate down in TLS 1.3 says so only after our "finished". */
static bool is_handshake_alert(const char *text)
{
    static const char *const alerts[] = {
        "alert certificate required",    "alert bad certificate",     "alert unknown ca",
        "alert certificate expired",     "alert certificate revoked", "alert certificate unknown",
        "alert unsupported certificate", "alert access denied",       "alert handshake failure",
        "alert decrypt error",           "alert no certificate",
    };

    for (size_t i = 0; i < ARRAY_LEN(alerts); i++) {
        if (strstr(text, alerts[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* Nothing of the request is read before the handshake is done. But an alert that comes after the
 * body cannot be told from one that a server sends later, so it proves nothing. */
static enum http_reach reach_of(struct http_client *client, const char *text)
{
    curl_off_t pretransfer = 0;
    curl_off_t uploaded = 0;

    (void)curl_easy_getinfo(client->easy, CURLINFO_PRETRANSFER_TIME_T, &pretransfer);
    if (pretransfer == 0) {
        return HTTP_NOT_SENT;
    }
    bool unknown = curl_easy_getinfo(client->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded) != CURLE_OK;
    return unknown || uploaded > 0 || !is_handshake_alert(text) ? HTTP_MAYBE_SENT : HTTP_NOT_SENT;
}

static bool transfer_failed(struct http_client *client, CURLcode rc, const char *text,
                            struct err *err)
{
    const char *why = text[0] != '\0' ? text : curl_easy_strerror(rc);
    const char *host = client->base_url;

    switch (rc) {
    case CURLE_PEER_FAILED_VERIFICATION:
        return http_tls_verify_failed(client, why, err);
    case CURLE_SSL_CERTPROBLEM:
        if (client->tls_err.code != E_NONE) {
            *err = client->tls_err;
            return false;
        }
        return err_set(err, E_TLS, "our client certificate cannot be used: %s", why);
    case CURLE_SSL_CACERT_BADFILE:
        return err_set(err, E_CONFIG, "the trust store %s cannot be read: %s",
                       client->trust_path != NULL ? client->trust_path : "of the system", why);
    case CURLE_ABORTED_BY_CALLBACK:
        return err_set(err, E_INTERRUPTED, "interrupted");
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return err_set_native(err, E_NETWORK, rc, "the name in %s cannot be looked up: %s", host,
                              why);
    case CURLE_OPERATION_TIMEDOUT:
        return err_set_native(err, E_NETWORK, rc, "%s did not answer in time: %s", host, why);
    case CURLE_WRITE_ERROR:
        return err_set_native(err, E_PROTOCOL, rc, "the answer is longer than %d bytes",
                              HTTP_BODY_MAX);
    default:
        break;
    }
    if (is_handshake_alert(why)) {
        return err_set_native(err, E_TLS, rc, "the server refused our %s: %s",
                              client->cert != NULL ? "client certificate"
                                                   : "TLS connection "
                                                     "(it wants a client certificate)",
                              why);
    }
    if (rc == CURLE_SSL_CONNECT_ERROR) {
        return err_set_native(err, E_TLS, rc, "no TLS connection to %s: %s", host, why);
    }
    if (rc == CURLE_BAD_CONTENT_ENCODING) {
        return err_set_native(err, E_PROTOCOL, rc, "the answer cannot be decompressed: %s", why);
    }
    return err_set_native(err, E_NETWORK, rc, "%s: %s", host, why);
}

static void read_answer_info(struct http_client *client, struct http_response *response)
{
    long status = 0;
    curl_off_t retry_after = 0;
    char *type = NULL;

    (void)curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(client->easy, CURLINFO_CONTENT_TYPE, &type);
    (void)curl_easy_getinfo(client->easy, CURLINFO_RETRY_AFTER, &retry_after);
    response->status = (int)status;
    response->retry_after_s = retry_after > 0 ? (int64_t)retry_after : -1;
    size_t n = 0;
    for (; type != NULL && type[n] != '\0' && type[n] != ';' &&
           n + 1 < sizeof(response->content_type);
         n++) {
        char c = type[n];
        response->content_type[n] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    response->content_type[n] = '\0';
}

static void trace(const struct http_request *request, const struct http_response *response,
                  const struct err *err)
{
    if (!log_enabled(LOG_DEBUG)) {
        return;
    }
    for (size_t i = 0; i < request->header_count; i++) {
        const struct http_header *h = &request->headers[i];
        bool shown = h->value != NULL && http_header_is_public(h->name);
        log_line(LOG_TRACE, "http", "> %s: %s", h->name, shown ? h->value : "(not shown)");
    }
    if (err->code != E_NONE) {
        log_line(LOG_DEBUG, "http", "%s %s -> no answer: %s", request->method, request->path,
                 err->msg);
        return;
    }
    log_line(LOG_DEBUG, "http", "%s %s (%zu bytes) -> %d %s (%zu bytes)", request->method,
             request->path, request->body_len, response->status, response->content_type,
             response->body.len);
}

static bool sends_secret(const struct http_client *client, const struct http_request *request)
{
    bool found = client->proxy_password != NULL;

    for (size_t i = 0; i < request->header_count; i++) {
        found = found || request->headers[i].secret != NULL;
    }
    return found;
}

/*
 * A handle keeps the proxy's password and, in libcurl 8, the buffer that the last request was sent
 * from. Only freeing it wipes them. The connection stays: it belongs to the multi handle.
 */
static void forget(struct http_client *client, const struct http_request *request)
{
    if (sends_secret(client, request)) {
        curl_easy_cleanup(client->easy);
        client->easy = curl_easy_init(); /* NULL is reported with the next request */
    }
}

static bool send_request(struct http_client *client, const struct http_request *request,
                         struct http_response *response, enum http_reach *reach, struct err *err)
{
    AUTO(slist) struct curl_slist *headers = NULL;
    char text[CURL_ERROR_SIZE] = "";

    *reach = HTTP_NOT_SENT;
    if (client->easy == NULL) {
        return err_nomem(err);
    }
    err_clear(&client->tls_err);
    if (!build_headers(request, &headers, err) ||
        !set_options(client, request, response, headers, text, err)) {
        return false;
    }
    CURLcode rc = run(client);
    if (rc == CURLE_OK) {
        read_answer_info(client, response);
        *reach = HTTP_MAYBE_SENT;
        err_clear(err);
    } else {
        *reach = reach_of(client, text);
        (void)transfer_failed(client, rc, text, err);
    }
    trace(request, response, err);
    /* The handle must not keep pointers into this frame. */
    (void)curl_easy_setopt(client->easy, CURLOPT_ERRORBUFFER, NULL);
    return rc == CURLE_OK;
}

bool http_send(struct http_client *client, const struct http_request *request,
               struct http_response *response, enum http_reach *reach, struct err *err)
{
    bool ok = send_request(client, request, response, reach, err);

    forget(client, request);
    return ok;
}

/* libcurl's own text for the date is as long and as local as it likes, so the certificate is asked.
 */
static void copy_end(const char *pem, char out[static CLOCK_TEXT_SIZE])
{
    AUTO(bio) BIO *mem = BIO_new_mem_buf(pem, -1);
    struct tm tm;

    (void)ERR_set_mark();
    AUTO(x509) X509 *cert = mem != NULL ? PEM_read_bio_X509(mem, NULL, NULL, NULL) : NULL;
    if (cert != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1) {
        clock_format((int64_t)timegm(&tm), out);
    }
    (void)ERR_pop_to_mark();
}

static void copy_certinfo(struct http_client *client, struct http_probe *probe)
{
    struct curl_certinfo *info = NULL;

    if (curl_easy_getinfo(client->easy, CURLINFO_CERTINFO, &info) != CURLE_OK || info == NULL ||
        info->num_of_certs < 1) {
        return;
    }
    for (struct curl_slist *line = info->certinfo[0]; line != NULL; line = line->next) {
        if (str_starts_with(line->data, "Subject:")) {
            (void)snprintf(probe->server_subject, sizeof(probe->server_subject), "%s",
                           line->data + strlen("Subject:"));
        } else if (str_starts_with(line->data, "Cert:")) {
            copy_end(line->data + strlen("Cert:"), probe->server_not_after);
        }
    }
}

void http_probe(struct http_client *client, struct http_probe *probe)
{
    struct http_request request = {.method = "GET", .path = "/", .operation = "connection test"};
    AUTO(http_response) struct http_response response;
    enum http_reach reach = HTTP_NOT_SENT;
    curl_off_t resolved = 0;
    curl_off_t connected = 0;
    curl_off_t tls = 0;
    char *address = NULL;

    *probe = (struct http_probe){.failure = ERR_INIT};
    http_response_init(&response);
    bool answered = send_request(client, &request, &response, &reach, &probe->failure);
    (void)curl_easy_getinfo(client->easy, CURLINFO_NAMELOOKUP_TIME_T, &resolved);
    (void)curl_easy_getinfo(client->easy, CURLINFO_CONNECT_TIME_T, &connected);
    (void)curl_easy_getinfo(client->easy, CURLINFO_APPCONNECT_TIME_T, &tls);
    (void)curl_easy_getinfo(client->easy, CURLINFO_PRIMARY_IP, &address);
    probe->resolved = answered || resolved > 0;
    /* libcurl counts the handshake as part of connecting: a refusal in it leaves the time at zero
     */
    probe->connected = answered || connected > 0 || probe->failure.code == E_TLS;
    probe->tls = answered || tls > 0;
    (void)snprintf(probe->address, sizeof(probe->address), "%s", address != NULL ? address : "");
    copy_certinfo(client, probe);
    forget(client, &request);
}
