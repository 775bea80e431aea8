/* Inside the http folder: the client's fields, shared by transport.c and tls.c. */
#ifndef HTTP_TRANSPORT_H
#define HTTP_TRANSPORT_H

#include "http/http.h"

#include <curl/curl.h>

struct http_client {
    char *base_url;
    char *trust_path;
    char *proxy;
    char *proxy_user;
    const struct secret *proxy_password;
    EVP_PKEY *key;
    X509 *cert;
    STACK_OF(X509) * chain;
    int64_t connect_timeout_ms;
    int64_t timeout_ms;
    const volatile bool *stop;
    int tls_max;
    CURL *easy;
    CURLM *multi;
    struct err tls_err; /* why the client certificate could not be set up */
};

/* proxy.c, pure: E_CONFIG for a proxy that is not http://host:port; the text is not repeated. */
bool http_proxy_check(const char *proxy, struct err *err) NODISCARD;

/* tls.c: sets everything about TLS on the handle. */
bool http_tls_setup(struct http_client *client, struct err *err) NODISCARD;

/* tls.c: the sentence for a failed verification of the server's certificate. Always returns false.
 */
bool http_tls_verify_failed(struct http_client *client, const char *curl_text, struct err *err);

#endif
