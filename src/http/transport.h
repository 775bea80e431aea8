/* Inside the http folder: what a client and a request under way are made of. */
#ifndef HTTP_TRANSPORT_H
#define HTTP_TRANSPORT_H

#include "http/http.h"

#include <curl/curl.h>

struct http_client {
    char *base_url;
    char *trust_path;
    X509_STORE *trust;
    char *proxy; /* NULL: none, or not for this server */
    char *proxy_user;
    const struct secret *proxy_password;
    enum http_proxy_auth proxy_auth;
    EVP_PKEY *key;
    X509 *cert;
    STACK_OF(X509) * chain;
    int64_t connect_timeout_ms;
    int64_t timeout_ms;
    const volatile bool *stop;
    int tls_max;
    bool http1_only;
    CURLM *multi;       /* owns the connections */
    struct err tls_err; /* why the client certificate could not be set up */
    bool cert_asked;    /* a server has asked for a client certificate */
    bool met_peer;      /* a socket that was closed since the last request had been connected */
    unsigned long requests;
    struct http_transfer *flights; /* requests under way beside each other */
    size_t flying;
};

/* One request under way. */
struct http_transfer {
    struct http_client *client;
    CURL *easy;
    struct curl_slist *headers;
    struct http_response *response;
    char text[CURL_ERROR_SIZE];
    unsigned long number; /* in the trace */
    char method[8];
    char *path;
    size_t body_len;
    bool done;
    CURLcode result;

    /* beside others */
    struct http_response own;
    void *user;
    struct http_transfer *next;
};

/* request.c */
void http_global_init(void);
bool http_transfer_prepare(struct http_transfer *transfer, const struct http_request *request,
                           struct err *err) NODISCARD;
void http_transfer_done(struct http_transfer *transfer);
DEFINE_AUTO_DONE(http_transfer, struct http_transfer, http_transfer_done)

/* transport.c: the whole of a prepared transfer. False: no complete answer. */
bool http_transfer_run(struct http_transfer *transfer, enum http_reach *reach,
                       struct err *err) NODISCARD;

/* failure.c: the sentence for a transfer that failed, and how far it got. */
void http_failed(struct http_transfer *transfer, struct err *err);
enum http_reach http_reach_of(struct http_transfer *transfer);
/* Whether there was a TCP connection, to the server or to the proxy. */
bool http_met_peer(const struct http_transfer *transfer);

/* proxy.c, pure: E_CONFIG for a proxy that is not http://host:port; the text is not repeated. */
bool http_proxy_check(const char *proxy, struct err *err) NODISCARD;

/* tls.c: sets everything about TLS on the handle. */
bool http_tls_setup(struct http_transfer *transfer, struct err *err) NODISCARD;

/* tls.c: the sentence for a failed verification of the server's certificate. trust: the file of
 * roots; NULL: the system's. Always false. */
bool http_tls_distrusted(CURL *easy, const char *url, const char *trust, const char *curl_text,
                         struct err *err);
void http_tls_verify_failed(struct http_transfer *transfer, const char *curl_text, struct err *err);

#endif
