/*
 * HTTPS requests over libcurl (nobody else includes it).
 *
 * One client per server: base URL, TLS identity, trust, proxy, time limits. TLS 1.2 at least, the
 * certificate of the server is always verified, redirects are never followed, and the client key
 * stays an EVP_PKEY: it is handed to the TLS library and never written anywhere.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_BODY_MAX = 4 << 20, HTTP_HEADERS_MAX = 16 };

struct http_client;

/* All borrowed for the life of the client, except strings, which are copied. */
struct http_settings {
    const char *base_url;   /* "https://host[:port]", no path */
    const char *trust_path; /* PEM roots for the server's certificate; NULL: the system's */
    EVP_PKEY *key;          /* client certificate's key; NULL: none */
    X509 *cert;
    STACK_OF(X509) * chain; /* sent after cert; may be NULL */
    const char *proxy;      /* "http://host:port"; NULL: none (the environment is not consulted) */
    const char *proxy_user;
    const struct secret *proxy_password;
    int64_t connect_timeout_ms;
    int64_t timeout_ms;
    const volatile bool *stop; /* set by a signal handler: a transfer ends early; may be NULL */
    int tls_max;               /* 0: as new as possible; 12: TLS 1.2 (tests, old middle boxes) */
};

/* E_CONFIG for a URL that is not https:// or carries a path or a user, a proxy that is not
 * http://host:port, and a time limit of 0, which would be none. */
bool http_client_new(const struct http_settings *settings, struct http_client **out,
                     struct err *err) NODISCARD;
void http_client_free(struct http_client *client);

struct http_header {
    const char *name;
    const char *value;           /* one of the two */
    const struct secret *secret; /* never logged, wiped after the request */
};

struct http_request {
    const char *method;
    const char *path;      /* with query, percent-encoded */
    const char *operation; /* for messages: "enroll" */
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t header_count;
    const char *body; /* NULL: none */
    size_t body_len;
    int64_t timeout_ms; /* 0: the client's */
    bool once;          /* must reach the server at most once: gets a connection of its own */
};

void http_request_header(struct http_request *request, const char *name, const char *value);
void http_request_secret(struct http_request *request, const char *name,
                         const struct secret *value);

struct http_response {
    int status;
    char content_type[80]; /* lower case, without parameters; "" if there is none */
    int64_t retry_after_s; /* -1: not said */
    int64_t total_count;   /* X-Total-Count; -1: not said */
    char tls_version[16];
    char authenticate[512]; /* WWW-Authenticate; "" if there is none, or it is longer */
    char location[512];     /* Location; "" likewise */
    struct buf body;
};

void http_response_init(struct http_response *response);
void http_response_done(struct http_response *response);
DEFINE_AUTO_DONE(http_response, struct http_response, http_response_done)

/* How far a request got when it failed: decides whether it may have had an effect. */
enum http_reach {
    HTTP_NOT_SENT,   /* the server has not seen it */
    HTTP_MAYBE_SENT, /* it may have */
};

/*
 * Sends one request and reads the whole answer, whatever its status. Blocks at most for the time
 * limit. False if there was no complete answer; then *reach tells how far it got. E_NETWORK, E_TLS
 * (server's certificate or our own), E_INTERRUPTED, E_PROTOCOL (answer too long).
 */
bool http_send(struct http_client *client, const struct http_request *request,
               struct http_response *response, enum http_reach *reach, struct err *err) NODISCARD;

/* One step of a connection test; see http_probe(). */
struct http_probe {
    bool resolved, connected, tls;
    char address[64];
    char tls_version[16];
    char server_subject[256];
    char server_not_after[CLOCK_TEXT_SIZE];
    struct err failure; /* of the first step that failed */
};

/* Looks up, connects and does the TLS handshake; sends a GET for "/" to see that HTTP is spoken. */
void http_probe(struct http_client *client, struct http_probe *probe);

/* retry.c, pure: what the status of an answer means for a request that may be repeated. */
enum http_verdict { HTTP_FINAL, HTTP_RETRY };
enum http_verdict http_judge(int status);

/* How long to wait before repetition number `attempt` (1, 2, ...), obeying Retry-After within
 * bounds. */
int64_t http_retry_delay_ms(int attempt, int64_t retry_after_s, uint32_t random);

/* redact.c, pure: whether a header's value may appear in a trace. */
bool http_header_is_public(const char *name);

DEFINE_AUTO(http_client, struct http_client *, http_client_free)

#endif
