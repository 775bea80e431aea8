/*
 * HTTPS requests over libcurl (nobody else includes it).
 *
 * One client per server: base URL, TLS identity, trust, proxy, time limits. TLS 1.2 at least, the
 * certificate of the server is always verified, redirects are never followed, and the client key
 * stays an EVP_PKEY: it is handed to the TLS library and never written anywhere. Reads speak HTTP/2
 * where it is offered, unless they carry a password or fetch a secret; what must not happen twice
 * goes over a connection of its own.
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

enum { HTTP_BODY_MAX = 4 << 20, HTTP_HEADERS_MAX = 16, HTTP_CONNECTIONS = 8 };

struct http_client;

/* How a proxy is logged in to; ANY: the better one of those that it offers. */
enum http_proxy_auth { HTTP_PROXY_ANY, HTTP_PROXY_BASIC, HTTP_PROXY_DIGEST };

/* All borrowed for the life of the client, except strings, which are copied. */
struct http_settings {
    const char *base_url;   /* "https://host[:port]", no path */
    const char *trust_path; /* roots for the server's certificate; NULL: the system's */
    X509_STORE *trust;      /* what was read from there; NULL: trust_path is read as PEM */
    EVP_PKEY *key;          /* client certificate's key; NULL: none */
    X509 *cert;
    STACK_OF(X509) * chain; /* sent after cert; may be NULL */
    const char *proxy;      /* "http://host:port"; NULL: none (the environment is not consulted) */
    const char *proxy_user;
    const struct secret *proxy_password;
    enum http_proxy_auth proxy_auth;
    const char *no_proxy; /* who is reached without it, see http_bypasses_proxy(); may be NULL */
    int connections;      /* at a time; 0: HTTP_CONNECTIONS */
    bool http1_only;      /* no HTTP/2, though the server may offer it */
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
    bool secret;        /* its body or the answer is: it goes over HTTP/1.1, where nothing stays */
};

void http_request_header(struct http_request *request, const char *name, const char *value);
void http_request_secret(struct http_request *request, const char *name,
                         const struct secret *value);

struct http_response {
    int status;
    char content_type[80];  /* lower case, without parameters; "" if there is none */
    int64_t retry_after_s;  /* -1: not said, or nothing to go by */
    int64_t total_count;    /* X-Total-Count; -1: not said */
    char request_id[80];    /* X-Request-Id; "" if there is none */
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

/* fetch.c: a page that anybody can read, from a server that gets nothing of ours. */
struct http_page {
    const char *url;        /* http:// or https:// */
    const char *connect_to; /* "host:port" instead of what the URL says; NULL */
    const char *trust_path; /* roots for https, PEM; NULL: the system's */
    int64_t timeout_ms;
    const volatile bool *stop; /* may be NULL */
    struct buf *body;          /* its maximum is the page's */
    int status;                /* of the answer */
};

/* One GET without redirects, proxy and repetition; HTTPS is verified. After http_client_new()
 * alone. E_NETWORK, E_TLS (the server's certificate), E_PROTOCOL (too long), E_INTERRUPTED. */
bool http_fetch(struct http_page *page, struct err *err) NODISCARD;

/*
 * Requests beside each other, for reads alone: started, and taken back when they have ended, in
 * whatever order. The connections of the client are shared; with HTTP/2, one takes them all. A
 * request beyond the settings' number of connections waits for its turn in libcurl.
 */

/* Begins a request without a body; everything in it is copied. user comes back with the answer. */
bool http_start(struct http_client *client, const struct http_request *request, void *user,
                struct err *err) NODISCARD;

/* How many are under way. */
size_t http_flying(const struct http_client *client);

struct http_arrival {
    void *user;
    bool complete;                 /* there is a whole answer, of whatever status */
    struct http_response response; /* if complete */
    enum http_reach reach;
    struct err err; /* unless complete: as of http_send() */
};

/*
 * Waits at most so long (a tenth of a second at a time) for one to end. False: none has. With a
 * stop flag that is set, at once. http_arrival_done(out) after true.
 */
bool http_next(struct http_client *client, int64_t wait_ms, struct http_arrival *out) NODISCARD;
void http_arrival_done(struct http_arrival *arrival);

/* One step of a connection test; see http_probe(). With a proxy, name and connection are the
 * proxy's. */
struct http_probe {
    bool resolved, connected, tls;
    char address[64];
    char proxy[256]; /* "" if none is used */
    bool proxy_passed;
    bool cert_asked; /* the server asked for a client certificate */
    bool cert_given; /* and we have one */
    bool http2;
    int status; /* of the answer; 0: none */
    char server_subject[256], server_issuer[256];
    char server_not_after[CLOCK_TEXT_SIZE];
    int64_t server_not_after_s; /* 0: not known */
    struct err failure;         /* of the first step that failed */
};

/* Whether a server has asked for a client certificate since the last probe. */
bool http_cert_asked(const struct http_client *client);

/* Looks up, connects and does the TLS handshake; sends a GET for "/" to see that HTTP is spoken. */
void http_probe(struct http_client *client, struct http_probe *probe);

/* retry.c, pure: what the status of an answer means for a request that may be repeated. */
enum http_verdict { HTTP_FINAL, HTTP_RETRY };
enum http_verdict http_judge(int status);

/*
 * The seconds that a Retry-After header asks for (RFC 9110 section 10.2.3: a number, or a date). -1
 * for what is nothing to go by: text that is neither, a time that is over or now, and more than a
 * day.
 */
int64_t http_retry_after_s(const char *text, int64_t now_s);

/* How long to wait before repetition number `attempt` (1, 2, ...), obeying Retry-After within
 * bounds. */
int64_t http_retry_delay_ms(int attempt, int64_t retry_after_s, uint32_t random);

/* proxy.c, pure: the host in "https://host[:port]", lower case, without brackets. False if it does
 * not fit. */
bool http_url_host(const char *url, char *out, size_t size);

/*
 * Whether a list ("*", or names, domains, addresses and networks like 10.0.0.0/8, with commas or
 * blanks between) has the host. example.org and .example.org mean that name and all below it.
 */
bool http_bypasses_proxy(const char *list, const char *host);

/* redact.c, pure: whether a header's value may appear in a trace. */
bool http_header_is_public(const char *name);

DEFINE_AUTO(http_client, struct http_client *, http_client_free)
DEFINE_AUTO_DONE(http_arrival, struct http_arrival, http_arrival_done)

#endif
